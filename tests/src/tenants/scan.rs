//! Finds marks and secrets in whatever a process says or keeps: as they are, in other case, in hexadecimal digits,
//! and in Base64 at any offset.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};
use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Shortest text that is looked for: shorter ones are found by chance.
const TEXT_BYTES_MIN: usize = 6;

/// What was found: how often, by name.
pub type Found = BTreeMap<String, u64>;

/// See the module.
#[derive(Clone)]
pub struct Scanner {
    automaton: AhoCorasick,
    /// Name of each pattern.
    names: Vec<String>,
}

impl Scanner {
    /// For these names and texts.
    ///
    /// # Errors
    /// A text is too short to say anything.
    pub fn new<'a>(wanted: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let (mut patterns, mut names) = (Vec::new(), Vec::new());
        for (name, text) in wanted {
            anyhow::ensure!(text.len() >= TEXT_BYTES_MIN, "{name} is too short to be looked for");
            for form in forms(text) {
                patterns.push(form);
                names.push(name.to_owned());
            }
        }
        let automaton = AhoCorasickBuilder::new().ascii_case_insensitive(true).build(patterns)?;
        Ok(Self { automaton, names })
    }

    /// How often each is in it.
    pub fn count(&self, text: impl AsRef<[u8]>) -> Found {
        let mut found = Found::new();
        for hit in self.automaton.find_iter(text.as_ref()) {
            *found.entry(self.names[hit.pattern().as_usize()].clone()).or_default() += 1;
        }
        found
    }

    /// Which are in it.
    pub fn names_in(&self, text: impl AsRef<[u8]>) -> BTreeSet<String> {
        self.count(text).into_keys().collect()
    }
}

/// The ways in which a text may be written.
fn forms(text: &str) -> Vec<String> {
    let hex = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![text.to_owned(), hex];
    // Base64 has three bytes in four characters, so a text looks different at each of three offsets; what its
    // neighbours have a part in is cut off.
    for offset in 0..3 {
        let padded = [vec![0; offset], text.as_bytes().to_vec()].concat();
        let encoded = STANDARD_NO_PAD.encode(&padded);
        let (start, whole) = ((offset * 8).div_ceil(6), padded.len() * 8 / 6);
        forms.push(encoded[start..whole].to_owned());
        let url_safe = encoded[start..whole].replace('+', "-").replace('/', "_");
        if url_safe != encoded[start..whole] {
            forms.push(url_safe);
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However a mark is written, and whatever is around it, it is found.
        #[test]
        fn a_planted_mark_is_found(
            before in "[ -~]{0,20}", mark in "[a-zA-Z0-9]{8,30}", after in "[ -~]{0,20}", form in 0..6,
        ) {
            let scanner = Scanner::new([("mark", mark.as_str())]).unwrap();
            let around = |text: &str| format!("{before}{text}{after}");
            let hidden = match form {
                0 => around(&mark),
                1 => around(&mark.to_ascii_uppercase()),
                2 => around(&mark.bytes().map(|byte| format!("{byte:02X}")).collect::<String>()),
                3 => STANDARD.encode(around(&mark)),
                4 => URL_SAFE_NO_PAD.encode(around(&mark)),
                _ => format!("{{\"a\":\"{}\"}}", mark),
            };
            prop_assert!(scanner.names_in(&hidden).contains("mark"), "{hidden}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let scanner = Scanner::new([("one", "zqnorthkelp"), ("two", "zqsouthkelp")]).unwrap();
        assert_eq!(
            scanner.count("zqsouthkelp, zqsouthkel and zqSOUTHkelp"),
            [("two".to_owned(), 2)].into()
        );
        assert!(Scanner::new([("short", "abc")]).is_err());
    }
}
