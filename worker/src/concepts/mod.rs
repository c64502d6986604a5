//! The concept graph as people walk it, in whichever store it is: one question, one answer, the same from each.
//!
//! Only evidence that current manifests name counts, so that nothing is shown of half a document or of one that is
//! deleted. A tenant sees its own concepts alone.

use std::sync::Arc;

use async_trait::async_trait;
use docmill_core::id::TenantId;
use serde::Serialize;
use tokio::sync::OnceCell;
use utoipa::ToSchema;

use crate::config::GraphStore;
use crate::neo4j::{self, Options};
use crate::postgres::{self, Database};
use crate::sqlite;

mod books;
mod neo4j_reader;
mod path;
mod postgres_reader;
mod slow;
mod sqlite_reader;

pub use neo4j_reader::Neo4jConcepts;
pub use postgres_reader::PostgresConcepts;
pub use sqlite_reader::SqliteConcepts;

/// Neighbours shown of one concept.
const NEIGHBOURS_MAX: u32 = 20;
/// Documents shown of one concept.
const DOCUMENTS_MAX: u32 = 50;
/// Most steps of a path.
pub const STEPS_MAX: u8 = 6;
/// Concepts among which a misspelt one is looked for.
const ALIKE_MAX: u32 = 20_000;
/// Slow queries that are told at once.
const SLOW_MAX: u32 = 100;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The ledger, or the graph beside it.
    #[error("the ledger failed: {0}")]
    Away(String),
    /// The way between two concepts leads past too many others.
    #[error("more than {} concepts stand between the two", path::LOOKED_AT_MAX)]
    TooDeep,
    /// The graph's own server.
    #[error("the graph failed: {0}")]
    Graph(String),
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        Self::Away(error.to_string())
    }
}

impl From<neo4j::Error> for Error {
    fn from(error: neo4j::Error) -> Self {
        Self::Graph(error.to_string())
    }
}

impl From<sqlite::Error> for Error {
    fn from(error: sqlite::Error) -> Self {
        Self::Away(error.to_string())
    }
}

impl From<sqlite::rusqlite::Error> for Error {
    fn from(error: sqlite::rusqlite::Error) -> Self {
        Self::Away(error.to_string())
    }
}

/// Which concepts a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConceptQuery {
    /// Only those whose canonical name begins so.
    pub prefix: Option<String>,
    /// At most this many.
    pub limit: u32,
    /// Only those after this place.
    pub after: Option<Place>,
}

/// A place in the list of concepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Documents of the concept that stands there.
    pub documents: u64,
    /// Its mentions.
    pub mentions: u64,
    /// Its canonical name.
    pub canonical_name: String,
}

impl Place {
    /// The place as a list tells it.
    pub fn cursor(&self) -> String {
        format!("{}.{}.{}", self.documents, self.mentions, self.canonical_name)
    }

    /// The place that a list told.
    pub fn read(cursor: &str) -> Option<Self> {
        let mut parts = cursor.splitn(3, '.');
        let number = |part: Option<&str>| part?.parse().ok();
        let (documents, mentions) = (number(parts.next())?, number(parts.next())?);
        Some(Self { documents, mentions, canonical_name: parts.next()?.to_owned() })
    }
}

/// A concept with its counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConceptRow {
    /// The form to show.
    pub name: String,
    /// The key.
    pub canonical_name: String,
    /// `name`, `acronym` or `term`.
    pub kind: String,
    /// How often it is mentioned.
    pub mentions: u64,
    /// In how many documents.
    pub documents: u64,
}

/// Concepts, those in most documents first, then those mentioned most often, then by canonical name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConceptPage {
    /// The concepts.
    pub concepts: Vec<ConceptRow>,
    /// How many the tenant has in all.
    pub total: u64,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A concept that stands in the same chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Neighbour {
    /// The form to show.
    pub name: String,
    /// How many chunks mention both.
    pub chunks: u64,
}

impl ConceptPage {
    /// These rows of so many; a full page has a next one.
    fn of(concepts: Vec<ConceptRow>, total: u64, limit: u32) -> Self {
        let full = concepts.len() >= limit as usize;
        let place = |row: &ConceptRow| Place {
            documents: row.documents,
            mentions: row.mentions,
            canonical_name: row.canonical_name.clone(),
        };
        let next = concepts.last().filter(|_| full).map(|row| place(row).cursor());
        Self { concepts, total, next }
    }
}

/// A document that mentions a concept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mentioning {
    /// The document.
    pub id: String,
    /// Where it is.
    pub uri: String,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// How often it mentions it.
    pub mentions: u64,
    /// The first page that does, from 1.
    pub page: u32,
    /// The first chunk that does.
    pub chunk: String,
}

/// A concept with its surroundings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConceptDetail {
    /// The form to show.
    pub name: String,
    /// The key.
    pub canonical_name: String,
    /// `name`, `acronym` or `term`.
    pub kind: String,
    /// How often it is mentioned.
    pub mentions: u64,
    /// In how many documents.
    pub documents: u64,
    /// What stands beside it, most often first.
    pub neighbours: Vec<Neighbour>,
    /// Where it is mentioned, most often first.
    pub mentioned_in: Vec<Mentioning>,
}

