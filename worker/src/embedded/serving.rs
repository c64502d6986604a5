//! A session without an end: what comes is delivered, and what is due is tidied up beside, until it is asked to stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Error;
use super::session::{
    DELETED_KEPT_MS, DOCUMENTS_IN_FLIGHT, FORGET_DOCUMENTS, SWEEP_ROWS, Session, delivery_error,
};
use crate::delivery::{self, Sweep, maintain, reindex_round};
use crate::intake::{Finished, GateWatch, Intake, Room};
use crate::ledger::{self, Ledger};
use crate::queue::Queue;

/// Longest wait of a loop that has nothing to do: the health gate is asked again after it.
const IDLE_MAX: Duration = Duration::from_secs(1);
/// Shortest wait for an entry that falls due.
const IDLE_MIN: Duration = Duration::from_millis(5);
/// Time between two rounds of tidying up.
const ROUND_EVERY: Duration = Duration::from_secs(5);
/// Time between two looks for derived values and deletions that nothing needs any more.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// Time from the end of a pass over the stores to the next: what one spared may be an orphan by then.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// How far tidying up is.
struct Tidying {
    sweep: Sweep,
    /// A pass over the stores is begun and not at its end.
    sweeping: bool,
    /// That pass spared rows.
    spared: bool,
    /// When the last pass ended.
    swept: Option<Instant>,
    forgot: Instant,
}

impl Tidying {
    fn begun() -> Self {
        Self {
            sweep: Sweep::default(),
            sweeping: false,
            spared: false,
            swept: None,
            forgot: Instant::now(),
        }
    }

    /// Whether the stores may be looked through again.
    fn may_sweep(&self) -> bool {
        !self.sweeping && self.swept.is_none_or(|swept| swept.elapsed() >= SWEEP_EVERY)
    }
}

impl Session {
    /// Delivers until `stop` turns true, and tidies up beside; then what is in hand is given back.
    ///
    /// # Errors
    /// The ledger stopped: nothing can be delivered before another start.
    pub(super) async fn serve_until(
        &self,
        stop: watch::Receiver<bool>,
        finished: &mut (dyn FnMut(&Finished) + Send),
    ) -> Result<(), Error> {
        let mut tidying = Tidying::begun();
        let ended = tokio::select! {
            ended = self.deliver_until(stop, finished) => ended,
            failed = self.keep_tidy(&mut tidying) => Err(failed),
        };
        if tidying.sweeping {
            // The end of the session does the rest.
            self.deliverer.writing.note_left_rows();
        }
        ended
    }

    async fn deliver_until(
        &self,
        mut stop: watch::Receiver<bool>,
        finished: &mut (dyn FnMut(&Finished) + Send),
    ) -> Result<(), Error> {
        let gate = GateWatch::new(&self.data_dir, self.bars);
        let kept = Arc::new(self.database.readers().clone());
        let room = Room { preparing: DOCUMENTS_IN_FLIGHT, in_all: DOCUMENTS_IN_FLIGHT };
        let mut intake = Intake::new(self.deliverer.clone(), kept, gate, room);
        let left_over = self.database.unsettled(usize::MAX >> 1).await?;
        if !left_over.is_empty() {
            tracing::info!(documents = left_over.len(), "documents were left over from an earlier start");
            self.queue.enqueue(&left_over).await.map_err(delivery_error)?;
        }
        while !*stop.borrow() {
            self.queue.promote().await.map_err(delivery_error)?;
            intake.receive().await.map_err(delivery_error)?;
            let wait = self.until_due().await?;
            tokio::select! {
                ended = intake.ended(), if !intake.is_idle() => {
                    for ended in ended {
                        self.note(ended, finished)?;
                    }
                }
                () = self.entries.more() => {}
                () = tokio::time::sleep(wait) => {}
                // Who could say it is gone: that is to end, too.
                changed = stop.changed() => if changed.is_err() { break },
            }
        }
        // As if it had not been begun.
        intake.abandon().await;
        self.database.hand_back_all(&self.deliverer.worker).await?;
        Ok(())
    }

    /// How long nothing falls due.
    async fn until_due(&self) -> Result<Duration, Error> {
        let Some(due_ms) = self.queue.next_due_ms().await.map_err(delivery_error)? else {
            return Ok(IDLE_MAX);
        };
        let wait = Duration::from_millis(due_ms.saturating_sub(self.deliverer.clock.now_ms()));
        Ok(wait.clamp(IDLE_MIN, IDLE_MAX))
    }

    fn note(
        &self,
        ended: Result<Finished, delivery::Error>,
        finished: &mut (dyn FnMut(&Finished) + Send),
    ) -> Result<(), Error> {
        let ended = match ended {
            Ok(ended) => ended,
            Err(error) if stops(&error) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "a delivery was not settled and comes back");
                return Ok(());
            }
        };
        ended.tell(&self.counters);
        finished(&ended);
        Ok(())
    }

    /// Returns only with what ends the session.
    async fn keep_tidy(&self, tidying: &mut Tidying) -> Error {
        loop {
            let more = match self.tidy(tidying).await {
                Ok(more) => more,
                Err(error) if stops(&error) => return error.into(),
                Err(error) => {
                    tracing::warn!(%error, "tidying up is behind");
                    false
                }
            };
            if !more {
                tokio::time::sleep(ROUND_EVERY).await;
            }
        }
    }

    /// One round; whether the next one has something to do already.
    async fn tidy(&self, tidying: &mut Tidying) -> Result<bool, delivery::Error> {
        let (ledger, queue): (&dyn Ledger, &dyn Queue) = (self.database.as_ref(), self.queue.as_ref());
        let sinks = &self.deliverer.sinks;
        let maintained = maintain(queue, ledger, sinks).await?;
        let writing = &self.deliverer.writing;
        // What is left behind a pass that is under way waits for the next.
        if tidying.may_sweep() && writing.take_left_rows() {
            tidying.sweeping = true;
        }
        if tidying.sweeping {
            let swept = tidying.sweep.round(ledger, sinks, SWEEP_ROWS).await?;
            tidying.spared |= swept.spared > 0;
            if swept.wrapped {
                (tidying.sweeping, tidying.swept) = (false, Some(Instant::now()));
                if std::mem::take(&mut tidying.spared) {
                    writing.note_left_rows();
                }
            }
        }
        for (tenant, index, done_again) in self.database.building().await.map_err(ledger::Error::from)? {
            // While some are on their way, the switch could only say no.
            if done_again == 0 && reindex_round(ledger, queue, &tenant, index).await? == 0 {
                tracing::info!(%tenant, "searches read another index now");
            }
        }
        if tidying.forgot.elapsed() >= FORGET_EVERY {
            while self.database.sweep_derived().await? > 0 {}
            if ledger.forget_deleted(DELETED_KEPT_MS, FORGET_DOCUMENTS).await? < FORGET_DOCUMENTS as u64 {
                tidying.forgot = Instant::now();
            }
        }
        Ok(maintained.is_full() || tidying.sweeping)
    }
}

/// Whether the ledger takes nothing any more after this: its writer ends with the first commit that fails.
fn stops(error: &delivery::Error) -> bool {
    let delivery::Error::Ledger(error) = error else { return false };
    matches!(error, ledger::Error::Stopped(_) | ledger::Error::DiskFull)
}
