//! The graph store: concepts, and chunks' mentions of them as evidence. Counts are derived when read,
//! never kept; a concept goes with its last evidence.

use std::sync::Arc;

use async_trait::async_trait;
use docmill_core::id::{ChunkId, Epoch, TenantId};
use docmill_core::manifest::Store;
use rusqlite::{Connection, OptionalExtension, params};

use super::text::{insert_head, list, look_up, raise, remove_row};
use super::{Answer, Database, sink_error};
use crate::sink::{ChunkRow, Error, MentionRow, Sink, StoredChunk};

/// The concept graph in the data directory's file.
pub struct GraphSink(pub Arc<Database>);

const LOOSE_CONCEPTS: &str = "concept NOT IN (SELECT concept FROM mentions)";
const LOOSE_MENTIONS: &str = "row NOT IN (SELECT row FROM evidence)";

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

fn write_row(connection: &Connection, row: &ChunkRow, epoch: Epoch) -> rusqlite::Result<()> {
    if raise(connection, "evidence", &row.chunk, epoch)? {
        return Ok(());
    }
    let sql = "INSERT INTO evidence(chunk, document, index_id, text_hash, epoch) VALUES(?, ?, ?, ?, ?)";
    let number = insert_head(connection, sql, row, epoch, &[])?;
    for mention in row.mentions.iter() {
        let concept = concept(connection, &row.tenant, mention)?;
        connection.prepare_cached("INSERT OR REPLACE INTO mentions VALUES(?, ?, ?)")?.execute(params![
            number,
            concept,
            mention.count
        ])?;
    }
    Ok(())
}

fn remove_evidence(connection: &Connection, chunk: &ChunkId, below: Epoch) -> rusqlite::Result<bool> {
    let Some(number) = remove_row(connection, "evidence", chunk, below)? else { return Ok(false) };
    let mut statement =
        connection.prepare_cached("DELETE FROM mentions WHERE row = ? RETURNING concept")?;
    let concepts: Vec<i64> =
        statement.query_map([number], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for concept in concepts {
        connection
            .prepare_cached(
                "DELETE FROM concepts WHERE concept = ?1 AND NOT EXISTS (SELECT 1 FROM mentions WHERE concept = ?1)",
            )?
            .execute([concept])?;
    }
    Ok(true)
}

#[async_trait]
impl Sink for GraphSink {
    fn store(&self) -> Store {
        Store::Graph
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
            .map_err(sink_error(Store::Graph))
    }

    async fn remove(&self, chunks: &[ChunkId], below: Epoch) -> Result<usize, Error> {
        let chunks = chunks.to_vec();
        self.0
            .writer()
            .run(Answer::Applied, move |connection| {
                let mut removed = 0;
                for chunk in &chunks {
                    removed += usize::from(remove_evidence(connection, chunk, below)?);
                }
                Ok(removed)
            })
            .await
            .map_err(sink_error(Store::Graph))
    }

    async fn look_up(&self, chunks: &[ChunkId]) -> Result<Vec<Option<StoredChunk>>, Error> {
        let chunks = chunks.to_vec();
        self.0
            .writer()
            .run(Answer::Applied, move |connection| look_up(connection, "evidence", &chunks))
            .await
            .map_err(sink_error(Store::Graph))
    }

    async fn list(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredChunk>, Error> {
        self.0
            .writer()
            .run(Answer::Applied, move |connection| list(connection, "evidence", after, limit))
            .await
            .map_err(sink_error(Store::Graph))
    }

    async fn loose_ends(&self) -> Result<u64, Error> {
        self.0
            .writer()
            .run(Answer::Applied, |connection| {
                let sql = format!(
                    "SELECT (SELECT count(*) FROM concepts WHERE {LOOSE_CONCEPTS})
                          + (SELECT count(*) FROM mentions WHERE {LOOSE_MENTIONS})"
                );
                connection.query_row(&sql, [], |row| row.get(0))
            })
            .await
            .map_err(sink_error(Store::Graph))
    }

    async fn remove_loose_ends(&self) -> Result<u64, Error> {
        self.0
            .writer()
            .run(Answer::Applied, |connection| {
                let mentions =
                    connection.execute(&format!("DELETE FROM mentions WHERE {LOOSE_MENTIONS}"), [])?;
                let concepts =
                    connection.execute(&format!("DELETE FROM concepts WHERE {LOOSE_CONCEPTS}"), [])?;
                Ok((mentions + concepts) as u64)
            })
            .await
            .map_err(sink_error(Store::Graph))
    }
}
