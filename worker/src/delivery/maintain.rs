//! What keeps a pipeline moving beside the deliveries: promotion, reconcile, clean-up. Any process
//! may run it, as often as it likes; every step may be repeated.

use std::collections::BTreeMap;
use std::sync::Arc;

use docmill_core::manifest::Store;

use futures::stream::{self, StreamExt};

use super::Error;
use crate::ledger::{Cleanup, Ledger};
use crate::queue::Queue;
use crate::sink::Sink;

/// Rows that one look at the ledger takes.
const BATCH: usize = 1_000;
/// Removals that one round carries out: what is lost in the queue does not wait for all of them.
const CLEANUPS: usize = 200;
/// Removals at once: each waits for the disks of all stores, one after the other.
const CLEANUPS_AT_ONCE: usize = 8;

/// What a round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Entries that wait again.
    pub promoted: u64,
    /// Messages that the ledger says must be in the queue.
    pub reconciled: u64,
    /// Removals carried out.
    pub cleaned: u64,
}

impl Maintained {
    /// Whether more may be due already.
    pub fn is_full(&self) -> bool {
        self.cleaned >= CLEANUPS as u64
    }
}

/// One round.
///
/// # Errors
/// Something did not answer; the next round does the rest.
pub async fn maintain(
    queue: &dyn Queue,
    ledger: &dyn Ledger,
    sinks: &BTreeMap<Store, Arc<dyn Sink>>,
) -> Result<Maintained, Error> {
    let promoted = queue.promote().await?;
    let unsettled = ledger.unsettled(BATCH).await?;
    queue.enqueue(&unsettled).await?;
    let cleaned = clean_up(ledger, sinks, queue).await?;
    Ok(Maintained { promoted, reconciled: unsettled.len() as u64, cleaned })
}

pub(super) async fn clean_up(
    ledger: &dyn Ledger,
    sinks: &BTreeMap<Store, Arc<dyn Sink>>,
    queue: &dyn Queue,
) -> Result<u64, Error> {
    let due = ledger.due_cleanups(CLEANUPS).await?;
    let count = due.len() as u64;
    let carried_out = stream::iter(due).map(|cleanup| carry_out(ledger, sinks, queue, cleanup));
    let done: Vec<Result<(), Error>> = carried_out.buffer_unordered(CLEANUPS_AT_ONCE).collect().await;
    // One that fails keeps no other from being done.
    done.into_iter().collect::<Result<Vec<()>, Error>>()?;
    Ok(count)
}

async fn carry_out(
    ledger: &dyn Ledger,
    sinks: &BTreeMap<Store, Arc<dyn Sink>>,
    queue: &dyn Queue,
    cleanup: Cleanup,
) -> Result<(), Error> {
    for sink in sinks.values() {
        sink.remove(&cleanup.chunks, cleanup.below).await?;
    }
    // A newer manifest may have come to want a row between the look and the removal: its document
    // is done again, which writes what lacks.
    let wanted = ledger.wanted(&cleanup.chunks).await?;
    if lacks_any(sinks, &wanted).await?
        && let Some(message) = ledger.requeue(cleanup.document).await?
    {
        queue.enqueue(&[message]).await?;
    }
    Ok(ledger.cleanup_done(&cleanup).await?)
}

async fn lacks_any(
    sinks: &BTreeMap<Store, Arc<dyn Sink>>,
    wanted: &[docmill_core::id::ChunkId],
) -> Result<bool, Error> {
    if wanted.is_empty() {
        return Ok(false);
    }
    let Some(text) = sinks.get(&Store::Text) else { return Ok(false) };
    Ok(text.look_up(wanted).await?.iter().any(Option::is_none))
}
