//! `docmill run`: scan, deliver, remove what vanished, report. Interrupted, the next run goes on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use docmill_core::id::TenantId;
use tokio::sync::watch;

use super::removal::{self, Removal, Vanished};
use super::report::{FailedDocument, Report, ReportInput};
use super::scan::Scanned;
use super::session::{Session, Setup};
use super::take_in::{Look, take_in};
use super::{Counters, Error, Metrics, RunOptions};
use crate::delivery::Outcome;
use crate::intake::Finished;
use crate::ledger::Ledger;
use crate::process_tree::{PeakMemory, cpu_seconds};

/// Ingests the paths into the data directory. `stop` turning true ends it early: what was in hand is
/// given back, and the report says what was done.
///
/// # Errors
/// See [`Error`]. [`Error::SyncRefused`] carries the report: all but the removal was done.
pub async fn run(
    data_dir: &Path,
    options: RunOptions,
    counters: Arc<Counters>,
    stop: watch::Receiver<bool>,
) -> Result<Report, Error> {
    let began = Instant::now();
    let peak = PeakMemory::start();
    if let [path] = &options.paths[..]
        && !path.exists()
        && std::fs::symlink_metadata(path).is_err()
    {
        return Err(Error::NoSuchPath(path.clone()));
    }
    let setup = Setup::of(&options);
    let metrics = Metrics::new(counters.clone())
        .map_err(|error| crate::ledger::Error::Failed(error.to_string()))
        .map(Arc::new)?;
    // Before any work: a path that cannot be written is said at once.
    let writing = match &options.metrics {
        Some(path) => {
            metrics.write(path)?;
            Some(tokio::spawn(metrics.clone().keep_written(path.clone())))
        }
        None => None,
    };
    let lacks = setup.sandbox().await?;
    let session = Session::open(data_dir, &setup, counters.clone()).await?;
    let mut report = Report::default();
    report.warnings.extend(lacks);
    report.warnings.extend(session.pool.shortage().map(str::to_owned));
    let mut document_seconds = Vec::new();

    let again = session.classified_again;
    report.warnings.extend((again > 0).then(|| {
        format!("{again} documents are classified again: their categories were found by other rules")
    }));
    let left_over = left_over(&session, &counters).await?.saturating_sub(again as usize);
    report.warnings.extend(
        (left_over > 0).then(|| format!("{left_over} documents were left over from an earlier run")),
    );

    let scan_done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let look = Look {
        tenant: &options.tenant,
        paths: &options.paths,
        bytes_max: options.limits.file_mib << 20,
        counters: counters.clone(),
    };
    let scanning = take_in(&session, look, stop.clone());
    let scanning = async {
        let scanned = scanning.await;
        // What an earlier run left waits until the scan knows which files moved meanwhile.
        let left_over = session.database.unsettled(usize::MAX >> 1).await?;
        session.queue.enqueue(&left_over).await.map_err(|error| Error::Delivery(error.into()))?;
        scan_done.store(true, Ordering::Release);
        counters.scan_done.store(true, Ordering::Release);
        scanned
    };
    let mut finished = |finished: Finished| {
        metrics.observe(&finished);
        record(&mut report, &mut document_seconds, &counters, finished);
    };
    let delivering = session.deliver_all(scan_done.clone(), stop.clone(), &mut finished);
    // Where nothing can be delivered any more, there is no use in scanning on.
    let scanning = async { Ok::<_, Error>(scanning.await) };
    let (scanned, ()) = futures::future::try_join(scanning, delivering).await?;
    let scanned = scanned?;

    report.moved = scanned.moves.len() as u64;
    let refused = remove_vanished(&session, &options, &scanned, &mut report, &metrics, &stop).await?;
    for failure in scanned.failures {
        report.documents += 1;
        report.failed += 1;
        *report.failures_by_code.entry(failure.failure.code.as_str().to_owned()).or_default() += 1;
        report.failures.push(failure);
    }
    report.skipped = Counters::get(&counters.documents_unchanged);
    report.pages = Counters::get(&counters.pages);
    report.ocr_pages = Counters::get(&counters.ocr_pages);
    report.chunks = Counters::get(&counters.chunks);
    report.embedded_texts = Counters::get(&counters.embedded);
    report.embedding_calls = session.models.calls().await;
    report.concepts = concepts(&session, &options.tenant)?;
    session.close().await?;
    if let Some(writing) = writing {
        writing.abort();
    }
    if let Some(path) = &options.metrics {
        metrics.write(path)?;
    }
    report.peak_rss_mib = peak.peak_mib();
    let input = ReportInput { seconds: began.elapsed().as_secs_f64(), cpu_seconds: cpu_seconds() };
    let report = report.with_rates(input, &document_seconds);
    match refused {
        Some(reason) => Err(Error::SyncRefused { reason, report: Box::new(report) }),
        None => Ok(report),
    }
}

