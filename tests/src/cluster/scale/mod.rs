//! Many pipelines under one operator: what a look at all of them costs when nothing changed, what the operator keeps in
//! memory, and how fast its metrics API answers meanwhile.
//!
//! The API server is real; controller manager and scheduler stand still, as what they would make of thousands of
//! Deployments is not what is measured. One server answers the observation streams of all pipelines.

mod metrics;
mod versions;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use docmill_operator::resource::IngestionPipeline;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use tempfile::TempDir;

use super::faults::state::ours;
use super::host::{self, LOOKS, Operator, Settings, Stub, until, until_each};
use super::{Cluster, Component, Options as ClusterOptions};
use crate::services::process::free_port;

/// Pipelines of a namespace.
const PER_NAMESPACE: usize = 100;
/// Pipelines that are declared at once.
const AT_ONCE: usize = 8;
/// The operator's namespace.
const OPERATORS: &str = "docmill-system";
/// Longest time until all pipelines have all their objects.
const MADE_MAX: Duration = Duration::from_secs(1_800);
/// For how long nothing is written before anything is measured.
const QUIET: Duration = Duration::from_secs(10);
/// Time between two looks at all objects, and at all metrics: both are long.
const LISTS_EVERY: Duration = Duration::from_secs(3);
const METRICS_EVERY: Duration = Duration::from_millis(500);
/// Time between two lines of a stream, in milliseconds.
const LINE_MS: u32 = 1_000;
/// The metric that counts writes.
const WRITES: &str = "docmill_operator_writes_total";

/// Most seconds of a processor for one look at all.
const STEADY_CPU_S_MAX: f64 = 5.0;
/// Most memory without any pipeline, in MiB.
const RSS_IDLE_MIB_MAX: f64 = 15.0;
/// Most memory with all, in MiB.
const RSS_MIB_MAX: f64 = 96.0;
/// Slowest answer of the metrics API but for one in a hundred, in milliseconds.
const METRICS_P99_MS_MAX: f64 = 10.0;

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Options {
    /// The operator's program; built for release, as memory and time of others mean little.
    pub program: PathBuf,
    /// So many.
    pub pipelines: usize,
    /// Time between two looks at all pipelines, in seconds.
    pub resync_s: u64,
    /// Questions to the metrics API.
    pub requests: usize,
}

/// What was measured.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    pipelines: usize,
    /// Processor seconds of the time in which each pipeline was looked at once: the streams' lines of that time are in.
    steady_cpu_s: f64,
    rss_idle_mib: f64,
    rss_mib: f64,
    metrics_p99_ms: f64,
    /// By the operator's own count, or by versions that changed: whichever is more.
    resync_writes: usize,
    /// Lines that the streams brought in a second, meanwhile.
    lines_per_s: f64,
}

impl Outcome {
    /// The closing line.
    pub fn line(&self) -> String {
        let Self {
            pipelines,
            steady_cpu_s,
            rss_idle_mib,
            rss_mib,
            metrics_p99_ms,
            resync_writes,
            lines_per_s,
        } = self;
        format!(
            "cluster_scale: pipelines={pipelines} steady_cpu_s={steady_cpu_s:.2} rss_idle_mib={rss_idle_mib:.1} \
             rss_mib={rss_mib:.1} metrics_p99_ms={metrics_p99_ms:.1} resync_writes={resync_writes} \
             lines_per_s={lines_per_s:.0}"
        )
    }

    /// Where it is wrong, however fast the machine is.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.resync_writes > 0 {
            wrong.push(format!("resync_writes {}, not 0", self.resync_writes));
        }
        if self.lines_per_s < 0.9 * self.pipelines as f64 {
            wrong.push(format!("lines_per_s {:.0}: not all streams were heard", self.lines_per_s));
        }
        wrong
    }

    /// Where it falls short.
    pub fn short(&self) -> Vec<String> {
        let mut short = self.wrong();
        for (name, is, max) in [
            ("steady_cpu_s", self.steady_cpu_s, STEADY_CPU_S_MAX),
            ("rss_idle_mib", self.rss_idle_mib, RSS_IDLE_MIB_MAX),
            ("rss_mib", self.rss_mib, RSS_MIB_MAX),
            ("metrics_p99_ms", self.metrics_p99_ms, METRICS_P99_MS_MAX),
        ] {
            if is > max {
                short.push(format!("{name} {is:.2}, more than {max:.0}"));
            }
        }
        short
    }
}

