//! Decisions of delivery: who may work on a document, what a failure leads to, when it is given up.
//!
//! Pure: the ledger loads a row, asks here, and stores the answer in the same transaction. The same
//! functions decide in every back end and in the simulation. See protocol "Claim, write, commit" and "Queue".

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureClass, FailureCode};
use crate::id::Generation;

/// Child crashes after which a document is dead-lettered.
pub const CHILD_CRASHES_MAX: u32 = 3;
/// Starts without progress from which a document runs alone, so that it cannot take others with it.
pub const STARTS_ALONE: u32 = 2;
/// Starts without progress after which a document is dead-lettered. Six: at five, simulated runs
/// with 3 to 14 faults still put an innocent away in 0.02 % of them (research/reliability §4).
pub const STARTS_MAX: u32 = 6;
/// Transient failures after which a document is dead-lettered.
pub const TRANSIENT_FAILURES_MAX: u32 = 8;
/// Of failures of a store, so many count, and never give a document up: a store may be away for hours, and when
/// it is back nobody waits longer than the pause after the last one that counts, which is two seconds.
pub const STORE_FAILURES_COUNTED: u32 = 3;
/// First delay after a transient failure, in milliseconds; doubled by each further one.
pub const RETRY_BASE_MS: u64 = 500;
/// Longest delay after a transient failure, in milliseconds.
pub const RETRY_MAX_MS: u64 = 300_000;

/// Where a document's newest generation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for a worker.
    Queued,
    /// A worker claimed it; it counts only while that worker is live.
    Processing,
    /// Its manifest is committed.
    Committed,
    /// Dead-lettered: given up with a reason, until it is replayed.
    Failed,
}

impl State {
    /// The state's name in the ledger and in status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::Committed => "committed",
            Self::Failed => "failed",
        }
    }

    /// The state with this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Queued, Self::Processing, Self::Committed, Self::Failed]
            .into_iter()
            .find(|state| state.as_str() == name)
    }

    /// Whether nothing more happens by itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Committed | Self::Failed)
    }
}

/// How far the work on a generation got: stages in order, then units (pages, chunks) within one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// Units of it that are done and kept.
    pub units: u32,
}

/// A stage of the pipeline, in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reading the file.
    #[default]
    Fetch,
    /// Pages out of the file.
    Extract,
    /// Chunks out of pages.
    Chunk,
    /// Vectors and concepts of chunks.
    Enrich,
    /// Rows into stores.
    Index,
    /// Commit and ack.
    Settle,
}

impl Stage {
    /// All stages in order.
    pub const ALL: [Stage; 6] =
        [Self::Fetch, Self::Extract, Self::Chunk, Self::Enrich, Self::Index, Self::Settle];

    /// The stage's name in status, metrics and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Extract => "extract",
            Self::Chunk => "chunk",
            Self::Enrich => "enrich",
            Self::Index => "index",
            Self::Settle => "settle",
        }
    }
}

impl Progress {
    /// One number that orders as the pair does, for stores.
    pub fn to_i64(self) -> i64 {
        ((self.stage as i64) << 32) | i64::from(self.units)
    }

    /// Reads [`Progress::to_i64`]; an unknown stage counts as the first.
    pub fn from_i64(number: i64) -> Self {
        let stage = usize::try_from(number >> 32).ok().and_then(|i| Stage::ALL.get(i).copied());
        Self { stage: stage.unwrap_or_default(), units: (number & 0xffff_ffff) as u32 }
    }
}

/// What the ledger knows of a generation's earlier trials.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Starts that got no further than the best earlier one.
    pub starts: u32,
    /// Times its extractor child died.
    pub child_crashes: u32,
    /// Times it failed transiently.
    pub transient_failures: u32,
    /// The furthest any trial got.
    pub best: Progress,
}

impl History {
    /// After a progress mark: getting further than ever forgives the earlier starts.
    pub fn after_progress(self, reached: Progress) -> Self {
        if reached > self.best { Self { starts: 0, best: reached, ..self } } else { self }
    }
}

/// The row of a document as a claim sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimView {
    /// Its newest generation.
    pub generation: Generation,
    /// Where that is.
    pub state: State,
    /// Whether the worker that holds it is live (false where none holds it).
    pub owner_live: bool,
}

/// What becomes of a delivery whose document is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimDecision {
    /// The caller owns it now, with a new epoch.
    Grant,
    /// There is nothing to do: committed, newer, failed or unknown. The delivery is acked.
    NothingToDo,
    /// A live worker has it. The delivery is released for a beat, never acked: that worker may die, or be dead
    /// already and only its lease be left.
    HeldByLiveWorker,
}

/// Decides a claim of `wanted`; `None` is a document that the ledger does not know.
pub fn decide_claim(row: Option<ClaimView>, wanted: Generation) -> ClaimDecision {
    let Some(row) = row else { return ClaimDecision::NothingToDo };
    if row.generation != wanted || row.state.is_final() {
        return ClaimDecision::NothingToDo;
    }
    if row.state == State::Processing && row.owner_live {
        return ClaimDecision::HeldByLiveWorker;
    }
    ClaimDecision::Grant
}

