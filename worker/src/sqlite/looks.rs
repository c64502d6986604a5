//! What is looked at again and again: what was committed since, what is in work, who works, which indexes there are.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use docmill_core::id::{IndexId, TenantId};
use docmill_core::index::IndexState;
use rusqlite::{Connection, params};

use super::claims::{document_of, tenant_of};
use super::{Answer, Database, Error, indexes, listing};
use crate::desk::{Commits, DocumentRow, InWork, IndexRow, LiveWorker};
use crate::postgres::WorkerReport;

/// Commits since the last look of which the tenants are looked up: of more, whose they are costs more than it saves.
const COMMITS_MAX: u64 = 10_000;

/// The number of the last commit; they have no gaps.
pub(super) fn last_commit(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT value FROM sequences WHERE name = 'commit'")?
        .query_row([], |row| row.get(0))
}

/// Who committed after that number, with a name of the set of active indexes.
pub(super) fn commits_since(connection: &Connection, seq: u64) -> rusqlite::Result<(Commits, u64)> {
    let newest = last_commit(connection)?;
    let missed = newest.saturating_sub(seq);
    let (mut seen, mut tenants) = (BTreeSet::new(), BTreeSet::new());
    if (1..=COMMITS_MAX).contains(&missed) {
        let mut statement = connection.prepare_cached(
            "SELECT DISTINCT m.seq, d.tenant FROM manifests m JOIN documents d ON d.document = m.document
             WHERE m.seq > ?",
        )?;
        let mut rows = statement.query([seq])?;
        while let Some(row) = rows.next()? {
            seen.insert(row.get::<_, u64>(0)?);
            tenants.insert(row.get::<_, String>(1)?);
        }
    }
    // A manifest that is gone already does not say whose it was; a ledger that went back was restored.
    let all = seen.len() as u64 != missed || newest < seq;
    let tenants = tenants.into_iter().map(tenant_of).collect::<rusqlite::Result<_>>()?;
    Ok((Commits { newest, tenants, all }, active(connection)?))
}

fn active(connection: &Connection) -> rusqlite::Result<u64> {
    let mut statement = connection
        .prepare_cached("SELECT tenant, index_id FROM indexes WHERE state = 'active' ORDER BY tenant")?;
    let mut rows = statement.query([])?;
    let mut hash = DefaultHasher::new();
    while let Some(row) = rows.next()? {
        (row.get::<_, String>(0)?, row.get::<_, i64>(1)?).hash(&mut hash);
    }
    Ok(hash.finish())
}

/// The last to be committed first.
pub(super) fn lately(
    connection: &Connection,
    tenant: Option<&TenantId>,
    limit: u32,
) -> rusqlite::Result<Vec<DocumentRow>> {
    let sql = format!(
        "SELECT {} FROM documents d
         WHERE d.committed_at_ms IS NOT NULL AND d.content IS NOT NULL AND (?1 IS NULL OR d.tenant = ?1)
         ORDER BY d.committed_at_ms DESC, d.rowid DESC LIMIT ?2",
        listing::columns()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![tenant.map(TenantId::as_str), limit], listing::read)?;
    rows.collect()
}

/// The longest in work first.
pub(super) fn in_work(connection: &Connection, limit: u32) -> rusqlite::Result<Vec<InWork>> {
    let mut statement = connection.prepare_cached(
        "SELECT owner, document, tenant, uri, bytes, starts, coalesce(claimed_at_ms, changed_at_ms) AS since
         FROM documents WHERE state IN ('queued', 'processing') AND state = 'processing' AND owner IS NOT NULL
         ORDER BY since, document LIMIT ?",
    )?;
    let rows = statement.query_map([limit], |row| {
        Ok(InWork {
            owner: row.get(0)?,
            document: document_of(&row.get::<_, Vec<u8>>(1)?)?,
            tenant: tenant_of(row.get(2)?)?,
            uri: row.get(3)?,
            bytes: row.get(4)?,
            starts: row.get(5)?,
            since_ms: row.get(6)?,
        })
    })?;
    rows.collect()
}

