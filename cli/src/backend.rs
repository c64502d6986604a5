//! The calls that write, with what they all need.

use std::path::Path;
use std::sync::Arc;

use docmill_core::id::{DocumentId, TenantId};
use docmill_worker::embedded::{
    Concepts, Counters, Embeddings, Error, Extractor, Report, RunOptions, ServeOptions, Served, maintenance,
};
use docmill_worker::extract::{SandboxMode, passwords};
use docmill_worker::secret::Secret;
use docmill_worker::verify::Findings;
use tokio::sync::watch;

use crate::args;
use crate::failure::Failure;

/// This binary: its hidden sub-command extracts.
pub fn extractor(asked: &args::Extraction) -> Result<Extractor, Failure> {
    let passwords = asked.passwords_file.as_deref().map(passwords_of).transpose()?.unwrap_or_default();
    Ok(this_binary(asked.sandbox.into(), passwords)?)
}

fn this_binary(sandbox: SandboxMode, passwords: Vec<Secret>) -> Result<Extractor, Error> {
    let binary = std::env::current_exe().map_err(|error| Error::Extractor(error.to_string()))?;
    Ok(Extractor { binary, sandbox, passwords })
}

fn passwords_of(file: &Path) -> Result<Vec<Secret>, Failure> {
    let wrong = |what: String, advice: &str| {
        Failure::new("passwords_unreadable", format!("--passwords-file {} {what}", file.display()), advice)
    };
    let text = std::fs::read_to_string(file)
        .map_err(|error| wrong(format!("cannot be read: {error}"), "check the path and its permissions"))?;
    passwords::parse(&text).map_err(|what| wrong(what, "write one password a line"))
}

pub async fn run(
    dir: &Path,
    options: RunOptions,
    counters: Arc<Counters>,
    stop: watch::Receiver<bool>,
) -> Result<Report, Error> {
    Box::pin(docmill_worker::embedded::run(dir, options, counters, stop)).await
}

pub async fn serve(
    dir: &Path,
    options: ServeOptions,
    told: impl FnOnce(&Served) + Send,
    stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    Box::pin(docmill_worker::embedded::serve(dir, options, told, stop)).await
}

pub async fn delete(
    dir: &Path,
    tenant: TenantId,
    documents: Vec<DocumentId>,
    stop: watch::Receiver<bool>,
) -> Result<u64, Error> {
    // Nothing is read for it.
    Box::pin(maintenance::delete(
        dir,
        tenant,
        documents,
        this_binary(SandboxMode::Required, Vec::new())?,
        stop,
    ))
    .await
}

pub async fn replay(
    dir: &Path,
    tenant: TenantId,
    documents: Vec<DocumentId>,
    extractor: Extractor,
    counters: Arc<Counters>,
    stop: watch::Receiver<bool>,
) -> Result<maintenance::Replayed, Error> {
    Box::pin(maintenance::replay(dir, tenant, documents, extractor, counters, stop)).await
}

pub async fn verify(
    dir: &Path,
    tenant: TenantId,
    repair: bool,
    extractor: Extractor,
) -> Result<Findings, Error> {
    Box::pin(maintenance::verify(dir, tenant, repair, extractor)).await
}

pub async fn reindex(
    dir: &Path,
    tenant: TenantId,
    embeddings: Option<Embeddings>,
    concepts: Option<Concepts>,
    extractor: Extractor,
    counters: Arc<Counters>,
    stop: watch::Receiver<bool>,
) -> Result<maintenance::Reindexed, Error> {
    Box::pin(maintenance::reindex(dir, tenant, embeddings, concepts, extractor, counters, stop)).await
}
