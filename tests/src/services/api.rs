//! `docmill-worker api` as a pod runs it, for harnesses that kill it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::Signal;

use super::http::Client;
use super::process::{Process, free_port, wait_until};
use super::worker::WorkerSetup;

/// The variable of what the operator shows.
pub const OPERATOR_VARIABLE: &str = "OPERATOR_TOKEN";
/// What that is where a test says nothing else.
const OPERATOR_TOKEN: &str = "token-of-nobody";

/// The API of a pipeline on one port, whatever process answers there.
pub struct ApiServer {
    setup: WorkerSetup,
    home: PathBuf,
    port: u16,
    internal: u16,
    process: Mutex<Option<Process>>,
}

impl ApiServer {
    /// With its files in `home`; nothing runs yet.
    ///
    /// # Panics
    /// The files cannot be written.
    pub fn new(setup: WorkerSetup, home: &Path) -> Self {
        Self::at(free_port(), setup, home)
    }

    /// The same on this port.
    ///
    /// # Panics
    /// The files cannot be written.
    pub fn at(port: u16, setup: WorkerSetup, home: &Path) -> Self {
        let internal = free_port();
        std::fs::create_dir_all(home).unwrap();
        let server = Self { setup, home: home.to_owned(), port, internal, process: Mutex::default() };
        server.configure(&server.setup);
        server
    }

    /// Writes its file; what the setup says of secrets is as it was.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn configure(&self, setup: &WorkerSetup) {
        let Self { home, port, internal, .. } = self;
        let text = format!(
            "{}api:\n  listen: 127.0.0.1:{port}\n  internalListen: 127.0.0.1:{internal}\n  \
             internalTokenEnv: {OPERATOR_VARIABLE}\n  tokenFile: {}\n{}",
            setup.config(*port, &home.join("scratch")),
            home.join("token").display(),
            setup.api,
        );
        std::fs::write(self.config(), text).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.home.join("worker.yaml")
    }

    /// Starts a process, and waits until it answers.
    ///
    /// # Panics
    /// It does not.
    pub fn start(&self) {
        let log = self.log_file();
        let process = Process::start(self.command(&["api"]).arg("--config").arg(self.config()), &log);
        *self.process.lock().unwrap() = Some(process);
        let client = self.client(None);
        wait_until(&format!("the API, {}", log.display()), || {
            client.send("GET", "/readyz", &[], b"").is_ok_and(|answer| answer.status == 200)
        });
    }

    /// kill -9.
    pub fn kill(&self) {
        drop(self.process.lock().unwrap().take());
    }

    /// SIGTERM, and a wait until it ended.
    ///
    /// # Panics
    /// It took longer.
    pub fn end(&self, limit: Duration) {
        if let Some(mut process) = self.process.lock().unwrap().take()
            && !process.ended()
        {
            process.signal(Signal::TERM);
            process.wait(limit);
        }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it ended by itself, or was killed.
    pub fn ended(&self) -> bool {
        self.process.lock().unwrap().as_mut().is_none_or(Process::ended)
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// A caller with this key.
    pub fn client(&self, key: Option<String>) -> Client {
        Client { port: self.port, key }
    }

    /// A caller at the operator's port.
    pub fn internal(&self, token: Option<String>) -> Client {
        Client { port: self.internal, key: token }
    }

    /// The file of what it says.
    pub fn log_file(&self) -> PathBuf {
        self.home.join("log")
    }

    /// Makes a key that may read and write.
    ///
    /// # Panics
    /// The ledger does not answer.
    pub fn key(&self, tenant: &str) -> String {
        self.key_with(tenant, "read,write")
    }

    /// Makes a key with these scopes.
    ///
    /// # Panics
    /// The ledger does not answer.
    pub fn key_with(&self, tenant: &str, scopes: &str) -> String {
        let mut command = self.command(&["keys", "create", "--tenant", tenant, "--scope", scopes]);
        let output =
            command.args(["--label", "of a test", "--config"]).arg(self.config()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.setup.command(args, "api");
        if !self.setup.variables.iter().any(|(name, _)| name == OPERATOR_VARIABLE) {
            command.env(OPERATOR_VARIABLE, OPERATOR_TOKEN);
        }
        command
    }
}