/// How a document may be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartDecision {
    /// Beside others.
    Together,
    /// With nothing else running: it took its worker down before, or was there when it went.
    Alone,
    /// Not again.
    GiveUp(Failure),
}

/// Decides a start and returns the history to store before the parse begins.
pub fn decide_start(history: History) -> (StartDecision, History) {
    if history.starts >= STARTS_MAX {
        let detail =
            format!("{} starts without progress beyond {}", history.starts, describe(history.best));
        let failure = Failure::new(FailureCode::WorkerDiedRepeatedly, detail).in_stage(history.best.stage);
        return (StartDecision::GiveUp(failure), history);
    }
    let started = History { starts: history.starts + 1, ..history };
    let decision =
        if history.starts >= STARTS_ALONE { StartDecision::Alone } else { StartDecision::Together };
    (decision, started)
}

fn describe(progress: Progress) -> String {
    format!("{} {}", progress.stage.as_str(), progress.units)
}

/// What a failed trial leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterFailure {
    /// Try again after this many milliseconds.
    Retry {
        /// Delay, jitter included.
        after_ms: u64,
    },
    /// Dead letter, with the reason.
    GiveUp(Failure),
}

/// Decides what a failure leads to and returns the history to store. `jitter` is random in [0, 1).
///
/// A start that ended in a counted failure is no start without an end: it is taken back, so that a
/// failing neighbour never puts an innocent document away.
pub fn decide_failure(history: History, failure: Failure, jitter: f64) -> (AfterFailure, History) {
    let ended = History { starts: history.starts.saturating_sub(1), ..history };
    match failure.code.class() {
        FailureClass::Permanent => (AfterFailure::GiveUp(failure), ended),
        FailureClass::ChildCrash => {
            let counted = History { child_crashes: ended.child_crashes + 1, ..ended };
            let decision = if counted.child_crashes >= CHILD_CRASHES_MAX {
                AfterFailure::GiveUp(failure)
            } else {
                AfterFailure::Retry { after_ms: 0 }
            };
            (decision, counted)
        }
        FailureClass::Transient => {
            let mut counted = History { transient_failures: ended.transient_failures + 1, ..ended };
            if matches!(failure.code, FailureCode::StoreFailed | FailureCode::DiskFull) {
                // A store that is away or full is no document's fault: it counts for the pauses alone.
                let most = STORE_FAILURES_COUNTED.max(ended.transient_failures);
                counted.transient_failures = counted.transient_failures.min(most);
            }
            let decision = if counted.transient_failures >= TRANSIENT_FAILURES_MAX {
                AfterFailure::GiveUp(failure)
            } else {
                AfterFailure::Retry { after_ms: retry_delay_ms(counted.transient_failures, jitter) }
            };
            (decision, counted)
        }
    }
}

/// Exponential back-off with equal jitter: between half and all of the doubled delay.
pub fn retry_delay_ms(failures: u32, jitter: f64) -> u64 {
    let doublings = failures.saturating_sub(1).min(32);
    let full = RETRY_BASE_MS.saturating_mul(1 << doublings).min(RETRY_MAX_MS);
    let half = full / 2;
    half + (half as f64 * jitter.clamp(0.0, 1.0)) as u64
}

/// Times of the lease, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeaseConfig {
    /// How long a delivery stays with a worker that says nothing.
    pub lease_ms: u64,
    /// Longest time without a progress mark before the work is cancelled.
    pub lease_stall_ms: u64,
    /// Longest time of one trial.
    pub document_max_ms: u64,
    /// Delay between a commit and the removal of what only older manifests name: longer than any
    /// search's deadline; 0 where readers hold a transaction.
    pub cleanup_delay_ms: u64,
}

impl Default for LeaseConfig {
    fn default() -> Self {
        Self {
            lease_ms: 30_000,
            lease_stall_ms: 300_000,
            document_max_ms: 7_200_000,
            cleanup_delay_ms: 60_000,
        }
    }
}

impl LeaseConfig {
    /// How often leases are extended: a third, so that two may fail before one is lost.
    pub fn beat_ms(&self) -> u64 {
        (self.lease_ms / 3).max(1)
    }
}

/// What the extender does at a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// Extend the lease.
    Extend,
    /// Stop and cancel the work: nothing moved for too long, or it takes too long in all.
    Cancel,
}

