//! Batches: what a user submitted together, how far it is, and its end before its time.

use deadpool_postgres::Transaction;
use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::TenantId;
use tokio_postgres::Row;
use uuid::Uuid;

use super::claims::forget_pages;
use super::sql::{execute, one, optional, rows};
use super::transaction::transaction;
use super::values::{big, json, number};
use super::{Database, Error};

/// Documents that are cancelled in one transaction.
const CANCEL_BATCH: i64 = 1_000;
/// What a rate is taken over, in milliseconds.
const RATE_OVER_MS: i64 = 60_000;

/// A state of a document as users are told it: beside the ledger's own, `cancelled` and `superseded`.
pub(super) const SHOWN_STATE: &str =
    "CASE WHEN d.state = 'failed' AND starts_with(d.failure, '{\"code\":\"cancelled\"') THEN 'cancelled'
          ELSE d.state END";

/// A batch and how far it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BatchRow {
    /// Its name, for programs.
    pub id: Uuid,
    /// Its place in the order of batches.
    pub arrived: u64,
    /// Its name, for people.
    pub name: Option<String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at_ms: u64,
    /// When it was cancelled.
    pub cancelled_at_ms: Option<u64>,
    /// Documents.
    pub total: u64,
    /// Those that wait.
    pub queued: u64,
    /// Those that are worked on.
    pub processing: u64,
    /// Those that can be found.
    pub committed: u64,
    /// Those that were given up.
    pub failed: u64,
    /// Those that were cancelled.
    pub cancelled: u64,
    /// Those that have other content by now.
    pub superseded: u64,
    /// Settled within the last minute, or since the batch was made.
    pub settled_lately: u64,
    /// What that is taken over, in milliseconds.
    pub lately_ms: u64,
}

impl Database {
    /// Makes a batch; one that is there is left as it is.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn create_batch(
        &self,
        batch: Uuid,
        tenant: &TenantId,
        name: Option<&str>,
    ) -> Result<(), Error> {
        transaction!(self, |transaction| create(transaction, batch, tenant, name))
    }

    /// A batch of the tenant.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn batch(&self, tenant: &TenantId, batch: Uuid) -> Result<Option<BatchRow>, Error> {
        transaction!(self, |transaction| get(transaction, tenant, batch))
    }

    /// Batches of the tenant, newest first, before the one that arrived so.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn batches(
        &self,
        tenant: &TenantId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<BatchRow>, Error> {
        transaction!(self, |transaction| list(transaction, tenant, before, limit))
    }

    /// Cancels a batch of the tenant: what waits is never begun, what is in work loses its claim and stops at its
    /// next mark. What another batch wants too goes on. `None`: there is no such batch; else how many documents
    /// were cancelled now. May be repeated.
    ///
    /// # Errors
    /// Part of it may have taken effect; the same again does the rest.
    pub async fn cancel_batch(&self, tenant: &TenantId, batch: Uuid) -> Result<Option<u64>, Error> {
        let marked = transaction!(self, |transaction| mark_cancelled(transaction, tenant, batch))?;
        if !marked {
            return Ok(None);
        }
        self.finish_cancel(batch).await.map(Some)
    }

    /// Finishes what a process did not that died while it cancelled. Returns how many documents.
    ///
    /// # Errors
    /// Part of it may have taken effect; the same again does the rest.
    pub async fn finish_cancels(&self) -> Result<u64, Error> {
        let mut cancelled = 0;
        for batch in transaction!(self, |transaction| unfinished(transaction))? {
            cancelled += self.finish_cancel(batch).await?;
        }
        Ok(cancelled)
    }

    async fn finish_cancel(&self, batch: Uuid) -> Result<u64, Error> {
        let mut cancelled = 0;
        loop {
            let some = transaction!(self, |transaction| cancel_some(transaction, batch))?;
            cancelled += some;
            if some == 0 {
                return Ok(cancelled);
            }
        }
    }
}

async fn create(
    transaction: &Transaction<'_>,
    batch: Uuid,
    tenant: &TenantId,
    name: Option<&str>,
) -> Result<(), Error> {
    let sql = "INSERT INTO batches(batch, tenant, name, created_at_ms) VALUES($1, $2, $3, now_ms())
               ON CONFLICT (batch) DO NOTHING";
    execute(transaction, sql, &[&batch, &tenant.as_str(), &name]).await.map(drop)
}

const HEAD: &str = "SELECT batch, arrived, name, created_at_ms, cancelled_at_ms FROM batches";

async fn get(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    batch: Uuid,
) -> Result<Option<BatchRow>, Error> {
    let sql = format!("{HEAD} WHERE tenant = $1 AND batch = $2");
    let Some(row) = optional(transaction, &sql, &[&tenant.as_str(), &batch]).await? else {
        return Ok(None);
    };
    let mut found = vec![read(&row)?];
    count(transaction, &mut found).await?;
    Ok(found.pop())
}

