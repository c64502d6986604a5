//! The simulation's machine: one thread, virtual time, one seeded source of every choice. A step waits
//! a drawn time before and after its effect, so the draw of waits is the draw of interleavings.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use async_trait::async_trait;
use docmill_worker::clock::Clock;

/// A task of the simulation.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tasks that crash and pause together: a process.
pub type Group = usize;

/// The group of what never crashes: clients, the API, readers, the conductor.
pub const STEADY: Group = 0;

/// Where virtual time begins; not 0, so that no test passes because a time was never set.
const EPOCH_MS: u64 = 1_000_000;

/// A small generator with full period (splitmix64): seeds that differ by one give unrelated streams.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x5851_f42d_4c95_7f2d)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// A number in the range, both ends included.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True once in `n`.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Faults that wait for a call to hit.
#[derive(Debug, Default, Clone, Copy)]
pub struct Armed {
    /// Ledger calls that fail without effect.
    pub ledger: u32,
    /// Queue calls that fail without effect.
    pub queue: u32,
    /// Store calls that fail without effect.
    pub sink: u32,
    /// Store writes of which half takes effect.
    pub partial: u32,
    /// Calls whose effect is there and whose answer is not.
    pub lost: u32,
    /// Calls that take up to twice the lease.
    pub slow: u32,
    /// Store writes that arrive long after they were sent.
    pub late_write: u32,
    /// Trials that never end by themselves.
    pub hang: u32,
    /// Trials of sound documents whose extractor child dies.
    pub child_crash: u32,
}

enum Op {
    Spawn(Group, Task),
    Kill(Group),
    Pause(Group),
    Resume(Group),
}

struct Slot {
    stamp: u64,
    waker: Option<Waker>,
}

struct Inner {
    now: u64,
    rng: Rng,
    timers: BinaryHeap<Reverse<(u64, u64, usize)>>,
    stamps: u64,
    slots: Vec<Slot>,
    free: Vec<usize>,
    ops: Vec<Op>,
    groups: Group,
    hash: u64,
    trace: Option<Vec<String>>,
    armed: Armed,
    slow_ms: u64,
    calm: bool,
    stopped: bool,
    violation: Option<String>,
    effects: u64,
}

/// The machine, shared by all who run on it.
pub struct Core {
    inner: Mutex<Inner>,
    ready: Arc<Mutex<Vec<usize>>>,
}

