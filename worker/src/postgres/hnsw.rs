//! The approximate index over an index's vectors. Built on demand, best after a first load: building it
//! once over all rows is several times cheaper than row by row.

use docmill_core::id::IndexId;

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
}

impl Default for Hnsw {
    fn default() -> Self {
        Self { m: 16, ef_construction: 64, memory_mib: 256 }
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
    let name = format!("{table}_hnsw");
    // Not waited for: a waiting statement has a snapshot, and the build waits for older snapshots to go. The
    // lock goes with the connection.
    let lock = "SELECT pg_try_advisory_lock(hashtextextended(current_schema() || '/' || $1, 0))";
    if !client.query_one(lock, &[&name]).await?.try_get::<_, bool>(0)? {
        return Ok(false);
    }
    let found = client
        .query_opt(
            "SELECT a.atttypmod, i.indisvalid FROM pg_catalog.pg_class c
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema()
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'value'
             LEFT JOIN pg_catalog.pg_class x ON x.relname = $2 AND x.relnamespace = n.oid
             LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = x.oid AND i.indrelid = c.oid
             WHERE c.relname = $1",
            &[&table, &name],
        )
        .await?;
    let Some(found) = found else { return Ok(false) };
    match found.try_get::<_, Option<bool>>(1)? {
        Some(true) => return Ok(false),
        Some(false) => client.batch_execute(&format!("DROP INDEX IF EXISTS {name}")).await?,
        None => {}
    }
    let dimensions: i32 = found.try_get(0)?;
    let column = match indexed(dimensions)? {
        Indexed::Full => "value vector_cosine_ops".to_owned(),
        Indexed::Half => format!("(value::halfvec({dimensions})) halfvec_cosine_ops"),
    };
    client
        .batch_execute(&format!(
            "SET statement_timeout = 0; SET maintenance_work_mem = '{}MB'",
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
