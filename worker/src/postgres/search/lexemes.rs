//! A chunk's terms as the server sends them: read in place, as a search looks for a few of some hundred.

use docmill_core::search::fit;
use tokio_postgres::types::{FromSql, Type};

/// Bytes of a count of terms, and of a count of places or a place.
const COUNT_BYTES: usize = 4;
const PLACE_BYTES: usize = 2;

/// A `tsvector` in the server's binary form: the number of terms, then each with a NUL, the number of its places and
/// the places.
pub(super) struct Lexemes<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Lexemes<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::TS_VECTOR
    }
}

/// A form of a word that chunks are scored by.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Form {
    /// The form, as it is stored.
    pub(super) text: String,
    /// Whether what only begins so counts.
    pub(super) prefix: bool,
    /// In how many chunks it is, about.
    pub(super) chunks: u64,
    /// What it counts.
    pub(super) weight: f64,
}

/// How well a chunk's words fit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Fit {
    /// Larger is better.
    pub(super) score: f64,
    /// Which of the forms it has.
    pub(super) has: Vec<usize>,
}

impl<'a> Lexemes<'a> {
    /// Each term and how often it is there; ends early where the bytes are none of a server's.
    fn each(&self) -> impl Iterator<Item = (&'a [u8], u32)> {
        let mut rest = self.0.get(COUNT_BYTES..).unwrap_or_default();
        std::iter::from_fn(move || {
            let end = rest.iter().position(|byte| *byte == 0)?;
            let (term, after) = (rest.get(..end)?, rest.get(end + 1..)?);
            let places = u16::from_be_bytes(*after.first_chunk::<PLACE_BYTES>()?);
            rest = after.get(PLACE_BYTES * (1 + usize::from(places))..)?;
            Some((term, u32::from(places)))
        })
    }

    /// How many words the chunk has.
    pub(super) fn length(&self) -> u32 {
        self.each().map(|(_, count)| count).sum()
    }

    /// How well they fit, where chunks have `mean_length` words on average.
    pub(super) fn fit(&self, forms: &[Form], mean_length: f64) -> Fit {
        let mut counts = vec![0u32; forms.len()];
        let mut length = 0u32;
        for (term, count) in self.each() {
            length = length.saturating_add(count);
            for (form, counted) in forms.iter().zip(&mut counts) {
                let text = form.text.as_bytes();
                if term == text || form.prefix && term.starts_with(text) {
                    *counted = counted.saturating_add(count);
                }
            }
        }
        let scored = forms.iter().zip(&counts).filter(|(_, count)| **count > 0);
        let score =
            scored.map(|(form, count)| fit(form.weight, *count, f64::from(length), mean_length)).sum();
        let has = (0..forms.len()).filter(|n| counts[*n] > 0).collect();
        Fit { score, has }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(terms: &[(&str, &[u16])]) -> Vec<u8> {
        let mut bytes = u32::try_from(terms.len()).unwrap().to_be_bytes().to_vec();
        for (term, places) in terms {
            bytes.extend_from_slice(term.as_bytes());
            bytes.push(0);
            bytes.extend(u16::try_from(places.len()).unwrap().to_be_bytes());
            bytes.extend(places.iter().flat_map(|place| place.to_be_bytes()));
        }
        bytes
    }

    fn form(text: &str, prefix: bool) -> Form {
        Form { text: text.to_owned(), prefix, chunks: 1, weight: 2.0 }
    }

    #[test]
    fn terms_are_counted_where_they_are() {
        let bytes = sent(&[("rare", &[1, 9]), ("word", &[2, 3, 4]), ("東京", &[5])]);
        let lexemes = Lexemes(&bytes);
        assert_eq!(lexemes.length(), 6);
        let fitted = lexemes.fit(&[form("rare", false), form("ra", false), form("東", true)], 6.0);
        assert_eq!(fitted.has, [0, 2]);
        assert!((fitted.score - fit(2.0, 2, 6.0, 6.0) - fit(2.0, 1, 6.0, 6.0)).abs() < 1e-12);
        assert_eq!(lexemes.fit(&[form("absent", false)], 6.0), Fit::default());
    }

    #[test]
    fn bytes_that_end_early_are_read_as_far_as_they_go() {
        let bytes = sent(&[("a", &[1]), ("b", &[2, 3])]);
        for end in 0..bytes.len() {
            assert!(Lexemes(&bytes[..end]).length() <= 1, "{end}");
        }
    }
}
