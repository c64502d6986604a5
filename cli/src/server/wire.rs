//! What the server's answers say, as far as tables and bars show it. `--json` prints the answers themselves.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::Error;

/// How far a batch is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    pub id: String,
    #[serde(default)]
    pub name: Option<String>,
    pub state: String,
    pub created_at: String,
    pub documents: Counts,
    pub progress_percent: f64,
    #[serde(default)]
    pub eta_s: Option<u64>,
    #[serde(default)]
    pub rate_per_s: Option<f64>,
}

/// Documents of a batch by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Counts {
    pub total: u64,
    pub queued: u64,
    pub processing: u64,
    pub committed: u64,
    pub failed: u64,
    pub cancelled: u64,
    pub superseded: u64,
}

/// A document.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    pub id: String,
    pub uri: String,
    pub state: String,
    #[serde(default)]
    pub bytes: u64,
    #[serde(default)]
    pub generation: u64,
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub media_type: Option<String>,
    #[serde(default)]
    pub language: Option<String>,
    #[serde(default)]
    pub pages: Option<u32>,
    #[serde(default)]
    pub chunks: Option<u32>,
    #[serde(default)]
    pub failure: Option<Reason>,
}

/// Why a document failed.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    pub code: String,
    pub meaning: String,
    pub detail: String,
    #[serde(default)]
    pub stage: Option<String>,
    #[serde(default)]
    pub page: Option<u32>,
    #[serde(default)]
    pub stderr: Option<String>,
    pub what_to_do: String,
}

/// A dead letter.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    pub id: String,
    pub uri: String,
    pub reason: Reason,
    pub starts: u32,
    pub extractor_deaths: u32,
    pub transient_failures: u32,
}

/// What of an upload or of a folder was accepted.
#[derive(Debug, Clone, Deserialize)]
pub struct Accepted {
    pub documents: Vec<AcceptedDocument>,
    #[serde(default)]
    pub next: Option<String>,
}

/// A document that was accepted.
#[derive(Debug, Clone, Deserialize)]
pub struct AcceptedDocument {
    pub change: String,
    #[serde(default)]
    pub bytes: u64,
}

/// What waits in a lane.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lane {
    pub lane: String,
    #[serde(default)]
    pub waiting: Option<u64>,
    #[serde(default)]
    pub in_flight: Option<u64>,
    pub unsettled: u64,
    pub dead: u64,
}

/// A worker that lives.
#[derive(Debug, Clone, Deserialize)]
pub struct Worker {
    pub busy: u32,
    pub draining: bool,
}

/// An index.
#[derive(Debug, Clone, Deserialize)]
pub struct Index {
    pub state: String,
    pub embeddings: String,
    pub concepts: String,
    pub documents: u64,
}

/// A store that is filled again.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fill {
    pub store: String,
    pub state: String,
    pub documents: u64,
    pub looked: u64,
    pub again: u64,
    pub given_up: u64,
}

/// Reads a part of an answer.
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Error> {
    T::deserialize(value).map_err(|error| Error::foreign(&error.to_string()))
}
