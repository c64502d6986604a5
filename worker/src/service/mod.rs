//! A worker process of the cluster: puts queue, ledger, stores, objects and stages together, and takes work
//! until it is asked to end.
//!
//! What becomes of a document is in [`crate::delivery`] and [`crate::stages`], as on one machine. A back end
//! that is away stops nothing but the work on it: what was begun comes back by its lease.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use docmill_core::manifest::Store;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::cache::{Cache, RedisCache};
use crate::classify::Classifier;
use crate::clock::SystemClock;
use crate::config::{GraphStore, Settings};
use crate::delivery::{Deliverer, Here, Writing};
use crate::embedded::{Counters, Metrics};
use crate::extract::{Pool, SandboxMode};
use crate::health::Bars;
use crate::http;
use crate::intake::{self, Finished, GateWatch, Intake, Room};
use crate::neo4j;
use crate::objects::{self, Objects, Scratch};
use crate::postgres::{self, Database, GraphSink, PostgresLedger, TextSink, VectorSink};
use crate::queue::Queue;
use crate::queue::redis::RedisQueue;
use crate::sink::{Batched, Sink};
use crate::stages::{Models, Stages};
use crate::upkeep::Upkeep;

mod drain;
mod sources;
mod start;
mod told;

use drain::{At, Drain};
use sources::Sources;
pub(crate) use start::opened;
use told::Told;

/// Documents for each extractor that are not prepared yet: one is read, another is fetched, embedded or begun.
const PREPARING_A_SLOT: usize = 2;
/// Fewest of them.
const PREPARING_MIN: usize = 4;
/// Documents in work for each extractor in all: most of them wait for the disks of stores, which take many at once.
const DOCUMENTS_A_SLOT: usize = 8;
/// Fewest of them.
const DOCUMENTS_MIN: usize = 16;
/// Writes to a store at once, of all documents in work: while one waits for the disk the next one is put together.
const WRITES_AT_ONCE: usize = 2;
/// The same for the graph: writes of one process would only wait for each other's locks on common concepts.
const GRAPH_WRITES_AT_ONCE: usize = 1;
/// Wait of an idle worker before it looks again, doubled while nothing comes.
const IDLE_MIN: Duration = Duration::from_millis(20);
const IDLE_MAX: Duration = Duration::from_millis(500);
/// Wait after a back end did not answer.
const AWAY: Duration = Duration::from_secs(1);

