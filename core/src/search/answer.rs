//! What a search answers, whichever store was asked: hits, facets, how it was scored.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Snippet;
use crate::id::{ChunkId, DocumentId};

/// How a search was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By words and by meaning.
    Hybrid,
    /// By words alone.
    FullText,
}

/// Where the time of a search went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Embedding the query.
    pub embedding: Duration,
    /// Scanning vectors.
    pub vectors: Duration,
    /// Full text.
    pub full_text: Duration,
    /// Scoring the candidates and looking the shown rows up.
    pub rows: Duration,
}

/// A page of hits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SearchAnswer {
    /// Best first.
    pub results: Vec<Hit>,
    /// How it was answered.
    pub mode: Mode,
    /// Why by words alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was asked to be counted, by the facet's name; values with the most documents first.
    pub facets: BTreeMap<String, Vec<FacetCount>>,
    /// Chunks whose documents the facets count: the candidates that are shown anywhere, 1,000 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facets_over: Option<u32>,
    /// The cursor of the next page, where there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Where the time went.
    #[serde(skip)]
    pub timings: Timings,
    /// Whether the same question may be answered better soon, as a model was away: not worth remembering.
    #[serde(skip)]
    pub passing: bool,
}

/// A chunk that fits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Hit {
    /// The chunk.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub chunk: ChunkId,
    /// Where it is from.
    pub document: HitDocument,
    /// Page, from 1.
    pub page: u32,
    /// Headings it stands under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heading: Option<String>,
    /// First byte in the page's text.
    pub start: u32,
    /// Byte after the last.
    pub end: u32,
    /// Fused score; higher is better. Scores of different pages cannot be compared.
    pub score: f64,
    /// The chunk's text.
    pub text: String,
    /// The part of it worth showing.
    pub snippet: Snippet,
    /// Other documents with the same text.
    pub also_at: Vec<String>,
    /// How it was scored, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explain>,
}

/// The document of a hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct HitDocument {
    /// The document.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub id: DocumentId,
    /// Where it is.
    pub uri: String,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// IANA media type.
    pub media_type: String,
    /// Language of most of its text.
    pub language: String,
    /// Its category, where it was given one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// When the content shown was committed, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub committed_at_ms: Option<u64>,
}

/// How a hit was scored: `wordsShare × words / wordsBest + (1 − wordsShare) × meaning / meaningBest`, each
/// quotient between 0 and 1, and 0 where there is nothing to divide by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Explain {
    /// How well its words fit. Where words alone answered, one over its place among them.
    pub words: f64,
    /// The most that any candidate's words did.
    pub words_best: f64,
    /// Share of words in the score.
    pub words_share: f64,
    /// How near its meaning is; of a hit without a vector, that of the farthest that has one. Absent where
    /// words alone answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meaning: Option<f64>,
    /// How near the nearest candidate's meaning is.
    pub meaning_best: f64,
    /// The terms that words were scored by.
    pub terms: Vec<ExplainedTerm>,
    /// The question as the store was asked.
    pub question: String,
}

impl Explain {
    /// What it adds up to: the hit's score.
    pub fn score(&self) -> f64 {
        let meaning = super::fuse::part(self.meaning.unwrap_or(0.0), self.meaning_best);
        let words = super::fuse::part(self.words, self.words_best);
        self.words_share * words + (1.0 - self.words_share) * meaning
    }
}

/// A term that words were scored by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExplainedTerm {
    /// The form or stem.
    pub term: String,
    /// In how many chunks it is, about.
    pub chunks: u64,
    /// What it counts: the rarer, the more.
    pub rarity: f64,
}

/// A value of a facet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct FacetCount {
    /// The value.
    pub value: String,
    /// Documents that have it.
    pub documents: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{IndexId, TenantId, TextHash};

    #[test]
    fn an_answer_is_read_back_and_leaves_out_what_there_is_not() {
        let id = DocumentId::born(&TenantId::default(), "file:///a", 0);
        let answer = SearchAnswer {
            results: vec![Hit {
                chunk: ChunkId::of(id, TextHash::of(b"text"), 0, IndexId(1)),
                document: HitDocument {
                    id,
                    uri: "file:///a".into(),
                    title: None,
                    media_type: "text/plain".into(),
                    language: "en".into(),
                    category: None,
                    committed_at_ms: Some(7),
                },
                page: 1,
                heading: None,
                start: 0,
                end: 4,
                score: 0.5,
                text: "text".into(),
                snippet: Snippet { text: "text".into(), highlights: vec![(0, 4)] },
                also_at: vec!["file:///b".into()],
                explain: None,
            }],
            mode: Mode::FullText,
            reason: None,
            facets: BTreeMap::new(),
            facets_over: None,
            next: Some("oa".into()),
            timings: Timings::default(),
            passing: false,
        };
        let json = serde_json::to_value(&answer).unwrap();
        let keys = |value: &serde_json::Value| {
            value.as_object().unwrap().keys().cloned().collect::<Vec<String>>().join(" ")
        };
        assert_eq!(keys(&json), "facets mode next results");
        assert_eq!(json["mode"], "full_text");
        assert_eq!(keys(&json["results"][0]["document"]), "committedAtMs id language mediaType uri");
        assert_eq!(json["results"][0]["alsoAt"][0], "file:///b");
        assert_eq!(json["results"][0]["snippet"]["highlights"], serde_json::json!([[0, 4]]));
        assert_eq!(serde_json::from_value::<SearchAnswer>(json).unwrap(), answer);
    }
}
