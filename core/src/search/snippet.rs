//! The part of a chunk worth showing for a query, taken from its original text.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use crate::segment::{Piece, QueryTerm, for_each_piece, segment_query};

/// A part of a text with what to highlight in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Snippet {
    /// The part, with `…` where text was left out.
    pub text: String,
    /// Byte ranges in it, ascending, that match the query.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<Vec<u32>>))]
    pub highlights: Vec<(u32, u32)>,
}

/// What stands for text that was left out.
const ELLIPSIS: &str = "…";

/// Words that a [`Highlighter`] knows at most.
const KNOWN_MAX: usize = 10_000;

/// The densest part of at most about `max_bytes`.
pub fn snippet(text: &str, query: &str, max_bytes: usize) -> Snippet {
    Highlighter::new(query).snippet(text, max_bytes)
}

/// Finds the words of a query in texts. One is made for all texts of an answer: words come again and again, and their
/// stems cost more than all else here.
pub struct Highlighter {
    terms: Vec<QueryTerm>,
    /// Which terms a word fits.
    known: HashMap<String, Vec<usize>>,
}

impl Highlighter {
    /// For every word of the query.
    pub fn new(query: &str) -> Self {
        Self::of(segment_query(query))
    }

    /// For these terms.
    pub(crate) fn of(terms: Vec<QueryTerm>) -> Self {
        Self { terms, known: HashMap::new() }
    }

    /// How many terms there are.
    pub(crate) fn count(&self) -> usize {
        self.terms.len()
    }

    /// The densest part of at most about `max_bytes`.
    pub fn snippet(&mut self, text: &str, max_bytes: usize) -> Snippet {
        let matches = self.matches(text);
        let (start, end) = window(text, &matches, max_bytes);
        let mut shown = String::new();
        if start > 0 {
            shown.push_str(ELLIPSIS);
        }
        let shift = shown.len();
        shown.push_str(&text[start..end]);
        if end < text.len() {
            shown.push_str(ELLIPSIS);
        }
        let highlights = matches
            .iter()
            .filter(|(from, to, _)| *from >= start && *to <= end)
            .map(|(from, to, _)| ((from - start + shift) as u32, (to - start + shift) as u32))
            .collect();
        Snippet { text: shown, highlights }
    }

    /// Places of the terms that the text has, in their order.
    pub(crate) fn terms_in(&mut self, text: &str) -> Vec<usize> {
        let mut found = BTreeSet::new();
        for_each_piece(text, &mut |piece| match piece {
            Piece::Word(word) => found.extend(self.places(word)),
            // Pairs of signs have no stems.
            Piece::Cjk(run) => found.extend(places_of(&self.terms, &forms_of(run))),
        });
        found.into_iter().collect()
    }

    /// (from, to, which term) of words in the text that a term of the query matches.
    fn matches(&mut self, text: &str) -> Vec<(usize, usize, usize)> {
        let mut matches: Vec<(usize, usize, usize)> = Vec::new();
        let mut previous: Option<(usize, &str)> = None;
        for (at, word) in text.unicode_word_indices() {
            if let Some(term) = self.places(word).first() {
                matches.push((at, at + word.len(), *term));
            }
            // Words of scripts without spaces come a character at a time; terms there are pairs of them.
            if let Some((before, first)) = previous.filter(|(before, first)| before + first.len() == at)
                && !first.is_ascii()
                && first.chars().count() == 1
                && let Some(term) = self.places(&text[before..at + word.len()]).first()
            {
                // Both characters by themselves are the last that were found, if they were.
                while matches.last().is_some_and(|(from, _, _)| *from == before || *from == at) {
                    matches.pop();
                }
                matches.push((before, at + word.len(), *term));
            }
            previous = Some((at, word));
        }
        merged(matches)
    }

    /// Places of the terms that a word fits, in their order.
    fn places(&mut self, word: &str) -> &[usize] {
        if !may_fit(word, &self.terms) {
            return &[];
        }
        if !self.known.contains_key(word) {
            if self.known.len() >= KNOWN_MAX {
                self.known.clear();
            }
            self.known.insert(word.to_owned(), places_of(&self.terms, &forms_of(word)));
        }
        self.known.get(word).map(Vec::as_slice).unwrap_or_default()
    }
}

/// No stemmer changes the first letter of an ASCII word, and the second only from y to i, as in "dying" and "die": a
/// look at them spares most words. What is not of ASCII letters and digits alone may fall into other pieces.
fn may_fit(word: &str, terms: &[QueryTerm]) -> bool {
    let bytes = word.as_bytes();
    let [first, second, ..] = *bytes else { return true };
    if !bytes.iter().all(u8::is_ascii_alphanumeric) {
        return true;
    }
    let (first, second) = (first.to_ascii_lowercase(), second.to_ascii_lowercase());
    let fits = |alternative: &String| match *alternative.as_bytes() {
        [one, other, ..] => one == first && (other == second || second == b'y' && other == b'i'),
        _ => true,
    };
    terms.iter().flat_map(|term| &term.alternatives).any(fits)
}

/// Every form and stem of a word: highlighting need not know the text's language.
fn forms_of(word: &str) -> Vec<String> {
    segment_query(word).into_iter().flat_map(|term| term.alternatives).collect()
}

