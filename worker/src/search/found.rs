//! A search's results as the command prints them, without what only the API needs.

use docmill_core::id::DocumentId;
use docmill_core::search::{Hit, Mode, SearchAnswer, Snippet, Timings};
use serde::Serialize;

/// The answer to a search.
#[derive(Debug, Clone, Serialize)]
pub struct SearchResult {
    /// Best first.
    pub results: Vec<Found>,
    /// How it was answered.
    pub mode: Mode,
    /// Why by words alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where the time went.
    #[serde(skip)]
    pub timings: Timings,
}

/// The document of a hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundDocument {
    /// The document.
    pub id: DocumentId,
    /// Where it is.
    pub uri: String,
    /// Its title.
    pub title: Option<String>,
}

/// One hit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// Where it is from.
    pub document: FoundDocument,
    /// Page, from 1.
    pub page: u32,
    /// Headings it stands under.
    pub heading: Option<String>,
    /// Fused score; higher is better.
    pub score: f64,
    /// The chunk's text.
    pub text: String,
    /// The part of it worth showing.
    pub snippet: Snippet,
    /// Other documents with the same text.
    pub also_at: Vec<String>,
}

impl From<SearchAnswer> for SearchResult {
    fn from(answer: SearchAnswer) -> Self {
        Self {
            results: answer.results.into_iter().map(Found::from).collect(),
            mode: answer.mode,
            reason: answer.reason,
            timings: answer.timings,
        }
    }
}

impl From<Hit> for Found {
    fn from(hit: Hit) -> Self {
        Self {
            document: FoundDocument {
                id: hit.document.id,
                uri: hit.document.uri,
                title: hit.document.title,
            },
            page: hit.page,
            heading: hit.heading,
            score: hit.score,
            text: hit.text,
            snippet: hit.snippet,
            also_at: hit.also_at,
        }
    }
}
