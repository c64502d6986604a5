//! The text store: chunks' texts, and their terms under a GIN index.

use std::sync::Arc;

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use docmill_core::id::{ChunkId, Epoch};
use docmill_core::manifest::Store;

use super::chunk_table::{self, Heads, ROWS_PER_STATEMENT, ascending, or_raise};
use super::sql::execute;
use super::terms::to_tsvector;
use super::transaction::transaction;
use super::values::storable;
use super::{Database, Error};
use crate::sink::{self, ChunkRow, Sink, StoredChunk};

const TABLE: &str = "chunks";

/// Texts and full text in a PostgreSQL server.
#[derive(Clone)]
pub struct TextSink {
    database: Database,
}

impl TextSink {
    /// The text store of this database.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    async fn write_rows(&self, rows: &[&ChunkRow], epoch: Epoch) -> Result<(), Error> {
        transaction!(self.database, |transaction| write(transaction, rows, epoch))
    }

    async fn remove_rows(&self, chunks: &[ChunkId], below: Epoch) -> Result<usize, Error> {
        transaction!(self.database, |transaction| chunk_table::remove(transaction, TABLE, chunks, below))
    }

    async fn look_up_rows(&self, chunks: &[ChunkId]) -> Result<Vec<Option<StoredChunk>>, Error> {
        transaction!(self.database, |transaction| chunk_table::look_up(transaction, TABLE, chunks))
    }

    async fn list_rows(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredChunk>, Error> {
        transaction!(self.database, |transaction| chunk_table::list(transaction, TABLE, after, limit))
    }
}

async fn write(transaction: &Transaction<'_>, rows: &[&ChunkRow], epoch: Epoch) -> Result<(), Error> {
    let sql = format!(
        "INSERT INTO chunks
         SELECT r.chunk, r.tenant, r.document, r.index_id, r.text_hash, $6, r.text, r.terms::tsvector
         FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::bytea[], $7::text[], $8::text[])
              AS r(chunk, tenant, document, index_id, text_hash, text, terms)
         {}",
        or_raise(TABLE)
    );
    for some in rows.chunks(ROWS_PER_STATEMENT) {
        let heads = Heads::of(some, epoch);
        let texts: Vec<_> = some.iter().map(|row| storable(&row.text)).collect();
        let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
        let terms: Vec<String> = some.iter().map(|row| to_tsvector(&row.terms)).collect();
        execute(
            transaction,
            &sql,
            &[
                &heads.chunks,
                &heads.tenants,
                &heads.documents,
                &heads.indexes,
                &heads.text_hashes,
                &heads.epoch,
                &texts,
                &terms,
            ],
        )
        .await?;
    }
    Ok(())
}

#[async_trait]
impl Sink for TextSink {
    fn store(&self) -> Store {
        Store::Text
    }

    async fn write(&self, rows: &[Arc<ChunkRow>], epoch: Epoch) -> Result<usize, sink::Error> {
        let written = self.write_rows(&ascending(rows), epoch).await;
        // Each row was inserted or locked by the one transaction that is now committed.
        written.map(|()| rows.len()).map_err(|error| error.of_store(Store::Text))
    }

    async fn remove(&self, chunks: &[ChunkId], below: Epoch) -> Result<usize, sink::Error> {
        self.remove_rows(chunks, below).await.map_err(|error| error.of_store(Store::Text))
    }

    async fn look_up(&self, chunks: &[ChunkId]) -> Result<Vec<Option<StoredChunk>>, sink::Error> {
        self.look_up_rows(chunks).await.map_err(|error| error.of_store(Store::Text))
    }

    async fn list(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredChunk>, sink::Error> {
        self.list_rows(after, limit).await.map_err(|error| error.of_store(Store::Text))
    }

    /// The full-text entry of a chunk is a column of its row: nothing can be loose.
    async fn loose_ends(&self) -> Result<u64, sink::Error> {
        Ok(0)
    }

    async fn remove_loose_ends(&self) -> Result<u64, sink::Error> {
        Ok(0)
    }
}
