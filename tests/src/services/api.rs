//! `docmill-worker api` as a pod runs it, for harnesses that kill it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

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
    config: PathBuf,
    log: PathBuf,
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
        let config = home.join("worker.yaml");
        let text = format!(
            "{}api:\n  listen: 127.0.0.1:{port}\n  internalListen: 127.0.0.1:{internal}\n  \
             internalTokenEnv: {OPERATOR_VARIABLE}\n  tokenFile: {}\n{}",
            setup.config(port, &home.join("scratch")),
            home.join("token").display(),
            setup.api,
        );
        std::fs::write(&config, text).unwrap();
        Self { setup, config, log: home.join("log"), port, internal, process: Mutex::default() }
    }

    /// Starts a process, and waits until it answers.
    ///
    /// # Panics
    /// It does not.
    pub fn start(&self) {
        let process = Process::start(self.command(&["api"]).arg("--config").arg(&self.config), &self.log);
        *self.process.lock().unwrap() = Some(process);
        let client = self.client(None);
        wait_until(&format!("the API, {}", self.log.display()), || {
            client.send("GET", "/readyz", &[], b"").is_ok_and(|answer| answer.status == 200)
        });
    }

    /// kill -9.
    pub fn kill(&self) {
        drop(self.process.lock().unwrap().take());
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A caller with this key.
    pub fn client(&self, key: Option<String>) -> Client {
        Client { port: self.port, key }
    }

    /// A caller at the operator's port.
    pub fn internal(&self, token: Option<String>) -> Client {
        Client { port: self.internal, key: token }
    }

    /// What it says.
    pub fn log(&self) -> &Path {
        &self.log
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
        let output = command.args(["--label", "of a test", "--config"]).arg(&self.config).output().unwrap();
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
