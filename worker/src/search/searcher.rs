//! A search from query to answer: the query is embedded, then the store is asked, neither on the caller's thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use docmill_core::id::TenantId;
use docmill_core::search::{SearchAnswer, SearchRequest};
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::fallback::{or_words, vector_or_words};
use super::query::{QueryEmbedder, batcher_of, no_embeddings, vector_of};
use super::store::{Asked, Look, Store};
use super::{Error, SearchResult};
use crate::embed::{Batcher, EmbeddingModel};
use crate::sqlite::{self, Readers};

/// What each searching connection keeps of the file in memory, of which there are as many as cores: the lists
/// of terms and the inner pages of some 100,000 chunks, beside the rows that each search passes by.
pub(super) const CACHE_KIB: u32 = 64 * 1024;
/// Looks of one search: each after the first found that the active index was switched meanwhile.
const LOOKS_MAX: usize = 4;

/// Searches one tenant's active index; clones share what they loaded.
#[derive(Clone)]
pub struct Searcher {
    embedder: Embedder,
    store: Arc<Store>,
    /// As many answer at once as there are cores: more would only take each other's turn. The rest wait
    /// in the order they came, so that none waits much longer than the others.
    cores: Arc<Semaphore>,
}

/// Where vectors of queries come from.
#[derive(Clone)]
enum Embedder {
    /// From nowhere: words alone answer.
    Nothing,
    /// From this model, whatever the index names.
    Given(Arc<Batcher>),
    /// From this model, which cannot be run.
    Broken(String),
    /// From the model that the active index names.
    Named(Arc<QueryEmbedder>),
}

impl Searcher {
    /// Searches with this model, which should be the one that the active index names; without it by words
    /// alone. Codes are loaded with the first search.
    pub fn open(readers: Readers, tenant: TenantId, embedder: Option<Arc<dyn EmbeddingModel>>) -> Self {
        let embedder = match embedder.map(|model| batcher_of(model, cores())) {
            None => Embedder::Nothing,
            Some(Ok(batcher)) => Embedder::Given(batcher),
            Some(Err(why)) => Embedder::Broken(why),
        };
        let store = Store::new(readers.with_cache_kib(CACHE_KIB), tenant);
        Self { embedder, store: Arc::new(store), cores: Arc::new(Semaphore::new(cores())) }
    }

    /// Searches with whichever model the active index names. Connections and turns are shared with others.
    pub(super) fn shared(
        readers: Readers,
        tenant: TenantId,
        embedder: Arc<QueryEmbedder>,
        cores: Arc<Semaphore>,
    ) -> Self {
        let store = Arc::new(Store::new(readers, tenant));
        Self { embedder: Embedder::Named(embedder), store, cores }
    }

    /// The `k` best chunks.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn search(&self, query: &str, k: usize) -> Result<SearchResult, Error> {
        let request = SearchRequest::new(query, u16::try_from(k).unwrap_or(u16::MAX));
        self.answered(&request).await.map(SearchResult::from)
    }

    /// What the request asks for.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::Wrong`] where it may not be asked.
    pub async fn answer(&self, request: &SearchRequest) -> Result<SearchAnswer, Error> {
        request.check()?;
        self.answered(request).await
    }

    /// Loads the active index's codes and its model, so that the first search waits for neither.
    ///
    /// # Errors
    /// The store failed. A model that cannot be had is no error: words answer, and say why.
    pub async fn warm(&self) -> Result<(), Error> {
        let store = self.store.clone();
        let loaded = self.in_turn(move |connection| store.warm(connection)).await?;
        let (Some(spec), Embedder::Named(embedder)) = (loaded, &self.embedder) else { return Ok(()) };
        match embedder.load(&spec.embedder).await {
            Ok(None) => {}
            // The first call of a model prepares more than later ones.
            Ok(Some(batcher)) => {
                if let Err(error) = batcher.embed(vec!["ready".to_owned()]).await {
                    tracing::warn!(embedder = spec.embedder, %error, "the embedding model fails");
                }
            }
            Err(why) => tracing::warn!(embedder = spec.embedder, why, "searches answer by words alone"),
        }
        self.store.remember(spec);
        Ok(())
    }

    /// Loads what was committed since.
    pub(super) async fn keep_up(&self) -> Result<(), Error> {
        let store = self.store.clone();
        self.in_turn(move |connection| store.warm(connection)).await.map(drop)
    }

    async fn answered(&self, request: &SearchRequest) -> Result<SearchAnswer, Error> {
        let mut embedding = Duration::ZERO;
        for _ in 0..LOOKS_MAX {
            let began = Instant::now();
            let asked = self.asked(&request.query).await?;
            embedding += began.elapsed();
            let (store, request) = (self.store.clone(), request.clone());
            match self.in_turn(move |connection| store.look(connection, &request, asked)).await? {
                Look::Answer(mut answer) => {
                    answer.timings.embedding = embedding;
                    return Ok(*answer);
                }
                Look::Other(spec) => self.store.remember(spec),
            }
        }
        Err(Error::Model("the active index is switched again and again".to_owned()))
    }

    async fn asked(&self, query: &str) -> Result<Asked, Error> {
        let vector = match &self.embedder {
            Embedder::Nothing => Err(no_embeddings()),
            Embedder::Given(batcher) => {
                let (vector, passing) = or_words(vector_of(batcher, query).await);
                return Ok(Asked { vector, embedder: None, passing });
            }
            Embedder::Broken(why) => Err(why.clone()),
            Embedder::Named(embedder) => {
                // Before the first look nothing is known of the index, and no name is that of its embedder.
                let Some(spec) = self.store.spec() else {
                    let (vector, embedder) = (Err(no_embeddings()), Some(String::new()));
                    return Ok(Asked { vector, embedder, passing: false });
                };
                let (vector, passing) = vector_or_words(embedder, &spec, query).await;
                return Ok(Asked { vector, embedder: Some(spec.embedder), passing });
            }
        };
        Ok(Asked { vector, embedder: None, passing: false })
    }

    /// Looks at one state of the store, on a thread that may block, when it is this look's turn.
    async fn in_turn<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let store = self.store.clone();
        let core = self.cores.clone().acquire_owned().await;
        let looking = tokio::task::spawn_blocking(move || {
            // Held until the answer is there, even where nobody waits for it any more.
            let _core = core;
            store.readers.read(look)
        });
        looking.await.map_err(|error| sqlite::Error::Failed(error.to_string()))??
    }
}

/// Cores that there are.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
