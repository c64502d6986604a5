//! The `docmill` command against a server, and a server that only refuses.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use docmill_tests::services::process::{Process, free_port};
use serde_json::Value;

/// How long the command tries again in tests of what it says in the end, in seconds.
pub const IMPATIENT: &str = "1";

/// Who runs the command, with a home of their own.
pub struct User {
    pub home: tempfile::TempDir,
    pub server: String,
    key: String,
}

impl User {
    pub fn new(port: u16, key: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("docs")).unwrap();
        Self { home, server: format!("http://127.0.0.1:{port}"), key: key.to_owned() }
    }

    /// The directory that is submitted.
    pub fn docs(&self) -> PathBuf {
        self.home.path().join("docs")
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.docs().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(docmill_tests::command::locate(None).unwrap());
        command.env_clear().env("HOME", self.home.path()).env("DOCMILL_API_KEY", &self.key);
        command.env("DOCMILL_SERVER", &self.server).env("DOCMILL_ORIGIN", "desk").args(args);
        command
    }

    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// The JSON that it prints, and its exit code.
    pub fn json(&self, args: &[&str]) -> (Value, i32) {
        let output = self.output(&[&["--json"], args].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        let value = serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("{args:?}: {error}: {text}{}", String::from_utf8_lossy(&output.stderr))
        });
        (value, output.status.code().unwrap())
    }

    /// Begins it; what it prints goes into a file.
    pub fn begin(&self, args: &[&str], log: &Path) -> Process {
        Process::start(&mut self.command(args), log)
    }
}

/// Answers every request alike; gives the port.
pub fn refusing(status: &'static str, head: &'static str, body: &'static str) -> u16 {
    let port = free_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut asked = [0; 4_096];
            let _ = stream.read(&mut asked);
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\n{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
        }
    });
    port
}
