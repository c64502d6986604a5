//! Reading manifests, and the removals that replaced ones wait for.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use docmill_core::id::{ChunkId, CommitSeq, DocumentId, Epoch, Generation, IndexId, TextHash};
use docmill_core::manifest::{Manifest, ManifestEntry, StoreSet};
use tokio_postgres::Row;
use uuid::Uuid;

use super::sql::{execute, rows};
use super::values::{chunk_keys, chunk_of, document_key, document_of, hash_of, number, small};
use super::{Error, claims};
use crate::ledger::{Cleanup, CommittedManifest};

pub(super) async fn due_cleanups(
    transaction: &Transaction<'_>,
    limit: usize,
) -> Result<Vec<Cleanup>, Error> {
    let due = rows(
        transaction,
        "SELECT id, document, below, due_ms, chunks FROM cleanups
         WHERE due_ms <= (SELECT now_ms()) ORDER BY due_ms, id LIMIT $1",
        &[&i64::try_from(limit).unwrap_or(i64::MAX)],
    )
    .await?;
    let read = |row: &Row| {
        Ok(Cleanup {
            id: number(row.try_get(0)?),
            document: document_of(row.try_get(1)?),
            below: Epoch(number(row.try_get(2)?)),
            due_ms: number(row.try_get(3)?),
            chunks: row.try_get::<_, Vec<Uuid>>(4)?.into_iter().map(chunk_of).collect(),
        })
    };
    due.iter().map(read).collect()
}

pub(super) async fn wanted(
    transaction: &Transaction<'_>,
    chunks: &[ChunkId],
) -> Result<Vec<ChunkId>, Error> {
    let named = rows(
        transaction,
        "SELECT DISTINCT e.chunk FROM manifest_entries e JOIN manifests m ON m.manifest = e.manifest
         WHERE e.chunk = ANY($1) AND m.replaced_by IS NULL",
        &[&chunk_keys(chunks)],
    )
    .await?;
    let named: std::collections::HashSet<ChunkId> =
        named.iter().map(|row| Ok(chunk_of(row.try_get(0)?))).collect::<Result<_, Error>>()?;
    Ok(chunks.iter().copied().filter(|chunk| named.contains(chunk)).collect())
}

pub(super) async fn cleanup_done(transaction: &Transaction<'_>, cleanup: &Cleanup) -> Result<(), Error> {
    // One at a time for a document: two that end at once would each see the other's as still to do, and
    // nobody would forget the manifests.
    claims::lock(transaction, cleanup.document).await?;
    let id = i64::try_from(cleanup.id).unwrap_or(i64::MAX);
    execute(transaction, "DELETE FROM cleanups WHERE id = $1", &[&id]).await?;
    // Manifests stay until the last removal that their replacement recorded is done, in whatever order.
    execute(
        transaction,
        "DELETE FROM manifests m WHERE m.document = $1 AND m.replaced_by IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM cleanups c WHERE c.document = $1 AND c.below = m.replaced_by)",
        &[&document_key(cleanup.document)],
    )
    .await
    .map(drop)
}

pub(super) async fn page(
    transaction: &Transaction<'_>,
    after: Option<(DocumentId, IndexId)>,
    limit: usize,
) -> Result<Vec<CommittedManifest>, Error> {
    // One snapshot for both statements: a manifest without its entries would be reported as missing rows.
    let snapshot = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";
    transaction.batch_execute(snapshot).await?;
    let (document, index) = match after {
        Some((document, index)) => (document_key(document), index.0),
        None => (Uuid::nil(), i64::MIN),
    };
    let heads = rows(
        transaction,
        "SELECT manifest, document, index_id, generation, coalesce(seq, 0), language FROM manifests
         WHERE replaced_by IS NULL AND (document, index_id) > ($1, $2)
         ORDER BY document, index_id LIMIT $3",
        &[&document, &index, &i64::try_from(limit).unwrap_or(i64::MAX)],
    )
    .await?;
    let numbers: Vec<i64> = heads.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let mut entries = entries(transaction, &numbers).await?;
    let read = |row: &Row| {
        let manifest = Manifest {
            document: document_of(row.try_get(1)?),
            index: IndexId(row.try_get(2)?),
            generation: Generation(number(row.try_get(3)?)),
            language: row.try_get(5)?,
            entries: entries.remove(&row.try_get::<_, i64>(0)?).unwrap_or_default(),
        };
        Ok(CommittedManifest { seq: CommitSeq(number(row.try_get(4)?)), manifest })
    };
    heads.iter().map(read).collect()
}

/// The entries of each manifest, in document order.
pub(super) async fn entries(
    transaction: &Transaction<'_>,
    manifests: &[i64],
) -> Result<BTreeMap<i64, Vec<ManifestEntry>>, Error> {
    let found = rows(
        transaction,
        "SELECT manifest, chunk, text_hash, occurrence, ordinal, page, start_byte, end_byte, heading, stores
         FROM manifest_entries WHERE manifest = ANY($1) ORDER BY manifest, ordinal",
        &[&manifests],
    )
    .await?;
    let mut of_manifest: BTreeMap<i64, Vec<ManifestEntry>> = BTreeMap::new();
    for row in &found {
        let entry = ManifestEntry {
            chunk: chunk_of(row.try_get(1)?),
            text_hash: TextHash(hash_of(row.try_get(2)?)?),
            occurrence: small(row.try_get(3)?),
            ordinal: small(row.try_get(4)?),
            page: small(row.try_get(5)?),
            start: small(row.try_get(6)?),
            end: small(row.try_get(7)?),
            heading: row.try_get(8)?,
            stores: StoreSet::from_bits(u8::try_from(row.try_get::<_, i16>(9)?).unwrap_or(0)),
        };
        of_manifest.entry(row.try_get(0)?).or_default().push(entry);
    }
    Ok(of_manifest)
}
