//! What the ledger in PostgreSQL says of chunks: which are current, and where they stand.

use std::collections::BTreeMap;

use deadpool_postgres::{Object, Transaction};
use docmill_core::id::TenantId;
use tokio_postgres::types::{FromSql, ToSql};
use tokio_postgres::{IsolationLevel, Row};
use uuid::Uuid;

use super::{Error, Mentioning, Via};
use crate::ledger::Summary;
use crate::postgres;

/// A chunk is named by a manifest that is current, `e` being the entry and `m` the manifest.
pub(super) const IS_CURRENT: &str = "m.replaced_by IS NULL AND m.seq IS NOT NULL";

/// Begins a look that sees one state of everything.
pub(super) async fn begin(client: &mut Object) -> Result<Transaction<'_>, Error> {
    let begun = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    Ok(begun.start().await.map_err(postgres::Error::from)?)
}

pub(super) async fn rows(
    transaction: &Transaction<'_>,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, Error> {
    let statement = transaction.prepare_cached(sql).await.map_err(postgres::Error::from)?;
    Ok(transaction.query(&statement, values).await.map_err(postgres::Error::from)?)
}

/// A column of a row.
pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T, Error> {
    Ok(row.try_get(at).map_err(postgres::Error::from)?)
}

/// A count.
pub(super) fn number(row: &Row, at: usize) -> Result<u64, Error> {
    Ok(u64::try_from(get::<i64>(row, at)?).unwrap_or(0))
}

/// The tenant's active index.
pub(super) async fn active_index(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
) -> Result<Option<i64>, Error> {
    let sql = "SELECT index_id FROM indexes WHERE tenant = $1 AND state = 'active'";
    let found = rows(transaction, sql, &[&tenant.as_str()]).await?;
    found.first().map(|row| get(row, 0)).transpose()
}

/// Of these chunks, those that are current in the index and the tenant's own, each with its document.
pub(super) async fn current(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    index: i64,
    chunks: &[Uuid],
) -> Result<BTreeMap<Uuid, Uuid>, Error> {
    let sql = format!(
        "SELECT DISTINCT e.chunk, m.document FROM manifest_entries e
         JOIN manifests m ON m.manifest = e.manifest AND {IS_CURRENT}
         JOIN documents d ON d.document = m.document AND d.tenant = $1
         WHERE e.chunk = ANY($3) AND m.index_id = $2"
    );
    let found = rows(transaction, &sql, &[&tenant.as_str(), &index, &chunks]).await?;
    found.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect()
}

/// The documents, in the order given, each with its mentions and the first of these chunks that it has.
pub(super) async fn mentioning(
    transaction: &Transaction<'_>,
    index: i64,
    documents: &[(Uuid, u64)],
    chunks: &[Uuid],
) -> Result<Vec<Mentioning>, Error> {
    let sql = format!(
        "SELECT DISTINCT ON (d.document) d.document, d.uri, d.summary, e.page, e.chunk
         FROM documents d JOIN manifests m ON m.document = d.document AND m.index_id = $2 AND {IS_CURRENT}
         JOIN manifest_entries e ON e.manifest = m.manifest AND e.chunk = ANY($3)
         WHERE d.document = ANY($1) ORDER BY d.document, e.ordinal"
    );
    let keys: Vec<Uuid> = documents.iter().map(|(document, _)| *document).collect();
    let found = rows(transaction, &sql, &[&keys, &index, &chunks]).await?;
    let mut shown = Vec::with_capacity(documents.len());
    for (document, mentions) in documents {
        for row in &found {
            if get::<Uuid>(row, 0)? == *document {
                shown.push(Mentioning {
                    id: document.to_string(),
                    uri: get(row, 1)?,
                    title: title(get(row, 2)?),
                    mentions: *mentions,
                    page: page(row, 3)?,
                    chunk: get::<Uuid>(row, 4)?.to_string(),
                });
            }
        }
    }
    Ok(shown)
}

/// Where the first of these chunks stands.
pub(super) async fn place(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    index: i64,
    chunks: &[Uuid],
) -> Result<Option<Via>, Error> {
    let sql = format!(
        "SELECT d.document, d.uri, e.page, e.chunk FROM manifest_entries e
         JOIN manifests m ON m.manifest = e.manifest AND {IS_CURRENT}
         JOIN documents d ON d.document = m.document AND d.tenant = $1
         WHERE e.chunk = ANY($3) AND m.index_id = $2
         ORDER BY d.uri COLLATE \"C\", e.page, e.chunk LIMIT 1"
    );
    let found = rows(transaction, &sql, &[&tenant.as_str(), &index, &chunks]).await?;
    found.first().map(via).transpose()
}

/// Of a row of document, URI, page and chunk.
pub(super) fn via(row: &Row) -> Result<Via, Error> {
    Ok(Via {
        document: get::<Uuid>(row, 0)?.to_string(),
        uri: get(row, 1)?,
        page: page(row, 2)?,
        chunk: get::<Uuid>(row, 3)?.to_string(),
    })
}

fn page(row: &Row, at: usize) -> Result<u32, Error> {
    Ok(u32::try_from(get::<i32>(row, at)?).unwrap_or(0))
}

fn title(summary: Option<&str>) -> Option<String> {
    serde_json::from_str::<Summary>(summary?).ok()?.title
}
