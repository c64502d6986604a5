//! The order to take no new work: read from the ledger, and answered there with what the worker is at.
//!
//! An order ends by itself. A ledger that does not answer leaves it as it was: a worker cannot take work then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ledger::WorkerId;
use crate::postgres::{Database, WorkerReport};

/// Time between two looks at the order.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Drain {
    ordered: Arc<AtomicBool>,
    busy: watch::Sender<(usize, Option<u64>)>,
}

impl Drain {
    /// Looks for orders, and reports what the worker is at whenever that changed, until the set is dropped.
    pub(super) fn start(
        beside: &mut JoinSet<()>,
        database: Database,
        worker: WorkerId,
        host: String,
    ) -> Self {
        let (busy, at) = watch::channel((0, None));
        let ordered = Arc::new(AtomicBool::new(false));
        let report = WorkerReport { host, ..WorkerReport::default() };
        beside.spawn(Box::pin(look(database, worker, report, ordered.clone(), at)));
        Self { ordered, busy }
    }

    /// Whether no new work is to be taken.
    pub(super) fn is_ordered(&self) -> bool {
        self.ordered.load(Ordering::Relaxed)
    }

    /// Documents in work, and when the one began that is longest at it.
    pub(super) fn busy_is(&self, documents: usize, oldest_began_ms: Option<u64>) {
        self.busy.send_if_modified(|busy| {
            let changed = *busy != (documents, oldest_began_ms);
            *busy = (documents, oldest_began_ms);
            changed
        });
    }
}

async fn look(
    database: Database,
    worker: WorkerId,
    mut report: WorkerReport,
    ordered: Arc<AtomicBool>,
    busy: watch::Receiver<(usize, Option<u64>)>,
) {
    let mut said: Option<(WorkerReport, bool)> = None;
    loop {
        match database.worker_is_to_drain(&worker).await {
            Ok(order) => {
                if ordered.swap(order, Ordering::Relaxed) != order {
                    tracing::info!(order, "the order to take no new work changed");
                }
            }
            Err(error) => tracing::debug!(%error, "no look at the orders"),
        }
        let (documents, oldest_began_ms) = *busy.borrow();
        report.busy = u32::try_from(documents).unwrap_or(u32::MAX);
        report.oldest_began_ms = oldest_began_ms;
        // One look later than the order: what was received before it is counted by then.
        report.drained =
            documents == 0 && ordered.load(Ordering::Relaxed) && said.as_ref().is_some_and(|(_, was)| *was);
        let now = (report.clone(), ordered.load(Ordering::Relaxed));
        let changed = said.as_ref() != Some(&now);
        if changed && database.report_worker(&worker, &report).await.is_ok() {
            said = Some(now);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
