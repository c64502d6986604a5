//! Names that people give: no character in them may change how the rest is shown.

use super::problem::Problem;

/// Whether a name shows as it is: without control characters, and without those that turn the direction of text
/// (Unicode's embeddings, overrides and isolates). Marks that only say a direction are in real names.
pub fn is_plain(name: &str) -> bool {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !name.chars().any(|c| c.is_control() || turns(c))
}

/// A name of at most so many characters.
///
/// # Errors
/// It is longer, or does not show as it is.
pub fn judged(field: &str, name: &str, chars_max: usize) -> Result<(), Problem> {
    if name.chars().count() <= chars_max && is_plain(name) {
        return Ok(());
    }
    let allowed =
        format!("up to {chars_max} characters, none that controls or turns the direction of the text");
    Err(Problem::invalid(field, "cannot be a name", allowed).given(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_or_controls_is_no_name() {
        for good in ["", "a b.txt", "ä/日本語", "שלום\u{200f}", "👩\u{200d}🚀"] {
            assert!(is_plain(good), "{good:?}");
        }
        for bad in ["a\u{202e}txt.exe", "\u{2066}a", "a\nb", "\u{7f}", "\0", "\u{85}"] {
            assert!(!is_plain(bad) && judged("name", bad, 10).is_err(), "{bad:?}");
        }
        assert!(judged("name", "äbc", 3).is_ok() && judged("name", "äbcd", 3).is_err());
    }
}
