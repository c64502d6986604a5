//! Rows of documents that were deleted long ago, and how they are forgotten.

use rusqlite::{Connection, params};

/// Forgets documents whose deletion is committed, was handed in before that moment and left nothing to remove.
/// Returns how many went.
pub(super) fn forget(connection: &Connection, before_ms: i64, limit: usize) -> rusqlite::Result<u64> {
    let old: Vec<(Vec<u8>, String, String)> = connection
        .prepare_cached(
            "SELECT document, tenant, uri FROM documents d
             WHERE content IS NULL AND state = 'committed' AND changed_at_ms <= ?
               AND NOT EXISTS (SELECT 1 FROM cleanups c WHERE c.document = d.document)
             ORDER BY changed_at_ms LIMIT ?",
        )?
        .query_map(params![before_ms, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (document, tenant, uri) in &old {
        connection
            .prepare_cached("DELETE FROM sources WHERE tenant = ? AND uri = ? AND document = ?")?
            .execute(params![tenant, uri, document])?;
        connection
            .prepare_cached(
                "DELETE FROM manifest_entries
                 WHERE manifest IN (SELECT manifest FROM manifests WHERE document = ?)",
            )?
            .execute([document])?;
        for table in ["manifests", "kept_pages", "batch_documents", "documents"] {
            connection
                .prepare_cached(&format!("DELETE FROM {table} WHERE document = ?"))?
                .execute([document])?;
        }
    }
    Ok(old.len() as u64)
}
