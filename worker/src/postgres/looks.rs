//! What is going on, for people who watch: what was committed, what is in work, what somebody told.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::Transaction;
use docmill_core::id::TenantId;
use tokio_postgres::Row;

use super::batches::SHOWN_STATE;
use super::listing::{DocumentRow, columns, read};
use super::sql::{execute, one, optional, rows};
use super::transaction::transaction;
use super::values::{big, document_of, number, small, tenant_of};
use super::{Database, Error};
use crate::desk::{Commits, InWork};

/// Commits that are told one by one; where there were more, it may be anybody's.
const COMMITS_MAX: u64 = 2_000;
/// Newest manifests among which the documents that were committed last are looked for.
const NEWEST_MANIFESTS: i64 = 2_000;

impl Database {
    /// Whose documents were committed after the commit of this number.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn commits_since(&self, seq: u64) -> Result<Commits, Error> {
        transaction!(self, |transaction| commits_since(transaction, seq))
    }

    /// Documents that were committed last, newest first; of all tenants, or of one.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn lately(&self, tenant: Option<&TenantId>, limit: u32) -> Result<Vec<DocumentRow>, Error> {
        transaction!(self, |transaction| lately(transaction, tenant, limit))
    }

    /// Documents that workers are at, longest first.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn in_work(&self, limit: u32) -> Result<Vec<InWork>, Error> {
        transaction!(self, |transaction| in_work(transaction, limit))
    }

    /// How many documents of a tenant are in which state, as people are told it.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn states(&self, tenant: &TenantId) -> Result<BTreeMap<String, u64>, Error> {
        transaction!(self, |transaction| states(transaction, tenant))
    }

    /// Keeps the last word under a name.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn tell(&self, name: &str, value: &str) -> Result<(), Error> {
        transaction!(self, |transaction| tell(transaction, name, value))
    }

    /// The last word under a name, and when it was told, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn told(&self, name: &str) -> Result<Option<(String, u64)>, Error> {
        transaction!(self, |transaction| told(transaction, name))
    }

    /// Tenants that have an active index.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn tenants(&self) -> Result<Vec<TenantId>, Error> {
        transaction!(self, |transaction| tenants(transaction))
    }
}

async fn commits_since(transaction: &Transaction<'_>, seq: u64) -> Result<Commits, Error> {
    // One snapshot: a commit between the two statements would be counted and not found.
    let snapshot = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";
    transaction.batch_execute(snapshot).await?;
    let newest = one(transaction, "SELECT value FROM counters WHERE name = 'commit'", &[]).await?;
    let newest = number(newest.try_get(0)?);
    if newest == seq {
        return Ok(Commits { newest, tenants: Vec::new(), all: false });
    }
    // A ledger that went back was restored.
    if newest < seq || newest - seq > COMMITS_MAX {
        return Ok(Commits { newest, tenants: Vec::new(), all: true });
    }
    let found = rows(
        transaction,
        "SELECT m.seq, d.tenant FROM manifests m JOIN documents d ON d.document = m.document WHERE m.seq > $1",
        &[&big(seq)],
    )
    .await?;
    let (mut numbers, mut tenants) = (BTreeSet::new(), BTreeSet::new());
    for row in &found {
        numbers.insert(row.try_get::<_, i64>(0)?);
        tenants.insert(tenant_of(row.try_get(1)?)?);
    }
    // Numbers have no gaps. One without a manifest: it is gone by now, or there never was one, as with a switch.
    let all = numbers.len() as u64 != newest - seq;
    Ok(Commits { newest, tenants: tenants.into_iter().collect(), all })
}

async fn lately(
    transaction: &Transaction<'_>,
    tenant: Option<&TenantId>,
    limit: u32,
) -> Result<Vec<DocumentRow>, Error> {
    let sql = format!(
        "SELECT {} FROM (
           SELECT document, max(seq) AS seq FROM (
             SELECT document, seq FROM manifests WHERE seq IS NOT NULL ORDER BY seq DESC LIMIT $3) AS newest
           GROUP BY document) AS m
         JOIN documents d ON d.document = m.document
         WHERE d.content IS NOT NULL AND ($1::text IS NULL OR d.tenant = $1)
         ORDER BY m.seq DESC LIMIT $2",
        columns()
    );
    let tenant = tenant.map(TenantId::as_str);
    let found = rows(transaction, &sql, &[&tenant, &i64::from(limit), &NEWEST_MANIFESTS]).await?;
    found.iter().map(read).collect()
}

async fn in_work(transaction: &Transaction<'_>, limit: u32) -> Result<Vec<InWork>, Error> {
    // A worker that is older than the column has not said when it began: not before the content came.
    let found = rows(
        transaction,
        "SELECT d.owner, d.document, d.tenant, d.uri, d.bytes, d.starts, coalesce(d.claimed_at_ms, d.changed_at_ms)
         FROM documents d WHERE d.owner IS NOT NULL AND d.state = 'processing'
         ORDER BY 7, d.arrived LIMIT $1",
        &[&i64::from(limit)],
    )
    .await?;
    let read = |row: &Row| {
        Ok(InWork {
            owner: row.try_get(0)?,
            document: document_of(row.try_get(1)?),
            tenant: tenant_of(row.try_get(2)?)?,
            uri: row.try_get(3)?,
            bytes: number(row.try_get(4)?),
            starts: small(row.try_get(5)?),
            since_ms: number(row.try_get(6)?),
        })
    };
    found.iter().map(read).collect()
}

async fn states(transaction: &Transaction<'_>, tenant: &TenantId) -> Result<BTreeMap<String, u64>, Error> {
    let sql = format!(
        "SELECT {SHOWN_STATE}, count(*) FROM documents d WHERE d.tenant = $1 AND d.content IS NOT NULL GROUP BY 1"
    );
    let found = rows(transaction, &sql, &[&tenant.as_str()]).await?;
    found.iter().map(|row| Ok((row.try_get(0)?, number(row.try_get(1)?)))).collect()
}

async fn tell(transaction: &Transaction<'_>, name: &str, value: &str) -> Result<(), Error> {
    execute(
        transaction,
        "INSERT INTO told VALUES($1, $2, now_ms())
         ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value, at_ms = EXCLUDED.at_ms",
        &[&name, &value],
    )
    .await
    .map(drop)
}

async fn told(transaction: &Transaction<'_>, name: &str) -> Result<Option<(String, u64)>, Error> {
    let row = optional(transaction, "SELECT value, at_ms FROM told WHERE name = $1", &[&name]).await?;
    row.map(|row| Ok((row.try_get(0)?, number(row.try_get(1)?)))).transpose()
}

async fn tenants(transaction: &Transaction<'_>) -> Result<Vec<TenantId>, Error> {
    let sql = "SELECT tenant FROM indexes WHERE state = 'active' ORDER BY tenant";
    rows(transaction, sql, &[]).await?.iter().map(|row| tenant_of(row.try_get(0)?)).collect()
}