/// The one worker there is, once it has begun.
pub(super) fn live_workers(connection: &Connection, now_ms: i64) -> rusqlite::Result<Vec<LiveWorker>> {
    let mut statement = connection.prepare_cached(
        "SELECT w.worker, w.started_at_ms, count(d.document), min(d.claimed_at_ms)
         FROM workers w LEFT JOIN documents d
           ON d.owner = w.worker AND d.state IN ('queued', 'processing') AND d.state = 'processing'
         WHERE w.lease_until_ms > ? GROUP BY w.worker ORDER BY w.worker",
    )?;
    let rows = statement.query_map([now_ms], |row| {
        let report = WorkerReport { busy: row.get(2)?, oldest_began_ms: row.get(3)?, ..Default::default() };
        Ok(LiveWorker { name: row.get(0)?, report, started_at_ms: row.get(1)?, drain_until_ms: None })
    })?;
    rows.collect()
}

/// Documents of a tenant by state, as people are told it.
pub(super) fn states(
    connection: &Connection,
    tenant: &TenantId,
) -> rusqlite::Result<BTreeMap<String, u64>> {
    let mut statement = connection.prepare_cached(
        "SELECT CASE WHEN state = 'failed' AND instr(failure, '{\"code\":\"cancelled\"') = 1 THEN 'cancelled' ELSE state END,
                count(*)
         FROM documents WHERE tenant = ? AND content IS NOT NULL GROUP BY 1",
    )?;
    let rows = statement.query_map([tenant.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Those with an active index.
pub(super) fn tenants(connection: &Connection) -> rusqlite::Result<Vec<TenantId>> {
    let mut statement = connection
        .prepare_cached("SELECT DISTINCT tenant FROM indexes WHERE state = 'active' ORDER BY tenant")?;
    let rows = statement.query_map([], |row| tenant_of(row.get(0)?))?;
    rows.collect()
}

/// The tenant's active index and the one that is being built, the active one first.
pub(super) fn index_rows(connection: &Connection, tenant: &TenantId) -> rusqlite::Result<Vec<IndexRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*) FROM manifests m JOIN documents d ON d.document = m.document
         WHERE d.tenant = ? AND m.index_id = ? AND m.replaced_by IS NULL AND d.content IS NOT NULL",
    )?;
    let all = indexes::all(connection, tenant)?.into_iter();
    let written = all.filter(|(_, _, state)| *state != IndexState::Retired);
    let mut rows: Vec<IndexRow> = written
        .map(|(id, spec, state)| {
            let documents = statement.query_row(params![tenant.as_str(), id.0], |row| row.get(0))?;
            Ok(IndexRow { spec, state, documents })
        })
        .collect::<rusqlite::Result<_>>()?;
    rows.sort_by_key(|row| row.state != IndexState::Active);
    Ok(rows)
}

impl Database {
    /// Indexes that are being built, of all tenants, with how many of the tenant's documents are done again for
    /// them and not done yet.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) async fn building(&self) -> Result<Vec<(TenantId, IndexId, u64)>, Error> {
        let look = |connection: &Connection| {
            let mut statement = connection.prepare_cached(
                "SELECT i.tenant, i.index_id,
                        (SELECT count(*) FROM documents d
                         WHERE d.tenant = i.tenant AND d.state IN ('queued', 'processing')
                           AND EXISTS (SELECT 1 FROM manifests m WHERE m.document = d.document
                                         AND m.generation = d.generation AND m.replaced_by IS NULL))
                 FROM indexes i WHERE i.state = 'building' ORDER BY i.tenant",
            )?;
            let rows = statement
                .query_map([], |row| Ok((tenant_of(row.get(0)?)?, IndexId(row.get(1)?), row.get(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<(TenantId, IndexId, u64)>>>()
        };
        self.writer().run(Answer::Applied, look).await
    }
}
