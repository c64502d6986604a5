//! A data directory at work: ledger, stores, queue, models and stages put together, and the loop that
//! keeps as many documents in flight as memory, slots and the health gate allow.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use docmill_core::delivery::LeaseConfig;
use docmill_core::id::TenantId;
use docmill_core::index::{IndexSpec, IndexState};
use docmill_core::limits::DELETED_KEPT_DAYS;
use docmill_core::manifest::Store;
use tokio::sync::watch;

use super::{Concepts, Counters, Embeddings, Error, RunOptions, categories};
use crate::classify::{Classifier, ClassifySettings};
use crate::clock::{Clock, SystemClock};
use crate::delivery::{Deliverer, Here, Sweep, Writing, maintain};
use crate::embed::{MiniLm, Mock};
use crate::extract::{ExtractOptions, Pool};
use crate::health::Bars;
use crate::intake::{self, Finished, GateWatch, GivenUp, Intake, Room};
use crate::ledger::Ledger;
use crate::queue::Queue;
use crate::queue::memory::MemoryQueue;
use crate::sink::Sink;
use crate::sqlite::{Database, GraphSink, TextSink, VectorSink};
use crate::stages::classified::compared_by;
use crate::stages::models::{self, CONCEPTS_BUILTIN, NONE};
use crate::stages::{Fetch, Models, Stages};

/// Documents in flight at once.
pub(super) const DOCUMENTS_IN_FLIGHT: usize = 64;
/// Wait of an idle loop before it looks again.
const IDLE: Duration = Duration::from_millis(20);
/// Rows that one look of the sweep takes.
pub(super) const SWEEP_ROWS: usize = 2_000;

/// How long rows of deleted documents stay, in milliseconds.
pub(super) const DELETED_KEPT_MS: u64 = DELETED_KEPT_DAYS as u64 * 86_400_000;
/// Of them, those that are forgotten together.
pub(super) const FORGET_DOCUMENTS: usize = 1_000;

/// What a session needs to know before it can open.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Whose index is written.
    pub tenant: TenantId,
    /// The embedding model asked for; `None` takes the index's.
    pub embeddings: Option<Embeddings>,
    /// The concept model asked for; `None` takes the index's.
    pub concepts: Option<Concepts>,
    /// What documents are told apart by; `None` takes the data directory's.
    pub classify: Option<ClassifySettings>,
    /// Extractor children.
    pub slots: usize,
    /// What they are told.
    pub extract: ExtractOptions,
    /// The binary that they run.
    pub extractor: PathBuf,
    /// What must be free on the machine.
    pub bars: Bars,
}

impl Setup {
    /// What a run with these options needs.
    pub(super) fn of(options: &RunOptions) -> Self {
        Self {
            tenant: options.tenant.clone(),
            embeddings: options.embeddings,
            concepts: options.concepts,
            classify: options.classify.clone(),
            slots: options.slots,
            extract: options.extract_options(),
            extractor: options.extractor.binary.clone(),
            bars: options.bars,
        }
    }

    /// Makes sure that extractors are held as is asked, before a document is begun. Gives what lacks where it may.
    ///
    /// # Errors
    /// They are not, or do not start.
    pub async fn sandbox(&self) -> Result<Option<String>, Error> {
        let pool = Pool::new(self.extractor.clone(), 1, self.extract.clone());
        let report = pool.sandbox().await.map_err(Error::Extractor)?;
        report
            .judge(self.extract.sandbox)
            .map_err(|failure| Error::Sandbox { lacks: failure.detail, what_to_do: report.what_to_do() })?;
        Ok(report.lacks())
    }
}

/// See the module.
pub struct Session {
    /// Truth and stores.
    pub database: Arc<Database>,
    /// Entries.
    pub queue: Arc<dyn Queue>,
    /// The same, for who waits for more of them.
    #[cfg(feature = "services")]
    pub(super) entries: Arc<MemoryQueue>,
    /// Deliveries.
    pub deliverer: Arc<Deliverer>,
    /// Extractor children.
    pub pool: Arc<Pool>,
    /// Models.
    pub models: Arc<Models>,
    /// What is shown.
    pub counters: Arc<Counters>,
    /// Documents that are done again, as their categories were found by others' rules.
    pub classified_again: u64,
    pub(super) data_dir: PathBuf,
    pub(super) bars: Bars,
    beating: tokio::task::JoinHandle<()>,
}

/// The stores of the embedded shape.
pub fn sinks(database: &Arc<Database>) -> BTreeMap<Store, Arc<dyn Sink>> {
    let sinks: [Arc<dyn Sink>; 3] = [
        Arc::new(TextSink::new(database.clone())),
        Arc::new(VectorSink::new(database.clone())),
        Arc::new(GraphSink::new(database.clone())),
    ];
    sinks.into_iter().map(|sink| (sink.store(), sink)).collect()
}

