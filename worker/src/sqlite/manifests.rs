//! Commits and what they leave behind: manifests, replaced ones, and rows to remove later.

use std::collections::HashSet;

use docmill_core::id::{ChunkId, CommitSeq, DocumentId, Epoch, Generation, IndexId, TenantId, TextHash};
use docmill_core::index::IndexState;
use docmill_core::manifest::{Manifest, ManifestEntry, StoreSet};
use rusqlite::{Connection, params};

use super::claims::{document_of, forget_pages, hand_back, hash_of, json, malformed, next, still_held};
use super::indexes;
use crate::ledger::{Cleanup, Commit, CommittedManifest, Grant, Summary};

/// Chunks of one recorded removal: bounds the size of a store call.
const CLEANUP_CHUNKS_MAX: usize = 2_000;

pub(super) fn chunk_of(bytes: &[u8]) -> rusqlite::Result<ChunkId> {
    Ok(ChunkId::from_bytes(bytes.try_into().map_err(|_| malformed("a chunk id has 16 bytes"))?))
}

pub(super) fn commit(
    connection: &Connection,
    grant: &Grant,
    manifests: &[Manifest],
    summary: &Summary,
    now_ms: i64,
    due_ms: i64,
) -> rusqlite::Result<Commit> {
    if !still_held(connection, grant)? {
        return Ok(Commit::Fenced);
    }
    let states = indexes::states(connection, &grant.tenant)?;
    let state_of = |index: IndexId| states.iter().find(|(id, _)| *id == index).map(|(_, state)| *state);
    let active = states.iter().find(|(_, state)| *state == IndexState::Active).map(|(id, _)| *id);
    if !manifests.iter().any(|manifest| Some(manifest.index) == active) {
        // The index was switched meanwhile: what was prepared would not be found.
        hand_back(connection, grant)?;
        return Ok(Commit::Fenced);
    }
    let seq = next(connection, "commit")?;
    for manifest in manifests {
        if matches!(state_of(manifest.index), Some(IndexState::Active | IndexState::Building)) {
            replace(connection, manifest, grant.epoch, due_ms)?;
            insert(connection, manifest, seq)?;
        } else {
            // Given up meanwhile: the rows that were written for it go.
            let rows: Vec<ChunkId> = manifest.entries.iter().map(|entry| entry.chunk).collect();
            record_cleanup(connection, manifest.document, grant.epoch.0 + 1, due_ms, &rows)?;
        }
    }
    connection
        .prepare_cached(
            "UPDATE documents SET state = 'committed', owner = NULL, summary = ?1,
                    -- The same content again, for another index say, is not newer by it.
                    committed_at_ms = CASE WHEN ?4 THEN coalesce(committed_at_ms, ?2) ELSE ?2 END,
                    starts = 0, child_crashes = 0, transient_failures = 0, failure = NULL, failed_at_ms = NULL
             WHERE document = ?3",
        )?
        .execute(params![json(summary)?, now_ms, &grant.document.as_bytes()[..], grant.committed_before])?;
    forget_pages(connection, &grant.document)?;
    Ok(Commit::Committed { seq: CommitSeq(seq) })
}

pub(super) fn carry(
    connection: &Connection,
    grant: &Grant,
    manifests: &[Manifest],
    due_ms: i64,
) -> rusqlite::Result<bool> {
    if !still_held(connection, grant)? {
        return Ok(false);
    }
    let states = indexes::states(connection, &grant.tenant)?;
    let seq = next(connection, "commit")?;
    let mut has = connection.prepare_cached(
        "SELECT EXISTS(SELECT 1 FROM manifests WHERE document = ? AND index_id = ? AND replaced_by IS NULL)",
    )?;
    for manifest in manifests {
        let read =
            |(id, state): &(IndexId, IndexState)| *id == manifest.index && *state != IndexState::Retired;
        let key = params![&manifest.document.as_bytes()[..], manifest.index.0];
        if states.iter().any(read) {
            // Where it was carried before, the rows are the same, and nothing of them may be removed.
            if !has.query_row(key, |row| row.get::<_, bool>(0))? {
                insert(connection, manifest, seq)?;
            }
        } else {
            let rows: Vec<ChunkId> = manifest.entries.iter().map(|entry| entry.chunk).collect();
            record_cleanup(connection, manifest.document, grant.epoch.0 + 1, due_ms, &rows)?;
        }
    }
    Ok(true)
}

