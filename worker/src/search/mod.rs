//! Hybrid search over the embedded store. Full text and vectors each bring candidates, which are then
//! scored alike; each answer comes from one read transaction, so that it shows exactly one whole version
//! of every document.

use std::sync::Arc;
use std::time::{Duration, Instant};

use docmill_core::id::TenantId;
use docmill_core::index::IndexSpec;
use docmill_core::language::detect;
use rusqlite::Connection;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::embed::{EmbeddingModel, model_named};
use crate::sqlite::read::active_index;
use crate::sqlite::{self, Readers};

mod codes;
mod full_text;
mod meaning;
mod rescore;
mod rows;

use meaning::Meaning;
pub use rows::{Found, FoundDocument};

/// Candidates asked of each half for each result wanted, and the most: those that no current manifest
/// names are dropped.
const OVERFETCH: usize = 4;
const OVERFETCH_MAX: usize = 64;
/// Candidates asked of the vectors at least: the best by passages may be far down by the whole text's vector.
const NEAREST_MIN: usize = 96;
/// Candidates asked of full text at least.
const WITH_WORDS_MIN: usize = 48;
/// What each searching connection keeps of the file in memory, of which there are as many as cores: the lists
/// of terms and the inner pages of some 100,000 chunks, beside the rows that each search passes by.
const CACHE_KIB: u32 = 64 * 1024;
/// Certainty from which a query's language counts; below it a Latin query counts as English.
const LANGUAGE_SURE: f32 = 0.5;

/// A search that could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory.
    #[error(transparent)]
    Store(#[from] sqlite::Error),
    /// The embedding model.
    #[error("the query cannot be embedded: {0}")]
    Model(String),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// How a search was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By words and by meaning.
    Hybrid,
    /// By words alone.
    FullText,
}

/// Where the time of a search went.
#[derive(Debug, Clone, Copy, Default)]
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

/// Searches one tenant's active index; clones share what they loaded.
#[derive(Clone)]
pub struct Searcher {
    embedder: Option<Arc<dyn EmbeddingModel>>,
    store: Arc<Store>,
    /// As many answer at once as there are cores: more would only take each other's turn. The rest wait
    /// in the order they came, so that none waits much longer than the others.
    cores: Arc<Semaphore>,
}

/// What answers without waiting for anything but the disk.
struct Store {
    readers: Readers,
    tenant: TenantId,
    codes: codes::Codes,
    frequencies: full_text::Frequencies,
}

/// The query as a vector, or why there is none.
type Embedded = Result<Vec<f32>, String>;

impl Searcher {
    /// Searches with the model that the active index names; without it by words alone. Codes are
    /// loaded with the first search.
    pub fn open(readers: Readers, tenant: TenantId, embedder: Option<Arc<dyn EmbeddingModel>>) -> Self {
        let readers = readers.with_cache_kib(CACHE_KIB);
        let store = Store { readers, tenant, codes: Default::default(), frequencies: Default::default() };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { embedder, store: Arc::new(store), cores: Arc::new(Semaphore::new(cores)) }
    }

    /// The `k` best chunks.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn search(&self, query: &str, k: usize) -> Result<SearchResult, Error> {
        let began = Instant::now();
        let vector = self.embed(query).await?;
        let embedding = began.elapsed();
        let (store, query) = (self.store.clone(), query.to_owned());
        let core = self.cores.clone().acquire_owned().await;
        let answering = tokio::task::spawn_blocking(move || {
            // Held until the answer is there, even where nobody waits for it any more.
            let _core = core;
            store.readers.read(|connection| store.answer(connection, &query, vector, k))
        });
        let answered = answering.await.map_err(|error| sqlite::Error::Failed(error.to_string()))?;
        let mut result = answered??;
        result.timings.embedding = embedding;
        Ok(result)
    }

    async fn embed(&self, query: &str) -> Result<Embedded, Error> {
        let Some(model) = &self.embedder else {
            return Ok(Err("the index has no embeddings".to_owned()));
        };
        let guess = detect(query);
        let has_latin = query.chars().any(|c| c.is_ascii_alphabetic());
        let only_latin = has_latin && query.chars().all(|c| !c.is_alphabetic() || u32::from(c) < 0x250);
        let language =
            if guess.confidence < LANGUAGE_SURE && only_latin { "en" } else { guess.language.code() };
        if !model.declares(language) {
            return Ok(Err(format!("the embedding model does not know the query's language ({language})")));
        }
        let vectors = model.embed(vec![query.to_owned()]).await;
        let vectors = vectors.map_err(|error| Error::Model(error.to_string()))?;
        Ok(vectors
            .into_iter()
            .next()
            .map(|embedding| embedding.vector)
            .ok_or_else(|| "the model gave no vector".to_owned()))
    }
}

impl Store {
    fn answer(
        &self,
        connection: &Connection,
        query: &str,
        vector: Embedded,
        k: usize,
    ) -> Result<SearchResult, Error> {
        let mut timings = Timings::default();
        let Some((index, spec)) = active_index(connection, &self.tenant)? else {
            let reason = Some("nothing was ingested for this tenant".to_owned());
            return Ok(SearchResult { results: Vec::new(), mode: Mode::FullText, reason, timings });
        };
        let vector = vector.and_then(|vector| match vector.len() == spec.dimensions as usize {
            true => Ok(vector),
            false => Err("the index was made with another embedding model".to_owned()),
        });
        let meaning = vector.as_deref().map(Meaning::of);
        let began = Instant::now();
        let questions = full_text::plan(connection, query, &self.frequencies)?;
        timings.full_text += began.elapsed();
        let mut factor = OVERFETCH;
        let shown = loop {
            let asked = k.saturating_mul(factor);
            let (with_words, nearest) = (asked.max(WITH_WORDS_MIN), asked.max(NEAREST_MIN));
            let began = Instant::now();
            let words = full_text::hits(connection, &questions, &self.tenant, index, with_words)?;
            timings.full_text += began.elapsed();
            let began = Instant::now();
            let meanings = match &meaning {
                Ok(meaning) => self.codes.nearest(connection, &self.tenant, index, meaning, nearest)?,
                Err(_) => Vec::new(),
            };
            timings.vectors += began.elapsed();
            let began = Instant::now();
            let exhausted = words.len() < with_words && meanings.len() < nearest;
            let fused = match &meaning {
                Ok(meaning) => rescore::rescore(connection, &questions, meaning, &words, &meanings)?,
                Err(_) => by_rank(&words),
            };
            let shown = rows::show(connection, &self.tenant, index, query, &fused, k)?;
            timings.rows += began.elapsed();
            if shown.len() >= k || exhausted || factor >= OVERFETCH_MAX {
                break shown;
            }
            factor *= 2;
        };
        let (mode, reason) = match vector {
            Ok(_) => (Mode::Hybrid, None),
            Err(reason) => (Mode::FullText, Some(reason)),
        };
        Ok(SearchResult { results: shown, mode, reason, timings })
    }
}

/// Words alone, narrow questions first: scores of different questions cannot be compared, places can.
fn by_rank(words: &[i64]) -> Vec<(i64, f64)> {
    words.iter().enumerate().map(|(place, row)| (*row, 1.0 / (place as f64 + 1.0))).collect()
}

/// Loads the model that an index names, for queries; `None` where it has no embeddings.
///
/// # Errors
/// The model cannot be had here.
pub fn model_of(spec: &IndexSpec) -> Result<Option<Arc<dyn EmbeddingModel>>, Error> {
    model_named(&spec.embedder).map_err(Error::Model)
}