/// The specification that the flags ask for, given the active index's.
pub fn asked_spec(setup: &Setup, active: Option<&IndexSpec>) -> IndexSpec {
    let (embedder, dimensions) = match (setup.embeddings, active) {
        (None, Some(active)) => (active.embedder.clone(), active.dimensions as usize),
        (Some(Embeddings::None), _) => (NONE.to_owned(), 0),
        (Some(Embeddings::Mock), _) => (Mock::FINGERPRINT.to_owned(), Mock::DIMENSIONS),
        (Some(Embeddings::Builtin) | None, _) => (MiniLm::FINGERPRINT.to_owned(), MiniLm::DIMENSIONS),
    };
    let concepts = match (setup.concepts, active) {
        (None, Some(active)) => active.concepts.clone(),
        (Some(Concepts::None), _) => NONE.to_owned(),
        (Some(Concepts::Builtin) | None, _) => CONCEPTS_BUILTIN.to_owned(),
    };
    models::spec(&embedder, dimensions, &concepts)
}

/// How an index is named to a person.
pub fn describe(spec: &IndexSpec) -> String {
    format!("embeddings {} and concepts {} (chunks {})", spec.embedder, spec.concepts, spec.chunker)
}

/// The active index's specification.
pub async fn active_spec(ledger: &dyn Ledger, tenant: &TenantId) -> Result<Option<IndexSpec>, Error> {
    let indexes = ledger.indexes(tenant).await?;
    Ok(indexes.into_iter().find(|(_, _, state)| *state == IndexState::Active).map(|(_, spec, _)| spec))
}

/// The specification that the flags ask for, which is the active index's where the tenant has one.
///
/// # Errors
/// [`Error::IndexMismatch`], or the database did not answer.
pub(super) async fn fitting_spec(ledger: &dyn Ledger, setup: &Setup) -> Result<IndexSpec, Error> {
    let active = active_spec(ledger, &setup.tenant).await?;
    let asked = asked_spec(setup, active.as_ref());
    match active {
        Some(active) if asked.id() != active.id() => {
            Err(Error::IndexMismatch { has: describe(&active), asked: describe(&asked) })
        }
        _ => Ok(asked),
    }
}

/// Where documents come from, whoever handed them in: what `docmill serve` was given and did not finish may be
/// finished by a run.
#[cfg(feature = "services")]
fn sources(database: &Arc<Database>, data_dir: &Path, setup: &Setup) -> Arc<dyn Fetch> {
    Arc::new(super::uploads::ServedFiles {
        desk: database.clone(),
        objects: data_dir.join(super::uploads::OBJECTS),
        bytes_max: setup.extract.limits.file_mib << 20,
    })
}

/// Where documents come from: without the API there are no uploads.
#[cfg(not(feature = "services"))]
fn sources(_: &Arc<Database>, _: &Path, _: &Setup) -> Arc<dyn Fetch> {
    Arc::new(crate::stages::LocalFiles)
}

/// What differs between sessions that work off what is there and those that serve.
pub(super) struct Parts {
    /// Truth and stores.
    pub database: Arc<Database>,
    /// Models, loaded or not.
    pub models: Arc<Models>,
    /// What the tenant's index is made with.
    pub spec: IndexSpec,
}

impl Session {
    /// Opens the directory and makes everything ready; the tenant's index is begun if it has none.
    ///
    /// # Errors
    /// The directory cannot be used, the flags do not fit its index, or a model cannot be loaded.
    pub async fn open(data_dir: &Path, setup: &Setup, counters: Arc<Counters>) -> Result<Self, Error> {
        let database = Arc::new(Database::open(data_dir, Arc::new(SystemClock))?);
        let asked = fitting_spec(database.as_ref(), setup).await?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let models = Models::new(cores);
        let written = database.indexes(&setup.tenant).await?;
        let building = written.into_iter().filter(|(_, _, state)| *state == IndexState::Building);
        for spec in std::iter::once(asked.clone()).chain(building.map(|(_, spec, _)| spec)) {
            // Now, and not with the first document: without its model nothing could be done.
            models.embedder(&spec).await.map_err(Error::Model)?;
        }
        let parts = Parts { database, models: Arc::new(models), spec: asked };
        Self::of(data_dir, setup, counters, parts).await
    }

