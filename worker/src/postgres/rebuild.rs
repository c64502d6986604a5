//! Another index beside the active one, of which tenants and how far: what a rebuild looks at.

use deadpool_postgres::Transaction;
use docmill_core::id::{DocumentId, IndexId, TenantId};
use docmill_core::index::{IndexSpec, IndexState};

use super::sql::{one, rows};
use super::transaction::transaction;
use super::values::{document_of, from_json, number, tenant_of};
use super::{Database, Error};

/// An index that is written, and how much is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRow {
    /// What it is made with.
    pub spec: IndexSpec,
    /// Whether it is read, or being built.
    pub state: IndexState,
    /// Documents that are in it.
    pub documents: u64,
}

impl Database {
    /// Indexes that are being built, of all tenants.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn building(&self) -> Result<Vec<(TenantId, IndexId)>, Error> {
        transaction!(self, |transaction| building(transaction))
    }

    /// Indexes that are read or built, of all tenants, each once: tenants with equal models share a table.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn indexes_in_use(&self) -> Result<Vec<IndexId>, Error> {
        transaction!(self, |transaction| indexes_in_use(transaction))
    }

    /// Settled documents of the tenant that search shows and that the index lacks, at most `limit`. `None`: as many
    /// as `again_max` of the tenant's documents are on their way once more, and nobody looked. What is new does not
    /// count: a tenant that never stops bringing documents gets its index all the same.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn lacking(
        &self,
        tenant: &TenantId,
        index: IndexId,
        limit: u32,
        again_max: u64,
    ) -> Result<Option<Vec<DocumentId>>, Error> {
        transaction!(self, |transaction| lacking(transaction, tenant, index, limit, again_max))
    }

    /// The tenant's active index and the one that is being built, the active one first.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn indexes(&self, tenant: &TenantId) -> Result<Vec<IndexRow>, Error> {
        transaction!(self, |transaction| indexes(transaction, tenant))
    }
}

async fn indexes_in_use(transaction: &Transaction<'_>) -> Result<Vec<IndexId>, Error> {
    let sql = "SELECT DISTINCT index_id FROM indexes WHERE state <> 'retired' ORDER BY index_id";
    rows(transaction, sql, &[]).await?.iter().map(|row| Ok(IndexId(row.try_get(0)?))).collect()
}

async fn building(transaction: &Transaction<'_>) -> Result<Vec<(TenantId, IndexId)>, Error> {
    let sql = "SELECT tenant, index_id FROM indexes WHERE state = 'building' ORDER BY tenant";
    let found = rows(transaction, sql, &[]).await?;
    found.iter().map(|row| Ok((tenant_of(row.try_get(0)?)?, IndexId(row.try_get(1)?)))).collect()
}

/// Documents of the tenant whose present content was committed before, and that are queued or in work. New ones do
/// not count: a tenant that never stops bringing them gets its old ones done again all the same.
pub(super) async fn done_again(transaction: &Transaction<'_>, tenant: &TenantId) -> Result<u64, Error> {
    let sql = "SELECT count(*) FROM documents d WHERE tenant = $1 AND state IN ('queued', 'processing')
               AND EXISTS (SELECT 1 FROM manifests m WHERE m.document = d.document
                             AND m.generation = d.generation AND m.replaced_by IS NULL)";
    Ok(number(one(transaction, sql, &[&tenant.as_str()]).await?.try_get(0)?))
}

async fn lacking(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    index: IndexId,
    limit: u32,
    again_max: u64,
) -> Result<Option<Vec<DocumentId>>, Error> {
    if done_again(transaction, tenant).await? >= again_max {
        return Ok(None);
    }
    // As the switch counts them, but for those that are on their way.
    let found = rows(
        transaction,
        "SELECT d.document FROM indexes a
         JOIN manifests m ON m.index_id = a.index_id AND m.replaced_by IS NULL
         JOIN documents d ON d.document = m.document AND d.tenant = a.tenant
         JOIN indexes i ON i.tenant = a.tenant AND i.index_id = $2 AND i.state = 'building'
         WHERE a.tenant = $1 AND a.state = 'active' AND d.content IS NOT NULL
           AND d.state IN ('committed', 'failed') AND NOT (d.state = 'failed' AND d.epoch > i.begun)
           AND NOT EXISTS (
             SELECT 1 FROM manifests n WHERE n.document = m.document AND n.index_id = $2
               AND n.replaced_by IS NULL AND n.generation >= m.generation)
         ORDER BY d.document LIMIT $3",
        &[&tenant.as_str(), &index.0, &i64::from(limit)],
    )
    .await?;
    let found: Result<_, Error> = found.iter().map(|row| Ok(document_of(row.try_get(0)?))).collect();
    found.map(Some)
}

async fn indexes(transaction: &Transaction<'_>, tenant: &TenantId) -> Result<Vec<IndexRow>, Error> {
    let found = rows(
        transaction,
        "SELECT i.spec, i.state,
                (SELECT count(*) FROM manifests m JOIN documents d ON d.document = m.document
                 WHERE m.index_id = i.index_id AND m.replaced_by IS NULL AND d.tenant = i.tenant
                   AND d.content IS NOT NULL)
         FROM indexes i WHERE i.tenant = $1 AND i.state <> 'retired' ORDER BY i.state",
        &[&tenant.as_str()],
    )
    .await?;
    let read = |row: &tokio_postgres::Row| {
        let state = IndexState::parse(row.try_get(1)?).ok_or(Error::Damaged("unknown index state"))?;
        Ok(IndexRow { spec: from_json(row.try_get(0)?)?, state, documents: number(row.try_get(2)?) })
    };
    found.iter().map(read).collect()
}
