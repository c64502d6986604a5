//! What the ledger can say of itself: duplicates, overdue removals, rows that something still accounts for.

use docmill_core::id::{ChunkId, DocumentId};
use rusqlite::{Connection, params};

use super::manifests::chunk_of;
use crate::ledger::SelfAudit;

pub(super) fn self_audit(
    connection: &Connection,
    now_ms: i64,
    grace_ms: i64,
) -> rusqlite::Result<SelfAudit> {
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, u64>(0));
    let documents = count(
        "SELECT count(*) FROM (SELECT 1 FROM documents WHERE content IS NOT NULL
         GROUP BY tenant, uri HAVING count(*) > 1)",
    )?;
    let entries = count(
        "SELECT count(*) FROM (SELECT 1 FROM manifest_entries e JOIN manifests m ON m.manifest = e.manifest
         WHERE m.replaced_by IS NULL GROUP BY m.document, m.index_id, e.text_hash, e.occurrence HAVING count(*) > 1)",
    )?;
    let concepts = count(
        "SELECT count(*) FROM (SELECT 1 FROM concepts GROUP BY tenant, canonical_name HAVING count(*) > 1)",
    )?;
    let (pending, overdue) = connection.query_row(
        "SELECT count(CASE WHEN due_ms >= ?1 THEN 1 END), count(CASE WHEN due_ms < ?1 THEN 1 END) FROM cleanups",
        params![now_ms - grace_ms],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(SelfAudit { duplicate: documents + entries + concepts, cleanup_pending: pending, stale: overdue })
}

pub(super) fn accounted_for(
    connection: &Connection,
    document: DocumentId,
    chunk: ChunkId,
) -> rusqlite::Result<bool> {
    let document = &document.as_bytes()[..];
    let in_work: bool = connection
        .prepare_cached(
            "SELECT EXISTS(SELECT 1 FROM documents WHERE document = ? AND state IN ('queued', 'processing'))",
        )?
        .query_row([document], |row| row.get(0))?;
    if in_work {
        return Ok(true);
    }
    let mut statement = connection.prepare_cached("SELECT chunks FROM cleanups WHERE document = ?")?;
    let mut rows = statement.query([document])?;
    while let Some(row) = rows.next()? {
        for id in row.get::<_, Vec<u8>>(0)?.chunks(16) {
            if chunk_of(id)? == chunk {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
