//! How soon workers follow the queue: from the answer to an upload to the number that the API server has taken, from
//! none to one and from two to twenty; and how soon the first document can be found.

mod figures;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

pub use figures::Figures;

use super::documents::texts;
use super::{Api, Cluster, Installation, Pipeline, Replicas};

/// Namespace of the pipeline.
const NAMESPACE: &str = "docs";
/// Most workers.
const MOST: u32 = 20;
/// Documents that ask for the most, some having been done meanwhile.
const BURST: usize = 40;
/// Size of documents that are done at once, and of those that keep a worker at work for seconds.
const BYTES: (usize, usize) = (2_000, 80_000);
/// Longest time until all of a new pipeline answers.
const READY_MAX: Duration = Duration::from_secs(300);
/// Longest time until a number is asked for.
const SCALE_MAX: Duration = Duration::from_secs(60);
/// Longest time until a document is found, and until all of a trial are done and no worker is left.
const DONE_MAX: Duration = Duration::from_secs(600);
/// Time between two looks at a document.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is measured.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often.
    pub trials: u64,
    /// Autoscalers of the cluster look as seldom as released ones do.
    pub stock: bool,
}

/// Starts a cluster, measures, and takes the cluster down.
///
/// # Errors
/// Something could not be measured.
pub fn run(options: &Options) -> Result<Figures> {
    let began = Instant::now();
    let as_wanted = super::Options { stock_autoscaling: options.stock, ..super::Options::default() };
    let cluster = Cluster::start("latency", &as_wanted)?;
    cluster.install(&Installation::default())?;
    cluster.restricted_namespace(NAMESPACE)?;
    // What is measured is what is asked for. A small machine that starts twenty workers at once measures that instead:
    // so each asks for so much that two cores have room for two, and the others wait for a node.
    let patch = json!({"spec": {
        "workers": {"replicas": {"max": MOST}, "resources": {"requests": {"cpu": "600m"}}},
        "autoscaling": {"queueDepthPerReplica": 1, "scaleDownWindow": "5s", "scaleToZeroAfter": "1s"},
    }});
    let pipeline = Pipeline::of_sample(&cluster, NAMESPACE, "minimal", &patch)?;
    pipeline.apply()?;
    pipeline.wait_ready(READY_MAX)?;
    pipeline
        .object(&["horizontalpodautoscaler", &pipeline.workers()])
        .context("it is to scale beside one")?;
    let (workers, api) = (pipeline.watch_workers()?, pipeline.api()?);
    eprintln!("{:>6.1} s: the pipeline is ready", began.elapsed().as_secs_f64());
    let mut figures = Figures::default();
    for trial in 0..options.trials {
        none(&pipeline, &workers)?;
        measure(trial, &api, &workers, &mut figures)?;
        eprintln!("{:>6.1} s: trial {}: {}", began.elapsed().as_secs_f64(), trial + 1, figures.newest());
    }
    figures.seconds = began.elapsed().as_secs();
    Ok(figures)
}

/// One trial, which begins without workers.
fn measure(trial: u64, api: &Api, workers: &Replicas, figures: &mut Figures) -> Result<()> {
    let batch = api.batch(&format!("trial {trial}"))?;
    let seed = |part: u64| trial * 10 + part;

    let mark = workers.mark();
    let one = api.upload(&batch, &texts(1, BYTES.0, seed(1)))?;
    let asked = workers.wait(mark, SCALE_MAX, |now| now >= 1).context("from none to one")?;
    figures.from_none.push(asked.at.saturating_duration_since(one.at));
    let document = one.ids.first().context("an upload has a document")?;
    figures.first_document.push(found(api, document)?.saturating_duration_since(one.at));

    // Two that take long, so that two workers are wanted still when many more come.
    let mark = workers.mark().saturating_sub(1);
    api.upload(&batch, &texts(2, BYTES.1, seed(2)))?;
    workers.wait(mark, SCALE_MAX, |now| now == 2).context("two workers for two documents")?;
    let mark = workers.mark();
    let many = api.upload(&batch, &texts(BURST, BYTES.0, seed(3)))?;
    let asked = workers.wait(mark, SCALE_MAX, |now| now >= MOST).context("from two to twenty")?;
    figures.to_most.push(asked.at.saturating_duration_since(many.at));

    super::wait_for("all committed", DONE_MAX, || {
        let counts = api.counts(&batch)?;
        ensure!(counts.committed == 3 + BURST as u64, "{counts:?}");
        Ok(())
    })
}

/// When a document is found.
fn found(api: &Api, document: &str) -> Result<Instant> {
    let began = Instant::now();
    loop {
        let state = api.state(document)?;
        let now = Instant::now();
        if state == "committed" {
            return Ok(now);
        }
        ensure!(state != "failed" && began.elapsed() < DONE_MAX, "the first document is {state}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Waits until no worker is asked for, and none is left.
fn none(pipeline: &Pipeline<'_>, workers: &Replicas) -> Result<()> {
    super::wait_for("no workers", DONE_MAX, || {
        let (asked, pods) = (workers.now(), pipeline.pods("worker")?.len());
        ensure!(asked == 0 && pods == 0, "{asked} are asked for, {pods} are there");
        Ok(())
    })
}