/// Why a worker cannot begin, or could not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The ledger's server.
    #[error("the ledger: {0}")]
    Postgres(#[from] postgres::Error),
    /// The server of the concept graph.
    #[error("the graph: {0}")]
    Neo4j(#[from] neo4j::Error),
    /// The ledger.
    #[error(transparent)]
    Delivery(#[from] crate::delivery::Error),
    /// The place of objects.
    #[error(transparent)]
    Objects(#[from] objects::Error),
    /// Scratch.
    #[error("scratch cannot be used: {0}")]
    Scratch(std::io::Error),
    /// The health endpoint.
    #[error("port {port} cannot be used: {error}")]
    Port {
        /// Which.
        port: u16,
        /// What the system said.
        error: std::io::Error,
    },
    /// Extractors.
    #[error("the extractor does not start: {0}")]
    Extractor(String),
    /// What holds them is not whole, and nobody said that it need not be.
    #[error("{lacks}: {what_to_do}; or set extract.sandbox to bestEffort, which does without it")]
    Sandbox {
        /// What lacks.
        lacks: String,
        /// What may bring it back.
        what_to_do: String,
    },
    /// Two metrics have one name, which is a mistake in this program.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// Where a worker runs.
#[derive(Debug, Clone)]
pub struct Place {
    /// The binary that extracts: the worker's own.
    pub extractor: PathBuf,
    /// Name of the pod, so that its processes are told from those of others; may be empty.
    pub host: String,
}

/// Everything that one worker process has.
struct Worker {
    deliverer: Arc<Deliverer>,
    ledger: Arc<PostgresLedger>,
    pool: Arc<Pool>,
    counters: Arc<Counters>,
    told: Arc<Told>,
    drain: Drain,
    beating: AbortHandle,
    grace: Duration,
}

/// Works until `stop` turns true; then it takes nothing more, finishes within the grace of the settings and
/// hands the rest back.
///
/// # Errors
/// It cannot begin, or the ledger did not take back what it had: then its lease runs out.
pub async fn run(settings: &Settings, place: &Place, mut stop: watch::Receiver<bool>) -> Result<(), Error> {
    let port = settings.health_port;
    let listener = http::listen_everywhere(port).await.map_err(|error| Error::Port { port, error })?;
    let counters: Arc<Counters> = Arc::default();
    let metrics = Arc::new(Metrics::new(counters.clone())?);
    let told = Arc::new(Told::new(metrics));
    let mut beside = tokio::task::JoinSet::new();
    let (_serving, until) = watch::channel(false);
    beside.spawn(http::serve(listener, told::router(told.clone()), told::LIMITS, until));

    let slots = settings.concurrency.map_or_else(cores, usize::from);
    let pool = Arc::new(Pool::new(place.extractor.clone(), slots, settings.extract.clone()));
    let slots = pool.slots();
    if let Some(shortage) = pool.shortage() {
        tracing::warn!(shortage, "memory is short for extractors");
    }
    // Before anything is taken: no document should wait for a pod that may not read it.
    sandbox(&pool, settings.extract.sandbox).await?;
    let scratch = Scratch::open(&settings.scratch).map_err(Error::Scratch)?;
    let objects = settings.objects.as_ref().map(|options| Ok((Objects::open(options)?, options.clone())));
    let database = async || Box::pin(Database::open(&settings.postgres)).await;
    let Some(database) = opened(&mut stop, postgres::Error::stays, database).await? else { return Ok(()) };
    let sinks = async || sinks(&database, &settings.graph).await;
    let Some(sinks) = opened(&mut stop, neo4j::Error::stays, sinks).await? else { return Ok(()) };
    let ledger = Arc::new(PostgresLedger::new(database.clone(), settings.lease.cleanup_delay_ms));
    let queue: Arc<dyn Queue> = Arc::new(RedisQueue::new(settings.redis.clone()));
    let stages = Stages {
        pool: pool.clone(),
        models: Arc::new(Models::new(cores())),
        ledger: ledger.clone(),
        sources: Arc::new(Sources {
            objects: objects.transpose().map_err(Error::Objects)?,
            scratch,
            file_root: settings.file_root.clone(),
            bytes_max: settings.extract.limits.file_mib << 20,
            uploads: database.clone(),
        }),
        cache: cache(settings),
        kept: Arc::new(database.clone()),
        counters: counters.clone(),
        classifier: Classifier::new(settings.classify.clone()).map(Arc::new),
    };
    let deliverer = Arc::new(Deliverer {
        worker: intake::worker_id(&place.host),
        queue: queue.clone(),
        ledger: ledger.clone(),
        sinks,
        clock: Arc::new(SystemClock),
        preparer: Arc::new(stages),
        lease: settings.lease.clone(),
        jitter: intake::jitter(),
        alone: tokio::sync::RwLock::new(()),
        here: Here::default(),
        writing: Writing::default(),
        #[cfg(feature = "planted-faults")]
        planted: crate::delivery::PlantedFault::from_environment(),
    });
    let beat = async || Box::pin(deliverer.beat()).await;
    if opened(&mut stop, |_: &crate::delivery::Error| false, beat).await?.is_none() {
        return Ok(());
    }
    let beating = beside.spawn(intake::beat(deliverer.clone()));
    if settings.upkeep {
        let sinks = deliverer.sinks.clone();
        let upkeep = Upkeep::new(settings, database.clone(), ledger.clone(), queue, sinks);
        beside.spawn(Box::pin(upkeep.run()));
    }
    let gate = GateWatch::new(&settings.scratch.path, Bars { disk_mib: 0, ..Bars::default() });
    let room = Room {
        preparing: (slots * PREPARING_A_SLOT).max(PREPARING_MIN),
        in_all: (slots * DOCUMENTS_A_SLOT).max(DOCUMENTS_MIN),
    };
    let mut intake = Intake::new(deliverer.clone(), Arc::new(database.clone()), gate, room);
    let drain = Drain::start(&mut beside, database, deliverer.worker.clone(), place.host.clone());
    let worker = Worker { deliverer, ledger, pool, counters, told, drain, beating, grace: settings.grace };
    tracing::info!(worker = worker.deliverer.worker.0, slots, "the worker takes work");
    worker.take(&mut intake, &mut stop).await;
    let ended = worker.end(&mut intake).await;
    beside.shutdown().await;
    ended
}

/// Makes sure that extractors are held as the settings want it, and says how they are.
async fn sandbox(pool: &Pool, mode: SandboxMode) -> Result<(), Error> {
    let report = pool.sandbox().await.map_err(Error::Extractor)?;
    report
        .judge(mode)
        .map_err(|failure| Error::Sandbox { lacks: failure.detail, what_to_do: report.what_to_do() })?;
    let (landlock_abi, seccomp) = (report.landlock_abi, report.seccomp);
    match report.lacks() {
        Some(lacks) => tracing::warn!(lacks, "extractors are held by what there is"),
        None if mode == SandboxMode::Off => tracing::warn!("extractors are held by limits alone"),
        None => tracing::info!(landlock_abi, seccomp, "extractors are held"),
    }
    Ok(())
}

/// Where answers of models are kept beside the ledger.
fn cache(settings: &Settings) -> Option<Arc<dyn Cache>> {
    let cache = settings.cache.as_ref()?;
    Some(Arc::new(RedisCache::new(cache.redis.clone(), cache.ttl_s)))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The stores: in the ledger's server, but for a graph that has a server of its own.
pub(crate) async fn sinks(
    database: &Database,
    graph: &GraphStore,
) -> Result<BTreeMap<Store, Arc<dyn Sink>>, neo4j::Error> {
    let graph: Arc<dyn Sink> = match graph {
        GraphStore::Postgres => Arc::new(GraphSink::new(database.clone())),
        GraphStore::Neo4j(options) => {
            Arc::new(neo4j::GraphSink::new(Box::pin(neo4j::Database::open(options)).await?))
        }
    };
    let text: Arc<dyn Sink> = Arc::new(TextSink::new(database.clone()));
    let vectors: Arc<dyn Sink> = Arc::new(VectorSink::new(database.clone()));
    let batched = |sink: Arc<dyn Sink>| {
        let at_once = if sink.store() == Store::Graph { GRAPH_WRITES_AT_ONCE } else { WRITES_AT_ONCE };
        Arc::new(Batched::new(sink, at_once)) as Arc<dyn Sink>
    };
    Ok([text, vectors, graph].map(batched).into_iter().map(|sink| (sink.store(), sink)).collect())
}

impl Worker {
    /// Takes work until it is asked to end.
    async fn take(&self, intake: &mut Intake, stop: &mut watch::Receiver<bool>) {
        let mut wait = IDLE_MIN;
        let mut ordered = self.drain.ordered();
        while !*stop.borrow() {
            let held = *ordered.borrow_and_update();
            self.tell(intake, held);
            wait = if held { IDLE_MAX } else { self.receive(intake, wait).await };
            self.tell(intake, held);
            tokio::select! {
                ended = intake.ended(), if !intake.is_idle() => {
                    ended.into_iter().for_each(|ended| self.note(ended));
                    // There is room again.
                    wait = IDLE_MIN;
                }
                // There may be room again for one to prepare.
                () = self.deliverer.writing.more() => {}
                () = tokio::time::sleep(wait) => {}
                Ok(()) = ordered.changed() => wait = IDLE_MIN,
                // Who could say it is gone: that is to end, too.
                changed = stop.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Says what it is at. Ready is who began and is not drained, whatever it waits for: of pods that are to go those
    /// go first that are not ready, and one that is at a document must not be among them.
    fn tell(&self, intake: &Intake, held: bool) {
        let (documents, oldest_began_ms) = (intake.in_work(), intake.oldest_began_ms());
        let at = At { documents, oldest_began_ms, held };
        self.told.drained.store(at.is_drained(), Ordering::Relaxed);
        self.drain.is_at(at);
    }

    /// Takes what there is room for; says how long to wait for the next look.
    async fn receive(&self, intake: &mut Intake, wait: Duration) -> Duration {
        match intake.receive().await {
            Ok(received) => {
                self.told.began.store(true, Ordering::Relaxed);
                if received > 0 { IDLE_MIN } else { (wait * 2).min(IDLE_MAX) }
            }
            Err(error) => {
                tracing::warn!(%error, "no work can be taken");
                AWAY
            }
        }
    }

    /// Finishes within the grace, and hands back what is left: others may claim it at once, and it counts as
    /// not begun.
    async fn end(&self, intake: &mut Intake) -> Result<(), Error> {
        self.told.began.store(false, Ordering::Relaxed);
        tracing::info!(grace_ms = self.grace.as_millis() as u64, "the worker ends");
        let until = Instant::now() + self.grace;
        while !intake.is_idle() {
            tokio::select! {
                ended = intake.ended() => ended.into_iter().for_each(|ended| self.note(ended)),
                () = tokio::time::sleep_until(until) => break,
            }
        }
        let left = intake.abandon().await;
        // A beat after the farewell would say that it lives.
        self.beating.abort();
        self.pool.shutdown().await;
        // The row before its entry: whoever receives the entry must find the row free.
        let handed_back = self.ledger.hand_back_all(&self.deliverer.worker).await;
        tracing::info!(documents = left.len(), "hands back what was in work");
        let gone = self.deliverer.leave(&left).await;
        handed_back.map_err(crate::delivery::Error::from)?;
        gone?;
        Ok(())
    }

    fn note(&self, ended: Result<Finished, crate::delivery::Error>) {
        let finished = match ended {
            Ok(finished) => finished,
            Err(error) => {
                tracing::warn!(%error, "a delivery was not settled and comes back");
                return;
            }
        };
        self.told.metrics.observe(&finished);
        finished.tell(&self.counters);
    }
}
