//! Batches: what a user submitted together, how far it is, and its end before its time.

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::{DocumentId, Generation, TenantId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::claims::{document_of, forget_pages, json, malformed};
use crate::desk::BatchRow;

/// What a rate is taken over, in milliseconds.
const RATE_OVER_MS: u64 = 60_000;

/// A state of a document as users are told it: beside the ledger's own, `cancelled`. The code is the first field of a
/// failure's text.
pub(super) const SHOWN_STATE: &str =
    "CASE WHEN d.state = 'failed' AND instr(d.failure, '{\"code\":\"cancelled\"') = 1 THEN 'cancelled'
          ELSE d.state END";

pub(super) fn create(
    connection: &Connection,
    batch: Uuid,
    tenant: &TenantId,
    name: Option<&str>,
    now_ms: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO batches(batch, tenant, name, created_at_ms) VALUES(?, ?, ?, ?)
             ON CONFLICT(batch) DO NOTHING",
        )?
        .execute(params![&batch.as_bytes()[..], tenant.as_str(), name, now_ms])
        .map(|_| ())
}

/// Whether the tenant has the batch, and it was not cancelled.
pub(super) fn is_open(connection: &Connection, tenant: &TenantId, batch: Uuid) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS(SELECT 1 FROM batches WHERE batch = ? AND tenant = ? AND cancelled_at_ms IS NULL)",
        )?
        .query_row(params![&batch.as_bytes()[..], tenant.as_str()], |row| row.get(0))
}

pub(super) fn attach(
    connection: &Connection,
    batch: Uuid,
    document: DocumentId,
    generation: Generation,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO batch_documents VALUES(?, ?, ?)
             ON CONFLICT(batch, document) DO UPDATE SET generation = excluded.generation",
        )?
        .execute(params![&batch.as_bytes()[..], &document.as_bytes()[..], generation.0])
        .map(|_| ())
}

const HEAD: &str = "SELECT batch, arrived, name, created_at_ms, cancelled_at_ms FROM batches";

pub(super) fn get(
    connection: &Connection,
    tenant: &TenantId,
    batch: Uuid,
    now_ms: i64,
) -> rusqlite::Result<Option<BatchRow>> {
    let found = connection
        .prepare_cached(&format!("{HEAD} WHERE batch = ? AND tenant = ?"))?
        .query_row(params![&batch.as_bytes()[..], tenant.as_str()], read)
        .optional()?;
    found.map(|row| counted(connection, row, now_ms)).transpose()
}

