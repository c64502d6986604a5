//! The embedded shape's search: a searcher a tenant over one file, with models and turns that all share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use docmill_core::id::TenantId;
use docmill_core::search::{SearchAnswer, SearchRequest};
use tokio::sync::Semaphore;

use super::query::QueryEmbedder;
use super::searcher::{CACHE_KIB, Searcher, cores};
use super::{Error, Search};
use crate::sqlite::Readers;

/// Tenants whose codes are kept in memory; of others, those of the one that was asked longest ago make room.
const TENANTS_MAX: usize = 64;

/// Searches every tenant's active index.
pub struct EmbeddedSearch {
    readers: Readers,
    embedder: Arc<QueryEmbedder>,
    cores: Arc<Semaphore>,
    searchers: Mutex<Searchers>,
}

#[derive(Default)]
struct Searchers {
    /// Times that one was asked for.
    asked: u64,
    /// Each with when it was asked for last.
    of_tenant: HashMap<TenantId, (Searcher, u64)>,
}

impl EmbeddedSearch {
    /// Searches this file with these models.
    pub fn new(readers: Readers, embedder: Arc<QueryEmbedder>) -> Self {
        Self {
            readers: readers.with_cache_kib(CACHE_KIB),
            embedder,
            cores: Arc::new(Semaphore::new(cores())),
            searchers: Mutex::default(),
        }
    }

    /// Loads what was committed since, for the tenants that are searched: the next search finds it loaded.
    pub async fn keep_up(&self) {
        let searchers: Vec<Searcher> = {
            let kept = self.searchers.lock().unwrap_or_else(PoisonError::into_inner);
            kept.of_tenant.values().map(|(searcher, _)| searcher.clone()).collect()
        };
        for searcher in searchers {
            if let Err(error) = searcher.keep_up().await {
                tracing::debug!(%error, "the next search loads what is new");
            }
        }
    }

    fn searcher(&self, tenant: &TenantId) -> Searcher {
        let mut kept = self.searchers.lock().unwrap_or_else(PoisonError::into_inner);
        kept.asked += 1;
        let now = kept.asked;
        if let Some((searcher, last)) = kept.of_tenant.get_mut(tenant) {
            *last = now;
            return searcher.clone();
        }
        if kept.of_tenant.len() >= TENANTS_MAX {
            let oldest = kept.of_tenant.iter().min_by_key(|(_, (_, last))| *last);
            if let Some(oldest) = oldest.map(|(tenant, _)| tenant.clone()) {
                kept.of_tenant.remove(&oldest);
            }
        }
        let searcher = Searcher::shared(
            self.readers.clone(),
            tenant.clone(),
            self.embedder.clone(),
            self.cores.clone(),
        );
        kept.of_tenant.insert(tenant.clone(), (searcher.clone(), now));
        searcher
    }
}

#[async_trait]
impl Search for EmbeddedSearch {
    async fn search(&self, tenant: &TenantId, request: &SearchRequest) -> Result<SearchAnswer, Error> {
        self.searcher(tenant).answer(request).await
    }

    async fn warm(&self, tenants: &[TenantId]) {
        for tenant in tenants.iter().take(TENANTS_MAX) {
            if let Err(error) = self.searcher(tenant).warm().await {
                tracing::warn!(%tenant, %error, "the index was not loaded before the first search");
            }
        }
    }
}
