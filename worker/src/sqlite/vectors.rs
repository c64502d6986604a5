//! The vector store: a code of one byte a dimension for the scan, the exact vector for rescoring.

use docmill_core::id::Epoch;
use docmill_core::manifest::Store;
use rusqlite::{Connection, params};

use super::chunk_table::{ChunkTable, TableSink, insert_head};
use crate::sink::ChunkRow;
use crate::vector::quantize;

/// Vectors in the data directory's file.
pub type VectorSink = TableSink<Vectors>;

/// The vector store's own part.
pub struct Vectors;

/// Little-endian bytes of a vector.
pub fn to_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Reads [`to_bytes`]; bytes that make no whole number are left out.
pub fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}

impl ChunkTable for Vectors {
    const STORE: Store = Store::Vector;
    const NAME: &'static str = "vectors";
    const LOOSE: &'static [(&'static str, &'static str)] =
        &[("vector_values", "row NOT IN (SELECT row FROM vectors)")];

    fn insert(connection: &Connection, row: &ChunkRow, epoch: Epoch) -> rusqlite::Result<bool> {
        let Some(vector) = &row.vector else { return Ok(false) };
        let (code, scale) = quantize(vector);
        let code: Vec<u8> = code.into_iter().map(|value| value as u8).collect();
        let sql = "INSERT INTO vectors(chunk, document, index_id, text_hash, epoch, scale, code)
             VALUES(?, ?, ?, ?, ?, ?, ?)";
        let number = insert_head(connection, sql, row, epoch, &[&scale, &code])?;
        connection
            .prepare_cached("INSERT INTO vector_values VALUES(?, ?)")?
            .execute(params![number, to_bytes(vector)])?;
        Ok(true)
    }

    fn removed(connection: &Connection, number: i64) -> rusqlite::Result<()> {
        connection.prepare_cached("DELETE FROM vector_values WHERE row = ?")?.execute([number]).map(|_| ())
    }
}
