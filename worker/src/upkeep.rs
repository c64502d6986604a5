//! Upkeep of a pipeline in a cluster: what is due becomes deliverable, the queue is held against the ledger,
//! what commits replaced or dead workers left is removed, indexes that are being built or stores that lost rows
//! are filled, and many vectors get an index of their own.
//!
//! Every step may be repeated and may run twice at once. Promotion is a step of the queue alone and cheap, so every
//! process does it: documents of a dead worker wait neither for a long clean-up nor for a process that stands
//! still. The rest one process at a time does for economy, so its lease is a lock that goes with the connection.
//! Any process with the back ends may run it.

mod vector_index;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use docmill_core::id::DocumentId;
use docmill_core::manifest::Store;

use crate::config::Settings;
use crate::delivery::{self, Sweep, maintain};
use crate::fill;
use crate::ledger::Ledger;
use crate::postgres::{Database, Otherwise, PostgresLedger};
use crate::queue::Queue;
use crate::sink::Sink;

pub use vector_index::{VectorIndexes, Worth};

/// Time between two rounds, and longest time between two promotions.
const ROUND_EVERY: Duration = Duration::from_secs(1);
/// Time between two looks for rows that dead workers left.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// Rows that one such look takes from each store.
const SWEEP_ROWS: usize = 2_000;
/// Time between two removals of derived values that nothing needs.
const DERIVED_EVERY: Duration = Duration::from_secs(600);
/// Time between two looks at indexes that are being built and stores that are filled.
const BUILD_EVERY: Duration = Duration::from_secs(2);
/// Documents that one such look has done again.
const BUILD_DOCUMENTS: u32 = 500;
/// Documents of a tenant on their way from which on no more are added: new ones must not wait behind old ones.
const BUILD_AGAIN_MAX: u64 = 1_000;
/// Time between two looks at all documents for those whose category another recipe found. Changed settings come with a
/// new process, which looks at once; what an old one still commits meanwhile is found by the next look.
const CLASSIFY_EVERY: Duration = Duration::from_secs(3_600);
/// Time between two looks for deletions that are old.
const FORGET_EVERY: Duration = Duration::from_secs(600);
/// Deletions that one round forgets; while there are as many, the next round goes on.
const FORGET_DOCUMENTS: usize = 1_000;
/// The name of the lock.
const LOCK: &str = "upkeep";

/// See the module.
pub struct Upkeep {
    /// The ledger's server, which has the lock.
    database: Database,
    /// Truth.
    ledger: Arc<PostgresLedger>,
    /// Entries.
    queue: Arc<dyn Queue>,
    /// Stores.
    sinks: BTreeMap<Store, Arc<dyn Sink>>,
    /// Time between two promotions, where it is shorter than between two rounds: a beat.
    promote_every: Duration,
    /// How long the rows of deleted documents stay.
    deleted_kept: Duration,
    /// What finds categories now; none: documents have none.
    recipe: Option<String>,
    /// Whether it builds the approximate index over vectors.
    builds_vector_index: bool,
}

/// When what is not done in each round was done last.
struct Last {
    sweep: Sweep,
    swept: Instant,
    derived: Instant,
    built: Instant,
    forgot: Instant,
    /// When all documents had been looked at for categories of other rules; none: never yet.
    classified: Option<Instant>,
    /// Where the look at them stands.
    classified_to: Option<DocumentId>,
}

impl Upkeep {
    /// As the process is configured.
    pub fn new(
        settings: &Settings,
        database: Database,
        ledger: Arc<PostgresLedger>,
        queue: Arc<dyn Queue>,
        sinks: BTreeMap<Store, Arc<dyn Sink>>,
    ) -> Self {
        Self {
            database,
            ledger,
            queue,
            sinks,
            promote_every: Duration::from_millis(settings.lease.beat_ms()),
            deleted_kept: settings.deleted_kept,
            recipe: settings.classify.recipe(),
            builds_vector_index: settings.vector_index,
        }
    }

    /// Keeps up until it is dropped. What fails is logged and done in the next round.
    pub async fn run(self) {
        futures::future::join3(self.promote(), self.rounds(), self.vector_indexes()).await;
    }

    async fn promote(&self) {
        loop {
            if let Err(error) = self.queue.promote().await {
                tracing::warn!(%error, "nothing can be promoted");
            }
            tokio::time::sleep(self.promote_every.min(ROUND_EVERY)).await;
        }
    }

    async fn vector_indexes(&self) {
        if self.builds_vector_index {
            VectorIndexes::new(self.database.clone(), Worth::default()).keep_up().await;
        }
    }

