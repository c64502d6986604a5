//! What the API shows and asks to be done again: documents, dead letters, what is unsettled.

use std::collections::BTreeMap;

use docmill_core::id::{ContentHash, DocumentId, Generation, TenantId};
use docmill_core::lane::{Lane, SMALL_BYTES_MAX};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::batches::SHOWN_STATE;
use super::claims::{document_of, from_json, hash_of};
use super::sources;
use crate::desk::{DocumentFilter, DocumentRow, LaneCounts, LetterFilter};
use crate::queue::Message;

pub(super) fn columns() -> String {
    format!(
        "d.document, d.rowid, d.uri, {SHOWN_STATE}, d.generation, d.bytes, d.content IS NULL, d.summary,
         d.committed_at_ms, d.failure, d.failed_at_ms, d.changed_at_ms,
         d.starts, d.child_crashes, d.transient_failures"
    )
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<DocumentRow> {
    Ok(DocumentRow {
        id: document_of(&row.get::<_, Vec<u8>>(0)?)?,
        arrived: row.get(1)?,
        uri: row.get(2)?,
        state: row.get(3)?,
        generation: row.get(4)?,
        bytes: row.get(5)?,
        deleted: row.get(6)?,
        summary: row.get::<_, Option<String>>(7)?.map(|text| from_json(&text)).transpose()?,
        committed_at_ms: row.get(8)?,
        failure: row.get::<_, Option<String>>(9)?.map(|text| from_json(&text)).transpose()?,
        failed_at_ms: row.get(10)?,
        changed_at_ms: row.get(11)?,
        attempts: [row.get(12)?, row.get(13)?, row.get(14)?],
    })
}

/// Newest first, without deleted ones.
pub(super) fn documents(
    connection: &Connection,
    tenant: &TenantId,
    filter: &DocumentFilter,
) -> rusqlite::Result<Vec<DocumentRow>> {
    let mut sql = format!(
        "SELECT {} FROM documents d
         WHERE d.tenant = ?1 AND d.content IS NOT NULL AND (?2 IS NULL OR d.rowid < ?2)
           AND (?3 IS NULL OR {SHOWN_STATE} = ?3)",
        columns()
    );
    // Said only where they are asked for: each has an index of its own.
    if filter.batch.is_some() {
        sql += " AND d.document IN (SELECT document FROM batch_documents WHERE batch = ?4)";
    }
    if filter.uri.is_some() {
        sql += " AND d.document = (SELECT document FROM sources WHERE tenant = ?1 AND uri = ?5)";
    }
    sql += " ORDER BY d.rowid DESC LIMIT ?6";
    let batch = filter.batch.as_ref().map(|batch| &batch.as_bytes()[..]);
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(
        params![tenant.as_str(), filter.before, filter.state, batch, filter.uri, filter.limit],
        read,
    )?;
    rows.collect()
}

/// A deleted one too.
pub(super) fn document(
    connection: &Connection,
    tenant: &TenantId,
    document: DocumentId,
) -> rusqlite::Result<Option<DocumentRow>> {
    let sql = format!("SELECT {} FROM documents d WHERE d.document = ? AND d.tenant = ?", columns());
    connection
        .prepare_cached(&sql)?
        .query_row(params![&document.as_bytes()[..], tenant.as_str()], read)
        .optional()
}

/// The content of its newest generation, unless that is a deletion.
pub(super) fn content_of(
    connection: &Connection,
    tenant: &TenantId,
    document: DocumentId,
) -> rusqlite::Result<Option<ContentHash>> {
    let sql = "SELECT content FROM documents WHERE document = ? AND tenant = ? AND content IS NOT NULL";
    let found: Option<Vec<u8>> = connection
        .prepare_cached(sql)?
        .query_row(params![&document.as_bytes()[..], tenant.as_str()], |row| row.get(0))
        .optional()?;
    found.map(|bytes| hash_of(&bytes).map(ContentHash)).transpose()
}

/// Makes the next generation of the tenant's document a deletion. `None`: unknown or deleted already.
pub(super) fn delete(
    connection: &Connection,
    tenant: &TenantId,
    document: DocumentId,
    now_ms: i64,
) -> rusqlite::Result<Option<Message>> {
    let theirs: bool = connection
        .prepare_cached("SELECT EXISTS(SELECT 1 FROM documents WHERE document = ? AND tenant = ?)")?
        .query_row(params![&document.as_bytes()[..], tenant.as_str()], |row| row.get(0))?;
    if theirs { sources::delete(connection, document, now_ms) } else { Ok(None) }
}

/// Dead letters that ?2 (code), ?3 (documents) and ?4 (until) mean. Cancelled documents are none, unless they are
/// named.
const MEANT: &str = "d.tenant = ?1 AND d.state = 'failed'
    AND (?2 IS NULL OR instr(d.failure, '{\"code\":\"' || ?2 || '\"') = 1)
    AND (?3 IS NULL OR d.document IN (SELECT unhex(value) FROM json_each(?3)))
    AND (?3 IS NOT NULL OR ?2 = 'cancelled' OR instr(d.failure, '{\"code\":\"cancelled\"') <> 1)
    AND (?4 IS NULL OR d.failed_at_ms <= ?4)";

/// The ids as a JSON list of hexadecimal numbers, which is how one value holds many.
fn hex_list(documents: &[DocumentId]) -> String {
    let hex = |document: &DocumentId| -> String {
        document.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let quoted: Vec<String> = documents.iter().map(|document| format!("\"{}\"", hex(document))).collect();
    format!("[{}]", quoted.join(","))
}

/// The last to fail first.
pub(super) fn letters(
    connection: &Connection,
    tenant: &TenantId,
    filter: &LetterFilter,
    before: Option<(u64, DocumentId)>,
    limit: u32,
) -> rusqlite::Result<Vec<DocumentRow>> {
    let (time, document) = before.unzip();
    let document = document.as_ref().map(|document| &document.as_bytes()[..]);
    let sql = format!(
        "SELECT {} FROM documents d WHERE {MEANT}
           AND (?5 IS NULL OR (d.failed_at_ms, d.document) < (?5, ?6))
         ORDER BY d.failed_at_ms DESC, d.document DESC LIMIT ?7",
        columns()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(
        params![
            tenant.as_str(),
            filter.code,
            filter.documents.as_deref().map(hex_list),
            filter.until_ms,
            time,
            document,
            limit
        ],
        read,
    )?;
    rows.collect()
}

/// Queues at most `limit` of them again, those that failed first before others.
pub(super) fn replay(
    connection: &Connection,
    tenant: &TenantId,
    filter: &LetterFilter,
    limit: u32,
    now_ms: i64,
) -> rusqlite::Result<Vec<Message>> {
    let sql = format!(
        "SELECT d.document, d.generation, d.bytes FROM documents d WHERE {MEANT}
         ORDER BY d.failed_at_ms, d.document LIMIT ?5"
    );
    let found: Vec<Message> = connection
        .prepare_cached(&sql)?
        .query_map(
            params![
                tenant.as_str(),
                filter.code,
                filter.documents.as_deref().map(hex_list),
                filter.until_ms,
                limit
            ],
            |row| {
                Ok(Message {
                    document: document_of(&row.get::<_, Vec<u8>>(0)?)?,
                    generation: Generation(row.get(1)?),
                    lane: Lane::of_bytes(row.get(2)?),
                })
            },
        )?
        .collect::<rusqlite::Result<_>>()?;
    let mut queue = connection.prepare_cached(
        "UPDATE documents SET state = 'queued', owner = NULL, starts = 0, child_crashes = 0,
                transient_failures = 0, best = 0, failure = NULL, failed_at_ms = NULL, changed_at_ms = ?
         WHERE document = ?",
    )?;
    for message in &found {
        queue.execute(params![now_ms, &message.document.as_bytes()[..]])?;
    }
    Ok(found)
}

pub(super) fn count_letters(
    connection: &Connection,
    tenant: &TenantId,
    filter: &LetterFilter,
) -> rusqlite::Result<u64> {
    let sql = format!("SELECT count(*) FROM documents d WHERE {MEANT}");
    connection.prepare_cached(&sql)?.query_row(
        params![tenant.as_str(), filter.code, filter.documents.as_deref().map(hex_list), filter.until_ms],
        |row| row.get(0),
    )
}

/// Unsettled documents and dead letters by lane (small, large), of all tenants.
pub(super) fn lane_counts(connection: &Connection) -> rusqlite::Result<[LaneCounts; 2]> {
    let mut lanes = [LaneCounts::default(); 2];
    let mut statement = connection.prepare_cached(
        "SELECT bytes >= ?, state, count(*), min(changed_at_ms) FROM documents
         WHERE state IN ('queued', 'processing') GROUP BY 1, 2",
    )?;
    let mut rows = statement.query([SMALL_BYTES_MAX])?;
    while let Some(row) = rows.next()? {
        let lane = &mut lanes[usize::from(row.get::<_, bool>(0)?)];
        let (counted, oldest): (u64, u64) = (row.get(2)?, row.get(3)?);
        lane.oldest_ms = Some(lane.oldest_ms.map_or(oldest, |other| other.min(oldest)));
        match row.get::<_, String>(1)?.as_str() {
            "queued" => lane.queued += counted,
            _ => lane.processing += counted,
        }
    }
    let mut statement = connection.prepare_cached(
        "SELECT bytes >= ?, count(*) FROM documents
         WHERE state = 'failed' AND instr(failure, '{\"code\":\"cancelled\"') <> 1 GROUP BY 1",
    )?;
    let mut rows = statement.query([SMALL_BYTES_MAX])?;
    while let Some(row) = rows.next()? {
        lanes[usize::from(row.get::<_, bool>(0)?)].dead = row.get(1)?;
    }
    Ok(lanes)
}

/// Unsettled documents of each tenant that has any.
pub(super) fn unsettled(connection: &Connection) -> rusqlite::Result<BTreeMap<String, u64>> {
    let mut statement = connection.prepare_cached(
        "SELECT tenant, count(*) FROM documents WHERE state IN ('queued', 'processing') GROUP BY tenant",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}