/// Measures, on a cluster of its own.
///
/// # Errors
/// There is no cluster, or the operator does not get on.
pub async fn run(options: &Options) -> Result<Outcome> {
    many_files()?;
    let cluster = Cluster::start("scale", &ClusterOptions { node: false, ..ClusterOptions::default() })?;
    host::install_kind(&cluster)?;
    let client = host::client(cluster.kubeconfig()).await?;
    make_namespaces(&client, options.pipelines).await?;
    cluster.stop_component(Component::ControllerManager)?;
    cluster.stop_component(Component::Scheduler)?;

    let stub = Stub::start().await?;
    let folder = TempDir::with_prefix("docmill-scale-")?;
    let certificates = folder.path().join("certificates");
    std::fs::create_dir(&certificates)?;
    let metrics_port = free_port();
    let settings = Settings {
        program: options.program.clone(),
        kubeconfig: cluster.kubeconfig().to_owned(),
        namespace: OPERATORS.to_owned(),
        pipeline_url: stub.url(),
        certificates,
        log: folder.path().join("operator.log"),
        more: arguments(metrics_port, options.resync_s),
    };
    let operator = Operator::start(&settings)?;
    let measured = Box::pin(measure(options, &cluster, &client, &stub, &operator, metrics_port)).await;
    measured.with_context(|| {
        let log = std::fs::read_to_string(&settings.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!("the operator's log ends:\n{}", lines[lines.len().saturating_sub(12)..].join("\n"))
    })
}

fn arguments(metrics_port: u16, resync_s: u64) -> Vec<String> {
    let words = [
        "--observe-every-ms".to_owned(),
        LINE_MS.to_string(),
        "--resync-ms".to_owned(),
        (resync_s * 1_000).to_string(),
        "--metrics-api-service".to_owned(),
        metrics::SERVICE.to_owned(),
        "--metrics-api-listen".to_owned(),
        format!("127.0.0.1:{metrics_port}"),
    ];
    words.into()
}

async fn measure(
    options: &Options,
    cluster: &Cluster,
    client: &Client,
    stub: &Stub,
    operator: &Operator,
    metrics_port: u16,
) -> Result<Outcome> {
    operator.ready().await?;
    until("it leads", Duration::from_secs(60), async || operator.leads().await).await?;
    let rss_idle_mib = operator.rss_mib()?;
    eprintln!("scale: {rss_idle_mib:.1} MiB without pipelines");

    let began = Instant::now();
    make_pipelines(client, options.pipelines).await?;
    let made = async || has_all(client, options.pipelines).await;
    until_each(LISTS_EVERY, "all objects of all pipelines", MADE_MAX, made).await?;
    quiet(operator).await?;
    eprintln!("scale: all is there after {:.0} s", began.elapsed().as_secs_f64());

    let mut outcome = Outcome { pipelines: options.pipelines, rss_idle_mib, ..Outcome::default() };
    between_looks(operator, options).await?;
    let before =
        (versions::look(client).await?, operator.metric(WRITES).await?, operator.metric(LOOKS).await?);
    let (cpu_s, lines, began) = (operator.cpu_s()?, stub.lines(), Instant::now());
    // The time of the measurement: in it, everything is looked at once.
    tokio::time::sleep(Duration::from_secs(options.resync_s)).await;
    outcome.steady_cpu_s = operator.cpu_s()? - cpu_s;
    outcome.lines_per_s = (stub.lines() - lines) as f64 / began.elapsed().as_secs_f64();
    let after =
        (versions::look(client).await?, operator.metric(WRITES).await?, operator.metric(LOOKS).await?);
    let looks = after.2 - before.2;
    ensure!(looks >= options.pipelines as f64, "only {looks} looks in {} s", options.resync_s);
    eprintln!("scale: {looks} looks");
    outcome.resync_writes = versions::changed(&before.0, &after.0).max((after.1 - before.1) as usize);
    outcome.rss_mib = operator.rss_mib()?;

    let asked = metrics::ask(cluster, client, metrics_port, options, place).await?;
    outcome.metrics_p99_ms = asked;
    outcome.rss_mib = outcome.rss_mib.max(operator.rss_mib()?);
    Ok(outcome)
}

/// Namespace and name of a pipeline.
fn place(number: usize) -> (String, String) {
    (format!("scale-{:02}", number / PER_NAMESPACE), format!("p{number:04}"))
}

async fn make_namespaces(client: &Client, pipelines: usize) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut names: Vec<String> =
        (0..pipelines).step_by(PER_NAMESPACE).map(|number| place(number).0).collect();
    names.push(OPERATORS.to_owned());
    for name in names {
        namespaces.create(&PostParams::default(), &serde_json::from_value(host::namespace(&name))?).await?;
    }
    Ok(())
}

