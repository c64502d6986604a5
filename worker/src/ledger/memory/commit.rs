//! Commits and what they leave behind: replaced manifests, removals, and the ledger's own audit.

use std::collections::BTreeSet;

use docmill_core::delivery::State;
use docmill_core::id::{ChunkId, CommitSeq, DocumentId, Epoch, IndexId};
use docmill_core::index::IndexState;
use docmill_core::manifest::Manifest;

use super::{Recorded, Tables};
use crate::ledger::{Cleanup, Commit, CommittedManifest, Grant, SelfAudit, Summary};

impl Tables {
    pub(super) fn commit(
        &mut self,
        grant: &Grant,
        manifests: Vec<Manifest>,
        summary: Summary,
        due_ms: u64,
        unfenced: bool,
    ) -> Commit {
        let lacks_active = self.indexes.get(&grant.tenant).is_some_and(|indexes| {
            indexes.iter().any(|(id, _, state)| {
                *state == IndexState::Active && !manifests.iter().any(|manifest| manifest.index == *id)
            })
        });
        let Some(row) = self.documents.get_mut(&grant.document) else { return Commit::Fenced };
        if !unfenced && !row.owned_by(grant) {
            return Commit::Fenced;
        }
        if lacks_active {
            // The index was switched while this was prepared for the old one: committed like this, no
            // search would find the document. It is done again for the new one.
            row.take_back_start();
            row.release(State::Queued);
            return Commit::Fenced;
        }
        row.release(State::Committed);
        row.failure = None;
        row.summary = Some(summary);
        row.pages.clear();
        self.seq += 1;
        let seq = CommitSeq(self.seq);
        for manifest in manifests {
            if self.index_is_read(manifest.document, manifest.index) {
                self.replace(seq, manifest, grant.epoch, due_ms);
            } else {
                // Its index was retired meanwhile, and the removal recorded then may have run already.
                let chunks = manifest.entries.iter().map(|entry| entry.chunk).collect();
                let below = Epoch(grant.epoch.0 + 1);
                self.record_cleanup(grant.document, below, due_ms, chunks, Vec::new());
            }
        }
        Commit::Committed { seq }
    }

    pub(super) fn carry(&mut self, grant: &Grant, manifests: Vec<Manifest>, due_ms: u64) -> bool {
        if self.owned(grant).is_none() {
            return false;
        }
        self.seq += 1;
        let seq = CommitSeq(self.seq);
        for manifest in manifests {
            let key = (manifest.document, manifest.index);
            if self.index_is_read(key.0, key.1) {
                // Where it was carried before, the rows are the same, and nothing of them may be removed.
                self.manifests.entry(key).or_insert_with(|| vec![CommittedManifest { seq, manifest }]);
            } else {
                let chunks = manifest.entries.iter().map(|entry| entry.chunk).collect();
                let below = Epoch(grant.epoch.0 + 1);
                self.record_cleanup(grant.document, below, due_ms, chunks, Vec::new());
            }
        }
        true
    }

    /// Puts the manifest in the place of older ones of its (document, index).
    fn replace(&mut self, seq: CommitSeq, manifest: Manifest, epoch: Epoch, due_ms: u64) {
        let key = (manifest.document, manifest.index);
        let kept: BTreeSet<ChunkId> = manifest.entries.iter().map(|entry| entry.chunk).collect();
        let older = self.manifests.entry(key).or_default();
        let chunks: BTreeSet<ChunkId> = older
            .iter()
            .flat_map(|old| &old.manifest.entries)
            .map(|entry| entry.chunk)
            .filter(|chunk| !kept.contains(chunk))
            .collect();
        let replaced: Vec<_> = older.iter().map(|old| (key.0, key.1, old.seq)).collect();
        older.push(CommittedManifest { seq, manifest });
        if !replaced.is_empty() {
            self.record_cleanup(key.0, epoch, due_ms, chunks.into_iter().collect(), replaced);
        }
    }

    pub(super) fn record_cleanup(
        &mut self,
        document: DocumentId,
        below: Epoch,
        due_ms: u64,
        chunks: Vec<ChunkId>,
        replaced: Vec<(DocumentId, IndexId, CommitSeq)>,
    ) {
        self.next_cleanup += 1;
        let id = self.next_cleanup;
        let cleanup = Cleanup { id, document, below, due_ms, chunks };
        self.cleanups.insert(id, Recorded { cleanup, replaced });
    }

    pub(super) fn cleanup_done(&mut self, id: u64) {
        let Some(recorded) = self.cleanups.remove(&id) else { return };
        for (document, index, seq) in recorded.replaced {
            if let Some(kept) = self.manifests.get_mut(&(document, index)) {
                kept.retain(|manifest| manifest.seq != seq);
                if kept.is_empty() {
                    self.manifests.remove(&(document, index));
                }
            }
        }
    }

    pub(super) fn forget_deleted(&mut self, before_ms: u64, limit: usize) -> u64 {
        let due = |document: &DocumentId| {
            self.cleanups.values().any(|recorded| recorded.cleanup.document == *document)
        };
        let old = self.documents.iter().filter(|(document, row)| {
            let deleted = row.content.is_none() && row.state == State::Committed;
            deleted && row.deleted_at_ms <= before_ms && !due(document)
        });
        let old: BTreeSet<DocumentId> = old.map(|(document, _)| *document).take(limit).collect();
        self.documents.retain(|document, _| !old.contains(document));
        self.sources.retain(|_, document| !old.contains(document));
        self.manifests.retain(|(document, _), _| !old.contains(document));
        old.len() as u64
    }

    pub(super) fn wanted(&self, chunks: &[ChunkId]) -> Vec<ChunkId> {
        let asked: BTreeSet<ChunkId> = chunks.iter().copied().collect();
        let named = |chunk: &ChunkId| asked.contains(chunk);
        let found: BTreeSet<ChunkId> = self
            .current()
            .flat_map(|(_, committed)| &committed.manifest.entries)
            .map(|entry| entry.chunk)
            .filter(named)
            .collect();
        chunks.iter().copied().filter(|chunk| found.contains(chunk)).collect()
    }

    /// A claim accounts for its rows also when its worker is not live: until another claim takes over,
    /// it may still wake up and commit.
    pub(super) fn accounted_for(&self, document: DocumentId, chunk: ChunkId) -> bool {
        self.documents.get(&document).is_some_and(|row| row.state == State::Processing)
            || self.cleanups.values().any(|recorded| recorded.cleanup.chunks.contains(&chunk))
    }

    pub(super) fn self_audit(&self, now_ms: u64, grace_ms: u64) -> SelfAudit {
        let overdue = |recorded: &&Recorded| recorded.cleanup.due_ms.saturating_add(grace_ms) < now_ms;
        let stale = self.cleanups.values().filter(overdue).count() as u64;
        let mut sources = BTreeSet::new();
        let twice = self.sources.values().filter(|document| !sources.insert(**document)).count();
        let repeated: usize = self
            .current()
            .map(|(_, committed)| {
                let mut seen = BTreeSet::new();
                let entries = committed.manifest.entries.iter();
                entries.filter(|entry| !seen.insert((entry.text_hash, entry.occurrence))).count()
            })
            .sum();
        SelfAudit {
            duplicate: (twice + repeated) as u64,
            cleanup_pending: self.cleanups.len() as u64 - stale,
            stale,
        }
    }
}
