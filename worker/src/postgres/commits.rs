//! Commits, and what they leave behind: replaced manifests and rows to remove later.

use deadpool_postgres::Transaction;
use docmill_core::id::{ChunkId, CommitSeq, IndexId, TenantId};
use docmill_core::index::IndexState;
use docmill_core::manifest::Manifest;
use uuid::Uuid;

use super::Error;
use super::claims::{forget_pages, hand_back, held};
use super::indexes::{self, Lock};
use super::sql::{execute, one, rows};
use super::values::{big, chunk_key, document_key, int, json, number, storable};
use crate::delivery::PlantedFault;
use crate::ledger::{Commit, Grant, Summary};

/// Chunks of one recorded removal: bounds the size of a store call.
const CLEANUP_CHUNKS_MAX: i64 = 2_000;
/// Documents whose removals are recorded by one statement.
const DOCUMENTS_PER_STATEMENT: usize = 1_000;

pub(super) async fn commit(
    transaction: &Transaction<'_>,
    grant: &Grant,
    manifests: &[Manifest],
    summary: &Summary,
    cleanup_delay_ms: u64,
) -> Result<Commit, Error> {
    if held(transaction, grant).await?.is_none() && !PlantedFault::CommitWithoutEpoch.is_planted() {
        return Ok(Commit::Fenced);
    }
    // A switch that runs now is waited for, and read about by the next statement.
    indexes::lock(transaction, &grant.tenant, Lock::Shared).await?;
    let states = indexes::states(transaction, &grant.tenant).await?;
    let lacks = |index: IndexId| !manifests.iter().any(|manifest| manifest.index == index);
    if states.iter().any(|(id, state)| *state == IndexState::Active && lacks(*id)) {
        // The index was switched meanwhile: what was prepared would not be found.
        hand_back(transaction, grant).await?;
        return Ok(Commit::Fenced);
    }
    let is_read =
        |index: IndexId| states.iter().any(|(id, state)| *id == index && *state != IndexState::Retired);
    let mut numbers = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        if is_read(manifest.index) {
            replace(transaction, manifest, grant.epoch.0, cleanup_delay_ms).await?;
            numbers.push(insert(transaction, manifest).await?);
        } else {
            give_up(transaction, manifest, grant.epoch.0 + 1, cleanup_delay_ms).await?;
        }
    }
    let document = document_key(grant.document);
    execute(
        transaction,
        "UPDATE documents SET state = 'committed', owner = NULL, summary = $2,
                -- The same content again, for another index say, is not newer by it.
                committed_at_ms = CASE WHEN $3 THEN coalesce(committed_at_ms, now_ms()) ELSE now_ms() END,
                starts = 0, child_crashes = 0, transient_failures = 0, failure = NULL, failed_at_ms = NULL
         WHERE document = $1",
        &[&document, &json(summary)?, &grant.committed_before],
    )
    .await?;
    forget_pages(transaction, &[document]).await?;
    let seq = take_number(transaction, &numbers).await?;
    Ok(Commit::Committed { seq })
}

pub(super) async fn carry(
    transaction: &Transaction<'_>,
    grant: &Grant,
    manifests: &[Manifest],
    cleanup_delay_ms: u64,
) -> Result<bool, Error> {
    if held(transaction, grant).await?.is_none() {
        return Ok(false);
    }
    indexes::lock(transaction, &grant.tenant, Lock::Shared).await?;
    let states = indexes::states(transaction, &grant.tenant).await?;
    let has = "SELECT EXISTS(SELECT 1 FROM manifests
                             WHERE document = $1 AND index_id = $2 AND replaced_by IS NULL)";
    let mut numbers = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        let is_read =
            states.iter().any(|(id, state)| *id == manifest.index && *state != IndexState::Retired);
        let key = document_key(manifest.document);
        if is_read {
            // Where it was carried before, the rows are the same, and nothing of them may be removed.
            if !one(transaction, has, &[&key, &manifest.index.0]).await?.try_get::<_, bool>(0)? {
                numbers.push(insert(transaction, manifest).await?);
            }
        } else {
            give_up(transaction, manifest, grant.epoch.0 + 1, cleanup_delay_ms).await?;
        }
    }
    take_number(transaction, &numbers).await?;
    Ok(true)
}

