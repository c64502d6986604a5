//! The concept graph is the same whichever store has it: one list of cases on SQLite, PostgreSQL and Neo4j.

// Helpers of tests panic as tests do.
#![allow(clippy::unwrap_used, clippy::large_futures)]

use std::sync::Arc;

use docmill_core::id::{ChunkId, ContentHash, TenantId, TextHash};
use docmill_core::manifest::{Manifest, ManifestEntry, StoreSet};
use docmill_tests::contract::{registration, spec, worker};
use docmill_tests::services;
use docmill_worker::clock::SystemClock;
use docmill_worker::concepts::{
    ConceptQuery, ConceptReader, Neo4jConcepts, Place, PostgresConcepts, SqliteConcepts, Via,
};
use docmill_worker::ledger::{Claim, Commit, Grant, Ledger, Registered, Summary};
use docmill_worker::neo4j;
use docmill_worker::postgres::{self, PostgresLedger};
use docmill_worker::sink::{ChunkRow, MentionRow, Sink};
use docmill_worker::sqlite::{self, Readers};

/// How long a worker lives without a sign, in milliseconds: longer than a test.
const LEASE_MS: u64 = 600_000;
/// How long replaced chunks stay, in milliseconds: longer than a test.
const STAYS_MS: u64 = 600_000;

/// A ledger, a graph, and who reads both.
struct World {
    ledger: Arc<dyn Ledger>,
    graph: Arc<dyn Sink>,
    reader: Arc<dyn ConceptReader>,
    /// Counts leave out what is in the graph and not current.
    counts_are_exact: bool,
}

/// What a chunk mentions.
type Mentions = &'static [(&'static str, u32)];

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

impl World {
    async fn grant(&self, tenant: &TenantId, uri: &str, content: &str) -> Grant {
        self.ledger.begin_index(tenant, &spec(1)).await.unwrap();
        self.ledger.heartbeat(&worker("a"), LEASE_MS).await.unwrap();
        let content = ContentHash::of(format!("{tenant} {uri} {content}").as_bytes());
        let registration = docmill_worker::ledger::Registration {
            tenant: tenant.clone(),
            content,
            ..registration(uri, "")
        };
        let registered = self.ledger.register(vec![registration]).await.unwrap().remove(0);
        let (Registered::New(message) | Registered::Changed(message)) = registered else {
            panic!("{uri} was to be news")
        };
        match self.ledger.claim(&message, &worker("a")).await.unwrap() {
            Claim::Granted(grant) => *grant,
            Claim::Refused(why) => panic!("the claim was refused: {why:?}"),
        }
    }

    /// Writes the chunks of a document, each on a page of its own.
    async fn write(&self, grant: &Grant, chunks: &[Mentions]) -> Manifest {
        let index = spec(1).id();
        let (mut rows, mut entries) = (Vec::new(), Vec::new());
        for (ordinal, mentions) in chunks.iter().enumerate() {
            let text = format!("{} {ordinal} {mentions:?}", grant.uri);
            let text_hash = TextHash::of(text.as_bytes());
            let chunk = ChunkId::of(grant.document, text_hash, 0, index);
            let mention = |(name, count): &(&str, u32)| MentionRow {
                canonical_name: name.to_lowercase(),
                display: (*name).to_owned(),
                kind: "name",
                count: *count,
            };
            rows.push(Arc::new(ChunkRow {
                tenant: grant.tenant.clone(),
                chunk,
                document: grant.document,
                index,
                text_hash,
                text: Arc::from(text.as_str()),
                terms: Arc::from(text.as_str()),
                embedding: None,
                mentions: mentions.iter().map(mention).collect(),
            }));
            entries.push(ManifestEntry {
                chunk,
                text_hash,
                occurrence: 0,
                ordinal: ordinal as u32,
                page: ordinal as u32 + 1,
                start: 0,
                end: text.len() as u32,
                heading: None,
                stores: StoreSet::of_chunk(false, true),
            });
        }
        self.graph.write(&rows, grant.epoch).await.unwrap();
        let (document, generation) = (grant.document, grant.generation);
        Manifest { document, generation, index, language: "en".into(), entries }
    }

    async fn commit(&self, of: &str, uri: &str, content: &str, chunks: &[Mentions]) {
        let grant = self.grant(&tenant(of), uri, content).await;
        let manifest = self.write(&grant, chunks).await;
        let summary = Summary { title: Some(format!("Title of {uri}")), ..Summary::default() };
        let done = self.ledger.commit(&grant, vec![manifest], summary, STAYS_MS).await.unwrap();
        assert!(matches!(done, Commit::Committed { .. }));
    }

