//! What the three stores have in common: tables of chunks with epochs, written and read by the batch.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use deadpool_postgres::Transaction;
use docmill_core::id::{ChunkId, Epoch, IndexId, TextHash};
use tokio_postgres::Row;
use uuid::Uuid;

use super::Error;
use super::sql::rows;
use super::values::{big, chunk_key, chunk_keys, chunk_of, document_key, document_of, hash_of, number};
use crate::sink::{ChunkRow, StoredChunk};

/// Rows of one statement: enough that round trips do not count, few enough that a statement with
/// vectors stays under 2 MB.
pub(super) const ROWS_PER_STATEMENT: usize = 200;

/// The rows by chunk, ascending and each once: the order in which they are locked.
pub(super) fn ascending(rows: &[Arc<ChunkRow>]) -> Vec<&ChunkRow> {
    let by_chunk: BTreeMap<ChunkId, &ChunkRow> = rows.iter().map(|row| (row.chunk, &**row)).collect();
    by_chunk.into_values().collect()
}

/// The columns that every table has, of some rows.
pub(super) struct Heads<'a> {
    pub(super) chunks: Vec<Uuid>,
    pub(super) tenants: Vec<&'a str>,
    pub(super) documents: Vec<Uuid>,
    pub(super) indexes: Vec<i64>,
    pub(super) text_hashes: Vec<&'a [u8]>,
    pub(super) epoch: i64,
}

impl<'a> Heads<'a> {
    pub(super) fn of(rows: &[&'a ChunkRow], epoch: Epoch) -> Self {
        Self {
            chunks: rows.iter().map(|row| chunk_key(row.chunk)).collect(),
            tenants: rows.iter().map(|row| row.tenant.as_str()).collect(),
            documents: rows.iter().map(|row| document_key(row.document)).collect(),
            indexes: rows.iter().map(|row| row.index.0).collect(),
            text_hashes: rows.iter().map(|row| &row.text_hash.0[..]).collect(),
            epoch: big(epoch.0),
        }
    }
}

/// What follows the values of an insert: a row that is there only has its epoch raised. A row whose epoch
/// is as high already is not written, which spares its indexes, but it is locked.
pub(super) fn or_raise(table: &str) -> String {
    format!("ON CONFLICT (chunk) DO UPDATE SET epoch = EXCLUDED.epoch WHERE {table}.epoch < EXCLUDED.epoch")
}

/// Locks, in ascending order, those of the chunks whose epoch is below, and gives them.
pub(super) async fn lock_below(
    transaction: &Transaction<'_>,
    table: &str,
    chunks: &[ChunkId],
    below: Epoch,
) -> Result<Vec<Uuid>, Error> {
    let sql =
        format!("SELECT chunk FROM {table} WHERE chunk = ANY($1) AND epoch < $2 ORDER BY chunk FOR UPDATE");
    let locked = rows(transaction, &sql, &[&chunk_keys(chunks), &big(below.0)]).await?;
    locked.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Removes those of the chunks whose epoch is below. Returns how many went.
pub(super) async fn remove(
    transaction: &Transaction<'_>,
    table: &str,
    chunks: &[ChunkId],
    below: Epoch,
) -> Result<usize, Error> {
    let locked = lock_below(transaction, table, chunks, below).await?;
    let sql = format!("DELETE FROM {table} WHERE chunk = ANY($1) AND epoch < $2");
    let gone = super::sql::execute(transaction, &sql, &[&locked, &big(below.0)]).await?;
    Ok(usize::try_from(gone).unwrap_or(usize::MAX))
}

const COLUMNS: &str = "chunk, document, index_id, text_hash, epoch";

fn stored(row: &Row) -> Result<StoredChunk, Error> {
    Ok(StoredChunk {
        chunk: chunk_of(row.try_get(0)?),
        document: document_of(row.try_get(1)?),
        index: IndexId(row.try_get(2)?),
        text_hash: TextHash(hash_of(row.try_get(3)?)?),
        epoch: Epoch(number(row.try_get(4)?)),
    })
}

pub(super) async fn look_up(
    transaction: &Transaction<'_>,
    table: &str,
    chunks: &[ChunkId],
) -> Result<Vec<Option<StoredChunk>>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM {table} WHERE chunk = ANY($1)");
    let found = rows(transaction, &sql, &[&chunk_keys(chunks)]).await?;
    let mut held = HashMap::with_capacity(found.len());
    for row in &found {
        let row = stored(row)?;
        held.insert(row.chunk, row);
    }
    Ok(chunks.iter().map(|chunk| held.get(chunk).copied()).collect())
}

pub(super) async fn list(
    transaction: &Transaction<'_>,
    table: &str,
    after: Option<ChunkId>,
    limit: usize,
) -> Result<Vec<StoredChunk>, Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    // Two statements and not one with a lowest id: the nil id would be a chunk as good as any.
    let found = match after {
        Some(after) => {
            let sql = format!("SELECT {COLUMNS} FROM {table} WHERE chunk > $1 ORDER BY chunk LIMIT $2");
            rows(transaction, &sql, &[&chunk_key(after), &limit]).await?
        }
        None => {
            let sql = format!("SELECT {COLUMNS} FROM {table} ORDER BY chunk LIMIT $1");
            rows(transaction, &sql, &[&limit]).await?
        }
    };
    found.iter().map(stored).collect()
}
