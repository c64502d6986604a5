//! What is declared changes: to something that pods cannot run with, to other memory, to a larger volume.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use docmill_operator::names::RETRY_ANNOTATION;
use serde_json::{Value, json};

use super::asking::Asking;
use super::{KINDS, READY_MAX, World};
use crate::cluster::{Installation, condition};

/// An image that no node has.
const MISSING: &str = "localhost/docmill/worker:missing";
/// Longest time until status has the cause, and until the last good state is in force.
const TOLD_MAX: Duration = Duration::from_secs(60);
const BACK_MAX: Duration = Duration::from_secs(120);
/// Longest time until status says what is wrong with a declaration.
const STALLED_MAX: Duration = Duration::from_secs(2);
/// How long that is waited for, so that a slower one is told with its time.
const STALLED_WAIT: Duration = Duration::from_secs(30);
/// Longest time until a claim has the room that it asks for.
const GROWN_MAX: Duration = Duration::from_secs(60);

/// An image that is not there: what runs goes on, status says why, and the last good one is in force again. When the
/// image has come, a person's word has it tried once more. All the time the API answers.
pub(super) fn config(world: &World<'_>) -> Result<String> {
    let good = images(world)?;
    let shown = world.pipeline.shown()?;
    let last = shown["status"]["lastGood"]["image"].as_str().context("there is a last good image")?;
    ensure!(good.values().all(|image| image == last), "the last good image is {last}, not {good:?}");
    let asking = Asking::start(&world.api);
    let tried = broken(world, &good).and_then(|times| late(world, last).map(|late_s| (times, late_s)));
    let upgraded = world.cluster.upgrade(&Installation::default()).and_then(|()| rolled_out(world, last));
    let asked = asking.stop();
    let ((told_s, back_s), late_s) = tried?;
    upgraded.context("the image that is there again")?;
    ensure!(images(world)? == good, "other images than before: {:?}", images(world)?);
    let (count, failed) = (asked.count, &asked.failed);
    ensure!(count > 0 && failed.is_empty(), "of {count} questions failed {}: {failed:?}", failed.len());
    Ok(format!(
        "cause told after {told_s:.1} s, back after {back_s:.1} s; tried again, it ran after {late_s:.1} s; {count} \
         questions answered"
    ))
}

fn broken(world: &World<'_>, good: &BTreeMap<String, String>) -> Result<(f64, f64)> {
    let installation =
        Installation { values: vec![format!("images.worker={MISSING}")], ..Installation::default() };
    world.cluster.upgrade(&installation)?;
    let began = Instant::now();
    let degraded = |limit, is_wanted: fn(&str) -> bool| {
        world.cluster.wait_for("Degraded", limit, || {
            let (is_so, says) = condition(&world.pipeline.shown()?, "Degraded").unwrap_or_default();
            ensure!(is_so && says.contains(MISSING) && is_wanted(&says), "it says {says:?}");
            Ok(())
        })
    };
    degraded(TOLD_MAX, |_| true)?;
    let told_s = began.elapsed().as_secs_f64();
    // Workers of before still work.
    world.commit(1, 2)?;
    degraded(BACK_MAX.saturating_sub(began.elapsed()), |says| says.starts_with("RolledBack"))?;
    world.cluster.wait_for("the last good image", BACK_MAX.saturating_sub(began.elapsed()), || {
        let images = images(world)?;
        ensure!(images == *good, "there are {images:?}");
        world.pods_are_ready()
    })?;
    Ok((told_s, began.elapsed().as_secs_f64()))
}

/// The image is there after all, and is tried when a person says so. Gives the seconds until all runs with it.
fn late(world: &World<'_>, good: &str) -> Result<f64> {
    world.cluster.tag_image(good, MISSING)?;
    let began = Instant::now();
    let annotation = format!("{RETRY_ANNOTATION}=once");
    world.pipeline.kubectl(&["annotate", "ingestionpipeline", world.pipeline.name(), &annotation])?;
    rolled_out(world, MISSING).context("the image that came late")?;
    let seconds = began.elapsed().as_secs_f64();
    world.commit(1, 7)?;
    Ok(seconds)
}

/// Waits until no pod of workers or API has another image, and all is as declared.
fn rolled_out(world: &World<'_>, image: &str) -> Result<()> {
    world.cluster.wait_for("a rollout", READY_MAX, || {
        for part in ["worker", "api"] {
            let pods = world.pipeline.pods(part)?;
            ensure!(!pods.is_empty(), "there is no pod of {part}");
            for pod in pods {
                let found = &pod["spec"]["containers"][0]["image"];
                ensure!(found == image, "{} has {found}, not {image}", pod["metadata"]["name"]);
            }
        }
        Ok(())
    })?;
    world.settled()
}

/// Images of workers and API by Deployment.
fn images(world: &World<'_>) -> Result<BTreeMap<String, String>> {
    let list = world.pipeline.object(&["deployments"])?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let image = |found: &Value| text(&found["spec"]["template"]["spec"]["containers"][0]["image"]);
    let all = list["items"].as_array().context("a list has items")?;
    Ok(all.iter().map(|found| (text(&found["metadata"]["name"]), image(found))).collect())
}

