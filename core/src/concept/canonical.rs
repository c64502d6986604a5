//! One spelling for one concept: canonical names, abbreviations defined in a text, and near-equal
//! spellings. It compares names only; which concepts a tenant has is not known here.

use crate::segment::{fold, is_cjk};

/// Longest canonical name, in bytes.
pub const NAME_BYTES_MAX: usize = 120;
/// Plural in form but not in meaning, or names; they keep their `s`.
const NOT_PLURAL: [&str; 10] = [
    "kubernetes",
    "postgres",
    "jenkins",
    "windows",
    "series",
    "species",
    "headquarters",
    "always",
    "perhaps",
    "whereas",
];
/// Plurals in `-ies` whose singular ends in `-ie`.
const ENDS_IN_IE: [&str; 5] = ["movies", "cookies", "calories", "zombies", "selfies"];
/// Shortest and longest short form of a definition, in characters.
const SHORT_FORM_CHARS: std::ops::RangeInclusive<usize> = 2..=10;
/// Shortest word that a spelling may differ in.
const TYPO_LETTERS_MIN: usize = 6;
/// Characters at the beginning of a word that must agree.
const TYPO_PREFIX: usize = 3;

/// The canonical name: NFKC, lower case, no punctuation around, single spaces, an English plural at
/// the end made singular, at most [`NAME_BYTES_MAX`] bytes. Empty for text without letters or digits.
pub fn normalise(text: &str) -> String {
    let folded = fold(text);
    let mut name = String::with_capacity(folded.len().min(NAME_BYTES_MAX + 8));
    for word in folded.split_whitespace() {
        if !name.is_empty() {
            name.push(' ');
        }
        name.push_str(word);
    }
    let start = name.len() - name.trim_start_matches(|c: char| !c.is_alphanumeric()).len();
    let cut = name.floor_char_boundary(start + NAME_BYTES_MAX);
    let kept = trim_end(&name[start..cut]);
    let last = kept.rfind(' ').map_or(0, |at| at + 1);
    let (head, word) = kept.split_at(last);
    let (stem, ending) = singular(word);
    let mut canonical = String::with_capacity(kept.len());
    canonical.push_str(head);
    canonical.push_str(stem);
    canonical.push_str(ending);
    canonical
}

/// Trims what follows the last letter or digit; `+` and `#` directly after it belong to the name (C++).
fn trim_end(text: &str) -> &str {
    let bare = text.trim_end_matches(|c: char| !c.is_alphanumeric());
    let suffix = text[bare.len()..].bytes().take_while(|byte| matches!(byte, b'+' | b'#')).count();
    &text[..bare.len() + suffix]
}

/// The singular of a lower-case English word, as a part of the word and an ending to put after it.
/// Doing it twice changes nothing: a result ends in `s` only as `ss`, which is left alone.
pub(super) fn singular(word: &str) -> (&str, &'static str) {
    let bytes = word.as_bytes();
    let length = bytes.len();
    let unchanged = length < 5
        || bytes[length - 1] != b's'
        || !bytes.iter().all(u8::is_ascii_lowercase)
        || ["ss", "us", "is", "as", "os", "ics"].iter().any(|ending| word.ends_with(ending))
        || NOT_PLURAL.contains(&word);
    if unchanged {
        return (word, "");
    }
    if word.ends_with("ies") && !ENDS_IN_IE.contains(&word) {
        return (&word[..length - 3], "y");
    }
    // "caches" has an `e` of its own, "approaches" has not.
    let own_e = word.ends_with("aches") && !word.ends_with("oaches") && !word.ends_with("eaches");
    if !own_e && ["sses", "xes", "ches", "shes", "zzes"].iter().any(|ending| word.ends_with(ending)) {
        return (&word[..length - 2], "");
    }
    (&word[..length - 1], "")
}

/// The abbreviations that `text` defines, as canonical names of the short and the long form: "Portable
/// Document Format (PDF)". The method is that of Schwartz and Hearst.
pub fn aliases(text: &str) -> Vec<(String, String)> {
    definitions(text).into_iter().map(|(short, long)| (normalise(short), normalise(long))).collect()
}

