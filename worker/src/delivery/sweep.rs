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
        let mut swept = Swept { removed: 0, wrapped: true };
        for (store, sink) in sinks {
            let rows = sink.list(self.after.get(store).copied(), limit).await?;
            for orphan in orphans(ledger, &rows).await? {
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

/// Those of the rows that no manifest names and nothing accounts for.
///
/// What accounts for a row is asked before and after what wants it. A claim that could still commit the
/// row as it was seen (at its epoch) shows in the first answer, its manifest in the second, and a
/// manifest replaced in between, with its removal recorded, in the third.
pub(crate) async fn orphans(
    ledger: &dyn Ledger,
    rows: &[StoredChunk],
) -> Result<Vec<StoredChunk>, ledger::Error> {
    let unwanted = unwanted(ledger, rows.to_vec()).await?;
    if unwanted.is_empty() {
        return Ok(unwanted);
    }
    let unaccounted = unaccounted(ledger, unwanted).await?;
    let unwanted = self::unwanted(ledger, unaccounted).await?;
    self::unaccounted(ledger, unwanted).await
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
