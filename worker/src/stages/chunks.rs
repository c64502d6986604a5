//! The chunk stage: pages to chunks with language, terms and concepts. One piece of CPU work a document.

use std::collections::HashMap;
use std::sync::Arc;

use docmill_core::chunk::{Chunk, Chunker, ChunkerConfig};
use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::TextHash;
use docmill_core::language::{self, Language};
use docmill_core::page::Page;
use docmill_core::{concept, segment};

use crate::sink::MentionRow;

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
    pub language: language::Detected,
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
    let chunks: Vec<ChunkText> = places.into_iter().map(|place| text_of(place, concepts)).collect();
    let language = main_language(&chunks);
    Chunked { chunks, language, first_heading }
}

fn text_of(mut place: Chunk, concepts: bool) -> ChunkText {
    let text: Arc<str> = std::mem::take(&mut place.text).into();
    let language = language::detect(&text);
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

fn main_language(chunks: &[ChunkText]) -> String {
    let mut bytes: HashMap<&str, usize> = HashMap::new();
    for chunk in chunks {
        *bytes.entry(chunk.language.language.code()).or_default() += chunk.text.len();
    }
    let most = bytes.into_iter().max_by_key(|(code, bytes)| (*bytes, std::cmp::Reverse(*code)));
    most.map_or("und", |(code, _)| code).to_owned()
}
