//! One process of the operator: started, asked, measured, killed.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::until;
use crate::services::process::{Process, free_port};

/// Longest time until it is ready: it leads and has its keys.
const READY_MAX: Duration = Duration::from_secs(60);
/// The metric that counts looks at pipelines.
pub const LOOKS: &str = "docmill_operator_reconciles_total";
/// Longest wait for an answer of it.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Ticks of a processor in a second, as `/proc` counts on Linux.
const TICKS_PER_S: f64 = 100.0;
/// Ways past which nothing of ours may go.
const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];

/// How it is started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program.
    pub program: PathBuf,
    /// How it reaches the API server.
    pub kubeconfig: PathBuf,
    /// The namespace in which it would run: that of its Lease and its keys.
    pub namespace: String,
    /// Where pipelines are asked.
    pub pipeline_url: String,
    /// Where a kubelet would mount its keys.
    pub certificates: PathBuf,
    /// Its log.
    pub log: PathBuf,
    /// Further arguments.
    pub more: Vec<String>,
}

/// A running process. It ends with its handle, by SIGKILL.
pub struct Operator {
    process: Process,
    health: String,
    http: reqwest::Client,
}

impl Operator {
    /// Starts one; it need not be ready yet.
    ///
    /// # Errors
    /// There can be no client.
    pub fn start(settings: &Settings) -> Result<Self> {
        let listen = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(&settings.program);
        command.env("KUBECONFIG", &settings.kubeconfig);
        for variable in PROXIES {
            command.env_remove(variable);
        }
        command.args(["--namespace", &settings.namespace, "--pipeline-url", &settings.pipeline_url]);
        command.arg("--certificates-dir").arg(&settings.certificates);
        command.args(["--health-listen", &listen]).args(&settings.more);
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_MAX).build()?;
        let process = Process::start(&mut command, &settings.log);
        Ok(Self { process, health: format!("http://{listen}"), http })
    }

    /// Waits until it has its keys and looks at pipelines.
    ///
    /// # Errors
    /// It is not in time.
    pub async fn ready(&self) -> Result<()> {
        let url = format!("{}/readyz", self.health);
        until("the operator is ready", READY_MAX, async || {
            let answer = self.http.get(&url).send().await;
            Ok(answer.is_ok_and(|answer| answer.status().is_success()))
        })
        .await
        .map(drop)
    }

    /// A metric of it, all its labels together; 0 where it has none of that name.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let answer = self.http.get(format!("{}/metrics", self.health)).send().await?;
        let text = answer.error_for_status()?.text().await?;
        Ok(sum(&text, name))
    }

    /// Whether it leads.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn leads(&self) -> Result<bool> {
        Ok(self.metric("docmill_operator_leader").await? > 0.0)
    }

    /// Waits until it has looked at a pipeline.
    ///
    /// # Errors
    /// It has not within the limit.
    pub async fn looked(&self, limit: Duration) -> Result<()> {
        until("a look", limit, async || Ok(self.metric(LOOKS).await? > 0.0)).await.map(drop)
    }

    /// Waits until it has looked at pipelines so many times more.
    ///
    /// # Errors
    /// It has not within the limit.
    pub async fn looks(&self, more: u32, limit: Duration) -> Result<()> {
        let before = self.metric(LOOKS).await?;
        let what = format!("{more} more looks");
        until(&what, limit, async || Ok(self.metric(LOOKS).await? >= before + f64::from(more)))
            .await
            .map(drop)
    }

    /// Memory of it, in MiB.
    ///
    /// # Errors
    /// It is gone.
    pub fn rss_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS: it is gone")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1_024.0)
    }

    /// Time of processors that it took so far, in seconds.
    ///
    /// # Errors
    /// It is gone.
    pub fn cpu_s(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The name, in brackets, may have spaces. After it: state is the first field, utime the 12th, stime the 13th.
        let (_, rest) = stat.rsplit_once(") ").context("a stat without a name")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).context("a stat without times")?;
        Ok((user + system) / TICKS_PER_S)
    }
}

/// The sum of a metric's samples in Prometheus' text.
fn sum(text: &str, name: &str) -> f64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let rest = if rest.starts_with('{') { rest.rsplit_once('}')?.1 } else { rest };
        rest.strip_prefix(' ')?.trim().parse::<f64>().ok()
    };
    text.lines().filter_map(value).sum()
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn samples_of_a_metric_are_added_up() {
        let text = "# HELP a x\na{kind=\"x} y\"} 2\na{kind=\"z\"} 3\na_b 7\nc 4\n";
        assert_eq!((sum(text, "a"), sum(text, "c"), sum(text, "d")), (5.0, 4.0, 0.0));
    }
}
