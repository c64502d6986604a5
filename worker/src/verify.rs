//! The audit: what the ledger says was committed against what the stores hold. Over the traits alone,
//! page by page, and while ingest runs: a finding is looked at twice before it counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use docmill_core::id::{ChunkId, DocumentId, TextHash};
use docmill_core::lane::Lane;
use docmill_core::manifest::Store;
use serde::{Deserialize, Serialize};

use crate::delivery::{Error, unnamed};
use crate::ledger::{CommittedManifest, Ledger};
use crate::queue::Queue;
use crate::sink::{self, Sink, StoredChunk};

/// How an audit goes.
#[derive(Debug, Clone)]
pub struct Options {
    /// Manifests or rows that one look takes; bounds the memory.
    pub page: usize,
    /// A removal overdue by more than this is stale, in milliseconds.
    pub grace_ms: u64,
    /// Findings that are told one by one.
    pub examples: usize,
    /// Documents that one repair queues again at most: more would keep new ones waiting for long.
    pub requeue_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { page: 1_000, grace_ms: 60_000, examples: 20, requeue_max: 100_000 }
    }
}

/// What an audit found, see protocol "verify". Read as the API writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct Findings {
    /// Entries of committed manifests that a store in their set lacks, or holds with another text.
    pub missing: u64,
    /// Rows that nothing names or accounts for, and what no row holds up.
    pub orphan: u64,
    /// Removals overdue.
    pub stale: u64,
    /// Things that are there twice.
    pub duplicate: u64,
    /// Rows of the ledger that wait without an entry in the queue.
    pub queue: u64,
    /// Removals not yet due; no finding.
    pub cleanup_pending: u64,
    /// Manifests looked at.
    pub checked_manifests: u64,
    /// Rows looked at, of all stores.
    pub checked_rows: u64,
    /// Some of the findings, one line each.
    pub examples: Vec<String>,
}

impl Findings {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.wrong() == 0
    }

    /// How much is wrong.
    pub fn wrong(&self) -> u64 {
        self.missing + self.orphan + self.stale + self.duplicate + self.queue
    }
}

/// What a repair did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// Documents queued again because a store lacks rows of theirs.
    pub requeued: u64,
    /// Orphans removed.
    pub removed: u64,
    /// Loose ends removed.
    pub loose_ends: u64,
}

/// Stores by what they hold.
type Sinks = BTreeMap<Store, Arc<dyn Sink>>;

/// Audits everything. Without a queue, nothing is said of it.
///
/// # Errors
/// Something did not answer: the audit says nothing.
pub async fn verify(
    ledger: &dyn Ledger,
    sinks: &Sinks,
    queue: Option<&dyn Queue>,
    options: &Options,
) -> Result<Findings, Error> {
    let mut findings = Findings::default();
    let mut after = None;
    loop {
        let page = ledger.manifests(after, options.page).await?;
        findings.checked_manifests += page.len() as u64;
        for missing in missing_of_page(ledger, sinks, &page).await? {
            findings.missing += 1;
            let Missing { store, document, chunk } = missing;
            note(&mut findings, options, || {
                format!("missing: document {document} chunk {chunk} in the {} store", store.as_str())
            });
        }
        match page.last() {
            Some(last) if page.len() == options.page => {
                after = Some((last.manifest.document, last.manifest.index));
            }
            _ => break,
        }
    }
    for sink in sinks.values() {
        let mut after = None;
        while let Some((page, last)) = next_rows(sink.as_ref(), after, options.page).await? {
            findings.checked_rows += page.len() as u64;
            for orphan in orphans_of_page(ledger, sink.as_ref(), &page).await? {
                findings.orphan += 1;
                note(&mut findings, options, || {
                    let (document, chunk) = (orphan.document, orphan.chunk);
                    format!(
                        "orphan: document {document} chunk {chunk} in the {} store",
                        sink.store().as_str()
                    )
                });
            }
            after = Some(last);
        }
        let loose = sink.loose_ends().await?;
        findings.orphan += loose;
        if loose > 0 {
            note(&mut findings, options, || {
                format!("orphan: {loose} loose ends in the {} store", sink.store().as_str())
            });
        }
    }
    let audit = ledger.self_audit(options.grace_ms).await?;
    findings.duplicate = audit.duplicate;
    findings.stale = audit.stale;
    findings.cleanup_pending = audit.cleanup_pending;
    if let Some(queue) = queue {
        findings.queue = without_entry(ledger, queue, options.page).await?;
    }
    Ok(findings)
}

