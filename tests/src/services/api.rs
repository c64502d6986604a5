//! `docmill-worker api` as a pod runs it, for harnesses that kill it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use super::http::Client;
use super::process::{Process, free_port, wait_until};
use super::worker::WorkerSetup;

/// What the operator shows, which no test of this kind does.
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
        let (port, internal) = (free_port(), free_port());
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
             internalTokenEnv: OPERATOR_TOKEN\n  tokenFile: {}\n",
            setup.config(*port, &home.join("scratch")),
            home.join("token").display(),
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
        let log = self.home.join("log");
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

    /// Whether it ended by itself, or was killed.
    pub fn ended(&self) -> bool {
        self.process.lock().unwrap().as_mut().is_none_or(Process::ended)
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }

    /// A caller with this key.
    pub fn client(&self, key: Option<String>) -> Client {
        Client { port: self.port, key }
    }

    /// Makes a key that may read and write.
    ///
    /// # Panics
    /// The ledger does not answer.
    pub fn key(&self, tenant: &str) -> String {
        self.key_for(tenant, "read,write")
    }

    /// Makes a key with these scopes.
    ///
    /// # Panics
    /// The ledger does not answer.
    pub fn key_for(&self, tenant: &str, scopes: &str) -> String {
        let mut command = self.command(&["keys", "create", "--tenant", tenant, "--scope", scopes]);
        let output =
            command.args(["--label", "of a test", "--config"]).arg(self.config()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.setup.command(args, "api");
        command.env("OPERATOR_TOKEN", OPERATOR_TOKEN);
        command
    }
}
