//! The intake: receives as many deliveries as memory, slots and the health gate allow, and carries each to
//! its end. Every shape has its own loop around it, which says when there is nothing more to do.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Semaphore;
use tokio::task::{Id, JoinError, JoinSet};

use crate::delivery::{Deliverer, Error, Jitter, Outcome};
#[cfg(feature = "services")]
use crate::embedded::Counters;
use crate::health::Gate;
use crate::ledger::WorkerId;
use crate::queue::{self, Delivery};
use crate::stages::Kept;

mod gate;

pub use gate::{GateWatch, GivenUp};

/// Bytes of documents in flight at once. How much of them is held, only their formats tell: those that would be held whole,
/// and never fit, the pool refuses with their bytes; those that are read from where they lie may be larger than this, and
/// are then in work alone.
const BYTES_IN_FLIGHT: u32 = 1 << 30;
/// Least bytes that a document is counted as.
const BYTES_A_DOCUMENT_MIN: u64 = 64 * 1024;

/// How one delivery ended, for reports and metrics.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub outcome: Outcome,
    /// Where the document is.
    pub uri: String,
    /// Its size.
    pub bytes: u64,
    /// Time from claim to ack.
    pub seconds: f64,
}

#[cfg(feature = "services")]
impl Finished {
    /// Counts it, and says it in the log.
    pub(crate) fn tell(&self, counters: &Counters) {
        let Self { outcome, uri, bytes, seconds } = self;
        match outcome {
            Outcome::Committed { .. } | Outcome::Deleted => {
                Counters::add(&counters.documents_done, 1);
                Counters::add(&counters.bytes_done, *bytes);
                tracing::debug!(uri, seconds, "document done");
            }
            Outcome::DeadLettered(failure) => {
                Counters::add(&counters.documents_failed, 1);
                tracing::warn!(uri, code = failure.code.as_str(), detail = failure.detail, "dead letter");
            }
            Outcome::Retried(failure) => {
                tracing::info!(uri, code = failure.code.as_str(), "document will be tried again");
            }
            Outcome::NothingToDo | Outcome::Elsewhere => {}
        }
    }
}

/// How many documents may be in work.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// That are not prepared yet: others could read what waits here for an extractor.
    pub preparing: usize,
    /// In all. What is prepared waits for stores, and one that is slow or away must not keep the rest from being read.
    pub in_all: usize,
}

impl Room {
    fn left(self, in_work: usize, writing: usize) -> usize {
        let preparing = in_work.saturating_sub(writing);
        self.preparing.saturating_sub(preparing).min(self.in_all.saturating_sub(in_work))
    }
}

/// See the module. Dropped, it stops what is in work where it stands.
pub struct Intake {
    deliverer: Arc<Deliverer>,
    kept: Arc<dyn Kept>,
    gate: GateWatch,
    room: Room,
    budget: Arc<Semaphore>,
    running: JoinSet<Result<Finished, Error>>,
    in_hand: HashMap<Id, (Delivery, SystemTime)>,
    look: u64,
}

impl Intake {
    /// Takes as many documents at once as there is room for.
    pub fn new(deliverer: Arc<Deliverer>, kept: Arc<dyn Kept>, gate: GateWatch, room: Room) -> Self {
        Self {
            deliverer,
            kept,
            gate,
            room,
            budget: Arc::new(Semaphore::new(BYTES_IN_FLIGHT as usize)),
            running: JoinSet::new(),
            in_hand: HashMap::new(),
            look: 0,
        }
    }

    /// Nothing is in work.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Documents in work.
    pub fn in_work(&self) -> usize {
        self.running.len()
    }

