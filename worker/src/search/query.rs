//! Queries as vectors: those that come at the same time are embedded together, on threads of their own.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use docmill_core::index::IndexSpec;
use docmill_core::language::{Language, detect};
use tokio::sync::Mutex;

use super::Error;
use crate::embed::{
    Batcher, BatcherOptions, BatcherStats, EmbeddingModel, MiniLm, Mock, Searched, model_named,
};
use crate::stages::models::NONE;

/// Queries in one call of the model.
pub const QUERIES_TOGETHER: usize = 32;
/// Tokens of a query that count: the model cuts there.
const QUERY_TOKENS_MAX: usize = 512;
/// A model that could not be had is looked for again after this.
const LOAD_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Certainty from which a query's language counts; below it a Latin query counts as English.
const LANGUAGE_SURE: f32 = 0.5;

/// The query as a vector, or why there is none.
pub(super) type Embedded = Result<Vec<f32>, String>;

/// Looks for the model of a name, on a thread that may take its time.
type Find = Box<dyn Fn(&str) -> Result<Option<Arc<dyn EmbeddingModel>>, String> + Send + Sync>;

/// Embedding models for queries, by the name that indexes give them; loaded once, shared by all tenants. They are not
/// those that documents are embedded with: no query waits for a batch of texts.
pub struct QueryEmbedder {
    kept: Arc<Kept>,
    searched: Searched,
}

struct Kept {
    threads: usize,
    find: Find,
    loaded: RwLock<HashMap<String, Arc<Batcher>>>,
    /// Held while one is loaded: whoever else needs one waits. Why a model could not be had, and since when.
    lacking: Mutex<HashMap<String, (Instant, String)>>,
}

impl Kept {
    fn known(&self, embedder: &str) -> Option<Arc<Batcher>> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).get(embedder).cloned()
    }

    async fn load(self: Arc<Self>, embedder: String) -> Result<Option<Arc<Batcher>>, String> {
        let mut lacking = self.lacking.lock().await;
        if let Some(batcher) = self.known(&embedder) {
            return Ok(Some(batcher));
        }
        if let Some((since, why)) = lacking.get(&embedder)
            && since.elapsed() < LOAD_AGAIN_AFTER
        {
            return Err(why.clone());
        }
        let (kept, name) = (self.clone(), embedder.clone());
        let loading = tokio::task::spawn_blocking(move || match (kept.find)(&name)? {
            Some(model) => batcher_of(model, kept.threads).map(Some),
            None => Ok(None),
        });
        let loaded = loading.await.unwrap_or_else(|error| Err(error.to_string()));
        match &loaded {
            Ok(Some(batcher)) => {
                lacking.remove(&embedder);
                let mut models = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
                models.insert(embedder, batcher.clone());
            }
            Ok(None) => {}
            Err(why) => {
                lacking.insert(embedder, (Instant::now(), why.clone()));
            }
        }
        loaded
    }
}

impl QueryEmbedder {
    /// No model yet; each computes on this many threads.
    pub fn new(threads: usize) -> Self {
        Self::finding(threads, Box::new(model_named))
    }

    fn finding(threads: usize, find: Find) -> Self {
        let kept = Kept { threads, find, loaded: RwLock::default(), lacking: Mutex::default() };
        Self { kept: Arc::new(kept), searched: Searched::default() }
    }

    /// When somebody searched last, for what is to give way to searches.
    pub fn searched(&self) -> &Searched {
        &self.searched
    }

