//! The API of a pipeline, asked from this machine.

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::documents::File;
use super::wait_for;
use crate::services::http::{Client, form};

/// Longest time that something is asked again while the API is full or away.
const AWAY_MAX: Duration = Duration::from_secs(60);
/// Documents of a page.
const PAGE: usize = 1_000;

/// Who asks, and where.
#[derive(Clone)]
pub struct Api {
    client: Client,
}

/// What was taken in, and when that was known.
#[derive(Debug)]
pub struct Accepted {
    /// When the 202 was read.
    pub at: Instant,
    /// Ids of the documents.
    pub ids: Vec<String>,
}

/// Documents of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub total: u64,
    /// They can be found.
    pub committed: u64,
    /// They were given up.
    pub failed: u64,
}

impl Api {
    /// With this key, at this port of loopback.
    pub fn new(port: u16, key: String) -> Self {
        Self { client: Client { port, key: Some(key) } }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.client.port)
    }

    /// The key.
    pub fn key(&self) -> &str {
        self.client.key.as_deref().unwrap_or_default()
    }

    /// Asks for a page once, and gives the status of the answer.
    ///
    /// # Errors
    /// The API is away.
    pub fn once(&self, path: &str) -> Result<u16> {
        Ok(self.client.send("GET", path, &[], b"").map_err(away)?.status)
    }

    /// Makes a batch.
    ///
    /// # Errors
    /// The API is away, or refused.
    pub fn batch(&self, name: &str) -> Result<String> {
        let body = json!({ "name": name }).to_string();
        let (answer, _) = self.ask("POST", "/v1/batches", "application/json", body.as_bytes(), 202)?;
        Ok(answer["id"].as_str().context("a batch has an id")?.to_owned())
    }

    /// Uploads files into a batch, in one request.
    ///
    /// # Errors
    /// The API is away, or refused.
    pub fn upload(&self, batch: &str, files: &[File]) -> Result<Accepted> {
        let parts: Vec<(&str, &[u8])> =
            files.iter().map(|file| (file.name.as_str(), file.bytes.as_slice())).collect();
        let (kind, body) = form(&parts);
        let path = format!("/v1/documents?batch={batch}");
        let (answer, at) = self.ask("POST", &path, &kind, &body, 202)?;
        let documents = answer["documents"].as_array().context("an upload has documents")?;
        let ids =
            documents.iter().filter_map(|document| document["id"].as_str().map(str::to_owned)).collect();
        Ok(Accepted { at, ids })
    }

    /// How far a batch is.
    ///
    /// # Errors
    /// The API is away, or refused.
    pub fn counts(&self, batch: &str) -> Result<Counts> {
        let documents = self.get(&format!("/v1/batches/{batch}"))?["documents"].take();
        let number = |name: &str| documents[name].as_u64().with_context(|| format!("a batch lacks {name}"));
        Ok(Counts { total: number("total")?, committed: number("committed")?, failed: number("failed")? })
    }

    /// Documents of all batches that are neither committed nor given up.
    ///
    /// # Errors
    /// The API is away, or refused.
    pub fn unsettled(&self) -> Result<u64> {
        let queues = self.get("/v1/queues")?;
        let lanes = queues["lanes"].as_array().context("queues have lanes")?;
        Ok(lanes.iter().filter_map(|lane| lane["unsettled"].as_u64()).sum())
    }

    /// The state of a document.
    ///
    /// # Errors
    /// The API is away, or refused.
    pub fn state(&self, document: &str) -> Result<String> {
        let document = self.get(&format!("/v1/documents/{document}"))?;
        Ok(document["state"].as_str().context("a document has a state")?.to_owned())
    }

    /// How many documents can be found.
    ///
    /// # Errors
    /// The API is away, or refused.
    pub fn committed(&self) -> Result<usize> {
        let (mut count, mut cursor) = (0, String::new());
        loop {
            let page = self.get(&format!("/v1/documents?state=committed&limit={PAGE}{cursor}"))?;
            count += page["documents"].as_array().context("a list has documents")?.len();
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(count),
            }
        }
    }

    fn get(&self, path: &str) -> Result<Value> {
        Ok(self.ask("GET", path, "", b"", 200)?.0)
    }

    /// Asks until it is answered; uploads are known by their content, so a second one of the same is no other.
    fn ask(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: &[u8],
        wanted: u16,
    ) -> Result<(Value, Instant)> {
        let headers: &[(&str, &str)] = if kind.is_empty() { &[] } else { &[("content-type", kind)] };
        let answered = wait_for(&format!("{method} {path}"), AWAY_MAX, || {
            let answer = self.client.send(method, path, headers, body).map_err(away)?;
            let at = Instant::now();
            ensure!(!matches!(answer.status, 429 | 502..=504), "{}: {}", answer.status, answer.text());
            Ok((answer, at))
        });
        let (answer, at) = answered?;
        if answer.status != wanted {
            bail!("{method} {path}: {}: {}", answer.status, answer.text());
        }
        Ok((serde_json::from_str(&answer.text()).context("an answer is JSON")?, at))
    }
}

fn away(error: io::Error) -> anyhow::Error {
    anyhow::Error::new(error).context("the API is away")
}