    /// Documents of two tenants; one that is only written, and one whose content was replaced.
    async fn fill(&self) {
        self.commit("one", "file:///a", "1", &[&[("Rust", 2), ("Tokio", 1)], &[("Tokio", 1), ("Axum", 1)]])
            .await;
        let chunks: &[Mentions] = &[&[("Rust", 1), ("Cargo", 1)], &[("Cargo", 1), ("Kubernetes", 1)]];
        self.commit("one", "file:///b", "1", chunks).await;
        self.commit("one", "file:///d", "1", &[&[("Old", 1), ("Rust", 1)]]).await;
        self.commit("one", "file:///d", "2", &[&[("New", 1)]]).await;
        self.commit("two", "file:///x", "1", &[&[("Secret", 1), ("Rust", 7)]]).await;
        let grant = self.grant(&tenant("one"), "file:///c", "1").await;
        self.write(&grant, &[&[("Ghost", 1), ("Rust", 1)]]).await;
    }

    async fn every_case(&self) {
        self.fill().await;
        self.lists_show_what_is_current().await;
        self.one_is_found_by_its_name().await;
        self.ways_lead_from_chunk_to_chunk().await;
        self.tenants_stay_apart().await;
    }

    async fn names(&self, prefix: Option<&str>, limit: u32) -> Vec<(String, u64, u64)> {
        let mut names = Vec::new();
        let mut query = ConceptQuery { prefix: prefix.map(str::to_owned), limit, after: None };
        loop {
            let page = self.reader.list(&tenant("one"), &query).await.unwrap();
            names.extend(page.concepts.into_iter().map(|row| (row.name, row.documents, row.mentions)));
            match page.next {
                Some(next) => query.after = Some(Place::read(&next).unwrap()),
                None => return names,
            }
        }
    }

    async fn lists_show_what_is_current(&self) {
        let expected = [
            ("Rust", 2, 3),
            ("Cargo", 1, 2),
            ("Tokio", 1, 2),
            ("Axum", 1, 1),
            ("Kubernetes", 1, 1),
            ("New", 1, 1),
        ]
        .map(|(name, documents, mentions)| (name.to_owned(), documents, mentions));
        for limit in [1, 2, 100] {
            assert_eq!(self.names(None, limit).await, expected, "pages of {limit}");
        }
        assert_eq!(self.names(Some("ca"), 10).await, expected[1..2]);
        assert!(self.names(Some("zz"), 10).await.is_empty());
        let count = self.reader.count(&tenant("one")).await.unwrap();
        // Beside them, what was replaced and what is not committed yet.
        assert_eq!(count, if self.counts_are_exact { 6 } else { 8 });
    }

    async fn one_is_found_by_its_name(&self) {
        let one = async |name: &str| self.reader.one(&tenant("one"), name).await.unwrap();
        let tokio = one("TOKIO").await.unwrap();
        assert_eq!((tokio.name.as_str(), tokio.mentions, tokio.documents), ("Tokio", 2, 1));
        let beside: Vec<_> =
            tokio.neighbours.iter().map(|near| (near.name.as_str(), near.chunks)).collect();
        assert_eq!(beside, [("Axum", 1), ("Rust", 1)]);
        let place = &tokio.mentioned_in[0];
        let title = place.title.as_deref();
        assert_eq!(
            (place.uri.as_str(), title, place.mentions, place.page),
            ("file:///a", Some("Title of file:///a"), 2, 1)
        );
        assert_eq!(one("kubernites").await.unwrap().canonical_name, "kubernetes");
        let rust = one("rust").await.unwrap();
        let uris: Vec<_> = rust.mentioned_in.iter().map(|place| place.uri.as_str()).collect();
        assert_eq!((rust.mentions, uris), (3, vec!["file:///a", "file:///b"]));
        for name in ["ghost", "old", "secret", "", "nothing at all", "a\"b'c"] {
            assert_eq!(one(name).await, None, "{name}");
        }
    }

