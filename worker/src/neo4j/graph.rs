//! The graph store in Neo4j: concepts, and chunks as their evidence.
//!
//! ```text
//! (:Chunk {id, tenant_id, document, index, text_hash, epoch})
//!     -[:MENTIONS {count}]->
//! (:CanonicalConcept {tenant_id, canonical_name, display, kind})
//! ```
//!
//! Counts are derived when read, never kept; a concept goes with its last evidence. Writer and remover both
//! take the write lock of each concept that they touch before the remover looks whether anything else
//! mentions it: so neither a mention loses its concept, nor does a concept stay behind. There are no mentions
//! without a chunk: the server has no relationship without both its ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use docmill_core::id::{ChunkId, DocumentId, Epoch, IndexId, TextHash};
use docmill_core::manifest::Store;

use super::bolt::{Access, Answer, Value, list, map};
use super::pool::Transaction;
use super::transaction::{at_once, transaction};
use super::{Database, Error};
use crate::sink::{self, ChunkRow, Claimed, MentionRow, Sink, StoredChunk, Write, ascending};

/// Rows of one statement: enough that round trips do not count, few enough that no statement is long.
const ROWS_PER_STATEMENT: usize = 200;
/// Longest look at all concepts there are.
const LOOK_AT_ALL: Duration = Duration::from_secs(3_600);
/// The epoch of a chunk between the statement that makes it and the next one, which nobody else sees.
const UNWRITTEN: i64 = -1;

/// A concept's key: tenant and canonical name.
type Key<'a> = (&'a str, &'a str);

/// The concept graph in a Neo4j server.
#[derive(Clone)]
pub struct GraphSink {
    database: Database,
}

