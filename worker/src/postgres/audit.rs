//! What the ledger can say of itself: duplicates, overdue removals, rows that something still accounts for.

use deadpool_postgres::Transaction;
use docmill_core::id::{ChunkId, DocumentId};

use super::Error;
use super::sql::{one, take_your_time};
use super::values::{big, chunk_key, document_key, number};
use crate::ledger::SelfAudit;

pub(super) async fn self_audit(transaction: &Transaction<'_>, grace_ms: u64) -> Result<SelfAudit, Error> {
    take_your_time(transaction).await?;
    // Two concepts of one name need no count: the table does not take them.
    let row = one(
        transaction,
        "WITH due AS (SELECT (SELECT now_ms()) - $1::bigint AS before_ms)
         SELECT (SELECT count(*) FROM (SELECT 1 FROM documents WHERE content IS NOT NULL
                   GROUP BY tenant, uri HAVING count(*) > 1) AS twice)
              + (SELECT count(*) FROM (SELECT 1 FROM manifest_entries e JOIN manifests m ON m.manifest = e.manifest
                   WHERE m.replaced_by IS NULL GROUP BY m.manifest, e.text_hash, e.occurrence
                   HAVING count(*) > 1) AS repeated),
                (SELECT count(*) FROM cleanups, due WHERE due_ms >= before_ms),
                (SELECT count(*) FROM cleanups, due WHERE due_ms < before_ms)",
        &[&big(grace_ms)],
    )
    .await?;
    Ok(SelfAudit {
        duplicate: number(row.try_get(0)?),
        cleanup_pending: number(row.try_get(1)?),
        stale: number(row.try_get(2)?),
    })
}

pub(super) async fn accounted_for(
    transaction: &Transaction<'_>,
    document: DocumentId,
    chunk: ChunkId,
) -> Result<bool, Error> {
    let row = one(
        transaction,
        "SELECT EXISTS(SELECT 1 FROM documents WHERE document = $1 AND state IN ('queued', 'processing'))
             OR EXISTS(SELECT 1 FROM cleanups WHERE document = $1 AND $2 = ANY(chunks))",
        &[&document_key(document), &chunk_key(chunk)],
    )
    .await?;
    Ok(row.try_get(0)?)
}