/// The last statement of a commit: it takes the one lock that all commits share, and keeps it for as
/// long as making this durable takes. What changes what searches show without a new manifest takes a number for
/// none: whoever keeps answers sees the gap, and forgets all.
pub(super) async fn take_number(
    transaction: &Transaction<'_>,
    manifests: &[i64],
) -> Result<CommitSeq, Error> {
    let row = one(
        transaction,
        "WITH taken AS (UPDATE counters SET value = value + 1 WHERE name = 'commit' RETURNING value),
              numbered AS (UPDATE manifests SET seq = taken.value FROM taken WHERE manifest = ANY($1))
         SELECT value FROM taken",
        &[&manifests],
    )
    .await?;
    Ok(CommitSeq(number(row.try_get(0)?)))
}

async fn insert(transaction: &Transaction<'_>, manifest: &Manifest) -> Result<i64, Error> {
    let row = one(
        transaction,
        "INSERT INTO manifests(document, index_id, generation, language) VALUES($1, $2, $3, $4)
         RETURNING manifest",
        &[
            &document_key(manifest.document),
            &manifest.index.0,
            &big(manifest.generation.0),
            &manifest.language,
        ],
    )
    .await?;
    let number: i64 = row.try_get(0)?;
    if manifest.entries.is_empty() {
        return Ok(number);
    }
    let entries = &manifest.entries;
    let ordinals: Vec<i32> = entries.iter().map(|entry| int(entry.ordinal)).collect();
    let chunks: Vec<Uuid> = entries.iter().map(|entry| chunk_key(entry.chunk)).collect();
    let hashes: Vec<&[u8]> = entries.iter().map(|entry| &entry.text_hash.0[..]).collect();
    let occurrences: Vec<i32> = entries.iter().map(|entry| int(entry.occurrence)).collect();
    let pages: Vec<i32> = entries.iter().map(|entry| int(entry.page)).collect();
    let starts: Vec<i32> = entries.iter().map(|entry| int(entry.start)).collect();
    let ends: Vec<i32> = entries.iter().map(|entry| int(entry.end)).collect();
    let headings: Vec<_> = entries.iter().map(|entry| entry.heading.as_deref().map(storable)).collect();
    let headings: Vec<Option<&str>> = headings.iter().map(Option::as_deref).collect();
    let stores: Vec<i16> = entries.iter().map(|entry| i16::from(entry.stores.bits())).collect();
    execute(
        transaction,
        "INSERT INTO manifest_entries(manifest, ordinal, chunk, text_hash, occurrence, page, start_byte,
                                      end_byte, heading, stores)
         SELECT $1, e.* FROM unnest($2::integer[], $3::uuid[], $4::bytea[], $5::integer[], $6::integer[],
                                    $7::integer[], $8::integer[], $9::text[], $10::smallint[]) AS e",
        &[&number, &ordinals, &chunks, &hashes, &occurrences, &pages, &starts, &ends, &headings, &stores],
    )
    .await?;
    Ok(number)
}

/// Marks what the document's new manifest replaces, and records the removal of what only that names.
async fn replace(
    transaction: &Transaction<'_>,
    new: &Manifest,
    epoch: u64,
    delay_ms: u64,
) -> Result<(), Error> {
    let document = document_key(new.document);
    let replaced = execute(
        transaction,
        "UPDATE manifests SET replaced_by = $3 WHERE document = $1 AND index_id = $2 AND replaced_by IS NULL",
        &[&document, &new.index.0, &big(epoch)],
    )
    .await?;
    if replaced == 0 {
        return Ok(());
    }
    let kept: Vec<Uuid> = new.entries.iter().map(|entry| chunk_key(entry.chunk)).collect();
    record_replaced(transaction, &[document], new.index, &kept, epoch, delay_ms).await
}