impl Core {
    /// A machine for this seed. `slow_ms` bounds slow calls.
    pub fn new(seed: u64, slow_ms: u64, traced: bool) -> Arc<Self> {
        let inner = Inner {
            now: EPOCH_MS,
            rng: Rng::new(seed),
            timers: BinaryHeap::new(),
            stamps: 0,
            slots: Vec::new(),
            free: Vec::new(),
            ops: Vec::new(),
            groups: STEADY,
            hash: 0xcbf2_9ce4_8422_2325,
            trace: traced.then(Vec::new),
            armed: Armed::default(),
            slow_ms,
            calm: false,
            stopped: false,
            violation: None,
            effects: 0,
        };
        Arc::new(Self { inner: Mutex::new(inner), ready: Arc::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while holding the machine's lock")
    }

    /// Draws with the machine's generator.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.lock().rng)
    }

    /// Virtual time in milliseconds.
    pub fn now(&self) -> u64 {
        self.lock().now
    }

    /// A new group.
    pub fn new_group(&self) -> Group {
        let mut inner = self.lock();
        inner.groups += 1;
        inner.groups
    }

    /// Starts a task.
    pub fn spawn(&self, group: Group, task: impl Future<Output = ()> + Send + 'static) {
        self.lock().ops.push(Op::Spawn(group, Box::pin(task)));
    }

    /// Drops every task of the group, as a crash does.
    pub fn kill(&self, group: Group) {
        self.lock().ops.push(Op::Kill(group));
    }

    /// Stops polling the group for so long: its process hangs, its timers and calls go on.
    pub fn pause(self: &Arc<Self>, group: Group, ms: u64) {
        self.lock().ops.push(Op::Pause(group));
        let core = self.clone();
        self.spawn(STEADY, async move {
            core.sleep(ms).await;
            core.lock().ops.push(Op::Resume(group));
        });
    }

    /// Changes what waits for a call to hit.
    pub fn arm(&self, change: impl FnOnce(&mut Armed)) {
        change(&mut self.lock().armed);
    }

    /// Whether an armed fault hits this call: one in three does.
    pub fn hits(&self, fault: impl Fn(&mut Armed) -> &mut u32) -> bool {
        let mut inner = self.lock();
        if inner.calm || *fault(&mut inner.armed) == 0 || !inner.rng.once_in(3) {
            return false;
        }
        *fault(&mut inner.armed) -= 1;
        true
    }

    /// From here on no fault is injected.
    pub fn calm(&self) {
        self.lock().calm = true;
    }

    /// Ends the run.
    pub fn stop(&self) {
        self.lock().stopped = true;
    }

    /// Ends the run with what was broken; the first counts.
    pub fn violate(&self, what: impl FnOnce() -> String) {
        let mut inner = self.lock();
        if inner.violation.is_none() {
            inner.violation = Some(what());
        }
    }

    /// Adds an effect to the trace.
    pub fn effect(&self, who: u32, what: &str) {
        let mut inner = self.lock();
        inner.effects += 1;
        let (now, mut hash) = (inner.now, inner.hash);
        for byte in what.bytes().chain(who.to_le_bytes()).chain(now.to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        inner.hash = hash;
        if let Some(trace) = &mut inner.trace {
            trace.push(format!("{:>7} w{who} {what}", now - EPOCH_MS));
        }
    }

    /// Adds a line to the trace where one is kept.
    pub fn note(&self, who: u32, what: impl FnOnce() -> String) {
        let mut inner = self.lock();
        let now = inner.now;
        if let Some(trace) = &mut inner.trace {
            trace.push(format!("{:>7} w{who} - {}", now - EPOCH_MS, what()));
        }
    }

    /// Waits in virtual time.
    pub fn sleep(self: &Arc<Self>, ms: u64) -> Sleep {
        Sleep { core: self.clone(), due: self.now().saturating_add(ms), slot: None }
    }

    /// Waits as long as a message takes: mostly a moment, at times long.
    pub fn latency(self: &Arc<Self>) -> Sleep {
        let mut inner = self.lock();
        let slow = !inner.calm && inner.armed.slow > 0 && inner.rng.once_in(4);
        let ms = if slow {
            inner.armed.slow -= 1;
            let most = inner.slow_ms;
            inner.rng.below(most)
        } else {
            match inner.rng.below(64) {
                0..48 => inner.rng.below(4),
                48..63 => inner.rng.below(30),
                _ => inner.rng.below(600),
            }
        };
        let due = inner.now + ms;
        drop(inner);
        Sleep { core: self.clone(), due, slot: None }
    }
}

/// A wait in virtual time; always gives way at least once.
pub struct Sleep {
    core: Arc<Core>,
    due: u64,
    slot: Option<(usize, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let due = self.due;
        let core = self.core.clone();
        let mut inner = core.lock();
        match self.slot {
            Some(_) if inner.now >= due => Poll::Ready(()),
            Some((slot, _)) => {
                inner.slots[slot].waker = Some(context.waker().clone());
                Poll::Pending
            }
            None => {
                inner.stamps += 1;
                let stamp = inner.stamps;
                let fresh = Slot { stamp, waker: Some(context.waker().clone()) };
                let slot = match inner.free.pop() {
                    Some(slot) => {
                        inner.slots[slot] = fresh;
                        slot
                    }
                    None => {
                        inner.slots.push(fresh);
                        inner.slots.len() - 1
                    }
                };
                // Ties go by a drawn number, so that equal times come in every order.
                let tie = (inner.rng.next() << 24) | (stamp & 0xff_ffff);
                inner.timers.push(Reverse((due, tie, slot)));
                self.slot = Some((slot, stamp));
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((slot, stamp)) = self.slot {
            let mut inner = self.core.lock();
            if inner.slots[slot].stamp == stamp {
                inner.slots[slot] = Slot { stamp: 0, waker: None };
                inner.free.push(slot);
            }
        }
    }
}

/// [`Clock`] over the machine.
pub struct SimClock(pub Arc<Core>);

#[async_trait]
impl Clock for SimClock {
    fn now_ms(&self) -> u64 {
        self.0.now()
    }

    async fn sleep_ms(&self, ms: u64) {
        self.0.sleep(ms).await;
    }
}

struct TaskWaker {
    task: usize,
    queued: AtomicBool,
    ready: Arc<Mutex<Vec<usize>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.lock().expect("nothing panics while holding it").push(self.task);
        }
    }
}

struct Running {
    group: Group,
    future: Option<Task>,
    flag: Arc<TaskWaker>,
    waker: Waker,
}

/// What a run left behind.
#[derive(Debug, Clone, Default)]
pub struct Ran {
    /// FNV-1a over effects and their times.
    pub hash: u64,
    /// Effects of traits.
    pub effects: u64,
    /// Virtual milliseconds.
    pub virtual_ms: u64,
    /// One line an effect, where asked for.
    pub trace: Vec<String>,
}

/// Runs the machine until it is stopped, breaks a rule, or takes more than `polls_max` polls.
pub fn run(core: &Arc<Core>, polls_max: u64) -> (Ran, Option<String>) {
    let mut tasks: Vec<Running> = Vec::new();
    let mut paused: BTreeMap<Group, Vec<usize>> = BTreeMap::new();
    let mut polls = 0;
    loop {
        let ops = std::mem::take(&mut core.lock().ops);
        for op in ops {
            apply(core, op, &mut tasks, &mut paused);
        }
        let picked = {
            let mut ready = core.ready.lock().expect("nothing panics while holding it");
            let at = core.draw(|rng| rng.below(ready.len() as u64)) as usize;
            (!ready.is_empty()).then(|| ready.swap_remove(at))
        };
        let Some(task) = picked else {
            if !fire_next_timer(core) {
                core.violate(|| "nothing left to run before the run was over".to_owned());
            }
            if let Some(end) = ended(core) {
                return end;
            }
            continue;
        };
        let running = &mut tasks[task];
        if let Some(parked) = paused.get_mut(&running.group) {
            parked.push(task);
            continue;
        }
        running.flag.queued.store(false, Ordering::Relaxed);
        if let Some(future) = &mut running.future
            && future.as_mut().poll(&mut Context::from_waker(&running.waker)).is_ready()
        {
            running.future = None;
        }
        polls += 1;
        if polls > polls_max {
            core.violate(|| format!("not quiet after {polls_max} polls"));
        }
        if let Some(end) = ended(core) {
            return end;
        }
    }
}

fn ended(core: &Core) -> Option<(Ran, Option<String>)> {
    let mut inner = core.lock();
    if !inner.stopped && inner.violation.is_none() {
        return None;
    }
    let ran = Ran {
        hash: inner.hash,
        effects: inner.effects,
        virtual_ms: inner.now - EPOCH_MS,
        trace: inner.trace.take().unwrap_or_default(),
    };
    Some((ran, inner.violation.take()))
}

fn fire_next_timer(core: &Core) -> bool {
    let mut inner = core.lock();
    let Some(Reverse((due, tie, slot))) = inner.timers.pop() else { return false };
    if inner.slots[slot].stamp & 0xff_ffff == tie & 0xff_ffff {
        inner.now = inner.now.max(due);
        let waker = inner.slots[slot].waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
    true
}

fn apply(core: &Core, op: Op, tasks: &mut Vec<Running>, paused: &mut BTreeMap<Group, Vec<usize>>) {
    match op {
        Op::Spawn(group, future) => {
            let flag = Arc::new(TaskWaker {
                task: tasks.len(),
                queued: AtomicBool::new(false),
                ready: core.ready.clone(),
            });
            let waker = Waker::from(flag.clone());
            tasks.push(Running { group, future: Some(future), flag: flag.clone(), waker });
            flag.wake_by_ref();
        }
        Op::Kill(group) => {
            for running in tasks.iter_mut().filter(|running| running.group == group) {
                running.future = None;
            }
            paused.remove(&group);
        }
        Op::Pause(group) => {
            paused.entry(group).or_default();
        }
        Op::Resume(group) => {
            let parked = paused.remove(&group).unwrap_or_default();
            core.ready.lock().expect("nothing panics while holding it").extend(parked);
        }
    }
}