    /// When the document was received that is longest in work, in milliseconds since the Unix epoch.
    pub fn oldest_began_ms(&self) -> Option<u64> {
        let oldest = self.in_hand.values().map(|(_, began)| *began).min()?;
        let since = oldest.duration_since(UNIX_EPOCH).unwrap_or_default();
        Some(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// What there is no use waiting for, with nothing in work.
    pub fn given_up(&self) -> Option<GivenUp> {
        if self.is_idle() { self.gate.given_up() } else { None }
    }

    /// Begins what waits and what there is room for. Returns how many.
    ///
    /// # Errors
    /// The queue did not answer.
    pub async fn receive(&mut self) -> Result<usize, queue::Error> {
        let room = self.room.left(self.running.len(), self.deliverer.writing.count());
        if self.gate.look() != Gate::Open {
            return Ok(0);
        }
        let consumer = &self.deliverer.worker.0;
        let received = self.deliverer.queue.receive(consumer, self.look, room).await?;
        let count = received.len();
        for delivery in received {
            self.look += 1;
            let (deliverer, kept, budget) =
                (self.deliverer.clone(), self.kept.clone(), self.budget.clone());
            let task = self.running.spawn(deliver_one(deliverer, kept, delivery.clone(), budget));
            self.in_hand.insert(task.id(), (delivery, SystemTime::now()));
        }
        Ok(count)
    }

    /// What ended, once anything has; never returns while nothing is in work. An error is of one delivery:
    /// its entry stays with its lease and comes back.
    pub async fn ended(&mut self) -> Vec<Result<Finished, Error>> {
        let Some(first) = self.running.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let mut ended = vec![self.settled(first)];
        while let Some(next) = self.running.try_join_next_with_id() {
            ended.push(self.settled(next));
        }
        ended
    }

    fn settled(
        &mut self,
        joined: Result<(Id, Result<Finished, Error>), JoinError>,
    ) -> Result<Finished, Error> {
        match joined {
            Ok((id, finished)) => {
                self.in_hand.remove(&id);
                finished
            }
            Err(error) => {
                self.in_hand.remove(&error.id());
                Err(Error::Ledger(crate::ledger::Error::Failed(error.to_string())))
            }
        }
    }

    /// Stops everything in work where it stands, and says what it was: that is to be handed back.
    pub async fn abandon(&mut self) -> Vec<Delivery> {
        self.running.shutdown().await;
        self.in_hand.drain().map(|(_, (delivery, _))| delivery).collect()
    }
}

/// One delivery under the byte budget.
async fn deliver_one(
    deliverer: Arc<Deliverer>,
    kept: Arc<dyn Kept>,
    delivery: Delivery,
    budget: Arc<Semaphore>,
) -> Result<Finished, Error> {
    // Only for the budget and the report: a document that is not known is settled by its claim.
    let place = kept.place_of(delivery.message.document).await.unwrap_or_default();
    let (uri, bytes) = place.unwrap_or_default();
    let _held = budget.acquire_many(weight(bytes)).await;
    let began = Instant::now();
    let outcome = deliverer.deliver(delivery).await?;
    Ok(Finished { outcome, uri, bytes, seconds: began.elapsed().as_secs_f64() })
}

/// What a document takes of the byte budget: all of it where it is as large or larger.
fn weight(bytes: u64) -> u32 {
    u32::try_from(bytes.max(BYTES_A_DOCUMENT_MIN))
        .map_or(BYTES_IN_FLIGHT, |bytes| bytes.min(BYTES_IN_FLIGHT))
}

/// Says that the worker lives, each third of a lease, until it is dropped.
pub async fn beat(deliverer: Arc<Deliverer>) {
    loop {
        tokio::time::sleep(Duration::from_millis(deliverer.lease.beat_ms())).await;
        if let Err(error) = deliverer.beat().await {
            tracing::warn!(%error, "heartbeat failed");
        }
    }
}

/// A name of this process that no other start has: `host` tells machines apart that count their own
/// processes.
pub fn worker_id(host: &str) -> WorkerId {
    let started_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let number = std::process::id();
    WorkerId(match host {
        "" => format!("{number}-{started_ns:x}"),
        host => format!("{host}-{number}-{started_ns:x}"),
    })
}

/// Numbers in [0, 1) that differ between processes; nothing secret depends on them.
pub fn jitter() -> Jitter {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64);
    let state = AtomicU64::new(seed | 1);
    Arc::new(move || {
        // Weyl sequence mixed by the finaliser of MurmurHash3.
        let mut x = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        ((x ^ (x >> 33)) >> 11) as f64 / (1u64 << 53) as f64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_larger_than_the_budget_is_in_work_alone() {
        for (bytes, taken) in [
            (0, 64 * 1_024),
            (500 << 20, 500 << 20),
            (1 << 30, BYTES_IN_FLIGHT),
            (3 << 30, BYTES_IN_FLIGHT),
            (u64::MAX, BYTES_IN_FLIGHT),
        ] {
            assert_eq!(weight(bytes), taken, "{bytes}");
        }
    }

    #[test]
    fn what_is_prepared_makes_room_until_all_is_full() {
        let room = Room { preparing: 4, in_all: 16 };
        for (in_work, writing, left) in
            [(0, 0, 4), (4, 0, 0), (4, 3, 3), (14, 14, 2), (16, 12, 0), (0, 1, 4)]
        {
            assert_eq!(room.left(in_work, writing), left, "{in_work} in work, {writing} writing");
        }
    }
}