/// Counts what an earlier run registered and did not finish, and finishes its removals.
async fn left_over(session: &Session, counters: &Counters) -> Result<usize, Error> {
    while session.deliverer.clean_up().await? > 0 {}
    let left_over = session.database.unsettled(usize::MAX >> 1).await?.len();
    Counters::add(&counters.documents_total, left_over as u64);
    Ok(left_over)
}

/// Notes how a delivery ended.
fn record(report: &mut Report, document_seconds: &mut Vec<f64>, counters: &Counters, finished: Finished) {
    let settled = match finished.outcome {
        Outcome::Committed { summary, .. } => {
            report.succeeded += 1;
            report.note_losses(&finished.uri, &summary);
            for (stage, ms) in summary.stage_ms {
                *report.stage_seconds.entry(stage).or_default() += ms / 1e3;
            }
            true
        }
        Outcome::DeadLettered(failure) => {
            report.failed += 1;
            Counters::add(&counters.documents_failed, 1);
            *report.failures_by_code.entry(failure.code.as_str().to_owned()).or_default() += 1;
            let advice = failure.code.advice();
            report.failures.push(FailedDocument { uri: finished.uri, failure, advice });
            true
        }
        Outcome::Retried(failure) => {
            tracing::info!(
                uri = finished.uri,
                code = failure.code.as_str(),
                "document will be tried again"
            );
            false
        }
        Outcome::Deleted | Outcome::NothingToDo | Outcome::Elsewhere => false,
    };
    if settled {
        report.documents += 1;
        report.bytes += finished.bytes;
        document_seconds.push(finished.seconds);
        Counters::add(&counters.documents_done, 1);
        Counters::add(&counters.bytes_done, finished.bytes);
    }
}

/// Removes documents whose file is gone, if asked to and sure. Returns why it refused.
async fn remove_vanished(
    session: &Session,
    options: &RunOptions,
    scanned: &Scanned,
    report: &mut Report,
    metrics: &Metrics,
    stop: &watch::Receiver<bool>,
) -> Result<Option<String>, Error> {
    // A file that went away after it was registered fails as vanished: that is no proof of this scan.
    report.vanished = scanned.vanished.len() as u64;
    let vanished = Vanished {
        known: scanned.known_under_paths,
        vanished: scanned.vanished.len(),
        incomplete: scanned.incomplete.as_deref(),
    };
    match removal::decide(options.sync, &vanished) {
        Removal::Keep => Ok(None),
        Removal::Refuse(reason) => Ok(Some(reason)),
        Removal::Remove => {
            for gone in &scanned.vanished {
                if let Some(message) = session.database.delete(gone.document).await? {
                    session
                        .queue
                        .enqueue(&[message])
                        .await
                        .map_err(|error| Error::Delivery(error.into()))?;
                }
            }
            let done = Arc::new(std::sync::atomic::AtomicBool::new(true));
            let mut removed = 0;
            let mut count = |finished: Finished| {
                metrics.observe(&finished);
                removed += u64::from(finished.outcome == Outcome::Deleted);
            };
            session.deliver_all(done, stop.clone(), &mut count).await?;
            report.removed = removed;
            report.vanished = report.vanished.saturating_sub(removed);
            Ok(None)
        }
    }
}

fn concepts(session: &Session, tenant: &TenantId) -> Result<u64, Error> {
    let sql = "SELECT count(*) FROM concepts WHERE tenant = ?";
    let counted = session
        .database
        .readers()
        .read(|connection| connection.query_row(sql, [tenant.as_str()], |row| row.get(0)))?;
    Ok(counted.map_err(crate::sqlite::Error::from)?)
}
