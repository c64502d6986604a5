//! A data directory at work: ledger, stores, queue, models and stages put together, and the loop that
//! keeps as many documents in flight as memory, slots and the health gate allow.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use docmill_core::delivery::LeaseConfig;
use docmill_core::failure::FailureCode;
use docmill_core::id::TenantId;
use docmill_core::index::{IndexSpec, IndexState};
use docmill_core::manifest::Store;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::{Concepts, Counters, Embeddings, Error};
use crate::clock::{Clock, SystemClock};
use crate::delivery::{Deliverer, Here, Outcome, Sweep, maintain};
use crate::embed::{Batcher, BatcherOptions, MiniLm, Mock, model_named};
use crate::extract::{ExtractOptions, Pool};
use crate::health::{self, Bars, Free, Gate};
use crate::ledger::{Ledger, WorkerId};
use crate::queue::memory::MemoryQueue;
use crate::queue::{Delivery, Queue};
use crate::sink::Sink;
use crate::sqlite::{Database, GraphSink, TextSink, VectorSink};
use crate::stages::models::{self, CONCEPTS_BUILTIN, NONE};
use crate::stages::{Models, Stages};

/// Documents in flight at once.
const DOCUMENTS_IN_FLIGHT: usize = 64;
/// Bytes of documents in flight at once: a document holds what its parsing may need.
const BYTES_IN_FLIGHT: usize = 1 << 30;
/// Least bytes that a document is counted as.
const BYTES_A_DOCUMENT_MIN: u64 = 64 * 1024;
/// Looks at the health of the machine.
const GATE_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for memory that others have, with nothing of this process in work.
const MEMORY_WAIT: Duration = Duration::from_secs(600);
/// Wait of an idle loop before it looks again.
const IDLE: Duration = Duration::from_millis(20);
/// Rows that one look of the sweep takes.
const SWEEP_ROWS: usize = 2_000;

/// What a session needs to know before it can open.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Whose index is written.
    pub tenant: TenantId,
    /// The embedding model asked for; `None` takes the index's.
    pub embeddings: Option<Embeddings>,
    /// The concept model asked for; `None` takes the index's.
    pub concepts: Option<Concepts>,
    /// Extractor children.
    pub slots: usize,
    /// What they are told.
    pub extract: ExtractOptions,
    /// The binary that they run.
    pub extractor: PathBuf,
    /// What must be free on the machine.
    pub bars: Bars,
}

/// How one delivery ended, for the report.
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