fn insert(connection: &Connection, manifest: &Manifest, seq: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO manifests(document, index_id, generation, seq, language) VALUES(?, ?, ?, ?, ?)",
        )?
        .execute(params![
            &manifest.document.as_bytes()[..],
            manifest.index.0,
            manifest.generation.0,
            seq,
            manifest.language
        ])?;
    let number = connection.last_insert_rowid();
    let mut statement =
        connection.prepare_cached("INSERT INTO manifest_entries VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    for entry in &manifest.entries {
        statement.execute(params![
            number,
            entry.ordinal,
            &entry.chunk.as_bytes()[..],
            &entry.text_hash.0[..],
            entry.occurrence,
            entry.page,
            entry.start,
            entry.end,
            entry.heading,
            entry.stores.bits()
        ])?;
    }
    Ok(())
}

/// Marks what the document's new manifest replaces, and records the removal of what only that names.
fn replace(connection: &Connection, new: &Manifest, epoch: Epoch, due_ms: i64) -> rusqlite::Result<()> {
    let replaced = connection
        .prepare_cached(
            "UPDATE manifests SET replaced_by = ? WHERE document = ? AND index_id = ? AND replaced_by IS NULL",
        )?
        .execute(params![epoch.0, &new.document.as_bytes()[..], new.index.0])?;
    if replaced == 0 {
        return Ok(());
    }
    let kept: HashSet<ChunkId> = new.entries.iter().map(|entry| entry.chunk).collect();
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT e.chunk FROM manifest_entries e JOIN manifests m ON m.manifest = e.manifest
         WHERE m.document = ? AND m.index_id = ? AND m.replaced_by IS NOT NULL ORDER BY e.chunk",
    )?;
    let old: Vec<ChunkId> = statement
        .query_map(params![&new.document.as_bytes()[..], new.index.0], |row| {
            chunk_of(&row.get::<_, Vec<u8>>(0)?)
        })?
        .collect::<rusqlite::Result<_>>()?;
    let gone: Vec<ChunkId> = old.into_iter().filter(|chunk| !kept.contains(chunk)).collect();
    record_cleanup(connection, new.document, epoch.0, due_ms, &gone)
}

/// A cleanup is recorded even for no chunks: the replaced manifests are forgotten by it.
fn record_cleanup(
    connection: &Connection,
    document: DocumentId,
    below: u64,
    due_ms: i64,
    gone: &[ChunkId],
) -> rusqlite::Result<()> {
    let batches: Vec<&[ChunkId]> =
        if gone.is_empty() { vec![&[]] } else { gone.chunks(CLEANUP_CHUNKS_MAX).collect() };
    for chunks in batches {
        let ids: Vec<u8> = chunks.iter().flat_map(|chunk| *chunk.as_bytes()).collect();
        connection
            .prepare_cached("INSERT INTO cleanups(document, below, due_ms, chunks) VALUES(?, ?, ?, ?)")?
            .execute(params![&document.as_bytes()[..], below, due_ms, ids])?;
    }
    Ok(())
}

/// Forgets what is left of an index that was retired and is begun again.
pub(super) fn forget_replaced(
    connection: &Connection,
    tenant: &TenantId,
    index: IndexId,
) -> rusqlite::Result<()> {
    let old = "SELECT m.manifest FROM manifests m JOIN documents d ON d.document = m.document
               WHERE d.tenant = ?1 AND m.index_id = ?2 AND m.replaced_by IS NOT NULL";
    for table in ["manifest_entries", "manifests"] {
        connection
            .prepare_cached(&format!("DELETE FROM {table} WHERE manifest IN ({old})"))?
            .execute(params![tenant.as_str(), index.0])?;
    }
    Ok(())
}

/// Replaces every manifest of an index that is retired.
pub(super) fn replace_all(
    connection: &Connection,
    tenant: &TenantId,
    index: IndexId,
    below: u64,
    due_ms: i64,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT m.document FROM manifests m JOIN documents d ON d.document = m.document
         WHERE d.tenant = ? AND m.index_id = ? AND m.replaced_by IS NULL",
    )?;
    let documents: Vec<DocumentId> = statement
        .query_map(params![tenant.as_str(), index.0], |row| document_of(&row.get::<_, Vec<u8>>(0)?))?
        .collect::<rusqlite::Result<_>>()?;
    for document in documents {
        let nothing = Manifest {
            document,
            generation: Generation(0),
            index,
            language: String::new(),
            entries: Vec::new(),
        };
        replace(connection, &nothing, Epoch(below), due_ms)?;
    }
    Ok(())
}

