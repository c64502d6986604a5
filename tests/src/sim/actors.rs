//! Who acts in the simulation: workers, the API's maintenance, clients, a reader, faults.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use docmill_core::delivery::LeaseConfig;
use docmill_core::id::{ContentHash, DocumentId, Generation};
use docmill_core::lane::Lane;
use docmill_core::manifest::Store;
use docmill_worker::delivery::{Deliverer, Here, PlantedFault, Sweep, Writing, maintain, reindex_round};
use docmill_worker::ledger::memory::MemoryLedger;
use docmill_worker::ledger::{Ledger, Registered, Registration, WorkerId};
use docmill_worker::queue::memory::MemoryQueue;
use docmill_worker::queue::{Delivery, Message, Queue};
use docmill_worker::sink::Sink;

use super::core::{Core, Group, STEADY, SimClock};
use super::stepped::{Line, Receipts, SteppedLedger, SteppedQueue, SteppedSink};
use super::world::{Nature, SimPreparer, content_by_hash, content_of, index_spec, tenant};

/// Workers of a seed.
pub const WORKERS: usize = 3;
/// Documents that a worker works on at once.
const AT_ONCE: usize = 2;

/// Everything of one seed.
pub struct World {
    /// The machine.
    pub core: Arc<Core>,
    /// The real parts, without a line before them.
    pub queue: Arc<MemoryQueue>,
    /// See `queue`.
    pub ledger: Arc<MemoryLedger>,
    /// See `queue`.
    pub sinks: BTreeMap<Store, Arc<dyn Sink>>,
    /// Times.
    pub lease: LeaseConfig,
    /// The known mistake, where there is one.
    pub planted: Option<PlantedFault>,
    /// Longest time of a part.
    pub part_ms: u64,
    /// Contents that harm.
    pub natures: Arc<BTreeMap<ContentHash, Nature>>,
    /// Child crashes by content.
    pub crashes: Arc<Mutex<BTreeMap<ContentHash, u32>>>,
    /// The last commit's number.
    pub last_seq: Arc<AtomicU64>,
    /// Processes of the workers now.
    pub groups: Mutex<[Group; WORKERS]>,
    /// What they have, for one that is asked to end.
    pub processes: Mutex<[Option<Process>; WORKERS]>,
    /// Who received what last.
    pub receipts: Arc<Receipts>,
    /// Clients and others who must end before the run is over.
    pub busy: AtomicUsize,
    /// What each document's client said last: its content, or that it is deleted.
    pub said: Mutex<BTreeMap<DocumentId, Option<ContentHash>>>,
    /// Which content a generation has, as registered.
    pub generations: Mutex<BTreeMap<(DocumentId, Generation), ContentHash>>,
    /// Answers that the reader checked.
    pub answers: AtomicU64,
    /// Orphans that the sweep removed.
    pub swept: AtomicU64,
}

/// What a worker's process has.
#[derive(Clone)]
pub struct Process {
    deliverer: Arc<Deliverer>,
    in_hand: Arc<Mutex<Vec<Delivery>>>,
}

/// The traits as one caller sees them.
pub struct Seen {
    /// The queue.
    pub queue: Arc<dyn Queue>,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The stores.
    pub sinks: BTreeMap<Store, Arc<dyn Sink>>,
}

impl World {
    /// The traits behind a line of their own.
    pub fn seen_by(&self, who: u32) -> Seen {
        let line = Line { core: self.core.clone(), who };
        let queue = SteppedQueue {
            line: line.clone(),
            inner: self.queue.clone(),
            ledger: self.ledger.clone(),
            receipts: self.receipts.clone(),
        };
        let ledger = SteppedLedger {
            line: line.clone(),
            inner: self.ledger.clone(),
            last_seq: self.last_seq.clone(),
        };
        let stepped = |(store, sink): (&Store, &Arc<dyn Sink>)| {
            let sink: Arc<dyn Sink> = Arc::new(SteppedSink { line: line.clone(), inner: sink.clone() });
            (*store, sink)
        };
        let sinks = self.sinks.iter().map(stepped).collect();
        Seen { queue: Arc::new(queue), ledger: Arc::new(ledger), sinks }
    }

