//! Servers that are measured: started, waited for, ended.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::http;
use super::metrics::Metrics;
use super::report::number;
use crate::process;

/// Longest wait until a server answers: the peer loads its model first.
const START_MAX: Duration = Duration::from_secs(180);
/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Lines of its log that are told where it fails.
const LINES: usize = 20;

/// The command, built for release, on a data directory.
pub fn docmill(data: &Path) -> Command {
    let mut command = Command::new(process::target_dir().join("release/docmill"));
    command.env_remove("DOCMILL_SERVER").arg("--data-dir").arg(data);
    command
}

/// A port that nobody listens on.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Looks until something is there.
pub fn wait(what: &str, mut is_there: impl FnMut() -> Result<bool>) -> Result<()> {
    let until = Instant::now() + START_MAX;
    while !is_there()? {
        ensure!(Instant::now() < until, "{what} did not come in {} s", START_MAX.as_secs());
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// A process; ended when it is dropped.
pub struct Running {
    child: Child,
    /// By SIGINT, as it has servers to end itself.
    by_asking: bool,
}

impl Running {
    /// Starts it, with all that it says in a file.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let file = fs::File::create(log)?;
        let started = command.stdout(file.try_clone()?).stderr(file).stdin(Stdio::null()).spawn();
        let child = started.with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self { child, by_asking: false })
    }

    /// One that is asked to end, and waited for: killed, it would leave servers of its own.
    pub fn with_servers(mut self) -> Self {
        self.by_asking = true;
        self
    }

    /// Fails where it ended.
    pub fn still(&mut self, log: &Path) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("what writes {} ended ({status}):\n{}", log.display(), last_lines(log)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = match self.by_asking {
            true => Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().map(drop),
            false => self.child.kill(),
        };
        let _ = self.child.wait();
    }
}

/// A server that is ready.
pub struct Server {
    pub url: String,
    _running: Running,
}

impl Server {
    /// Starts it, and waits until it is ready.
    pub fn start(command: &mut Command, log: &Path, port: u16) -> Result<Self> {
        let url = format!("http://127.0.0.1:{port}");
        let mut running = Running::start(command, log)?;
        wait(&url, || {
            running.still(log)?;
            Ok(http::get(&url, "/readyz").is_ok())
        })?;
        Ok(Self { url, _running: running })
    }
}

/// `docmill serve`.
pub struct Served {
    pub url: String,
    data: PathBuf,
    _server: Server,
}

impl Served {
    /// Of a data directory; where `mock_llm`, a mock writes its answers.
    pub fn start(data: &Path, mock_llm: bool, more: &[&str]) -> Result<Self> {
        let port = free_port()?;
        let mut command = docmill(data);
        for name in ["DOCMILL_ASK_URL", "DOCMILL_ASK_MODEL", "USE_MOCK_EMBEDDINGS", "MOCK_LLM_DELAY_MS"] {
            command.env_remove(name);
        }
        command.env("USE_MOCK_LLM", if mock_llm { "1" } else { "0" });
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}")]).args(more);
        let server = Server::start(&mut command, &data.with_extension("log"), port)?;
        Ok(Self { url: server.url.clone(), data: data.to_owned(), _server: server })
    }

    /// What changes need.
    pub fn token(&self) -> Result<String> {
        let path = self.data.join("api-token");
        let token = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(token.trim().to_owned())
    }

    pub fn metrics(&self) -> Result<Metrics> {
        Ok(Metrics::of(http::get(&self.url, "/metrics")?))
    }

    fn overview(&self) -> Result<Value> {
        Ok(serde_json::from_str(&http::get(&self.url, "/v1/overview")?)?)
    }

    /// Documents in a state.
    pub fn documents(&self, state: &str) -> Result<u64> {
        Ok(self.overview()?["documents"][state].as_u64().unwrap_or(0))
    }

    /// Requests that a remembered answer was there for, and those that none was.
    pub fn remembered(&self) -> Result<(f64, f64)> {
        let overview = self.overview()?;
        Ok((number(&overview, "/cache/hits")?, number(&overview, "/cache/misses")?))
    }
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
