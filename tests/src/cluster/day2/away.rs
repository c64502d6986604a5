//! Pods and nodes go. The number of workers stays, and the pipeline is ready all the time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{READY_MAX, World};
use crate::cluster::{Component, condition, wait_for};

/// Longest time until a node that says nothing is not ready: it may be silent for 20 seconds.
const SILENT_MAX: Duration = Duration::from_secs(90);
/// Longest time until status says what is missing.
const TOLD_MAX: Duration = Duration::from_secs(60);
/// Longest time until a drain has taken the stores.
const TAKEN_MAX: Duration = Duration::from_secs(150);
/// Parts of which a pod goes first or last in a drain.
const PARTS: [&str; 6] = ["api", "worker", "redis", "postgres", "neo4j", "s3"];

/// All API pods are deleted by force, while workers run.
pub(super) fn api_gone(world: &World<'_>) -> Result<String> {
    let (mark, before) = (world.workers.mark(), world.workers.now());
    let pods = world.pod_uids("api")?;
    let selector =
        format!("docmill.dev/pipeline={},app.kubernetes.io/component=api", world.pipeline.name());
    let began = Instant::now();
    world.pipeline.kubectl(&["delete", "pods", "--selector", &selector, "--force", "--grace-period=0"])?;
    world.cluster.wait_for("other API pods", READY_MAX, || {
        let now = world.pod_uids("api")?;
        ensure!(now.len() == pods.len() && now.is_disjoint(&pods), "there are {now:?}, were {pods:?}");
        Ok(())
    })?;
    world.settled()?;
    world.workers_stayed(mark, before)?;
    world.commit(1, 3)?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(format!("{} API pods back after {seconds:.1} s; {before} workers stayed", pods.len()))
}

/// The node's agent says nothing until the node and all its pods are not ready.
pub(super) fn kubelet(world: &World<'_>) -> Result<String> {
    let (mark, before) = (world.workers.mark(), world.workers.now());
    let node = node(world)?;
    let is_ready = || {
        let shown = world.cluster.object(&["get", "node", &node])?;
        condition(&shown, "Ready").context("nothing is said of the node")
    };
    world.cluster.pause_component(Component::Kubelet)?;
    let began = Instant::now();
    // Nothing of the node's can be looked at: what describes a failure would wait for it.
    let silent = wait_for("the node is not ready", SILENT_MAX, || {
        let (is_ready, says) = is_ready()?;
        ensure!(!is_ready, "it is: {says}");
        Ok(())
    });
    let told = silent.and_then(|()| {
        let after_s = began.elapsed().as_secs_f64();
        wait_for("Degraded", TOLD_MAX, || {
            let (is_so, says) = condition(&world.pipeline.shown()?, "Degraded").unwrap_or_default();
            ensure!(is_so, "it is not");
            Ok((after_s, says))
        })
    });
    world.cluster.resume_component(Component::Kubelet)?;
    let (after_s, says) = told?;
    world.cluster.wait_for("the node", SILENT_MAX, || {
        let (is_ready, says) = is_ready()?;
        ensure!(is_ready, "it is not ready: {says}");
        Ok(())
    })?;
    world.settled()?;
    world.workers_stayed(mark, before)?;
    world.commit(1, 4)?;
    Ok(format!(
        "the node was not ready after {after_s:.1} s, status said {says:?}; {before} workers stayed"
    ))
}

/// The only node is drained. Budgets hold a worker and an API pod while others have nowhere to go; as soon as the node
/// takes pods again, those go too.
pub(super) fn drain(world: &World<'_>) -> Result<String> {
    let (mark, before) = (world.workers.mark(), world.workers.now());
    let documents = world.api.committed()?;
    ensure!(documents > 0, "there are no documents");
    let node = node(world)?;
    let mut pods = Vec::new();
    for part in PARTS {
        pods.push((part, world.pod_uids(part)?));
    }
    let left = |part: &str| {
        let of_part = pods.iter().find(|(other, _)| *other == part).map(|(_, pods)| pods);
        let before = of_part.context("a part that was looked at")?;
        Ok::<_, anyhow::Error>(world.pod_uids(part)?.intersection(before).count())
    };
    let args = [
        "drain",
        node.as_str(),
        "--ignore-daemonsets",
        "--delete-emptydir-data",
        "--force",
        "--timeout=240s",
    ];
    let began = Instant::now();
    let (taken, uncordoned, drained) = std::thread::scope(|scope| {
        let cluster = world.cluster;
        let draining = scope.spawn(move || cluster.kubectl(&args));
        let taken = wait_for("the stores are gone", TAKEN_MAX, || {
            for part in &PARTS[2..] {
                ensure!(left(part)? == 0, "{part} is still there");
            }
            Ok((left("api")?, left("worker")?))
        });
        let uncordoned = cluster.kubectl(&["uncordon", &node]);
        (taken, uncordoned, draining.join())
    });
    uncordoned?;
    drained.map_err(|_| anyhow::anyhow!("the drain panicked"))?.context("the drain")?;
    let drained_s = began.elapsed().as_secs_f64();
    let held = taken?;
    world.settled()?;
    for part in PARTS {
        ensure!(left(part)? == 0, "a pod of {part} was not taken");
    }
    world.workers_stayed(mark, before)?;
    let now = world.api.committed()?;
    ensure!(now == documents, "there were {documents} documents, now {now}");
    world.commit(1, 5)?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(format!(
        "budgets held {} of the API and {} workers while the node took none; drained after {drained_s:.1} s, all back \
         after {seconds:.1} s with {documents} documents",
        held.0, held.1
    ))
}

/// Name of the only node.
fn node(world: &World<'_>) -> Result<String> {
    let said = world.cluster.kubectl(&["get", "nodes", "--output=name"])?;
    Ok(said.trim().strip_prefix("node/").context("a node has a name")?.to_owned())
}
