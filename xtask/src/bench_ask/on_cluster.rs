//! Questions to a cluster of this machine, beside `docmill serve`; and beside the cluster's own parts without Kubernetes, which
//! tells what of the difference is Kubernetes and what is other stores.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::line::Line;
use super::report::{self, Asked, JUDGED, level, levels, number};
use super::server::{Running, Served, free_port, wait};
use super::{Context, MOCK, http};
use crate::{corpus, process};

/// Questions of each level.
const REQUESTS: u32 = 400;
/// How many are asked at once, of one server after the other.
const LEVELS: [u64; 5] = [1, 5, 10, 20, 50];
/// What is wanted of each.
const TIMES_MAX: f64 = 1.5;

/// Measures the cluster's API at `url`, whose key is in the file that `DOCMILL_API_KEY_FILE` names.
pub fn measure(context: &Context, url: &str, line: &mut Line) -> Result<()> {
    let key = std::env::var_os("DOCMILL_API_KEY_FILE")
        .context("DOCMILL_API_KEY_FILE is not set: `cargo xtask cluster up` says to what")?;
    let served = Served::start(&context.place.join(MOCK), true, &[])?;
    let services = Services::start(context)?;
    let (mut beside_served, mut beside_services) = (0.0, 0.0);
    for concurrency in LEVELS {
        let local = rate(context, concurrency, &served.url, None)?;
        let same_servers = rate(context, concurrency, &services.url, Some(&services.key))?;
        let there = rate(context, concurrency, url, Some(Path::new(&key)))?;
        ensure!(there > 0.0, "the cluster answered nothing at {concurrency}");
        beside_served = f64::max(beside_served, local / there);
        beside_services = f64::max(beside_services, same_servers / there);
        if concurrency == JUDGED {
            line.tell("services_rps", same_servers);
            line.tell("k8s_rps", there);
        }
    }
    line.tell("services_to_k8s_max", beside_services);
    line.judge("local_to_k8s_max", beside_served, beside_served < TIMES_MAX, "below 1.5 at every level");
    Ok(())
}

/// Questions that a server answers in a second.
fn rate(context: &Context, concurrency: u64, url: &str, key: Option<&Path>) -> Result<f64> {
    let (at_once, key) = (concurrency.to_string(), key.map(|path| path.to_string_lossy()));
    let mut more = vec!["--concurrency", &at_once];
    if let Some(key) = &key {
        more.extend(["--api-key-file", key]);
    }
    let place = context.place.join("k8s.json");
    let asked =
        Asked { config: "mock-both", url, compare: None, requests: REQUESTS, more: &more, report: &place };
    let report = report::ask(&asked)?;
    number(level(levels(&report)?, concurrency)?, "/local/rps")
}

/// `cargo xtask services`, built for release, with the demo documents and the mocks.
struct Services {
    url: String,
    key: PathBuf,
    _running: Running,
}

impl Services {
    fn start(context: &Context) -> Result<Self> {
        let (port, log) = (free_port()?, context.place.join("services.log"));
        let mut command = Command::new(process::target_dir().join("release/services"));
        command.args(["--port", &port.to_string()]);
        command.env("USE_MOCK_LLM", "1").env("USE_MOCK_EMBEDDINGS", "1").env("MOCK_LLM_DELAY_MS", "0");
        let mut running = Running::start(&mut command, &log)?.with_servers();
        let (url, mut told) = (format!("http://127.0.0.1:{port}"), None);
        wait(&url, || {
            running.still(&log)?;
            told = key_of(&fs::read_to_string(&log)?);
            Ok(told.as_ref().is_some_and(|key| key.is_file()) && http::get(&url, "/readyz").is_ok())
        })?;
        let services = Self { url, key: told.context("no key was told")?, _running: running };
        services.hand_in(context)?;
        Ok(services)
    }

    fn hand_in(&self, context: &Context) -> Result<()> {
        let mut submit = Command::new(process::target_dir().join("release/docmill"));
        submit.args(["--server", &self.url, "--api-key-file"]).arg(&self.key);
        // What was handed in goes with the servers: what is noted of it helps no later run.
        submit.env_remove("DOCMILL_API_KEY").env("XDG_STATE_HOME", context.fresh("state")?);
        process::run_quiet(submit.arg("submit").arg(corpus::docs()?).arg("--wait"))
    }
}

/// The key's file, once it is told.
fn key_of(told: &str) -> Option<PathBuf> {
    let (_, after) = told.split_once("DOCMILL_API_KEY_FILE=")?;
    let (path, _) = after.split_once('\n')?;
    Some(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_read_when_its_line_is_whole() {
        assert_eq!(key_of("export DOCMILL_API_KEY_FILE=/tmp/ke"), None);
        assert_eq!(
            key_of("a\nexport DOCMILL_SERVER=x DOCMILL_API_KEY_FILE=/tmp/key\nb"),
            Some("/tmp/key".into())
        );
    }
}
