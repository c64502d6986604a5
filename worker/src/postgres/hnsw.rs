//! The approximate index over an index's vectors. Built by the upkeep or on demand, best after a first
//! load: building it once over all rows is several times cheaper than row by row.

use deadpool_postgres::ClientWrapper;
use docmill_core::id::IndexId;

use super::values::{big, number};
use super::{Database, Error, vectors};

/// Most dimensions that pgvector indexes as they are.
pub(super) const FULL_DIMENSIONS_MAX: i32 = 2_000;
/// Most dimensions that it indexes as halves.
pub(super) const HALF_DIMENSIONS_MAX: i32 = 4_000;

/// How an HNSW index is built; the defaults are pgvector's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hnsw {
    /// Links a row.
    pub m: u32,
    /// Candidates looked at for each row.
    pub ef_construction: u32,
    /// Memory that the build may use, in MiB; beyond it a build becomes many times slower.
    pub memory_mib: u32,
    /// Whether several of the server's processes build, which needs as much shared memory.
    pub parallel: bool,
}

impl Default for Hnsw {
    fn default() -> Self {
        Self { m: 16, ef_construction: 64, memory_mib: 256, parallel: true }
    }
}

/// What a search must order by, and with which operators it is indexed.
#[derive(Debug, PartialEq, Eq)]
enum Indexed {
    Full,
    Half,
}

fn indexed(dimensions: i32) -> Result<Indexed, Error> {
    match dimensions {
        1..=FULL_DIMENSIONS_MAX => Ok(Indexed::Full),
        ..=HALF_DIMENSIONS_MAX if dimensions > 0 => Ok(Indexed::Half),
        _ => Err(Error::Failed(format!(
            "vectors of {dimensions} dimensions cannot be indexed; pgvector indexes up to {HALF_DIMENSIONS_MAX}"
        ))),
    }
}

impl Database {
    /// Vectors of an index that could have an HNSW index and has none, counted up to `most`. `None`: it has one, or
    /// there can be none.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn vectors_without_hnsw(&self, index: IndexId, most: u64) -> Result<Option<u64>, Error> {
        let client = self.client().await?;
        let table = vectors::table_of(index);
        let Some(State { dimensions, valid }) = state(&client, &table).await? else { return Ok(None) };
        if valid == Some(true) || indexed(dimensions).is_err() {
            return Ok(None);
        }
        let sql = format!("SELECT count(*) FROM (SELECT FROM {table} LIMIT $1) AS part");
        Ok(Some(number(client.query_one(&sql, &[&big(most)]).await?.try_get(0)?)))
    }
}

/// A table of vectors and its HNSW index.
struct State {
    dimensions: i32,
    /// Whether the index is whole; `None`: there is none.
    valid: Option<bool>,
}

/// `None`: there is no such table.
async fn state(client: &ClientWrapper, table: &str) -> Result<Option<State>, Error> {
    let found = client
        .query_opt(
            "SELECT a.atttypmod, i.indisvalid FROM pg_catalog.pg_class c
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema()
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'value'
             LEFT JOIN pg_catalog.pg_class x ON x.relname = $2 AND x.relnamespace = n.oid
             LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = x.oid AND i.indrelid = c.oid
             WHERE c.relname = $1",
            &[&table, &name_of(table)],
        )
        .await?;
    found.map(|row| Ok(State { dimensions: row.try_get(0)?, valid: row.try_get(1)? })).transpose()
}

fn name_of(table: &str) -> String {
    format!("{table}_hnsw")
}

/// Builds the index's HNSW index where there is none, while rows are written and read. What an interrupted
/// build left behind is removed first. False: there was one already, somebody else builds it, or there are
/// no vectors yet.
///
/// # Errors
/// Nothing that a search would see.
pub async fn build_hnsw(database: &Database, index: IndexId, how: Hnsw) -> Result<bool, Error> {
    // Taken out of the pool and closed at the end: its settings are no other call's.
    let client = deadpool_postgres::Object::take(database.client().await?);
    let table = vectors::table_of(index);
    let name = name_of(&table);
    // Not waited for: a waiting statement has a snapshot, and the build waits for older snapshots to go. The
    // lock goes with the connection.
    let lock = "SELECT pg_try_advisory_lock(hashtextextended(current_schema() || '/' || $1, 0))";
    if !client.query_one(lock, &[&name]).await?.try_get::<_, bool>(0)? {
        return Ok(false);
    }
    let Some(State { dimensions, valid }) = state(&client, &table).await? else { return Ok(false) };
    match valid {
        Some(true) => return Ok(false),
        Some(false) => client.batch_execute(&format!("DROP INDEX IF EXISTS {name}")).await?,
        None => {}
    }
    let column = match indexed(dimensions)? {
        Indexed::Full => "value vector_cosine_ops".to_owned(),
        Indexed::Half => format!("(value::halfvec({dimensions})) halfvec_cosine_ops"),
    };
    let alone = if how.parallel { "" } else { "; SET max_parallel_maintenance_workers = 0" };
    client
        .batch_execute(&format!(
            "SET statement_timeout = 0; SET maintenance_work_mem = '{}MB'{alone}",
            how.memory_mib
        ))
        .await?;
    client
        .batch_execute(&format!(
            "CREATE INDEX CONCURRENTLY {name} ON {table} USING hnsw ({column})
             WITH (m = {}, ef_construction = {})",
            how.m, how.ef_construction
        ))
        .await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_dimensions_are_indexed_as_halves() {
        assert_eq!(indexed(384).unwrap(), Indexed::Full);
        assert_eq!(indexed(2_000).unwrap(), Indexed::Full);
        assert_eq!(indexed(2_001).unwrap(), Indexed::Half);
        assert!(indexed(4_001).is_err() && indexed(0).is_err() && indexed(-1).is_err());
    }
}
