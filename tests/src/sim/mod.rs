//! The simulation: delivery, maintenance and reindexing, the code that ships, on memory twins under
//! virtual time and seeded faults. One seed is one run, and the same seed is the same run.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use docmill_core::delivery::{LeaseConfig, State};
use docmill_core::failure::FailureCode;
use docmill_core::id::ContentHash;
use docmill_core::manifest::Store;
use docmill_worker::delivery::{PlantedFault, Sweep};
use docmill_worker::ledger::Ledger;
use docmill_worker::ledger::memory::MemoryLedger;
use docmill_worker::queue::memory::MemoryQueue;
use docmill_worker::sink::Sink;
use docmill_worker::sink::memory::MemorySink;
use docmill_worker::verify::{Options, verify};

mod actors;
mod core;
mod stepped;
mod world;

use actors::{Act, Fault, WORKERS, World, client, inject, maintenance, reader, reindexer};
use core::{Core, Rng, STEADY, SimClock};
use world::{DOCUMENTS, Nature, VERSIONS, content_of, index_spec, tenant};

/// What a seed did, where every rule held.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// Hash of every effect with its time and actor.
    pub hash: u64,
    /// Effects.
    pub effects: u64,
    /// Faults injected.
    pub faults: u64,
    /// Searches checked.
    pub answers: u64,
    /// Orphans that the sweep removed.
    pub swept: u64,
    /// Virtual milliseconds.
    pub virtual_ms: u64,
    /// One line an effect, where asked for.
    pub lines: Vec<String>,
}

/// A rule that a seed broke.
#[derive(Debug, Clone)]
pub struct Violation {
    /// The seed.
    pub seed: u64,
    /// Which rule.
    pub what: String,
    /// What happened until then.
    pub trace: Trace,
}

/// Polls after which a run is called endless; a sound one takes some 10,000.
const POLLS_MAX: u64 = 400_000;
/// Virtual time after the last fault in which everything must be settled.
const SETTLE_MS: u64 = 400_000;

/// Runs a seed, with a known mistake or without.
///
/// # Errors
/// The first rule that it broke.
pub fn run_seed(seed: u64, planted: Option<PlantedFault>) -> Result<Trace, Box<Violation>> {
    run_seed_traced(seed, planted, false)
}

/// The same, with one line an effect where `traced`.
///
/// # Errors
/// The first rule that it broke.
pub fn run_seed_traced(
    seed: u64,
    planted: Option<PlantedFault>,
    traced: bool,
) -> Result<Trace, Box<Violation>> {
    let mut plan = Rng::new(seed ^ 0xd0c3_1111);
    let (world, faults) = begin(seed, planted, traced, &mut plan);
    let (ran, violation) = core::run(&world.core, POLLS_MAX);
    let mut trace = Trace {
        hash: ran.hash,
        effects: ran.effects,
        faults,
        answers: world.answers.load(Ordering::Relaxed),
        swept: world.swept.load(Ordering::Relaxed),
        virtual_ms: ran.virtual_ms,
        lines: ran.trace,
    };
    match violation.map_or_else(|| judge(&world, &mut trace), Err) {
        Ok(()) => Ok(trace),
        Err(what) => Err(Box::new(Violation { seed, what, trace })),
    }
}

