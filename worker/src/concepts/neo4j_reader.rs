//! The concept graph in Neo4j. What is current is asked of the ledger: for a minute after a commit the graph still
//! has chunks that no manifest names, and before one it has chunks that none names yet.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use docmill_core::concept::Name;
use docmill_core::id::TenantId;
use uuid::Uuid;

use super::books::{active_index, begin, current, mentioning, place};
use super::path::{CHUNKS_LOOKED_AT, LOOKED_AT_MAX, NEIGHBOURS_LOOKED_AT, Search, Turn};
use super::slow::shape;
use super::{
    ALIKE_MAX, ConceptDetail, ConceptPage, ConceptQuery, ConceptReader, ConceptRow, DOCUMENTS_MAX, Error,
    NEIGHBOURS_MAX, Neighbour, PathStep, Place, SLOW_MAX, SlowQuery,
};
use crate::neo4j::bolt::{Value, list, map};
use crate::neo4j::{self, Database as Graph};
use crate::postgres::Database as Books;

/// Chunks of a concept, or of a page of them, that are held against the ledger. Beyond, the counts of a list are the
/// graph's own, which may be a minute old.
const HELD_AGAINST_MAX: usize = LOOKED_AT_MAX;

/// Concepts of a pipeline whose graph is in Neo4j.
#[derive(Clone)]
pub struct Neo4jConcepts {
    /// The graph.
    pub graph: Graph,
    /// The ledger.
    pub books: Books,
}

/// A chunk's mention of a concept.
struct Mention {
    chunk: Uuid,
    count: u64,
}

/// What one question looks at: the graph, and one state of the ledger.
struct Look<'a> {
    graph: &'a Graph,
    books: &'a Transaction<'a>,
    tenant: &'a TenantId,
    index: i64,
}

const DAMAGED: neo4j::Error =
    neo4j::Error::Damaged("a node of the graph has a property that is none of ours");

fn text(value: &Value) -> Result<String, Error> {
    Ok(value.text().ok_or(DAMAGED)?.to_owned())
}

fn number(value: &Value) -> Result<u64, Error> {
    Ok(value.int().and_then(|number| u64::try_from(number).ok()).ok_or(DAMAGED)?)
}

fn uuid(value: &Value) -> Result<Uuid, Error> {
    Ok(value.text().and_then(|text| Uuid::parse_str(text).ok()).ok_or(DAMAGED)?)
}

