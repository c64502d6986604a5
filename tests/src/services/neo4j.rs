//! A real Neo4j Community, from the jars that `cargo xtask setup` fetches: on loopback, in a directory of its
//! own. Each takes some seconds of processor to start, so the tests of a process share one and take turns.
//!
//! What is shared is never dropped. So a keeper, a small shell script, waits for the end of its input, which
//! comes when the process that holds the other end is gone in whatever way; it then kills the server and
//! removes its directory.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use docmill_core::manifest::Store;
use docmill_worker::neo4j::bolt::{Value, map};
use docmill_worker::neo4j::{Database, GraphSink, Options};
use docmill_worker::secret::Secret;
use docmill_worker::sink::Sink;
use tokio::sync::OwnedMutexGuard;

use super::cache;
use super::process::{Process, free_port, wait_until};
use crate::contract::{Backend, memory};

/// The user.
pub const USER: &str = "neo4j";
/// Its password; the server listens on loopback and dies with the test.
pub const PASSWORD: &str = "only-for-tests";

/// Where setup puts the jars, below the cache.
const INSTALLED: &str = "services/neo4j";
/// Garbage collector and compiler that start fastest, and what the server needs of Java's inside.
const JAVA: &[&str] = &[
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-modules=jdk.incubator.vector",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dlog4j2.disable.jmx=true",
    "-Dfile.encoding=UTF-8",
];
/// The heap. The server's own launcher would read it from the settings; started directly, Java has to be told.
const HEAP: &str = "320m";

/// The number of a process may be another's by then: its command line has to name our directory.
const KEEPER: &str = r#"
while read -r line; do :; done
pid=$(cat "$1/pid" 2>/dev/null)
if [ -n "$pid" ] && tr '\0' '\n' < "/proc/$pid/cmdline" 2>/dev/null | grep -qxF -e "--home-dir=$1"; then
    kill -KILL "$pid"
    while [ -e "/proc/$pid" ]; do sleep 0.05; done
fi
rm -rf "$1"
"#;

/// A running server. It dies with its handle, or with the process that has it.
pub struct Neo4jServer {
    dir: PathBuf,
    keeper: Mutex<Child>,
    port: u16,
    tls: bool,
    process: Mutex<Option<Process>>,
}

/// The server that the tests of this process share, empty, and for as long as the guard is kept one's own.
pub async fn shared() -> (&'static Neo4jServer, OwnedMutexGuard<()>) {
    static SHARED: OnceLock<Neo4jServer> = OnceLock::new();
    static TURN: OnceLock<Arc<tokio::sync::Mutex<()>>> = OnceLock::new();
    let turn = TURN.get_or_init(Arc::default).clone().lock_owned().await;
    let server = SHARED.get_or_init(|| Neo4jServer::start(false));
    server.empty().await;
    (server, turn)
}

/// The memory twins, with the graph in the shared server.
pub async fn backend() -> Backend {
    let (server, turn) = shared().await;
    let database = Database::open(&server.options()).await.unwrap();
    let graph: Arc<dyn Sink> = Arc::new(GraphSink::new(database.clone()));
    let counted = database.clone();
    let mut backend = memory().await;
    backend.sinks.insert(Store::Graph, graph);
    Backend {
        leave_loose_end: Box::new(move || blocking(leave_loose_end(&database))),
        concepts: Box::new(move || blocking(count(&counted, "(:CanonicalConcept)")).try_into().unwrap()),
        keep: Box::new(turn),
        ..backend
    }
}

fn blocking<T>(work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
}

/// Leaves a concept that nothing mentions.
pub async fn leave_loose_end(database: &Database) {
    let create = "CREATE (:CanonicalConcept {tenant_id: 'default', canonical_name: 'loose'})";
    database.run(create, map([])).await.unwrap();
}

/// How often a pattern is found.
pub async fn count(database: &Database, pattern: &str) -> i64 {
    let rows = database.run(&format!("MATCH {pattern} RETURN count(*)"), map([])).await.unwrap();
    rows[0][0].int().unwrap()
}

/// All values of a statement's rows, as texts; numbers in digits.
pub async fn told(database: &Database, statement: &str) -> Vec<Vec<String>> {
    let shown = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let rows = database.run(statement, map([])).await.unwrap();
    rows.iter().map(|row| row.iter().map(shown).collect()).collect()
}

impl Neo4jServer {
    /// Starts a server, with TLS on its port where asked for, and waits until it answers.
    pub fn start(tls: bool) -> Self {
        let dir = tempfile::Builder::new().prefix("docmill-neo4j-").tempdir().unwrap().keep();
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(&dir).stdin(Stdio::piped()).process_group(0);
        let keeper = keeper.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let port = free_port();
        let home = &dir;
        for folder in ["conf", "data", "logs", "plugins", "import", "tls"] {
            fs::create_dir(home.join(folder)).unwrap();
        }
        let mut settings = format!(
            "server.default_listen_address=127.0.0.1\nserver.default_advertised_address=localhost\n\
             server.bolt.enabled=true\nserver.bolt.listen_address=127.0.0.1:{port}\n\
             server.http.enabled=false\nserver.https.enabled=false\n\
             server.memory.heap.initial_size={HEAP}\nserver.memory.heap.max_size={HEAP}\n\
             server.memory.pagecache.size=64m\ndbms.usage_report.enabled=false\nclient.allow_telemetry=false\n"
        );
        if tls {
            super::certificates::write(&home.join("tls"));
            settings += &format!(
                "server.bolt.tls_level=REQUIRED\ndbms.ssl.policy.bolt.enabled=true\n\
                 dbms.ssl.policy.bolt.base_directory={}\ndbms.ssl.policy.bolt.private_key=server.key\n\
                 dbms.ssl.policy.bolt.public_certificate=server.pem\ndbms.ssl.policy.bolt.client_auth=NONE\n",
                home.join("tls").display()
            );
        }
        fs::write(home.join("conf/neo4j.conf"), settings).unwrap();
        let server = Self { dir, keeper: Mutex::new(keeper), port, tls, process: Mutex::default() };
        server.set_password();
        server.start_again();
        server
    }