    /// Starts the worker's process anew.
    pub fn start_worker(self: &Arc<Self>, number: usize) {
        let group = self.core.new_group();
        self.groups.lock().unwrap()[number] = group;
        let who = number as u32 + 1;
        let seen = self.seen_by(who);
        let world = self.clone();
        let preparer = SimPreparer {
            core: self.core.clone(),
            ledger: seen.ledger.clone(),
            who,
            part_ms: self.part_ms,
            hang_most_ms: self.lease.lease_stall_ms + 5 * self.lease.lease_ms,
            natures: self.natures.clone(),
            crashes: self.crashes.clone(),
            die: Arc::new(move || world.crash_worker(number, 100)),
        };
        let jitter = self.core.clone();
        let deliverer = Arc::new(Deliverer {
            worker: WorkerId(format!("worker-{group}")),
            queue: seen.queue,
            ledger: seen.ledger,
            sinks: seen.sinks,
            clock: Arc::new(SimClock(self.core.clone())),
            preparer: Arc::new(preparer),
            lease: self.lease.clone(),
            jitter: Arc::new(move || jitter.draw(|rng| rng.below(1000)) as f64 / 1000.0),
            alone: tokio::sync::RwLock::new(()),
            here: Here::default(),
            writing: Writing::default(),
            planted: self.planted,
        });
        self.core.note(who, || format!("process {group} starts"));
        let process = Process { deliverer, in_hand: Arc::default() };
        self.processes.lock().unwrap()[number] = Some(process.clone());
        self.core.spawn(group, receive(self.core.clone(), process, group));
    }

    /// Asks the worker's process to end: it stops where it stands and hands back what it has; another takes
    /// its place.
    pub fn drain_worker(self: &Arc<Self>, number: usize, restart_ms: u64) {
        let group = self.groups.lock().unwrap()[number];
        let Some(process) = self.processes.lock().unwrap()[number].clone() else { return };
        self.core.note(number as u32 + 1, || format!("process {group} is asked to end"));
        self.core.kill(group);
        let world = self.clone();
        self.core.spawn(STEADY, async move {
            let left = process.in_hand.lock().unwrap().clone();
            // What nobody took back waits for its lease.
            let _ = process.deliverer.leave(&left).await;
            world.core.sleep(restart_ms).await;
            // A crash may have been quicker.
            if world.groups.lock().unwrap()[number] == group {
                world.start_worker(number);
            }
        });
    }

    /// Takes the worker's process down; another takes its place.
    pub fn crash_worker(self: &Arc<Self>, number: usize, restart_ms: u64) {
        let group = self.groups.lock().unwrap()[number];
        self.core.note(number as u32 + 1, || format!("process {group} crashes"));
        self.core.kill(group);
        let world = self.clone();
        self.core.spawn(STEADY, async move {
            world.core.sleep(restart_ms).await;
            // Another crash may have been quicker.
            if world.groups.lock().unwrap()[number] == group {
                world.start_worker(number);
            }
        });
    }

