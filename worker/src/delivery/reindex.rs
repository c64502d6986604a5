//! Filling an index that is being built: documents that search shows and the new index lacks are done
//! again, until the switch finds none.

use std::collections::BTreeSet;

use docmill_core::id::{DocumentId, IndexId, TenantId};

use super::Error;
use crate::ledger::Ledger;
use crate::queue::Queue;

/// Manifests that one look at the ledger takes.
const PAGE: usize = 1_000;

/// Tries the switch, and queues again what still lacks a manifest in the new index. Returns how many do;
/// 0 means switched. Called until then, as documents go on changing meanwhile.
///
/// # Errors
/// Ledger or queue did not answer; the next round does the rest.
pub async fn reindex_round(
    ledger: &dyn Ledger,
    queue: &dyn Queue,
    tenant: &TenantId,
    to: IndexId,
) -> Result<u64, Error> {
    let lacking = ledger.switch_index(tenant, to).await?;
    if lacking == 0 {
        return Ok(0);
    }
    let known: BTreeSet<IndexId> = ledger.indexes(tenant).await?.into_iter().map(|(id, _, _)| id).collect();
    let mut after = None;
    let mut document: Option<(DocumentId, bool)> = None;
    loop {
        let page = ledger.manifests(after, PAGE).await?;
        for manifest in page.iter().map(|committed| &committed.manifest) {
            if !known.contains(&manifest.index) {
                continue;
            }
            match &mut document {
                Some((same, has)) if *same == manifest.document => *has |= manifest.index == to,
                _ => {
                    queue_if_lacking(ledger, queue, document).await?;
                    document = Some((manifest.document, manifest.index == to));
                }
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => {
                after = Some((last.manifest.document, last.manifest.index));
            }
            _ => break,
        }
    }
    queue_if_lacking(ledger, queue, document).await?;
    Ok(lacking)
}

async fn queue_if_lacking(
    ledger: &dyn Ledger,
    queue: &dyn Queue,
    document: Option<(DocumentId, bool)>,
) -> Result<(), Error> {
    if let Some((document, false)) = document
        && let Some(message) = ledger.requeue(document).await?
    {
        queue.enqueue(&[message]).await?;
    }
    Ok(())
}