    /// Before the first start: that would else want the password changed.
    fn set_password(&self) {
        let mut command = self.java(&[]);
        command.args(["org.neo4j.cli.AdminTool", "dbms", "set-initial-password", PASSWORD]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn java(&self, own: &[&str]) -> Command {
        let installed = cache().expect("a home for the cache").join(INSTALLED);
        assert!(installed.join("jars.sha256").is_file(), "no Neo4j in the cache: run `cargo xtask setup`");
        let home = &self.dir;
        let mut classes = OsString::from(home.join("conf"));
        classes.push(":");
        classes.push(installed.join("lib/*"));
        let mut command = Command::new("java");
        command.env("NEO4J_HOME", home).env("NEO4J_CONF", home.join("conf"));
        command.args(JAVA).args(own).arg("-cp").arg(classes);
        command
    }

    /// Starts it on the files that it has, and waits until it answers.
    pub fn start_again(&self) {
        let log = self.log();
        let _ = fs::remove_file(&log);
        let mut command = self.java(&[&format!("-Xms{HEAP}"), &format!("-Xmx{HEAP}")]);
        command.arg("org.neo4j.server.CommunityEntryPoint").arg("--console-mode");
        let mut argument = |name: &str, path: PathBuf| {
            let mut text = OsString::from(name);
            text.push(path);
            command.arg(text);
        };
        argument("--home-dir=", self.dir.clone());
        argument("--config-dir=", self.dir.join("conf"));
        let mut process = Process::start(&mut command, &log);
        fs::write(self.dir.join("pid"), process.id().to_string()).unwrap();
        wait_until("Neo4j", || {
            let said = fs::read_to_string(&log).unwrap_or_default();
            assert!(!process.ended(), "it ended: {said}");
            said.contains("Started.")
        });
        *self.process.lock().unwrap() = Some(process);
        self.wait_for_an_answer();
    }

    /// It opens its port long before it answers anything. On a thread of its own, as the caller may or may not be
    /// in a runtime.
    fn wait_for_an_answer(&self) {
        let ask = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let database = Database::connect(&self.options()).await?;
                database.run("RETURN 1", map([])).await
            })
        };
        wait_until("an answer of Neo4j", || {
            std::thread::scope(|scope| scope.spawn(ask).join().is_ok_and(|answered| answered.is_ok()))
        });
    }

    /// Kills it as a machine dies: no farewell, nothing written any more.
    pub fn kill(&self) {
        *self.process.lock().unwrap() = None;
    }

    /// Gives it a new volume: nothing that it had is there any more, constraints included. It runs again
    /// when this returns.
    pub fn wipe(&self) {
        self.kill();
        let data = self.dir.join("data");
        fs::remove_dir_all(&data).unwrap();
        fs::create_dir(&data).unwrap();
        self.set_password();
        self.start_again();
    }

    /// What it says.
    pub fn log(&self) -> PathBuf {
        self.dir.join("console.log")
    }

    /// Removes all nodes and constraints, as a new volume would.
    pub async fn empty(&self) {
        let database = Database::connect(&self.options()).await.unwrap();
        // In this order: a constraint takes its index with it.
        for (kind, all) in [("CONSTRAINT", "CONSTRAINTS"), ("INDEX", "INDEXES")] {
            let ours = format!("SHOW {all} YIELD name WHERE name STARTS WITH 'docmill' RETURN name");
            for row in told(&database, &ours).await {
                database.run(&format!("DROP {kind} {} IF EXISTS", row[0]), map([])).await.unwrap();
            }
        }
        // In parts: the small heap does not take all changes at once.
        let some = "MATCH (n) WITH n LIMIT 5000 DETACH DELETE n RETURN count(*)";
        while told(&database, some).await != [["0"]] {}
    }

    /// The certificate of the CA that its own is signed with.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.join("tls/ca.pem")
    }

    /// What [`USER`] needs to use it.
    pub fn options(&self) -> Options {
        let scheme = if self.tls { "bolt+s" } else { "bolt" };
        Options {
            url: format!("{scheme}://127.0.0.1:{}", self.port),
            username: USER.to_owned(),
            password: Some(Secret::new(PASSWORD)),
            tls_ca_file: self.tls.then(|| self.ca_file()),
            ..Options::default()
        }
    }
}

impl Drop for Neo4jServer {
    fn drop(&mut self) {
        self.kill();
        if let Ok(mut keeper) = self.keeper.lock() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}
