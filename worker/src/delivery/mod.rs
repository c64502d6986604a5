//! The delivery of one document: claim → start → prepare → write → commit → ack → clean up.
//!
//! Written once, over traits, and run by every shape and by the simulation. It keeps no state of its
//! own: dropped at any await, it leaves what another worker can take over. Spawns nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use docmill_core::delivery::{
    Beat, ClaimDecision, LeaseConfig, Progress, STARTS_ALONE, Stage, decide_beat,
};
use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::CommitSeq;
use docmill_core::manifest::{Manifest, Store};
use futures::future::{Either, select};

use crate::clock::Clock;
use crate::ledger::{Claim, Commit, Failed, Grant, Ledger, Start, Summary, WorkerId};
use crate::queue::{Delivery, Queue};
use crate::sink::{ChunkRow, Sink};
use crate::{ledger, queue, sink};

mod carry;
mod drain;
mod here;
mod maintain;
mod planted;
mod reindex;
mod sweep;
mod tracker;
mod writing;

pub use here::Here;
pub use maintain::{Maintained, maintain};
pub use planted::PlantedFault;
pub use reindex::reindex_round;
pub use sweep::{Sweep, Swept};
pub(crate) use sweep::{remove as remove_orphan, unnamed};
pub use tracker::Tracker;
use writing::InWriting;
pub use writing::Writing;

/// How long a second entry waits here for the first one, in milliseconds: less than a beat of the shortest lease.
const SECOND_ENTRY_WAIT_MS: u64 = 400;
/// Times that a store is asked again for rows that it did not take.
const WRITE_ATTEMPTS_MAX: u32 = 3;

/// What a generation consists of in one index, ready to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedIndex {
    /// What is to be committed.
    pub manifest: Manifest,
    /// Its rows, in the manifest's order.
    pub rows: Vec<Arc<ChunkRow>>,
}

/// A generation ready to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// What is worth knowing of it.
    pub summary: Summary,
    /// One for each index of the grant.
    pub indexes: Vec<PreparedIndex>,
}

/// Why preparing ended without rows.
#[derive(Debug)]
pub enum NotPrepared {
    /// The document is at fault, or something it needs.
    Failed(Failure),
    /// The claim is no longer ours, or the content is no longer the generation's: stop, change nothing.
    Superseded,
}