    async fn ways_lead_from_chunk_to_chunk(&self) {
        let way = async |from: &str, to: &str, most| {
            self.reader.path(&tenant("one"), from, to, most).await.unwrap()
        };
        let steps = way("axum", "Kubernetes", 6).await.unwrap();
        let names: Vec<_> = steps.iter().map(|step| step.concept.as_str()).collect();
        assert_eq!(names, ["Axum", "Tokio", "Rust", "Cargo", "Kubernetes"]);
        let places: Vec<_> = steps.iter().map(|step| step.via.as_ref().map(place_of)).collect();
        let (a, b) = ("file:///a".to_owned(), "file:///b".to_owned());
        let expected = [None, Some((a.clone(), 2)), Some((a, 1)), Some((b.clone(), 1)), Some((b, 2))];
        assert_eq!(places, expected);
        assert_eq!(way("rust", "rust", 6).await.unwrap().len(), 1);
        for (from, to, most) in [("axum", "kubernetes", 3), ("axum", "new", 6)] {
            assert_eq!(way(from, to, most).await, Some(Vec::new()), "{from} to {to}");
        }
        assert_eq!(way("rust", "secret", 6).await, None);
        // What no committed document has is unknown, or nothing leads from it.
        assert!(way("ghost", "rust", 6).await.unwrap_or_default().is_empty());
    }

    async fn tenants_stay_apart(&self) {
        let (two, nobody) = (tenant("two"), tenant("nobody"));
        let rust = self.reader.one(&two, "rust").await.unwrap().unwrap();
        assert_eq!((rust.mentions, rust.documents), (7, 1));
        assert_eq!(rust.mentioned_in[0].uri, "file:///x");
        let query = ConceptQuery { limit: 10, ..ConceptQuery::default() };
        let page = self.reader.list(&nobody, &query).await.unwrap();
        assert_eq!((page.concepts.len(), page.total, page.next), (0, 0, None));
        assert_eq!(self.reader.count(&nobody).await.unwrap(), 0);
        assert_eq!(self.reader.one(&nobody, "rust").await.unwrap(), None);
        assert_eq!(self.reader.path(&nobody, "rust", "tokio", 6).await.unwrap(), None);
    }
}

fn place_of(via: &Via) -> (String, u32) {
    (via.uri.clone(), via.page)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let database = Arc::new(sqlite::Database::open(dir.path(), Arc::new(SystemClock)).unwrap());
    let world = World {
        ledger: database.clone(),
        graph: Arc::new(sqlite::GraphSink::new(database)),
        reader: Arc::new(SqliteConcepts(Readers::open(dir.path()).unwrap())),
        counts_are_exact: true,
    };
    world.every_case().await;
    assert_eq!(world.reader.slow(3_000_000).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_postgresql() {
    let options = services::postgres::shared().fresh();
    let database = postgres::Database::open(&options).await.unwrap();
    let world = World {
        ledger: Arc::new(PostgresLedger::new(database.clone(), STAYS_MS)),
        graph: Arc::new(postgres::GraphSink::new(database.clone())),
        reader: Arc::new(PostgresConcepts(database)),
        counts_are_exact: true,
    };
    world.every_case().await;
    what_takes_long_is_told_without_values(&options, world.reader.as_ref()).await;
}

async fn what_takes_long_is_told_without_values(options: &postgres::Options, reader: &dyn ConceptReader) {
    let client = services::postgres::client(options).await.unwrap();
    let cancel = client.cancel_token();
    let sleeping =
        tokio::spawn(async move { client.batch_execute("SELECT 'hunter2', pg_sleep(60)").await.is_err() });
    let told = loop {
        let slow = reader.slow(1).await.unwrap();
        if let Some(told) = slow.into_iter().find(|query| query.query.contains("pg_sleep")) {
            break told;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((told.store.as_str(), told.query.as_str()), ("postgres", "SELECT ?, pg_sleep(?)"));
    assert_eq!(reader.slow(3_000_000).await.unwrap(), []);
    cancel.cancel_query(postgres::tokio_postgres::NoTls).await.unwrap();
    assert!(sleeping.await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_neo4j() {
    let (server, _turn) = services::neo4j::shared().await;
    let graph = neo4j::Database::open(&server.options()).await.unwrap();
    let books = postgres::Database::open(&services::postgres::shared().fresh()).await.unwrap();
    let world = World {
        ledger: Arc::new(PostgresLedger::new(books.clone(), STAYS_MS)),
        graph: Arc::new(neo4j::GraphSink::new(graph.clone())),
        reader: Arc::new(Neo4jConcepts { graph, books }),
        counts_are_exact: false,
    };
    world.every_case().await;
    // Its own question is none of them.
    let slow = world.reader.slow(0).await.unwrap();
    assert!(slow.iter().all(|query| !query.query.starts_with("SHOW TRANSACTIONS")), "{slow:?}");
}
