//! The calls that write, with what they all need.

use std::path::Path;
use std::sync::Arc;

use docmill_core::id::{DocumentId, TenantId};
use docmill_worker::embedded::{
    Concepts, Counters, Embeddings, Error, Extractor, Report, RunOptions, maintenance,
};
use docmill_worker::extract::SandboxMode;
use docmill_worker::verify::Findings;
use tokio::sync::watch;

/// This binary: its hidden sub-command extracts.
pub fn extractor(sandbox: SandboxMode) -> Result<Extractor, Error> {
    let binary = std::env::current_exe().map_err(|error| Error::Extractor(error.to_string()))?;
    Ok(Extractor { binary, sandbox })
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
    // Nothing is read for it.
    Box::pin(maintenance::delete(dir, tenant, documents, extractor(SandboxMode::Required)?, stop)).await
}

pub async fn replay(
    dir: &Path,
    tenant: TenantId,
    documents: Vec<DocumentId>,
    sandbox: SandboxMode,
    counters: Arc<Counters>,
    stop: watch::Receiver<bool>,
) -> Result<maintenance::Replayed, Error> {
    Box::pin(maintenance::replay(dir, tenant, documents, extractor(sandbox)?, counters, stop)).await
}

pub async fn verify(
    dir: &Path,
    tenant: TenantId,
    repair: bool,
    sandbox: SandboxMode,
) -> Result<Findings, Error> {
    Box::pin(maintenance::verify(dir, tenant, repair, extractor(sandbox)?)).await
}

pub async fn reindex(
    dir: &Path,
    tenant: TenantId,
    embeddings: Option<Embeddings>,
    concepts: Option<Concepts>,
    sandbox: SandboxMode,
    counters: Arc<Counters>,
    stop: watch::Receiver<bool>,
) -> Result<maintenance::Reindexed, Error> {
    Box::pin(maintenance::reindex(dir, tenant, embeddings, concepts, extractor(sandbox)?, counters, stop))
        .await
}
