//! Which object has an uploaded content, and which of them nobody needs any more.

use docmill_core::id::{ContentHash, TenantId};
use rusqlite::{Connection, OptionalExtension, params};

/// Keeps where uploaded content is, and gives the object that is relied on: the first one of a content stays, as it
/// may be being read.
pub(super) fn keep(
    connection: &Connection,
    tenant: &TenantId,
    content: ContentHash,
    object: &str,
    bytes: u64,
    now_ms: i64,
) -> rusqlite::Result<String> {
    connection
        .prepare_cached(
            "INSERT INTO objects(tenant, content, object_key, bytes, used_at_ms) VALUES(?, ?, ?, ?, ?)
             ON CONFLICT(tenant, content) DO UPDATE SET used_at_ms = excluded.used_at_ms, doomed = 0,
               object_key = CASE WHEN objects.doomed THEN excluded.object_key ELSE objects.object_key END
             RETURNING object_key",
        )?
        .query_row(params![tenant.as_str(), &content.0[..], object, bytes, now_ms], |row| row.get(0))
}

pub(super) fn of(
    connection: &Connection,
    tenant: &TenantId,
    content: ContentHash,
) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT object_key FROM objects WHERE tenant = ? AND content = ?")?
        .query_row(params![tenant.as_str(), &content.0[..]], |row| row.get(0))
        .optional()
}

/// False: another object took its place meanwhile.
pub(super) fn replace(
    connection: &Connection,
    tenant: &TenantId,
    content: ContentHash,
    from: &str,
    to: &str,
    now_ms: i64,
) -> rusqlite::Result<bool> {
    let replaced = connection
        .prepare_cached(
            "UPDATE objects SET object_key = ?4, used_at_ms = ?5, doomed = 0
             WHERE tenant = ?1 AND content = ?2 AND object_key = ?3",
        )?
        .execute(params![tenant.as_str(), &content.0[..], from, to, now_ms])?;
    Ok(replaced == 1)
}

/// Dooms at most `limit` objects whose content no document has and that were used before, and names at most as many
/// of the doomed ones.
pub(super) fn doom(
    connection: &Connection,
    used_before_ms: i64,
    limit: i64,
) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached(
            "UPDATE objects SET doomed = 1 WHERE (tenant, content) IN (
               SELECT tenant, content FROM objects o WHERE o.used_at_ms < ?1 AND NOT o.doomed
                 AND NOT EXISTS (SELECT 1 FROM documents d WHERE d.content = o.content AND d.tenant = o.tenant)
               ORDER BY tenant, content LIMIT ?2)",
        )?
        .execute(params![used_before_ms, limit])?;
    let mut statement = connection
        .prepare_cached("SELECT object_key FROM objects WHERE doomed ORDER BY used_at_ms LIMIT ?")?;
    let rows = statement.query_map([limit], |row| row.get(0))?;
    rows.collect()
}

pub(super) fn forget(connection: &Connection, keys: &[String]) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached("DELETE FROM objects WHERE doomed AND object_key = ?")?;
    let mut forgotten = 0;
    for key in keys {
        forgotten += statement.execute([key])? as u64;
    }
    Ok(forgotten)
}

/// Those of the objects that no content relies on.
pub(super) fn unknown(connection: &Connection, keys: &[String]) -> rusqlite::Result<Vec<String>> {
    let mut statement =
        connection.prepare_cached("SELECT EXISTS(SELECT 1 FROM objects WHERE object_key = ?)")?;
    let mut unknown = Vec::new();
    for key in keys {
        if !statement.query_row([key], |row| row.get::<_, bool>(0))? {
            unknown.push(key.clone());
        }
    }
    Ok(unknown)
}