impl GraphSink {
    /// The store of this database.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Writes; a server that was emptied gets its constraints first, as nothing may be written without them.
    async fn write_rows(&self, rows: &[Claimed<'_>]) -> Result<(), Error> {
        match self.try_write_rows(rows).await {
            Err(Error::NoSchema) => {
                Box::pin(self.database.make_schema()).await?;
                self.try_write_rows(rows).await
            }
            done => done,
        }
    }

    async fn try_write_rows(&self, rows: &[Claimed<'_>]) -> Result<(), Error> {
        let judge = |answers: &[Answer], refused| written(rows.len(), answers, refused);
        at_once(&self.database, &writing(rows), judge).await
    }

    async fn remove_rows(&self, chunks: &[ChunkId], below: Epoch) -> Result<usize, Error> {
        let ascending: BTreeSet<ChunkId> = chunks.iter().copied().collect();
        let ascending: Vec<String> = ascending.iter().map(ChunkId::to_string).collect();
        let mut gone = 0;
        for some in ascending.chunks(ROWS_PER_STATEMENT) {
            gone += at_once(&self.database, &removing(some, below), last_number).await?;
        }
        Ok(usize::try_from(gone).unwrap_or(usize::MAX))
    }

    async fn look_up_rows(&self, chunks: &[ChunkId]) -> Result<Vec<Option<StoredChunk>>, Error> {
        let limit = self.database.pool.usual();
        transaction!(self.database, Access::Read, limit, |transaction| look_up(transaction, chunks))
    }

    async fn list_rows(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredChunk>, Error> {
        let time = self.database.pool.usual();
        transaction!(self.database, Access::Read, time, |transaction| list_page(transaction, after, limit))
    }

    async fn count_loose(&self) -> Result<u64, Error> {
        transaction!(self.database, Access::Read, LOOK_AT_ALL, |transaction| count_loose(transaction))
    }

    async fn remove_loose(&self) -> Result<u64, Error> {
        let mut removed = 0;
        loop {
            let found =
                transaction!(self.database, Access::Read, LOOK_AT_ALL, |transaction| loose(transaction))?;
            if !found.is_empty() {
                removed += at_once(&self.database, &removing_loose(&found), last_number).await?;
            }
            // Those of a full page are gone now or mentioned: the next page has others.
            if found.len() < ROWS_PER_STATEMENT {
                return Ok(removed);
            }
        }
    }
}

#[async_trait]
impl Sink for GraphSink {
    fn store(&self) -> Store {
        Store::Graph
    }

    async fn write(&self, rows: &[Arc<ChunkRow>], epoch: Epoch) -> Result<usize, sink::Error> {
        let held = self.write_many(&[Write { rows: rows.to_vec(), epoch }]).await?;
        Ok(held.into_iter().sum())
    }

    async fn write_many(&self, writes: &[Write]) -> Result<Vec<usize>, sink::Error> {
        // Each row was made or locked by the one transaction that is then committed.
        self.write_rows(&ascending(writes)).await.map_err(Error::of_store)?;
        Ok(writes.iter().map(|write| write.rows.len()).collect())
    }

    async fn remove(&self, chunks: &[ChunkId], below: Epoch) -> Result<usize, sink::Error> {
        self.remove_rows(chunks, below).await.map_err(Error::of_store)
    }

    async fn look_up(&self, chunks: &[ChunkId]) -> Result<Vec<Option<StoredChunk>>, sink::Error> {
        self.look_up_rows(chunks).await.map_err(Error::of_store)
    }

    async fn list(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredChunk>, sink::Error> {
        self.list_rows(after, limit).await.map_err(Error::of_store)
    }

    async fn loose_ends(&self) -> Result<u64, sink::Error> {
        self.count_loose().await.map_err(Error::of_store)
    }

    async fn remove_loose_ends(&self) -> Result<u64, sink::Error> {
        self.remove_loose().await.map_err(Error::of_store)
    }
}

/// Statements that write these rows, whose chunks ascend, as one transaction: every chunk is made where it lacks
/// and locked; then, of those just made, the concepts and the mentions; at last the epochs.
fn writing(rows: &[Claimed<'_>]) -> Vec<(&'static str, Value)> {
    let held = rows.chunks(ROWS_PER_STATEMENT).map(|some| {
        let heads = list(some.iter().map(|claimed| head(claimed.row)));
        (HOLD_CHUNKS, map([("rows", heads), ("unwritten", UNWRITTEN.into())]))
    });
    let raised = rows.chunks(ROWS_PER_STATEMENT).map(|some| {
        let claims = list(some.iter().map(|Claimed { row, epoch }| {
            map([("id", row.chunk.to_string().into()), ("epoch", big(epoch.0).into())])
        }));
        (RAISE, map([("rows", claims), ("expected", big(some.len() as u64).into())]))
    });
    held.chain(mentioning(rows)).chain(raised).collect()
}

/// Makes the chunks that lack and locks all of them, in ascending order. The node of the schema is made last:
/// where it is, the constraints are.
const HOLD_CHUNKS: &str = "MATCH (:DocmillSchema {store: 'graph'})
     UNWIND $rows AS row
     MERGE (c:Chunk {id: row.id})
     ON CREATE SET c.tenant_id = row.tenant, c.document = row.document, c.index = row.index,
                   c.text_hash = row.hash, c.epoch = $unwritten
     SET c._lock = true
     RETURN count(*)";

/// Makes the concepts of chunks that were just made and locks them, in ascending order. A chunk is its content:
/// one that was there has its mentions.
const HOLD_CONCEPTS: &str = "UNWIND $rows AS row
     WITH row WHERE EXISTS { MATCH (c:Chunk) WHERE c.id IN row.chunks AND c.epoch = $unwritten }
     MERGE (k:CanonicalConcept {tenant_id: row.tenant, canonical_name: row.name})
     ON CREATE SET k.display = row.display, k.kind = row.kind
     SET k._lock = true";

/// Writes the mentions of chunks that were just made. Fails where a concept was removed before it was locked.
const MENTION: &str = "UNWIND $rows AS row
     MATCH (c:Chunk {id: row.chunk}) WHERE c.epoch = $unwritten
     OPTIONAL MATCH (k:CanonicalConcept {tenant_id: row.tenant, canonical_name: row.name})
     WITH c, k, row, 1 / CASE WHEN k IS NULL THEN 0 ELSE 1 END AS found WHERE found = 1
     CREATE (c)-[:MENTIONS {count: row.count}]->(k)";

/// Raises the epochs of chunks that are locked. Fails where one was removed before it was locked, or has none.
const RAISE: &str = "UNWIND $rows AS row
     MATCH (c:Chunk {id: row.id})
     WITH c, c.epoch AS before, row.epoch AS epoch
     SET c.epoch = CASE WHEN before < epoch THEN epoch ELSE before END
     WITH count(before) AS raised
     RETURN 1 / CASE WHEN raised = $expected THEN 1 ELSE 0 END";

fn head(row: &ChunkRow) -> Value {
    map([
        ("id", row.chunk.to_string().into()),
        ("tenant", row.tenant.as_str().into()),
        ("document", row.document.to_string().into()),
        ("index", row.index.0.into()),
        ("hash", hexadecimal(&row.text_hash.0).into()),
    ])
}

/// What the writing of rows came to.
fn written(rows: usize, answers: &[Answer], refused: Option<Error>) -> Result<(), Error> {
    let held = answers.first().map(|held| number(held)).transpose()?;
    match (held, refused) {
        // Whatever else was refused: without the node of the schema nothing is made or found.
        (Some(0), _) if rows > 0 => Err(Error::NoSchema),
        (_, Some(refused)) if refused.divided_by_zero() => {
            Err(Error::Raced("a chunk or a concept was removed before it was locked"))
        }
        (_, refused) => refused.map_or(Ok(()), Err),
    }
}

/// Statements for the concepts and mentions of those chunks that were just made.
fn mentioning(rows: &[Claimed<'_>]) -> Vec<(&'static str, Value)> {
    let mut concepts: BTreeMap<Key<'_>, (&MentionRow, BTreeSet<ChunkId>)> = BTreeMap::new();
    // Several mentions of one concept by a chunk are one, with the last one's count.
    let mut mentions: BTreeMap<(ChunkId, Key<'_>), u32> = BTreeMap::new();
    for Claimed { row, .. } in rows {
        for mention in row.mentions.iter() {
            let key = (row.tenant.as_str(), mention.canonical_name.as_str());
            mentions.insert((row.chunk, key), mention.count);
            concepts.entry(key).or_insert_with(|| (mention, BTreeSet::new())).1.insert(row.chunk);
        }
    }
    let concepts: Vec<Value> = concepts
        .into_iter()
        .map(|((tenant, name), (mention, chunks))| {
            map([
                ("tenant", tenant.into()),
                ("name", name.into()),
                ("display", mention.display.as_str().into()),
                ("kind", mention.kind.into()),
                ("chunks", list(chunks.iter().map(ChunkId::to_string))),
            ])
        })
        .collect();
    let mentions: Vec<Value> = mentions
        .into_iter()
        .map(|((chunk, (tenant, name)), count)| {
            map([
                ("chunk", chunk.to_string().into()),
                ("tenant", tenant.into()),
                ("name", name.into()),
                ("count", i64::from(count).into()),
            ])
        })
        .collect();
    let of = |statement: &'static str| {
        move |rows: Vec<Value>| {
            (statement, map([("rows", Value::List(rows)), ("unwritten", UNWRITTEN.into())]))
        }
    };
    pieces(concepts).map(of(HOLD_CONCEPTS)).chain(pieces(mentions).map(of(MENTION))).collect()
}

/// Rows in as many as one statement takes.
fn pieces(rows: Vec<Value>) -> impl Iterator<Item = Vec<Value>> {
    let mut rows = rows.into_iter();
    std::iter::from_fn(move || {
        let some: Vec<Value> = rows.by_ref().take(ROWS_PER_STATEMENT).collect();
        (!some.is_empty()).then_some(some)
    })
}

/// Statements that remove these chunks, which ascend, as one transaction. Concepts are locked after all chunks, as
/// writers do, and before the mentions go, which locks them too.
fn removing(chunks: &[String], below: Epoch) -> [(&'static str, Value); 3] {
    let of = |statement| {
        (statement, map([("ids", list(chunks.iter().cloned())), ("below", big(below.0).into())]))
    };
    [
        of("UNWIND $ids AS id MATCH (c:Chunk {id: id}) SET c._lock = true"),
        // Another statement, so that it sees what those wrote for whom the lock was waited.
        of("UNWIND $ids AS id
            MATCH (c:Chunk {id: id})-[:MENTIONS]->(k:CanonicalConcept) WHERE c.epoch < $below
            WITH DISTINCT k, k.tenant_id AS tenant, k.canonical_name AS name ORDER BY tenant, name
            SET k._lock = true"),
        of("UNWIND $ids AS id
            MATCH (c:Chunk {id: id}) WHERE c.epoch < $below
            OPTIONAL MATCH (c)-[:MENTIONS]->(k:CanonicalConcept)
            WITH collect(DISTINCT c) AS chunks, collect(DISTINCT k) AS concepts
            WITH chunks, concepts, size(chunks) AS gone
            FOREACH (c IN chunks | DETACH DELETE c)
            WITH gone, [k IN concepts WHERE NOT EXISTS { (k)<-[:MENTIONS]-() }] AS loose
            FOREACH (k IN loose | DELETE k)
            RETURN gone"),
    ]
}

/// The number that the last of the statements gives.
fn last_number(answers: &[Answer], refused: Option<Error>) -> Result<u64, Error> {
    match (answers, refused) {
        (_, Some(error)) => Err(error),
        ([.., last], None) => number(last),
        ([], None) => Err(Error::Damaged("a removal without an answer")),
    }
}

fn key_of(values: &[Value]) -> Result<(String, String), Error> {
    match values {
        [Value::Text(tenant), Value::Text(name)] => Ok((tenant.clone(), name.clone())),
        // As of chunks: it was removed after it was found.
        values if values.contains(&Value::Null) => Err(Error::Raced("a concept lacks tenant or name")),
        _ => Err(Error::Damaged("a concept has a tenant or a name that is no text")),
    }
}

async fn count_loose(transaction: &mut Transaction<'_>) -> Result<u64, Error> {
    let loose = "MATCH (k:CanonicalConcept) WHERE NOT EXISTS { (k)<-[:MENTIONS]-() } RETURN count(k)";
    number(&transaction.run(loose, map([])).await?)
}

/// Some loose concepts, in ascending order.
async fn loose(transaction: &mut Transaction<'_>) -> Result<BTreeSet<(String, String)>, Error> {
    let found = transaction
        .run(
            "MATCH (k:CanonicalConcept) WHERE NOT EXISTS { (k)<-[:MENTIONS]-() }
             RETURN k.tenant_id, k.canonical_name LIMIT $limit",
            map([("limit", big(ROWS_PER_STATEMENT as u64).into())]),
        )
        .await?;
    found.iter().map(|row| key_of(row)).collect()
}

/// Statements that remove those of these concepts that nothing mentions once they are locked.
fn removing_loose(keys: &BTreeSet<(String, String)>) -> [(&'static str, Value); 2] {
    let key = |(tenant, name): &(String, String)| {
        map([("tenant", tenant.as_str().into()), ("name", name.as_str().into())])
    };
    let of = |statement| (statement, map([("rows", list(keys.iter().map(key)))]));
    [
        of("UNWIND $rows AS row
            MATCH (k:CanonicalConcept {tenant_id: row.tenant, canonical_name: row.name})
            SET k._lock = true"),
        of("UNWIND $rows AS row
            MATCH (k:CanonicalConcept {tenant_id: row.tenant, canonical_name: row.name})
            WHERE NOT EXISTS { (k)<-[:MENTIONS]-() }
            DELETE k RETURN count(*)"),
    ]
}

async fn look_up(
    transaction: &mut Transaction<'_>,
    chunks: &[ChunkId],
) -> Result<Vec<Option<StoredChunk>>, Error> {
    let mut held = HashMap::with_capacity(chunks.len());
    for some in chunks.chunks(ROWS_PER_STATEMENT) {
        let ids = map([("ids", list(some.iter().map(ChunkId::to_string)))]);
        let found = transaction
            .run(
                "UNWIND $ids AS id MATCH (c:Chunk {id: id})
                 RETURN c.id, c.document, c.index, c.text_hash, c.epoch",
                ids,
            )
            .await?;
        for row in &found {
            let row = stored(row)?;
            held.insert(row.chunk, row);
        }
    }
    Ok(chunks.iter().map(|chunk| held.get(chunk).copied()).collect())
}

async fn list_page(
    transaction: &mut Transaction<'_>,
    after: Option<ChunkId>,
    limit: usize,
) -> Result<Vec<StoredChunk>, Error> {
    // Every id is above the empty text, and the order of ids as text is that of their bytes.
    let after = after.map(|after| after.to_string()).unwrap_or_default();
    let found = transaction
        .run(
            "MATCH (c:Chunk) WHERE c.id > $after
             RETURN c.id, c.document, c.index, c.text_hash, c.epoch ORDER BY c.id LIMIT $limit",
            map([("after", after.into()), ("limit", i64::try_from(limit).unwrap_or(i64::MAX).into())]),
        )
        .await?;
    found.iter().map(|row| stored(row)).collect()
}

fn stored(row: &[Value]) -> Result<StoredChunk, Error> {
    const DAMAGED: Error = Error::Damaged("a chunk has a property that is none of ours");
    // What is found and then removed is read as nothing; the next look does not find it.
    if row.contains(&Value::Null) {
        return Err(Error::Raced("a chunk lacks a property"));
    }
    let [chunk, document, index, hash, epoch] = row else { return Err(DAMAGED) };
    Ok(StoredChunk {
        chunk: chunk.text().and_then(ChunkId::parse).ok_or(DAMAGED)?,
        document: document.text().and_then(DocumentId::parse).ok_or(DAMAGED)?,
        index: IndexId(index.int().ok_or(DAMAGED)?),
        text_hash: TextHash(hash.text().and_then(bytes).ok_or(DAMAGED)?),
        epoch: Epoch(epoch.int().and_then(|epoch| u64::try_from(epoch).ok()).ok_or(DAMAGED)?),
    })
}

/// The one number that a statement gives.
fn number(rows: &[Vec<Value>]) -> Result<u64, Error> {
    let number = rows.first().and_then(|row| row.first()).and_then(Value::int);
    number.and_then(|number| u64::try_from(number).ok()).ok_or(Error::Damaged("a count is no number"))
}

/// Counters; none ever comes near the limit.
fn big(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_read_as_written() {
        let hash = TextHash::of(b"x").0;
        assert_eq!(bytes(&hexadecimal(&hash)), Some(hash));
        assert_eq!(bytes(&"g".repeat(64)), None);
        assert_eq!(bytes("é"), None);
    }
}
