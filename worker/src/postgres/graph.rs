//! The graph store in tables: concepts, and chunks' mentions of them as evidence. Counts are derived when
//! read, never kept; a concept goes with its last evidence.
//!
//! A writer shares a lock on each concept that it mentions, a remover takes it alone before it looks
//! whether anything else mentions the concept: so neither a mention loses its concept, nor do two removers
//! that take the last two mentions leave it behind.

use std::collections::BTreeMap;

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use docmill_core::id::{ChunkId, Epoch};
use docmill_core::manifest::Store;
use uuid::Uuid;

use super::chunk_table::{ChunkTable, Heads, ROWS_PER_STATEMENT, TableSink, lock_below, or_raise};
use super::sql::{execute, one, rows as select, take_your_time, think_longer};
use super::transaction::{ATTEMPTS_MAX, transaction};
use super::values::{chunk_key, int, number, storable};
use super::{Database, Error};
use crate::sink::{ChunkRow, Claimed, MentionRow};

/// Loose concepts removed by one transaction, so that its locks are few.
const LOOSE_PER_TRANSACTION: i64 = 500;

/// A concept's key: tenant and canonical name.
type Key = (String, String);

/// The concept graph in a PostgreSQL server.
pub type GraphSink = TableSink<Graph>;

/// The graph store's own part.
#[derive(Clone, Default)]
pub struct Graph;

#[async_trait]
impl ChunkTable for Graph {
    const STORE: Store = Store::Graph;
    const NAME: &'static str = "evidence";

    async fn write(&self, database: &Database, rows: &[Claimed<'_>]) -> Result<(), Error> {
        transaction!(database, |transaction| write(transaction, rows))
    }

    async fn remove(
        transaction: &Transaction<'_>,
        chunks: &[ChunkId],
        below: Epoch,
    ) -> Result<usize, Error> {
        remove(transaction, chunks, below).await
    }

    async fn count_loose(database: &Database) -> Result<u64, Error> {
        transaction!(database, |transaction| count_loose(transaction))
    }

    async fn remove_loose(database: &Database) -> Result<u64, Error> {
        let mut removed = 0;
        let mut after = i64::MIN;
        loop {
            let (last, gone) = transaction!(database, |transaction| remove_loose(transaction, after))?;
            removed += gone;
            let Some(last) = last else { return Ok(removed) };
            after = last;
        }
    }
}

async fn write(transaction: &Transaction<'_>, rows: &[Claimed<'_>]) -> Result<(), Error> {
    take_your_time(transaction).await?;
    if rows.len() > ROWS_PER_STATEMENT {
        think_longer(transaction).await?;
    }
    let sql = format!(
        "INSERT INTO evidence
         SELECT r.chunk, r.tenant, r.document, r.index_id, r.text_hash, r.epoch
         FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::bytea[], $6::bigint[])
              AS r(chunk, tenant, document, index_id, text_hash, epoch)
         {} RETURNING chunk, xmax = 0",
        or_raise(Graph::NAME)
    );
    let mut fresh: Vec<&ChunkRow> = Vec::new();
    for some in rows.chunks(ROWS_PER_STATEMENT) {
        let heads = Heads::of(some);
        let written = select(transaction, &sql, &heads.and(&[])).await?;
        // A chunk is its content: one that was there has its mentions. Only a row that this statement
        // inserted has no xmax.
        let mut inserted = std::collections::HashSet::new();
        for row in &written {
            if row.try_get(1)? {
                inserted.insert(row.try_get::<_, Uuid>(0)?);
            }
        }
        let some = some.iter().map(|claimed| claimed.row);
        fresh.extend(some.filter(|row| inserted.contains(&chunk_key(row.chunk))));
    }
    mention(transaction, &fresh).await
}

/// Writes the mentions of chunks that were just inserted.
async fn mention(transaction: &Transaction<'_>, rows: &[&ChunkRow]) -> Result<(), Error> {
    let mut concepts: BTreeMap<Key, &MentionRow> = BTreeMap::new();
    // Several mentions of one concept by a chunk are one row, with the last one's count.
    let mut mentions: BTreeMap<(Uuid, Key), u32> = BTreeMap::new();
    for row in rows {
        for mention in row.mentions.iter() {
            let name = storable(&mention.canonical_name).into_owned();
            let key = (row.tenant.as_str().to_owned(), name);
            mentions.insert((chunk_key(row.chunk), key.clone()), mention.count);
            concepts.entry(key).or_insert(mention);
        }
    }
    if concepts.is_empty() {
        return Ok(());
    }
    let numbers = hold_concepts(transaction, &concepts).await?;
    let mut columns: (Vec<Uuid>, Vec<i64>, Vec<i32>) = Default::default();
    for ((chunk, key), count) in &mentions {
        let number =
            numbers.get(key).ok_or(Error::Damaged("a concept has another name than was asked for"))?;
        columns.0.push(*chunk);
        columns.1.push(*number);
        columns.2.push(int(*count));
    }
    execute(
        transaction,
        "INSERT INTO mentions(chunk, concept, count)
         SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::integer[])",
        &[&columns.0, &columns.1, &columns.2],
    )
    .await
    .map(drop)
}