pub(super) fn list(
    connection: &Connection,
    tenant: &TenantId,
    before: Option<u64>,
    limit: u32,
    now_ms: i64,
) -> rusqlite::Result<Vec<BatchRow>> {
    let sql =
        format!("{HEAD} WHERE tenant = ?1 AND (?2 IS NULL OR arrived < ?2) ORDER BY arrived DESC LIMIT ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![tenant.as_str(), before, limit], read)?;
    rows.map(|row| counted(connection, row?, now_ms)).collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<BatchRow> {
    let id = Uuid::from_slice(&row.get::<_, Vec<u8>>(0)?);
    Ok(BatchRow {
        id: id.map_err(|_| malformed("a batch id has 16 bytes"))?,
        arrived: row.get(1)?,
        name: row.get(2)?,
        created_at_ms: row.get(3)?,
        cancelled_at_ms: row.get(4)?,
        ..BatchRow::default()
    })
}

fn counted(connection: &Connection, mut batch: BatchRow, now_ms: i64) -> rusqlite::Result<BatchRow> {
    let now = now_ms.max(0) as u64;
    batch.lately_ms = now.saturating_sub(batch.created_at_ms).clamp(1, RATE_OVER_MS);
    let sql = format!(
        "SELECT CASE WHEN d.generation > b.generation THEN 'superseded' ELSE {SHOWN_STATE} END, count(*),
                count(*) FILTER (WHERE d.state IN ('committed', 'failed')
                  AND max(coalesce(d.committed_at_ms, 0), coalesce(d.failed_at_ms, 0)) > ?2)
         FROM batch_documents b JOIN documents d ON d.document = b.document WHERE b.batch = ?1 GROUP BY 1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let lately_from = now_ms.saturating_sub(RATE_OVER_MS as i64);
    let mut rows = statement.query(params![&batch.id.as_bytes()[..], lately_from])?;
    while let Some(row) = rows.next()? {
        let counted: u64 = row.get(1)?;
        batch.total += counted;
        batch.settled_lately += row.get::<_, u64>(2)?;
        match row.get::<_, String>(0)?.as_str() {
            "queued" => batch.queued += counted,
            "processing" => batch.processing += counted,
            "committed" => batch.committed += counted,
            "failed" => batch.failed += counted,
            "cancelled" => batch.cancelled += counted,
            _ => batch.superseded += counted,
        }
    }
    Ok(batch)
}

/// Documents of a batch that its cancelling ends: nobody else wants them, neither another batch nor who watches (or ran)
/// the directory that they were found in, and they are not there already and only done again.
const ENDED: &str = "SELECT d.document FROM batch_documents b JOIN documents d ON d.document = b.document
     WHERE b.batch = ?1 AND d.generation = b.generation AND d.state IN ('queued', 'processing')
       AND NOT EXISTS (SELECT 1 FROM batch_documents o JOIN batches w ON w.batch = o.batch
                       WHERE o.document = b.document AND o.generation = b.generation AND o.batch <> b.batch
                         AND w.cancelled_at_ms IS NULL)
       AND NOT EXISTS (SELECT 1 FROM sources s
                       WHERE s.tenant = d.tenant AND s.uri = d.uri AND s.root IS NOT NULL)
       AND NOT EXISTS (SELECT 1 FROM manifests m
                       WHERE m.document = d.document AND m.generation = d.generation AND m.replaced_by IS NULL)";

/// What waits is never begun; who has a claim finds at the next mark that it is gone. `None`: the tenant has no such
/// batch; else how many documents were cancelled now.
pub(super) fn cancel(
    connection: &Connection,
    tenant: &TenantId,
    batch: Uuid,
    now_ms: i64,
) -> rusqlite::Result<Option<u64>> {
    let marked = connection
        .prepare_cached(
            "UPDATE batches SET cancelled_at_ms = coalesce(cancelled_at_ms, ?3) WHERE batch = ?1 AND tenant = ?2",
        )?
        .execute(params![&batch.as_bytes()[..], tenant.as_str(), now_ms])?;
    if marked == 0 {
        return Ok(None);
    }
    let ended: Vec<DocumentId> = connection
        .prepare_cached(ENDED)?
        .query_map([&batch.as_bytes()[..]], |row| document_of(&row.get::<_, Vec<u8>>(0)?))?
        .collect::<rusqlite::Result<_>>()?;
    let failure = json(&Failure::new(FailureCode::Cancelled, format!("batch {batch} was cancelled")))?;
    let mut statement = connection.prepare_cached(
        "UPDATE documents SET state = 'failed', owner = NULL, started = 0, failure = ?, failed_at_ms = ?
         WHERE document = ?",
    )?;
    for document in &ended {
        statement.execute(params![failure, now_ms, &document.as_bytes()[..]])?;
        forget_pages(connection, document)?;
    }
    Ok(Some(ended.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that waits, of a batch; found under this directory before, or only handed in.
    fn waiting(connection: &Connection, batch: Uuid, uri: &str, root: Option<&str>) -> DocumentId {
        let document = DocumentId::born(&TenantId::default(), uri, 0);
        let id = &document.as_bytes()[..];
        connection
            .execute(
                "INSERT INTO documents(document, tenant, uri, birth_uri, generation, state, bytes, changed_at_ms)
                 VALUES(?1, 'default', ?2, ?2, 1, 'queued', 1, 1)",
                params![id, uri],
            )
            .unwrap();
        connection
            .execute(
                "INSERT INTO sources(tenant, uri, document, scanned_at_ns, root) VALUES('default', ?, ?, 1, ?)",
                params![uri, id, root],
            )
            .unwrap();
        attach(connection, batch, document, Generation(1)).unwrap();
        document
    }

    #[test]
    fn what_is_watched_outlives_its_batch() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(super::super::TABLES).unwrap();
        let (tenant, batch) = (TenantId::default(), Uuid::from_u128(1));
        create(&connection, batch, &tenant, None, 1).unwrap();
        let watched = waiting(&connection, batch, "file:///w/a", Some("file:///w"));
        let named = waiting(&connection, batch, "file:///w/b", None);
        assert_eq!(cancel(&connection, &tenant, batch, 2).unwrap(), Some(1));
        let state = |document: DocumentId| -> String {
            let sql = "SELECT state FROM documents WHERE document = ?";
            connection.query_row(sql, [&document.as_bytes()[..]], |row| row.get(0)).unwrap()
        };
        assert_eq!((state(watched).as_str(), state(named).as_str()), ("queued", "failed"));
    }
}
