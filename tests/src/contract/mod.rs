//! Contract suites: what every back end of queue, ledger and sinks must do, said once over the traits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use docmill_core::id::{ChunkId, ContentHash, IndexId, TenantId, TextHash};
use docmill_core::index::IndexSpec;
use docmill_core::manifest::{Manifest, ManifestEntry, Store, StoreSet};
use docmill_worker::clock::Clock;
use docmill_worker::ledger::memory::MemoryLedger;
use docmill_worker::ledger::{Claim, Commit, Grant, Ledger, Registered, Registration, Summary, WorkerId};
use docmill_worker::queue::memory::MemoryQueue;
use docmill_worker::queue::{Message, Queue};
use docmill_worker::sink::memory::MemorySink;
use docmill_worker::sink::{ChunkRow, MentionRow, Sink};
use docmill_worker::sqlite::{Database, GraphSink, TextSink, VectorSink, rusqlite};

mod cases;
pub mod desk;
pub mod ledger;
pub mod ledger_trials;
pub mod objects;
pub mod queue;
pub mod sink;

/// How long workers and queue entries live without a sign, in milliseconds.
pub const LEASE_MS: u64 = 1_000;

/// A clock that stands still until it is moved.
pub struct TestClock(AtomicU64);

/// How time passes for a back end: moved by hand, or waited for where a server keeps its own.
pub enum Time {
    /// The clock that the back end was given.
    Moved(Arc<TestClock>),
    /// The server's.
    Real,
}

