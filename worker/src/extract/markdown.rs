//! Markdown to blocks, line by line: headings, lists, tables, code. Inline marks are removed. Not a renderer.

use docmill_core::failure::Failure;
use docmill_core::page::BlockKind;

use super::emit::Emitter;
use super::text::Table;

/// The title in the front matter, or the first heading.
pub(super) fn title(text: &str) -> Option<String> {
    let (front_matter, body) = split_front_matter(text);
    let named = front_matter.lines().find_map(|line| line.strip_prefix("title:"));
    let named = named.map(|title| title.trim().trim_matches(['"', '\'']).to_owned());
    named.or_else(|| body.lines().take(200).find_map(|line| heading(line).map(|(_, text)| inline(text))))
}

/// Reads the whole text.
pub(super) fn read(text: &str, emitter: &mut Emitter<'_>) -> Result<(), Failure> {
    let mut state = State { kind: BlockKind::Paragraph, text: String::new(), table: Table::default() };
    let mut fence: Option<&str> = None;
    for line in split_front_matter(text).1.lines() {
        let trimmed = line.trim();
        if let Some(mark) = fence {
            if trimmed.starts_with(mark) && trimmed.trim_start_matches(['`', '~']).is_empty() {
                fence = None;
                state.end(emitter)?;
            } else {
                state.text.push_str(line);
                state.text.push('\n');
            }
        } else if let Some(mark) = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark)) {
            state.begin(BlockKind::Code, emitter)?;
            fence = Some(mark);
        } else if trimmed.is_empty() {
            state.end(emitter)?;
        } else if let Some((level, text)) = heading(line) {
            state.begin(BlockKind::Heading(level), emitter)?;
            state.text.push_str(&inline(text));
            state.end(emitter)?;
        } else if trimmed.starts_with('|') && trimmed.len() > 1 {
            state.row(trimmed, emitter)?;
        } else if let Some(level) = underline(trimmed).filter(|_| state.is_one_line_of_text()) {
            state.kind = BlockKind::Heading(level);
            state.end(emitter)?;
        } else if is_rule(trimmed) {
            state.end(emitter)?;
        } else if let Some(item) = list_item(trimmed) {
            state.begin(BlockKind::ListItem, emitter)?;
            state.text.push_str(&inline(item));
        } else if line.starts_with("    ") && (state.text.is_empty() || state.kind == BlockKind::Code) {
            if state.text.is_empty() {
                state.begin(BlockKind::Code, emitter)?;
            }
            state.text.push_str(line);
            state.text.push('\n');
        } else {
            let words = trimmed.trim_start_matches(['>', ' ']);
            if state.kind == BlockKind::Code {
                state.end(emitter)?;
            }
            if !state.text.is_empty() {
                state.text.push('\n');
            }
            state.text.push_str(&inline(words));
        }
    }
    state.end(emitter)
}

struct State {
    kind: BlockKind,
    text: String,
    table: Table,
}

impl State {
    fn begin(&mut self, kind: BlockKind, emitter: &mut Emitter<'_>) -> Result<(), Failure> {
        self.end(emitter)?;
        self.kind = kind;
        Ok(())
    }

    fn end(&mut self, emitter: &mut Emitter<'_>) -> Result<(), Failure> {
        self.table.end(emitter)?;
        let kind = std::mem::replace(&mut self.kind, BlockKind::Paragraph);
        emitter.block(kind, std::mem::take(&mut self.text))
    }

    fn row(&mut self, line: &str, emitter: &mut Emitter<'_>) -> Result<(), Failure> {
        if !self.text.is_empty() {
            self.end(emitter)?;
        }
        let cells = line.trim_matches('|').split('|').map(|cell| inline(cell.trim()));
        let is_rule = line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '));
        if is_rule { Ok(()) } else { self.table.row(cells, emitter) }
    }

    fn is_one_line_of_text(&self) -> bool {
        self.kind == BlockKind::Paragraph && !self.text.is_empty() && !self.text.contains('\n')
    }
}