/// More memory for Neo4j is in force as it was asked for; what cannot be is refused before anything is written.
pub(super) fn neo4j(world: &World<'_>) -> Result<String> {
    let before = world.pipeline.shown()?["status"]["neo4j"].clone();
    let mark = world.conditions.mark();
    world.patch(&json!({"spec": {"memory": {"neo4j": {"total": "2560Mi"}}}}))?;
    let in_force = world.cluster.wait_for("the memory of Neo4j", READY_MAX, || {
        let shown = world.pipeline.shown()?;
        let found = &shown["status"]["neo4j"];
        let (is_so, says) = condition(&shown, "GraphStoreReady").unwrap_or_default();
        let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        let (asked, in_force) = (text("asked"), text("inForce"));
        ensure!(asked.contains("2560Mi") && found != &before, "it is {found}");
        ensure!(is_so && says.starts_with("MemoryInForce"), "{found}: {says}");
        // A JVM may round its heap; the page cache is as it is told.
        let page_cache = |text: &str| text.split("page cache ").nth(1).map(str::to_owned);
        ensure!(
            page_cache(&asked).is_some() && page_cache(&asked) == page_cache(&in_force),
            "it is {found}"
        );
        Ok(in_force)
    })?;
    world.settled()?;
    let flips = world.conditions.turns(mark);
    ensure!(flips == 0, "Ready turned {flips} times while Neo4j got other memory");

    world.refused(&json!({"spec": {"memory": {"neo4j": {"total": "1Gi"}}}}), "IP-13")?;
    let shares = |heap: Value, page_cache: Value, system: Value| {
        json!({"spec": {"memory": {"neo4j": {
            "heapPercent": heap, "pageCachePercent": page_cache, "systemPercent": system,
        }}}})
    };
    let wrong = shares(json!(90), json!(5), json!(5));
    let right = shares(json!(null), json!(null), json!(null));
    let shares_s = stalled(world, &wrong, &right, &["VP-09", "spec.memory.neo4j"])?;
    let wrong = json!({"spec": {"instanceType": "c5.4xlrge"}});
    let right = json!({"spec": {"instanceType": null}});
    let said = ["VP-01", "spec.instanceType", "near it are c5.4xlarge"];
    let type_s = stalled(world, &wrong, &right, &said)?;
    Ok(format!("in force: {in_force}; Stalled after {shares_s:.2} s and {type_s:.2} s, nothing written"))
}

/// Declares something wrong, and right again. Status says all of `said` at once, and nothing else is written. Gives the
/// seconds until it was said.
fn stalled(world: &World<'_>, wrong: &Value, right: &Value, said: &[&str]) -> Result<f64> {
    let before = children(world)?;
    let mark = world.conditions.mark();
    world.patch(wrong)?;
    let patched = Instant::now();
    let looked =
        world.conditions.wait(mark, STALLED_WAIT, |said| !said.stalled.is_empty()).and_then(|at| {
            let shown = world.pipeline.shown()?;
            Ok((at, condition(&shown, "Stalled").unwrap_or_default().1, children(world)?))
        });
    world.patch(right)?;
    let (at, says, after) = looked.context("Stalled")?;
    world.settled()?;
    ensure!(said.iter().all(|said| says.contains(*said)), "it says {says:?}, not {said:?}");
    let changed: Vec<_> = before.iter().filter(|(name, about)| after.get(*name) != Some(*about)).collect();
    ensure!(before.len() == after.len() && changed.is_empty(), "changed: {changed:?}");
    let took = at.saturating_duration_since(patched);
    ensure!(took <= STALLED_MAX, "it was said after {:.2} s", took.as_secs_f64());
    Ok(took.as_secs_f64())
}

/// What it is made of, each with its UID and version. The controller manager writes into an autoscaler's status
/// whenever it likes: of that the specification counts.
fn children(world: &World<'_>) -> Result<BTreeMap<String, String>> {
    let selector = format!("docmill.dev/pipeline={}", world.pipeline.name());
    let kinds = format!("{KINDS},persistentvolumeclaims");
    let list = world.pipeline.object(&[kinds.as_str(), "--selector", &selector])?;
    let about = |found: &Value| {
        let meta = &found["metadata"];
        let version = match found["kind"].as_str() {
            Some("HorizontalPodAutoscaler") => &found["spec"],
            _ => &meta["resourceVersion"],
        };
        (format!("{} {}", found["kind"], meta["name"]), format!("{} {version}", meta["uid"]))
    };
    let all = list["items"].as_array().context("a list has items")?;
    ensure!(!all.is_empty(), "the pipeline has no children");
    Ok(all.iter().map(about).collect())
}

/// The ledger's volume grows and does not shrink.
pub(super) fn volume(world: &World<'_>) -> Result<String> {
    let storage =
        |size: &str| json!({"spec": {"stores": {"ledger": {"postgres": {"managed": {"storage": size}}}}}});
    let claim = format!("{}-postgres-data", world.pipeline.name());
    let has = || {
        let found = world.pipeline.object(&["pvc", &claim])?;
        let size = found["status"]["capacity"]["storage"].as_str();
        Ok::<_, anyhow::Error>(size.context("a volume has a size")?.to_owned())
    };
    let before = has()?;
    let began = Instant::now();
    world.patch(&storage("6Gi"))?;
    world.cluster.wait_for("a larger volume", GROWN_MAX, || {
        let now = has()?;
        ensure!(now == "6Gi", "it has {now}");
        Ok(())
    })?;
    let seconds = began.elapsed().as_secs_f64();
    world.refused(&storage("5Gi"), "IP-16")?;
    ensure!(has()? == "6Gi", "it has {}", has()?);
    Ok(format!("{before} to 6Gi after {seconds:.1} s; 5Gi is refused"))
}
