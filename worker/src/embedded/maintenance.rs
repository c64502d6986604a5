//! The other commands that write: delete, replay, verify with repair, reindex. Each holds the lock.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use docmill_core::id::{DocumentId, TenantId};
use serde::Serialize;
use tokio::sync::watch;

use super::session::{Session, Setup, active_spec, asked_spec, describe, sinks};
use super::{Concepts, Counters, Embeddings, Error, Extractor};
use crate::clock::SystemClock;
use crate::delivery::{Outcome, reindex_round};
use crate::extract::ExtractOptions;
use crate::health::Bars;
use crate::ledger::Ledger;
use crate::sqlite::Database;
use crate::stages::Models;
use crate::verify::{self, Findings, Options};

/// How these commands extract, where they have to: as the run that began the directory would by default.
fn setup(tenant: TenantId, extractor: Extractor) -> Setup {
    let slots = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let Extractor { binary, sandbox, passwords } = extractor;
    let extract = ExtractOptions { sandbox, passwords, ..ExtractOptions::default() };
    // Deleting is what a full disk needs, and the rest was asked for by name.
    let bars = Bars::NONE;
    Setup {
        tenant,
        embeddings: None,
        concepts: None,
        classify: None,
        slots,
        extract,
        extractor: binary,
        bars,
    }
}

/// Delivers what is queued until nothing is left. Returns how each ended.
async fn work_off(session: &Session, stop: watch::Receiver<bool>) -> Result<Vec<Outcome>, Error> {
    let messages = session.database.unsettled(usize::MAX >> 1).await?;
    session.queue.enqueue(&messages).await.map_err(|error| Error::Delivery(error.into()))?;
    Counters::add(&session.counters.documents_total, messages.len() as u64);
    let mut outcomes = Vec::new();
    let counters = session.counters.clone();
    let mut finished = |finished: crate::intake::Finished| {
        Counters::add(&counters.documents_done, 1);
        outcomes.push(finished.outcome);
    };
    session.deliver_all(Arc::new(AtomicBool::new(true)), stop, &mut finished).await?;
    Ok(outcomes)
}

/// Removes documents with everything that was made of them. Returns how many went.
///
/// # Errors
/// See [`Error`]; what was recorded before is finished by the next command that writes.
pub async fn delete(
    data_dir: &Path,
    tenant: TenantId,
    documents: Vec<DocumentId>,
    extractor: Extractor,
    stop: watch::Receiver<bool>,
) -> Result<u64, Error> {
    let session = Session::open(data_dir, &setup(tenant, extractor), Arc::default()).await?;
    for document in documents {
        session.database.delete(document).await?;
    }
    let outcomes = work_off(&session, stop).await?;
    session.close().await?;
    Ok(outcomes.iter().filter(|outcome| **outcome == Outcome::Deleted).count() as u64)
}

/// What a replay did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Dead letters tried again.
    pub replayed: u64,
    /// Of them, committed now.
    pub succeeded: u64,
    /// Of them, dead-lettered again.
    pub failed: u64,
}

/// Tries dead letters again.
///
/// # Errors
/// See [`Error`]; what was queued before is finished by the next command that writes.
pub async fn replay(
    data_dir: &Path,
    tenant: TenantId,
    documents: Vec<DocumentId>,
    extractor: Extractor,
    counters: Arc<Counters>,
    stop: watch::Receiver<bool>,
) -> Result<Replayed, Error> {
    let setup = setup(tenant, extractor);
    setup.sandbox().await?;
    let session = Session::open(data_dir, &setup, counters).await?;
    let mut replayed = Replayed::default();
    for document in documents {
        replayed.replayed += u64::from(session.database.requeue(document).await?.is_some());
    }
    for outcome in work_off(&session, stop).await? {
        match outcome {
            Outcome::Committed { .. } => replayed.succeeded += 1,
            Outcome::DeadLettered(_) => replayed.failed += 1,
            _ => {}
        }
    }
    session.close().await?;
    Ok(replayed)
}

/// Audits the ledger against every store; with `repair`, does again exactly what is wrong.
///
/// # Errors
/// See [`Error`].
pub async fn verify(
    data_dir: &Path,
    tenant: TenantId,
    repair: bool,
    extractor: Extractor,
) -> Result<Findings, Error> {
    if !data_dir.exists() {
        return Err(crate::sqlite::Error::Absent { dir: data_dir.to_owned() }.into());
    }
    let before = {
        let database = Arc::new(Database::open(data_dir, Arc::new(SystemClock))?);
        let stores = sinks(&database);
        let options = Options::default();
        // Without the queue: it is rebuilt from the ledger by every command that writes.
        let findings = verify::verify(database.as_ref(), &stores, None, &options).await?;
        if repair && !findings.is_clean() {
            verify::repair(database.as_ref(), &stores, None, &options).await?;
        }
        findings
    };
    if repair && !before.is_clean() {
        let setup = setup(tenant, extractor);
        setup.sandbox().await?;
        let session = Session::open(data_dir, &setup, Arc::default()).await?;
        let (_stop, stopped) = watch::channel(false);
        work_off(&session, stopped).await?;
        session.close().await?;
    }
    Ok(before)
}

/// What a reindex did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reindexed {
    /// The index before.
    pub from: String,
    /// The index now.
    pub to: String,
    /// Documents indexed anew.
    pub documents: u64,
    /// Documents that still lack a place in the new index; while there are any, the old one stays active.
    pub lacking: u64,
}

/// Builds another index beside the active one and switches to it when every document is in it.
///
/// # Errors
/// See [`Error`]; interrupted, the same command goes on where it stopped.
pub async fn reindex(
    data_dir: &Path,
    tenant: TenantId,
    embeddings: Option<Embeddings>,
    concepts: Option<Concepts>,
    extractor: Extractor,
    counters: Arc<Counters>,
    stop: watch::Receiver<bool>,
) -> Result<Reindexed, Error> {
    if !data_dir.exists() {
        return Err(crate::sqlite::Error::Absent { dir: data_dir.to_owned() }.into());
    }
    let setup = setup(tenant.clone(), extractor);
    let (from, to) = {
        let database = Database::open(data_dir, Arc::new(SystemClock))?;
        let Some(active) = active_spec(&database, &tenant).await? else {
            return Err(crate::sqlite::Error::Absent { dir: data_dir.to_owned() }.into());
        };
        let asked = asked_spec(&Setup { embeddings, concepts, ..setup.clone() }, Some(&active));
        if asked.id() != active.id() {
            // Fail before anything is begun if the model cannot be had.
            Models::new(1).embedder(&asked).await.map_err(Error::Model)?;
            database.begin_index(&tenant, &asked).await?;
        }
        (active, asked)
    };
    let mut done = Reindexed { from: describe(&from), to: describe(&to), documents: 0, lacking: 0 };
    if from.id() == to.id() {
        return Ok(done);
    }
    setup.sandbox().await?;
    let session = Session::open(data_dir, &setup, counters).await?;
    let (ledger, queue) = (session.database.as_ref(), session.queue.as_ref());
    done.lacking = reindex_round(ledger, queue, &tenant, to.id()).await?;
    if done.lacking > 0 {
        let outcomes = work_off(&session, stop.clone()).await?;
        let committed = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Committed { .. }));
        done.documents = committed.count() as u64;
        if !*stop.borrow() {
            done.lacking = ledger.switch_index(&tenant, to.id()).await?;
        }
    }
    while session.deliverer.clean_up().await? > 0 {}
    session.close().await?;
    Ok(done)
}