impl ConceptDetail {
    fn of(row: ConceptRow, neighbours: Vec<Neighbour>, mentioned_in: Vec<Mentioning>) -> Self {
        let ConceptRow { name, canonical_name, kind, mentions, documents } = row;
        Self { name, canonical_name, kind, mentions, documents, neighbours, mentioned_in }
    }
}

/// Where two concepts stand together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Via {
    /// The document.
    pub document: String,
    /// Where it is.
    pub uri: String,
    /// The page, from 1.
    pub page: u32,
    /// The chunk.
    pub chunk: String,
}

/// A concept on the way from one to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PathStep {
    /// The form to show.
    pub concept: String,
    /// Where it stands together with the one before; absent of the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    pub via: Option<Via>,
}

/// A query that a store has been at for long, or was on one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlowQuery {
    /// `postgres`, `neo4j`, or `sqlite` on one machine.
    pub store: String,
    /// The store's own name of it: a process, a transaction; on one machine one made of its words.
    pub id: String,
    /// Its words without values.
    pub query: String,
    /// For how long, in milliseconds; on one machine the longest time that it took.
    pub elapsed_ms: u64,
    /// What it is doing, in the store's words; `ended` on one machine, which tells what was slow.
    pub state: String,
    /// How often it took long, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The mean of the times that it took long, in milliseconds, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_ms: Option<u64>,
}

/// Questions about the concept graph.
#[async_trait]
pub trait ConceptReader: Send + Sync {
    /// A page of the tenant's concepts.
    async fn list(&self, tenant: &TenantId, query: &ConceptQuery) -> Result<ConceptPage, Error>;

    /// How many concepts the tenant's documents mention.
    async fn count(&self, tenant: &TenantId) -> Result<u64, Error>;

    /// The concept of this name, whatever its case and number, or else the one whose name differs by one letter.
    async fn one(&self, tenant: &TenantId, name: &str) -> Result<Option<ConceptDetail>, Error>;

    /// The shortest way from one concept to another, by chunks that mention two of them, in at most `steps_max`
    /// steps. `None`: one of the two is unknown. Empty: there is no such way.
    async fn path(
        &self,
        tenant: &TenantId,
        from: &str,
        to: &str,
        steps_max: u8,
    ) -> Result<Option<Vec<PathStep>>, Error>;

    /// What the store has been at for longer than this, the longest first; on one machine, what took longer since it was
    /// begun.
    async fn slow(&self, above_ms: u64) -> Result<Vec<SlowQuery>, Error>;
}

/// The reader of the pipeline's graph. Nothing is asked yet: Neo4j may come later than we do.
pub async fn of(graph: &GraphStore, database: &Database) -> Arc<dyn ConceptReader> {
    match graph {
        GraphStore::Postgres => Arc::new(PostgresConcepts(database.clone())),
        GraphStore::Neo4j(options) => Arc::new(WhenThere {
            options: options.clone(),
            books: database.clone(),
            opened: OnceCell::new(),
        }),
    }
}

/// Neo4j, connected by the first question that it answers.
struct WhenThere {
    options: Options,
    books: Database,
    opened: OnceCell<Neo4jConcepts>,
}

impl WhenThere {
    async fn reader(&self) -> Result<&Neo4jConcepts, Error> {
        let open = async || {
            let graph = Box::pin(neo4j::Database::connect(&self.options)).await?;
            Ok(Neo4jConcepts { graph, books: self.books.clone() })
        };
        self.opened.get_or_try_init(open).await
    }
}

#[async_trait]
impl ConceptReader for WhenThere {
    async fn list(&self, tenant: &TenantId, query: &ConceptQuery) -> Result<ConceptPage, Error> {
        self.reader().await?.list(tenant, query).await
    }

    async fn count(&self, tenant: &TenantId) -> Result<u64, Error> {
        self.reader().await?.count(tenant).await
    }

    async fn one(&self, tenant: &TenantId, name: &str) -> Result<Option<ConceptDetail>, Error> {
        self.reader().await?.one(tenant, name).await
    }

    async fn path(
        &self,
        tenant: &TenantId,
        from: &str,
        to: &str,
        steps_max: u8,
    ) -> Result<Option<Vec<PathStep>>, Error> {
        self.reader().await?.path(tenant, from, to, steps_max).await
    }

    async fn slow(&self, above_ms: u64) -> Result<Vec<SlowQuery>, Error> {
        self.reader().await?.slow(above_ms).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_told() {
        for name in ["rust", "", "version 1.2", "日本"] {
            let place = Place { documents: 3, mentions: 40, canonical_name: name.to_owned() };
            assert_eq!(Place::read(&place.cursor()), Some(place));
        }
        for cursor in ["", "1", "1.2", "x.2.name", "-1.2.name"] {
            assert_eq!(Place::read(cursor), None, "{cursor}");
        }
    }
}
