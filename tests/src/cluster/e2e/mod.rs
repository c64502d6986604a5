//! The whole way of a person, on a real cluster: install, apply, upload, watch it scale up, down to none and back,
//! look into the stores, delete, apply again, delete all. Meanwhile extractors of a worker try to get out.

mod ending;
mod outcome;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

pub use outcome::Outcome;

use super::documents::{documents, texts};
use super::{Api, Cluster, Installation, Pipeline, Replicas, sandbox};

/// Namespace of the pipeline.
const NAMESPACE: &str = "docs";
/// The sample that is applied.
const SAMPLE: &str = "minimal";
/// Longest time until all of a new pipeline answers.
const READY_MAX: Duration = Duration::from_secs(300);
/// Longest time until a number of workers is asked for that the queue asks for.
const SCALE_MAX: Duration = Duration::from_secs(30);
/// Longest time until a few documents are committed.
const FEW_MAX: Duration = Duration::from_secs(180);
/// Longest time for each document of many.
const EACH_MAX: Duration = Duration::from_secs(5);
/// Documents of an upload.
const TOGETHER: usize = 10;
/// Documents that are kept waiting or in work while workers are to go.
const KEPT: u64 = 12;
/// Size of each of them: seconds of work.
const SLOW_BYTES: usize = 30_000;
/// Seeds of texts: no two uploads bring the same.
const SEED: u64 = 1_000_000;

/// What is tried.
#[derive(Debug, Clone)]
pub struct Options {
    /// Documents of the first upload.
    pub documents: usize,
    /// The values as shipped, whose windows take minutes, not a test's.
    pub shipped: bool,
    /// Autoscalers of the cluster look as seldom as released ones do.
    pub stock: bool,
}

impl Options {
    fn patch(&self) -> Value {
        if self.shipped {
            return json!({});
        }
        json!({"spec": {
            "workers": {"replicas": {"max": 4}},
            "autoscaling": {
                "queueDepthPerReplica": 20, "scaleDownWindow": "10s", "scaleToZeroAfter": "15s",
            },
        }})
    }

    /// Longest time until a window is over and what follows is done.
    fn window_max(&self) -> Duration {
        Duration::from_secs(if self.shipped { 20 * 60 } else { 120 })
    }

    /// Longest time until many documents are committed.
    fn many_max(&self) -> Duration {
        EACH_MAX * u32::try_from(self.documents).unwrap_or(u32::MAX)
    }
}

/// Starts a cluster, tries all of it, and takes the cluster down.
///
/// # Errors
/// Something could not be tried to its end.
pub fn run(options: &Options) -> Result<Outcome> {
    let began = Instant::now();
    let as_wanted = super::Options { stock_autoscaling: options.stock, ..super::Options::default() };
    let cluster = Cluster::start("e2e", &as_wanted)?;
    told(began, "the cluster is up");
    cluster.install(&Installation::default())?;
    told(began, "docmill is installed");
    cluster.restricted_namespace(NAMESPACE)?;
    let pipeline = Pipeline::of_sample(&cluster, NAMESPACE, SAMPLE, &options.patch())?;
    pipeline.apply()?;
    pipeline.wait_ready(READY_MAX)?;
    let workers = pipeline.watch_workers()?;
    workers.wait(0, SCALE_MAX, |now| now == 0).context("a pipeline without documents has no workers")?;
    told(began, "the pipeline is ready, without workers");

    let api = pipeline.api()?;
    let mut outcome = Outcome::default();
    work(options, &pipeline, &api, &workers, &mut outcome, began)?;
    idle(options, &pipeline, &api, &workers, &mut outcome, began)?;
    look(&pipeline, &api, &mut outcome)?;
    told(began, "the stores agree");
    drop(workers);
    ending::run(&cluster, &pipeline, &mut outcome)?;
    outcome.seconds = began.elapsed().as_secs();
    Ok(outcome)
}

