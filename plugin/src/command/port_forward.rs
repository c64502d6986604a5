//! A way to a pipeline's API from this machine. kubectl makes it: the apiserver's own proxy would take the key in
//! `Authorization` for one of its own, and whoever uses a plugin has kubectl.

use std::io::ErrorKind;
use std::process::Stdio;
use std::time::Duration;

use docmill_operator::names::{API_PORT, Part};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::cluster::Cluster;
use crate::failure::Failure;

/// Longest wait for the way to be open.
const OPEN_MAX: Duration = Duration::from_secs(20);

/// An open way; it closes when this goes.
pub struct PortForward {
    /// Where the API is on this machine.
    pub url: String,
    _kubectl: Child,
}

impl PortForward {
    /// Opens it.
    pub async fn open(cluster: &Cluster, pipeline: &str) -> Result<Self, Failure> {
        let service = format!("service/{}", Part::Api.name(pipeline));
        let spawned = Command::new("kubectl")
            .args(cluster.flags())
            .args(["port-forward", "--address=127.0.0.1", "--pod-running-timeout=15s", service.as_str()])
            .arg(format!(":{API_PORT}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut kubectl = match spawned {
            Ok(kubectl) => kubectl,
            Err(error) => {
                let hint = match error.kind() {
                    ErrorKind::NotFound => "put kubectl on the path",
                    _ => "check the permissions of kubectl",
                };
                let message = format!("kubectl cannot be started: {error}");
                return Err(Failure::new("kubectl_missing", message, hint));
            }
        };
        let (Some(stdout), Some(mut stderr)) = (kubectl.stdout.take(), kubectl.stderr.take()) else {
            return Err(failed(pipeline, "kubectl has no output"));
        };
        let mut lines = BufReader::new(stdout).lines();
        let opened = tokio::time::timeout(OPEN_MAX, async {
            while let Some(line) = lines.next_line().await? {
                if let Some(port) = port(&line) {
                    return Ok::<_, std::io::Error>(Some(port));
                }
            }
            Ok(None)
        })
        .await;
        match opened {
            Err(_) => Err(failed(pipeline, &format!("it takes longer than {} s", OPEN_MAX.as_secs()))),
            Ok(Err(error)) => Err(failed(pipeline, &error.to_string())),
            Ok(Ok(None)) => {
                let mut said = String::new();
                // It has ended: what it said is all there.
                let _ = stderr.read_to_string(&mut said).await;
                Err(failed(pipeline, said.trim().trim_start_matches("error: ")))
            }
            Ok(Ok(Some(port))) => {
                // A pipe that nobody reads would stop it.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                tokio::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await });
                Ok(Self { url: format!("http://127.0.0.1:{port}"), _kubectl: kubectl })
            }
        }
    }
}

fn failed(pipeline: &str, why: &str) -> Failure {
    let message = format!("no way to the API of {pipeline}: {why}");
    let advice = format!("`kubectl docmill status {pipeline}` shows whether its API is ready");
    Failure::new("port_forward_failed", message, advice)
}

/// The port in a line such as `Forwarding from 127.0.0.1:40113 -> 8080`.
fn port(line: &str) -> Option<u16> {
    let rest = line.strip_prefix("Forwarding from 127.0.0.1:")?;
    rest.split_once(" -> ")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_what_kubectl_says() {
        assert_eq!(port("Forwarding from 127.0.0.1:40113 -> 8080"), Some(40_113));
        for other in ["", "Forwarding from [::1]:40113 -> 8080", "Handling connection for 40113"] {
            assert_eq!(port(other), None, "{other}");
        }
    }
}