async fn list(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<BatchRow>, Error> {
    let sql = format!(
        "{HEAD} WHERE tenant = $1 AND ($2::bigint IS NULL OR arrived < $2) ORDER BY arrived DESC LIMIT $3"
    );
    let found = rows(transaction, &sql, &[&tenant.as_str(), &before.map(big), &i64::from(limit)]).await?;
    let mut found: Vec<BatchRow> = found.iter().map(read).collect::<Result<_, Error>>()?;
    count(transaction, &mut found).await?;
    Ok(found)
}

fn read(row: &Row) -> Result<BatchRow, Error> {
    Ok(BatchRow {
        id: row.try_get(0)?,
        arrived: number(row.try_get(1)?),
        name: row.try_get(2)?,
        created_at_ms: number(row.try_get(3)?),
        cancelled_at_ms: row.try_get::<_, Option<i64>>(4)?.map(number),
        ..BatchRow::default()
    })
}

async fn count(transaction: &Transaction<'_>, batches: &mut [BatchRow]) -> Result<(), Error> {
    let now = number(one(transaction, "SELECT now_ms()", &[]).await?.try_get(0)?);
    for batch in &mut *batches {
        batch.lately_ms = now.saturating_sub(batch.created_at_ms).clamp(1, RATE_OVER_MS as u64);
    }
    let ids: Vec<Uuid> = batches.iter().map(|batch| batch.id).collect();
    let sql = format!(
        "SELECT b.batch, CASE WHEN d.generation > b.generation THEN 'superseded' ELSE {SHOWN_STATE} END AS shown,
                count(*),
                count(*) FILTER (WHERE d.state IN ('committed', 'failed')
                  AND greatest(d.committed_at_ms, d.failed_at_ms) > $2::bigint - {RATE_OVER_MS})
         FROM batch_documents b JOIN documents d ON d.document = b.document
         WHERE b.batch = ANY($1) GROUP BY 1, 2"
    );
    for row in &rows(transaction, &sql, &[&ids, &big(now)]).await? {
        let (id, counted): (Uuid, u64) = (row.try_get(0)?, number(row.try_get(2)?));
        let Some(batch) = batches.iter_mut().find(|batch| batch.id == id) else { continue };
        batch.total += counted;
        batch.settled_lately += number(row.try_get(3)?);
        match row.try_get(1)? {
            "queued" => batch.queued += counted,
            "processing" => batch.processing += counted,
            "committed" => batch.committed += counted,
            "failed" => batch.failed += counted,
            "cancelled" => batch.cancelled += counted,
            _ => batch.superseded += counted,
        }
    }
    Ok(())
}

async fn mark_cancelled(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    batch: Uuid,
) -> Result<bool, Error> {
    // Waits for whoever takes documents into the batch, so that they are all seen afterwards.
    let sql = "UPDATE batches SET cancelled_at_ms = coalesce(cancelled_at_ms, now_ms())
               WHERE tenant = $1 AND batch = $2";
    Ok(execute(transaction, sql, &[&tenant.as_str(), &batch]).await? == 1)
}

/// Documents of the batch that its cancelling ends: nobody else wants them, and they are not there already and only done
/// again.
const ENDED: &str = "SELECT d.document FROM batch_documents b JOIN documents d ON d.document = b.document
     WHERE b.batch = $1 AND d.generation = b.generation AND d.state IN ('queued', 'processing')
       AND NOT EXISTS (SELECT 1 FROM batch_documents o JOIN batches w ON w.batch = o.batch
                       WHERE o.document = b.document AND o.generation = b.generation AND o.batch <> b.batch
                         AND w.cancelled_at_ms IS NULL)
       AND NOT EXISTS (SELECT 1 FROM manifests m
                       WHERE m.document = d.document AND m.generation = d.generation AND m.replaced_by IS NULL)";

async fn cancel_some(transaction: &Transaction<'_>, batch: Uuid) -> Result<u64, Error> {
    let failure = json(&Failure::new(FailureCode::Cancelled, format!("batch {batch} was cancelled")))?;
    // Locked first, in order; who holds a claim on one finds at its next mark that it is gone.
    let lock = format!("{ENDED} ORDER BY d.document LIMIT {CANCEL_BATCH} FOR UPDATE OF d");
    let found = rows(transaction, &lock, &[&batch]).await?;
    let documents: Vec<Uuid> = found.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<_, Error>>()?;
    if documents.is_empty() {
        return Ok(0);
    }
    let cancelled = execute(
        transaction,
        "UPDATE documents SET state = 'failed', owner = NULL, started = false, failure = $2, failed_at_ms = now_ms()
         WHERE document = ANY($1)",
        &[&documents, &failure],
    )
    .await?;
    forget_pages(transaction, &documents).await?;
    Ok(cancelled)
}

async fn unfinished(transaction: &Transaction<'_>) -> Result<Vec<Uuid>, Error> {
    let sql = "SELECT b.batch FROM batches b WHERE b.cancelled_at_ms > now_ms() - 86400000
                 AND EXISTS (SELECT 1 FROM batch_documents m JOIN documents d ON d.document = m.document
                             WHERE m.batch = b.batch AND d.generation = m.generation
                               AND d.state IN ('queued', 'processing'))";
    let found = rows(transaction, sql, &[]).await?;
    found.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