    /// The model of this name, loaded where it is not yet; `None` for indexes without vectors.
    ///
    /// # Errors
    /// A sentence: it cannot be had here.
    pub async fn load(&self, embedder: &str) -> Result<Option<Arc<Batcher>>, String> {
        if embedder == NONE {
            return Ok(None);
        }
        if let Some(batcher) = self.kept.known(embedder) {
            return Ok(Some(batcher));
        }
        // A task of its own: who waits may give up, and whoever comes then waits for what was begun.
        let loading = tokio::spawn(self.kept.clone().load(embedder.to_owned()));
        loading.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// The query as a vector of this index, or why there is none: the index has no model, it cannot be had,
    /// or it does not know the query's language.
    ///
    /// # Errors
    /// [`Error::Model`]: the model failed.
    pub async fn query(&self, spec: &IndexSpec, query: &str) -> Result<Result<Vec<f32>, String>, Error> {
        self.searched.note();
        match self.load(&spec.embedder).await {
            Ok(Some(batcher)) => vector_of(&batcher, query).await,
            Ok(None) => Ok(Err(no_embeddings())),
            Err(why) => Ok(Err(why)),
        }
    }

    /// A vector for each text, in their order, whatever their language.
    ///
    /// # Errors
    /// [`Error::Model`]: the model cannot be had, gives no vectors, or failed.
    pub async fn texts(&self, embedder: &str, texts: Vec<String>) -> Result<Vec<Vec<f32>>, Error> {
        let batcher = self.load(embedder).await.map_err(Error::Model)?;
        let Some(batcher) = batcher else { return Err(Error::Model(no_embeddings())) };
        let embedded = batcher.embed(texts).await.map_err(|error| Error::Model(error.to_string()))?;
        Ok(embedded.into_iter().map(|embedding| Arc::unwrap_or_clone(embedding).vector).collect())
    }

    /// What all its models did so far.
    pub fn stats(&self) -> BatcherStats {
        let loaded = self.kept.loaded.read().unwrap_or_else(PoisonError::into_inner);
        let none = BatcherStats { calls: 0, texts: 0, failed_calls: 0 };
        loaded.values().map(|batcher| batcher.stats()).fold(none, |sum, one| BatcherStats {
            calls: sum.calls + one.calls,
            texts: sum.texts + one.texts,
            failed_calls: sum.failed_calls + one.failed_calls,
        })
    }
}

/// Pools the queries for this model. None waits for others: what comes while the model computes goes together.
pub(super) fn batcher_of(model: Arc<dyn EmbeddingModel>, threads: usize) -> Result<Arc<Batcher>, String> {
    let options = BatcherOptions {
        threads,
        batch_texts_max: QUERIES_TOGETHER,
        batch_tokens_max: QUERIES_TOGETHER * QUERY_TOKENS_MAX,
        flush_after: Duration::ZERO,
        beside: None,
    };
    Batcher::new(model, options).map(Arc::new).map_err(|error| error.to_string())
}

pub(super) async fn vector_of(batcher: &Batcher, query: &str) -> Result<Embedded, Error> {
    let language = language_of(query);
    if !batcher.model().declares(language.code()) {
        let why = format!("the embedding model does not know the query's language ({language})");
        return Ok(Err(why));
    }
    let embedded = batcher.embed(vec![query.to_owned()]).await;
    let embedded = embedded.map_err(|error| Error::Model(error.to_string()))?.into_iter().next();
    Ok(embedded
        .map(|embedding| Arc::unwrap_or_clone(embedding).vector)
        .ok_or_else(|| "the model gave no vector".to_owned()))
}

fn language_of(query: &str) -> Language {
    let guess = detect(query);
    let has_latin = query.chars().any(|c| c.is_ascii_alphabetic());
    let only_latin = has_latin && query.chars().all(|c| !c.is_alphabetic() || u32::from(c) < 0x250);
    if guess.confidence < LANGUAGE_SURE && only_latin { Language::EN } else { guess.language }
}

pub(super) fn no_embeddings() -> String {
    "the index has no embeddings".to_owned()
}

/// The embedder and its dimensions that a first index is begun with; `mock` is what `USE_MOCK_EMBEDDINGS` says.
pub fn first_embedder(mock: bool) -> (&'static str, usize) {
    if mock { (Mock::FINGERPRINT, Mock::DIMENSIONS) } else { (MiniLm::FINGERPRINT, MiniLm::DIMENSIONS) }
}

#[cfg(test)]
mod tests;
