//! What a text costs is paid once: values by (tenant, stage, text), first writer wins.

use docmill_core::id::{TenantId, TextHash};
use rusqlite::{Connection, OptionalExtension, params};

/// Values that no kept manifest needs are removed once older than this.
const KEPT_MS: i64 = 24 * 3600 * 1000;
/// Rows looked at by one sweep.
const SWEEP: i64 = 2_000;

pub(super) fn get(
    connection: &Connection,
    tenant: &TenantId,
    stage: &str,
    texts: &[TextHash],
) -> rusqlite::Result<Vec<Option<Vec<u8>>>> {
    let mut statement = connection
        .prepare_cached("SELECT value FROM derived WHERE tenant = ? AND stage = ? AND text_hash = ?")?;
    texts
        .iter()
        .map(|text| {
            statement.query_row(params![tenant.as_str(), stage, &text.0[..]], |row| row.get(0)).optional()
        })
        .collect()
}

pub(super) fn keep(
    connection: &Connection,
    tenant: &TenantId,
    stage: &str,
    values: Vec<(TextHash, Vec<u8>)>,
    now_ms: i64,
) -> rusqlite::Result<Vec<Vec<u8>>> {
    let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO derived VALUES(?, ?, ?, ?, ?)")?;
    let mut kept = Vec::with_capacity(values.len());
    for (text, value) in values {
        let inserted = insert.execute(params![tenant.as_str(), stage, &text.0[..], value, now_ms])?;
        if inserted == 1 {
            kept.push(value);
        } else {
            let earlier = get(connection, tenant, stage, &[text])?;
            kept.push(earlier.into_iter().next().flatten().unwrap_or(value));
        }
    }
    Ok(kept)
}

/// Removes old values whose text no manifest names. Returns how many; call again while it is not 0.
pub(super) fn sweep(connection: &Connection, now_ms: i64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM derived WHERE rowid IN (
               SELECT d.rowid FROM derived d WHERE d.kept_at_ms < ?
                 AND NOT EXISTS (SELECT 1 FROM chunks c WHERE c.text_hash = d.text_hash) LIMIT ?)",
        )?
        .execute(params![now_ms - KEPT_MS, SWEEP])
}
