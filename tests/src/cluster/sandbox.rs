//! What holds extractors in a pod: under the strictest of the standards for pods, as a user without rights and below the
//! runtime's own filter of calls, they try to get out there too.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Pipeline, condition, wait_for};

/// Longest time until a worker is there in which the attempts are made to their end.
const WITHIN: Duration = Duration::from_secs(120);
/// Its exit code says that something came through; what it prints says what.
const ATTEMPTS: &str = "docmill-worker check-sandbox --attempts --json || true";

/// What came of the attempts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InPod {
    /// How many were made.
    pub tried: u64,
    /// Those that came through, or whose end was not told.
    pub escaped: Vec<String>,
    /// The node's version of Landlock; 0: none.
    pub landlock_abi: u64,
    /// Whether calls are filtered.
    pub seccomp: bool,
    /// Who tried.
    pub user: u64,
}

/// Makes all attempts in a worker of the pipeline. A worker may go meanwhile; then they are made in another one.
///
/// # Errors
/// There is none, or they could not be made.
pub fn in_a_worker(pipeline: &Pipeline<'_>) -> Result<InPod> {
    wait_for("attempts to get out, in a worker", WITHIN, || {
        let pods = pipeline.pods("worker")?;
        let is_ready = |pod: &&Value| condition(pod, "Ready").is_some_and(|(is_ready, _)| is_ready);
        let pod = pods.iter().find(is_ready).context("no worker is ready")?;
        let name = pod["metadata"]["name"].as_str().context("a pod has a name")?;
        let said = pipeline.kubectl(&["exec", name, "--", "sh", "-c", ATTEMPTS])?;
        read(&said).with_context(|| format!("{name} says: {said}"))
    })
}

fn read(said: &str) -> Result<InPod> {
    let told: Value = serde_json::from_str(said)?;
    let attempts = told["attempts"].as_array().context("no attempts were made")?;
    let came_through = |attempt: &&Value| attempt["escaped"] != false || attempt["reported"] != true;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| value.as_u64().context("a number lacks");
    Ok(InPod {
        tried: attempts.len() as u64,
        escaped: attempts.iter().filter(came_through).map(|attempt| text(&attempt["attempt"])).collect(),
        landlock_abi: number(&told["report"]["landlock_abi"])?,
        seccomp: told["report"]["seccomp"] == true,
        user: number(&told["user"])?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pod_says_is_counted() {
        let said = r#"{"ok":false,"user":10001,"report":{"landlock_abi":7,"seccomp":true,"missing":[]},"attempts":[
            {"attempt":"write a file","escaped":false,"how":"refused","reported":true},
            {"attempt":"start a program","escaped":true,"how":"started","reported":true}]}"#;
        let found = read(said).unwrap();
        assert_eq!((found.tried, found.landlock_abi, found.seccomp, found.user), (2, 7, true, 10_001));
        assert_eq!(found.escaped, ["start a program"]);
        assert!(read(r#"{"error":{"code":"extractor_failed"}}"#).is_err());
    }
}
