//! Waiting for what a cluster brings about, and what to look at when it does not come.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::Cluster;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Longest time until a definition that was applied is served.
const DEFINITION_MAX: Duration = Duration::from_secs(60);
/// Lines of the operator's log that are shown.
const LOG_LINES: &str = "--tail=50";

/// Looks until it is as it should be; until then a look gives an error that says how it is.
///
/// # Errors
/// The last look's, when the time is over.
pub fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T>) -> Result<T> {
    let began = Instant::now();
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(error) if began.elapsed() >= limit => {
                return Err(error.context(format!("{what}: not within {} s", limit.as_secs())));
            }
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}

impl Cluster {
    /// As [`wait_for`]; the error has what a person would look at next.
    ///
    /// # Errors
    /// The last look's, when the time is over.
    pub fn wait_for<T>(&self, what: &str, limit: Duration, look: impl FnMut() -> Result<T>) -> Result<T> {
        wait_for(what, limit, look).map_err(|error| anyhow!("{error:#}\n{}", self.diagnosis()))
    }

    /// Waits until the API server serves the resource. (Its definition has no conditions at all at first, which
    /// `kubectl wait` takes for an error.)
    ///
    /// # Errors
    /// It does not serve it.
    pub fn wait_for_definition(&self) -> Result<()> {
        let look = || self.kubectl(&["get", "ingestionpipelines", "--all-namespaces"]).map(drop);
        wait_for("the resource's definition", DEFINITION_MAX, look)
    }

    /// Pods, what is said of those that are not ready, pipelines, and the end of the operators' logs.
    pub fn diagnosis(&self) -> String {
        let mut shown = self.shown(&["get", "pods", "--all-namespaces", "--output=wide"]);
        for (namespace, pod) in self.pods_not_ready() {
            shown += &self.shown(&["--namespace", &namespace, "describe", "pod", &pod]);
            let log = ["--namespace", &namespace, "logs", &pod, "--all-containers", "--prefix", LOG_LINES];
            shown += &self.shown(&log);
        }
        shown += &self.shown(&["describe", "ingestionpipelines", "--all-namespaces"]);
        let operators = "app.kubernetes.io/name=docmill-operator";
        let log = [
            "--namespace",
            super::install::NAMESPACE,
            "logs",
            "--selector",
            operators,
            "--prefix",
            LOG_LINES,
        ];
        shown + &self.shown(&log)
    }

    fn shown(&self, args: &[&str]) -> String {
        let said = self.kubectl(args).unwrap_or_else(|error| format!("{error:#}"));
        format!("--- kubectl {}\n{}\n", args.join(" "), said.trim_end())
    }

    fn pods_not_ready(&self) -> Vec<(String, String)> {
        let said = self.kubectl(&["get", "pods", "--all-namespaces", "--output=json"]).unwrap_or_default();
        let all: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
        let is_ready = |pod: &serde_json::Value| super::condition(pod, "Ready").is_some_and(|(is, _)| is);
        let not_ready = all["items"].as_array().into_iter().flatten().filter(|pod| !is_ready(pod));
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        not_ready.map(|pod| (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_until_it_is_so() {
        let mut looks = 0;
        let found = wait_for("three looks", Duration::from_secs(60), || {
            looks += 1;
            if looks < 3 { Err(anyhow!("{looks} of 3")) } else { Ok(looks) }
        });
        assert_eq!(found.unwrap(), 3);
    }

    #[test]
    fn what_it_saw_last_is_told() {
        let error =
            wait_for("all of them", Duration::ZERO, || Err::<(), _>(anyhow!("7 of 9"))).unwrap_err();
        assert_eq!(format!("{error:#}"), "all of them: not within 0 s: 7 of 9");
    }
}
