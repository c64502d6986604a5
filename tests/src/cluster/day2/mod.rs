//! What comes after the first day, on a real cluster with a node: an image that is not there, other memory and too
//! little of it, larger volumes, Secrets that nobody made, pods and nodes that go, a person who looks and pauses, another
//! provider of metrics, and every order in which things are deleted.

mod asking;
mod away;
mod change;
mod conditions;
mod deletion;
mod memory;
mod metrics;
mod outcome;
mod plugin;
mod secret;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

pub use outcome::Outcome;

use super::documents::texts;
use super::{Api, Cluster, Installation, Pipeline, Replicas, condition, wait_for};
use conditions::Conditions;

/// Namespace of the pipeline that most steps are about.
const NAMESPACE: &str = "docs";
/// Longest time until all of a pipeline answers, new or after it was disturbed.
const READY_MAX: Duration = Duration::from_secs(300);
/// Longest time until a few documents are committed.
const COMMIT_MAX: Duration = Duration::from_secs(180);
/// Longest time until a number of workers is asked for that the queue asks for.
const SCALE_MAX: Duration = Duration::from_secs(30);
/// Documents that come first, and the workers that they bring.
const FIRST: (usize, u32) = (6, 2);
/// Size of a document.
const BYTES: usize = 2_000;
/// Kinds of what a pipeline is made of, volumes and Secrets aside.
const KINDS: &str = "deployments,statefulsets,replicasets,pods,services,configmaps,serviceaccounts,\
                     horizontalpodautoscalers,poddisruptionbudgets,networkpolicies";

/// Something that is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// An image that is not there, and comes late.
    Config,
    /// Memory of Neo4j, and what is wrong with what is asked for.
    Neo4j,
    /// A Neo4j that runs out of memory.
    Memory,
    /// Secrets that nobody made.
    Secret,
    /// A volume that grows.
    Volume,
    /// All API pods gone at once.
    ApiGone,
    /// A node whose agent says nothing.
    Kubelet,
    /// A node that is drained.
    Drain,
    /// `kubectl docmill`.
    Plugin,
    /// The metrics API, and that of another provider.
    Metrics,
    /// Pipelines, namespaces, docmill and the definition deleted, in several orders.
    Deletion,
}

impl Step {
    /// All of them, in the order in which they are run.
    pub const ALL: [Self; 11] = [
        Self::Volume,
        Self::Config,
        Self::Neo4j,
        Self::Memory,
        Self::Secret,
        Self::ApiGone,
        Self::Kubelet,
        Self::Drain,
        Self::Plugin,
        Self::Metrics,
        // Last: nothing is left then.
        Self::Deletion,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Neo4j => "neo4j",
            Self::Memory => "memory",
            Self::Secret => "secret",
            Self::Volume => "volume",
            Self::ApiGone => "api_gone",
            Self::Kubelet => "kubelet",
            Self::Drain => "drain",
            Self::Plugin => "plugin",
            Self::Metrics => "metrics",
            Self::Deletion => "deletion",
        }
    }

    /// The step of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }

    /// Whether the pipeline may say on the way that it is not ready: it is told something wrong, or deleted.
    const fn may_turn(self) -> bool {
        matches!(self, Self::Neo4j | Self::Deletion)
    }

    fn run(self, world: &World<'_>) -> Result<String> {
        match self {
            Self::Config => change::config(world),
            Self::Neo4j => change::neo4j(world),
            Self::Memory => memory::run(world),
            Self::Secret => secret::run(world),
            Self::Volume => change::volume(world),
            Self::ApiGone => away::api_gone(world),
            Self::Kubelet => away::kubelet(world),
            Self::Drain => away::drain(world),
            Self::Plugin => plugin::run(world),
            Self::Metrics => metrics::run(world),
            Self::Deletion => deletion::run(world),
        }
    }
}

/// What is tried.
#[derive(Debug, Clone)]
pub struct Options {
    /// The steps.
    pub steps: Vec<Step>,
}

/// What steps have before them.
struct World<'a> {
    cluster: &'a Cluster,
    pipeline: &'a Pipeline<'a>,
    api: Api,
    workers: Replicas,
    conditions: Conditions,
}

