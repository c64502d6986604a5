//! The vector store: a code of one byte a dimension for the scan, the exact vector for rescoring.

use std::sync::Arc;

use async_trait::async_trait;
use docmill_core::id::{ChunkId, Epoch};
use docmill_core::manifest::Store;
use rusqlite::{Connection, params};

use super::text::{insert_head, list, look_up, raise, remove_row};
use super::{Answer, Database, sink_error};
use crate::sink::{ChunkRow, Error, Sink, StoredChunk};
use crate::vector::quantize;

/// Vectors in the data directory's file.
pub struct VectorSink(pub Arc<Database>);

/// Little-endian bytes of a vector.
pub fn to_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Reads [`to_bytes`]; bytes that make no whole number are left out.
pub fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}

/// Writes a row; false where the row has no vector, so that the count shows it.
fn write_row(connection: &Connection, row: &ChunkRow, epoch: Epoch) -> rusqlite::Result<bool> {
    if raise(connection, "vectors", &row.chunk, epoch)? {
        return Ok(true);
    }
    let Some(vector) = &row.vector else { return Ok(false) };
    let (code, scale) = quantize(vector);
    let code: Vec<u8> = code.into_iter().map(|value| value as u8).collect();
    let sql = "INSERT INTO vectors(chunk, document, index_id, text_hash, epoch, scale, code) VALUES(?, ?, ?, ?, ?, ?, ?)";
    let number = insert_head(connection, sql, row, epoch, &[&scale, &code])?;
    connection
        .prepare_cached("INSERT INTO vector_values VALUES(?, ?)")?
        .execute(params![number, to_bytes(vector)])?;
    Ok(true)
}

#[async_trait]
impl Sink for VectorSink {
    fn store(&self) -> Store {
        Store::Vector
    }

    async fn write(&self, rows: &[Arc<ChunkRow>], epoch: Epoch) -> Result<usize, Error> {
        let rows = rows.to_vec();
        self.0
            .writer()
            .run(Answer::Applied, move |connection| {
                let mut held = 0;
                for row in &rows {
                    held += usize::from(write_row(connection, row, epoch)?);
                }
                Ok(held)
            })
            .await
            .map_err(sink_error(Store::Vector))
    }

    async fn remove(&self, chunks: &[ChunkId], below: Epoch) -> Result<usize, Error> {
        let chunks = chunks.to_vec();
        self.0
            .writer()
            .run(Answer::Applied, move |connection| {
                let mut removed = 0;
                for chunk in &chunks {
                    if let Some(number) = remove_row(connection, "vectors", chunk, below)? {
                        connection
                            .prepare_cached("DELETE FROM vector_values WHERE row = ?")?
                            .execute([number])?;
                        removed += 1;
                    }
                }
                Ok(removed)
            })
            .await
            .map_err(sink_error(Store::Vector))
    }

    async fn look_up(&self, chunks: &[ChunkId]) -> Result<Vec<Option<StoredChunk>>, Error> {
        let chunks = chunks.to_vec();
        self.0
            .writer()
            .run(Answer::Applied, move |connection| look_up(connection, "vectors", &chunks))
            .await
            .map_err(sink_error(Store::Vector))
    }

    async fn list(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredChunk>, Error> {
        self.0
            .writer()
            .run(Answer::Applied, move |connection| list(connection, "vectors", after, limit))
            .await
            .map_err(sink_error(Store::Vector))
    }

    async fn loose_ends(&self) -> Result<u64, Error> {
        self.0
            .writer()
            .run(Answer::Applied, |connection| {
                let sql = "SELECT count(*) FROM vector_values WHERE row NOT IN (SELECT row FROM vectors)";
                connection.query_row(sql, [], |row| row.get(0))
            })
            .await
            .map_err(sink_error(Store::Vector))
    }

    async fn remove_loose_ends(&self) -> Result<u64, Error> {
        self.0
            .writer()
            .run(Answer::Applied, |connection| {
                let sql = "DELETE FROM vector_values WHERE row NOT IN (SELECT row FROM vectors)";
                Ok(connection.execute(sql, [])? as u64)
            })
            .await
            .map_err(sink_error(Store::Vector))
    }
}
