//! The queue: pointers to documents that wait, one entry a (document, generation).
//!
//! A queue may lose everything: the ledger is the truth and [`crate::delivery::maintain`] enqueues
//! again what it says. What a queue may not do is hand one entry to two consumers while a lease lives.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use docmill_core::id::{DocumentId, Generation};
use docmill_core::lane::Lane;
use serde::Serialize;

pub mod memory;
#[cfg(feature = "services")]
pub mod redis;

/// A delayed entry is due when its time comes within this, in milliseconds: workers that are started for it now
/// are there when it comes.
pub const DUE_WITHIN_MS: u64 = 60_000;

/// A queue operation that failed; the caller tries again later, nothing is lost.
#[derive(Debug, thiserror::Error)]
#[error("the queue did not answer: {0}")]
pub struct Error(pub String);

/// What an entry points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Message {
    /// The document.
    pub document: DocumentId,
    /// The generation that is to be worked on.
    pub generation: Generation,
    /// The lane it waits in.
    pub lane: Lane,
}

/// What a queue calls an entry: a number, a stream's id, a receipt. Only that queue can read it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntryId(Arc<str>);

impl EntryId {
    /// The name as the queue wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for EntryId {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<u64> for EntryId {
    fn from(number: u64) -> Self {
        Self(number.to_string().into())
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message in the hands of one consumer, until it is settled or its lease runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What it points at.
    pub message: Message,
    /// The queue's name of the entry; a released and delivered again entry has another.
    pub entry: EntryId,
    /// Who received it: unique for a process start.
    pub consumer: String,
}

/// How much waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// Entries that nobody has.
    pub waiting: u64,
    /// Entries under a lease.
    pub in_flight: u64,
    /// Entries delayed to a later time.
    pub delayed: u64,
    /// Of those, the ones whose time came or comes within [`DUE_WITHIN_MS`].
    pub due: u64,
}

/// Entries, leases and delays. What a call does to an entry is one atomic step.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Adds an entry unless this (document, generation) has one, waiting, leased or delayed.
    /// May be called as often as one likes.
    async fn enqueue(&self, messages: &[Message]) -> Result<(), Error>;

    /// Hands out at most `max` waiting entries under a lease; empty when none waits. `look` counts the
    /// consumer's looks, see [`Lane::order_of_look`]. Within a lane, entries that were handed out before
    /// come first: what a dead worker had does not wait behind all that is new.
    async fn receive(&self, consumer: &str, look: u64, max: usize) -> Result<Vec<Delivery>, Error>;

    /// Renews the lease. False: it is no longer this consumer's, and the work must stop.
    async fn extend(&self, delivery: &Delivery) -> Result<bool, Error>;

    /// Removes the entry for good. False: it was no longer this consumer's, and it stays.
    async fn ack(&self, delivery: &Delivery) -> Result<bool, Error>;

    /// [`Queue::extend`] for many; an answer for each, in their order. One step for each of them, and
    /// one trip for all where a back end can.
    async fn extend_many(&self, deliveries: &[Delivery]) -> Result<Vec<bool>, Error> {
        let mut extended = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            extended.push(self.extend(delivery).await?);
        }
        Ok(extended)
    }

    /// [`Queue::ack`] for many, as [`Queue::extend_many`] is for extending. After an error some of them
    /// may be gone.
    async fn ack_many(&self, deliveries: &[Delivery]) -> Result<Vec<bool>, Error> {
        let mut acked = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            acked.push(self.ack(delivery).await?);
        }
        Ok(acked)
    }

    /// Gives the entry back, to be delivered again after the delay. False as for [`Queue::ack`].
    async fn release(&self, delivery: &Delivery, after_ms: u64) -> Result<bool, Error>;

    /// Makes delayed entries that are due, and entries whose lease ran out, waiting again. Returns how many.
    async fn promote(&self) -> Result<u64, Error>;

    /// How much waits in a lane.
    async fn depth(&self, lane: Lane) -> Result<Depth, Error>;

    /// When the next delayed entry or lease falls due, in milliseconds since the Unix epoch.
    async fn next_due_ms(&self) -> Result<Option<u64>, Error>;

    /// Removes a consumer with all that it has, which no sound worker ever asks for.
    #[cfg(feature = "planted-faults")]
    async fn delete_consumer(&self, _consumer: &str) -> Result<(), Error> {
        Ok(())
    }
}
