//! The sweep: rows that no manifest names and nothing accounts for. A worker that died, failed or was
//! fenced between its writes and its commit leaves such rows, and no removal is recorded for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use docmill_core::id::{ChunkId, Epoch};
use docmill_core::manifest::Store;

use super::Error;
use crate::ledger::{self, Ledger};
use crate::sink::{Sink, StoredChunk};

/// Where the sweep of each store stands.
#[derive(Debug, Default)]
pub struct Sweep {
    after: BTreeMap<Store, ChunkId>,
}

/// What a round of the sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Rows that were removed.
    pub removed: u64,
    /// Rows that no manifest names and that stay for now: their document waits or is in work, or their removal is
    /// recorded. What comes of the document may make orphans of them.
    pub spared: u64,
    /// Whether every store was at its end.
    pub wrapped: bool,
}

impl Sweep {
    /// Looks at the next `limit` rows of every store and removes the orphans among them.
    ///
    /// # Errors
    /// Ledger or a store did not answer; the next round goes on where this one stopped.
    pub async fn round(
        &mut self,
        ledger: &dyn Ledger,
        sinks: &BTreeMap<Store, Arc<dyn Sink>>,
        limit: usize,
    ) -> Result<Swept, Error> {
        let mut swept = Swept { removed: 0, spared: 0, wrapped: true };
        for (store, sink) in sinks {
            let rows = sink.list(self.after.get(store).copied(), limit).await?;
            let Unnamed { orphans, spared } = unnamed(ledger, &rows).await?;
            swept.spared += spared;
            for orphan in orphans {
                swept.removed += remove(sink.as_ref(), &orphan).await? as u64;
            }
            match rows.last() {
                Some(last) if rows.len() == limit => {
                    self.after.insert(*store, last.chunk);
                    swept.wrapped = false;
                }
                _ => {
                    self.after.remove(store);
                }
            }
        }
        Ok(swept)
    }
}

/// Removes the row as it was seen: if anyone claimed it since, its epoch is higher and it stays.
pub(crate) async fn remove(sink: &dyn Sink, orphan: &StoredChunk) -> Result<usize, crate::sink::Error> {
    sink.remove(&[orphan.chunk], Epoch(orphan.epoch.0 + 1)).await
}

/// Rows that no manifest names.
pub(crate) struct Unnamed {
    /// Those that nothing accounts for.
    pub orphans: Vec<StoredChunk>,
    /// How many others there are.
    pub spared: u64,
}

/// Those of the rows that no manifest names.
///
/// What accounts for a row is asked before and after what wants it. A claim that could still commit the
/// row as it was seen (at its epoch) shows in the first answer, its manifest in the second, and a
/// manifest replaced in between, with its removal recorded, in the third.
pub(crate) async fn unnamed(ledger: &dyn Ledger, rows: &[StoredChunk]) -> Result<Unnamed, ledger::Error> {
    let first = unwanted(ledger, rows.to_vec()).await?;
    let before = first.len();
    if first.is_empty() {
        return Ok(Unnamed { orphans: first, spared: 0 });
    }
    let unaccounted = unaccounted(ledger, first).await?;
    let unwanted = unwanted(ledger, unaccounted).await?;
    let orphans = self::unaccounted(ledger, unwanted).await?;
    let spared = (before - orphans.len()) as u64;
    Ok(Unnamed { orphans, spared })
}

async fn unwanted(ledger: &dyn Ledger, rows: Vec<StoredChunk>) -> Result<Vec<StoredChunk>, ledger::Error> {
    if rows.is_empty() {
        return Ok(rows);
    }
    let chunks: Vec<ChunkId> = rows.iter().map(|row| row.chunk).collect();
    let wanted: BTreeSet<ChunkId> = ledger.wanted(&chunks).await?.into_iter().collect();
    Ok(rows.into_iter().filter(|row| !wanted.contains(&row.chunk)).collect())
}

async fn unaccounted(
    ledger: &dyn Ledger,
    rows: Vec<StoredChunk>,
) -> Result<Vec<StoredChunk>, ledger::Error> {
    let mut unaccounted = Vec::new();
    for row in rows {
        if !ledger.accounted_for(row.document, row.chunk).await? {
            unaccounted.push(row);
        }
    }
    Ok(unaccounted)
}
