//! The vector store: one table an index, of the index's dimensions, below a parent that all of them
//! inherit from. What concerns all chunks names the parent; a search reads its index's table alone.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use docmill_core::id::IndexId;
use docmill_core::manifest::Store;
use pgvector::Vector;

use super::chunk_table::{ChunkTable, Heads, ROWS_PER_STATEMENT, TableSink, or_raise};
use super::sql::{execute, rows as select};
use super::transaction::transaction;
use super::{Database, Error};
use crate::embed::Embedding;
use crate::sink::{ChunkRow, Claimed};

/// Vectors in a PostgreSQL server with pgvector.
pub type VectorSink = TableSink<Vectors>;

/// The vector store's own part.
#[derive(Clone, Default)]
pub struct Vectors {
    /// Indexes whose table is known to be there.
    made: Arc<Mutex<HashSet<IndexId>>>,
}

/// The table of the index's vectors.
pub fn table_of(index: IndexId) -> String {
    format!("vectors_{:016x}", index.0)
}

impl Vectors {
    async fn make_table(
        &self,
        database: &Database,
        index: IndexId,
        dimensions: usize,
    ) -> Result<(), Error> {
        let known = || self.made.lock().expect("no code panics while holding it");
        if known().contains(&index) {
            return Ok(());
        }
        transaction!(database, |transaction| make_table(transaction, index, dimensions))?;
        known().insert(index);
        Ok(())
    }
}

#[async_trait]
impl ChunkTable for Vectors {
    const STORE: Store = Store::Vector;
    /// The parent of the tables.
    const NAME: &'static str = "vectors";

    fn holds(row: &ChunkRow) -> bool {
        row.embedding.is_some()
    }

    fn forget_tables(&self) {
        self.made.lock().expect("no code panics while holding it").clear();
    }

    async fn write(&self, database: &Database, rows: &[Claimed<'_>]) -> Result<(), Error> {
        let mut of_index: BTreeMap<IndexId, Vec<(Claimed<'_>, &Embedding)>> = BTreeMap::new();
        for claimed in rows {
            if let Some(embedding) = claimed.row.embedding.as_deref() {
                of_index.entry(claimed.row.index).or_default().push((*claimed, embedding));
            }
        }
        for (index, rows) in &of_index {
            let dimensions = rows.first().map_or(0, |(_, embedding)| embedding.vector.len());
            self.make_table(database, *index, dimensions).await?;
        }
        transaction!(database, |transaction| write(transaction, &of_index))
    }
}

async fn make_table(transaction: &Transaction<'_>, index: IndexId, dimensions: usize) -> Result<(), Error> {
    let table = table_of(index);
    let exists =
        "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = current_schema() AND tablename = $1";
    if !select(transaction, exists, &[&table]).await?.is_empty() {
        return Ok(());
    }
    // Two that make it at once would both find it absent.
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/' || $1, 0))";
    select(transaction, lock, &[&table]).await?;
    // The check lets a statement over the parent that names the index leave the other tables out. A vector
    // of more than 500 dimensions is kept beside the row; uncompressed, as floats do not compress.
    transaction
        .batch_execute(&format!(
            "CREATE TABLE IF NOT EXISTS {table}(
               value vector({dimensions}) NOT NULL, passages bytea NOT NULL, PRIMARY KEY(chunk), CHECK (index_id = ({index}))
             ) INHERITS (vectors) WITH (fillfactor = 90);
             ALTER TABLE {table} ALTER COLUMN value SET STORAGE EXTERNAL",
            index = index.0
        ))
        .await?;
    Ok(())
}

async fn write(
    transaction: &Transaction<'_>,
    of_index: &BTreeMap<IndexId, Vec<(Claimed<'_>, &Embedding)>>,
) -> Result<(), Error> {
    for (index, rows) in of_index {
        let table = table_of(*index);
        let sql = format!(
            "INSERT INTO {table}(chunk, tenant, document, index_id, text_hash, epoch, value, passages)
             SELECT r.chunk, r.tenant, r.document, r.index_id, r.text_hash, r.epoch, r.value, r.passages
             FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::bytea[], $6::bigint[],
                         $7::vector[], $8::bytea[])
                  AS r(chunk, tenant, document, index_id, text_hash, epoch, value, passages)
             {}",
            or_raise(&table)
        );
        for some in rows.chunks(ROWS_PER_STATEMENT) {
            let claimed: Vec<Claimed<'_>> = some.iter().map(|(claimed, _)| *claimed).collect();
            let heads = Heads::of(&claimed);
            let values: Vec<Vector> =
                some.iter().map(|(_, embedding)| Vector::from(embedding.vector.clone())).collect();
            let passages: Vec<&[u8]> =
                some.iter().map(|(_, embedding)| embedding.passages.as_bytes()).collect();
            execute(transaction, &sql, &heads.and(&[&values, &passages])).await?;
        }
    }
    Ok(())
}
