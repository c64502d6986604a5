//! What search shows of a document whose newest generation fails: before the failure is recorded, the older
//! content goes into the indexes and stores that lack it. A switch of the index, or a store that is filled
//! again, would else leave it out for as long as the document stays a dead letter.

use docmill_core::failure::{Failure, FailureClass};
use docmill_core::id::IndexId;
use docmill_core::manifest::Manifest;

use super::{Deliverer, Error, NotPrepared, Tracker, Worked, store_failure};
use crate::ledger::Grant;
use crate::sink;

/// Chunks that a store is asked for at once.
const LOOKED_UP: usize = 2_000;

/// What is recorded where a document failed and its older content could not be carried: what may pass by
/// itself, so that both are tried again; else the document's own failure.
fn first_tried_again(failure: Failure, carrying: Failure) -> Failure {
    match carrying.code.class() {
        FailureClass::Transient => carrying,
        FailureClass::Permanent | FailureClass::ChildCrash => failure,
    }
}

impl Deliverer {
    /// Writes what search shows of the document where it lacks, and says how the work ended.
    pub(super) async fn carry(
        &self,
        grant: &Grant,
        tracker: &Tracker<'_>,
        failure: Failure,
    ) -> Result<Worked, Error> {
        let shown = self.shown(grant).await?;
        let lacking = match self.lacking(grant, &shown).await {
            Ok(lacking) => lacking,
            Err(error) => return Ok(Worked::Failed(first_tried_again(failure, store_failure(error)))),
        };
        if lacking.is_empty() {
            return Ok(Worked::Failed(failure));
        }
        let mut lacked = grant.clone();
        lacked.indexes.retain(|(index, _)| lacking.contains(index));
        let prepared = match self.preparer.prepare_shown(&lacked, tracker).await {
            Ok(Some(prepared)) => prepared,
            Ok(None) => return Ok(Worked::Failed(failure)),
            Err(NotPrepared::Failed(other)) => {
                return Ok(Worked::Failed(first_tried_again(failure, other)));
            }
            Err(NotPrepared::Superseded) => return Ok(Worked::Fenced),
        };
        if let Err(other) = self.write_each(&prepared.indexes, grant, tracker).await? {
            return Ok(Worked::Failed(first_tried_again(failure, other)));
        }
        let manifests = prepared.indexes.into_iter().map(|index| index.manifest).collect();
        match self.ledger.carry(grant, manifests, self.lease.cleanup_delay_ms).await? {
            true => Ok(Worked::Failed(failure)),
            false => Ok(Worked::Fenced),
        }
    }

    /// What search shows of the document, of each index of the grant that has it.
    async fn shown(&self, grant: &Grant) -> Result<Vec<Manifest>, Error> {
        // Ordered by (document, index): those of the document come first, and may be followed by others.
        let first = Some((grant.document, IndexId(i64::MIN)));
        let page = self.ledger.manifests(first, grant.indexes.len()).await?;
        let manifests = page.into_iter().map(|committed| committed.manifest);
        Ok(manifests.filter(|manifest| manifest.document == grant.document).collect())
    }

    /// Indexes of the grant that lack what search shows: its manifest, or a row that the manifest names.
    async fn lacking(&self, grant: &Grant, shown: &[Manifest]) -> Result<Vec<IndexId>, sink::Error> {
        let Some(newest) = shown.iter().map(|manifest| manifest.generation).max() else {
            return Ok(Vec::new());
        };
        let mut lacking = Vec::new();
        for (index, _) in &grant.indexes {
            let lacks = match shown.iter().find(|manifest| manifest.index == *index) {
                None => true,
                // Older than what would be written: its rows are not those.
                Some(manifest) if manifest.generation < newest => false,
                Some(manifest) => self.lacks_rows(manifest).await?,
            };
            if lacks {
                lacking.push(*index);
            }
        }
        Ok(lacking)
    }

    /// Whether a store lacks a row that the manifest names for it.
    async fn lacks_rows(&self, manifest: &Manifest) -> Result<bool, sink::Error> {
        for (store, sink) in &self.sinks {
            let named: Vec<_> =
                manifest.entries.iter().filter(|entry| entry.stores.contains(*store)).collect();
            for some in named.chunks(LOOKED_UP) {
                let chunks: Vec<_> = some.iter().map(|entry| entry.chunk).collect();
                let held = sink.look_up(&chunks).await?;
                if some.iter().zip(held).any(|(entry, held)| sink::lacks(held, entry.text_hash)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}