/// Definitions as they stand in the text: short form, long form.
pub(super) fn definitions(text: &str) -> Vec<(&str, &str)> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    for (open, _) in text.match_indices('(') {
        let inside = &text[open + 1..text.floor_char_boundary(open + 1 + 48)];
        let Some(close) = inside.find(')') else { continue };
        // "(PDF, since 1993)": what follows the comma explains.
        let short = inside[..close].split([',', ';']).next().unwrap_or_default().trim();
        if !is_short_form(short) {
            continue;
        }
        let short = without_plural(short);
        let before = &text[text.floor_char_boundary(open.saturating_sub(160))..open];
        let Some(long) = long_form(short, before.trim_end()) else { continue };
        if !found.iter().any(|(known, _)| *known == short) {
            found.push((short, long));
        }
    }
    found
}

fn is_short_form(short: &str) -> bool {
    let fits = short.len() <= 40 && SHORT_FORM_CHARS.contains(&short.chars().count());
    fits && short.chars().next().is_some_and(char::is_alphanumeric)
        && !short.contains(char::is_whitespace)
        && short.chars().any(char::is_uppercase)
        && !short.chars().any(is_cjk)
}

/// "LLMs" stands for "LLM".
pub(super) fn without_plural(short: &str) -> &str {
    match short.strip_suffix('s') {
        Some(bare) if bare.len() >= 2 && !bare.contains(char::is_lowercase) => bare,
        _ => short,
    }
}

/// The shortest end of `before` that begins with a word of the short form's first letter and has its
/// letters in order.
fn long_form<'a>(short: &str, before: &'a str) -> Option<&'a str> {
    // Bracketed or ended sentences do not belong to the long form.
    let from = before.rfind(['(', ')', ';', '\n']).map_or(0, |at| at + 1);
    let from = before.rfind(". ").map_or(from, |at| from.max(at + 2));
    let before = &before[from..];
    let letters = short.chars().count();
    let words_max = (letters + 5).min(letters * 2);
    let from = before.rmatch_indices(' ').nth(words_max - 1).map_or(0, |(at, _)| at + 1);
    let before = &before[from..];

    let mut rest = before.char_indices().rev().peekable();
    let mut start = before.len();
    let mut wanted = short.chars().rev().filter(|c| c.is_alphanumeric()).peekable();
    while let Some(letter) = wanted.next() {
        let first = wanted.peek().is_none();
        loop {
            let (at, c) = rest.next()?;
            let opens_word = rest.peek().is_none_or(|(_, previous)| !previous.is_alphanumeric());
            if c.to_lowercase().eq(letter.to_lowercase()) && (!first || opens_word) {
                start = at;
                break;
            }
        }
    }
    let long = before[start..].trim_matches(|c: char| !c.is_alphanumeric());
    let fits = long.chars().count() > letters && long.len() <= NAME_BYTES_MAX;
    (fits && !long.split(' ').any(|word| word == short)).then_some(long)
}

/// The edit distance (insert, remove, replace) of two words, when it is at most `max`.
pub fn edit_distance_at_most(a: &str, b: &str, max: usize) -> Option<usize> {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    if a.len().abs_diff(b.len()) > max {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        let mut least = row[0];
        for (j, &y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
            least = least.min(row[j + 1]);
        }
        if least > max {
            return None;
        }
    }
    (row[b.len()] <= max).then_some(row[b.len()])
}

/// Which of the canonical names `among` means the same as `candidate`: an equal one, else one that
/// differs by one letter of one long word. The order of `among` does not matter.
pub fn resolve(candidate: &str, among: &[&str]) -> Option<usize> {
    among
        .iter()
        .enumerate()
        .filter_map(|(at, name)| spelling_distance(candidate, name).map(|distance| (distance, *name, at)))
        .min()
        .map(|(_, _, at)| at)
}

/// 0 for equal names, 1 for a plausible misspelling.
fn spelling_distance(a: &str, b: &str) -> Option<usize> {
    if a == b {
        return Some(0);
    }
    let mut differing = None;
    let (mut left, mut right) = (a.split(' '), b.split(' '));
    loop {
        match (left.next(), right.next()) {
            (None, None) => break,
            (Some(x), Some(y)) if x == y => {}
            (Some(x), Some(y)) if differing.is_none() => differing = Some((x, y)),
            _ => return None,
        }
    }
    let (x, y) = differing?;
    let letters = |word: &str| word.chars().filter(|c| c.is_alphabetic()).count();
    if letters(x) < TYPO_LETTERS_MIN || letters(y) < TYPO_LETTERS_MIN {
        return None;
    }
    edit_distance_at_most(x, y, 1)?;
    let same = x.chars().zip(y.chars()).take_while(|(p, q)| p == q).count();
    // A digit tells versions apart; the beginning of a word tells words apart. The shorter word has
    // at `same` either the replaced character or nothing of its own.
    let changed = [x.chars().nth(same), y.chars().nth(same)];
    let mut digits = changed.into_iter().flatten().filter(|c| c.is_numeric());
    (same >= TYPO_PREFIX && digits.next().is_none()).then_some(1)
}

