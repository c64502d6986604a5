//! The text store: chunks' texts, and their terms under a GIN index.

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use docmill_core::manifest::Store;

use super::chunk_table::{ChunkTable, Heads, ROWS_PER_STATEMENT, TableSink, or_raise};
use super::sql::execute;
use super::terms::to_tsvector;
use super::transaction::transaction;
use super::values::storable;
use super::{Database, Error};
use crate::sink::Claimed;

/// Texts and full text in a PostgreSQL server.
pub type TextSink = TableSink<Text>;

/// The text store's own part.
#[derive(Clone, Default)]
pub struct Text;

#[async_trait]
impl ChunkTable for Text {
    const STORE: Store = Store::Text;
    const NAME: &'static str = "chunks";

    async fn write(&self, database: &Database, rows: &[Claimed<'_>]) -> Result<(), Error> {
        transaction!(database, |transaction| write(transaction, rows))
    }
}

async fn write(transaction: &Transaction<'_>, rows: &[Claimed<'_>]) -> Result<(), Error> {
    let sql = format!(
        "INSERT INTO chunks
         SELECT r.chunk, r.tenant, r.document, r.index_id, r.text_hash, r.epoch, r.text, r.terms::tsvector
         FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::bytea[], $6::bigint[],
                     $7::text[], $8::text[])
              AS r(chunk, tenant, document, index_id, text_hash, epoch, text, terms)
         {}",
        or_raise(Text::NAME)
    );
    for some in rows.chunks(ROWS_PER_STATEMENT) {
        let heads = Heads::of(some);
        let texts: Vec<_> = some.iter().map(|claimed| storable(&claimed.row.text)).collect();
        let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
        let terms: Vec<String> = some.iter().map(|claimed| to_tsvector(&claimed.row.terms)).collect();
        execute(transaction, &sql, &heads.and(&[&texts, &terms])).await?;
    }
    Ok(())
}
