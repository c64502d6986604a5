//! Texts that are made for what comes in while something else is measured.

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::Result;

/// Words of a text.
const WORDS: usize = 600;
/// Different words of all of them.
const VOCABULARY: usize = 50_000;

/// A text with words that no other has so.
pub fn text(number: usize) -> String {
    let mut text = String::new();
    for word in 0..WORDS {
        let _ = write!(text, "word{} ", (number * 7_919 + word * 104_729) % VOCABULARY);
        if word % 12 == 11 {
            let _ = writeln!(text, "in document {number}.");
        }
    }
    text
}

/// Writes texts as files.
pub fn write(dir: &Path, numbers: Range<usize>) -> Result<()> {
    for number in numbers {
        fs::write(dir.join(format!("{number}.txt")), text(number))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_comes_twice() {
        let texts: std::collections::BTreeSet<String> = (0..200).map(text).collect();
        assert_eq!(texts.len(), 200);
        assert!(texts.iter().all(|text| text.split_whitespace().count() == WORDS + WORDS / 12 * 3));
    }
}