/// Documents come, workers follow, and some go while there is still work.
fn work(
    options: &Options,
    pipeline: &Pipeline<'_>,
    api: &Api,
    workers: &Replicas,
    outcome: &mut Outcome,
    began: Instant,
) -> Result<()> {
    let mark = workers.mark();
    let batch = api.batch("e2e")?;
    let files = documents(options.documents, SEED)?;
    for some in files.chunks(TOGETHER) {
        outcome.documents += api.upload(&batch, some)?.ids.len() as u64;
    }
    told(began, "uploaded");
    workers.wait(mark, SCALE_MAX, |now| now > 0).context("workers for the documents that wait")?;

    // Work comes in as fast as it is done, so that those who are to go are at something when they are chosen.
    let until = Instant::now() + options.many_max() + options.window_max();
    let mut seed = SEED;
    loop {
        let most = workers.max_since(mark);
        let (now, unsettled) = (workers.now(), api.unsettled()?);
        if most > 1 && now == 1 && unsettled > 0 {
            outcome.lowered_under_load = true;
            break;
        }
        ensure!(
            Instant::now() < until,
            "{now} workers are asked for, {most} were, and {unsettled} documents wait"
        );
        if unsettled < KEPT {
            seed += 1;
            let few = usize::try_from(KEPT - unsettled).unwrap_or(0);
            outcome.documents += api.upload(&batch, &texts(few, SLOW_BYTES, seed))?.ids.len() as u64;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    outcome.max_workers = workers.max_since(mark);
    told(began, "workers went while there was work");
    // One is left for now, and stays for a while when all is done.
    outcome.sandbox = sandbox::in_a_worker(pipeline)?;
    told(began, "extractors tried to get out");
    settled(api, &batch, outcome.documents, options.many_max())?;
    outcome.interrupted = interrupted(pipeline)?;
    told(began, "all is committed");
    Ok(())
}

/// Nothing is left to do: no worker is left; a document brings one back.
fn idle(
    options: &Options,
    pipeline: &Pipeline<'_>,
    api: &Api,
    workers: &Replicas,
    outcome: &mut Outcome,
    began: Instant,
) -> Result<()> {
    workers
        .wait(workers.mark() - 1, options.window_max(), |now| now == 0)
        .context("no workers when idle")?;
    super::wait_for("no pods of workers", SCALE_MAX * 4, || {
        let pods = pipeline.pods("worker")?;
        ensure!(pods.is_empty(), "there are {}", pods.len());
        Ok(())
    })?;
    outcome.back_to_zero = true;
    told(began, "no workers when idle");
    let mark = workers.mark();
    let batch = api.batch("one more")?;
    outcome.documents += api.upload(&batch, &texts(1, 2_000, SEED * 2))?.ids.len() as u64;
    workers.wait(mark, SCALE_MAX, |now| now > 0).context("a worker for the document")?;
    settled(api, &batch, 1, FEW_MAX)?;
    outcome.came_back = true;
    outcome.interrupted = interrupted(pipeline)?;
    told(began, "and back");
    Ok(())
}

fn settled(api: &Api, batch: &str, documents: u64, limit: Duration) -> Result<()> {
    super::wait_for("all committed", limit, || {
        let counts = api.counts(batch)?;
        ensure!(counts.committed == documents && counts.total == documents, "{counts:?} of {documents}");
        Ok(())
    })
}

/// How often a document was taken up that had been taken up before. Each time takes a number of the sequence, which
/// indexes take theirs of too; a document that nobody interrupts is taken up once.
fn interrupted(pipeline: &Pipeline<'_>) -> Result<u64> {
    let again = pipeline.postgres(
        "SELECT (SELECT last_value FROM docmill.epochs) - (SELECT count(*) FROM docmill.indexes)
              - (SELECT count(*) FROM docmill.documents)",
    )?;
    u64::try_from(again).with_context(|| format!("fewer were taken up than there are, by {again}"))
}

/// What ledger, PostgreSQL and Neo4j have, and what the audit finds.
fn look(pipeline: &Pipeline<'_>, api: &Api, outcome: &mut Outcome) -> Result<()> {
    outcome.verify = pipeline.verify(api)?;
    outcome.committed =
        count(pipeline, "SELECT count(*) FROM docmill.documents WHERE state = 'committed'")?;
    let current =
        "FROM docmill.manifest_entries JOIN docmill.manifests USING (manifest) WHERE replaced_by IS NULL";
    outcome.chunks_expected = count(pipeline, &format!("SELECT count(DISTINCT chunk) {current}"))?;
    outcome.chunks = count(pipeline, "SELECT count(*) FROM docmill.chunks")?;
    // The bit of the graph among the stores that must have a chunk.
    let of_graph = format!("SELECT count(DISTINCT chunk) {current} AND stores & 4 <> 0");
    outcome.graph_expected = count(pipeline, &of_graph)?;
    let numbers = pipeline
        .neo4j(&["MATCH (c:Chunk) RETURN count(*)", "MATCH (c:CanonicalConcept) RETURN count(*)"])?;
    let number = |at: usize| numbers.get(at).and_then(|number| u64::try_from(*number).ok()).unwrap_or(0);
    (outcome.graph, outcome.concepts) = (number(0), number(1));
    Ok(())
}

fn count(pipeline: &Pipeline<'_>, statement: &str) -> Result<u64> {
    Ok(u64::try_from(pipeline.postgres(statement)?)?)
}

/// Says how far it is: a run takes minutes.
fn told(began: Instant, what: &str) {
    eprintln!("{:>6.1} s: {what}", began.elapsed().as_secs_f64());
}
