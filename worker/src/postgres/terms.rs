//! Our own segmentation as the server's full-text types, term by term and unchanged.
//!
//! The server's parser would split again what is split already (numbers with a point, words with a
//! hyphen) and treats Chinese and Japanese by the locale, so the types are written as text here.

use std::collections::HashMap;
use std::fmt::Write;

/// Longest term that the server takes, in bytes.
const TERM_BYTES_MAX: usize = 2_046;
/// Highest place that the server keeps; later ones count as this.
const PLACE_MAX: usize = 16_383;
/// Places of one term that the server keeps.
const PLACES_MAX: usize = 255;
/// Bytes of one vector as the server packs it; it takes less than 1 MiB.
const BYTES_MAX: usize = 1_000_000;
/// Bytes that the server adds to a term (a count, and one to align it) and to each of its places.
const TERM_OVERHEAD: usize = 3;
const PLACE_BYTES: usize = 2;

/// Terms, separated by spaces, as a `tsvector` literal: each with its places, so that frequency counts.
pub(super) fn to_tsvector(terms: &str) -> String {
    let mut order: Vec<&str> = Vec::new();
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut bytes = 0;
    for (place, term) in (1..).zip(terms.split_whitespace()) {
        if !is_storable(term) {
            continue;
        }
        let known = places.get(term).map_or(0, Vec::len);
        if known == PLACES_MAX {
            continue;
        }
        bytes += PLACE_BYTES + if known == 0 { term.len() + TERM_OVERHEAD } else { 0 };
        if bytes > BYTES_MAX {
            break;
        }
        if known == 0 {
            order.push(term);
        }
        places.entry(term).or_default().push(place.min(PLACE_MAX));
    }
    let mut literal = String::with_capacity(terms.len() * 2);
    for term in order {
        if !literal.is_empty() {
            literal.push(' ');
        }
        quote(term, &mut literal);
        for (n, place) in places.get(term).into_iter().flatten().enumerate() {
            let separator = if n == 0 { ':' } else { ',' };
            let _ = write!(literal, "{separator}{place}");
        }
    }
    literal
}

/// How the terms of a query belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terms {
    /// Every one must be there.
    All,
    /// One is enough.
    Any,
}

/// Terms, separated by spaces and segmented as the texts were, as a `tsquery` literal; `None` where none
/// is left to ask for.
pub fn to_tsquery(terms: &str, together: Terms) -> Option<String> {
    let operator = match together {
        Terms::All => " & ",
        Terms::Any => " | ",
    };
    let mut query = String::new();
    for term in terms.split_whitespace().filter(|term| is_storable(term)) {
        if !query.is_empty() {
            query.push_str(operator);
        }
        quote(term, &mut query);
    }
    (!query.is_empty()).then_some(query)
}

/// Whether the server takes the term.
pub(super) fn is_storable(term: &str) -> bool {
    term.len() <= TERM_BYTES_MAX && !term.contains('\0')
}

/// The term as it stands in a literal.
pub(super) fn quote(term: &str, into: &mut String) {
    into.push('\'');
    for c in term.chars() {
        if matches!(c, '\'' | '\\') {
            into.push(c);
        }
        into.push(c);
    }
    into.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_keep_their_places() {
        assert_eq!(to_tsvector("b a b"), "'b':1,3 'a':2");
        assert_eq!(to_tsvector(r"it's a\b 3.14 東京"), r"'it''s':1 'a\\b':2 '3.14':3 '東京':4");
        assert_eq!(to_tsvector(""), "");
    }

    #[test]
    fn limits_of_the_server_are_kept() {
        let long = "x".repeat(TERM_BYTES_MAX + 1);
        assert_eq!(to_tsvector(&format!("{long} a")), "'a':2");
        let often = "a ".repeat(PLACES_MAX + 9);
        assert_eq!(to_tsvector(&often).matches(',').count(), PLACES_MAX - 1);
        let many: String = (0..200_000).map(|n| format!("{n:06} ")).collect();
        let literal = to_tsvector(&many);
        assert_eq!(literal.matches(':').count(), BYTES_MAX / (6 + TERM_OVERHEAD + PLACE_BYTES));
        assert!(literal.ends_with(":16383"));
    }

    #[test]
    fn queries_join_their_terms() {
        assert_eq!(to_tsquery("a b", Terms::All).as_deref(), Some("'a' & 'b'"));
        assert_eq!(to_tsquery("a o'b", Terms::Any).as_deref(), Some("'a' | 'o''b'"));
        assert_eq!(to_tsquery(" ", Terms::Any), None);
    }
}
