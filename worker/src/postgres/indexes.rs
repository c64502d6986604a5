//! Indexes of a tenant: the active one, one being built beside it, and the switch.

use deadpool_postgres::Transaction;
use docmill_core::id::{IndexId, TenantId};
use docmill_core::index::{IndexSpec, IndexState};

use super::sql::{execute, one, rows, take_your_time};
use super::values::{from_json, json, number};
use super::{Error, commits};

/// Who changes the tenant's indexes has the lock alone, who relies on them shares it. A lock on the rows
/// would not do: the first index has no row yet.
pub(super) enum Lock {
    /// The indexes stay as they are until the transaction ends.
    Shared,
    /// Nobody relies on them until then.
    Alone,
}

pub(super) async fn lock(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    lock: Lock,
) -> Result<(), Error> {
    let sql = match lock {
        Lock::Shared => {
            "SELECT pg_advisory_xact_lock_shared(hashtextextended(current_schema() || '/indexes/' || $1, 0))"
        }
        Lock::Alone => {
            "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/indexes/' || $1, 0))"
        }
    };
    rows(transaction, sql, &[&tenant.as_str()]).await.map(drop)
}

pub(super) async fn all(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
) -> Result<Vec<(IndexId, IndexSpec, IndexState)>, Error> {
    let sql = "SELECT index_id, spec, state FROM indexes WHERE tenant = $1 ORDER BY state, index_id";
    let found = rows(transaction, sql, &[&tenant.as_str()]).await?;
    let read = |row: &tokio_postgres::Row| {
        let state = IndexState::parse(row.try_get(2)?).ok_or(Error::Damaged("unknown index state"))?;
        Ok((IndexId(row.try_get(0)?), from_json(row.try_get(1)?)?, state))
    };
    found.iter().map(read).collect()
}

/// The state of every index of the tenant.
pub(super) async fn states(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
) -> Result<Vec<(IndexId, IndexState)>, Error> {
    Ok(all(transaction, tenant).await?.into_iter().map(|(id, _, state)| (id, state)).collect())
}

/// The indexes that ingest writes.
pub(super) async fn written(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
) -> Result<Vec<(IndexId, IndexSpec)>, Error> {
    let all = all(transaction, tenant).await?.into_iter();
    Ok(all.filter(|(_, _, state)| *state != IndexState::Retired).map(|(id, spec, _)| (id, spec)).collect())
}

pub(super) async fn begin(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    spec: &IndexSpec,
) -> Result<IndexState, Error> {
    lock(transaction, tenant, Lock::Alone).await?;
    let indexes = all(transaction, tenant).await?;
    let known = indexes.iter().find(|(id, _, state)| *id == spec.id() && *state != IndexState::Retired);
    if let Some((_, _, state)) = known {
        return Ok(*state);
    }
    let has_active = indexes.iter().any(|(_, _, state)| *state == IndexState::Active);
    let state = if has_active { IndexState::Building } else { IndexState::Active };
    // Another index that was being built is given up: one is built at a time.
    for (other, _, _) in indexes.iter().filter(|(_, _, state)| *state == IndexState::Building) {
        let sql = "UPDATE indexes SET state = 'retired' WHERE tenant = $1 AND index_id = $2";
        execute(transaction, sql, &[&tenant.as_str(), &other.0]).await?;
        retire_manifests(transaction, tenant, *other, 0).await?;
    }
    commits::forget_replaced(transaction, tenant, spec.id()).await?;
    execute(
        transaction,
        "INSERT INTO indexes(tenant, index_id, spec, state, begun) VALUES($1, $2, $3, $4, nextval('epochs'))
         ON CONFLICT (tenant, index_id) DO UPDATE
         SET spec = EXCLUDED.spec, state = EXCLUDED.state, begun = EXCLUDED.begun",
        &[&tenant.as_str(), &spec.id().0, &json(spec)?, &state.as_str()],
    )
    .await?;
    Ok(state)
}

/// Replaces every manifest of the index by nothing. Whoever claims from now on is not told of it.
async fn retire_manifests(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    index: IndexId,
    delay_ms: u64,
) -> Result<(), Error> {
    take_your_time(transaction).await?;
    let below = one(transaction, "SELECT nextval('epochs')", &[]).await?;
    commits::replace_all(transaction, tenant, index, number(below.try_get(0)?), delay_ms).await
}

/// Returns how many documents that search shows lack a manifest in `to`; 0: it is the active one now. A dead
/// letter that was claimed since the index was begun is not waited for: its older content was carried over,
/// or cannot be.
pub(super) async fn switch(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    to: IndexId,
    delay_ms: u64,
) -> Result<u64, Error> {
    lock(transaction, tenant, Lock::Alone).await?;
    let indexes = states(transaction, tenant).await?;
    let Some((_, state)) = indexes.iter().find(|(id, _)| *id == to) else {
        return Err(Error::Failed("the index to switch to is unknown".to_owned()));
    };
    match state {
        IndexState::Active => return Ok(0),
        IndexState::Building => {}
        IndexState::Retired => return Err(Error::Failed("the index to switch to was given up".to_owned())),
    }
    let Some((from, _)) = indexes.iter().find(|(_, state)| *state == IndexState::Active) else {
        return Err(Error::Damaged("there is no active index to switch from"));
    };
    let lacking = one(
        transaction,
        "SELECT count(*) FROM manifests m JOIN documents d ON d.document = m.document
         JOIN indexes i ON i.tenant = d.tenant AND i.index_id = $3
         WHERE d.tenant = $1 AND d.content IS NOT NULL AND NOT (d.state = 'failed' AND d.epoch > i.begun)
           AND m.index_id = $2 AND m.replaced_by IS NULL
           AND NOT EXISTS (
             SELECT 1 FROM manifests n WHERE n.document = m.document AND n.index_id = $3
               AND n.replaced_by IS NULL AND n.generation >= m.generation)",
        &[&tenant.as_str(), &from.0, &to.0],
    )
    .await?;
    let lacking = number(lacking.try_get(0)?);
    if lacking == 0 {
        retire_manifests(transaction, tenant, *from, delay_ms).await?;
        execute(
            transaction,
            "UPDATE indexes SET state = CASE WHEN index_id = $2 THEN 'active' ELSE 'retired' END
             WHERE tenant = $1 AND (index_id = $2 OR state = 'active')",
            &[&tenant.as_str(), &to.0],
        )
        .await?;
        commits::take_number(transaction, &[]).await?;
    }
    Ok(lacking)
}
