//! What the three stores have in common: a table of chunks with epochs, and the sink trait over it.
//! What a store keeps beside that is said by its [`ChunkTable`].

use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use docmill_core::id::{ChunkId, DocumentId, Epoch, IndexId, TextHash};
use docmill_core::manifest::Store;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::claims::{document_of, hash_of};
use super::manifests::chunk_of;
use super::{Answer, Database, sink_error};
use crate::sink::{ChunkRow, Error, Sink, StoredChunk};

/// A store's own part.
pub trait ChunkTable: Send + Sync + 'static {
    /// Which store it is.
    const STORE: Store;
    /// The table that has a row a chunk.
    const NAME: &'static str;
    /// What no chunk holds up: (table, condition), in the order in which it may be removed.
    const LOOSE: &'static [(&'static str, &'static str)];

    /// Inserts a row that is not there. False: the chunk has nothing for this store.
    fn insert(connection: &Connection, row: &ChunkRow, epoch: Epoch) -> rusqlite::Result<bool>;

    /// Removes what hung on a row that was just removed.
    fn removed(connection: &Connection, number: i64) -> rusqlite::Result<()>;
}

/// A store in the data directory's file.
pub struct TableSink<T> {
    database: Arc<Database>,
    table: PhantomData<T>,
}

impl<T: ChunkTable> TableSink<T> {
    /// The store of this database.
    pub fn new(database: Arc<Database>) -> Self {
        Self { database, table: PhantomData }
    }

    async fn job<A: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<A> + Send + 'static,
    ) -> Result<A, Error> {
        self.database.writer().run(Answer::Applied, job).await.map_err(sink_error(T::STORE))
    }
}

/// Raises the epoch of a row that is there. False: there is none.
fn raise(connection: &Connection, table: &str, chunk: &ChunkId, epoch: Epoch) -> rusqlite::Result<bool> {
    let sql = format!("UPDATE {table} SET epoch = max(epoch, ?) WHERE chunk = ?");
    Ok(connection.prepare_cached(&sql)?.execute(params![epoch.0, &chunk.as_bytes()[..]])? == 1)
}

/// Removes a row below the epoch. Returns its number.
fn remove_row(
    connection: &Connection,
    table: &str,
    chunk: &ChunkId,
    below: Epoch,
) -> rusqlite::Result<Option<i64>> {
    let sql = format!("DELETE FROM {table} WHERE chunk = ? AND epoch < ? RETURNING row");
    connection
        .prepare_cached(&sql)?
        .query_row(params![&chunk.as_bytes()[..], below.0], |row| row.get(0))
        .optional()
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredChunk> {
    Ok(StoredChunk {
        chunk: chunk_of(&row.get::<_, Vec<u8>>(0)?)?,
        document: document_of(&row.get::<_, Vec<u8>>(1)?)?,
        index: IndexId(row.get(2)?),
        text_hash: TextHash(hash_of(&row.get::<_, Vec<u8>>(3)?)?),
        epoch: Epoch(row.get(4)?),
    })
}

fn look_up(
    connection: &Connection,
    table: &str,
    chunks: &[ChunkId],
) -> rusqlite::Result<Vec<Option<StoredChunk>>> {
    let sql = format!("SELECT chunk, document, index_id, text_hash, epoch FROM {table} WHERE chunk = ?");
    let mut statement = connection.prepare_cached(&sql)?;
    chunks.iter().map(|chunk| statement.query_row([&chunk.as_bytes()[..]], stored).optional()).collect()
}

fn list(
    connection: &Connection,
    table: &str,
    after: Option<ChunkId>,
    limit: usize,
) -> rusqlite::Result<Vec<StoredChunk>> {
    let sql = format!(
        "SELECT chunk, document, index_id, text_hash, epoch FROM {table} WHERE chunk > ? ORDER BY chunk LIMIT ?"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let after: Vec<u8> = after.map(|chunk| chunk.as_bytes().to_vec()).unwrap_or_default();
    statement.query_map(params![after, limit as i64], stored)?.collect()
}

/// Inserts a row: what every table has, then what this one has beside it. Returns its number.
pub(super) fn insert_head(
    connection: &Connection,
    sql: &str,
    row: &ChunkRow,
    epoch: Epoch,
    last: &[&dyn rusqlite::ToSql],
) -> rusqlite::Result<i64> {
    let document: DocumentId = row.document;
    let chunk = &row.chunk.as_bytes()[..];
    let document = &document.as_bytes()[..];
    let text_hash = &row.text_hash.0[..];
    let mut values: Vec<&dyn rusqlite::ToSql> = vec![&chunk, &document, &row.index.0, &text_hash, &epoch.0];
    values.extend_from_slice(last);
    connection.prepare_cached(sql)?.execute(&values[..])?;
    Ok(connection.last_insert_rowid())
}

#[async_trait]
impl<T: ChunkTable> Sink for TableSink<T> {
    fn store(&self) -> Store {
        T::STORE
    }

    async fn write(&self, rows: &[Arc<ChunkRow>], epoch: Epoch) -> Result<usize, Error> {
        let rows = rows.to_vec();
        self.job(move |connection| {
            let mut held = 0;
            for row in &rows {
                let there =
                    raise(connection, T::NAME, &row.chunk, epoch)? || T::insert(connection, row, epoch)?;
                held += usize::from(there);
            }
            Ok(held)
        })
        .await
    }

    async fn remove(&self, chunks: &[ChunkId], below: Epoch) -> Result<usize, Error> {
        let chunks = chunks.to_vec();
        self.job(move |connection| {
            let mut removed = 0;
            for chunk in &chunks {
                if let Some(number) = remove_row(connection, T::NAME, chunk, below)? {
                    T::removed(connection, number)?;
                    removed += 1;
                }
            }
            Ok(removed)
        })
        .await
    }

    async fn look_up(&self, chunks: &[ChunkId]) -> Result<Vec<Option<StoredChunk>>, Error> {
        let chunks = chunks.to_vec();
        self.job(move |connection| look_up(connection, T::NAME, &chunks)).await
    }

    async fn list(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredChunk>, Error> {
        self.job(move |connection| list(connection, T::NAME, after, limit)).await
    }

    async fn loose_ends(&self) -> Result<u64, Error> {
        self.job(|connection| {
            let count = |(table, loose): &(&str, &str)| {
                let sql = format!("SELECT count(*) FROM {table} WHERE {loose}");
                connection.query_row(&sql, [], |row| row.get::<_, u64>(0))
            };
            T::LOOSE.iter().map(count).sum()
        })
        .await
    }

    async fn remove_loose_ends(&self) -> Result<u64, Error> {
        self.job(|connection| {
            let remove = |(table, loose): &(&str, &str)| {
                Ok(connection.execute(&format!("DELETE FROM {table} WHERE {loose}"), [])? as u64)
            };
            T::LOOSE.iter().map(remove).sum()
        })
        .await
    }
}