async fn make_pipelines(client: &Client, pipelines: usize) -> Result<()> {
    let making = stream::iter(0..pipelines).map(|number| async move {
        let (namespace, name) = place(number);
        let mut pipeline = host::pipeline(&namespace, &name)?;
        pipeline.spec.api.replicas = 1;
        let api: Api<IngestionPipeline> = Api::namespaced(client.clone(), &namespace);
        api.create(&PostParams::default(), &pipeline).await?;
        anyhow::Ok(())
    });
    making.buffer_unordered(AT_ONCE).try_collect().await
}

/// Whether every pipeline has both Deployments and both ConfigMaps, and a status.
async fn has_all(client: &Client, pipelines: usize) -> Result<bool> {
    let deployments: Api<Deployment> = Api::all(client.clone());
    if deployments.list_metadata(&ours()).await?.items.len() < 2 * pipelines {
        return Ok(false);
    }
    let maps: Api<ConfigMap> = Api::all(client.clone());
    if maps.list_metadata(&ours()).await?.items.len() < 2 * pipelines {
        return Ok(false);
    }
    let all: Api<IngestionPipeline> = Api::all(client.clone());
    let all = all.list(&ListParams::default()).await?;
    Ok(all.iter().all(|pipeline| {
        let status = pipeline.status.as_ref();
        status.is_some_and(|status| status.observed_generation.is_some() && status.scaling.is_some())
    }))
}

/// Waits until nothing was written for a while.
async fn quiet(operator: &Operator) -> Result<()> {
    let (mut last, mut since) = (operator.metric(WRITES).await?, Instant::now());
    until_each(METRICS_EVERY, "nothing is written", MADE_MAX, async || {
        let now = operator.metric(WRITES).await?;
        if now > last {
            (last, since) = (now, Instant::now());
        }
        Ok(since.elapsed() >= QUIET)
    })
    .await
    .map(drop)
}

/// Waits until a look at all pipelines is just over: the next begins almost a whole interval later.
async fn between_looks(operator: &Operator, options: &Options) -> Result<()> {
    let limit = Duration::from_secs(3 * options.resync_s.max(10));
    let first = operator.metric(LOOKS).await?;
    let all = options.pipelines as f64;
    let is_done = async || anyhow::Ok(operator.metric(LOOKS).await? >= first + all);
    until_each(METRICS_EVERY, "a look at all", limit, is_done).await?;
    let (mut last, mut since) = (operator.metric(LOOKS).await?, Instant::now());
    until_each(METRICS_EVERY, "its end", limit, async || {
        let now = operator.metric(LOOKS).await?;
        if now > last {
            (last, since) = (now, Instant::now());
        }
        Ok(since.elapsed() >= Duration::from_secs(2))
    })
    .await
    .map(drop)
}

/// Each stream is a file to both of its ends: as many as this machine lets us have, and our children with us.
fn many_files() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_falls_short_is_said() {
        let good = Outcome {
            pipelines: 10,
            steady_cpu_s: 5.0,
            rss_idle_mib: 15.0,
            rss_mib: 96.0,
            metrics_p99_ms: 10.0,
            resync_writes: 0,
            lines_per_s: 9.5,
        };
        assert!(good.short().is_empty());
        let bad = Outcome { resync_writes: 1, rss_mib: 97.0, ..good };
        assert_eq!(bad.short(), ["resync_writes 1, not 0", "rss_mib 97.00, more than 96"]);
        assert_eq!(bad.wrong().len(), 1);
    }

    #[test]
    fn pipelines_have_places_of_their_own() {
        assert_eq!(place(0), ("scale-00".to_owned(), "p0000".to_owned()));
        assert_eq!(place(999), ("scale-09".to_owned(), "p0999".to_owned()));
    }
}
