//! `docmill bench`, and what its reports say.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;

/// The level at which figures are judged.
pub const JUDGED: u64 = 10;

/// What is asked of one or two servers.
pub struct Asked<'a> {
    pub config: &'a str,
    pub url: &'a str,
    pub compare: Option<&'a str>,
    /// Of each level.
    pub requests: u32,
    pub more: &'a [&'a str],
    /// Where the report is written.
    pub report: &'a Path,
}

/// `docmill bench ask`, whose table is shown.
pub fn ask(asked: &Asked) -> Result<Value> {
    let mut command = bench("ask");
    let requests = asked.requests.to_string();
    command.args(["--configs", asked.config, "--requests", &requests, "--base-url", asked.url]);
    if let Some(other) = asked.compare {
        command.args(["--compare-url", other]);
    }
    process::run(command.args(asked.more).arg("--output").arg(asked.report))?;
    let text = fs::read(asked.report).with_context(|| format!("cannot read {}", asked.report.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

/// `docmill bench search`; its levels.
pub fn search(url: &str, args: &[&str]) -> Result<Vec<Value>> {
    let report = process::output(bench("search").args(["--json", "--base-url", url]).args(args))?;
    let report: Value = serde_json::from_str(&report)?;
    Ok(report["levels"].as_array().context("the report has no levels")?.clone())
}

/// Without what a person's environment says of servers and their keys.
pub fn bench(what: &str) -> Command {
    let mut command = Command::new(process::target_dir().join("release/docmill"));
    let of_benchmarks = ["LOCAL_BASE_URL", "K8S_BASE_URL", "MAX_CONCURRENT", "TOTAL_REQUESTS"];
    let of_servers = ["DOCMILL_SERVER", "DOCMILL_API_KEY", "DOCMILL_API_KEY_FILE"];
    for name in of_benchmarks.into_iter().chain(of_servers) {
        command.env_remove(name);
    }
    command.args(["bench", what]);
    command
}

/// The levels of a report on questions.
pub fn levels(report: &Value) -> Result<&Vec<Value>> {
    report.pointer("/configs/0/levels").and_then(Value::as_array).context("the report has no levels")
}

/// The level that figures are judged at.
pub fn judged(report: &Value) -> Result<&Value> {
    level(levels(report)?, JUDGED)
}

/// The level of so many at once.
pub fn level(levels: &[Value], concurrency: u64) -> Result<&Value> {
    let level = levels.iter().find(|level| level["concurrency"] == concurrency);
    level.with_context(|| format!("the report has no level {concurrency}"))
}

/// A number of a report.
pub fn number(value: &Value, path: &str) -> Result<f64> {
    value.pointer(path).and_then(Value::as_f64).with_context(|| format!("the report has no {path}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_are_of_the_level_that_is_judged() {
        let of = |concurrency: u64, rps: f64| json!({"concurrency": concurrency, "local": {"rps": rps}});
        let report = json!({"configs": [{"levels": [of(1, 3.0), of(10, 5.0)]}]});
        assert_eq!(number(judged(&report).unwrap(), "/local/rps").unwrap(), 5.0);
        assert!(number(judged(&report).unwrap(), "/local/p99").is_err());
        assert!(judged(&json!({"configs": [{"levels": [of(1, 3.0)]}]})).is_err());
    }
}
