//! What tests may look at beside the trait: rows, and what a search that begins now is to show.

use docmill_core::delivery::{History, State};
use docmill_core::failure::Failure;
use docmill_core::id::{CommitSeq, ContentHash, DocumentId, Epoch, Generation, IndexId, TenantId};
use docmill_core::index::IndexState;

use super::MemoryLedger;
use crate::ledger::{CommittedManifest, Summary, WorkerId};

/// A document's row.
#[derive(Debug, Clone, PartialEq)]
pub struct RowView {
    /// Its newest generation.
    pub generation: Generation,
    /// That generation's content; `None` is a deletion.
    pub content: Option<ContentHash>,
    /// Where that is.
    pub state: State,
    /// Who holds it.
    pub owner: Option<WorkerId>,
    /// The epoch of the last claim.
    pub epoch: Epoch,
    /// Its trials.
    pub history: History,
    /// Why it was dead-lettered.
    pub failure: Option<Failure>,
    /// What its commit said.
    pub summary: Option<Summary>,
}

/// Where a search begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// The highest number of a commit.
    pub seq: CommitSeq,
    /// The index that it reads.
    pub index: Option<IndexId>,
}

impl MemoryLedger {
    /// The row of a document.
    pub fn row(&self, document: DocumentId) -> Option<RowView> {
        self.lock().documents.get(&document).map(|row| RowView {
            generation: row.generation,
            content: row.content,
            state: row.state,
            owner: row.owner.clone(),
            epoch: row.epoch,
            history: row.history,
            failure: row.failure.clone(),
            summary: row.summary.clone(),
        })
    }

    /// The documents, ascending.
    pub fn documents(&self) -> Vec<DocumentId> {
        self.lock().documents.keys().copied().collect()
    }

    /// Whether every document is committed or dead-lettered and nothing waits for removal.
    pub fn is_quiet(&self) -> bool {
        let tables = self.lock();
        tables.cleanups.is_empty() && tables.documents.values().all(|row| row.state.is_final())
    }

    /// Where a search of the tenant that begins now begins.
    pub fn snapshot(&self, tenant: &TenantId) -> Snapshot {
        let tables = self.lock();
        let indexes = tables.indexes.get(tenant).map(Vec::as_slice).unwrap_or_default();
        let active = indexes.iter().find(|(_, _, state)| *state == IndexState::Active);
        Snapshot { seq: CommitSeq(tables.seq), index: active.map(|(id, _, _)| *id) }
    }

    /// Per document the newest manifest of the snapshot's index that it may show.
    pub fn visible(&self, snapshot: Snapshot) -> Vec<CommittedManifest> {
        let tables = self.lock();
        let of_index = tables.manifests.iter().filter(|((_, index), _)| Some(*index) == snapshot.index);
        of_index
            .filter_map(|(_, kept)| kept.iter().rev().find(|manifest| manifest.seq <= snapshot.seq))
            .cloned()
            .collect()
    }
}