    /// Puts the parts together and lets the worker live; the tenant's index is begun if it has none.
    ///
    /// # Errors
    /// The database did not answer.
    pub(super) async fn of(
        data_dir: &Path,
        setup: &Setup,
        counters: Arc<Counters>,
        parts: Parts,
    ) -> Result<Self, Error> {
        let Parts { database, models, spec } = parts;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ledger: Arc<dyn Ledger> = database.clone();
        ledger.begin_index(&setup.tenant, &spec).await?;
        let lease = LeaseConfig::default();
        let worker = intake::worker_id("");
        let writing = Writing::default();
        // The lock is ours: whoever claimed something before is dead.
        if database.take_over(&worker, lease.lease_ms).await? > 0 {
            writing.note_left_rows();
        }
        let classifier = Classifier::new(categories::of(data_dir, setup.classify.as_ref())?).map(Arc::new);
        if classifier.is_some() {
            // Before anything is queued again: without its model nothing could be done.
            models.embedder(&compared_by(std::iter::once(&spec))).await.map_err(Error::Model)?;
        }
        let recipe = classifier.as_ref().map(|classifier| classifier.recipe().to_owned());
        let classified_again = database.classify_again(recipe).await?;

        // A page that is allowed its time must not end the work on its document.
        let lease_stall_ms = lease.lease_stall_ms.max(setup.extract.limits.silence_ms());
        let lease = LeaseConfig { cleanup_delay_ms: 0, lease_stall_ms, ..lease };
        let entries = Arc::new(MemoryQueue::new(clock.clone(), lease.lease_ms));
        let queue: Arc<dyn Queue> = entries.clone();
        let pool = Arc::new(Pool::new(setup.extractor.clone(), setup.slots, setup.extract.clone()));
        if let Some(shortage) = pool.shortage() {
            tracing::warn!(shortage, "memory is short for extractors");
        }
        let stages = Stages {
            cache: None,
            pool: pool.clone(),
            models: models.clone(),
            ledger: ledger.clone(),
            sources: sources(&database, data_dir, setup),
            kept: Arc::new(database.readers().clone()),
            counters: counters.clone(),
            classifier,
        };
        let deliverer = Deliverer {
            worker,
            queue: queue.clone(),
            ledger,
            sinks: sinks(&database),
            clock,
            preparer: Arc::new(stages),
            lease,
            jitter: intake::jitter(),
            alone: tokio::sync::RwLock::new(()),
            here: Here::default(),
            writing,
            #[cfg(feature = "planted-faults")]
            planted: None,
        };
        let deliverer = Arc::new(deliverer);
        deliverer.beat().await?;
        let beating = tokio::spawn(intake::beat(deliverer.clone()));
        let (data_dir, bars) = (data_dir.to_owned(), setup.bars);
        Ok(Self {
            database,
            queue,
            #[cfg(feature = "services")]
            entries,
            deliverer,
            pool,
            models,
            counters,
            classified_again,
            data_dir,
            bars,
            beating,
        })
    }

    /// Delivers until `scan_done` and nothing is left, or `stop` says so; then what is in hand is given back.
    ///
    /// # Errors
    /// The ledger stopped, or a delivery could not be settled.
    pub async fn deliver_all(
        &self,
        scan_done: Arc<AtomicBool>,
        mut stop: watch::Receiver<bool>,
        finished: &mut dyn FnMut(Finished),
    ) -> Result<(), Error> {
        let gate = GateWatch::new(&self.data_dir, self.bars);
        let kept = Arc::new(self.database.readers().clone());
        let room = Room { preparing: DOCUMENTS_IN_FLIGHT, in_all: DOCUMENTS_IN_FLIGHT };
        let mut intake = Intake::new(self.deliverer.clone(), kept, gate, room);
        loop {
            if *stop.borrow() {
                // As if it had not been begun.
                intake.abandon().await;
                self.database.hand_back_all(&self.deliverer.worker).await?;
                return Ok(());
            }
            let received = intake.receive().await.map_err(delivery_error)?;
            if let Some(lacks) = intake.given_up() {
                return Err(self.lacks(lacks));
            }
            if received == 0 && intake.is_idle() && scan_done.load(Ordering::Acquire) {
                let round =
                    maintain(self.queue.as_ref(), self.database.as_ref(), &self.deliverer.sinks).await?;
                let due = self.queue.next_due_ms().await.map_err(delivery_error)?;
                if round.reconciled == 0 && round.promoted == 0 && due.is_none() {
                    return Ok(());
                }
            } else {
                self.queue.promote().await.map_err(delivery_error)?;
            }
            tokio::select! {
                ended = intake.ended(), if !intake.is_idle() => {
                    for ended in ended {
                        finished(ended?);
                    }
                }
                () = tokio::time::sleep(IDLE) => {}
                _ = stop.changed() => {}
            }
        }
    }