    /// Starts a task that must end before the run is over.
    pub fn spawn_busy(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        self.busy.fetch_add(1, Ordering::Relaxed);
        let world = self.clone();
        self.core.spawn(STEADY, async move {
            task.await;
            world.busy.fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// Whether nothing waits, is worked on or is to be removed.
    pub async fn is_quiet(&self) -> bool {
        let mut entries = 0;
        for lane in Lane::ALL {
            let depth = self.queue.depth(lane).await.expect("the memory queue always answers");
            entries += depth.waiting + depth.in_flight + depth.delayed;
        }
        entries == 0 && self.ledger.is_quiet() && self.busy.load(Ordering::Relaxed) == 0
    }
}

async fn receive(core: Arc<Core>, process: Process, group: Group) {
    let Process { deliverer, in_hand } = process;
    while deliverer.beat().await.is_err() {
        core.sleep(100).await;
    }
    let (beating, beat) = (core.clone(), deliverer.clone());
    core.spawn(group, async move {
        loop {
            beating.sleep(beat.lease.beat_ms()).await;
            // A beat without an answer is made up for by the next one.
            let _ = beat.beat().await;
        }
    });
    let mut look = 0;
    loop {
        let free = AT_ONCE - in_hand.lock().unwrap().len();
        if free > 0 {
            look += 1;
            let received = deliverer.queue.receive(&deliverer.worker.0, look, free).await;
            for delivery in received.unwrap_or_default() {
                let (deliverer, in_hand) = (deliverer.clone(), in_hand.clone());
                in_hand.lock().unwrap().push(delivery.clone());
                core.spawn(group, async move {
                    // What was not settled comes back by its lease.
                    let _ = deliverer.deliver(delivery.clone()).await;
                    in_hand.lock().unwrap().retain(|other| *other != delivery);
                });
            }
        }
        let pause = core.draw(|rng| rng.within(100, 400));
        core.sleep(pause).await;
    }
}

/// One of the processes that keep things moving.
pub async fn maintenance(world: Arc<World>, who: u32) {
    let seen = world.seen_by(who);
    let mut sweep = Sweep::default();
    for round in 0_u64.. {
        let _ = maintain(seen.queue.as_ref(), seen.ledger.as_ref(), &seen.sinks).await;
        if round % 5 == 4
            && let Ok(swept) = sweep.round(seen.ledger.as_ref(), &seen.sinks, 16).await
        {
            world.swept.fetch_add(swept.removed, Ordering::Relaxed);
        }
        let pause = world.core.draw(|rng| rng.within(500, 1_500));
        world.core.sleep(pause).await;
    }
}

/// What a client does to its document, after a pause.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// It has this content now.
    Write(usize),
    /// It is gone.
    Delete,
}

/// A client: says one thing after the other of its document, each until it is heard.
pub async fn client(world: Arc<World>, number: usize, acts: Vec<(u64, Act)>) {
    let seen = world.seen_by(20);
    let uri = format!("file:///{number}");
    let document = DocumentId::born(&tenant(), &uri, 0);
    for (pause, act) in acts {
        world.core.sleep(pause).await;
        world.core.note(20, || format!("{act:?} {document}"));
        let message = loop {
            let heard = match act {
                Act::Write(version) => {
                    let registration = Registration {
                        tenant: tenant(),
                        uri: uri.clone(),
                        content: content_of(number, version).hash,
                        bytes: if number.is_multiple_of(4) { 2_000_000 } else { 1_000 },
                        stat: None,
                        scanned_at_ns: 0,
                        root: None,
                    };
                    seen.ledger.register(vec![registration]).await.map(|registered| match registered[..] {
                        [Registered::New(message) | Registered::Changed(message)] => Some(message),
                        _ => None,
                    })
                }
                Act::Delete => seen.ledger.delete(document).await,
            };
            match heard {
                Ok(message) => break message,
                Err(_) => world.core.sleep(50).await,
            }
        };
        let content = match act {
            Act::Write(version) => Some(content_of(number, version).hash),
            Act::Delete => None,
        };
        world.said.lock().unwrap().insert(document, content);
        if let Some(message) = message {
            // The outbox says it again where this is not heard.
            let _ = seen.queue.enqueue(&[message]).await;
        }
    }
}

/// Builds the second index beside the first and switches to it.
pub async fn reindexer(world: Arc<World>, after_ms: u64) {
    let seen = world.seen_by(21);
    world.core.sleep(after_ms).await;
    let spec = index_spec(2);
    while seen.ledger.begin_index(&tenant(), &spec).await.is_err() {
        world.core.sleep(100).await;
    }
    loop {
        let round = reindex_round(seen.ledger.as_ref(), seen.queue.as_ref(), &tenant(), spec.id()).await;
        if matches!(round, Ok(0)) {
            return;
        }
        world.core.sleep(2_000).await;
    }
}

/// A search: takes the number of the last commit first, then shows per document the newest manifest up
/// to it. What it shows must be one whole content that the document had, with every row.
pub async fn reader(world: Arc<World>) {
    let core = world.core.clone();
    // Shorter than the delay of removals, as a search's deadline is.
    let deadline = world.lease.cleanup_delay_ms - 1;
    loop {
        let pause = core.draw(|rng| rng.within(200, 1_200));
        core.sleep(pause).await;
        let began = core.now();
        let snapshot = world.ledger.snapshot(&tenant());
        core.latency().await;
        let shown = world.ledger.visible(snapshot);
        let mut broken = None;
        for committed in &shown {
            let texts: Vec<_> = committed.manifest.entries.iter().map(|entry| entry.text_hash).collect();
            let known = world.generations.lock().unwrap();
            let generation = (committed.manifest.document, committed.manifest.generation);
            let whole = match known.get(&generation).and_then(|hash| content_by_hash(*hash)) {
                Some(content) => content.pieces.iter().map(|piece| piece.hash).eq(texts),
                None => texts.is_empty(),
            };
            if !whole {
                broken = Some(format!("generation {} of {} is not whole", generation.1.0, generation.0));
            }
        }
        for (store, sink) in &world.sinks {
            core.latency().await;
            let entries = shown.iter().flat_map(|committed| &committed.manifest.entries);
            let due: Vec<_> = entries.filter(|entry| entry.stores.contains(*store)).collect();
            let chunks: Vec<_> = due.iter().map(|entry| entry.chunk).collect();
            let held = sink.look_up(&chunks).await.expect("the memory store always answers");
            for (entry, held) in due.iter().zip(held) {
                if held.is_none_or(|held| held.text_hash != entry.text_hash) {
                    broken = Some(format!("chunk {} is not in the {} store", entry.chunk, store.as_str()));
                }
            }
        }
        if core.now() - began <= deadline {
            world.answers.fetch_add(1, Ordering::Relaxed);
            if let Some(broken) = broken {
                core.violate(|| format!("a search saw half an answer: {broken}"));
            }
        }
    }
}

/// A fault that is injected from outside.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// A worker's process dies and is started again.
    Crash(usize),
    /// A worker's process stands still and wakes up again.
    Pause(usize, u64),
    /// A worker's process is asked to end, and is started again.
    Drain(usize),
    /// A document is delivered twice.
    Duplicate(usize),
    /// The queue loses everything.
    Wipe,
    /// Ledger calls fail.
    Ledger,
    /// Queue calls fail.
    Queue,
    /// Store calls fail.
    Sink,
    /// A store takes half of the rows.
    Partial,
    /// Effects are there, answers are not.
    Lost,
    /// Calls take very long.
    Slow,
    /// Store writes arrive long after they were sent.
    LateWrite,
    /// A trial hangs.
    Hang,
    /// An extractor child dies over a sound document.
    ChildCrash,
}

/// Injects the fault.
pub fn inject(world: &Arc<World>, fault: Fault) {
    let core = &world.core;
    core.effect(99, "fault");
    core.note(99, || format!("{fault:?}"));
    match fault {
        Fault::Crash(number) => {
            let restart = core.draw(|rng| rng.within(50, 4_000));
            world.crash_worker(number, restart);
        }
        Fault::Drain(number) => {
            let restart = core.draw(|rng| rng.within(50, 4_000));
            world.drain_worker(number, restart);
        }
        Fault::Pause(number, ms) => core.pause(world.groups.lock().unwrap()[number], ms),
        Fault::Duplicate(number) => {
            let document = DocumentId::born(&tenant(), &format!("file:///{number}"), 0);
            if let Some(row) = world.ledger.row(document) {
                let message = Message { document, generation: row.generation, lane: Lane::Small };
                world.receipts.forget(message);
                world.queue.duplicate(message);
            }
        }
        Fault::Wipe => world.queue.wipe(),
        Fault::Ledger => core.arm(|armed| armed.ledger += 2),
        Fault::Queue => core.arm(|armed| armed.queue += 2),
        Fault::Sink => core.arm(|armed| armed.sink += 2),
        Fault::Partial => core.arm(|armed| armed.partial += 1),
        Fault::Lost => core.arm(|armed| armed.lost += 2),
        Fault::Slow => core.arm(|armed| armed.slow += 4),
        Fault::LateWrite => core.arm(|armed| armed.late_write += 3),
        Fault::Hang => core.arm(|armed| armed.hang += 1),
        Fault::ChildCrash => core.arm(|armed| armed.child_crash += 1),
    }
}
