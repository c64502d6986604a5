//! Indexes of a tenant: the active one, one being built beside it, and the switch.

use docmill_core::id::{IndexId, TenantId};
use docmill_core::index::{IndexSpec, IndexState};
use rusqlite::{Connection, params};

use super::claims::{from_json, json, malformed, next};
use super::manifests;

pub(super) fn all(
    connection: &Connection,
    tenant: &TenantId,
) -> rusqlite::Result<Vec<(IndexId, IndexSpec, IndexState)>> {
    let mut statement = connection.prepare_cached(
        "SELECT index_id, spec, state FROM indexes WHERE tenant = ? ORDER BY state, index_id",
    )?;
    let rows = statement.query_map([tenant.as_str()], |row| {
        let state =
            IndexState::parse(&row.get::<_, String>(2)?).ok_or_else(|| malformed("unknown index state"))?;
        Ok((IndexId(row.get(0)?), from_json(&row.get::<_, String>(1)?)?, state))
    })?;
    rows.collect()
}

/// The state of every index of the tenant.
pub(super) fn states(
    connection: &Connection,
    tenant: &TenantId,
) -> rusqlite::Result<Vec<(IndexId, IndexState)>> {
    Ok(all(connection, tenant)?.into_iter().map(|(id, _, state)| (id, state)).collect())
}

/// The indexes that ingest writes.
pub(super) fn written(
    connection: &Connection,
    tenant: &TenantId,
) -> rusqlite::Result<Vec<(IndexId, IndexSpec)>> {
    let all = all(connection, tenant)?;
    Ok(all
        .into_iter()
        .filter(|(_, _, state)| *state != IndexState::Retired)
        .map(|(id, spec, _)| (id, spec))
        .collect())
}

pub(super) fn begin(
    connection: &Connection,
    tenant: &TenantId,
    spec: &IndexSpec,
) -> rusqlite::Result<IndexState> {
    let indexes = all(connection, tenant)?;
    let known = indexes.iter().find(|(id, _, state)| *id == spec.id() && *state != IndexState::Retired);
    if let Some((_, _, state)) = known {
        return Ok(*state);
    }
    let has_active = indexes.iter().any(|(_, _, state)| *state == IndexState::Active);
    let state = if has_active { IndexState::Building } else { IndexState::Active };
    // Another index that was being built is given up: one is built at a time.
    for (other, _, _) in indexes.iter().filter(|(_, _, state)| *state == IndexState::Building) {
        retire(connection, tenant, *other, 0)?;
    }
    manifests::forget_replaced(connection, tenant, spec.id())?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO indexes(tenant, index_id, spec, state, begun)
             SELECT ?, ?, ?, ?, value FROM sequences WHERE name = 'epoch'",
        )?
        .execute(params![tenant.as_str(), spec.id().0, json(spec)?, state.as_str()])?;
    Ok(state)
}

fn retire(connection: &Connection, tenant: &TenantId, index: IndexId, due_ms: i64) -> rusqlite::Result<()> {
    set_state(connection, tenant, index, IndexState::Retired)?;
    let below = next(connection, "epoch")?;
    manifests::replace_all(connection, tenant, index, below, due_ms)
}

fn set_state(
    connection: &Connection,
    tenant: &TenantId,
    index: IndexId,
    state: IndexState,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE indexes SET state = ? WHERE tenant = ? AND index_id = ?")?
        .execute(params![state.as_str(), tenant.as_str(), index.0])
        .map(|_| ())
}

/// Returns how many documents that search shows lack a manifest in `to`; 0: it is the active one now. A dead
/// letter that was claimed since the index was begun is not waited for: its older content was carried over,
/// or cannot be.
pub(super) fn switch(
    connection: &Connection,
    tenant: &TenantId,
    to: IndexId,
    due_ms: i64,
) -> rusqlite::Result<u64> {
    let indexes = all(connection, tenant)?;
    let Some((_, _, state)) = indexes.iter().find(|(id, _, _)| *id == to) else {
        return Err(malformed("the index to switch to is unknown"));
    };
    if *state == IndexState::Active {
        return Ok(0);
    }
    let Some((from, _, _)) = indexes.iter().find(|(_, _, state)| *state == IndexState::Active) else {
        return Err(malformed("there is no active index to switch from"));
    };
    let lacking: u64 = connection
        .prepare_cached(
            "SELECT count(*) FROM manifests m JOIN documents d ON d.document = m.document
             JOIN indexes i ON i.tenant = d.tenant AND i.index_id = ?3
             WHERE d.tenant = ?1 AND d.content IS NOT NULL AND NOT (d.state = 'failed' AND d.epoch > i.begun)
               AND m.index_id = ?2 AND m.replaced_by IS NULL
               AND NOT EXISTS (
               SELECT 1 FROM manifests n WHERE n.document = m.document AND n.index_id = ?3
                 AND n.replaced_by IS NULL AND n.generation >= m.generation)",
        )?
        .query_row(params![tenant.as_str(), from.0, to.0], |row| row.get(0))?;
    if lacking == 0 {
        retire(connection, tenant, *from, due_ms)?;
        set_state(connection, tenant, to, IndexState::Active)?;
    }
    Ok(lacking)
}
