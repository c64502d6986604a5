//! What a trial says of itself while it works: progress for the ledger, signs of life for the lease.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use docmill_core::delivery::{Progress, Stage};
use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::Page;

use super::NotPrepared;
use crate::clock::Clock;
use crate::ledger::{Grant, Ledger};

/// The progress of one trial.
pub struct Tracker<'a> {
    grant: &'a Grant,
    ledger: &'a dyn Ledger,
    clock: &'a dyn Clock,
    /// 0 while the trial waits for others to end: that wait has no bound of its own and is not its fault.
    started_ms: AtomicU64,
    last_sign_ms: AtomicU64,
    reached: Mutex<Progress>,
    stage: Mutex<Stage>,
}

impl<'a> Tracker<'a> {
    /// A trial that waits for its turn.
    pub fn new(grant: &'a Grant, ledger: &'a dyn Ledger, clock: &'a dyn Clock) -> Self {
        let reached = Mutex::new(Progress::default());
        let (started_ms, last_sign_ms) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { grant, ledger, clock, started_ms, last_sign_ms, reached, stage: Mutex::default() }
    }

    /// The trial begins now.
    pub fn begin(&self) {
        self.started_ms.store(self.clock.now_ms(), Ordering::Relaxed);
        self.touch();
    }

    /// Records how far the work got, with pages that the next trial need not read again.
    ///
    /// # Errors
    /// [`NotPrepared::Superseded`] when the claim is no longer ours.
    pub async fn mark(&self, reached: Progress, pages: Vec<Page>) -> Result<(), NotPrepared> {
        match self.ledger.progress(self.grant, reached, pages).await {
            Ok(true) => {
                *self.reached.lock().expect("no code panics while holding it") = reached;
                self.touch();
                Ok(())
            }
            Ok(false) => Err(NotPrepared::Superseded),
            Err(error) => Err(Failure::new(FailureCode::Internal, error.to_string()).into()),
        }
    }

    /// The work is in this stage from now on.
    pub fn enter(&self, stage: Stage) {
        *self.stage.lock().expect("no code panics while holding it") = stage;
    }

    /// The stage that the work is in, the first one to begin with.
    pub fn stage(&self) -> Stage {
        *self.stage.lock().expect("no code panics while holding it")
    }

    /// A sign of life that need not be remembered.
    pub fn touch(&self) {
        self.last_sign_ms.store(self.clock.now_ms(), Ordering::Relaxed);
    }

    /// Milliseconds since the last mark or sign of life; 0 before the trial began.
    pub fn since_progress_ms(&self) -> u64 {
        self.since(&self.last_sign_ms)
    }

    /// Milliseconds since the trial began; 0 before.
    pub fn since_start_ms(&self) -> u64 {
        self.since(&self.started_ms)
    }

    fn since(&self, then: &AtomicU64) -> u64 {
        match then.load(Ordering::Relaxed) {
            0 => 0,
            then => self.clock.now_ms().saturating_sub(then),
        }
    }

    /// Where the trial stands, for a person.
    pub fn describe(&self) -> String {
        let reached = *self.reached.lock().expect("no code panics while holding it");
        format!(
            "no progress for {} s, {} s in all, last mark at stage {} unit {}",
            self.since_progress_ms() / 1000,
            self.since_start_ms() / 1000,
            reached.stage.as_str(),
            reached.units
        )
    }
}