/// See the module.
pub struct Session {
    /// Truth and stores.
    pub database: Arc<Database>,
    /// Entries.
    pub queue: Arc<dyn Queue>,
    /// Deliveries.
    pub deliverer: Arc<Deliverer>,
    /// Extractor children.
    pub pool: Arc<Pool>,
    /// Models.
    pub models: Arc<Models>,
    /// What is shown.
    pub counters: Arc<Counters>,
    data_dir: PathBuf,
    bars: Bars,
    /// A worker died or lost a claim after it may have written rows that no manifest names.
    rows_may_be_loose: AtomicBool,
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

/// Loads the model that an index names.
pub fn load_embedder(spec: &IndexSpec, threads: usize) -> Result<Option<Arc<Batcher>>, Error> {
    let Some(model) = model_named(&spec.embedder).map_err(Error::Model)? else { return Ok(None) };
    let options = BatcherOptions { threads, ..BatcherOptions::default() };
    let batcher = Batcher::new(model, options).map_err(|error| Error::Model(error.to_string()))?;
    Ok(Some(Arc::new(batcher)))
}

impl Session {
    /// Opens the directory and makes everything ready; the tenant's index is begun if it has none.
    ///
    /// # Errors
    /// The directory cannot be used, the flags do not fit its index, or a model cannot be loaded.
    pub async fn open(data_dir: &Path, setup: &Setup, counters: Arc<Counters>) -> Result<Self, Error> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let database = Arc::new(Database::open(data_dir, clock.clone())?);
        let ledger: Arc<dyn Ledger> = database.clone();
        let active = active_spec(ledger.as_ref(), &setup.tenant).await?;
        let asked = asked_spec(setup, active.as_ref());
        if let Some(active) = &active
            && asked.id() != active.id()
        {
            return Err(Error::IndexMismatch { has: describe(active), asked: describe(&asked) });
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut models = Models::default();
        let written = ledger.indexes(&setup.tenant).await?;
        let building = written.into_iter().filter(|(_, _, state)| *state == IndexState::Building);
        for spec in std::iter::once(asked.clone()).chain(building.map(|(_, spec, _)| spec)) {
            if let Some(embedder) = load_embedder(&spec, cores)? {
                models.add(embedder);
            }
        }
        ledger.begin_index(&setup.tenant, &asked).await?;
        // The lock is ours: whoever claimed something before is dead.
        let died = database.retire_all_workers().await? > 0;

        let lease = LeaseConfig { cleanup_delay_ms: 0, ..LeaseConfig::default() };
        let queue: Arc<dyn Queue> = Arc::new(MemoryQueue::new(clock.clone(), lease.lease_ms));
        let pool = Arc::new(Pool::new(setup.extractor.clone(), setup.slots, setup.extract.clone()));
        let models = Arc::new(models);
        let stages = Stages {
            pool: pool.clone(),
            models: models.clone(),
            ledger: ledger.clone(),
            readers: database.readers().clone(),
            counters: counters.clone(),
        };
        let started_ns =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let worker = WorkerId(format!("{}-{:x}", std::process::id(), started_ns.as_nanos()));
        let deliverer = Deliverer {
            worker,
            queue: queue.clone(),
            ledger,
            sinks: sinks(&database),
            clock,
            preparer: Arc::new(stages),
            lease,
            jitter: jitter(),
            alone: tokio::sync::RwLock::new(()),
            here: Here::default(),
            #[cfg(feature = "planted-faults")]
            planted: None,
        };
        let deliverer = Arc::new(deliverer);
        deliverer.beat().await?;
        let beating = tokio::spawn(beat(deliverer.clone()));
        let (data_dir, rows_may_be_loose) = (data_dir.to_owned(), AtomicBool::new(died));
        let bars = setup.bars;
        Ok(Self {
            database,
            queue,
            deliverer,
            pool,
            models,
            counters,
            data_dir,
            bars,
            rows_may_be_loose,
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
        let budget = Arc::new(Semaphore::new(BYTES_IN_FLIGHT));
        let mut running: JoinSet<Result<Finished, Error>> = JoinSet::new();
        let mut gate = GateWatch::new(&self.data_dir, self.bars);
        let mut look = 0u64;
        loop {
            if *stop.borrow() {
                return self.hand_back(running).await;
            }
            let mut received = 0;
            let seen = gate.look();
            if running.is_empty()
                && let Some(error) = gate.given_up()
            {
                return Err(error);
            }
            if seen == Gate::Open {
                let free = DOCUMENTS_IN_FLIGHT.saturating_sub(running.len());
                let consumer = &self.deliverer.worker.0;
                for delivery in self.queue.receive(consumer, look, free).await.map_err(delivery_error)? {
                    look += 1;
                    received += 1;
                    running.spawn(deliver_one(
                        self.deliverer.clone(),
                        self.database.clone(),
                        delivery,
                        budget.clone(),
                    ));
                }
            }
            if received == 0 && running.is_empty() && scan_done.load(Ordering::Acquire) {
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
                ended = running.join_next(), if !running.is_empty() => {
                    for ended in ended.into_iter().chain(std::iter::from_fn(|| running.try_join_next())) {
                        let ended = ended.map_err(|error| crate::ledger::Error::Failed(error.to_string()))??;
                        if leaves_rows(&ended.outcome) {
                            self.rows_may_be_loose.store(true, Ordering::Relaxed);
                        }
                        finished(ended);
                    }
                }
                () = tokio::time::sleep(IDLE) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Ends everything in hand and gives it back, as if it had not been begun.
    async fn hand_back(&self, mut running: JoinSet<Result<Finished, Error>>) -> Result<(), Error> {
        running.shutdown().await;
        self.database.hand_back_all(&self.deliverer.worker).await?;
        Ok(())
    }

    /// Removes rows that a worker left that died between its writes and its commit.
    async fn sweep(&self) -> Result<(), Error> {
        if !self.rows_may_be_loose.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut sweep = Sweep::default();
        while !sweep.round(self.database.as_ref(), &self.deliverer.sinks, SWEEP_ROWS).await?.wrapped {}
        Ok(())
    }

    /// Tidies up, ends the children and says that this worker is gone.
    ///
    /// # Errors
    /// The database did not answer; the next session does the rest.
    pub async fn close(self) -> Result<(), Error> {
        self.beating.abort();
        self.pool.shutdown().await;
        self.sweep().await?;
        while self.database.sweep_derived().await? > 0 {}
        self.database.retire_worker(&self.deliverer.worker).await?;
        Ok(())
    }
}

/// Whether a delivery that ended so may have written rows that it did not commit.
fn leaves_rows(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Elsewhere => true,
        Outcome::DeadLettered(failure) | Outcome::Retried(failure) => {
            failure.code == FailureCode::StoreFailed
        }
        Outcome::Committed { .. } | Outcome::Deleted | Outcome::NothingToDo => false,
    }
}

fn delivery_error(error: crate::queue::Error) -> Error {
    Error::Delivery(error.into())
}

/// Says that the worker lives, each third of a lease.
async fn beat(deliverer: Arc<Deliverer>) {
    loop {
        tokio::time::sleep(Duration::from_millis(deliverer.lease.beat_ms())).await;
        if let Err(error) = deliverer.beat().await {
            tracing::warn!(%error, "heartbeat failed");
        }
    }
}

/// Numbers in [0, 1) that differ between processes; nothing secret depends on them.
fn jitter() -> crate::delivery::Jitter {
    let seed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |now| now.as_nanos() as u64);
    let state = AtomicU64::new(seed | 1);
    Arc::new(move || {
        // Weyl sequence mixed by the finaliser of MurmurHash3.
        let mut x = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        ((x ^ (x >> 33)) >> 11) as f64 / (1u64 << 53) as f64
    })
}

/// One delivery under the byte budget.
async fn deliver_one(
    deliverer: Arc<Deliverer>,
    database: Arc<Database>,
    delivery: Delivery,
    budget: Arc<Semaphore>,
) -> Result<Finished, Error> {
    let document = delivery.message.document;
    let look = database.readers().clone();
    let place = move || {
        look.read(|connection| {
            connection
                .prepare_cached("SELECT uri, bytes FROM documents WHERE document = ?")?
                .query_row([&document.as_bytes()[..]], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?))
                })
        })
    };
    let (uri, bytes) = place().ok().and_then(Result::ok).unwrap_or_default();
    let weight = bytes.max(BYTES_A_DOCUMENT_MIN).min(BYTES_IN_FLIGHT as u64) as u32;
    let _held = budget.acquire_many(weight).await;
    let began = Instant::now();
    let outcome = deliverer.deliver(delivery).await?;
    Ok(Finished { outcome, uri, bytes, seconds: began.elapsed().as_secs_f64() })
}

/// Looks at the machine at most once a second and logs when the gate closes or opens.
struct GateWatch {
    data_dir: PathBuf,
    bars: Bars,
    looked: Option<(Instant, Gate, Free)>,
    closed_since: Option<Instant>,
}

impl GateWatch {
    fn new(data_dir: &Path, bars: Bars) -> Self {
        Self { data_dir: data_dir.to_owned(), bars, looked: None, closed_since: None }
    }