impl From<Failure> for NotPrepared {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Turns a document into rows: fetch, extract, chunk, embed, concepts.
#[async_trait]
pub trait Preparer: Send + Sync {
    /// Prepares the granted generation for each index of the grant. Marks progress as it goes; what a
    /// mark kept is not done again by the next trial. Dropped, it stops, child processes included.
    async fn prepare(&self, grant: &Grant, tracker: &Tracker<'_>) -> Result<Prepared, NotPrepared>;

    /// Prepares the older generation that search shows, from what is stored, for the indexes of the grant.
    /// `None`: search shows none, or its texts are not all there.
    async fn prepare_shown(
        &self,
        grant: &Grant,
        tracker: &Tracker<'_>,
    ) -> Result<Option<Prepared>, NotPrepared>;
}

/// How a delivery ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Committed and acked.
    Committed {
        /// Its place in the order of commits.
        seq: CommitSeq,
        /// What was committed.
        summary: Summary,
    },
    /// Everything of the document is gone.
    Deleted,
    /// It will be tried again.
    Retried(Failure),
    /// It was dead-lettered.
    DeadLettered(Failure),
    /// There was nothing to do.
    NothingToDo,
    /// Somebody else has it, or took it over.
    Elsewhere,
}

/// Something that delivery itself cannot settle; the entry stays with its lease and comes back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The queue.
    #[error(transparent)]
    Queue(#[from] queue::Error),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// A store, while cleaning up.
    #[error(transparent)]
    Sink(#[from] sink::Error),
}

/// Random numbers in [0, 1), as an argument.
pub type Jitter = Arc<dyn Fn() -> f64 + Send + Sync>;

/// What deliveries need; one for a worker process.
pub struct Deliverer {
    /// This process.
    pub worker: WorkerId,
    /// Entries.
    pub queue: Arc<dyn Queue>,
    /// Truth.
    pub ledger: Arc<dyn Ledger>,
    /// Stores, by what they hold.
    pub sinks: BTreeMap<Store, Arc<dyn Sink>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Stages.
    pub preparer: Arc<dyn Preparer>,
    /// Times.
    pub lease: LeaseConfig,
    /// Jitter of retries.
    pub jitter: Jitter,
    /// Held for reading by documents that run together, for writing by one that must run alone.
    pub alone: tokio::sync::RwLock<()>,
    /// What this process works on, and what it no longer knows the outcome of.
    pub here: Here,
    /// Which of it is prepared.
    pub writing: Writing,
    /// A known mistake to make, for the simulation.
    #[cfg(feature = "planted-faults")]
    pub planted: Option<PlantedFault>,
}

/// How the work on a granted document ended.
enum Worked {
    Committed {
        seq: CommitSeq,
        summary: Summary,
        deleted: bool,
    },
    Failed(Failure),
    /// The ledger has it as a dead letter already.
    GivenUp(Failure),
    /// The claim is no longer ours, or the entry is not.
    Fenced,
}

impl Deliverer {
    /// Carries one delivery to its end.
    ///
    /// # Errors
    /// Queue or ledger did not answer. Nothing is lost: the lease runs out and the entry comes back.
    pub async fn deliver(&self, delivery: Delivery) -> Result<Outcome, Error> {
        // Generations that were handed in together come together, and all but one of them are refused at once.
        let patience = self.clock.sleep_ms(SECOND_ENTRY_WAIT_MS);
        let Some(_here) = self.here.enter_within(delivery.message.document, patience).await else {
            // A second entry for what this process works on: claiming it would fence our own work.
            self.queue.release(&delivery, self.lease.beat_ms()).await?;
            return Ok(Outcome::Elsewhere);
        };
        let claimed = self.ledger.claim(&delivery.message, &self.worker).await;
        let grant = match claimed.inspect_err(|_| self.here.lost_claim(delivery.message))? {
            Claim::Granted(grant) => {
                self.here.granted(grant.document);
                grant
            }
            Claim::Refused(ClaimDecision::HeldByLiveWorker) => {
                // A worker's lease may outlive its entry's by a beat, but by no more where it is dead.
                self.queue.release(&delivery, self.lease.beat_ms()).await?;
                return Ok(Outcome::Elsewhere);
            }
            Claim::Refused(_) => {
                self.queue.ack(&delivery).await?;
                return Ok(Outcome::NothingToDo);
            }
        };
        if self.plants(PlantedFault::AckEarly) {
            self.queue.ack(&delivery).await?;
        }
        // Until all is settled: acks and the ledger may be what is slow.
        let writing = OnceLock::new();
        let worked = self.work_under_lease(&delivery, &grant, &writing).await;
        match worked {
            Ok(worked) => self.settle(&delivery, &grant, worked).await,
            Err(error) => Err(error),
        }
        // The ledger did not answer, so the row may still be ours, held by a live worker that does
        // nothing for it.
        .inspect_err(|_| self.here.lost_outcome(&grant))
    }

    /// Works while the lease holds; whichever ends first drops the other, before anything is settled.
    async fn work_under_lease<'a>(
        &'a self,
        delivery: &Delivery,
        grant: &Grant,
        writing: &OnceLock<InWriting<'a>>,
    ) -> Result<Worked, Error> {
        let tracker = Tracker::new(grant, self.ledger.as_ref(), self.clock.as_ref());
        let work = std::pin::pin!(self.work(grant, &tracker, writing));
        let lease = std::pin::pin!(self.keep_lease(delivery, &tracker));
        let worked = match select(work, lease).await {
            Either::Left((worked, _)) => worked?,
            Either::Right((LeaseEnd::Lost, _)) => Worked::Fenced,
            Either::Right((LeaseEnd::Stalled, _)) => {
                Worked::Failed(Failure::new(FailureCode::Stalled, tracker.describe()))
            }
        };
        Ok(match worked {
            Worked::Failed(failure) => Worked::Failed(failure.in_stage(tracker.stage())),
            other => other,
        })
    }

    async fn settle(&self, delivery: &Delivery, grant: &Grant, worked: Worked) -> Result<Outcome, Error> {
        let failure = match worked {
            Worked::Committed { seq, summary, deleted } => {
                self.queue.ack(delivery).await?;
                if self.lease.cleanup_delay_ms == 0 {
                    self.clean_up().await?;
                }
                return Ok(if deleted { Outcome::Deleted } else { Outcome::Committed { seq, summary } });
            }
            // Never acked here: the next look at the row says whether anything is left to do. The claim
            // may still be ours (only the entry was lost), and nobody else could take it while we live.
            Worked::Fenced => {
                self.ledger.hand_back(grant).await?;
                self.queue.release(delivery, 0).await?;
                return Ok(Outcome::Elsewhere);
            }
            Worked::GivenUp(failure) => {
                self.queue.ack(delivery).await?;
                return Ok(Outcome::DeadLettered(failure));
            }
            Worked::Failed(failure) => failure,
        };
        match self.ledger.fail(grant, failure.clone(), (self.jitter)()).await? {
            Failed::Retry { after_ms } => {
                self.queue.release(delivery, after_ms).await?;
                Ok(Outcome::Retried(failure))
            }
            Failed::DeadLettered => {
                self.queue.ack(delivery).await?;
                Ok(Outcome::DeadLettered(failure))
            }
            Failed::Fenced => {
                self.queue.release(delivery, 0).await?;
                Ok(Outcome::Elsewhere)
            }
        }
    }

    /// Says that this worker lives, and gives back what it may hold without working on it. Called each
    /// [`LeaseConfig::beat_ms`], and once before the first delivery.
    ///
    /// # Errors
    /// The ledger did not answer; the next beat does the rest.
    pub async fn beat(&self) -> Result<(), Error> {
        self.ledger.heartbeat(&self.worker, self.lease.lease_ms).await?;
        self.here.give_back(self.ledger.as_ref(), &self.worker).await?;
        Ok(())
    }

    /// Prepares, writes and commits under the guard that a document of its history needs.
    async fn work<'a>(
        &'a self,
        grant: &Grant,
        tracker: &Tracker<'_>,
        writing: &OnceLock<InWriting<'a>>,
    ) -> Result<Worked, Error> {
        let _alone;
        let _together;
        if grant.history.starts >= STARTS_ALONE {
            _alone = self.alone.write().await;
        } else {
            _together = self.alone.read().await;
        }
        tracker.begin();
        let prepared = if grant.content.is_some() {
            match self.ledger.start(grant).await? {
                Start::Go => {}
                Start::GaveUp(failure) => return Ok(Worked::GivenUp(failure)),
                Start::Fenced => return Ok(Worked::Fenced),
            }
            match self.preparer.prepare(grant, tracker).await {
                Ok(prepared) => prepared,
                Err(NotPrepared::Failed(failure)) => {
                    let failure = failure.in_stage(tracker.stage());
                    return self.carry(grant, tracker, failure).await;
                }
                Err(NotPrepared::Superseded) => return Ok(Worked::Fenced),
            }
        } else {
            nothing_left(grant)
        };
        let written = writing.get_or_init(|| self.writing.enter());
        tracker.enter(Stage::Index);
        let (first, late) = if self.plants(PlantedFault::CommitBeforeWrite) {
            (&[][..], prepared.indexes.clone())
        } else {
            (&prepared.indexes[..], Vec::new())
        };
        if let Err(failure) = self.write_each(first, grant, tracker).await? {
            return Ok(Worked::Failed(failure));
        }
        let manifests = prepared.indexes.into_iter().map(|index| index.manifest).collect();
        let delay = self.lease.cleanup_delay_ms;
        let summary = prepared.summary;
        match self.ledger.commit(grant, manifests, summary.clone(), delay).await? {
            Commit::Committed { seq } => {
                written.committed();
                // None, but where a mistake is planted.
                let _ = self.write_each(&late, grant, tracker).await?;
                Ok(Worked::Committed { seq, summary, deleted: grant.content.is_none() })
            }
            Commit::Fenced => Ok(Worked::Fenced),
        }
    }

