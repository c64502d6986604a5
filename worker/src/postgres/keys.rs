//! Keys of the API: rows of hashes, tenants and scopes.

use deadpool_postgres::Transaction;
use docmill_core::id::TenantId;
use tokio_postgres::Row;

use super::sql::{execute, one, optional, rows};
use super::transaction::transaction;
use super::values::{big, number, tenant_of};
use super::{Database, Error};

/// A key as the ledger knows it: everything but the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Its public name.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// Whose documents it leads to.
    pub tenant: TenantId,
    /// What it may do, by name.
    pub scopes: Vec<String>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at_ms: u64,
    /// From when on it is refused.
    pub expires_at_ms: Option<u64>,
    /// When it was revoked.
    pub revoked_at_ms: Option<u64>,
}

/// A key that is to be made.
#[derive(Debug, Clone)]
pub struct NewKey<'a> {
    /// Its public name.
    pub id: &'a str,
    /// SHA-256 of the whole key.
    pub secret_hash: [u8; 32],
    /// What people call it.
    pub label: &'a str,
    /// Whose documents it leads to.
    pub tenant: &'a TenantId,
    /// What it may do, by name.
    pub scopes: &'a [&'a str],
    /// How long it lasts, in milliseconds; none: until it is revoked.
    pub lasts_ms: Option<u64>,
}

const COLUMNS: &str = "id, label, tenant, scopes, created_at_ms, expires_at_ms, revoked_at_ms";

impl Database {
    /// Keeps a new key.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn create_key(&self, key: &NewKey<'_>) -> Result<KeyRow, Error> {
        transaction!(self, |transaction| create(transaction, key))
    }

    /// Makes a key known unless it is, in whatever state it is. False: another key has its name.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn ensure_key(&self, key: &NewKey<'_>) -> Result<bool, Error> {
        transaction!(self, |transaction| ensure(transaction, key))
    }

    /// The key with this hash, if it is neither revoked nor expired.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn valid_key(&self, secret_hash: [u8; 32]) -> Result<Option<KeyRow>, Error> {
        transaction!(self, |transaction| valid(transaction, &secret_hash))
    }

    /// All keys, oldest first; revoked and expired ones too.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn keys(&self) -> Result<Vec<KeyRow>, Error> {
        transaction!(self, |transaction| all(transaction))
    }

    /// Whether a key was ever made. One that was revoked counts: else revoking the last would open the API.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn has_keys(&self) -> Result<bool, Error> {
        transaction!(self, |transaction| has_any(transaction))
    }

    /// Revokes a key. False: there is none of this name. Revoking twice keeps the first time.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn revoke_key(&self, id: &str) -> Result<bool, Error> {
        transaction!(self, |transaction| revoke(transaction, id))
    }
}

async fn create(transaction: &Transaction<'_>, key: &NewKey<'_>) -> Result<KeyRow, Error> {
    let made = insert(transaction, key, "").await?;
    made.ok_or(Error::Raced("a key was not made"))
}

/// Of processes that do this at once one makes it; the others wait for that, and then see it.
async fn ensure(transaction: &Transaction<'_>, key: &NewKey<'_>) -> Result<bool, Error> {
    insert(transaction, key, "ON CONFLICT DO NOTHING").await?;
    let sql = "SELECT EXISTS(SELECT 1 FROM api_keys WHERE id = $1 AND secret_hash = $2)";
    Ok(one(transaction, sql, &[&key.id, &&key.secret_hash[..]]).await?.try_get(0)?)
}

async fn insert(
    transaction: &Transaction<'_>,
    key: &NewKey<'_>,
    on_conflict: &str,
) -> Result<Option<KeyRow>, Error> {
    let sql = format!(
        "INSERT INTO api_keys(id, secret_hash, label, tenant, scopes, created_at_ms, expires_at_ms)
         VALUES($1, $2, $3, $4, $5, now_ms(), now_ms() + $6) {on_conflict} RETURNING {COLUMNS}"
    );
    let made = optional(
        transaction,
        &sql,
        &[
            &key.id,
            &&key.secret_hash[..],
            &key.label,
            &key.tenant.as_str(),
            &key.scopes,
            &key.lasts_ms.map(big),
        ],
    )
    .await?;
    made.as_ref().map(read).transpose()
}

async fn valid(transaction: &Transaction<'_>, secret_hash: &[u8; 32]) -> Result<Option<KeyRow>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM api_keys WHERE secret_hash = $1 AND revoked_at_ms IS NULL
           AND (expires_at_ms IS NULL OR expires_at_ms > now_ms())"
    );
    optional(transaction, &sql, &[&&secret_hash[..]]).await?.as_ref().map(read).transpose()
}

async fn all(transaction: &Transaction<'_>) -> Result<Vec<KeyRow>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM api_keys ORDER BY created_at_ms, id");
    rows(transaction, &sql, &[]).await?.iter().map(read).collect()
}

async fn has_any(transaction: &Transaction<'_>) -> Result<bool, Error> {
    Ok(one(transaction, "SELECT EXISTS(SELECT 1 FROM api_keys)", &[]).await?.try_get(0)?)
}

async fn revoke(transaction: &Transaction<'_>, id: &str) -> Result<bool, Error> {
    let sql = "UPDATE api_keys SET revoked_at_ms = coalesce(revoked_at_ms, now_ms()) WHERE id = $1";
    Ok(execute(transaction, sql, &[&id]).await? == 1)
}

fn read(row: &Row) -> Result<KeyRow, Error> {
    Ok(KeyRow {
        id: row.try_get(0)?,
        label: row.try_get(1)?,
        tenant: tenant_of(row.try_get(2)?)?,
        scopes: row.try_get(3)?,
        created_at_ms: number(row.try_get(4)?),
        expires_at_ms: row.try_get::<_, Option<i64>>(5)?.map(number),
        revoked_at_ms: row.try_get::<_, Option<i64>>(6)?.map(number),
    })
}
