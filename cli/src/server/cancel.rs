//! `docmill cancel BATCH…`: what waits is not begun, what is in work stops.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::Remote;
use super::client::Again;
use super::wire::{self, Batch};
use crate::failure::Failure;
use crate::output;

/// Time between two looks whether something is still open.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Looks after which what is still open is told: the server stops all that only this batch wants at once.
const LOOKS_MAX: usize = 20;

/// What came of one.
struct Cancelled {
    answer: Value,
    batch: Batch,
    stopped: u64,
}

pub async fn execute(remote: &Remote, ids: &[String]) -> Result<ExitCode, Failure> {
    let mut cancelled = Vec::new();
    for id in ids {
        cancelled.push(cancel(remote, id).await?);
    }
    if remote.json {
        let one = |one: &Cancelled| json!({ "cancelled": one.stopped, "batch": one.answer });
        output::json(&json!({ "batches": cancelled.iter().map(one).collect::<Vec<_>>() }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for Cancelled { batch, stopped, .. } in &cancelled {
        let counts = &batch.documents;
        println!("{}: {stopped} stopped, {} were done before", batch.id, counts.committed + counts.failed);
        let open = counts.queued + counts.processing;
        if open > 0 {
            println!("  {open} go on, as another batch wants them too");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Cancels until nothing more is to be cancelled: what was taken in meanwhile is met by the next request.
async fn cancel(remote: &Remote, id: &str) -> Result<Cancelled, Failure> {
    let (mut stopped, mut looks) = (0, 0);
    loop {
        let path = ["v1", "batches", id, "cancel"];
        let said = remote.client.post(&path, &json!({}), Again::Always).await?;
        let now = said["cancelled"].as_u64().unwrap_or(0);
        stopped += now;
        let answer = remote.client.get(&["v1", "batches", id], &[]).await?;
        let batch: Batch = wire::read(&answer)?;
        let open = batch.documents.queued + batch.documents.processing;
        looks += 1;
        if open == 0 || now == 0 || looks == LOOKS_MAX {
            return Ok(Cancelled { answer, batch, stopped });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