pub(super) fn due_cleanups(
    connection: &Connection,
    limit: usize,
    now_ms: i64,
) -> rusqlite::Result<Vec<Cleanup>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, document, below, due_ms, chunks FROM cleanups WHERE due_ms <= ? ORDER BY due_ms, id LIMIT ?",
    )?;
    let rows = statement.query_map(params![now_ms, limit as i64], |row| {
        let ids: Vec<u8> = row.get(4)?;
        Ok(Cleanup {
            id: row.get(0)?,
            document: document_of(&row.get::<_, Vec<u8>>(1)?)?,
            below: Epoch(row.get(2)?),
            due_ms: row.get::<_, i64>(3)?.max(0) as u64,
            chunks: ids.chunks(16).map(chunk_of).collect::<rusqlite::Result<_>>()?,
        })
    })?;
    rows.collect()
}

pub(super) fn wanted(connection: &Connection, chunks: &[ChunkId]) -> rusqlite::Result<Vec<ChunkId>> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS(SELECT 1 FROM manifest_entries e JOIN manifests m ON m.manifest = e.manifest
                       WHERE e.chunk = ? AND m.replaced_by IS NULL)",
    )?;
    let mut wanted = Vec::new();
    for chunk in chunks {
        if statement.query_row([&chunk.as_bytes()[..]], |row| row.get::<_, bool>(0))? {
            wanted.push(*chunk);
        }
    }
    Ok(wanted)
}

pub(super) fn cleanup_done(connection: &Connection, cleanup: &Cleanup) -> rusqlite::Result<()> {
    let document = &cleanup.document.as_bytes()[..];
    connection.prepare_cached("DELETE FROM cleanups WHERE id = ?")?.execute([cleanup.id])?;
    // Manifests stay until the last removal that their replacement recorded is done, in whatever order.
    let done = "SELECT m.manifest FROM manifests m WHERE m.document = ?1 AND m.replaced_by IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM cleanups c WHERE c.document = ?1 AND c.below = m.replaced_by)";
    for table in ["manifest_entries", "manifests"] {
        connection
            .prepare_cached(&format!("DELETE FROM {table} WHERE manifest IN ({done})"))?
            .execute([document])?;
    }
    Ok(())
}

pub(super) fn page(
    connection: &Connection,
    after: Option<(DocumentId, IndexId)>,
    limit: usize,
) -> rusqlite::Result<Vec<CommittedManifest>> {
    let mut statement = connection.prepare_cached(
        "SELECT m.manifest, m.document, m.index_id, m.generation, m.seq, m.language FROM manifests m
         WHERE m.replaced_by IS NULL AND (m.document, m.index_id) > (?, ?)
         ORDER BY m.document, m.index_id LIMIT ?",
    )?;
    let (document, index) = match &after {
        Some((document, index)) => (&document.as_bytes()[..], index.0),
        None => (&[][..], 0),
    };
    let heads: Vec<(i64, CommittedManifest)> = statement
        .query_map(params![document, index, limit as i64], |row| {
            let manifest = Manifest {
                document: document_of(&row.get::<_, Vec<u8>>(1)?)?,
                index: IndexId(row.get(2)?),
                generation: Generation(row.get(3)?),
                language: row.get(5)?,
                entries: Vec::new(),
            };
            Ok((row.get(0)?, CommittedManifest { seq: CommitSeq(row.get(4)?), manifest }))
        })?
        .collect::<rusqlite::Result<_>>()?;
    heads
        .into_iter()
        .map(|(number, mut committed)| {
            committed.manifest.entries = entries(connection, number)?;
            Ok(committed)
        })
        .collect()
}

/// The entries of a manifest in document order.
pub fn entries(connection: &Connection, manifest: i64) -> rusqlite::Result<Vec<ManifestEntry>> {
    let mut statement = connection.prepare_cached(
        "SELECT chunk, text_hash, occurrence, ordinal, page, start, \"end\", heading, stores
         FROM manifest_entries WHERE manifest = ? ORDER BY ordinal",
    )?;
    let rows = statement.query_map([manifest], |row| {
        Ok(ManifestEntry {
            chunk: chunk_of(&row.get::<_, Vec<u8>>(0)?)?,
            text_hash: TextHash(hash_of(&row.get::<_, Vec<u8>>(1)?)?),
            occurrence: row.get(2)?,
            ordinal: row.get(3)?,
            page: row.get(4)?,
            start: row.get(5)?,
            end: row.get(6)?,
            heading: row.get(7)?,
            stores: StoreSet::from_bits(row.get(8)?),
        })
    })?;
    rows.collect()
}