impl Time {
    /// Returns once this many milliseconds have passed for the back end. Of real time more may pass.
    pub async fn pass(&self, ms: u64) {
        match self {
            Self::Moved(clock) => clock.sleep_ms(ms).await,
            Self::Real => tokio::time::sleep(std::time::Duration::from_millis(ms)).await,
        }
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    async fn sleep_ms(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

/// Does something to a back end that its traits do not offer.
pub type Damage = Box<dyn Fn() + Send + Sync>;

/// A back end under test.
pub struct Backend {
    /// Its time.
    pub time: Time,
    /// Its ledger.
    pub ledger: Arc<dyn Ledger>,
    /// Its stores.
    pub sinks: BTreeMap<Store, Arc<dyn Sink>>,
    /// Its queue.
    pub queue: Arc<dyn Queue>,
    /// Leaves a concept in the graph store that nothing holds up.
    pub leave_loose_end: Damage,
    /// Counts the concepts of the graph store.
    pub concepts: Box<dyn Fn() -> usize + Send + Sync>,
    /// What must outlive it: a directory, a server.
    pub keep: Box<dyn std::any::Any + Send + Sync>,
}

fn clock() -> Arc<TestClock> {
    Arc::new(TestClock(AtomicU64::new(1_000_000)))
}

/// The memory twins.
pub async fn memory() -> Backend {
    let clock = clock();
    let graph = Arc::new(MemorySink::new(Store::Graph));
    let mut sinks: BTreeMap<Store, Arc<dyn Sink>> = BTreeMap::new();
    sinks.insert(Store::Text, Arc::new(MemorySink::new(Store::Text)));
    sinks.insert(Store::Vector, Arc::new(MemorySink::new(Store::Vector)));
    sinks.insert(Store::Graph, graph.clone());
    let loose = graph.clone();
    Backend {
        ledger: Arc::new(MemoryLedger::new(clock.clone(), 0)),
        sinks,
        queue: Arc::new(MemoryQueue::new(clock.clone(), LEASE_MS)),
        time: Time::Moved(clock),
        leave_loose_end: Box::new(move || loose.leave_loose_end(&tenant(), "loose")),
        concepts: Box::new(move || graph.concepts().len()),
        keep: Box::new(()),
    }
}

/// The embedded shape's file, with the queue that goes with it.
pub async fn sqlite() -> Backend {
    sqlite_books().await.backend
}

/// The same, with what an API asks of it.
pub async fn sqlite_books() -> desk::Books {
    let clock = clock();
    let dir = tempfile::tempdir().unwrap();
    let database = Arc::new(Database::open(dir.path(), clock.clone()).unwrap());
    let mut sinks: BTreeMap<Store, Arc<dyn Sink>> = BTreeMap::new();
    sinks.insert(Store::Text, Arc::new(TextSink::new(database.clone())));
    sinks.insert(Store::Vector, Arc::new(VectorSink::new(database.clone())));
    sinks.insert(Store::Graph, Arc::new(GraphSink::new(database.clone())));
    let file = dir.path().join("docmill.db");
    let open = move || {
        let connection = rusqlite::Connection::open(&file).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        // What was only applied is visible to others once its transaction ended.
        std::thread::sleep(std::time::Duration::from_millis(150));
        connection
    };
    let open = Arc::new(open);
    let reopen = open.clone();
    let insert = "INSERT INTO concepts(tenant, canonical_name, display, kind) VALUES('default', 'loose', 'loose', 'term')";
    let desk = database.clone();
    let backend = Backend {
        ledger: database,
        sinks,
        queue: Arc::new(MemoryQueue::new(clock.clone(), LEASE_MS)),
        time: Time::Moved(clock),
        leave_loose_end: Box::new(move || {
            open().execute(insert, []).unwrap();
        }),
        concepts: Box::new(move || {
            reopen().query_row("SELECT count(*) FROM concepts", [], |row| row.get(0)).unwrap()
        }),
        keep: Box::new(dir),
    };
    desk::Books { desk, backend }
}

/// The tenant of every case.
pub fn tenant() -> TenantId {
    TenantId::default()
}

/// The `n`-th index.
pub fn spec(n: u32) -> IndexSpec {
    IndexSpec { chunker: "c".into(), embedder: format!("e{n}"), dimensions: 2, concepts: "k".into() }
}

/// A source with this content.
pub fn registration(uri: &str, content: &str) -> Registration {
    Registration {
        tenant: tenant(),
        uri: uri.to_owned(),
        content: ContentHash::of(content.as_bytes()),
        bytes: 1_000,
        stat: None,
        scanned_at_ns: 0,
        root: None,
    }
}

/// A worker.
pub fn worker(name: &str) -> WorkerId {
    WorkerId(name.to_owned())
}

/// The rows of the texts in an index, with the manifest that names them.
pub fn rows(grant: &Grant, index: IndexId, texts: &[&str]) -> (Vec<Arc<ChunkRow>>, Manifest) {
    let mut rows = Vec::new();
    let mut entries = Vec::new();
    for (ordinal, text) in texts.iter().enumerate() {
        let text_hash = TextHash::of(text.as_bytes());
        let chunk = ChunkId::of(grant.document, text_hash, 0, index);
        let mention = MentionRow {
            canonical_name: format!("concept of {text}"),
            display: (*text).to_owned(),
            kind: "term",
            count: 1,
        };
        rows.push(Arc::new(ChunkRow {
            tenant: grant.tenant.clone(),
            chunk,
            document: grant.document,
            index,
            text_hash,
            text: Arc::from(*text),
            terms: Arc::from(*text),
            embedding: Some(Arc::new(vec![0.6, 0.8].into())),
            mentions: vec![mention].into(),
        }));
        entries.push(ManifestEntry {
            chunk,
            text_hash,
            occurrence: 0,
            ordinal: ordinal as u32,
            page: 1,
            start: 0,
            end: text.len() as u32,
            heading: None,
            stores: StoreSet::of_chunk(true, true),
        });
    }
    let (document, generation) = (grant.document, grant.generation);
    (rows, Manifest { document, generation, index, language: "en".into(), entries })
}

impl Backend {
    /// Begins the first index and lets workers `a` and `b` live.
    pub async fn set_up(&self) {
        self.ledger.begin_index(&tenant(), &spec(1)).await.unwrap();
        self.beat("a").await;
        self.beat("b").await;
    }

    /// The worker lives for a lease from now.
    pub async fn beat(&self, name: &str) {
        self.ledger.heartbeat(&worker(name), LEASE_MS).await.unwrap();
    }

    /// Says that the source has this content now.
    pub async fn register(&self, uri: &str, content: &str) -> Registered {
        self.ledger.register(vec![registration(uri, content)]).await.unwrap()[0]
    }

    /// The same, where it is news.
    pub async fn news(&self, uri: &str, content: &str) -> Message {
        match self.register(uri, content).await {
            Registered::New(message) | Registered::Changed(message) => message,
            Registered::Unchanged(..) => panic!("{uri} was to be news"),
        }
    }

    /// A claim that is granted.
    pub async fn grant(&self, message: &Message, name: &str) -> Grant {
        match self.ledger.claim(message, &worker(name)).await.unwrap() {
            Claim::Granted(grant) => *grant,
            Claim::Refused(why) => panic!("the claim was refused: {why:?}"),
        }
    }

    /// Commits the texts in every index of the grant, with removals due after the delay.
    pub async fn commit(&self, grant: &Grant, texts: &[&str], delay_ms: u64) -> Commit {
        let manifests = grant.indexes.iter().map(|(index, _)| rows(grant, *index, texts).1).collect();
        self.ledger.commit(grant, manifests, Summary::default(), delay_ms).await.unwrap()
    }

    /// Claims and commits the texts; returns the grant.
    pub async fn settle(&self, message: &Message, texts: &[&str]) -> Grant {
        let grant = self.grant(message, "a").await;
        assert!(matches!(self.commit(&grant, texts, 0).await, Commit::Committed { .. }));
        grant
    }
}
