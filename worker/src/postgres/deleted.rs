//! Rows of documents that were deleted long ago, and how they are forgotten.

use deadpool_postgres::Transaction;
use uuid::Uuid;

use super::Error;
use super::sql::{execute, rows};
use super::values::{big, uri_key};

/// Forgets documents whose deletion is committed, was handed in so long ago and left nothing to remove. One that
/// somebody else has locked is left to the next time. Returns how many went.
pub(super) async fn forget(
    transaction: &Transaction<'_>,
    older_than_ms: u64,
    limit: usize,
) -> Result<u64, Error> {
    let old = rows(
        transaction,
        "SELECT document, tenant, uri FROM documents d
         WHERE content IS NULL AND state = 'committed' AND changed_at_ms <= (SELECT now_ms()) - $1
           AND NOT EXISTS (SELECT 1 FROM cleanups c WHERE c.document = d.document)
         ORDER BY changed_at_ms LIMIT $2 FOR UPDATE SKIP LOCKED",
        &[&big(older_than_ms), &i64::try_from(limit).unwrap_or(i64::MAX)],
    )
    .await?;
    let (mut documents, mut tenants, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for row in &old {
        documents.push(row.try_get::<_, Uuid>(0)?);
        tenants.push(row.try_get::<_, &str>(1)?);
        keys.push(uri_key(row.try_get(2)?));
    }
    execute(
        transaction,
        "DELETE FROM sources s USING unnest($1::text[], $2::bytea[], $3::uuid[]) AS o(tenant, uri_key, document)
         WHERE s.tenant = o.tenant AND s.uri_key = o.uri_key AND s.document = o.document",
        &[&tenants, &keys, &documents],
    )
    .await?;
    for sql in [
        // Two, as there is an index for each kind.
        "DELETE FROM manifests WHERE document = ANY($1) AND replaced_by IS NULL",
        "DELETE FROM manifests WHERE document = ANY($1) AND replaced_by IS NOT NULL",
        "DELETE FROM kept_pages WHERE document = ANY($1)",
        "DELETE FROM batch_documents WHERE document = ANY($1)",
        "DELETE FROM documents WHERE document = ANY($1)",
    ] {
        execute(transaction, sql, &[&documents]).await?;
    }
    Ok(old.len() as u64)
}
