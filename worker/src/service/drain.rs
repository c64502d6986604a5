//! The order to take no new work: read from the ledger, and answered there with what the worker is at.
//!
//! An order ends by itself. A ledger that does not answer leaves it as it was: a worker cannot take work then.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ledger::WorkerId;
use crate::postgres::{Database, WorkerReport};

/// Time between two looks at the order.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a worker is at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct At {
    /// Documents in work.
    pub documents: usize,
    /// When the one was received that is longest in work, in milliseconds since the Unix epoch.
    pub oldest_began_ms: Option<u64>,
    /// It saw the order and receives nothing more.
    pub held: bool,
}

impl At {
    /// It takes nothing more, and has nothing left.
    pub(super) fn is_drained(self) -> bool {
        self.held && self.documents == 0
    }
}

/// See the module.
pub(super) struct Drain {
    ordered: watch::Receiver<bool>,
    at: watch::Sender<At>,
}

impl Drain {
    /// Looks for orders, and reports what the worker is at whenever that changed, until the set is dropped.
    pub(super) fn start(
        beside: &mut JoinSet<()>,
        database: Database,
        worker: WorkerId,
        host: String,
    ) -> Self {
        let (at, seen) = watch::channel(At::default());
        let (told, ordered) = watch::channel(false);
        let report = WorkerReport { host, ..WorkerReport::default() };
        beside.spawn(Box::pin(look(database, worker, report, told, seen)));
        Self { ordered, at }
    }

    /// Whether no new work is to be taken, and when that changes.
    pub(super) fn ordered(&self) -> watch::Receiver<bool> {
        self.ordered.clone()
    }

    /// What the worker is at now.
    pub(super) fn is_at(&self, now: At) {
        self.at.send_if_modified(|at| std::mem::replace(at, now) != now);
    }
}

async fn look(
    database: Database,
    worker: WorkerId,
    mut report: WorkerReport,
    ordered: watch::Sender<bool>,
    mut at: watch::Receiver<At>,
) {
    let mut said: Option<WorkerReport> = None;
    loop {
        let mut order = *ordered.borrow();
        match database.worker_is_to_drain(&worker).await {
            Ok(found) => order = found,
            Err(error) => tracing::debug!(%error, "no look at the orders"),
        }
        if order {
            tell(&ordered, true);
        }
        let now = *at.borrow_and_update();
        report.busy = u32::try_from(now.documents).unwrap_or(u32::MAX);
        report.oldest_began_ms = now.oldest_began_ms;
        report.drained = order && now.is_drained();
        if said.as_ref() != Some(&report) && database.report_worker(&worker, &report).await.is_ok() {
            said = Some(report.clone());
        }
        // Work is taken again only once nobody can read any more that there is none: the next order would find the
        // old word, and its giver would take the worker for empty.
        if !order && said.as_ref().is_none_or(|said| !said.drained) {
            tell(&ordered, false);
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            // Whoever gave the order waits for this word.
            Ok(_) = at.wait_for(|at| at.is_drained() != now.is_drained()) => {}
        }
    }
}

fn tell(ordered: &watch::Sender<bool>, order: bool) {
    if ordered.send_if_modified(|was| std::mem::replace(was, order) != order) {
        tracing::info!(order, "the order to take no new work changed");
    }
}
