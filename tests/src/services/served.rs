//! `docmill serve` as a user starts it, on a data directory of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use docmill_core::id::TenantId;
use docmill_worker::api::keys;
use docmill_worker::clock::SystemClock;
use docmill_worker::desk::{Desk, NewKey};
use docmill_worker::sqlite::Database;
use rustix::process::Signal;

use super::http::Client;
use super::process::{Process, free_port, wait_until};
use crate::command::locate;

/// Longest wait for an orderly end.
const END_MAX: Duration = Duration::from_secs(90);
/// Name of the token's file in the data directory.
const TOKEN: &str = "api-token";

/// Makes a key on a data directory, which may last for so long; nobody else may have the directory meanwhile.
///
/// # Panics
/// The directory is served, or cannot be written to.
pub fn key(data: &Path, tenant: &str, scopes: &[&'static str], lasts_ms: Option<u64>) -> String {
    let database = Database::open(data, Arc::new(SystemClock)).unwrap();
    let (made, tenant) = (keys::generate().unwrap(), TenantId::new(tenant).unwrap());
    let key = made.key.expose().to_owned();
    let new = NewKey {
        id: &made.id,
        secret_hash: keys::hash_of(&key),
        label: "of a test",
        tenant: &tenant,
        scopes,
        lasts_ms,
    };
    tokio::runtime::Runtime::new().unwrap().block_on(database.create_key(&new)).unwrap();
    key
}

/// A server on one machine, gone with its handle.
pub struct Served {
    /// Where it answers, without a slash at the end.
    pub base: String,
    port: u16,
    data: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    process: Mutex<Option<Process>>,
    /// Its data, unless somebody else keeps them.
    _dir: Option<tempfile::TempDir>,
}

impl Served {
    /// Started with no documents, with the built-in mock models: nothing is loaded.
    ///
    /// # Panics
    /// It does not answer.
    pub fn start() -> Self {
        Self::start_with(&[], &[("USE_MOCK_EMBEDDINGS", "1"), ("USE_MOCK_LLM", "1")])
    }

    /// The same with these arguments and variables.
    ///
    /// # Panics
    /// It does not answer.
    pub fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let mut served = Self::on(&data, arguments, variables);
        served._dir = Some(dir);
        served
    }

    /// The same on this data directory.
    ///
    /// # Panics
    /// It does not answer.
    pub fn on(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let port = free_port();
        let served = Self {
            base: format!("http://127.0.0.1:{port}"),
            port,
            data: data.to_owned(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            process: Mutex::default(),
            _dir: None,
        };
        served.start_again();
        served
    }

    /// Starts it where it ended or was killed, and waits until it is ready.
    ///
    /// # Panics
    /// It does not answer.
    pub fn start_again(&self) {
        std::fs::create_dir_all(&self.data).unwrap();
        let mut command = Command::new(locate(None).unwrap());
        command.arg("--data-dir").arg(&self.data).arg("serve");
        command.args(["--listen", &format!("127.0.0.1:{}", self.port)]).args(&self.arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        *self.process.lock().unwrap() = Some(Process::start(&mut command, &self.log_file()));
        let client = Client { port: self.port, key: None };
        wait_until(&format!("docmill serve, {}", self.log_file().display()), || {
            assert!(!self.ended(), "docmill serve ended: {}", self.log());
            client.send("GET", "/readyz", &[], b"").is_ok_and(|answer| answer.status == 200)
        });
    }

    /// A caller on this machine who shows the token.
    ///
    /// # Panics
    /// There is no token.
    pub fn client(&self) -> Client {
        Client { port: self.port, key: Some(self.token()) }
    }

    /// A caller with this key, or with nothing.
    pub fn client_with(&self, key: Option<String>) -> Client {
        Client { port: self.port, key }
    }

    /// The token of this start.
    ///
    /// # Panics
    /// It cannot be read.
    pub fn token(&self) -> String {
        std::fs::read_to_string(self.data.join(TOKEN)).unwrap().trim().to_owned()
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// kill -9.
    ///
    /// # Panics
    /// Another thread panicked while it held the process.
    pub fn kill(&self) {
        drop(self.process.lock().unwrap().take());
    }

    /// SIGTERM, and a wait for the end.
    ///
    /// # Panics
    /// It takes too long, or ends with a failure.
    pub fn end(&self) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            process.signal(Signal::TERM);
            let status = process.wait(END_MAX);
            assert!(status.success(), "{status}: {}", self.log());
        }
    }

    /// Whether it ended by itself, or was killed.
    ///
    /// # Panics
    /// Another thread panicked while it held the process.
    pub fn ended(&self) -> bool {
        self.process.lock().unwrap().as_mut().is_none_or(Process::ended)
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.data.with_added_extension("log")
    }
}
