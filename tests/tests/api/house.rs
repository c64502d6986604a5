//! A pipeline with its servers, its volume, its API and its workers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use docmill_core::id::TenantId;
use docmill_tests::services::http::Client;
use docmill_tests::services::postgres::{client, count, shared};
use docmill_tests::services::process::{Process, free_port, wait_until};
use docmill_tests::services::redis::{PASSWORD, RedisServer, Setup, USER};
use docmill_tests::services::worker::program;
use docmill_tests::services::{neo4j, s3};
use docmill_worker::embed::Mock;
use docmill_worker::ledger::Ledger;
use docmill_worker::objects::S3Options;
use docmill_worker::postgres::{Database, Options, PostgresLedger, tokio_postgres};
use docmill_worker::stages::models::{CONCEPTS_BUILTIN, spec};
use rustix::process::Signal;

/// The operator's token, which nothing may repeat.
pub const CANARY: &str = "canary-in-the-coal-mine";

/// See the module.
pub struct House {
    pub redis: RedisServer,
    dir: tempfile::TempDir,
    postgres: Options,
    /// Further keys of the section `api`.
    more: String,
    /// The section `objects`, and others that a test needs.
    objects: String,
}

/// A process of the house, killed when it is dropped.
pub struct Running {
    process: std::sync::Mutex<Process>,
    port: u16,
    internal: u16,
    log: PathBuf,
}

/// Rows that nobody else can change until this is dropped.
#[allow(dead_code, reason = "not all tests that share this hold any")]
pub struct Held {
    /// The session that has them, as the server numbers it.
    session: i32,
    _open: (tokio_postgres::Client, tokio::runtime::Runtime),
}

impl House {
    /// On the server that tests share.
    pub fn new(more: &str) -> Self {
        Self::on(&shared().fresh(), more)
    }