/// Decides a beat from the time since the last progress mark and since the start, in milliseconds.
pub fn decide_beat(config: &LeaseConfig, since_progress_ms: u64, since_start_ms: u64) -> Beat {
    let stalled = since_progress_ms >= config.lease_stall_ms || since_start_ms >= config.document_max_ms;
    if stalled { Beat::Cancel } else { Beat::Extend }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn view(state: State, owner_live: bool) -> Option<ClaimView> {
        Some(ClaimView { generation: Generation(2), state, owner_live })
    }

    #[test]
    fn claims() {
        use ClaimDecision::*;
        let cases = [
            (None, 2, NothingToDo),
            (view(State::Queued, false), 2, Grant),
            (view(State::Queued, false), 1, NothingToDo),
            (view(State::Processing, true), 2, HeldByLiveWorker),
            (view(State::Processing, false), 2, Grant),
            (view(State::Committed, false), 2, NothingToDo),
            (view(State::Failed, false), 2, NothingToDo),
        ];
        for (row, wanted, expected) in cases {
            assert_eq!(decide_claim(row, Generation(wanted)), expected, "{row:?} {wanted}");
        }
    }

    #[test]
    fn a_store_that_is_away_gives_no_document_up() {
        let away = || Failure::new(FailureCode::StoreFailed, "away");
        let mut history = History::default();
        for _ in 0..100 {
            let (decision, counted) = decide_failure(history, away(), 1.0);
            assert!(matches!(decision, AfterFailure::Retry { after_ms: ..=2_000 }), "{decision:?}");
            history = counted;
        }
        // Nor do they take the document's own trials away.
        let own = || Failure::new(FailureCode::ChangedWhileRead, "changed");
        let (decision, mut history) = decide_failure(history, own(), 1.0);
        assert!(matches!(decision, AfterFailure::Retry { .. }));
        // And a document that failed often by itself is not saved by a store that fails as well.
        history.transient_failures = TRANSIENT_FAILURES_MAX - 1;
        let (_, counted) = decide_failure(history, away(), 1.0);
        assert_eq!(counted.transient_failures, TRANSIENT_FAILURES_MAX - 1);
        assert!(matches!(decide_failure(counted, own(), 1.0).0, AfterFailure::GiveUp(_)));
    }

    #[test]
    fn starts_go_together_then_alone_then_no_more() {
        let mut history = History::default();
        let mut seen = Vec::new();
        for _ in 0..7 {
            let (decision, next) = decide_start(history);
            seen.push(match decision {
                StartDecision::Together => 't',
                StartDecision::Alone => 'a',
                StartDecision::GiveUp(_) => 'x',
            });
            history = next;
        }
        assert_eq!(seen.iter().collect::<String>(), "ttaaaax");
        let further = Progress { stage: Stage::Extract, units: 10 };
        assert_eq!(history.after_progress(further).starts, 0);
        assert_eq!(history.after_progress(Progress::default()).starts, history.starts);
    }

    #[test]
    fn the_third_child_crash_gives_up() {
        let crash = || Failure::new(FailureCode::ExtractorDied, "signal 11");
        let (first, history) = decide_failure(History::default(), crash(), 0.0);
        let (second, history) = decide_failure(history, crash(), 0.0);
        let (third, _) = decide_failure(history, crash(), 0.0);
        assert_eq!(
            (first, second),
            (AfterFailure::Retry { after_ms: 0 }, AfterFailure::Retry { after_ms: 0 })
        );
        assert_eq!(third, AfterFailure::GiveUp(crash()));
    }

    #[test]
    fn beats() {
        let config = LeaseConfig { lease_stall_ms: 10, document_max_ms: 100, ..LeaseConfig::default() };
        assert_eq!(decide_beat(&config, 9, 99), Beat::Extend);
        assert_eq!(decide_beat(&config, 10, 10), Beat::Cancel);
        assert_eq!(decide_beat(&config, 0, 100), Beat::Cancel);
    }

    proptest! {
        #[test]
        fn every_outcome_settles(codes in proptest::collection::vec(0..FailureCode::ALL.len(), 32), jitter in 0.0..1.0f64) {
            let mut history = History::default();
            let mut settled = false;
            for code in codes {
                let (start, started) = decide_start(history);
                if let StartDecision::GiveUp(_) = start { settled = true; break; }
                let failure = Failure::new(FailureCode::ALL[code], "x");
                let (decision, next) = decide_failure(started, failure, jitter);
                history = next;
                match decision {
                    AfterFailure::GiveUp(_) => { settled = true; break; }
                    AfterFailure::Retry { after_ms } => prop_assert!(after_ms <= RETRY_MAX_MS),
                }
            }
            prop_assert!(settled, "32 failures must lead to a dead letter");
        }

        #[test]
        fn progress_orders_as_its_number(a in 0usize..6, b in 0usize..6, x: u32, y: u32) {
            let p = Progress { stage: Stage::ALL[a], units: x };
            let q = Progress { stage: Stage::ALL[b], units: y };
            prop_assert_eq!(p.cmp(&q), p.to_i64().cmp(&q.to_i64()));
            prop_assert_eq!(Progress::from_i64(p.to_i64()), p);
        }

        #[test]
        fn delays_grow_and_stay_bounded(failures in 1u32..100, jitter in 0.0..1.0f64) {
            let delay = retry_delay_ms(failures, jitter);
            prop_assert!((RETRY_BASE_MS / 2..=RETRY_MAX_MS).contains(&delay));
        }
    }
}
