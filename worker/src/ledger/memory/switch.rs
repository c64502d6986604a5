//! Indexes of a tenant: beginning one beside the active one, and the switch.

use docmill_core::id::{DocumentId, Epoch, IndexId, TenantId};
use docmill_core::index::{IndexSpec, IndexState};

use super::Tables;

impl Tables {
    pub(super) fn begin_index(&mut self, tenant: &TenantId, spec: &IndexSpec, now_ms: u64) -> IndexState {
        let id = spec.id();
        if let Some(known) = self.index_state(tenant, id).filter(|state| *state != IndexState::Retired) {
            return known;
        }
        self.give_up_building(tenant, now_ms);
        if self.index_state(tenant, id) == Some(IndexState::Retired) {
            // It is built again from nothing: what its old manifests name was or will be removed.
            let documents = &self.documents;
            let of_tenant =
                |document: &DocumentId| documents.get(document).is_some_and(|row| row.tenant == *tenant);
            self.manifests.retain(|(document, index), _| *index != id || !of_tenant(document));
        }
        self.begun.insert((tenant.clone(), id), Epoch(self.epoch));
        let indexes = self.indexes.entry(tenant.clone()).or_default();
        let has_active = indexes.iter().any(|(_, _, state)| *state == IndexState::Active);
        let fresh = if has_active { IndexState::Building } else { IndexState::Active };
        match indexes.iter_mut().find(|(known, _, _)| *known == id) {
            Some((_, _, state)) if *state == IndexState::Retired => {
                *state = fresh;
                fresh
            }
            Some((_, _, state)) => *state,
            None => {
                indexes.push((id, spec.clone(), fresh));
                fresh
            }
        }
    }

    /// Another index that was being built is given up: one is built at a time.
    fn give_up_building(&mut self, tenant: &TenantId, due_ms: u64) {
        let mut given_up = Vec::new();
        for (id, _, state) in self.indexes.entry(tenant.clone()).or_default() {
            if *state == IndexState::Building {
                *state = IndexState::Retired;
                given_up.push(*id);
            }
        }
        for id in given_up {
            self.retire_manifests(tenant, id, due_ms);
        }
    }

    pub(super) fn switch_index(&mut self, tenant: &TenantId, to: IndexId, due_ms: u64) -> u64 {
        let active = self.indexes.get(tenant).and_then(|indexes| {
            indexes.iter().find(|(_, _, state)| *state == IndexState::Active).map(|(id, _, _)| *id)
        });
        if active == Some(to) {
            return 0;
        }
        let lacking = self.lacking(tenant, active, to);
        if lacking > 0 || self.index_state(tenant, to) != Some(IndexState::Building) {
            return lacking;
        }
        for (id, _, state) in self.indexes.entry(tenant.clone()).or_default() {
            if *id == to {
                *state = IndexState::Active;
            } else if Some(*id) == active {
                *state = IndexState::Retired;
            }
        }
        if let Some(old) = active {
            self.retire_manifests(tenant, old, due_ms);
        }
        0
    }

    /// Documents that search shows now and would no longer show after the switch. A dead letter that was
    /// claimed since the index was begun is not waited for: its older content was carried over, or cannot be.
    fn lacking(&self, tenant: &TenantId, active: Option<IndexId>, to: IndexId) -> u64 {
        let Some(active) = active else { return 0 };
        let begun = self.begun.get(&(tenant.clone(), to)).copied().unwrap_or(Epoch(0));
        let tried =
            |row: &super::Row| row.state == docmill_core::delivery::State::Failed && row.epoch > begun;
        let lacks = |(document, row): &(&DocumentId, &super::Row)| {
            let shown = self.manifests.contains_key(&(**document, active));
            row.tenant == *tenant
                && row.content.is_some()
                && !tried(row)
                && shown
                && !self.manifests.contains_key(&(**document, to))
        };
        self.documents.iter().filter(lacks).count() as u64
    }

    /// Every manifest of the index is replaced by nothing; its rows go when searches that began before
    /// the switch are over.
    fn retire_manifests(&mut self, tenant: &TenantId, index: IndexId, due_ms: u64) {
        let of_index = |document: &DocumentId, of: &IndexId| {
            *of == index && self.documents.get(document).is_some_and(|row| row.tenant == *tenant)
        };
        let retired: Vec<_> = self
            .manifests
            .iter()
            .filter(|((document, of), _)| of_index(document, of))
            .map(|((document, _), kept)| {
                let named = kept.iter().flat_map(|old| &old.manifest.entries).map(|entry| entry.chunk);
                let chunks: std::collections::BTreeSet<_> = named.collect();
                let replaced: Vec<_> = kept.iter().map(|old| (*document, index, old.seq)).collect();
                (*document, chunks, replaced)
            })
            .collect();
        // Whoever claims from now on is not told of this index.
        let below = Epoch(self.epoch + 1);
        for (document, chunks, replaced) in retired {
            self.record_cleanup(document, below, due_ms, chunks.into_iter().collect(), replaced);
        }
    }
}