fn places_of(terms: &[QueryTerm], forms: &[String]) -> Vec<usize> {
    let fits = |term: &QueryTerm| {
        term.alternatives.iter().any(|alternative| {
            forms.contains(alternative)
                || (term.prefix && forms.iter().any(|form| form.starts_with(alternative.as_str())))
        })
    };
    terms.iter().enumerate().filter(|(_, term)| fits(term)).map(|(place, _)| place).collect()
}

/// Joins overlapping ranges.
fn merged(matches: Vec<(usize, usize, usize)>) -> Vec<(usize, usize, usize)> {
    let mut joined: Vec<(usize, usize, usize)> = Vec::with_capacity(matches.len());
    for (from, to, term) in matches {
        match joined.last_mut() {
            Some(last) if from < last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to, term)),
        }
    }
    joined
}

/// The range with the most different terms, then the most matches; from the start where there is none.
fn window(text: &str, matches: &[(usize, usize, usize)], max_bytes: usize) -> (usize, usize) {
    if text.len() <= max_bytes {
        return (0, text.len());
    }
    let best = matches
        .iter()
        .enumerate()
        .max_by_key(|(first, (from, _, _))| {
            let inside = matches[*first..].iter().take_while(|(_, to, _)| *to <= from + max_bytes);
            let terms: Vec<usize> = inside.map(|(_, _, term)| *term).collect();
            let distinct: HashSet<usize> = terms.iter().copied().collect();
            (distinct.len(), terms.len(), std::cmp::Reverse(*first))
        })
        .map_or(0, |(_, (from, _, _))| *from);
    // A little of what stands before the first match, from a word's start.
    let lead = best.saturating_sub(max_bytes / 6);
    let start = if lead == 0 { 0 } else { word_start(text, lead).min(best) };
    let mut end = (start + max_bytes).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    if end < text.len()
        && let Some(space) = text[start..end].rfind(char::is_whitespace)
        && space > (end - start) / 2
    {
        end = start + space;
    }
    (start, end)
}

fn word_start(text: &str, at: usize) -> usize {
    let at = (at..text.len()).find(|&i| text.is_char_boundary(i)).unwrap_or(text.len());
    match text[at..].find(char::is_whitespace) {
        Some(space) if space < 40 => {
            at + space + text[at + space..].chars().next().map_or(0, char::len_utf8)
        }
        _ => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_matching_words_are_shown_and_marked() {
        let text = format!(
            "{} The shells expand aliases early. {}",
            "filler word ".repeat(60),
            "more text ".repeat(60)
        );
        let snippet = snippet(&text, "shell alias", 120);
        let marked: Vec<&str> = snippet
            .highlights
            .iter()
            .map(|(from, to)| &snippet.text[*from as usize..*to as usize])
            .collect();
        assert_eq!(marked, ["shells", "aliases"]);
        assert!(snippet.text.starts_with('…') && snippet.text.ends_with('…'));
    }

    #[test]
    fn one_highlighter_does_for_many_texts() {
        let query = "When were shells and zebras painted?";
        let mut highlighter = Highlighter::new(query);
        for text in ["A zebra paints a shell.", "Shells, shells!", "", "Zebras: \u{65e5}\u{672c}"] {
            assert_eq!(highlighter.snippet(text, 200), snippet(text, query, 200), "{text}");
        }
        // "when were shells and zebras painted": the third, the fifth and the sixth.
        assert_eq!(highlighter.terms_in("A zebra paints a shell."), [2, 4, 5]);
        assert!(highlighter.terms_in("Nothing.").is_empty());
    }

    #[test]
    fn words_of_many_pieces_and_written_in_parts_are_marked_too() {
        let text = "foo_bar, a re\u{301}sume\u{301} of who is dying, im FLUSS";
        for (query, marked) in [
            ("bar", "foo_bar"),
            ("r\u{e9}sum\u{e9}", "re\u{301}sume\u{301}"),
            ("die", "dying"),
            ("flu\u{df}", "FLUSS"),
        ] {
            let snippet = snippet(text, query, 200);
            let found: Vec<&str> = snippet
                .highlights
                .iter()
                .map(|(from, to)| &snippet.text[*from as usize..*to as usize])
                .collect();
            assert_eq!(found, [marked], "{query}");
        }
    }

    #[test]
    fn text_without_spaces_is_marked_too() {
        let snippet = snippet("これは日本語の文書です。", "日本語", 200);
        assert!(!snippet.highlights.is_empty());
    }

    proptest! {
        #[test]
        fn no_word_that_fits_is_spared(word in "[a-zA-Z]{1,3}[a-z]{0,6}(ing|ies|s|en|ungen|ly)?|\\PC{1,8}") {
            for form in forms_of(&word) {
                let term = QueryTerm { alternatives: vec![form.clone()], prefix: false };
                prop_assert!(may_fit(&word, &[term]), "{word} {form}");
            }
        }

        #[test]
        fn any_text_and_query_give_valid_ranges(text in "\\PC{0,300}", query in "\\PC{0,30}", max in 10usize..200) {
            let snippet = snippet(&text, &query, max);
            for (from, to) in &snippet.highlights {
                prop_assert!(from < to);
                prop_assert!(snippet.text.get(*from as usize..*to as usize).is_some());
            }
            prop_assert!(snippet.text.len() <= max + 2 * ELLIPSIS.len());
        }
    }
}