    fn lacks(&self, lacks: GivenUp) -> Error {
        match lacks {
            GivenUp::Disk { free_mib, wanted_mib } => {
                Error::DiskLow { dir: self.data_dir.clone(), free_mib, wanted_mib }
            }
            GivenUp::Memory { free_mib, wanted_mib } => Error::MemoryLow { free_mib, wanted_mib },
        }
    }

    /// Removes rows that were written and not committed, by this worker or one that died. Returns whether none are
    /// left: those of documents that still wait stay.
    async fn sweep(&self) -> Result<bool, Error> {
        if !self.deliverer.writing.take_left_rows() {
            return Ok(true);
        }
        let (mut sweep, mut spared) = (Sweep::default(), 0);
        loop {
            let swept = sweep.round(self.database.as_ref(), &self.deliverer.sinks, SWEEP_ROWS).await?;
            spared += swept.spared;
            if swept.wrapped {
                return Ok(spared == 0);
            }
        }
    }

    /// Tidies up, ends the children and says that this worker is gone.
    ///
    /// # Errors
    /// The database did not answer; the next session does the rest.
    pub async fn close(self) -> Result<(), Error> {
        self.beating.abort();
        self.pool.shutdown().await;
        let clean = self.sweep().await?;
        while self.database.sweep_derived().await? > 0 {}
        while self.database.forget_deleted(DELETED_KEPT_MS, FORGET_DOCUMENTS).await? > 0 {}
        let worker = &self.deliverer.worker;
        if clean {
            self.database.retire_worker(worker).await?;
        } else {
            self.database.leave(worker).await?;
        }
        Ok(())
    }
}

pub(super) fn delivery_error(error: crate::queue::Error) -> Error {
    Error::Delivery(error.into())
}

#[cfg(test)]
mod tests {
    use docmill_core::id::{ChunkId, ContentHash, Epoch, IndexId, TextHash};

    use super::*;
    use crate::ledger::{Registration, WorkerId};
    use crate::sink::ChunkRow;

    /// Once nothing of the session before holds it.
    async fn opened(dir: &Path) -> Arc<Database> {
        loop {
            match Database::open(dir, Arc::new(SystemClock)) {
                Ok(database) => return Arc::new(database),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    fn count(database: &Database, sql: &str) -> u32 {
        database.readers().read(|file| file.query_row(sql, [], |row| row.get(0))).unwrap().unwrap()
    }

    #[tokio::test]
    async fn rows_of_a_document_that_waits_are_looked_at_again() {
        let dir = tempfile::tempdir().unwrap();
        let tenant = TenantId::default();
        let setup = Setup {
            tenant: tenant.clone(),
            embeddings: Some(Embeddings::Mock),
            concepts: None,
            classify: None,
            slots: 1,
            extract: ExtractOptions::default(),
            extractor: PathBuf::from("never started"),
            bars: Bars::NONE,
        };
        // A worker died after it wrote a row and before it committed the document.
        let database = opened(dir.path()).await;
        database.take_over(&WorkerId("dead".to_owned()), 60_000).await.unwrap();
        let registration = Registration {
            tenant: tenant.clone(),
            uri: "file:///waits.txt".to_owned(),
            content: ContentHash([1; 32]),
            bytes: 1,
            stat: None,
            scanned_at_ns: 0,
            root: None,
        };
        database.register(vec![registration]).await.unwrap();
        let document = database.unsettled(1).await.unwrap()[0].document;
        let row = ChunkRow {
            tenant,
            chunk: ChunkId::from_bytes([2; 16]),
            document,
            index: IndexId(1),
            text_hash: TextHash([3; 32]),
            text: "of an earlier content".into(),
            terms: "earlier content".into(),
            embedding: None,
            mentions: [].into(),
        };
        TextSink::new(database.clone()).write(&[Arc::new(row)], Epoch(1)).await.unwrap();
        drop(database);

        Session::open(dir.path(), &setup, Arc::default()).await.unwrap().close().await.unwrap();
        let database = opened(dir.path()).await;
        assert_eq!(count(&database, "SELECT count(*) FROM chunks"), 1, "its document may still commit it");
        let failed =
            |file: &rusqlite::Connection| file.execute("UPDATE documents SET state = 'failed'", []);
        database.writer().run(crate::sqlite::Answer::Durable, failed).await.unwrap();
        drop(database);

        Session::open(dir.path(), &setup, Arc::default()).await.unwrap().close().await.unwrap();
        let database = opened(dir.path()).await;
        assert_eq!(count(&database, "SELECT count(*) FROM chunks"), 0);
        assert_eq!(count(&database, "SELECT count(*) FROM workers"), 0, "nobody left anything");
    }
}
