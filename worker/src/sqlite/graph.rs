//! The graph store: concepts, and chunks' mentions of them as evidence. Counts are derived when read,
//! never kept; a concept goes with its last evidence.

use docmill_core::id::{Epoch, TenantId};
use docmill_core::manifest::Store;
use rusqlite::{Connection, OptionalExtension, params};

use super::chunk_table::{ChunkTable, TableSink, insert_head};
use crate::sink::{ChunkRow, MentionRow};

/// The concept graph in the data directory's file.
pub type GraphSink = TableSink<Graph>;

/// The graph store's own part.
pub struct Graph;

fn concept(connection: &Connection, tenant: &TenantId, mention: &MentionRow) -> rusqlite::Result<i64> {
    let known = connection
        .prepare_cached("SELECT concept FROM concepts WHERE tenant = ? AND canonical_name = ?")?
        .query_row(params![tenant.as_str(), mention.canonical_name], |row| row.get(0))
        .optional()?;
    if let Some(number) = known {
        return Ok(number);
    }
    connection
        .prepare_cached("INSERT INTO concepts(tenant, canonical_name, display, kind) VALUES(?, ?, ?, ?)")?
        .execute(params![tenant.as_str(), mention.canonical_name, mention.display, mention.kind])?;
    Ok(connection.last_insert_rowid())
}

impl ChunkTable for Graph {
    const STORE: Store = Store::Graph;
    const NAME: &'static str = "evidence";
    const LOOSE: &'static [(&'static str, &'static str)] = &[
        ("mentions", "row NOT IN (SELECT row FROM evidence)"),
        ("concepts", "concept NOT IN (SELECT concept FROM mentions)"),
    ];

    fn insert(connection: &Connection, row: &ChunkRow, epoch: Epoch) -> rusqlite::Result<bool> {
        let sql = "INSERT INTO evidence(chunk, document, index_id, text_hash, epoch) VALUES(?, ?, ?, ?, ?)";
        let number = insert_head(connection, sql, row, epoch, &[])?;
        for mention in row.mentions.iter() {
            let concept = concept(connection, &row.tenant, mention)?;
            connection
                .prepare_cached("INSERT OR REPLACE INTO mentions VALUES(?, ?, ?)")?
                .execute(params![number, concept, mention.count])?;
        }
        Ok(true)
    }

    fn removed(connection: &Connection, number: i64) -> rusqlite::Result<()> {
        let mut statement =
            connection.prepare_cached("DELETE FROM mentions WHERE row = ? RETURNING concept")?;
        let concepts: Vec<i64> =
            statement.query_map([number], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        for concept in concepts {
            connection
                .prepare_cached(
                    "DELETE FROM concepts WHERE concept = ?1
                     AND NOT EXISTS (SELECT 1 FROM mentions WHERE concept = ?1)",
                )?
                .execute([concept])?;
        }
        Ok(())
    }
}
