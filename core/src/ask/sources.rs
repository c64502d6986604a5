//! Which of the found texts answer a question: the best, yet not all of one document, and no more than fits.

use std::collections::HashMap;

use crate::id::DocumentId;
use crate::search::{Hit, OF_ONE_DOCUMENT_MAX};

/// Texts that an answer may be taken from, where nothing else is said.
pub const SOURCES: usize = 8;
/// Bytes of all of them together: some 3,000 tokens, which small models still read.
pub const CONTEXT_BYTES: usize = 12_000;
/// A rest of fewer bytes than this is not worth showing.
const REST_BYTES_MIN: usize = 200;

/// A text that an answer may cite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What it is cited by, from 1.
    pub n: u32,
    /// Its document.
    pub document: DocumentId,
    /// The document's title, or the last part of its URI.
    pub title: String,
    /// Where the document is.
    pub uri: String,
    /// The page, from 1.
    pub page: u32,
    /// What it stands under.
    pub heading: Option<String>,
    /// The text, as far as it is shown to a model.
    pub text: String,
    /// The part that fits the question.
    pub snippet: String,
}

/// The best `most` texts of these hits, best first, together at most `bytes_max` bytes.
pub fn sources(hits: &[Hit], most: usize, bytes_max: usize) -> Vec<Source> {
    let mut of_document: HashMap<DocumentId, usize> = HashMap::new();
    let mut chosen = Vec::new();
    let mut left = bytes_max;
    for hit in hits {
        if chosen.len() == most {
            break;
        }
        let taken = of_document.entry(hit.document.id).or_default();
        if *taken == OF_ONE_DOCUMENT_MAX {
            continue;
        }
        let text = &hit.text[..hit.text.floor_char_boundary(left)];
        if text.trim().is_empty() || text.len() < hit.text.len() && text.len() < REST_BYTES_MIN {
            continue;
        }
        *taken += 1;
        left -= text.len();
        chosen.push(Source {
            n: chosen.len() as u32 + 1,
            document: hit.document.id,
            title: title_of(hit),
            uri: hit.document.uri.clone(),
            page: hit.page,
            heading: hit.heading.clone(),
            text: text.to_owned(),
            snippet: hit.snippet.text.clone(),
        });
    }
    chosen
}

fn title_of(hit: &Hit) -> String {
    let title = hit.document.title.as_deref().map(str::trim).filter(|title| !title.is_empty());
    let name = || hit.document.uri.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    title.unwrap_or_else(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ChunkId, IndexId, TenantId, TextHash};
    use crate::search::{HitDocument, Snippet};

    fn hit(document: u32, text: &str) -> Hit {
        let id = DocumentId::born(&TenantId::default(), "file:///folder/a.txt", document);
        Hit {
            chunk: ChunkId::of(id, TextHash::of(text.as_bytes()), 0, IndexId(1)),
            document: HitDocument {
                id,
                uri: "file:///folder/a.txt".to_owned(),
                title: (document == 0).then(|| "Of shells".to_owned()),
                media_type: "text/plain".to_owned(),
                language: "en".to_owned(),
                category: None,
                committed_at_ms: None,
            },
            page: 2,
            heading: None,
            start: 0,
            end: text.len() as u32,
            score: 1.0,
            text: text.to_owned(),
            snippet: Snippet::default(),
            also_at: Vec::new(),
            explain: None,
        }
    }

    #[test]
    fn one_document_does_not_take_every_place() {
        let hits: Vec<Hit> = (0..6).map(|n| hit(n / 5, &format!("text {n}"))).collect();
        let chosen = sources(&hits, 8, 1_000);
        let texts: Vec<&str> = chosen.iter().map(|source| source.text.as_str()).collect();
        assert_eq!(texts, ["text 0", "text 1", "text 2", "text 5"]);
        assert_eq!(chosen.iter().map(|source| source.n).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!((chosen[0].title.as_str(), chosen[3].title.as_str()), ("Of shells", "a.txt"));
    }

    #[test]
    fn texts_are_cut_where_there_is_no_more_room() {
        let long = "ü".repeat(400);
        let hits = [hit(0, &long), hit(1, &long), hit(2, &long)];
        let chosen = sources(&hits, 8, 1_301);
        let lengths: Vec<usize> = chosen.iter().map(|source| source.text.len()).collect();
        assert_eq!(lengths, [800, 500], "a whole one, and half of the next at a character's end");
        assert_eq!(sources(&hits, 1, 5_000).len(), 1);
        assert!(sources(&hits, 8, 0).is_empty());
    }
}
