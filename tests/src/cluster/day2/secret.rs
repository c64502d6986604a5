//! Secrets that a pipeline names and nobody made: its pods do not start, status says where to look, and they start by
//! themselves as soon as the Secrets are there.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use super::World;
use super::deletion::namespace_goes;
use crate::cluster::{Pipeline, condition};

/// Namespace of the pipeline without Secrets.
const NAMESPACE: &str = "without-secrets";
/// Secrets that the sample names, and their keys.
const SECRETS: [(&str, &[&str]); 5] = [
    ("knowbase-redis", &["password", "ca.crt"]),
    ("knowbase-postgres", &["password", "ca.crt"]),
    ("knowbase-neo4j", &["password"]),
    ("knowbase-s3", &["accessKeyId", "secretAccessKey"]),
    ("knowbase-passwords", &["passwords"]),
];
/// Shortest time until status speaks of it, as a slow start is none, and longest.
const TOLD_S: std::ops::RangeInclusive<f64> = 55.0..=120.0;
/// Longest time until pods start that were put off: the kubelet doubles its waits up to two minutes.
const STARTED_MAX: Duration = Duration::from_secs(200);
/// Longest time until all of it is gone.
const GONE_MAX: Duration = Duration::from_secs(90);

pub(super) fn run(world: &World<'_>) -> Result<String> {
    world.cluster.restricted_namespace(NAMESPACE)?;
    // For somebody else's servers, on a node that has little left.
    let little = json!({"requests": {"cpu": "50m", "memory": "128Mi"}});
    let patch = json!({"spec": {"api": {"resources": little}}});
    let pipeline = Pipeline::of_sample(world.cluster, NAMESPACE, "external", &patch)?;
    pipeline.apply()?;
    let said = start(world, &pipeline);
    pipeline.delete(GONE_MAX)?;
    namespace_goes(world, NAMESPACE)?;
    said
}

fn start(world: &World<'_>, pipeline: &Pipeline<'_>) -> Result<String> {
    let degraded = || Ok::<_, anyhow::Error>(condition(&pipeline.shown()?, "Degraded").unwrap_or_default());
    let is_waiting = |says: &str| says.starts_with("ContainerCreating: external-api-");
    let began = Instant::now();
    let says = world.cluster.wait_for("Degraded", Duration::from_secs_f64(*TOLD_S.end()), || {
        let (is_so, says) = degraded()?;
        ensure!(is_so && is_waiting(&says) && says.contains("kubectl describe pod"), "it says {says:?}");
        Ok(says)
    })?;
    let told_s = began.elapsed().as_secs_f64();
    ensure!(TOLD_S.contains(&told_s), "after {told_s:.1} s: {says}");
    // Where the advice leads.
    let path = "--output=jsonpath={.items[*].message}";
    let events = pipeline.kubectl(&["get", "events", "--field-selector=reason=FailedMount", path])?;
    ensure!(SECRETS.iter().any(|(name, _)| events.contains(name)), "Events name no Secret: {events}");

    for (name, keys) in SECRETS {
        let values: Vec<String> = keys.iter().map(|key| format!("--from-literal={key}=none")).collect();
        let mut args = vec!["create", "secret", "generic", name];
        args.extend(values.iter().map(String::as_str));
        pipeline.kubectl(&args)?;
    }
    let made = Instant::now();
    world.cluster.wait_for("pods that start", STARTED_MAX, || {
        for pod in pipeline.pods("api")? {
            let (is_started, says) = condition(&pod, "PodReadyToStartContainers").unwrap_or_default();
            ensure!(is_started, "{} does not start: {says}", pod["metadata"]["name"]);
        }
        let (is_so, says) = degraded()?;
        // There are no such servers: it is not well, in another way.
        ensure!(!is_so || !is_waiting(&says), "it still says {says:?}");
        Ok(())
    })?;
    let started_s = made.elapsed().as_secs_f64();
    Ok(format!("told after {told_s:.1} s; {started_s:.1} s after the Secrets were there, pods started"))
}