    /// Writes what was prepared for each of the indexes.
    async fn write_each(
        &self,
        indexes: &[PreparedIndex],
        grant: &Grant,
        tracker: &Tracker<'_>,
    ) -> Result<Result<(), Failure>, Error> {
        for index in indexes {
            if let Err(failure) = self.write(index, grant, tracker).await? {
                return Ok(Err(failure));
            }
        }
        Ok(Ok(()))
    }

    /// Writes all chunks of the manifest to every store that must hold them.
    async fn write(
        &self,
        prepared: &PreparedIndex,
        grant: &Grant,
        tracker: &Tracker<'_>,
    ) -> Result<Result<(), Failure>, Error> {
        for (store, sink) in &self.sinks {
            let rows: Vec<Arc<ChunkRow>> = prepared
                .manifest
                .entries
                .iter()
                .zip(&prepared.rows)
                .filter(|(entry, _)| entry.stores.contains(*store))
                .map(|(_, row)| row.clone())
                .collect();
            if rows.is_empty() {
                continue;
            }
            if let Err(failure) = self.write_all(sink.as_ref(), &rows, grant).await {
                return Ok(Err(failure));
            }
            tracker.touch();
        }
        Ok(Ok(()))
    }

    async fn write_all(
        &self,
        sink: &dyn Sink,
        rows: &[Arc<ChunkRow>],
        grant: &Grant,
    ) -> Result<(), Failure> {
        for _ in 0..WRITE_ATTEMPTS_MAX {
            let held = sink.write(rows, grant.epoch).await.map_err(store_failure)?;
            if held == rows.len() {
                return Ok(());
            }
        }
        let detail = format!("the {} store did not keep all of {} rows", sink.store().as_str(), rows.len());
        Err(Failure::new(FailureCode::StoreFailed, detail))
    }

