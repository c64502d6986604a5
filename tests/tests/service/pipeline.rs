//! A pipeline with its servers, its documents and its workers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use docmill_core::id::{ContentHash, TenantId};
use docmill_core::lane::Lane;
use docmill_core::manifest::Store;
use docmill_tests::contract::objects::hash;
use docmill_tests::corpus::Writer;
use docmill_tests::services::neo4j::Neo4jServer;
use docmill_tests::services::postgres::{client, count, shared};
use docmill_tests::services::process::READY_LIMIT;
use docmill_tests::services::redis::{RedisServer, Setup, USER};
use docmill_tests::services::s3::{KEY_ID, SECRET, section};
use docmill_tests::services::worker::{Worker, WorkerSetup};
use docmill_worker::embed::Mock;
use docmill_worker::ledger::{Ledger, Registered, Registration};
use docmill_worker::neo4j;
use docmill_worker::objects::S3Options;
use docmill_worker::postgres::tokio_postgres::Client;
use docmill_worker::postgres::{Database, GraphSink, Options, PostgresLedger, TextSink, VectorSink};
use docmill_worker::queue::{Message, Queue};
use docmill_worker::sink::Sink;
use docmill_worker::stages::models::{CONCEPTS_BUILTIN, spec};
use docmill_worker::verify;

const POLL: Duration = Duration::from_millis(20);

/// A document: where it is, its hash, its bytes.
pub type Source = (String, ContentHash, usize);

/// How a worker is configured, where tests differ.
pub struct Settings {
    pub lease_ms: u64,
    pub grace_ms: u64,
    pub bucket: Option<S3Options>,
    /// Port of the Redis that keeps answers of models.
    pub cache: Option<u16>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lease_ms: 30_000, grace_ms: 10_000, bucket: None, cache: None }
    }
}

/// The section of a cache on this port.
fn cache(port: u16) -> String {
    format!(
        "cache: {{redis: {{url: 'redis://127.0.0.1:{port}', username: {USER}, passwordEnv: REDIS_PASSWORD}}}}\n"
    )
}

/// See the module.
pub struct Pipeline {
    pub redis: RedisServer,
    dir: tempfile::TempDir,
    postgres: Options,
    neo4j: Option<neo4j::Options>,
    ledger: PostgresLedger,
    sinks: BTreeMap<Store, Arc<dyn Sink>>,
    client: Client,
    started: AtomicUsize,
}

impl Pipeline {
    /// Servers of its own, or a schema; an index without a real model. The graph is beside the ledger.
    pub async fn start() -> Self {
        let postgres = shared().fresh();
        let database = Database::open(&postgres).await.unwrap();
        let graph = Arc::new(GraphSink::new(database.clone()));
        Self::with_graph(postgres, database, graph, None).await
    }

    /// The graph is in this Neo4j, which is started.
    pub async fn start_with_neo4j(server: &Neo4jServer) -> Self {
        let postgres = shared().fresh();
        let database = Database::open(&postgres).await.unwrap();
        let graph = neo4j::Database::open(&server.options()).await.unwrap();
        let graph = Arc::new(neo4j::GraphSink::new(graph));
        Self::with_graph(postgres, database, graph, Some(server.options())).await
    }

