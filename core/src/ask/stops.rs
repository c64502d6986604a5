//! Texts at which an answer ends, as who asks may want it to. They are not part of the answer, wherever the pieces of a
//! stream were cut.

/// Takes an answer piece by piece. Any pieces of a text give together what the whole text gives.
#[derive(Debug, Default)]
pub struct Stops {
    texts: Vec<String>,
    /// What may be the beginning of one of them.
    held: String,
    over: bool,
}

impl Stops {
    /// Ends at the first of these that is complete; empty ones are none.
    pub fn new(texts: &[String]) -> Self {
        let texts = texts.iter().filter(|text| !text.is_empty()).cloned().collect();
        Self { texts, held: String::new(), over: false }
    }

    /// What of the answer is before its end after this piece.
    pub fn push(&mut self, piece: &str) -> String {
        if self.over {
            return String::new();
        }
        self.held.push_str(piece);
        // Of those that end together the longest: it began first.
        let ends = self.texts.iter().filter_map(|text| Some((self.held.find(text.as_str())?, text.len())));
        if let Some((begin, _)) = ends.min_by_key(|(begin, length)| (begin + length, *begin)) {
            self.over = true;
            self.held.truncate(begin);
            return std::mem::take(&mut self.held);
        }
        let kept = self.texts.iter().map(|text| begun(&self.held, text)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - kept);
        std::mem::replace(&mut self.held, rest)
    }

    /// What was held back: there is no more to come.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Whether the answer is at its end.
    pub fn is_over(&self) -> bool {
        self.over
    }
}

/// Bytes at the end of `said` with which `text` begins.
fn begun(said: &str, text: &str) -> usize {
    let parts = text.char_indices().map(|(at, _)| at).rev();
    parts.filter(|at| *at <= said.len()).find(|at| said.ends_with(&text[..*at])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let texts: Vec<String> = stops.iter().map(|text| (*text).to_owned()).collect();
        let mut stops = Stops::new(&texts);
        let mut said: String = pieces.iter().map(|piece| stops.push(piece)).collect();
        said.push_str(&stops.finish());
        (said, stops.is_over())
    }

    #[test]
    fn an_answer_ends_before_the_first_that_is_complete() {
        assert_eq!(said(&["\n\n"], &["One.\n", "\nTwo."]), ("One.".to_owned(), true));
        assert_eq!(said(&["\n\n"], &["One.\n", "Two.\n"]), ("One.\nTwo.\n".to_owned(), false));
        assert_eq!(said(&["END", "D"], &["the END"]), ("the ".to_owned(), true));
        assert_eq!(said(&["abcd", "c"], &["xab", "cd"]), ("xab".to_owned(), true));
        assert_eq!(said(&["ü!"], &["gr\u{fc}", "\u{fc}!n"]), ("gr\u{fc}".to_owned(), true));
        assert_eq!(said(&["", ""], &["a", "b"]), ("ab".to_owned(), false));
        assert_eq!(said(&[], &["a"]), ("a".to_owned(), false));
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            text in "[abü ]{0,30}",
            stops in prop::collection::vec("[abü ]{1,4}", 0..4),
            size in 1usize..4,
        ) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let signs: Vec<char> = text.chars().collect();
            let pieces: Vec<String> = signs.chunks(size).map(|part| part.iter().collect()).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(said(&stops, &pieces), said(&stops, &[text.as_str()]));
        }
    }
}
