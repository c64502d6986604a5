//! Answers to requests that may be sent again, what tenants uploaded on a day, and what others told of themselves.

use docmill_core::id::TenantId;
use rusqlite::{Connection, OptionalExtension, params};

/// How long an answer is kept, in milliseconds.
const ANSWERS_KEPT_MS: i64 = 86_400_000;
const DAY_MS: i64 = 86_400_000;

/// The first answer to a request with this key, with what that request was.
pub(super) fn get(
    connection: &Connection,
    tenant: &TenantId,
    key_hash: &[u8; 32],
) -> rusqlite::Result<Option<(Vec<u8>, String)>> {
    connection
        .prepare_cached("SELECT fingerprint, answer FROM answers WHERE tenant = ? AND key_hash = ?")?
        .query_row(params![tenant.as_str(), &key_hash[..]], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// Keeps an answer unless there is one, and gives what is kept.
pub(super) fn keep(
    connection: &Connection,
    tenant: &TenantId,
    key_hash: &[u8; 32],
    fingerprint: &[u8; 32],
    text: &str,
    now_ms: i64,
) -> rusqlite::Result<(Vec<u8>, String)> {
    connection
        .prepare_cached(
            "INSERT INTO answers VALUES(?, ?, ?, ?, ?) ON CONFLICT(tenant, key_hash) DO NOTHING",
        )?
        .execute(params![tenant.as_str(), &key_hash[..], &fingerprint[..], text, now_ms])?;
    Ok(get(connection, tenant, key_hash)?.unwrap_or_else(|| (fingerprint.to_vec(), text.to_owned())))
}

/// Forgets answers that are old enough, and usage of days gone by. Returns how many rows.
pub(super) fn forget(connection: &Connection, now_ms: i64) -> rusqlite::Result<u64> {
    let days =
        connection.prepare_cached("DELETE FROM usage WHERE day < ?")?.execute([now_ms / DAY_MS - 1])?;
    let answers = connection
        .prepare_cached("DELETE FROM answers WHERE answered_at_ms < ?")?
        .execute([now_ms.saturating_sub(ANSWERS_KEPT_MS)])?;
    Ok((days + answers) as u64)
}

pub(super) fn usage(connection: &Connection, tenant: &TenantId, day: u64) -> rusqlite::Result<u64> {
    let used = connection
        .prepare_cached("SELECT bytes FROM usage WHERE tenant = ? AND day = ?")?
        .query_row(params![tenant.as_str(), day], |row| row.get(0))
        .optional()?;
    Ok(used.unwrap_or(0))
}

pub(super) fn add_usage(
    connection: &Connection,
    tenant: &TenantId,
    day: u64,
    bytes: u64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO usage VALUES(?, ?, ?)
             ON CONFLICT(tenant, day) DO UPDATE SET bytes = usage.bytes + excluded.bytes",
        )?
        .execute(params![tenant.as_str(), day, bytes])
        .map(|_| ())
}

pub(super) fn tell(connection: &Connection, name: &str, value: &str, now_ms: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO told VALUES(?, ?, ?)")?
        .execute(params![name, value, now_ms])
        .map(|_| ())
}

/// What was told under the name last, and when.
pub(super) fn told(connection: &Connection, name: &str) -> rusqlite::Result<Option<(String, u64)>> {
    connection
        .prepare_cached("SELECT value, at_ms FROM told WHERE name = ?")?
        .query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}