    /// On this server; indexes without a real model.
    pub fn on(postgres: &Options, more: &str) -> Self {
        let redis = RedisServer::start(&Setup { tcp: true, ..Setup::default() });
        let dir = tempfile::tempdir().unwrap();
        for folder in ["files", "volume"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let ledger = PostgresLedger::new(Database::open(postgres).await.unwrap(), 0);
            let index = spec(Mock::FINGERPRINT, Mock::DIMENSIONS, CONCEPTS_BUILTIN);
            for tenant in ["default", "one", "two"] {
                ledger.begin_index(&TenantId::new(tenant).unwrap(), &index).await.unwrap();
            }
        });
        let objects = format!("objects:\n  volume: {{path: {}}}\n", dir.path().join("volume").display());
        Self { redis, dir, postgres: postgres.clone(), more: more.to_owned(), objects }
    }

    /// With objects in a bucket in place of the volume.
    #[allow(dead_code, reason = "tests of the API alone keep objects on the volume")]
    pub fn with_bucket(self, bucket: &S3Options) -> Self {
        Self { objects: s3::section(bucket, "S3_SECRET"), ..self }
    }

    /// With the graph in this server.
    #[allow(dead_code, reason = "tests of submitting have it beside the ledger")]
    pub fn with_neo4j(self, server: &neo4j::Neo4jServer) -> Self {
        let graph = format!(
            "graph:\n  neo4j: {{url: '{}', username: {}, passwordEnv: NEO4J_PASSWORD}}\n",
            server.options().url,
            neo4j::USER
        );
        Self { objects: self.objects.clone() + &graph, ..self }
    }

    /// With scans read in these languages.
    #[allow(dead_code, reason = "not all tests that share this have scans")]
    pub fn with_languages(self, languages: &str) -> Self {
        Self {
            objects: self.objects.clone() + &format!("extract: {{ocrLanguages: {languages}}}\n"),
            ..self
        }
    }

    pub fn volume(&self) -> PathBuf {
        self.dir.path().join("volume")
    }

    pub fn token_file(&self) -> PathBuf {
        self.dir.path().join("token")
    }

    /// Writes a file below the root of files, and gives its URI.
    pub fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.dir.path().join("files").join(name);
        std::fs::write(&path, bytes).unwrap();
        format!("file://{}", path.display())
    }

    /// Does something to the ledger's tables that nobody does but a person.
    #[allow(dead_code, reason = "not all tests that share this do it")]
    pub fn sql(&self, statements: &str) {
        self.ask(async |client| client.batch_execute(statements).await.unwrap());
    }

    /// Rows of a table, or of a table with a condition.
    #[allow(dead_code, reason = "not all tests that share this do it")]
    pub fn count(&self, table: &str) -> i64 {
        self.ask(async |client| count(client, table).await)
    }

    /// Keeps the rows that a statement locks.
    #[allow(dead_code, reason = "not all tests that share this do it")]
    pub fn hold(&self, lock: &str) -> Held {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (client, session) = runtime.block_on(async {
            let client = client(&self.postgres).await.unwrap();
            client.batch_execute(&format!("BEGIN; {lock}")).await.unwrap();
            let row = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap();
            (client, row.get(0))
        });
        Held { session, _open: (client, runtime) }
    }

    /// How many sessions wait for what is held.
    #[allow(dead_code, reason = "not all tests that share this do it")]
    pub fn waiting_for(&self, held: &Held) -> i64 {
        self.count(&format!("pg_stat_activity WHERE {} = ANY(pg_blocking_pids(pid))", held.session))
    }

    fn ask<T>(&self, question: impl AsyncFnOnce(&tokio_postgres::Client) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { question(&client(&self.postgres).await.unwrap()).await })
    }

    /// Uploaded objects that are on the volume.
    pub fn objects(&self) -> usize {
        self.objects_in(&self.volume().join("uploads"))
    }

    /// Files in a folder and below.
    pub fn objects_in(&self, folder: &Path) -> usize {
        fn count(dir: &Path) -> usize {
            let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
            let one = |path: PathBuf| if path.is_dir() { count(&path) } else { 1 };
            entries.map(|entry| one(entry.unwrap().path())).sum()
        }
        count(folder)
    }

    fn config(&self, name: &str, port: u16, internal: u16) -> PathBuf {
        let home = self.dir.path().join(name);
        std::fs::create_dir_all(&home).unwrap();
        let file = home.join("worker.yaml");
        let mut api = format!(
            "  internalListen: 127.0.0.1:{internal}\n  internalTokenEnv: OPERATOR_TOKEN\n  tokenFile: {}\n",
            self.token_file().display()
        );
        if !self.more.contains("listen:") {
            api += &format!("  listen: 127.0.0.1:{port}\n");
        }
        api += &self.more.replace("PORT", &port.to_string());
        let text = format!(
            "pipeline: test\nconcurrency: 2\ncleanupDelayMs: 0\ngraceMs: 10000\nhealth: {{port: {port}}}\napi:\n{api}\
             fileRoot: {}\nscratch: {{path: {}, limitMib: 64}}\n{}\
             queue:\n  redis:\n    url: redis://127.0.0.1:{}\n    username: {USER}\n    \
             passwordEnv: REDIS_PASSWORD\n    keyPrefix: docmill:test\n    leaseMs: 30000\n    \
             responseTimeoutMs: 1000\n\
             ledger:\n  postgres:\n    url: {}\n    user: {}\n    schema: {}\n    passwordEnv: PG_PASSWORD\n    \
             connectTimeoutMs: 2000\n",
            self.dir.path().join("files").display(),
            home.join("scratch").display(),
            self.objects,
            self.redis.port,
            self.postgres.url,
            self.postgres.user,
            self.postgres.schema.as_str(),
        );
        std::fs::write(&file, text).unwrap();
        file
    }

    fn command(&self) -> Command {
        let mut command = Command::new(program());
        command.env("REDIS_PASSWORD", PASSWORD).env("OPERATOR_TOKEN", CANARY);
        command.env("NEO4J_PASSWORD", neo4j::PASSWORD);
        command.env("S3_KEY_ID", s3::KEY_ID).env("S3_SECRET", s3::SECRET);
        command.env("PG_PASSWORD", self.postgres.password.as_ref().unwrap().expose());
        command.env("HOSTNAME", "pod-0").env("RUST_LOG", "debug,h2=off,hyper=off");
        command
    }

    fn start(&self, role: &str) -> Running {
        let running = self.begin(role);
        running.wait_status("/readyz", 200);
        running
    }

    /// Starts a process, and waits for nothing.
    pub fn begin(&self, role: &str) -> Running {
        let (port, internal) = (free_port(), free_port());
        let config = self.config(&format!("{role}-{port}"), port, internal);
        let log = config.with_file_name("log");
        let process = Process::start(self.command().arg(role).arg("--config").arg(&config), &log);
        Running { process: std::sync::Mutex::new(process), port, internal, log }
    }

    /// Starts an API, and waits until it answers.
    pub fn api(&self) -> Running {
        self.start("api")
    }

    /// Starts a worker, and waits until it takes work.
    pub fn worker(&self) -> Running {
        self.start("run")
    }

    fn keys(&self, args: &[&str]) -> String {
        let config = self.config("keys", 1, 2);
        let (action, rest) = args.split_first().unwrap();
        let mut command = self.command();
        let output = command.args(["keys", action, "--config"]).arg(&config).args(rest).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Makes a key.
    pub fn key(&self, tenant: &str, scopes: &str) -> String {
        self.keys(&["create", "--tenant", tenant, "--scope", scopes, "--label", "of a test"])
    }

    /// Revokes a key.
    pub fn revoke(&self, key: &str) {
        assert!(!self.keys(&["list", "--json"]).contains(key));
        self.keys(&["revoke", key.split('_').nth(1).unwrap()]);
    }

    /// No log has a secret.
    pub fn nothing_leaked(&self, secrets: &[&str]) {
        let own = [CANARY, PASSWORD, self.postgres.password.as_ref().unwrap().expose()];
        for entry in std::fs::read_dir(self.dir.path()).unwrap() {
            let Ok(log) = std::fs::read_to_string(entry.unwrap().path().join("log")) else { continue };
            for secret in own.iter().chain(secrets) {
                assert!(!log.contains(secret), "a secret is in the log");
            }
        }
    }
}

impl Running {
    /// Users' way in.
    pub fn client(&self, key: Option<&str>) -> Client {
        Client { port: self.port, key: key.map(str::to_owned) }
    }

    /// The operator's way in.
    pub fn internal(&self, token: Option<&str>) -> Client {
        Client { port: self.internal, key: token.map(str::to_owned) }
    }

    /// What it said so far.
    #[allow(dead_code, reason = "not all tests that share this read it")]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.lock().unwrap().signal(signal);
    }

    /// Asks it to end, and waits until it did.
    pub fn ends_well(self) {
        self.signal(Signal::TERM);
        let status = self.process.lock().unwrap().wait(Duration::from_secs(10));
        assert_eq!(status.code(), Some(0), "{}", std::fs::read_to_string(&self.log).unwrap());
    }

    /// Waits until it answers so.
    pub fn wait_status(&self, path: &str, status: u16) {
        let client = self.client(None);
        wait_until(&format!("{path} {status}"), || {
            let ended = self.process.lock().unwrap().ended();
            assert!(!ended, "{}", std::fs::read_to_string(&self.log).unwrap_or_default());
            client.send("GET", path, &[], b"").is_ok_and(|answer| answer.status == status)
        });
    }
}
