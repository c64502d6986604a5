//! Keys of the API: rows of hashes, tenants and scopes.

use docmill_core::id::TenantId;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::claims::{from_json, json, tenant_of};
use crate::desk::{KeyRow, NewKey};

/// [`NewKey`] as a job of the writer can have it.
pub(super) struct Made {
    id: String,
    secret_hash: [u8; 32],
    label: String,
    tenant: TenantId,
    scopes: Vec<String>,
    lasts_ms: Option<u64>,
}

impl From<&NewKey<'_>> for Made {
    fn from(key: &NewKey<'_>) -> Self {
        Self {
            id: key.id.to_owned(),
            secret_hash: key.secret_hash,
            label: key.label.to_owned(),
            tenant: key.tenant.clone(),
            scopes: key.scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            lasts_ms: key.lasts_ms,
        }
    }
}

const COLUMNS: &str = "id, label, tenant, scopes, created_at_ms, expires_at_ms, revoked_at_ms";

pub(super) fn create(connection: &Connection, key: &Made, now_ms: i64) -> rusqlite::Result<KeyRow> {
    let expires_at_ms =
        key.lasts_ms.map(|lasts| now_ms.saturating_add(i64::try_from(lasts).unwrap_or(i64::MAX)));
    connection
        .prepare_cached(&format!(
            "INSERT INTO api_keys(id, secret_hash, label, tenant, scopes, created_at_ms, expires_at_ms)
             VALUES(?, ?, ?, ?, ?, ?, ?) RETURNING {COLUMNS}"
        ))?
        .query_row(
            params![
                key.id,
                &key.secret_hash[..],
                key.label,
                key.tenant.as_str(),
                json(&key.scopes)?,
                now_ms,
                expires_at_ms
            ],
            read,
        )
}

/// The key with this hash, if it is neither revoked nor expired.
pub(super) fn valid(
    connection: &Connection,
    secret_hash: [u8; 32],
    now_ms: i64,
) -> rusqlite::Result<Option<KeyRow>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM api_keys WHERE secret_hash = ? AND revoked_at_ms IS NULL
               AND (expires_at_ms IS NULL OR expires_at_ms > ?)"
        ))?
        .query_row(params![&secret_hash[..], now_ms], read)
        .optional()
}

/// All of them, oldest first.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<KeyRow>> {
    let sql = format!("SELECT {COLUMNS} FROM api_keys ORDER BY created_at_ms, id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], read)?;
    rows.collect()
}

/// Whether a key was ever made. One that was revoked counts: else revoking the last would open the API.
pub(super) fn has_any(connection: &Connection) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT EXISTS(SELECT 1 FROM api_keys)")?.query_row([], |row| row.get(0))
}

/// False: there is none of this name. The first time stays.
pub(super) fn revoke(connection: &Connection, id: &str, now_ms: i64) -> rusqlite::Result<bool> {
    let revoked = connection
        .prepare_cached("UPDATE api_keys SET revoked_at_ms = coalesce(revoked_at_ms, ?) WHERE id = ?")?
        .execute(params![now_ms, id])?;
    Ok(revoked == 1)
}

fn read(row: &Row<'_>) -> rusqlite::Result<KeyRow> {
    Ok(KeyRow {
        id: row.get(0)?,
        label: row.get(1)?,
        tenant: tenant_of(row.get(2)?)?,
        scopes: from_json(&row.get::<_, String>(3)?)?,
        created_at_ms: row.get(4)?,
        expires_at_ms: row.get(5)?,
        revoked_at_ms: row.get(6)?,
    })
}