fn most(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[async_trait]
impl ConceptReader for Neo4jConcepts {
    async fn list(&self, tenant: &TenantId, query: &ConceptQuery) -> Result<ConceptPage, Error> {
        let mut client = self.books.client().await?;
        let books = begin(&mut client).await?;
        let Some(index) = active_index(&books, tenant).await? else { return Ok(ConceptPage::default()) };
        Look { graph: &self.graph, books: &books, tenant, index }.list(query).await
    }

    async fn count(&self, tenant: &TenantId) -> Result<u64, Error> {
        count(&self.graph, tenant).await
    }

    async fn one(&self, tenant: &TenantId, name: &str) -> Result<Option<ConceptDetail>, Error> {
        let mut client = self.books.client().await?;
        let books = begin(&mut client).await?;
        let Some(index) = active_index(&books, tenant).await? else { return Ok(None) };
        Look { graph: &self.graph, books: &books, tenant, index }.one(name).await
    }

    async fn path(
        &self,
        tenant: &TenantId,
        from: &str,
        to: &str,
        steps_max: u8,
    ) -> Result<Option<Vec<PathStep>>, Error> {
        let mut client = self.books.client().await?;
        let books = begin(&mut client).await?;
        let Some(index) = active_index(&books, tenant).await? else { return Ok(None) };
        Look { graph: &self.graph, books: &books, tenant, index }.path([from, to], steps_max).await
    }

    async fn slow(&self, above_ms: u64) -> Result<Vec<SlowQuery>, Error> {
        let mut slow = slow(&self.graph, above_ms).await?;
        slow.extend(super::postgres_reader::slow(&self.books, above_ms).await?);
        slow.sort_by_key(|query| std::cmp::Reverse(query.elapsed_ms));
        slow.truncate(SLOW_MAX as usize);
        Ok(slow)
    }
}

impl Look<'_> {
    async fn list(&self, query: &ConceptQuery) -> Result<ConceptPage, Error> {
        let after = query.after.as_ref();
        let held = |value: Option<u64>| {
            value.map_or(Value::Null, |n| Value::Int(i64::try_from(n).unwrap_or(i64::MAX)))
        };
        let found = self
            .graph
            .run(
                "MATCH (k:CanonicalConcept {tenant_id: $tenant}) WHERE k.canonical_name STARTS WITH $prefix
                 MATCH (k)<-[m:MENTIONS]-(c:Chunk) WHERE c.index = $index
                 WITH k, k.canonical_name AS name, sum(m.count) AS mentions, count(DISTINCT c.document) AS documents,
                      count(c) AS chunks
                 WHERE $documents IS NULL OR documents < $documents
                    OR (documents = $documents AND (mentions < $mentions OR (mentions = $mentions AND name > $name)))
                 RETURN k.display, name, k.kind, mentions, documents, chunks
                 ORDER BY documents DESC, mentions DESC, name LIMIT $limit",
                map([
                    ("tenant", self.tenant.as_str().into()),
                    ("index", self.index.into()),
                    ("prefix", query.prefix.as_deref().unwrap_or_default().into()),
                    ("documents", held(after.map(|place| place.documents))),
                    ("mentions", held(after.map(|place| place.mentions))),
                    ("name", after.map_or("", |place| place.canonical_name.as_str()).into()),
                    ("limit", i64::from(query.limit).into()),
                ]),
            )
            .await?;
        let (mut page, mut held_against) = (Vec::with_capacity(found.len()), 0);
        let mut last = None;
        for row in &found {
            let [display, name, kind, mentions, documents, chunks] = row.as_slice() else {
                return Err(DAMAGED.into());
            };
            let mut concept = ConceptRow {
                name: text(display)?,
                canonical_name: text(name)?,
                kind: text(kind)?,
                mentions: number(mentions)?,
                documents: number(documents)?,
            };
            last = Some(Place {
                documents: concept.documents,
                mentions: concept.mentions,
                canonical_name: concept.canonical_name.clone(),
            });
            held_against += usize::try_from(number(chunks)?).unwrap_or(usize::MAX);
            if held_against <= HELD_AGAINST_MAX {
                let (mentions, current) = self.mentions(&concept.canonical_name).await?;
                (concept.mentions, concept.documents) = counted(&mentions, &current);
            }
            if concept.documents > 0 {
                page.push(concept);
            }
        }
        page.sort_by(|one, other| {
            let counts = (other.documents, other.mentions).cmp(&(one.documents, one.mentions));
            counts.then_with(|| one.canonical_name.cmp(&other.canonical_name))
        });
        let next = last.filter(|_| found.len() >= query.limit as usize).map(|place| place.cursor());
        Ok(ConceptPage { concepts: page, total: count(self.graph, self.tenant).await?, next })
    }

    /// Mentions of a concept, and of their chunks those that are current, each with its document.
    async fn mentions(&self, name: &str) -> Result<(Vec<Mention>, BTreeMap<Uuid, Uuid>), Error> {
        let found = self
            .graph
            .run(
                "MATCH (k:CanonicalConcept {tenant_id: $tenant, canonical_name: $name})<-[m:MENTIONS]-(c:Chunk)
                 WHERE c.index = $index RETURN c.id, m.count ORDER BY c.id LIMIT $most",
                map([
                    ("tenant", self.tenant.as_str().into()),
                    ("name", name.into()),
                    ("index", self.index.into()),
                    ("most", most(HELD_AGAINST_MAX).into()),
                ]),
            )
            .await?;
        let mut mentions = Vec::with_capacity(found.len());
        for row in &found {
            let [chunk, count] = row.as_slice() else { return Err(DAMAGED.into()) };
            mentions.push(Mention { chunk: uuid(chunk)?, count: number(count)? });
        }
        let chunks: Vec<Uuid> = mentions.iter().map(|mention| mention.chunk).collect();
        let current = current(self.books, self.tenant, self.index, &chunks).await?;
        Ok((mentions, current))
    }

    /// The concept that a name means: its form to show, canonical name, and kind.
    async fn find(&self, name: &str) -> Result<Option<[String; 3]>, Error> {
        let name = Name::new(name);
        let [typed, canonical] = name.exact();
        let read = |row: &Vec<Value>| match row.as_slice() {
            [display, name, kind] => Ok([text(display)?, text(name)?, text(kind)?]),
            _ => Err(Error::from(DAMAGED)),
        };
        let exact = "MATCH (k:CanonicalConcept {tenant_id: $tenant}) WHERE k.canonical_name IN $names
                     RETURN k.display, k.canonical_name, k.kind ORDER BY k.canonical_name = $typed DESC LIMIT 1";
        let values = map([
            ("tenant", self.tenant.as_str().into()),
            ("names", list([typed, canonical])),
            ("typed", typed.into()),
        ]);
        if let Some(row) = self.graph.run(exact, values).await?.first() {
            return read(row).map(Some);
        }
        let alike = "MATCH (k:CanonicalConcept {tenant_id: $tenant})
                     WHERE toLower(k.display) = $lower OR ($beginning <> '' AND k.canonical_name STARTS WITH $beginning)
                     RETURN k.display, k.canonical_name, k.kind ORDER BY k.canonical_name LIMIT $most";
        let values = map([
            ("tenant", self.tenant.as_str().into()),
            ("lower", name.lower().into()),
            ("beginning", name.beginning().into()),
            ("most", i64::from(ALIKE_MAX).into()),
        ]);
        let found = self.graph.run(alike, values).await?;
        let known: Vec<[String; 3]> = found.iter().map(read).collect::<Result<_, _>>()?;
        let at =
            name.pick(known.iter().map(|[display, canonical, _]| (display.as_str(), canonical.as_str())));
        Ok(at.and_then(|at| known.into_iter().nth(at)))
    }

    async fn one(&self, name: &str) -> Result<Option<ConceptDetail>, Error> {
        let Some([name, canonical_name, kind]) = self.find(name).await? else { return Ok(None) };
        let (found, current) = self.mentions(&canonical_name).await?;
        let (mentions, documents) = counted(&found, &current);
        if documents == 0 {
            return Ok(None);
        }
        let beside = self.beside(&canonical_name, current.keys(), NEIGHBOURS_MAX.into()).await?;
        let neighbours = beside.into_iter().map(|(_, name, chunks)| Neighbour { name, chunks }).collect();
        let mut by_document: BTreeMap<Uuid, u64> = BTreeMap::new();
        for Mention { chunk, count } in &found {
            if let Some(document) = current.get(chunk) {
                *by_document.entry(*document).or_default() += count;
            }
        }
        let documents_of: Vec<(Uuid, u64)> = by_document.into_iter().collect();
        let chunks: Vec<Uuid> = current.keys().copied().collect();
        let mut mentioned_in = mentioning(self.books, self.index, &documents_of, &chunks).await?;
        mentioned_in
            .sort_by(|one, other| other.mentions.cmp(&one.mentions).then_with(|| one.uri.cmp(&other.uri)));
        mentioned_in.truncate(DOCUMENTS_MAX as usize);
        let row = ConceptRow { name, canonical_name, kind, mentions, documents };
        Ok(Some(ConceptDetail::of(row, neighbours, mentioned_in)))
    }

    /// What these chunks mention beside the concept, most often first: canonical name, form to show, chunks.
    async fn beside(
        &self,
        name: &str,
        chunks: impl Iterator<Item = &Uuid>,
        limit: i64,
    ) -> Result<Vec<(String, String, u64)>, Error> {
        let found = self
            .graph
            .run(
                "UNWIND $chunks AS id MATCH (c:Chunk {id: id})-[:MENTIONS]->(k:CanonicalConcept)
                 WHERE k.canonical_name <> $name
                 WITH k.canonical_name AS name, k.display AS display, count(*) AS chunks
                 RETURN name, display, chunks ORDER BY chunks DESC, name LIMIT $limit",
                map([
                    ("chunks", list(chunks.map(Uuid::to_string))),
                    ("name", name.into()),
                    ("limit", limit.into()),
                ]),
            )
            .await?;
        let read = |row: &Vec<Value>| match row.as_slice() {
            [name, display, chunks] => Ok((text(name)?, text(display)?, number(chunks)?)),
            _ => Err(Error::from(DAMAGED)),
        };
        found.iter().map(read).collect()
    }

    async fn path(&self, [from, to]: [&str; 2], steps_max: u8) -> Result<Option<Vec<PathStep>>, Error> {
        let Some([from_shown, from, _]) = self.find(from).await? else { return Ok(None) };
        let Some([to_shown, to, _]) = self.find(to).await? else { return Ok(None) };
        let mut shown = BTreeMap::from([(from.clone(), from_shown), (to.clone(), to_shown)]);
        let mut search = Search::new(from, to, steps_max);
        let way = loop {
            match search.turn()? {
                Turn::LookBeside(of) => {
                    let (_, current) = self.mentions(&of).await?;
                    let chunks = current.keys().take(CHUNKS_LOOKED_AT);
                    let beside = self.beside(&of, chunks, most(NEIGHBOURS_LOOKED_AT)).await?;
                    let names = beside.iter().map(|(name, _, _)| name.clone()).collect();
                    shown.extend(beside.into_iter().map(|(name, display, _)| (name, display)));
                    search.beside(&of, names);
                }
                Turn::Found(way) => break way,
                Turn::None => return Ok(Some(Vec::new())),
            }
        };
        let mut steps = Vec::with_capacity(way.len());
        let mut before: Option<String> = None;
        for name in way {
            let concept = shown.get(&name).cloned().unwrap_or_else(|| name.clone());
            let via = match before.replace(name.clone()) {
                Some(before) => {
                    let common = self.common(&before, &name).await?;
                    place(self.books, self.tenant, self.index, &common).await?
                }
                None => None,
            };
            steps.push(PathStep { concept, via });
        }
        Ok(Some(steps))
    }

    /// Chunks that mention both, current or not.
    async fn common(&self, one: &str, other: &str) -> Result<Vec<Uuid>, Error> {
        let found = self
            .graph
            .run(
                "MATCH (:CanonicalConcept {tenant_id: $tenant, canonical_name: $one})<-[:MENTIONS]-(c:Chunk)
                       -[:MENTIONS]->(:CanonicalConcept {tenant_id: $tenant, canonical_name: $other})
                 WHERE c.index = $index RETURN DISTINCT c.id LIMIT $most",
                map([
                    ("tenant", self.tenant.as_str().into()),
                    ("one", one.into()),
                    ("other", other.into()),
                    ("index", self.index.into()),
                    ("most", most(CHUNKS_LOOKED_AT).into()),
                ]),
            )
            .await?;
        found.iter().map(|row| uuid(row.first().unwrap_or(&Value::Null))).collect()
    }
}

