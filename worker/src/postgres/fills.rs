//! Stores that are filled again: which, how far, and the next documents to look at.

use std::collections::HashMap;

use deadpool_postgres::Transaction;
use docmill_core::delivery::State;
use docmill_core::id::{ChunkId, DocumentId, Epoch, TenantId};
use docmill_core::manifest::Store;
use uuid::Uuid;

use super::rebuild::done_again;
use super::sql::{execute, one, rows};
use super::transaction::transaction;
use super::values::{big, chunk_of, document_of, number, state_of, tenant_of};
use super::{Database, Error};

/// A store that is filled again, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FillRow {
    /// Whose rows.
    pub tenant: TenantId,
    /// Of which store.
    pub store: Store,
    /// The last epoch that was given before.
    pub begun: Epoch,
    /// Where this pass is: the arrival of the last document that it looked at.
    pub after: u64,
    /// Documents that this pass looked at.
    pub looked: u64,
    /// Of them, those that lack rows and are done again.
    pub lacking: u64,
    /// Of them, those that lack rows and are dead letters.
    pub given_up: u64,
    /// Documents that were done again, of all passes.
    pub again: u64,
    /// A pass found nothing lacking.
    pub ended: bool,
}

/// A document, and what of it a store must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FillDocument {
    /// Its place in the order of arrival.
    pub arrived: u64,
    /// The document.
    pub document: DocumentId,
    /// Its state.
    pub state: State,
    /// Its last claim.
    pub epoch: Epoch,
    /// Chunks that its manifests name for the store.
    pub chunks: Vec<ChunkId>,
}

impl Database {
    /// Has the tenant's rows of a store looked at and what lacks written again. While that goes on, nothing.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn begin_fill(&self, tenant: &TenantId, store: Store) -> Result<(), Error> {
        transaction!(self, |transaction| begin(transaction, tenant, store))
    }

    /// What is being filled, of all tenants.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn fills_going(&self) -> Result<Vec<FillRow>, Error> {
        transaction!(self, |transaction| going(transaction))
    }

    /// What of the tenant is or was filled, and how many documents the tenant has.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn fills(&self, tenant: &TenantId) -> Result<(Vec<FillRow>, u64), Error> {
        transaction!(self, |transaction| of_tenant(transaction, tenant))
    }

    /// The next documents of a pass, at most `limit`; fewer are the last.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn fill_page(&self, fill: &FillRow, limit: u32) -> Result<Vec<FillDocument>, Error> {
        transaction!(self, |transaction| page(transaction, fill, limit))
    }

    /// Keeps how far it is now, unless somebody else took it further or began it anew.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn keep_fill(&self, before: &FillRow, now: &FillRow) -> Result<bool, Error> {
        transaction!(self, |transaction| keep(transaction, before, now))
    }

    /// Documents of the tenant that are done again, and not done yet.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn done_again(&self, tenant: &TenantId) -> Result<u64, Error> {
        transaction!(self, |transaction| done_again(transaction, tenant))
    }
}

async fn begin(transaction: &Transaction<'_>, tenant: &TenantId, store: Store) -> Result<(), Error> {
    execute(
        transaction,
        "INSERT INTO fills(tenant, store, begun) VALUES($1, $2, nextval('epochs'))
         ON CONFLICT (tenant, store) DO UPDATE
         SET begun = EXCLUDED.begun, after = 0, looked = 0, lacking = 0, given_up = 0, again = 0, ended_at_ms = NULL
         WHERE fills.ended_at_ms IS NOT NULL",
        &[&tenant.as_str(), &store.as_str()],
    )
    .await
    .map(drop)
}

const COLUMNS: &str =
    "tenant, store, begun, after, looked, lacking, given_up, again, ended_at_ms IS NOT NULL AS ended";

