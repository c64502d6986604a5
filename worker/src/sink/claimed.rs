//! Rows of several claims in the order in which stores lock them.

use std::collections::BTreeMap;

use docmill_core::id::{ChunkId, Epoch};

use super::{ChunkRow, Write};

/// A row, and the epoch of the claim that writes it.
#[derive(Debug, Clone, Copy)]
pub struct Claimed<'a> {
    /// The row.
    pub row: &'a ChunkRow,
    /// The epoch.
    pub epoch: Epoch,
}

/// The rows by chunk, ascending and each once, with the highest epoch that claims it.
pub(crate) fn ascending(writes: &[Write]) -> Vec<Claimed<'_>> {
    let mut by_chunk: BTreeMap<ChunkId, Claimed<'_>> = BTreeMap::new();
    for Write { rows, epoch } in writes {
        for row in rows {
            let claimed = by_chunk.entry(row.chunk).or_insert(Claimed { row, epoch: *epoch });
            claimed.epoch = claimed.epoch.max(*epoch);
        }
    }
    by_chunk.into_values().collect()
}
