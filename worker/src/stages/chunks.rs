//! The chunk stage: pages to chunks with language, terms and concepts. One piece of CPU work a document.

use std::collections::BTreeMap;
use std::sync::Arc;

use docmill_core::chunk::{Chunk, Chunker, ChunkerConfig};
use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::TextHash;
use docmill_core::language::{self, Detected, Language};
use docmill_core::page::Page;
use docmill_core::{concept, segment};

use crate::sink::MentionRow;

/// A language is believed from this confidence on (protocol "Identity").
pub const LANGUAGE_CONFIDENCE_MIN: f32 = 0.5;

/// A chunk with all that needs no model.
#[derive(Debug, Clone)]
pub struct ChunkText {
    /// Its place.
    pub place: Chunk,
    /// Its text, shared with rows.
    pub text: Arc<str>,
    /// Hash of its text.
    pub hash: TextHash,
    /// Its language, and how sure that is.
    pub language: Detected,
    /// Its terms for full text.
    pub terms: Arc<str>,
    /// Its concepts; empty where none were asked for.
    pub mentions: Arc<[MentionRow]>,
}

/// A document's chunks.
#[derive(Debug, Clone)]
pub struct Chunked {
    /// In document order.
    pub chunks: Vec<ChunkText>,
    /// Language of most of the text.
    pub language: String,
    /// The first heading, for want of a title.
    pub first_heading: Option<String>,
}

/// Chunks a document off the async threads.
pub async fn chunk(pages: Vec<Page>, concepts: bool) -> Result<Chunked, Failure> {
    let work = move || chunk_now(&pages, concepts);
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::new(FailureCode::Internal, format!("chunking failed: {error}")))
}

fn chunk_now(pages: &[Page], concepts: bool) -> Chunked {
    let mut chunker = Chunker::new(ChunkerConfig::default());
    let mut places = Vec::new();
    for page in pages {
        places.extend(chunker.push(page));
    }
    let first_heading = places.iter().find_map(|chunk| chunk.heading.clone());
    let detected: Vec<Detected> = places.iter().map(|place| language::detect(&place.text)).collect();
    let main = main_language(&places, &detected);
    let chunks = places
        .into_iter()
        .zip(detected)
        .map(|(place, detected)| text_of(place, believed(detected, main), concepts))
        .collect();
    Chunked { chunks, language: main.language.code().to_owned(), first_heading }
}

/// A chunk that says little of its language (a table, code) is in the document's.
pub fn believed(chunk: Detected, document: Detected) -> Detected {
    let sure = chunk.confidence >= LANGUAGE_CONFIDENCE_MIN;
    let same_script = |language: Language| ["ja", "zh", "ko"].contains(&language.code());
    if sure || same_script(chunk.language) != same_script(document.language) { chunk } else { document }
}

fn text_of(mut place: Chunk, language: Detected, concepts: bool) -> ChunkText {
    let text: Arc<str> = std::mem::take(&mut place.text).into();
    let mentions = if concepts { mentions(&text, language.language) } else { Arc::new([]) };
    ChunkText {
        hash: TextHash::of(text.as_bytes()),
        terms: segment::segment(&text, language.language).into(),
        place,
        text,
        language,
        mentions,
    }
}

/// The concepts of a text, as rows.
pub fn mentions(text: &str, language: Language) -> Arc<[MentionRow]> {
    concept::extract(text, language)
        .into_iter()
        .map(|mention| MentionRow {
            canonical_name: mention.canonical_name,
            display: mention.display,
            kind: mention.kind.as_str(),
            count: mention.count,
        })
        .collect()
}

/// The language of most of the text, with its share of what is sure.
fn main_language(places: &[Chunk], detected: &[Detected]) -> Detected {
    let mut weights: BTreeMap<Language, f32> = BTreeMap::new();
    for (place, detected) in places.iter().zip(detected) {
        *weights.entry(detected.language).or_default() += place.text.len() as f32 * detected.confidence;
    }
    let all: f32 = weights.values().sum();
    let most = weights.into_iter().max_by(|(_, a), (_, b)| a.total_cmp(b)).filter(|_| all > 0.0);
    match most {
        Some((language, weight)) => Detected { language, confidence: weight / all },
        None => Detected { language: Language::UND, confidence: 0.0 },
    }
}
