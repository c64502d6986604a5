//! The stores' memory twin: one struct that behaves as the text, the vector or the graph store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use docmill_core::id::{ChunkId, Epoch, TenantId};
use docmill_core::manifest::Store;

use super::{ChunkRow, Error, Sink, StoredChunk};
use crate::delivery::PlantedFault;

/// See the module.
pub struct MemorySink {
    store: Store,
    planted: Option<PlantedFault>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    rows: BTreeMap<ChunkId, (StoredChunk, Arc<ChunkRow>)>,
    /// Concepts with the chunks that mention them; only the graph store has any.
    concepts: BTreeMap<Concept, BTreeSet<ChunkId>>,
}

/// A concept's key.
type Concept = (TenantId, String);

impl Held {
    /// Takes the evidence back; a concept goes with its last.
    fn forget_mentions(&mut self, row: &ChunkRow) {
        for mention in row.mentions.iter() {
            let key = (row.tenant.clone(), mention.canonical_name.clone());
            if let Some(evidence) = self.concepts.get_mut(&key) {
                evidence.remove(&row.chunk);
                if evidence.is_empty() {
                    self.concepts.remove(&key);
                }
            }
        }
    }

    /// Evidence without a chunk, and concepts without evidence.
    fn loose(&self) -> Vec<(Concept, Option<ChunkId>)> {
        let mut loose = Vec::new();
        for (concept, evidence) in &self.concepts {
            if evidence.is_empty() {
                loose.push((concept.clone(), None));
            }
            let dangling = evidence.iter().filter(|chunk| !self.rows.contains_key(chunk));
            loose.extend(dangling.map(|chunk| (concept.clone(), Some(*chunk))));
        }
        loose
    }
}

impl MemorySink {
    /// An empty store.
    pub fn new(store: Store) -> Self {
        Self { store, planted: None, held: Mutex::default() }
    }

    /// The same with a known mistake.
    #[cfg(feature = "planted-faults")]
    pub fn with_planted(self, planted: Option<PlantedFault>) -> Self {
        Self { planted, ..self }
    }

    /// Loses a row, as a damaged store does.
    pub fn lose(&self, chunk: ChunkId) {
        let mut held = self.lock();
        if let Some((_, row)) = held.rows.remove(&chunk) {
            held.forget_mentions(&row);
        }
    }

    /// Leaves a concept that nothing holds up.
    pub fn leave_loose_end(&self, tenant: &TenantId, canonical_name: &str) {
        self.lock().concepts.entry((tenant.clone(), canonical_name.to_owned())).or_default();
    }

    /// The concepts with how many chunks hold each up.
    pub fn concepts(&self) -> BTreeMap<(TenantId, String), usize> {
        self.lock().concepts.iter().map(|(concept, evidence)| (concept.clone(), evidence.len())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no code panics while holding the store's lock")
    }

    fn plants(&self, fault: PlantedFault) -> bool {
        self.planted == Some(fault)
    }
}

#[async_trait]
impl Sink for MemorySink {
    fn store(&self) -> Store {
        self.store
    }

    async fn write(&self, rows: &[Arc<ChunkRow>], epoch: Epoch) -> Result<usize, Error> {
        let mut held = self.lock();
        for row in rows {
            if self.store == Store::Vector && row.embedding.is_none() {
                continue;
            }
            if let Some((stored, _)) = held.rows.get_mut(&row.chunk) {
                if self.plants(PlantedFault::EpochLowered) {
                    stored.epoch = epoch;
                } else if !self.plants(PlantedFault::SkipIfPresent) {
                    stored.epoch = stored.epoch.max(epoch);
                }
                continue;
            }
            if self.store == Store::Graph {
                for mention in row.mentions.iter() {
                    let key = (row.tenant.clone(), mention.canonical_name.clone());
                    held.concepts.entry(key).or_default().insert(row.chunk);
                }
            }
            let stored = StoredChunk {
                chunk: row.chunk,
                document: row.document,
                index: row.index,
                text_hash: row.text_hash,
                epoch,
            };
            held.rows.insert(row.chunk, (stored, row.clone()));
        }
        Ok(rows.iter().filter(|row| held.rows.contains_key(&row.chunk)).count())
    }

    async fn remove(&self, chunks: &[ChunkId], below: Epoch) -> Result<usize, Error> {
        let mut held = self.lock();
        let mut removed = 0;
        for chunk in chunks {
            let goes = held.rows.get(chunk).is_some_and(|(stored, _)| {
                stored.epoch < below || self.plants(PlantedFault::DeleteWithoutEpoch)
            });
            if goes && let Some((_, row)) = held.rows.remove(chunk) {
                held.forget_mentions(&row);
                removed += 1;
            }
        }
        Ok(removed)
    }

    async fn look_up(&self, chunks: &[ChunkId]) -> Result<Vec<Option<StoredChunk>>, Error> {
        let held = self.lock();
        Ok(chunks.iter().map(|chunk| held.rows.get(chunk).map(|(stored, _)| *stored)).collect())
    }

    async fn list(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredChunk>, Error> {
        let held = self.lock();
        let beyond = match after {
            Some(after) => held.rows.range((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded)),
            None => held.rows.range(..),
        };
        Ok(beyond.take(limit).map(|(_, (stored, _))| *stored).collect())
    }

    async fn loose_ends(&self) -> Result<u64, Error> {
        Ok(self.lock().loose().len() as u64)
    }

    async fn remove_loose_ends(&self) -> Result<u64, Error> {
        let mut held = self.lock();
        let loose = held.loose();
        for (concept, dangling) in &loose {
            let Some(evidence) = held.concepts.get_mut(concept) else { continue };
            if let Some(chunk) = dangling {
                evidence.remove(chunk);
            }
            if evidence.is_empty() {
                held.concepts.remove(concept);
            }
        }
        Ok(loose.len() as u64)
    }
}
