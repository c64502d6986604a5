//! The calls that write, with what they all need.

use std::path::Path;
use std::sync::Arc;

use docmill_core::id::{DocumentId, TenantId};
use docmill_worker::embedded::{Concepts, Counters, Embeddings, Error, Report, RunOptions, maintenance};
use docmill_worker::verify::Findings;
use tokio::sync::watch;

/// This binary: its hidden sub-command extracts.
pub fn extractor() -> Result<std::path::PathBuf, Error> {
    std::env::current_exe().map_err(|error| Error::Extractor(error.to_string()))
}

pub async fn run(
    dir: &Path,
    options: RunOptions,
    counters: Arc<Counters>,
    stop: watch::Receiver<bool>,
) -> Result<Report, Error> {
    Box::pin(docmill_worker::embedded::run(dir, options, counters, stop)).await
}

pub async fn delete(
    dir: &Path,
    tenant: TenantId,
    documents: Vec<DocumentId>,
    stop: watch::Receiver<bool>,
) -> Result<u64, Error> {
    Box::pin(maintenance::delete(dir, tenant, documents, extractor()?, stop)).await
}

pub async fn replay(
    dir: &Path,
    tenant: TenantId,
    documents: Vec<DocumentId>,
    counters: Arc<Counters>,
    stop: watch::Receiver<bool>,
) -> Result<maintenance::Replayed, Error> {
    Box::pin(maintenance::replay(dir, tenant, documents, extractor()?, counters, stop)).await
}

pub async fn verify(dir: &Path, tenant: TenantId, repair: bool) -> Result<Findings, Error> {
    Box::pin(maintenance::verify(dir, tenant, repair, extractor()?)).await
}

pub async fn reindex(
    dir: &Path,
    tenant: TenantId,
    embeddings: Option<Embeddings>,
    concepts: Option<Concepts>,
    counters: Arc<Counters>,
    stop: watch::Receiver<bool>,
) -> Result<maintenance::Reindexed, Error> {
    Box::pin(maintenance::reindex(dir, tenant, embeddings, concepts, extractor()?, counters, stop)).await
}
