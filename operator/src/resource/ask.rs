//! How questions are answered: by which model, from how much, and what is remembered.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::stores::SecretKey;
use super::units::Duration;

/// How questions are answered. Without a model, answers are sentences of the documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("duration(self.cacheTtl) >= duration('1s') && \
        duration(self.cacheTtl) <= duration('1h')")
        .message("IP-29: cacheTtl is 1s to 1h").field_path(".cacheTtl"),
    validation = Rule::new("!(has(self.model) && has(self.benchmark) && self.benchmark.mockModel)")
        .message("IP-31: benchmark.mockModel would answer in place of model; remove one of them"),
)]
pub struct Ask {
    /// What writes answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<AskModel>,
    /// Most passages that an answer rests on.
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 50))]
    pub sources: u32,
    /// Most text of them, in bytes.
    #[serde(default = "twelve_thousand")]
    #[schemars(range(min = 1000, max = 1000000))]
    pub context_bytes: u32,
    /// Answers to searches and questions that each API pod remembers.
    #[serde(default = "thousand")]
    #[schemars(range(min = 1, max = 20000))]
    pub cache_entries: u32,
    /// How long one is remembered after its last use.
    #[serde(default = "five_minutes")]
    pub cache_ttl: Duration,
    /// Stand-ins for models, to measure all that is around them. Never where people ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub benchmark: Option<AskBenchmark>,
}

fn eight() -> u32 {
    8
}

fn twelve_thousand() -> u32 {
    12_000
}

fn thousand() -> u32 {
    1_000
}

fn five_minutes() -> Duration {
    Duration("300s".into())
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            model: None,
            sources: eight(),
            context_bytes: twelve_thousand(),
            cache_entries: thousand(),
            cache_ttl: five_minutes(),
            benchmark: None,
        }
    }
}

/// A model behind an address that OpenAI's clients understand. API pods ask it; workers do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    // What stands behind the host's name is part of it: localhost.example is another machine.
    validation = Rule::new("self.url.startsWith('https://') || (self.url.startsWith('http://') && (self.allowHttp || \
        self.url.startsWith('http://[::1]') || self.url.matches('^http://(localhost|127[.]0[.]0[.]1)([:/]|$)')))")
        .message("IP-26: the url begins with https://; http:// is for the pod itself, or where allowHttp is true")
        .field_path(".url"),
    validation = Rule::new("duration(self.connectTimeout) >= duration('100ms') && \
        duration(self.connectTimeout) <= duration('60s')")
        .message("IP-27: connectTimeout is 100ms to 60s").field_path(".connectTimeout"),
    validation = Rule::new("duration(self.firstTokenTimeout) >= duration('100ms') && \
        duration(self.firstTokenTimeout) <= duration('1h')")
        .message("IP-28: firstTokenTimeout is 100ms to 1h").field_path(".firstTokenTimeout"),
    validation = Rule::new("duration(self.idleTimeout) >= duration('100ms') && \
        duration(self.idleTimeout) <= duration('1h')")
        .message("IP-28: idleTimeout is 100ms to 1h").field_path(".idleTimeout"),
    validation = Rule::new("duration(self.totalTimeout) >= duration('100ms') && \
        duration(self.totalTimeout) <= duration('1h')")
        .message("IP-28: totalTimeout is 100ms to 1h").field_path(".totalTimeout"),
)]
pub struct AskModel {
    /// Where it is, such as `https://models.example/v1`; never with a key.
    #[schemars(length(min = 8, max = 1024))]
    #[x_kube(validation = Rule::new("!self.contains('@') && !self.contains('?') && !self.contains('#')").message(
        "IP-25: a user, a password or a key does not stand in the address; take keySecretRef"))]
    pub url: String,
    /// Which model there: the name that its server lists.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// The key of its server. API pods read it at their start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_secret_ref: Option<SecretKey>,
    /// Whether the address may be without TLS.
    #[serde(default)]
    pub allow_http: bool,
    /// Longest wait for a connection.
    #[serde(default = "five_seconds")]
    pub connect_timeout: Duration,
    /// Longest wait for the first words of an answer.
    #[serde(default = "thirty_seconds")]
    pub first_token_timeout: Duration,
    /// Longest silence within an answer.
    #[serde(default = "fifteen_seconds")]
    pub idle_timeout: Duration,
    /// Longest time of an answer.
    #[serde(default = "two_minutes")]
    pub total_timeout: Duration,
    /// Longest answer that it is asked for, in tokens.
    #[serde(default = "five_hundred_twelve")]
    #[schemars(range(min = 1, max = 32768))]
    pub max_tokens: u32,
}

fn five_seconds() -> Duration {
    Duration("5s".into())
}

fn thirty_seconds() -> Duration {
    Duration("30s".into())
}

fn fifteen_seconds() -> Duration {
    Duration("15s".into())
}

fn two_minutes() -> Duration {
    Duration("2m".into())
}

fn five_hundred_twelve() -> u32 {
    512
}

/// Stand-ins for models, to measure all that is around them. Never where people ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("duration(self.mockModelDelay) <= duration('60s')")
    .message("IP-30: mockModelDelay is at most 60s").field_path(".mockModelDelay"))]
pub struct AskBenchmark {
    /// Every answer is the same 20 words.
    #[serde(default)]
    pub mock_model: bool,
    /// How long the stand-in waits before each word.
    #[serde(default = "no_time")]
    pub mock_model_delay: Duration,
    /// A tenant's first index is begun with vectors without meaning. An index that is there stays as it is.
    #[serde(default)]
    pub mock_embeddings: bool,
}

fn no_time() -> Duration {
    Duration("0s".into())
}
