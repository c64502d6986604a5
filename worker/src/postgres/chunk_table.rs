//! What the three stores have in common: tables of chunks with epochs, written and read by the batch, and
//! the sink trait over them. What a store has beside that is said by its [`ChunkTable`].

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use docmill_core::id::{ChunkId, Epoch, IndexId, TextHash};
use docmill_core::manifest::Store;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::sql::{execute, rows};
use super::transaction::transaction;
use super::values::{big, chunk_key, chunk_keys, chunk_of, document_key, document_of, hash_of, number};
use super::{Database, Error};
use crate::sink::{self, ChunkRow, Claimed, Sink, StoredChunk, Write, ascending};

/// A store's own part.
#[async_trait]
pub trait ChunkTable: Clone + Default + Send + Sync + 'static {
    /// Which store it is.
    const STORE: Store;
    /// The table that has a row a chunk.
    const NAME: &'static str;

    /// Whether the store has anything of this chunk.
    fn holds(_row: &ChunkRow) -> bool {
        true
    }

    /// Somebody dropped tables: what is known of them is not so any more.
    fn forget_tables(&self) {}

    /// Inserts the rows that are not there and raises the epoch of the others, in one transaction. They are
    /// ascending by chunk, each once.
    async fn write(&self, database: &Database, rows: &[Claimed<'_>]) -> Result<(), Error>;

    /// Removes those of the chunks whose epoch is below, with what hangs on them. Returns how many went.
    async fn remove(
        transaction: &Transaction<'_>,
        chunks: &[ChunkId],
        below: Epoch,
    ) -> Result<usize, Error> {
        remove(transaction, Self::NAME, chunks, below).await
    }

    /// Counts what no chunk holds up. Where everything is a column of the chunk's row, nothing can be loose.
    async fn count_loose(_database: &Database) -> Result<u64, Error> {
        Ok(0)
    }

    /// Removes what no chunk holds up. Returns how much went.
    async fn remove_loose(_database: &Database) -> Result<u64, Error> {
        Ok(0)
    }
}

/// The call, and once more where it failed because a table is not there, which is made first: a store that was
/// lost is filled without a restart of anything. A macro, as the call borrows the caller's arguments.
macro_rules! with_tables {
    ($sink:expr, $call:expr) => {
        match $call.await {
            Err(error) if error.lacks_a_table() => match Box::pin($sink.make_tables()).await {
                Ok(()) => $call.await,
                Err(error) => Err(error),
            },
            done => done,
        }
        .map_err(|error| error.of_store(T::STORE))
    };
}

/// A store in a PostgreSQL server.
#[derive(Clone)]
pub struct TableSink<T> {
    database: Database,
    table: T,
}

impl<T: ChunkTable> TableSink<T> {
    /// The store of this database.
    pub fn new(database: Database) -> Self {
        Self { database, table: T::default() }
    }

    /// Makes the tables that somebody dropped.
    async fn make_tables(&self) -> Result<(), Error> {
        tracing::warn!(store = T::STORE.as_str(), "a table of the store is gone and is made again");
        self.database.make_stores().await?;
        self.table.forget_tables();
        Ok(())
    }

    async fn remove_rows(&self, chunks: &[ChunkId], below: Epoch) -> Result<usize, Error> {
        transaction!(self.database, |transaction| T::remove(transaction, chunks, below))
    }

    async fn look_up_rows(&self, chunks: &[ChunkId]) -> Result<Vec<Option<StoredChunk>>, Error> {
        transaction!(self.database, |transaction| look_up(transaction, T::NAME, chunks))
    }

    async fn list_rows(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredChunk>, Error> {
        transaction!(self.database, |transaction| list(transaction, T::NAME, after, limit))
    }
}

#[async_trait]
impl<T: ChunkTable> Sink for TableSink<T> {
    fn store(&self) -> Store {
        T::STORE
    }

    async fn write(&self, rows: &[Arc<ChunkRow>], epoch: Epoch) -> Result<usize, sink::Error> {
        let held = self.write_many(&[Write { rows: rows.to_vec(), epoch }]).await?;
        Ok(held.into_iter().sum())
    }

    async fn write_many(&self, writes: &[Write]) -> Result<Vec<usize>, sink::Error> {
        let ascending = ascending(writes);
        let written = with_tables!(self, self.table.write(&self.database, &ascending));
        // Each row was inserted or locked by the one transaction that is now committed.
        let held = |write: &Write| write.rows.iter().filter(|row| T::holds(row)).count();
        written.map(|()| writes.iter().map(held).collect())
    }

    async fn remove(&self, chunks: &[ChunkId], below: Epoch) -> Result<usize, sink::Error> {
        with_tables!(self, self.remove_rows(chunks, below))
    }

    async fn look_up(&self, chunks: &[ChunkId]) -> Result<Vec<Option<StoredChunk>>, sink::Error> {
        with_tables!(self, self.look_up_rows(chunks))
    }

    async fn list(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredChunk>, sink::Error> {
        with_tables!(self, self.list_rows(after, limit))
    }

    async fn loose_ends(&self) -> Result<u64, sink::Error> {
        with_tables!(self, T::count_loose(&self.database))
    }

    async fn remove_loose_ends(&self) -> Result<u64, sink::Error> {
        with_tables!(self, T::remove_loose(&self.database))
    }
}

/// Rows of one statement: enough that round trips do not count, few enough that a statement with
/// vectors stays under 2 MB.
pub(super) const ROWS_PER_STATEMENT: usize = 200;

/// The columns that every table has, of some rows.
pub(super) struct Heads<'a> {
    chunks: Vec<Uuid>,
    tenants: Vec<&'a str>,
    documents: Vec<Uuid>,
    indexes: Vec<i64>,
    text_hashes: Vec<&'a [u8]>,
    epochs: Vec<i64>,
}

impl<'a> Heads<'a> {
    pub(super) fn of(claimed: &[Claimed<'a>]) -> Self {
        let rows = || claimed.iter().map(|claimed| claimed.row);
        Self {
            chunks: rows().map(|row| chunk_key(row.chunk)).collect(),
            tenants: rows().map(|row| row.tenant.as_str()).collect(),
            documents: rows().map(|row| document_key(row.document)).collect(),
            indexes: rows().map(|row| row.index.0).collect(),
            text_hashes: rows().map(|row| &row.text_hash.0[..]).collect(),
            epochs: claimed.iter().map(|claimed| big(claimed.epoch.0)).collect(),
        }
    }

    /// As values `$1` to `$6` of a statement, followed by the table's own columns.
    pub(super) fn and<'b>(&'b self, own: &[&'b (dyn ToSql + Sync)]) -> Vec<&'b (dyn ToSql + Sync)> {
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![
            &self.chunks,
            &self.tenants,
            &self.documents,
            &self.indexes,
            &self.text_hashes,
            &self.epochs,
        ];
        values.extend_from_slice(own);
        values
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
async fn remove(
    transaction: &Transaction<'_>,
    table: &str,
    chunks: &[ChunkId],
    below: Epoch,
) -> Result<usize, Error> {
    let locked = lock_below(transaction, table, chunks, below).await?;
    let sql = format!("DELETE FROM {table} WHERE chunk = ANY($1) AND epoch < $2");
    let gone = execute(transaction, &sql, &[&locked, &big(below.0)]).await?;
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

async fn look_up(
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

async fn list(
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