fn split_front_matter(text: &str) -> (&str, &str) {
    let inside = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n"));
    inside.and_then(|inside| inside.split_once("\n---")).unwrap_or(("", text))
}

fn heading(line: &str) -> Option<(u8, &str)> {
    let marks = line.bytes().take_while(|&b| b == b'#').count();
    let text = line[marks..].strip_prefix(' ')?.trim().trim_end_matches('#').trim_end();
    (1..=6).contains(&marks).then_some((marks as u8, text))
}

fn underline(line: &str) -> Option<u8> {
    let all = |mark| line.len() >= 2 && line.chars().all(|c| c == mark);
    if all('=') {
        Some(1)
    } else if all('-') {
        Some(2)
    } else {
        None
    }
}

fn is_rule(line: &str) -> bool {
    let mark = line.chars().next().filter(|c| matches!(c, '-' | '*' | '_'));
    mark.is_some_and(|mark| line.chars().all(|c| c == mark || c == ' ') && line.matches(mark).count() >= 3)
}

fn list_item(line: &str) -> Option<&str> {
    if let Some(item) = ["- ", "* ", "+ "].into_iter().find_map(|mark| line.strip_prefix(mark)) {
        return Some(item);
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &line[digits..];
    // The number stays: it is part of what the text says.
    ((1..=4).contains(&digits) && (rest.starts_with(". ") || rest.starts_with(") "))).then_some(line)
}

/// Removes emphasis, code marks and link targets.
fn inline(text: &str) -> String {
    if !text.contains(['*', '_', '`', '[', '\\', '<']) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let before = out.chars().next_back();
        let after = rest[c.len_utf8()..].chars().next();
        let mut skip = c.len_utf8();
        match c {
            '\\' if after.is_some_and(|c| c.is_ascii_punctuation()) => {
                out.extend(after);
                skip += 1;
            }
            '`' => {}
            // An underscore within a word is part of a name; a lone asterisk is a sign.
            '*' | '_' => {
                let opens = after.is_some_and(|a| !a.is_whitespace());
                let closes = before.is_some_and(|b| !b.is_whitespace());
                let inside_word = c == '_'
                    && before.is_some_and(char::is_alphanumeric)
                    && after.is_some_and(char::is_alphanumeric);
                if inside_word || !(opens || closes) {
                    out.push(c);
                }
            }
            '!' if after == Some('[') => {}
            '[' => match link(rest) {
                Some((text, bytes)) => {
                    out.push_str(text);
                    skip = bytes;
                }
                None => out.push(c),
            },
            _ => out.push(c),
        }
        rest = &rest[skip..];
    }
    out
}

/// `[text](target)` at the start: its text and its length in bytes.
fn link(text: &str) -> Option<(&str, usize)> {
    let close = text.find("](")?;
    let end = close + text[close..].find(')')?;
    let inner = &text[1..close];
    (!inner.contains('[')).then_some((inner, end + 1))
}

#[cfg(test)]
mod tests {
    use super::super::emit::tests::blocks_of;
    use super::*;

    #[test]
    fn structure_is_found() {
        let text = "---\ntitle: \"T\"\n---\n# A *b*\ntext `x` [l](u)\nmore\n\nSub\n---\n- one\n- two_three\n1. n\n\n| a | b |\n|---|---|\n| c | d |\n\n```rs\nfn  x() {}\n```\nend";
        use BlockKind::{Code, Heading, ListItem, Paragraph, Table};
        let expected = [
            (Heading(1), "A b"),
            (Paragraph, "text x l\nmore"),
            (Heading(2), "Sub"),
            (ListItem, "one"),
            (ListItem, "two_three"),
            (ListItem, "1. n"),
            (Table, "a\tb\nc\td"),
            (Code, "fn  x() {}"),
            (Paragraph, "end"),
        ];
        let blocks = blocks_of(|emitter| read(text, emitter));
        assert_eq!(blocks, expected.map(|(kind, text)| (kind, text.to_owned())));
        assert_eq!(title(text).as_deref(), Some("T"));
    }
}