/// Puts right exactly what [`verify`] would find: documents that miss rows are done again, orphans and
/// loose ends go. What is queued again is settled by the workers; verify again afterwards.
///
/// # Errors
/// Something did not answer; what was done stays done.
pub async fn repair(
    ledger: &dyn Ledger,
    sinks: &Sinks,
    queue: Option<&dyn Queue>,
    options: &Options,
) -> Result<Repaired, Error> {
    let mut repaired = Repaired::default();
    let mut after = None;
    loop {
        let page = ledger.manifests(after, options.page).await?;
        let missing = missing_of_page(ledger, sinks, &page).await?;
        let documents: BTreeSet<DocumentId> = missing.iter().map(|missing| missing.document).collect();
        for document in documents {
            if repaired.requeued == options.requeue_max {
                break;
            }
            if let Some(message) = ledger.requeue(document).await? {
                repaired.requeued += 1;
                if let Some(queue) = queue {
                    queue.enqueue(&[message]).await?;
                }
            }
        }
        match page.last() {
            Some(last) if page.len() == options.page && repaired.requeued < options.requeue_max => {
                after = Some((last.manifest.document, last.manifest.index));
            }
            _ => break,
        }
    }
    for sink in sinks.values() {
        let mut after = None;
        while let Some((page, last)) = next_rows(sink.as_ref(), after, options.page).await? {
            for orphan in orphans_of_page(ledger, sink.as_ref(), &page).await? {
                repaired.removed += crate::delivery::remove_orphan(sink.as_ref(), &orphan).await? as u64;
            }
            after = Some(last);
        }
        repaired.loose_ends += sink.remove_loose_ends().await?;
    }
    Ok(repaired)
}

fn note(findings: &mut Findings, options: &Options, line: impl FnOnce() -> String) {
    if findings.examples.len() < options.examples {
        findings.examples.push(line());
    }
}

/// The page with the id of its last row; `None` at the end.
async fn next_rows(
    sink: &dyn Sink,
    after: Option<ChunkId>,
    page: usize,
) -> Result<Option<(Vec<StoredChunk>, ChunkId)>, Error> {
    let rows = sink.list(after, page).await?;
    Ok(rows.last().map(|last| last.chunk).map(|last| (rows, last)))
}

struct Missing {
    store: Store,
    document: DocumentId,
    chunk: ChunkId,
}

/// Entries of the page's manifests that a store lacks.
async fn missing_of_page(
    ledger: &dyn Ledger,
    sinks: &Sinks,
    page: &[CommittedManifest],
) -> Result<Vec<Missing>, Error> {
    let mut missing = Vec::new();
    for (store, sink) in sinks {
        let entries = page.iter().flat_map(|committed| {
            let manifest = &committed.manifest;
            let entries = manifest.entries.iter().filter(|entry| entry.stores.contains(*store));
            entries.map(|entry| (manifest.document, entry.chunk, entry.text_hash))
        });
        let mut suspects: Vec<(DocumentId, ChunkId, TextHash)> = entries.collect();
        // The manifest may have been replaced and its rows removed since the page was read, so what
        // lacks must lack twice with the ledger wanting it in between.
        for look in 0..2 {
            let chunks: Vec<ChunkId> = suspects.iter().map(|suspect| suspect.1).collect();
            if chunks.is_empty() {
                break;
            }
            let held = sink.look_up(&chunks).await?;
            suspects = suspects
                .into_iter()
                .zip(held)
                .filter(|(suspect, held)| sink::lacks(*held, suspect.2))
                .map(|(suspect, _)| suspect)
                .collect();
            if look == 0 && !suspects.is_empty() {
                let chunks: Vec<ChunkId> = suspects.iter().map(|suspect| suspect.1).collect();
                let wanted: BTreeSet<ChunkId> = ledger.wanted(&chunks).await?.into_iter().collect();
                suspects.retain(|suspect| wanted.contains(&suspect.1));
            }
        }
        let found = suspects.into_iter();
        missing.extend(found.map(|(document, chunk, _)| Missing { store: *store, document, chunk }));
    }
    Ok(missing)
}

/// Orphans among the rows that are still there as they were seen.
async fn orphans_of_page(
    ledger: &dyn Ledger,
    sink: &dyn Sink,
    page: &[StoredChunk],
) -> Result<Vec<StoredChunk>, Error> {
    let orphans = unnamed(ledger, page).await?.orphans;
    if orphans.is_empty() {
        return Ok(orphans);
    }
    let chunks: Vec<ChunkId> = orphans.iter().map(|orphan| orphan.chunk).collect();
    let held = sink.look_up(&chunks).await?;
    let still = orphans.into_iter().zip(held).filter(|(orphan, held)| *held == Some(*orphan));
    Ok(still.map(|(orphan, _)| orphan).collect())
}

/// How many rows wait without an entry. Entries cannot be asked for one by one, so this is how many more
/// rows wait than there are entries; looked at twice, as rows are registered before they are enqueued.
async fn without_entry(ledger: &dyn Ledger, queue: &dyn Queue, page: usize) -> Result<u64, Error> {
    let mut fewest = u64::MAX;
    for _ in 0..2 {
        let waiting = ledger.unsettled(page).await?.len() as u64;
        let mut entries = 0;
        for lane in Lane::ALL {
            let depth = queue.depth(lane).await?;
            entries += depth.waiting + depth.in_flight + depth.delayed;
        }
        fewest = fewest.min(waiting.saturating_sub(entries));
        if fewest == 0 {
            break;
        }
    }
    Ok(fewest)
}
