//! Uploads as a careful client makes them: the same request again, under one idempotency key, until it is
//! accepted. What was accepted counts, whatever is killed next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::inventory::Content;
use crate::services::http::{Client, form};

/// Longest wait until an upload is accepted.
const ACCEPTED_MAX: Duration = Duration::from_secs(120);
/// Wait before it is sent again.
const AGAIN: Duration = Duration::from_millis(50);
/// Longest wait of a kill for an upload to hit.
const IN_FLIGHT_MAX: Duration = Duration::from_secs(2);
/// Between two looks for one.
const LOOK_EVERY: Duration = Duration::from_micros(200);

/// See the module.
pub struct Uploads {
    client: Client,
    sent: AtomicUsize,
    in_flight: AtomicBool,
}

impl Uploads {
    /// To this server.
    pub fn new(client: Client) -> Self {
        Self { client, sent: AtomicUsize::new(0), in_flight: AtomicBool::new(false) }
    }

    /// Who hands them in.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns once it is accepted.
    ///
    /// # Errors
    /// It is refused, accepted as something else, or not accepted for long.
    pub async fn bring(self: &Arc<Self>, name: &str, next: &Content) -> Result<()> {
        let key = format!("upload-{}", self.sent.fetch_add(1, Ordering::Relaxed));
        let file = name.rsplit('/').next().unwrap_or(name);
        let (kind, body) = form(&[(file, &next.bytes)]);
        let path = format!("/v1/documents?uri={name}");
        let began = Instant::now();
        loop {
            let (uploads, path, key) = (self.clone(), path.clone(), key.clone());
            let (kind, body) = (kind.clone(), body.clone());
            let answer = tokio::task::spawn_blocking(move || {
                uploads.in_flight.store(true, Ordering::Relaxed);
                let headers = [("content-type", kind.as_str()), ("idempotency-key", key.as_str())];
                let answer = uploads.client.send("POST", &path, &headers, &body);
                uploads.in_flight.store(false, Ordering::Relaxed);
                answer
            });
            let said = match answer.await? {
                Ok(answer) if answer.status == 202 => {
                    let wanted: String = next.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
                    let accepted = answer.json();
                    ensure!(accepted["documents"][0]["sha256"] == wanted, "{name}: {accepted}");
                    return Ok(());
                }
                Ok(answer) if answer.status == 429 || answer.status >= 500 => answer.text(),
                Ok(answer) => bail!("{name} was refused: {} {}", answer.status, answer.text()),
                Err(error) => error.to_string(),
            };
            ensure!(began.elapsed() < ACCEPTED_MAX, "{name} was not accepted: {said}");
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Waits until an upload is on its way, so that a kill hits one; not for long.
    pub fn wait_in_flight(&self) {
        let began = Instant::now();
        while !self.in_flight.load(Ordering::Relaxed) && began.elapsed() < IN_FLIGHT_MAX {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}