    async fn rounds(&self) {
        let now = Instant::now();
        let sweep = Sweep::default();
        let mut last = Last {
            sweep,
            swept: now,
            derived: now,
            built: now,
            forgot: now,
            classified: None,
            classified_to: None,
        };
        loop {
            let more = self.round(&mut last).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "upkeep is behind");
                false
            });
            if !more {
                tokio::time::sleep(ROUND_EVERY).await;
            }
        }
    }

    /// One round, unless another process has its own; whether the next one has something to do already.
    async fn round(&self, last: &mut Last) -> Result<bool, delivery::Error> {
        let done = self.database.alone(LOCK, Box::pin(self.work(last))).await;
        done?.unwrap_or(Ok(false))
    }

    async fn work(&self, last: &mut Last) -> Result<bool, delivery::Error> {
        let ledger: &dyn Ledger = self.ledger.as_ref();
        let maintained = maintain(self.queue.as_ref(), ledger, &self.sinks).await?;
        if last.swept.elapsed() >= SWEEP_EVERY {
            // A pass over many rows takes a page a round.
            if last.sweep.round(ledger, &self.sinks, SWEEP_ROWS).await?.wrapped {
                last.swept = Instant::now();
            }
        }
        if last.built.elapsed() >= BUILD_EVERY {
            self.build().await?;
            self.fill().await?;
            if last.classified.is_none_or(|at| at.elapsed() >= CLASSIFY_EVERY) {
                self.classify(last).await;
            }
            last.built = Instant::now();
        }
        if last.forgot.elapsed() >= FORGET_EVERY {
            let older_than_ms = u64::try_from(self.deleted_kept.as_millis()).unwrap_or(u64::MAX);
            if ledger.forget_deleted(older_than_ms, FORGET_DOCUMENTS).await? < FORGET_DOCUMENTS as u64 {
                last.forgot = Instant::now();
            }
        }
        if last.derived.elapsed() >= DERIVED_EVERY {
            self.ledger.sweep_derived().await?;
            last.derived = Instant::now();
        }
        Ok(maintained.is_full())
    }

    /// Has documents done again that a store lacks rows of.
    async fn fill(&self) -> Result<(), delivery::Error> {
        for going in self.database.fills_going().await? {
            if let Some(sink) = self.sinks.get(&going.store) {
                let (ledger, queue) = (self.ledger.as_ref(), self.queue.as_ref());
                fill::look(&self.database, ledger, queue, sink.as_ref(), going).await?;
            }
        }
        Ok(())
    }

    /// Has documents done again that an index lacks which is being built, and switches to it when it has all.
    async fn build(&self) -> Result<(), delivery::Error> {
        for (tenant, index) in self.database.building().await? {
            let lacking = self.database.lacking(&tenant, index, BUILD_DOCUMENTS, BUILD_AGAIN_MAX);
            // The switch counts all under a lock that commits wait for: not while it could only say no.
            let Some(lacking) = lacking.await? else { continue };
            let mut messages = Vec::with_capacity(lacking.len());
            for document in &lacking {
                messages.extend(self.ledger.requeue(*document).await?);
            }
            self.queue.enqueue(&messages).await?;
            // What is on its way is counted by the switch, too.
            if lacking.is_empty() && self.ledger.switch_index(&tenant, index).await? == 0 {
                tracing::info!(%tenant, "searches read another index now");
            }
        }
        Ok(())
    }

    /// Has documents done again whose category another recipe found, some in each round. Each is looked at once, then
    /// never for a while: processes with different settings must not undo each other's work without end. What fails here
    /// holds up nothing else.
    async fn classify(&self, last: &mut Last) {
        let looked = match self.classify_from(last.classified_to).await {
            Ok(looked) => looked,
            Err(error) => {
                tracing::warn!(%error, "categories are behind");
                None
            }
        };
        last.classified_to = looked;
        if looked.is_none() {
            last.classified = Some(Instant::now());
        }
    }

    /// Gives the document up to which all were looked at; none: all were.
    async fn classify_from(
        &self,
        after: Option<DocumentId>,
    ) -> Result<Option<DocumentId>, delivery::Error> {
        let Otherwise { found, last } =
            self.database.classified_otherwise(self.recipe.as_deref(), after).await?;
        let mut messages = Vec::with_capacity(found.len());
        for document in &found {
            messages.extend(self.ledger.requeue(*document).await?);
        }
        self.queue.enqueue(&messages).await?;
        Ok(last)
    }
}
