//! The words of a query without its values: what a store is asked may hold what a tenant wrote.

/// Longest query that is told, in characters.
const CHARS_MAX: usize = 500;

/// The query with a `?` for each text and number in it, and single spaces.
pub(super) fn shape(query: &str) -> String {
    let mut shape = String::with_capacity(query.len().min(CHARS_MAX));
    let mut letters = query.chars().peekable();
    let mut before = ' ';
    while let Some(letter) = letters.next() {
        if shape.chars().count() >= CHARS_MAX {
            shape.push('…');
            break;
        }
        let within_a_name = before.is_alphanumeric() || matches!(before, '_' | '$' | '?');
        match letter {
            '\'' | '"' if !(letter == '"' && is_a_name(&mut letters.clone())) => {
                // A quote within is doubled or escaped; either way the text goes on.
                while let Some(inner) = letters.next() {
                    match inner {
                        '\\' => drop(letters.next()),
                        inner if inner == letter => match letters.next_if_eq(&letter) {
                            Some(_) => {}
                            None => break,
                        },
                        _ => {}
                    }
                }
                shape.push('?');
            }
            '"' => {
                shape.push('"');
                shape.extend(letters.by_ref().take_while(|inner| *inner != '"'));
                shape.push('"');
            }
            '0'..='9' if !within_a_name => {
                while letters.next_if(|next| next.is_alphanumeric() || *next == '.').is_some() {}
                shape.push('?');
            }
            space if space.is_whitespace() => {
                if !before.is_whitespace() {
                    shape.push(' ');
                }
            }
            other => shape.push(other),
        }
        before = letter;
    }
    shape.trim_end().to_owned()
}

/// Whether what follows a double quote is one plain word up to the next: in SQL that is a name, and no text.
fn is_a_name(letters: &mut impl Iterator<Item = char>) -> bool {
    let mut count = 0;
    for letter in letters {
        match letter {
            '"' => return count > 0,
            letter if letter.is_ascii_lowercase() || letter == '_' => count += 1,
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_left_out() {
        let cases = [
            ("SELECT  a\n FROM t1 WHERE x = $1", "SELECT a FROM t1 WHERE x = $1"),
            ("x IN (?1, ?12)", "x IN (?1, ?12)"),
            ("x = 'secret''s' AND y = 42", "x = ? AND y = ?"),
            ("x = 'a\\'b' LIMIT 10", "x = ? LIMIT ?"),
            ("MATCH (n {name: \"Top Secret\"}) RETURN 1.5e3", "MATCH (n {name: ?}) RETURN ?"),
            ("ORDER BY n COLLATE \"und_x\"", "ORDER BY n COLLATE \"und_x\""),
            ("'never ends", "?"),
            ("", ""),
        ];
        for (query, expected) in cases {
            assert_eq!(shape(query), expected, "{query}");
        }
    }

    #[test]
    fn a_long_one_is_cut() {
        let shape = shape(&"x ".repeat(10_000));
        assert!(shape.chars().count() <= CHARS_MAX + 1 && shape.ends_with('…'));
    }
}
