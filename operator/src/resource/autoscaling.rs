//! How the number of workers follows the queue, and what models allow.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::Duration;

/// How the number of workers follows the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("duration(self.scaleDownWindow) <= duration('24h')")
        .message("IP-20: scaleDownWindow is at most 24h").field_path(".scaleDownWindow"),
    validation = Rule::new("duration(self.scaleToZeroAfter) <= duration('168h')")
        .message("IP-21: scaleToZeroAfter is at most 168h").field_path(".scaleToZeroAfter"),
    validation = Rule::new("duration(self.maxBusyWait) >= duration('1s') && \
        duration(self.maxBusyWait) <= duration('24h')")
        .message("IP-22: maxBusyWait is 1s to 24h").field_path(".maxBusyWait"),
)]
pub struct Autoscaling {
    /// Documents (waiting, in flight and due) that are meant for one worker.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 1000000))]
    pub queue_depth_per_replica: u32,
    /// Who writes the number of workers beside the operator.
    #[serde(default)]
    pub metrics_provider: MetricsProvider,
    /// How long fewer workers must have been enough before any goes.
    #[serde(default = "five_minutes")]
    pub scale_down_window: Duration,
    /// How long nothing must have been there before the last worker goes.
    #[serde(default = "ten_minutes")]
    pub scale_to_zero_after: Duration,
    /// How long workers that are to go may take to finish what they have.
    #[serde(default = "ten_minutes")]
    pub max_busy_wait: Duration,
}

/// Who writes the number of workers beside the operator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MetricsProvider {
    /// `Builtin` where the operator serves the cluster's external metrics, else `Direct`.
    #[default]
    Auto,
    /// A HorizontalPodAutoscaler that reads the operator's metric.
    Builtin,
    /// Nobody: the operator alone.
    Direct,
}

fn hundred() -> u32 {
    100
}

fn five_minutes() -> Duration {
    Duration("300s".into())
}

fn ten_minutes() -> Duration {
    Duration("10m".into())
}

impl Default for Autoscaling {
    fn default() -> Self {
        Self {
            queue_depth_per_replica: hundred(),
            metrics_provider: MetricsProvider::Auto,
            scale_down_window: five_minutes(),
            scale_to_zero_after: ten_minutes(),
            max_busy_wait: ten_minutes(),
        }
    }
}

/// What one account of a model may be asked. It bounds the number of workers, too: more than it feeds are no use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// Whose account.
    pub provider: Provider,
    /// Requests a minute, all workers together.
    #[schemars(range(min = 1, max = 10000000))]
    pub requests_per_minute: u32,
    /// Requests that a document makes.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 100000))]
    pub calls_per_document: u32,
}

fn ten() -> u32 {
    10
}

/// Providers of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Provider {
    /// OpenAI, and servers that speak as it does.
    OpenAI,
    /// Anthropic.
    Anthropic,
    /// Ollama.
    Ollama,
}

impl Provider {
    /// The name in the resource and in a worker's configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAI => "OpenAI",
            Self::Anthropic => "Anthropic",
            Self::Ollama => "Ollama",
        }
    }
}