fn read(row: &tokio_postgres::Row) -> Result<FillRow, Error> {
    let count = |name: &str| -> Result<u64, Error> { Ok(number(row.try_get(name)?)) };
    let store = Store::parse(row.try_get("store")?).ok_or(Error::Damaged("unknown store"))?;
    Ok(FillRow {
        tenant: tenant_of(row.try_get("tenant")?)?,
        store,
        begun: Epoch(count("begun")?),
        after: count("after")?,
        looked: count("looked")?,
        lacking: count("lacking")?,
        given_up: count("given_up")?,
        again: count("again")?,
        ended: row.try_get("ended")?,
    })
}

async fn going(transaction: &Transaction<'_>) -> Result<Vec<FillRow>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM fills WHERE ended_at_ms IS NULL ORDER BY tenant, store");
    rows(transaction, &sql, &[]).await?.iter().map(read).collect()
}

async fn of_tenant(transaction: &Transaction<'_>, tenant: &TenantId) -> Result<(Vec<FillRow>, u64), Error> {
    let sql = format!("SELECT {COLUMNS} FROM fills WHERE tenant = $1 ORDER BY store");
    let found = rows(transaction, &sql, &[&tenant.as_str()]).await?;
    let count = "SELECT count(*) FROM documents WHERE tenant = $1 AND content IS NOT NULL";
    let documents = one(transaction, count, &[&tenant.as_str()]).await?;
    Ok((found.iter().map(read).collect::<Result<_, _>>()?, number(documents.try_get(0)?)))
}

async fn page(
    transaction: &Transaction<'_>,
    fill: &FillRow,
    limit: u32,
) -> Result<Vec<FillDocument>, Error> {
    let tenant = fill.tenant.as_str();
    let found = rows(
        transaction,
        "SELECT arrived, document, state, epoch FROM documents
         WHERE tenant = $1 AND arrived > $2 AND content IS NOT NULL ORDER BY arrived LIMIT $3",
        &[&tenant, &big(fill.after), &i64::from(limit)],
    )
    .await?;
    let documents: Vec<Uuid> =
        found.iter().map(|row| row.try_get("document")).collect::<Result<_, tokio_postgres::Error>>()?;
    let entries = rows(
        transaction,
        "SELECT m.document, e.chunk FROM manifests m
         JOIN indexes i ON i.tenant = $1 AND i.index_id = m.index_id AND i.state <> 'retired'
         JOIN manifest_entries e ON e.manifest = m.manifest
         WHERE m.document = ANY($2) AND m.replaced_by IS NULL AND e.stores & $3 <> 0",
        &[&tenant, &documents, &i16::from(fill.store.bit())],
    )
    .await?;
    let mut chunks: HashMap<Uuid, Vec<ChunkId>> = HashMap::new();
    for row in &entries {
        chunks.entry(row.try_get(0)?).or_default().push(chunk_of(row.try_get(1)?));
    }
    let one = |row: &tokio_postgres::Row| {
        let document: Uuid = row.try_get("document")?;
        Ok(FillDocument {
            arrived: number(row.try_get("arrived")?),
            document: document_of(document),
            state: state_of(row.try_get("state")?)?,
            epoch: Epoch(number(row.try_get("epoch")?)),
            chunks: chunks.remove(&document).unwrap_or_default(),
        })
    };
    found.iter().map(one).collect()
}

async fn keep(transaction: &Transaction<'_>, before: &FillRow, now: &FillRow) -> Result<bool, Error> {
    let kept = execute(
        transaction,
        "UPDATE fills SET after = $5, looked = $6, lacking = $7, given_up = $8, again = $9,
                ended_at_ms = CASE WHEN $10 THEN now_ms() END
         WHERE tenant = $1 AND store = $2 AND begun = $3 AND after = $4 AND ended_at_ms IS NULL",
        &[
            &before.tenant.as_str(),
            &before.store.as_str(),
            &big(before.begun.0),
            &big(before.after),
            &big(now.after),
            &big(now.looked),
            &big(now.lacking),
            &big(now.given_up),
            &big(now.again),
            &now.ended,
        ],
    )
    .await?;
    Ok(kept == 1)
}