/// Makes the concepts that lack and shares a lock on all of them, in ascending order; gives their numbers.
async fn hold_concepts(
    transaction: &Transaction<'_>,
    concepts: &BTreeMap<Key, &MentionRow>,
) -> Result<BTreeMap<Key, i64>, Error> {
    let tenants: Vec<&str> = concepts.keys().map(|(tenant, _)| tenant.as_str()).collect();
    let names: Vec<&str> = concepts.keys().map(|(_, name)| name.as_str()).collect();
    let displays: Vec<_> = concepts.values().map(|mention| storable(&mention.display)).collect();
    let displays: Vec<&str> = displays.iter().map(|display| &**display).collect();
    let kinds: Vec<&str> = concepts.values().map(|mention| mention.kind).collect();
    for _ in 0..ATTEMPTS_MAX {
        let held = select(
            transaction,
            "SELECT c.tenant, c.canonical_name, c.concept FROM concepts c
             JOIN unnest($1::text[], $2::text[]) AS n(tenant, canonical_name)
               ON c.tenant = n.tenant AND c.canonical_name = n.canonical_name
             ORDER BY c.tenant COLLATE \"C\", c.canonical_name COLLATE \"C\" FOR KEY SHARE OF c",
            &[&tenants, &names],
        )
        .await?;
        if held.len() == concepts.len() {
            let read =
                |row: &tokio_postgres::Row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?));
            return held.iter().map(read).collect();
        }
        // Most concepts are known, so they are made only after a look. One that a remover holds is neither
        // found nor made before that remover has ended: hence the loop.
        execute(
            transaction,
            "INSERT INTO concepts(tenant, canonical_name, display, kind)
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
             ON CONFLICT (tenant, canonical_name) DO NOTHING",
            &[&tenants, &names, &displays, &kinds],
        )
        .await?;
    }
    Err(Error::Raced("a concept was removed as often as it was made"))
}

async fn remove(transaction: &Transaction<'_>, chunks: &[ChunkId], below: Epoch) -> Result<usize, Error> {
    let gone = lock_below(transaction, Graph::NAME, chunks, below).await?;
    if gone.is_empty() {
        return Ok(0);
    }
    let mentioned = select(
        transaction,
        "WITH gone AS (DELETE FROM mentions WHERE chunk = ANY($1) RETURNING concept)
         SELECT DISTINCT concept FROM gone",
        &[&gone],
    )
    .await?;
    execute(transaction, "DELETE FROM evidence WHERE chunk = ANY($1)", &[&gone]).await?;
    let concepts: Vec<i64> = mentioned.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    remove_unmentioned(transaction, &concepts).await?;
    Ok(gone.len())
}

/// Removes those of the concepts that nothing mentions. Returns how many went.
async fn remove_unmentioned(transaction: &Transaction<'_>, concepts: &[i64]) -> Result<u64, Error> {
    if concepts.is_empty() {
        return Ok(0);
    }
    select(
        transaction,
        "SELECT concept FROM concepts WHERE concept = ANY($1)
         ORDER BY tenant COLLATE \"C\", canonical_name COLLATE \"C\" FOR UPDATE",
        &[&concepts],
    )
    .await?;
    // Another statement, so that it sees what those wrote for whom the lock was waited.
    execute(
        transaction,
        "DELETE FROM concepts c WHERE c.concept = ANY($1)
           AND NOT EXISTS (SELECT 1 FROM mentions m WHERE m.concept = c.concept)",
        &[&concepts],
    )
    .await
}

/// The tables allow neither a mention without its chunk nor one without its concept.
const LOOSE: &str = "NOT EXISTS (SELECT 1 FROM mentions m WHERE m.concept = c.concept)";

async fn count_loose(transaction: &Transaction<'_>) -> Result<u64, Error> {
    take_your_time(transaction).await?;
    let sql = format!("SELECT count(*) FROM concepts c WHERE {LOOSE}");
    Ok(number(one(transaction, &sql, &[]).await?.try_get(0)?))
}

/// Removes some loose concepts above `after`. Returns the last one looked at and how many went.
async fn remove_loose(transaction: &Transaction<'_>, after: i64) -> Result<(Option<i64>, u64), Error> {
    let sql = format!(
        "SELECT c.concept FROM concepts c WHERE c.concept > $1 AND {LOOSE} ORDER BY c.concept LIMIT $2"
    );
    let found = select(transaction, &sql, &[&after, &LOOSE_PER_TRANSACTION]).await?;
    let concepts: Vec<i64> = found.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let gone = remove_unmentioned(transaction, &concepts).await?;
    Ok((concepts.last().copied(), gone))
}
