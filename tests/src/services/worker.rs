//! `docmill-worker run` as a pod runs it: a process of its own with a configuration file.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::time::Duration;

use docmill_worker::{neo4j, postgres};
use rustix::process::Signal;

use super::process::{Process, free_port, wait_until};
use super::redis::{PASSWORD, USER};

/// Longest wait for a worker's own page: it may be stopped in the middle of an answer.
const PAGE_MAX: Duration = Duration::from_secs(2);

/// What workers are told, and where their servers are.
#[derive(Debug, Clone)]
pub struct WorkerSetup {
    /// Where the queue is.
    pub redis_url: String,
    /// Ledger, texts, vectors.
    pub postgres: postgres::Options,
    /// The graph; without it, it is beside the ledger.
    pub neo4j: Option<neo4j::Options>,
    /// Below which documents may be files.
    pub file_root: Option<PathBuf>,
    /// The section `objects`, as it stands in the file; may be empty.
    pub objects: String,
    /// Further sections, as they stand in the file; may be empty.
    pub sections: String,
    /// Further keys of the section `api`, indented, as they stand in the file; may be empty.
    pub api: String,
    /// Extractors at once.
    pub concurrency: usize,
    /// Time of a lease.
    pub lease_ms: u64,
    /// Time to finish when asked to end.
    pub grace_ms: u64,
    /// Delay of removals.
    pub cleanup_delay_ms: u64,
    /// Where the scratch of each process is made; without it, among its other files.
    pub scratch: Option<PathBuf>,
    /// Further variables of the process.
    pub variables: Vec<(String, String)>,
}

impl WorkerSetup {
    /// Usual times.
    pub fn new(redis_port: u16, postgres: postgres::Options) -> Self {
        Self {
            redis_url: format!("redis://127.0.0.1:{redis_port}"),
            postgres,
            neo4j: None,
            file_root: None,
            objects: String::new(),
            sections: String::new(),
            api: String::new(),
            concurrency: 2,
            lease_ms: 30_000,
            grace_ms: 10_000,
            cleanup_delay_ms: 0,
            scratch: None,
            variables: Vec::new(),
        }
    }

    /// The configuration file of a worker that listens on `port`.
    pub fn config(&self, port: u16, scratch: &Path) -> String {
        let Self { concurrency, cleanup_delay_ms, grace_ms, lease_ms, postgres, .. } = self;
        let file_root = self
            .file_root
            .as_ref()
            .map(|root| format!("fileRoot: {}\n", root.display()))
            .unwrap_or_default();
        let graph = self.neo4j.as_ref().map(|neo4j| {
            let (url, user) = (&neo4j.url, &neo4j.username);
            format!(
                "graph:\n  neo4j:\n    url: {url}\n    username: {user}\n    passwordEnv: NEO4J_PASSWORD\n"
            )
        });
        format!(
            "pipeline: test\nconcurrency: {concurrency}\ncleanupDelayMs: {cleanup_delay_ms}\n\
             graceMs: {grace_ms}\nhealth: {{port: {port}}}\n{file_root}\
             scratch: {{path: {}, limitMib: 64}}\n{}\
             queue:\n  redis:\n    url: {}\n    username: {USER}\n    \
             passwordEnv: REDIS_PASSWORD\n    keyPrefix: docmill:test\n    leaseMs: {lease_ms}\n    \
             responseTimeoutMs: {}\n\
             ledger:\n  postgres:\n    url: {}\n    user: {}\n    schema: {}\n    passwordEnv: PG_PASSWORD\n{}{}",
            scratch.display(),
            self.objects,
            self.redis_url,
            (lease_ms / 3).min(1_000),
            postgres.url,
            postgres.user,
            postgres.schema.as_str(),
            graph.unwrap_or_default(),
            self.sections,
        )
    }

    /// Starts a worker with its files in `home`. Its name in the ledger begins with `name`.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start(&self, home: &Path, name: &str) -> Worker {
        let port = free_port();
        std::fs::create_dir_all(home).unwrap();
        let file = home.join("worker.yaml");
        let scratch =
            self.scratch.as_ref().map_or_else(|| home.join("scratch"), |scratch| scratch.join(name));
        std::fs::write(&file, self.config(port, &scratch)).unwrap();
        let log = home.join("log");
        let mut command = self.command(&["run", "--config"], name);
        command.arg(&file);
        Worker { process: Process::start(&mut command, &log), name: name.to_owned(), port, log }
    }

    /// Runs a command of the program to its end, with its configuration in `home`.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn run(&self, home: &Path, args: &[&str]) -> Output {
        std::fs::create_dir_all(home).unwrap();
        let file = home.join("worker.yaml");
        std::fs::write(&file, self.config(free_port(), &home.join("scratch"))).unwrap();
        self.command(args, "command").arg("--config").arg(&file).output().unwrap()
    }

    /// The program with its secrets, on a host of this name.
    pub fn command(&self, args: &[&str], host: &str) -> Command {
        let mut command = Command::new(program());
        command.args(args).env("HOSTNAME", host).env("REDIS_PASSWORD", PASSWORD);
        if let Some(password) = &self.postgres.password {
            command.env("PG_PASSWORD", password.expose());
        }
        if let Some(password) = self.neo4j.as_ref().and_then(|neo4j| neo4j.password.as_ref()) {
            command.env("NEO4J_PASSWORD", password.expose());
        }
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        command
    }
}

/// A worker process, killed when it is dropped.
pub struct Worker {
    process: Process,
    name: String,
    port: u16,
    log: PathBuf,
}

impl Worker {
    /// What its name in the ledger begins with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        self.process.wait(limit)
    }

    /// Whether it ended by itself.
    pub fn ended(&mut self) -> bool {
        self.process.ended()
    }

    /// Waits until it says that it takes work.
    pub fn wait_ready(&self) {
        self.wait_status("/readyz", 200);
    }

    /// Waits until it answers so.
    pub fn wait_status(&self, path: &str, status: u16) {
        wait_until(&format!("{path} {status}, {}", self.log.display()), || {
            self.try_get(path).is_ok_and(|(found, _)| found == status)
        });
    }

    /// Status and body.
    ///
    /// # Panics
    /// It does not answer.
    pub fn get(&self, path: &str) -> (u16, String) {
        self.try_get(path).unwrap()
    }

    /// Status and body, if it answers.
    ///
    /// # Errors
    /// It does not.
    pub fn try_get(&self, path: &str) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PAGE_MAX))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok((status, body.to_owned()))
    }
}

/// The worker beside this executable.
///
/// # Panics
/// It was not built.
pub fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let beside = own.ancestors().skip(1).take(2).map(|folder: &Path| folder.join("docmill-worker"));
    beside.into_iter().find(|path| path.is_file()).expect("`cargo build --workspace` makes docmill-worker")
}
