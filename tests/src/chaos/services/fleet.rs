//! Worker processes that are started again when they are gone, as a Deployment does.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use rustix::process::Signal;

use crate::services::worker::{Worker, WorkerSetup};

/// Wait before a killed worker is started again.
const AFTER_KILL_MS: std::ops::Range<u64> = 50..600;
/// Wait before one is started again that ended by itself, as its servers were away.
const AFTER_END: Duration = Duration::from_millis(300);

/// See the module.
pub struct Fleet {
    setup: WorkerSetup,
    dir: PathBuf,
    state: Mutex<State>,
}

struct State {
    slots: Vec<Slot>,
    started: usize,
    ended_alone: usize,
}

struct Slot {
    worker: Option<Worker>,
    stopped: bool,
    due: Instant,
}

/// A worker that stands still.
#[derive(Debug, Clone, Copy)]
pub struct Stopped(usize);

impl Fleet {
    /// So many workers, with their files below `dir`.
    pub fn start(setup: WorkerSetup, dir: PathBuf, workers: usize) -> Self {
        let slot = || Slot { worker: None, stopped: false, due: Instant::now() };
        let slots = (0..workers).map(|_| slot()).collect();
        let fleet = Self { setup, dir, state: Mutex::new(State { slots, started: 0, ended_alone: 0 }) };
        fleet.keep_up();
        fleet
    }

    /// Starts what is due. Called every few milliseconds.
    pub fn keep_up(&self) {
        let mut state = self.lock();
        for at in 0..state.slots.len() {
            let slot = &mut state.slots[at];
            if slot.worker.as_mut().is_some_and(Worker::ended) {
                slot.worker = None;
                slot.due = Instant::now() + AFTER_END;
                state.ended_alone += 1;
                continue;
            }
            if slot.worker.is_none() && slot.due <= Instant::now() {
                // A name for each process, so that what one held can be told from what the next holds.
                let name = format!("worker-{}", state.started);
                let home = self.dir.join(&name);
                state.slots[at].worker = Some(self.setup.start(&home, &name));
                state.started += 1;
            }
        }
    }

    /// kill -9 of one that runs. Gives its name; none where none runs.
    pub fn kill_one(&self, random: &mut StdRng) -> Option<String> {
        let mut state = self.lock();
        let at = pick(&state.slots, random)?;
        let slot = &mut state.slots[at];
        let name = slot.worker.as_ref()?.name().to_owned();
        // Dropped is killed.
        slot.worker = None;
        slot.due = Instant::now() + Duration::from_millis(random.random_range(AFTER_KILL_MS));
        Some(name)
    }

    /// Stops one that runs where it stands.
    pub fn stop_one(&self, random: &mut StdRng) -> Option<Stopped> {
        let mut state = self.lock();
        let at = pick(&state.slots, random)?;
        let slot = &mut state.slots[at];
        slot.worker.as_ref()?.signal(Signal::STOP);
        slot.stopped = true;
        Some(Stopped(at))
    }

    /// Lets it go on.
    pub fn resume(&self, Stopped(at): Stopped) {
        let slot = &mut self.lock().slots[at];
        slot.stopped = false;
        if let Some(worker) = &slot.worker {
            worker.signal(Signal::CONT);
        }
    }

    /// Processes that ended by themselves.
    pub fn ended_alone(&self) -> usize {
        self.lock().ended_alone
    }

    /// How many run; those that are to be started again are not counted.
    pub fn running(&self) -> usize {
        let runs = |slot: &mut Slot| slot.worker.as_mut().is_some_and(|worker| !worker.ended());
        self.lock().slots.iter_mut().filter_map(|slot| runs(slot).then_some(())).count()
    }

    /// Numbers of the processes that run.
    pub fn ids(&self) -> Vec<u32> {
        self.lock().slots.iter().filter_map(|slot| slot.worker.as_ref().map(Worker::id)).collect()
    }

    /// The end of what each of the last processes said, for a run that did not end well.
    pub fn last_words(&self, processes: usize) -> String {
        let started = self.lock().started;
        let said = (started.saturating_sub(processes)..started).map(|number| {
            let text = std::fs::read_to_string(self.dir.join(format!("worker-{number}/log")));
            let text = text.unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(12)..];
            format!("--- worker-{number}\n{}\n", last.join("\n"))
        });
        said.collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while holding it")
    }
}

/// One that runs and does not stand still.
fn pick(slots: &[Slot], random: &mut StdRng) -> Option<usize> {
    let running = |slot: &Slot| slot.worker.is_some() && !slot.stopped;
    let running: Vec<usize> = (0..slots.len()).filter(|&at| running(&slots[at])).collect();
    (!running.is_empty()).then(|| running[random.random_range(0..running.len())])
}