    fn look(&mut self) -> Gate {
        if let Some((at, gate, _)) = self.looked
            && at.elapsed() < GATE_EVERY
        {
            return gate;
        }
        let mut free = health::look(&self.data_dir);
        let mut gate = health::decide(free, self.bars, false);
        if gate == Gate::Reclaim {
            health::reclaim_memory();
            free = health::look(&self.data_dir);
            gate = health::decide(free, self.bars, true);
        }
        let now = Instant::now();
        match (gate, self.closed_since) {
            (Gate::Open, Some(_)) => {
                tracing::warn!("the health gate opened again");
                self.closed_since = None;
            }
            (Gate::Open, None) | (_, Some(_)) => {}
            (_, None) => {
                tracing::warn!(reason = ?gate, "the health gate closed: no new documents are begun");
                self.closed_since = Some(now);
            }
        }
        self.looked = Some((now, gate, free));
        gate
    }

    /// What there is no use waiting for once nothing is in work: disk frees nobody but the user, and
    /// memory not for ever.
    fn given_up(&self) -> Option<Error> {
        let (_, gate, free) = self.looked?;
        let (waited, bars) = (self.closed_since?.elapsed(), self.bars);
        match gate {
            Gate::WaitForDisk => Some(Error::DiskLow {
                dir: self.data_dir.clone(),
                free_mib: free.disk_mib.unwrap_or_default(),
                wanted_mib: bars.disk_mib,
            }),
            Gate::WaitForMemory if waited >= MEMORY_WAIT => Some(Error::MemoryLow {
                free_mib: free.memory_mib.unwrap_or_default(),
                wanted_mib: bars.memory_mib,
            }),
            Gate::WaitForMemory | Gate::Open | Gate::Reclaim => None,
        }
    }
}