fn begin(seed: u64, planted: Option<PlantedFault>, traced: bool, plan: &mut Rng) -> (Arc<World>, u64) {
    let lease = LeaseConfig {
        lease_ms: 3_000,
        lease_stall_ms: 9_000,
        document_max_ms: 60_000,
        cleanup_delay_ms: plan.within(1_500, 6_000),
    };
    let core = Core::new(seed, 2 * lease.lease_ms, traced);
    let clock = Arc::new(SimClock(core.clone()));
    let ledger = MemoryLedger::new(clock.clone(), lease.cleanup_delay_ms).with_planted(planted);
    let sink = |store: Store| {
        let sink: Arc<dyn Sink> = Arc::new(MemorySink::new(store).with_planted(planted));
        (store, sink)
    };
    let documents = plan.within(8, DOCUMENTS as u64) as usize;
    let natures = natures(plan, documents);
    let world = Arc::new(World {
        core,
        queue: Arc::new(MemoryQueue::new(clock, lease.lease_ms).with_planted(planted)),
        ledger: Arc::new(ledger),
        sinks: Store::ALL.into_iter().map(sink).collect(),
        lease,
        planted,
        part_ms: if plan.once_in(4) { 1_500 } else { 120 },
        natures: Arc::new(natures),
        crashes: Arc::default(),
        last_seq: Arc::default(),
        groups: Mutex::new([STEADY; WORKERS]),
        processes: Mutex::default(),
        receipts: Arc::default(),
        busy: AtomicUsize::new(0),
        said: Mutex::default(),
        generations: Mutex::default(),
        answers: AtomicU64::new(0),
        swept: AtomicU64::new(0),
    });
    let state = at_once(world.ledger.begin_index(&tenant(), &index_spec(1)));
    state.expect("the memory ledger always answers");
    (0..WORKERS).for_each(|number| world.start_worker(number));
    for who in [10, 11] {
        world.core.spawn(STEADY, maintenance(world.clone(), who));
    }
    world.core.spawn(STEADY, reader(world.clone()));
    for number in 0..documents {
        let acts = acts(plan);
        note_generations(&world, number, &acts);
        world.spawn_busy(client(world.clone(), number, acts));
    }
    if plan.once_in(3) {
        let after = plan.within(500, 8_000);
        world.spawn_busy(reindexer(world.clone(), after));
    }
    let faults = faults(plan, documents);
    let count = faults.len() as u64;
    world.core.spawn(STEADY, conduct(world.clone(), faults));
    (world, count)
}

/// At most two contents harm a seed, and one of those in eight takes its workers down.
fn natures(plan: &mut Rng, documents: usize) -> BTreeMap<ContentHash, Nature> {
    let count = plan.below(3);
    (0..count)
        .map(|n| {
            let content = content_of(plan.below(documents as u64) as usize, plan.below(2) as usize);
            let nature = if n == 0 && plan.once_in(8) { Nature::Killer } else { Nature::Poison };
            (content.hash, nature)
        })
        .collect()
}

/// A first content, then often others: A, B, A, B in quick succession, other contents, deletions.
fn acts(plan: &mut Rng) -> Vec<(u64, Act)> {
    let mut acts = vec![(plan.below(2_000), Act::Write(0))];
    let swings = plan.once_in(3);
    let more = if swings { plan.within(3, 9) } else { plan.below(3) };
    for n in 0..more {
        let pause = if plan.once_in(2) { plan.below(700) } else { plan.within(500, 5_000) };
        let act = if swings {
            Act::Write((n as usize + 1) % 2)
        } else if plan.once_in(4) {
            Act::Delete
        } else {
            Act::Write(plan.below(VERSIONS as u64) as usize)
        };
        acts.push((pause, act));
    }
    acts
}

/// Acts of a document come one after the other, so its generations are known beforehand.
fn note_generations(world: &World, number: usize, acts: &[(u64, Act)]) {
    use docmill_core::id::{DocumentId, Generation};
    let document = DocumentId::born(&tenant(), &format!("file:///{number}"), 0);
    let mut known = world.generations.lock().unwrap();
    let (mut generation, mut newest) = (0, None);
    for (_, act) in acts {
        let content = match act {
            Act::Write(version) => Some(content_of(number, *version).hash),
            Act::Delete => None,
        };
        if content != newest {
            generation += 1;
            newest = content;
            if let Some(hash) = content {
                known.insert((document, Generation(generation)), hash);
            }
        }
    }
}

