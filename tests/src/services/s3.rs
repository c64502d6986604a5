//! A real S3 server (versitygw) that checks signatures, from the program that `cargo xtask setup` builds.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use docmill_worker::objects::S3Options;
use docmill_worker::secret::Secret;
use tempfile::TempDir;

use super::cache;
use super::process::{Process, free_port, wait_until};

/// The server's account.
pub const KEY_ID: &str = "docmill-test";
/// Its secret; the server listens on loopback and dies with the test.
pub const SECRET: &str = "only-for-tests";
/// Where setup puts the program, below the cache.
const PROGRAM: &str = "services/versitygw/versitygw";

/// A running server.
pub struct S3Server {
    dir: TempDir,
    port: u16,
    secret: String,
    process: Mutex<Option<Process>>,
}

impl S3Server {
    /// Starts a server and waits until it answers.
    pub fn start() -> Self {
        Self::start_with(SECRET)
    }

    /// The same whose account has this secret.
    pub fn start_with(secret: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("buckets")).unwrap();
        let server = Self { dir, port: free_port(), secret: secret.to_owned(), process: Mutex::default() };
        server.start_again();
        server
    }

    /// Kills it as a machine dies.
    pub fn kill(&self) {
        *self.process.lock().unwrap() = None;
    }

    /// Starts it on the objects that it has, and waits until it answers.
    pub fn start_again(&self) {
        let program = cache().expect("a home for the cache").join(PROGRAM);
        let (dir, port) = (&self.dir, self.port);
        let mut command = Command::new(program);
        command.env("ROOT_ACCESS_KEY", KEY_ID).env("ROOT_SECRET_KEY", &self.secret).arg("--quiet");
        command.args(["--port", &format!("127.0.0.1:{port}"), "posix"]).arg(dir.path().join("buckets"));
        let log = dir.path().join("log");
        let mut process = Process::start(&mut command, &log);
        wait_until("versitygw", || {
            assert!(!process.ended(), "it ended: {}", std::fs::read_to_string(&log).unwrap_or_default());
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        *self.process.lock().unwrap() = Some(process);
    }

    /// A bucket of its own.
    pub fn fresh(&self) -> S3Options {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let bucket = format!("bucket-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        // A folder is a bucket to this server.
        std::fs::create_dir(self.folder(&bucket)).unwrap();
        S3Options {
            bucket,
            endpoint: Some(format!("http://127.0.0.1:{}", self.port)),
            keys: Some((Secret::new(KEY_ID), Secret::new(self.secret.as_str()))),
            allow_http: true,
            ..S3Options::default()
        }
    }

    /// What it says.
    pub fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// Where the server keeps a bucket.
    pub fn folder(&self, bucket: &str) -> PathBuf {
        self.dir.path().join("buckets").join(bucket)
    }
}

/// The section `objects` of a configuration file that leads to this bucket; the secret is in a variable.
pub fn section(options: &S3Options, secret_variable: &str) -> String {
    let endpoint = options.endpoint.as_deref().unwrap_or_default();
    format!(
        "objects:\n  s3:\n    bucket: {}\n    endpoint: {endpoint}\n    allowHttp: true\n    \
         accessKeyIdEnv: S3_KEY_ID\n    secretAccessKeyEnv: {secret_variable}\n",
        options.bucket
    )
}