/// Records, for each of the documents, the removal of what its replaced manifests of the index name and
/// `kept` does not. It is recorded even for no chunks: the replaced manifests are forgotten by it.
async fn record_replaced(
    transaction: &Transaction<'_>,
    documents: &[Uuid],
    index: IndexId,
    kept: &[Uuid],
    below: u64,
    delay_ms: u64,
) -> Result<(), Error> {
    execute(
        transaction,
        "INSERT INTO cleanups(document, below, due_ms, chunks)
         SELECT d.document, $4, now_ms() + $5,
                coalesce(array_agg(g.chunk ORDER BY g.chunk) FILTER (WHERE g.chunk IS NOT NULL), '{}')
         FROM unnest($1::uuid[]) AS d(document)
         LEFT JOIN (
           SELECT document, chunk, (row_number() OVER (PARTITION BY document ORDER BY chunk) - 1) / $6 AS batch
           FROM (SELECT DISTINCT m.document, e.chunk
                 FROM manifests m JOIN manifest_entries e ON e.manifest = m.manifest
                 WHERE m.document = ANY($1) AND m.index_id = $2 AND m.replaced_by IS NOT NULL
                   AND NOT EXISTS (SELECT 1 FROM unnest($3::uuid[]) AS k(chunk) WHERE k.chunk = e.chunk)) AS named
         ) AS g ON g.document = d.document
         GROUP BY d.document, g.batch",
        &[&documents, &index.0, &kept, &big(below), &big(delay_ms), &CLEANUP_CHUNKS_MAX],
    )
    .await
    .map(drop)
}

/// The index was given up meanwhile: the rows that were written for it go.
async fn give_up(
    transaction: &Transaction<'_>,
    manifest: &Manifest,
    below: u64,
    delay_ms: u64,
) -> Result<(), Error> {
    let chunks: Vec<ChunkId> = manifest.entries.iter().map(|entry| entry.chunk).collect();
    let keys = super::values::chunk_keys(&chunks);
    execute(
        transaction,
        "INSERT INTO cleanups(document, below, due_ms, chunks)
         SELECT $1, $3, now_ms() + $4, array_agg(g.chunk ORDER BY g.chunk)
         FROM (SELECT chunk, (row_number() OVER (ORDER BY chunk) - 1) / $5 AS batch
               FROM unnest($2::uuid[]) AS c(chunk)) AS g
         GROUP BY g.batch",
        &[&document_key(manifest.document), &keys, &big(below), &big(delay_ms), &CLEANUP_CHUNKS_MAX],
    )
    .await
    .map(drop)
}

/// Replaces every manifest of an index that is retired.
pub(super) async fn replace_all(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    index: IndexId,
    below: u64,
    delay_ms: u64,
) -> Result<(), Error> {
    let replaced = rows(
        transaction,
        "UPDATE manifests m SET replaced_by = $3 FROM documents d
         WHERE d.document = m.document AND d.tenant = $1 AND m.index_id = $2 AND m.replaced_by IS NULL
         RETURNING m.document",
        &[&tenant.as_str(), &index.0, &big(below)],
    )
    .await?;
    let documents: Vec<Uuid> = replaced.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    for some in documents.chunks(DOCUMENTS_PER_STATEMENT) {
        record_replaced(transaction, some, index, &[], below, delay_ms).await?;
    }
    Ok(())
}

/// Forgets what is left of an index that was retired and is begun again.
pub(super) async fn forget_replaced(
    transaction: &Transaction<'_>,
    tenant: &TenantId,
    index: IndexId,
) -> Result<(), Error> {
    execute(
        transaction,
        "DELETE FROM manifests m USING documents d
         WHERE d.document = m.document AND d.tenant = $1 AND m.index_id = $2 AND m.replaced_by IS NOT NULL",
        &[&tenant.as_str(), &index.0],
    )
    .await
    .map(drop)
}