/// Names that [`resolve`] can take for each other have the same key: the first three characters of
/// every word.
pub fn block_key(name: &str) -> String {
    let mut key = String::with_capacity(name.len());
    for word in name.split(' ') {
        if !key.is_empty() {
            key.push(' ');
        }
        key.extend(word.chars().take(TYPO_PREFIX));
    }
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_spelling() {
        let cases = [
            ("  Neural   Networks. ", "neural network"),
            ("Ｆｕｌｌ Queries", "full query"),
            ("processes", "process"),
            ("caches", "cache"),
            ("Status", "status"),
            ("analysis", "analysis"),
            ("physics", "physics"),
            ("Kubernetes", "kubernetes"),
            ("/etc/passwd", "etc/passwd"),
            ("C++", "c++"),
            ("Straße", "strasse"),
            ("“…”", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(normalise(text), expected, "{text}");
        }
    }

    #[test]
    fn definitions_are_found() {
        let check = |text: &str, expected: &[(&str, &str)]| {
            let expected: Vec<_> = expected.iter().map(|(s, l)| (s.to_string(), l.to_string())).collect();
            assert_eq!(aliases(text), expected, "{text}");
        };
        check("the Portable Document Format (PDF) is", &[("pdf", "portable document format")]);
        check("Large language models (LLMs) and", &[("llm", "large language model")]);
        check("die Europäische Zentralbank (EZB) hat", &[("ezb", "europäische zentralbank")]);
        check("Европейский центральный банк (ЕЦБ)", &[("ецб", "европейский центральный банк")]);
        check("a thing (see below) and (X) (2024)", &[]);
        check("(", &[]);
    }

    #[test]
    fn spellings_resolve() {
        let among = ["kubernetes cluster", "postgres 16", "postgres 17", "database", "contract"];
        assert_eq!(resolve("kubernets cluster", &among), Some(0));
        assert_eq!(resolve("database", &among), Some(3));
        assert_eq!(resolve("batabase", &among), None);
        assert_eq!(resolve("postgres 18", &among), None);
        assert_eq!(resolve("contrakt", &among), Some(4));
        assert_eq!(resolve("version1", &["version2"]), None);
        assert_eq!(edit_distance_at_most("kitten", "sitting", 3), Some(3));
        assert_eq!(edit_distance_at_most("kitten", "sitting", 2), None);
    }

    proptest! {
        #[test]
        fn normalise_is_idempotent(text in ".{0,80}") {
            let once = normalise(&text);
            prop_assert_eq!(&normalise(&once), &once);
            prop_assert!(once.len() <= NAME_BYTES_MAX);
        }

        #[test]
        fn normalise_is_idempotent_for_words(text in "[a-zßé.+# ]{0,9}(s|es|ies|ches|xes|sses)[ .s]{0,3}") {
            let once = normalise(&text);
            prop_assert_eq!(&normalise(&once), &once);
        }

        #[test]
        fn long_names_are_cut_once(text in "[a-zäж .]{100,200}s") {
            let once = normalise(&text);
            prop_assert!(once.len() <= NAME_BYTES_MAX);
            prop_assert_eq!(&normalise(&once), &once);
        }

        #[test]
        fn resolve_ignores_order_and_stays_in_its_block(
            candidate in "[abc1]{3}[ab1]{3,6}",
            mut among in proptest::collection::vec("[abc1]{3}[ab1]{3,6}", 0..8),
        ) {
            let pick = |among: &[String]| {
                let names: Vec<&str> = among.iter().map(String::as_str).collect();
                resolve(&candidate, &names).map(|at| among[at].clone())
            };
            let found = pick(&among);
            among.reverse();
            prop_assert_eq!(&pick(&among), &found);
            if let Some(found) = found {
                prop_assert_eq!(block_key(&found), block_key(&candidate));
            }
        }

        #[test]
        fn aliases_take_any_text(text in "(.{0,12}[( )a-zA-Zж。]{0,20}){0,6}") {
            let _ = aliases(&text);
        }
    }
}
