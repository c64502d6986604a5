//! Neo4j runs out of memory in both ways that there are: its heap is full, or it is at the limit of its container. Status
//! says which of the two it was and what to raise, and Neo4j comes back with all that was in it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use docmill_core::sizing::neo4j::{Memory, Symptom, advise};
use docmill_operator::resource::Quantity;
use serde_json::Value;

use super::{READY_MAX, World};
use crate::cluster::condition;

/// Longest time until status has the advice.
const TOLD_MAX: Duration = Duration::from_secs(30);
/// A text that is doubled, up to 2 GiB. Of the rows that a statement holds Neo4j keeps count, and ends a statement that
/// wants too much of the heap; of what an expression makes it does not.
const FILLS_THE_HEAP: &str = "RETURN size(reduce(text = 'x', n IN range(1, 31) | text + text))";
/// Programs beside Neo4j in its container, 4 GiB all together: each holds 64 MiB that nobody takes from it. When no more
/// are to be had, the kernel ends the largest of all, which is Neo4j, and the container with it.
const FILLS_THE_CONTAINER: &str =
    "for n in $(seq 64); do dd if=/dev/zero bs=64M count=1 status=none | sleep 60 & done; wait";
/// What can be found in it.
const CHUNKS: &str = "MATCH (c:Chunk) RETURN count(c)";

/// The last end of Neo4j's container, and how often it was started again.
#[derive(Debug)]
struct Ended {
    code: i32,
    reason: String,
    restarts: u64,
}

pub(super) fn run(world: &World<'_>) -> Result<String> {
    let memory = memory(world)?;
    let chunks = world.pipeline.neo4j(&[CHUNKS])?;
    let fill_the_heap = || match world.pipeline.neo4j(&[FILLS_THE_HEAP]) {
        Ok(answer) => bail!("{} MiB of heap had room for {answer:?}", memory.heap_max_mib),
        Err(error) => Ok(format!("{error:#}")),
    };
    let heap_s = ended(world, &memory, Symptom::HeapExhausted, fill_the_heap).context("the heap")?;
    world.commit(1, 8)?;
    let pod = format!("{}-neo4j-0", world.pipeline.name());
    let args = ["exec", pod.as_str(), "--container=neo4j", "--", "sh", "-c", FILLS_THE_CONTAINER];
    let fill_the_container = || match world.pipeline.kubectl(&args) {
        Ok(said) => Ok(format!("all of it had room: {said}")),
        Err(error) => Ok(format!("{error:#}")),
    };
    let limit_s =
        ended(world, &memory, Symptom::KilledForMemory, fill_the_container).context("the limit")?;
    world.commit(1, 9)?;
    let now = world.pipeline.neo4j(&[CHUNKS])?;
    ensure!(now > chunks, "{chunks:?} chunks were in the graph, now {now:?}");
    Ok(format!(
        "of {memory:?}: a full heap was told after {heap_s:.1} s, the limit after {limit_s:.1} s; the graph has {now:?} \
         chunks, had {chunks:?}"
    ))
}

/// Brings an end about, and waits until status tells it with its advice and all is well again. `fill` gives what whoever
/// brought it about saw of it. Gives the seconds until it was told.
fn ended(
    world: &World<'_>,
    memory: &Memory,
    symptom: Symptom,
    fill: impl FnOnce() -> Result<String>,
) -> Result<f64> {
    let before = last_end(world)?;
    let seen = fill()?;
    let began = Instant::now();
    let advice = advise(memory, symptom).to_string();
    world.cluster.wait_for("advice on Neo4j's memory", TOLD_MAX, || {
        let (is_so, says) = condition(&world.pipeline.shown()?, "Degraded").unwrap_or_default();
        let now = last_end(world)?;
        ensure!(is_so && says.contains(&advice), "it says {says:?}, not {advice:?}; {now:?}; {seen}");
        Ok(())
    })?;
    let told_s = began.elapsed().as_secs_f64();
    world.settled()?;
    world.cluster.wait_for("memory in force", READY_MAX, || {
        let (is_so, says) = condition(&world.pipeline.shown()?, "GraphStoreReady").unwrap_or_default();
        ensure!(is_so && says.starts_with("MemoryInForce"), "it says {says:?}");
        Ok(())
    })?;
    let now = last_end(world)?;
    let is_it = Symptom::of_exit(now.code, now.reason == "OOMKilled") == Some(symptom);
    ensure!(
        is_it && now.restarts == before.restarts + 1,
        "it was {before:?} and is {now:?}: {seen}\n{}",
        last_words(world)
    );
    Ok(told_s)
}

/// The memory that Neo4j's container was given.
fn memory(world: &World<'_>) -> Result<Memory> {
    let set = world.pipeline.object(&["statefulset", &format!("{}-neo4j", world.pipeline.name())])?;
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let limit = container["resources"]["limits"]["memory"].as_str().context("a limit of memory")?;
    let total_mib = Quantity(limit.to_owned()).mib().context("an amount")?;
    let sizes = container["env"].as_array().context("variables")?;
    let size = |name: &str| {
        let found = sizes.iter().find(|variable| variable["name"] == name);
        let text = found.and_then(|variable| variable["value"].as_str());
        let mib = text.and_then(|text| text.strip_suffix('m')?.parse::<u64>().ok());
        mib.with_context(|| format!("no size in MiB: {name} is {text:?}"))
    };
    let heap_max_mib = size("NEO4J_server_memory_heap_max__size")?;
    let page_cache_mib = size("NEO4J_server_memory_pagecache_size")?;
    Memory::given(total_mib, None, heap_max_mib, page_cache_mib).context("sizes of Neo4j")
}

/// The end of what Neo4j said before its last end.
fn last_words(world: &World<'_>) -> String {
    let pod = format!("{}-neo4j-0", world.pipeline.name());
    let log = world.pipeline.kubectl(&["logs", &pod, "--previous", "--tail=20"]);
    log.unwrap_or_else(|error| format!("{error:#}"))
}

fn last_end(world: &World<'_>) -> Result<Ended> {
    let pods = world.pipeline.pods("neo4j")?;
    let pod = pods.first().context("there is no pod of Neo4j")?;
    let container = &pod["status"]["containerStatuses"][0];
    let ended = &container["lastState"]["terminated"];
    let number = |value: &Value| value.as_i64().unwrap_or_default();
    Ok(Ended {
        code: i32::try_from(number(&ended["exitCode"]))?,
        reason: ended["reason"].as_str().unwrap_or_default().to_owned(),
        restarts: container["restartCount"].as_u64().context("a container counts its restarts")?,
    })
}
