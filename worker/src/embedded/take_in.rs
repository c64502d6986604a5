//! A look at some paths, carried into ledger and queue: what is new or changed is registered and queued, what moved is
//! recorded, what was seen as it was is remembered.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use docmill_core::id::TenantId;
use tokio::sync::{mpsc, watch};

use super::scan::{Found, Scan, Scanned, Seen};
use super::session::Session;
use super::{Counters, Error};
use crate::ledger::{Ledger, Registered, Registration};
use crate::queue::Message;
use crate::sqlite::known_sources;

/// Batches of a scan that may wait for the ledger.
const SCAN_BATCHES: usize = 4;

/// What is looked at, and for whom.
pub(super) struct Look<'a> {
    /// Whose documents they are.
    pub tenant: &'a TenantId,
    /// Files and directories.
    pub paths: &'a [PathBuf],
    /// Largest file, in bytes.
    pub bytes_max: u64,
    /// What is shown while it works.
    pub counters: Arc<Counters>,
}

/// Walks the paths, registers what is new and queues it.
pub(super) async fn take_in(
    session: &Session,
    look: Look<'_>,
    stop: watch::Receiver<bool>,
) -> Result<Scanned, Error> {
    let Look { tenant, paths, bytes_max, counters } = look;
    let known = known(session, tenant.clone()).await?;
    let began_ns = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |now| i64::try_from(now.as_nanos()).unwrap_or(i64::MAX));
    let scan = Scan { known, began_ns, bytes_max, counters: counters.clone() };
    let (sender, mut batches) = mpsc::channel(SCAN_BATCHES);
    let paths = paths.to_vec();
    let walking = tokio::task::spawn_blocking(move || {
        scan.run(&paths, &mut |seen| !*stop.borrow() && sender.blocking_send(seen).is_ok())
    });
    while let Some(seen) = batches.recv().await {
        match seen {
            Seen::Found(found) => register(session, tenant, began_ns, found, &counters).await?,
            Seen::Again(looks) => {
                let looks = looks.into_iter().map(|(uri, stat)| (uri, stat, began_ns)).collect();
                session.database.seen_again(tenant.clone(), looks).await?;
            }
        }
    }
    let scanned = walking.await.map_err(|error| crate::ledger::Error::Failed(error.to_string()))?;
    if !scanned.moves.is_empty() {
        let retried = session.database.move_sources(tenant.clone(), scanned.moves.clone()).await?;
        Counters::add(&counters.documents_total, retried.len() as u64);
        session.queue.enqueue(&retried).await.map_err(|error| Error::Delivery(error.into()))?;
    }
    Ok(scanned)
}

/// The tenant's sources by URI, looked up where it may take its time.
async fn known(
    session: &Session,
    tenant: TenantId,
) -> Result<HashMap<String, crate::sqlite::KnownSource>, Error> {
    let readers = session.database.readers().clone();
    let look = move || readers.read(|connection| known_sources(connection, &tenant));
    let known = tokio::task::spawn_blocking(look).await;
    let known = known.map_err(|error| crate::ledger::Error::Failed(error.to_string()))??;
    let known = known.map_err(crate::sqlite::Error::from)?;
    Ok(known.into_iter().map(|known| (known.uri.clone(), known)).collect())
}

async fn register(
    session: &Session,
    tenant: &TenantId,
    began_ns: i64,
    found: Vec<Found>,
    counters: &Counters,
) -> Result<(), Error> {
    let bytes: Vec<u64> = found.iter().map(|found| found.stat.bytes).collect();
    let registrations = found
        .into_iter()
        .map(|found| Registration {
            tenant: tenant.clone(),
            uri: found.uri,
            content: found.content,
            bytes: found.stat.bytes,
            stat: Some(found.stat),
            scanned_at_ns: began_ns,
            root: Some(found.root),
        })
        .collect();
    let mut messages: Vec<Message> = Vec::new();
    for (registered, bytes) in session.database.register(registrations).await?.into_iter().zip(bytes) {
        match registered {
            Registered::New(message) | Registered::Changed(message) => {
                messages.push(message);
                Counters::add(&counters.documents_total, 1);
                Counters::add(&counters.bytes_total, bytes);
            }
            Registered::Unchanged(..) => Counters::add(&counters.documents_unchanged, 1),
        }
    }
    session.queue.enqueue(&messages).await.map_err(|error| Error::Delivery(error.into()))
}