/// 3 to 14 faults with their times. What makes a start end without a trace is kept below the number
/// that dead-letters a document, or an innocent could rightly be put away.
fn faults(plan: &mut Rng, documents: usize) -> Vec<(u64, Fault)> {
    let count = plan.within(3, 14);
    let (mut deaths, mut transient) = (0, 0);
    let mut faults: Vec<(u64, Fault)> = (0..count)
        .map(|_| {
            let worker = plan.below(WORKERS as u64) as usize;
            let fault = match plan.below(18) {
                0 | 1 if deaths < 4 => {
                    deaths += 1;
                    Fault::Crash(worker)
                }
                2 | 3 if deaths < 4 => {
                    deaths += 1;
                    Fault::Pause(worker, plan.within(1_500, 9_000))
                }
                4 => Fault::Wipe,
                5 if transient < 3 => {
                    transient += 1;
                    Fault::Ledger
                }
                6 => Fault::Queue,
                7 if transient < 3 => {
                    transient += 1;
                    Fault::Sink
                }
                8 => Fault::Partial,
                9 => Fault::Lost,
                10 => Fault::Hang,
                11 => Fault::ChildCrash,
                12 => Fault::Duplicate(plan.below(documents as u64) as usize),
                13 | 14 => Fault::LateWrite,
                15 => Fault::Drain(worker),
                _ => Fault::Slow,
            };
            (plan.below(15_000), fault)
        })
        .collect();
    faults.sort_by_key(|(at, _)| *at);
    let crashes = faults.iter().filter(|(_, fault)| matches!(fault, Fault::ChildCrash)).count();
    if crashes > 2 {
        // Three child crashes could meet in one document.
        faults.retain(|(_, fault)| !matches!(fault, Fault::ChildCrash));
    }
    faults
}

/// Injects the faults, then waits until everything is settled.
async fn conduct(world: Arc<World>, faults: Vec<(u64, Fault)>) {
    let begun = world.core.now();
    for (at, fault) in faults {
        world.core.sleep((begun + at).saturating_sub(world.core.now())).await;
        inject(&world, fault);
    }
    world.core.sleep(2_000).await;
    world.core.calm();
    let until = world.core.now() + SETTLE_MS;
    while !world.is_quiet().await {
        if world.core.now() > until {
            let rows = world.ledger.documents().into_iter().filter_map(|document| {
                let row = world.ledger.row(document).filter(|row| !row.state.is_final())?;
                Some(format!("{document} {} {:?}", row.state.as_str(), row.owner))
            });
            let rows: Vec<_> = rows.collect();
            world.core.violate(|| format!("not settled {SETTLE_MS} ms after the last fault: {rows:?}"));
            return;
        }
        world.core.sleep(500).await;
    }
    world.core.stop();
}

/// What must be true when all is quiet.
fn judge(world: &World, trace: &mut Trace) -> Result<(), String> {
    let ledger = world.ledger.as_ref();
    for (document, content) in world.said.lock().unwrap().iter() {
        let row = ledger.row(*document).ok_or("a document is lost")?;
        if row.content != *content {
            return Err(format!("{document} does not have the content that was said last"));
        }
        let expected = match content.and_then(|content| world.natures.get(&content)) {
            None => None,
            Some(Nature::Poison) => Some(FailureCode::ExtractorDied),
            Some(Nature::Killer) => Some(FailureCode::WorkerDiedRepeatedly),
        };
        let code = row.failure.as_ref().map(|failure| failure.code);
        let state = if expected.is_some() { State::Failed } else { State::Committed };
        if row.state != state || code != expected {
            let failure = row.failure.map(|failure| failure.to_string());
            return Err(format!("{document} ended {} with {failure:?}", row.state.as_str()));
        }
    }
    let mut sweep = Sweep::default();
    loop {
        let swept = at_once(sweep.round(ledger, &world.sinks, 1_000)).map_err(|error| error.to_string())?;
        trace.swept += swept.removed;
        if swept.wrapped {
            break;
        }
    }
    let options = Options { page: 7, ..Options::default() };
    let findings = at_once(verify(ledger, &world.sinks, Some(world.queue.as_ref()), &options))
        .map_err(|error| error.to_string())?;
    if !findings.is_clean() || findings.cleanup_pending > 0 {
        return Err(format!("verify found {findings:?}"));
    }
    for committed in ledger.visible(ledger.snapshot(&tenant())) {
        let row = ledger.row(committed.manifest.document).ok_or("a document is lost")?;
        if row.state == State::Committed && row.generation != committed.manifest.generation {
            return Err(format!("{} shows an old content", committed.manifest.document));
        }
    }
    let shown = ledger.visible(ledger.snapshot(&tenant()));
    for (document, content) in world.said.lock().unwrap().iter() {
        let committed = ledger.row(*document).is_some_and(|row| row.state == State::Committed);
        let found = shown.iter().any(|committed| committed.manifest.document == *document);
        if content.is_some() && committed && !found {
            return Err(format!("{document} is committed and no search finds it"));
        }
    }
    Ok(())
}

/// Runs a future that never waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("memory twins answer at once"),
    }
}