    async fn with_graph(
        postgres: Options,
        database: Database,
        graph: Arc<dyn Sink>,
        neo4j: Option<neo4j::Options>,
    ) -> Self {
        let redis = RedisServer::start(&Setup { tcp: true, ..Setup::default() });
        let ledger = PostgresLedger::new(database.clone(), 0);
        let index = spec(Mock::FINGERPRINT, Mock::DIMENSIONS, CONCEPTS_BUILTIN);
        ledger.begin_index(&TenantId::default(), &index).await.unwrap();
        let text: Arc<dyn Sink> = Arc::new(TextSink::new(database.clone()));
        let sinks = [text, Arc::new(VectorSink::new(database)), graph];
        let sinks = sinks.into_iter().map(|sink| (sink.store(), sink)).collect();
        let client = client(&postgres).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("files")).unwrap();
        Self { redis, dir, postgres, neo4j, ledger, sinks, client, started: AtomicUsize::new(0) }
    }

    /// Files of prose, every other one of a format that a child process reads.
    pub fn write_files(&self, documents: usize, bytes: usize) -> Vec<Source> {
        let mut words = Writer::new(7);
        let write = |n: usize| {
            let prose = words.document(bytes);
            let (name, text) = match n % 2 {
                0 => (format!("{n}.txt"), prose),
                _ => (format!("{n}.html"), format!("<html><body><h1>{n}</h1><p>{prose}</p></body></html>")),
            };
            let path = self.dir.path().join("files").join(name);
            std::fs::write(&path, &text).unwrap();
            (format!("file://{}", path.display()), hash(text.as_bytes()), text.len())
        };
        (0..documents).map(write).collect()
    }

    /// A file that lies beside the root.
    pub fn outside_file(&self, bytes: &[u8]) -> String {
        let path = self.dir.path().join("outside.txt");
        std::fs::write(&path, bytes).unwrap();
        format!("file://{}", path.display())
    }

    /// Registers documents and queues them, as an API does.
    pub async fn register(&self, sources: &[Source]) {
        let messages = self.register_only(sources).await;
        self.redis.queue().enqueue(&messages).await.unwrap();
    }

    /// Registers documents, as an API that died before it could queue them.
    pub async fn register_only(&self, sources: &[Source]) -> Vec<Message> {
        let said = |(uri, content, bytes): &Source| Registration {
            tenant: TenantId::default(),
            uri: uri.clone(),
            content: *content,
            bytes: *bytes as u64,
            stat: None,
            scanned_at_ns: 0,
            root: None,
        };
        let registered = self.ledger.register(sources.iter().map(said).collect()).await.unwrap();
        let message = |registered| match registered {
            Registered::New(message) | Registered::Changed(message) => message,
            Registered::Unchanged(..) => panic!("{registered:?}"),
        };
        registered.into_iter().map(message).collect()
    }

    /// Starts a worker.
    pub fn worker(&self, settings: &Settings) -> Worker {
        let name = format!("worker-{}", self.started.fetch_add(1, Ordering::Relaxed));
        self.setup(settings).start(&self.dir.path().join(&name), &name)
    }

    /// What another command of the worker answers, as JSON.
    pub fn told(&self, args: &[&str]) -> serde_json::Value {
        let output = self.setup(&Settings::default()).run(&self.dir.path().join("command"), args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn setup(&self, settings: &Settings) -> WorkerSetup {
        let objects = settings.bucket.as_ref().map(|bucket| section(bucket, "S3_SECRET"));
        WorkerSetup {
            neo4j: self.neo4j.clone(),
            file_root: Some(self.dir.path().join("files")),
            objects: objects.unwrap_or_default(),
            sections: settings.cache.map(cache).unwrap_or_default(),
            lease_ms: settings.lease_ms,
            grace_ms: settings.grace_ms,
            variables: vec![("S3_KEY_ID".into(), KEY_ID.into()), ("S3_SECRET".into(), SECRET.into())],
            ..WorkerSetup::new(self.redis.port, self.postgres.clone())
        }
    }

    /// Documents that are committed.
    pub async fn committed(&self) -> usize {
        usize::try_from(count(&self.client, "documents WHERE state = 'committed'").await).unwrap()
    }

    /// Waits until so many documents are committed.
    pub async fn wait_committed(&self, documents: usize) {
        self.wait("commits", async || self.committed().await >= documents).await;
    }

    /// Waits until a text with this word is in the text store.
    pub async fn wait_text(&self, word: &str) {
        let rows = format!("chunks WHERE text LIKE '%{word}%'");
        self.wait(word, async || count(&self.client, &rows).await > 0).await;
    }

    /// The codes of failed documents, once there are so many.
    pub async fn wait_failures(&self, documents: usize) -> Vec<String> {
        let failed = "documents WHERE state = 'failed'";
        self.wait("failures", async || count(&self.client, failed).await as usize >= documents).await;
        let rows = self.client.query(&format!("SELECT failure FROM {failed}"), &[]).await.unwrap();
        let code = |text: &str| {
            let failure: serde_json::Value = serde_json::from_str(text).unwrap();
            failure["code"].as_str().unwrap().to_owned()
        };
        let mut codes: Vec<String> = rows.iter().map(|row| code(row.get(0))).collect();
        codes.sort();
        codes
    }

    async fn wait(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let waiting = async {
            while !condition().await {
                tokio::time::sleep(POLL).await;
            }
        };
        if tokio::time::timeout(READY_LIMIT, waiting).await.is_err() {
            panic!("{what}: not within {READY_LIMIT:?}\n{}", self.logs());
        }
    }

    fn logs(&self) -> String {
        let files =
            std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path().join("log"));
        files.filter_map(|file| std::fs::read_to_string(file).ok()).collect::<Vec<_>>().join("\n---\n")
    }

    /// How often anything was committed.
    pub async fn commits(&self) -> i64 {
        let row = self.client.query_one("SELECT value FROM counters WHERE name = 'commit'", &[]).await;
        row.unwrap().get(0)
    }

    /// Approximate indexes over vectors.
    pub async fn vector_indexes(&self) -> i64 {
        count(&self.client, "pg_indexes WHERE schemaname = current_schema() AND indexdef LIKE '%hnsw%'")
            .await
    }

    /// Starts that are counted of documents that wait.
    pub async fn starts(&self) -> i64 {
        count(&self.client, "documents WHERE state <> 'committed' AND starts > 0").await
    }

    /// Workers that the ledger takes for living.
    pub async fn live_workers(&self) -> i64 {
        count(&self.client, "workers WHERE lease_until_ms > (SELECT now_ms())").await
    }

    /// Entries that somebody has.
    pub async fn in_flight(&self) -> u64 {
        let queue = self.redis.queue();
        let mut entries = 0;
        for lane in Lane::ALL {
            entries += queue.depth(lane).await.unwrap().in_flight;
        }
        entries
    }

    /// Entries of current manifests that a store must hold.
    pub async fn entries_of(&self, store: Store) -> i64 {
        let bit = 1 << Store::ALL.iter().position(|known| *known == store).unwrap();
        let current = "manifest_entries JOIN manifests USING (manifest) WHERE replaced_by IS NULL";
        count(&self.client, &format!("{current} AND stores & {bit} <> 0")).await
    }

    /// Takes the lock of the upkeep until the connection is dropped.
    pub async fn hold_the_upkeep(&self) -> Client {
        let client = client(&self.postgres).await.unwrap();
        let name = format!("{}.upkeep", self.postgres.schema.as_str());
        client.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", &[&name]).await.unwrap();
        client
    }

    /// Evidence that a table of the ledger's server has.
    pub async fn evidence_beside_the_ledger(&self) -> i64 {
        count(&self.client, "evidence").await
    }

    /// Waits until no removal is due, then audits everything.
    pub async fn verify_clean(&self) {
        self.wait("cleanup", async || count(&self.client, "cleanups").await == 0).await;
        self.wait("settlement", async || self.in_flight().await == 0).await;
        let queue = self.redis.queue();
        let options = verify::Options::default();
        // What a dead worker left is swept away every ten seconds.
        let audit =
            async || verify::verify(&self.ledger, &self.sinks, Some(&queue), &options).await.unwrap();
        self.wait("no orphans", async || audit().await.orphan == 0).await;
        let found = audit().await;
        assert!(found.is_clean(), "{found:?}\n{}", self.logs());
        assert!(found.checked_rows > 0, "{found:?}");
    }
}
