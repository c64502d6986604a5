//! Questions to the same parts on this machine and on a cluster of it: what Kubernetes adds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::line::Line;
use super::report::{self, Asked, number};
use super::server::{free_port, wait};
use super::{Context, http};
use crate::{corpus, process};

/// Questions of each level.
const REQUESTS: u32 = 200;
/// Levels, asked one after the other of both.
const LEVELS: [&str; 5] = ["1", "5", "10", "20", "50"];
/// What is wanted of each.
const TIMES_MAX: f64 = 1.5;

/// Measures the cluster's API at `url`, whose key is in the file that `DOCMILL_API_KEY_FILE` names, beside an API of this
/// machine with the same servers and documents.
pub fn measure(context: &Context, url: &str, line: &mut Line) -> Result<()> {
    let key = std::env::var_os("DOCMILL_API_KEY_FILE")
        .context("DOCMILL_API_KEY_FILE is not set: `cargo xtask cluster up` says to what")?;
    let local = Services::start(context)?;
    let rates = |concurrency: &str, url: &str, key: &Path| -> Result<f64> {
        let report = context.place.join("k8s.json");
        let key = key.to_string_lossy();
        let more = ["--concurrency", concurrency, "--api-key-file", &key];
        let config = "mock-both";
        let asked = Asked { config, url, compare: None, requests: REQUESTS, more: &more, report: &report };
        number(&report::ask(&asked)?["configs"][0]["levels"][0], "/local/rps")
    };
    let mut most = 0.0;
    for level in LEVELS {
        let here = rates(level, &local.url, &local.key)?;
        let there = rates(level, url, Path::new(&key))?;
        ensure!(there > 0.0, "the cluster answered nothing at {level}");
        most = f64::max(most, here / there);
        if level == "10" {
            line.tell("services_rps", here);
            line.tell("k8s_rps", there);
        }
    }
    line.judge("local_to_k8s_max", most, most < TIMES_MAX, "below 1.5 at every level");
    Ok(())
}

/// `cargo xtask services`, built for release, with the demo documents and the mocks.
struct Services {
    url: String,
    key: PathBuf,
    child: Child,
}

impl Services {
    fn start(context: &Context) -> Result<Self> {
        let (port, log) = (free_port()?, context.place.join("services.log"));
        let file = fs::File::create(&log)?;
        let mut command = Command::new(process::target_dir().join("release/services"));
        command.args(["--port", &port.to_string()]);
        command.env("USE_MOCK_LLM", "1").env("USE_MOCK_EMBEDDINGS", "1").env("MOCK_LLM_DELAY_MS", "0");
        let command = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let url = format!("http://127.0.0.1:{port}");
        let mut services = Self { url, key: PathBuf::new(), child };
        wait(&services.url.clone(), || {
            let ended = services.child.try_wait()?;
            ensure!(ended.is_none(), "what writes {} ended", log.display());
            services.key = key_of(&fs::read_to_string(&log)?).unwrap_or_default();
            Ok(services.key.is_file() && http::get(&services.url, "/readyz").is_ok())
        })?;
        let mut submit = Command::new(process::target_dir().join("release/docmill"));
        submit.args(["--server", &services.url, "--api-key-file"]).arg(&services.key);
        process::run_quiet(submit.arg("submit").arg(corpus::docs()?).arg("--wait"))?;
        Ok(services)
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        // It ends its servers itself; killed, it would leave them. Both may have ended.
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
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
