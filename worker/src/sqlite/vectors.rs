//! The vector store: a code of one byte a dimension for the scan, the exact vector and the signs
//! of its passages for rescoring.

use docmill_core::id::Epoch;
use docmill_core::manifest::Store;
use rusqlite::{Connection, params};

use super::chunk_table::{ChunkTable, TableSink, insert_head};
use crate::embed::vector_to_bytes;
use crate::sink::ChunkRow;
use crate::vector::quantize;

/// Vectors in the data directory's file.
pub type VectorSink = TableSink<Vectors>;

/// The vector store's own part.
pub struct Vectors;

impl ChunkTable for Vectors {
    const STORE: Store = Store::Vector;
    const NAME: &'static str = "vectors";
    const LOOSE: &'static [(&'static str, &'static str)] =
        &[("vector_values", "row NOT IN (SELECT row FROM vectors)")];

    fn insert(connection: &Connection, row: &ChunkRow, epoch: Epoch) -> rusqlite::Result<bool> {
        let Some(embedding) = &row.embedding else { return Ok(false) };
        let (code, scale) = quantize(&embedding.vector);
        let code: Vec<u8> = code.into_iter().map(|value| value as u8).collect();
        let sql = "INSERT INTO vectors(chunk, document, index_id, text_hash, epoch, scale, code)
             VALUES(?, ?, ?, ?, ?, ?, ?)";
        let number = insert_head(connection, sql, row, epoch, &[&scale, &code])?;
        connection.prepare_cached("INSERT INTO vector_values VALUES(?, ?, ?)")?.execute(params![
            number,
            vector_to_bytes(&embedding.vector),
            embedding.passages.as_bytes()
        ])?;
        Ok(true)
    }

    fn removed(connection: &Connection, number: i64) -> rusqlite::Result<()> {
        connection.prepare_cached("DELETE FROM vector_values WHERE row = ?")?.execute([number]).map(|_| ())
    }
}