    /// Beats until the lease is lost or the work stands still.
    async fn keep_lease(&self, delivery: &Delivery, tracker: &Tracker<'_>) -> LeaseEnd {
        loop {
            self.clock.sleep_ms(self.lease.beat_ms()).await;
            if !self.plants(PlantedFault::BlindHeartbeat) {
                match decide_beat(&self.lease, tracker.since_progress_ms(), tracker.since_start_ms()) {
                    Beat::Extend => {}
                    Beat::Cancel => return LeaseEnd::Stalled,
                }
            }
            // A queue that does not answer cannot say that the lease is ours.
            if !matches!(self.queue.extend(delivery).await, Ok(true)) {
                return LeaseEnd::Lost;
            }
        }
    }

    /// Carries out the removals that are due. Returns how many.
    ///
    /// # Errors
    /// Ledger or a store did not answer; what is left stays recorded and due.
    pub async fn clean_up(&self) -> Result<u64, Error> {
        maintain::clean_up(self.ledger.as_ref(), &self.sinks, self.queue.as_ref()).await
    }

    #[cfg(feature = "planted-faults")]
    fn plants(&self, fault: PlantedFault) -> bool {
        self.planted == Some(fault)
    }

    #[cfg(not(feature = "planted-faults"))]
    fn plants(&self, _: PlantedFault) -> bool {
        false
    }
}

enum LeaseEnd {
    Lost,
    Stalled,
}

/// A deletion commits a manifest without entries: everything that older ones name is cleaned up.
fn nothing_left(grant: &Grant) -> Prepared {
    let indexes = grant
        .indexes
        .iter()
        .map(|(index, _)| PreparedIndex {
            manifest: Manifest {
                document: grant.document,
                generation: grant.generation,
                index: *index,
                language: "und".to_owned(),
                entries: Vec::new(),
            },
            rows: Vec::new(),
        })
        .collect();
    Prepared { summary: Summary::default(), indexes }
}

fn store_failure(error: sink::Error) -> Failure {
    let code = match error {
        sink::Error::Failed { .. } => FailureCode::StoreFailed,
        sink::Error::DiskFull { .. } => FailureCode::DiskFull,
    };
    Failure::new(code, error.to_string())
}

/// The mark that a stage was reached with nothing of it done yet.
pub fn reached(stage: Stage) -> Progress {
    Progress { stage, units: 0 }
}
