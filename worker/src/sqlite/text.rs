//! The text store: chunks' texts and their full-text entries.

use docmill_core::id::Epoch;
use docmill_core::manifest::Store;
use rusqlite::{Connection, params};

use super::chunk_table::{ChunkTable, TableSink, insert_head};
use crate::sink::ChunkRow;

/// Texts and full text in the data directory's file.
pub type TextSink = TableSink<Text>;

/// The text store's own part.
pub struct Text;

impl ChunkTable for Text {
    const STORE: Store = Store::Text;
    const NAME: &'static str = "chunks";
    // A full-text entry has its chunk's number and is written and removed with it.
    const LOOSE: &'static [(&'static str, &'static str)] = &[];

    fn insert(connection: &Connection, row: &ChunkRow, epoch: Epoch) -> rusqlite::Result<bool> {
        let sql = "INSERT INTO chunks(chunk, document, index_id, text_hash, epoch, text) VALUES(?, ?, ?, ?, ?, ?)";
        let number = insert_head(connection, sql, row, epoch, &[&&*row.text])?;
        connection
            .prepare_cached("INSERT INTO chunk_terms(rowid, terms) VALUES(?, ?)")?
            .execute(params![number, &*row.terms])?;
        Ok(true)
    }

    fn removed(connection: &Connection, number: i64) -> rusqlite::Result<()> {
        connection.prepare_cached("DELETE FROM chunk_terms WHERE rowid = ?")?.execute([number]).map(|_| ())
    }
}
