//! Hybrid search. Full text and vectors each bring candidates, which are then scored alike; each answer comes
//! from one read transaction, so that it shows exactly one whole version of every document. What is here is
//! the embedded store's; the server's is beside its tables and answers to the same trait.

use std::sync::Arc;

use async_trait::async_trait;
use docmill_core::id::TenantId;
use docmill_core::index::IndexSpec;
use docmill_core::search::{SearchAnswer, SearchRequest, Wrong};

use crate::embed::{EmbeddingModel, model_named};
use crate::sqlite;

mod codes;
mod embedded;
mod facets;
mod fallback;
mod found;
mod full_text;
mod meaning;
mod query;
mod rescore;
mod rows;
mod scope;
mod searcher;
mod store;

#[cfg(feature = "services")]
pub use crate::postgres::PostgresSearch;
pub use docmill_core::search::{Mode, Timings};
pub use embedded::EmbeddedSearch;
#[cfg(feature = "services")]
pub(crate) use fallback::vector_or_words;
pub use found::{Found, FoundDocument, SearchResult};
pub use query::{QUERIES_TOGETHER, QueryEmbedder, first_embedder};
pub use searcher::Searcher;

/// Search as the API asks for it, whichever store answers.
#[async_trait]
pub trait Search: Send + Sync {
    /// One answer from one state of the ledger, of this tenant's active index. Never blocks the calling thread.
    async fn search(&self, tenant: &TenantId, request: &SearchRequest) -> Result<SearchAnswer, Error>;

    /// Loads models (and codes) of these tenants' indexes; called before ready. A model that cannot be had is
    /// logged: words answer.
    async fn warm(&self, tenants: &[TenantId]);
}

/// A search that could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory.
    #[error(transparent)]
    Store(#[from] sqlite::Error),
    /// The server.
    #[cfg(feature = "services")]
    #[error(transparent)]
    Postgres(#[from] crate::postgres::Error),
    /// The embedding model.
    #[error("the query cannot be embedded: {0}")]
    Model(String),
    /// The request may not be asked.
    #[error(transparent)]
    Wrong(#[from] Wrong),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Loads the model that an index names, for queries; `None` where it has no embeddings.
///
/// # Errors
/// The model cannot be had here.
pub fn model_of(spec: &IndexSpec) -> Result<Option<Arc<dyn EmbeddingModel>>, Error> {
    model_named(&spec.embedder).map_err(Error::Model)
}

/// What is found where there is no index yet.
pub(crate) fn nothing_ingested() -> SearchAnswer {
    SearchAnswer {
        results: Vec::new(),
        mode: Mode::FullText,
        reason: Some("nothing was ingested for this tenant".to_owned()),
        facets: Default::default(),
        facets_over: None,
        next: None,
        timings: Timings::default(),
        passing: false,
    }
}

#[cfg(test)]
mod tests;
