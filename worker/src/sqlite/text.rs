//! The text store: chunks' texts and their full-text entries.

use std::sync::Arc;

use async_trait::async_trait;
use docmill_core::id::{ChunkId, DocumentId, Epoch, IndexId, TextHash};
use docmill_core::manifest::Store;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::claims::{document_of, hash_of};
use super::manifests::chunk_of;
use super::{Answer, Database, sink_error};
use crate::sink::{ChunkRow, Error, Sink, StoredChunk};

/// Texts and full text in the data directory's file.
pub struct TextSink(pub Arc<Database>);

/// Raises the epoch of a row that is there. False: there is none.
pub(super) fn raise(
    connection: &Connection,
    table: &str,
    chunk: &ChunkId,
    epoch: Epoch,
) -> rusqlite::Result<bool> {
    let sql = format!("UPDATE {table} SET epoch = max(epoch, ?) WHERE chunk = ?");
    Ok(connection.prepare_cached(&sql)?.execute(params![epoch.0, &chunk.as_bytes()[..]])? == 1)
}

/// Removes a row below the epoch. Returns its number.
pub(super) fn remove_row(
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

pub(super) fn look_up(
    connection: &Connection,
    table: &str,
    chunks: &[ChunkId],
) -> rusqlite::Result<Vec<Option<StoredChunk>>> {
    let sql = format!("SELECT chunk, document, index_id, text_hash, epoch FROM {table} WHERE chunk = ?");
    let mut statement = connection.prepare_cached(&sql)?;
    chunks.iter().map(|chunk| statement.query_row([&chunk.as_bytes()[..]], stored).optional()).collect()
}

pub(super) fn list(
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

fn write_row(connection: &Connection, row: &ChunkRow, epoch: Epoch) -> rusqlite::Result<()> {
    if raise(connection, "chunks", &row.chunk, epoch)? {
        return Ok(());
    }
    let sql =
        "INSERT INTO chunks(chunk, document, index_id, text_hash, epoch, text) VALUES(?, ?, ?, ?, ?, ?)";
    let number = insert_head(connection, sql, row, epoch, &[&&*row.text])?;
    connection
        .prepare_cached("INSERT INTO chunk_terms(rowid, terms) VALUES(?, ?)")?
        .execute(params![number, &*row.terms])
        .map(|_| ())
}

#[async_trait]
impl Sink for TextSink {
    fn store(&self) -> Store {
        Store::Text
    }

    async fn write(&self, rows: &[Arc<ChunkRow>], epoch: Epoch) -> Result<usize, Error> {
        let rows = rows.to_vec();
        self.0
            .writer()
            .run(Answer::Applied, move |connection| {
                rows.iter().try_for_each(|row| write_row(connection, row, epoch))?;
                Ok(rows.len())
            })
            .await
            .map_err(sink_error(Store::Text))
    }

    async fn remove(&self, chunks: &[ChunkId], below: Epoch) -> Result<usize, Error> {
        let chunks = chunks.to_vec();
        self.0
            .writer()
            .run(Answer::Applied, move |connection| {
                let mut removed = 0;
                for chunk in &chunks {
                    if let Some(number) = remove_row(connection, "chunks", chunk, below)? {
                        connection
                            .prepare_cached("DELETE FROM chunk_terms WHERE rowid = ?")?
                            .execute([number])?;
                        removed += 1;
                    }
                }
                Ok(removed)
            })
            .await
            .map_err(sink_error(Store::Text))
    }

    async fn look_up(&self, chunks: &[ChunkId]) -> Result<Vec<Option<StoredChunk>>, Error> {
        let chunks = chunks.to_vec();
        self.0
            .writer()
            .run(Answer::Applied, move |connection| look_up(connection, "chunks", &chunks))
            .await
            .map_err(sink_error(Store::Text))
    }

    async fn list(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredChunk>, Error> {
        self.0
            .writer()
            .run(Answer::Applied, move |connection| list(connection, "chunks", after, limit))
            .await
            .map_err(sink_error(Store::Text))
    }

    async fn loose_ends(&self) -> Result<u64, Error> {
        // A full-text entry has its chunk's number and is written and removed with it.
        Ok(0)
    }

    async fn remove_loose_ends(&self) -> Result<u64, Error> {
        Ok(0)
    }
}