/// Starts a cluster, runs the steps, and takes the cluster down. A step that fails is told, and the next one begins
/// when all answers again.
///
/// # Errors
/// The steps could not be begun.
pub fn run(options: &Options) -> Result<Outcome> {
    let began = Instant::now();
    let cluster = Cluster::start("day2", &super::Options::default())?;
    cluster.install(&Installation::default())?;
    cluster.restricted_namespace(NAMESPACE)?;
    // Workers that came stay: fewer of them would be a fault of the step.
    let patch = json!({"spec": {
        "workers": {"replicas": {"max": FIRST.1}},
        "autoscaling": {"queueDepthPerReplica": 2, "scaleDownWindow": "30m", "scaleToZeroAfter": "30m"},
    }});
    let pipeline = Pipeline::of_sample(&cluster, NAMESPACE, "minimal", &patch)?;
    pipeline.apply()?;
    pipeline.wait_ready(READY_MAX)?;
    let world = World {
        cluster: &cluster,
        pipeline: &pipeline,
        api: pipeline.api()?,
        workers: pipeline.watch_workers()?,
        conditions: Conditions::watch(&pipeline, &cluster)?,
    };
    let mark = world.workers.mark();
    world.commit(FIRST.0, 1)?;
    ensure!(world.workers.max_since(mark) == FIRST.1, "{} documents bring {} workers", FIRST.0, FIRST.1);
    eprintln!("{:>6.1} s: the first documents are committed", began.elapsed().as_secs_f64());

    let mut outcome = Outcome::default();
    for step in Step::ALL.into_iter().filter(|step| options.steps.contains(step)) {
        let (start, mark) = (Instant::now(), world.conditions.mark());
        let settled = world.settled().context("it is not as it was before the step");
        let result = settled.and_then(|()| step.run(&world));
        let flips = if step.may_turn() { 0 } else { world.conditions.turns(mark) };
        let seconds = start.elapsed().as_secs_f64();
        outcome.add(step, flips, seconds, result);
    }
    outcome.seconds = began.elapsed().as_secs();
    Ok(outcome)
}

impl World<'_> {
    /// Uploads documents of their own kind (the seed says which), and waits until they are committed.
    fn commit(&self, documents: usize, seed: u64) -> Result<()> {
        let batch = self.api.batch(&format!("day2 {seed}"))?;
        let ids = self.api.upload(&batch, &texts(documents, BYTES, seed))?.ids.len() as u64;
        wait_for("all committed", COMMIT_MAX, || {
            let counts = self.api.counts(&batch)?;
            ensure!(counts.committed == ids && ids == documents as u64, "{counts:?} of {documents}");
            Ok(())
        })
    }

    /// Changes the pipeline as a person does.
    fn patch(&self, patch: &Value) -> Result<()> {
        let patch = patch.to_string();
        let name = self.pipeline.name();
        self.pipeline
            .kubectl(&["patch", "ingestionpipeline", name, "--type=merge", "--patch", &patch])
            .map(drop)
    }

    /// Changes the pipeline in a way that the API server refuses, by the rule.
    fn refused(&self, patch: &Value, rule: &str) -> Result<()> {
        let said = match self.patch(patch) {
            Ok(()) => "it was taken".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        ensure!(said.contains(rule), "{patch} is not refused by {rule}: {said}");
        Ok(())
    }

    /// Waits until all that is declared is in force and every pod is ready.
    fn settled(&self) -> Result<()> {
        self.cluster.wait_for("all as declared", READY_MAX, || {
            let shown = self.pipeline.shown()?;
            let (is_ready, says) = condition(&shown, "Ready").context("nothing is said of it")?;
            ensure!(is_ready, "{says}");
            for kind in ["Stalled", "Degraded", "Reconciling"] {
                let found = condition(&shown, kind).filter(|(is_so, _)| *is_so);
                ensure!(found.is_none(), "{kind}: {found:?}");
            }
            let (seen, newest) = (&shown["status"]["observedGeneration"], &shown["metadata"]["generation"]);
            ensure!(seen == newest, "generation {seen} was looked at, not {newest}");
            self.pods_are_ready()
        })
    }

    fn pods_are_ready(&self) -> Result<()> {
        for pod in self.pods()? {
            let name = &pod["metadata"]["name"];
            let is_ready = condition(&pod, "Ready").is_some_and(|(is_ready, _)| is_ready);
            ensure!(is_ready && pod["metadata"]["deletionTimestamp"].is_null(), "{name} is not ready");
        }
        let (asked, there) = (self.workers.now() as usize, self.pipeline.pods("worker")?.len());
        ensure!(asked == there, "{asked} workers are asked for, there are {there}");
        Ok(())
    }

    /// All its pods.
    fn pods(&self) -> Result<Vec<Value>> {
        let list = self.pipeline.object(&["pods"])?;
        Ok(list["items"].as_array().context("a list has items")?.clone())
    }

    /// Names of pods with their UIDs: none is the same after it was made anew.
    fn pod_uids(&self, part: &str) -> Result<BTreeSet<String>> {
        let uid = |pod: &Value| pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        Ok(self.pipeline.pods(part)?.iter().map(uid).collect())
    }

    /// Fails where fewer workers were asked for since a mark than at that time.
    fn workers_stayed(&self, mark: usize, before: u32) -> Result<()> {
        let least = self.workers.min_since(mark);
        ensure!(least >= before, "{before} workers were asked for, and then {least}");
        Ok(())
    }
}
