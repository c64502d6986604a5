//! What workers say of themselves, and the orders that they are given: to take no new work for a while.

use std::time::Duration;

use deadpool_postgres::Transaction;
use tokio_postgres::Row;

use super::sql::{execute, one, optional, rows};
use super::transaction::transaction;
use super::values::{big, int, number, small};
use super::{Database, Error};
use crate::ledger::WorkerId;

/// Rows of workers that died longer ago are forgotten.
const DEAD_MS: i64 = 3_600_000;

/// What a worker says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkerReport {
    /// Its pod or machine; may be empty.
    pub host: String,
    /// Documents in work.
    pub busy: u32,
    /// When the document began that is longest in work, in milliseconds since the Unix epoch.
    pub oldest_began_ms: Option<u64>,
    /// It was ordered to take no new work and has none left.
    pub drained: bool,
}

/// A worker that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveWorker {
    /// Its name: unique for a process start.
    pub name: String,
    /// What it said last.
    pub report: WorkerReport,
    /// When it started, in milliseconds since the Unix epoch.
    pub started_at_ms: u64,
    /// Until when it is ordered to take no new work.
    pub drain_until_ms: Option<u64>,
}

impl Database {
    /// Keeps what a worker says of itself; it must have sent a heartbeat before.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn report_worker(&self, worker: &WorkerId, report: &WorkerReport) -> Result<(), Error> {
        transaction!(self, |transaction| keep(transaction, worker, report))
    }

    /// Whether the worker is ordered to take no new work now.
    ///
    /// # Errors
    /// The server did not answer: the order stands as it was.
    pub async fn worker_is_to_drain(&self, worker: &WorkerId) -> Result<bool, Error> {
        transaction!(self, |transaction| is_to_drain(transaction, worker))
    }

    /// Orders a worker to take no new work for this long; `None` ends the order. False: no such worker lives.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn order_drain(&self, worker: &str, lasts: Option<Duration>) -> Result<bool, Error> {
        transaction!(self, |transaction| order(transaction, worker, lasts))
    }

    /// The workers that live, by name, and the server's time in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn live_workers(&self) -> Result<(Vec<LiveWorker>, u64), Error> {
        transaction!(self, |transaction| live(transaction))
    }

    /// Forgets workers that died long ago. Returns how many.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn forget_dead_workers(&self) -> Result<u64, Error> {
        transaction!(self, |transaction| forget(transaction))
    }
}

async fn keep(
    transaction: &Transaction<'_>,
    worker: &WorkerId,
    report: &WorkerReport,
) -> Result<(), Error> {
    let sql =
        "UPDATE workers SET host = $2, busy = $3, oldest_began_ms = $4, drained = $5 WHERE worker = $1";
    let began = report.oldest_began_ms.map(big);
    execute(transaction, sql, &[&worker.0, &report.host, &int(report.busy), &began, &report.drained])
        .await
        .map(drop)
}

async fn is_to_drain(transaction: &Transaction<'_>, worker: &WorkerId) -> Result<bool, Error> {
    let sql = "SELECT coalesce(drain_until_ms > now_ms(), false) FROM workers WHERE worker = $1";
    let row = optional(transaction, sql, &[&worker.0]).await?;
    row.map_or(Ok(false), |row| Ok(row.try_get(0)?))
}

async fn order(
    transaction: &Transaction<'_>,
    worker: &str,
    lasts: Option<Duration>,
) -> Result<bool, Error> {
    let lasts = lasts.map(|lasts| i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX));
    let sql =
        "UPDATE workers SET drain_until_ms = now_ms() + $2 WHERE worker = $1 AND lease_until_ms > now_ms()";
    Ok(execute(transaction, sql, &[&worker, &lasts]).await? == 1)
}

async fn live(transaction: &Transaction<'_>) -> Result<(Vec<LiveWorker>, u64), Error> {
    let now: i64 = one(transaction, "SELECT now_ms()", &[]).await?.try_get(0)?;
    let found = rows(
        transaction,
        "SELECT worker, host, busy, oldest_began_ms, drained, started_at_ms,
                CASE WHEN drain_until_ms > $1 THEN drain_until_ms END
         FROM workers WHERE lease_until_ms > $1 ORDER BY worker",
        &[&now],
    )
    .await?;
    let read = |row: &Row| {
        Ok(LiveWorker {
            name: row.try_get(0)?,
            report: WorkerReport {
                host: row.try_get(1)?,
                busy: small(row.try_get(2)?),
                oldest_began_ms: row.try_get::<_, Option<i64>>(3)?.map(number),
                drained: row.try_get(4)?,
            },
            started_at_ms: number(row.try_get(5)?),
            drain_until_ms: row.try_get::<_, Option<i64>>(6)?.map(number),
        })
    };
    let workers: Result<Vec<LiveWorker>, Error> = found.iter().map(read).collect();
    Ok((workers?, number(now)))
}

async fn forget(transaction: &Transaction<'_>) -> Result<u64, Error> {
    execute(
        transaction,
        "DELETE FROM workers w WHERE lease_until_ms < now_ms() - $1
           AND NOT EXISTS (SELECT 1 FROM documents d WHERE d.owner = w.worker)",
        &[&DEAD_MS],
    )
    .await
}