/// Mentions, and documents, of what is current.
fn counted(mentions: &[Mention], current: &BTreeMap<Uuid, Uuid>) -> (u64, u64) {
    let is_current = |mention: &&Mention| current.contains_key(&mention.chunk);
    let count = mentions.iter().filter(is_current).map(|mention| mention.count).sum();
    (count, current.values().collect::<BTreeSet<_>>().len() as u64)
}

/// The graph's own count, which an index serves: a concept goes with its last evidence, which may take a minute.
async fn count(graph: &Graph, tenant: &TenantId) -> Result<u64, Error> {
    let sql = "MATCH (k:CanonicalConcept {tenant_id: $tenant}) RETURN count(k)";
    let found = graph.run(sql, map([("tenant", tenant.as_str().into())])).await?;
    number(found.first().and_then(|row| row.first()).unwrap_or(&Value::Null))
}

async fn slow(graph: &Graph, above_ms: u64) -> Result<Vec<SlowQuery>, Error> {
    let running = "SHOW TRANSACTIONS YIELD transactionId, currentQuery, elapsedTime, status
                   RETURN transactionId, currentQuery, elapsedTime.milliseconds AS elapsed, status";
    // It may meet the end of one of them.
    let found = match graph.run(running, map([])).await {
        Ok(found) => found,
        Err(_) => graph.run(running, map([])).await?,
    };
    let mut slow = Vec::new();
    for row in &found {
        let [id, query, elapsed, status] = row.as_slice() else { return Err(DAMAGED.into()) };
        // One that has just ended says nothing more.
        let (Ok(id), Ok(elapsed_ms), Ok(state)) = (text(id), number(elapsed), text(status)) else {
            continue;
        };
        // This very question is one of them.
        let query = query.text().unwrap_or_default();
        if elapsed_ms >= above_ms && !query.starts_with("SHOW TRANSACTIONS") {
            let (store, query) = ("neo4j".to_owned(), shape(query));
            slow.push(SlowQuery { store, id, query, elapsed_ms, state, count: None, mean_ms: None });
        }
    }
    Ok(slow)
}
