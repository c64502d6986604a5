//! `docmill wait BATCH…`: until nothing of the batches is open.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::Remote;
use super::error::Error;
use super::progress::{Shown, of_batches};
use super::wire::{self, Batch};
use crate::failure::{DOCUMENTS_FAILED, Failure, INTERRUPTED};
use crate::output;

/// Time between the first two looks; each is longer than the one before.
const LOOK_FIRST: Duration = Duration::from_millis(200);
/// Longest time between two looks.
const LOOK_LAST: Duration = Duration::from_secs(5);
/// What is said when we are asked to stop.
const STOPPING: &str = "ending; the server goes on";

/// What came of waiting.
pub struct Waited {
    answers: Vec<Value>,
    /// Asked to stop before the end.
    interrupted: bool,
}

impl Waited {
    /// The batches as the server showed them last.
    pub fn answers(&self) -> &[Value] {
        &self.answers
    }

    fn batches(&self) -> Result<Vec<Batch>, Failure> {
        Ok(self.answers.iter().map(wire::read).collect::<Result<_, Error>>()?)
    }

    /// The exit code: 3 where documents failed or were cancelled.
    pub fn code(&self) -> Result<u8, Failure> {
        Ok(if self.interrupted { INTERRUPTED } else { code(&self.batches()?) })
    }

    /// Tells a person.
    pub fn print(&self) -> Result<(), Failure> {
        let batches = self.batches()?;
        println!("{}", table(&batches));
        if self.interrupted {
            let ids: Vec<&str> = batches.iter().map(|batch| batch.id.as_str()).collect();
            println!("\nthe server goes on with it: docmill wait {} waits again", ids.join(" "));
        }
        let failed: u64 = batches.iter().map(|batch| batch.documents.failed).sum();
        if failed > 0 {
            println!("\nnext: docmill results BATCH --state failed, docmill dead-letters");
        }
        Ok(())
    }
}

/// 0, or 3 where documents failed or were cancelled.
fn code(batches: &[Batch]) -> u8 {
    let bad: u64 = batches.iter().map(|batch| batch.documents.failed + batch.documents.cancelled).sum();
    if bad > 0 { DOCUMENTS_FAILED } else { 0 }
}

/// Batches, a line each, within 80 columns: an id is never broken, so that it can be copied.
pub fn table(batches: &[Batch]) -> String {
    let line = |id: &str, state: &str, done: &str, failed: &str, cancelled: &str| {
        format!("{id:<36} {state:<9} {done:>15} {failed:>7} {cancelled:>9}")
    };
    let mut lines = vec![line("batch", "state", "done", "failed", "cancelled")];
    lines.extend(batches.iter().map(|batch| {
        let counts = &batch.documents;
        let done = format!("{}/{}", counts.committed + counts.superseded, counts.total);
        line(&batch.id, &batch.state, &done, &counts.failed.to_string(), &counts.cancelled.to_string())
    }));
    lines.join("\n")
}

pub async fn execute(
    remote: &Remote,
    batches: &[String],
    timeout: Option<u64>,
) -> Result<ExitCode, Failure> {
    let stop = crate::signals::stop_saying(STOPPING);
    let waited = until_settled(remote, batches, timeout, stop).await?;
    match remote.json {
        true => output::json(&json!({ "batches": waited.answers() }))?,
        false => waited.print()?,
    }
    Ok(ExitCode::from(waited.code()?))
}

/// Waits until the batches are done or cancelled, `timeout` seconds at most, or until asked to stop.
///
/// # Errors
/// One of them is not there; the time ran out.
pub async fn until_settled(
    remote: &Remote,
    ids: &[String],
    timeout: Option<u64>,
    mut stop: watch::Receiver<bool>,
) -> Result<Waited, Failure> {
    let began = Instant::now();
    let mut answers: Vec<Value> = vec![Value::Null; ids.len()];
    let mut open: Vec<usize> = (0..ids.len()).collect();
    let (_shown, told) = Shown::told(remote.json);
    let mut pause = LOOK_FIRST;
    loop {
        let mut still = Vec::new();
        for at in open {
            answers[at] = remote.client.get(&["v1", "batches", &ids[at]], &[]).await?;
            if answers[at]["state"] == "running" {
                still.push(at);
            }
        }
        open = still;
        let batches: Vec<Batch> = answers.iter().map(wire::read).collect::<Result<_, Error>>()?;
        told.is(of_batches(&batches));
        if open.is_empty() {
            return Ok(Waited { answers, interrupted: false });
        }
        let left = timeout.map(|limit| Duration::from_secs(limit).saturating_sub(began.elapsed()));
        if left == Some(Duration::ZERO) {
            let message =
                format!("not done within {} s: {}", timeout.unwrap_or(0), of_batches(&batches).text);
            let failure = Failure::new("not_in_time", message, "docmill wait goes on waiting");
            return Err(failure.with("batches", &answers));
        }
        tokio::select! {
            () = tokio::time::sleep(left.map_or(pause, |left| left.min(pause))) => {}
            // Who could ask is gone with the process.
            Ok(_) = stop.wait_for(|stop| *stop) => return Ok(Waited { answers, interrupted: true }),
        }
        pause = pause.mul_f64(1.5).min(LOOK_LAST);
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Counts;
    use super::*;

    #[test]
    fn a_batch_fits_a_terminal() {
        let documents =
            Counts { total: 1_000_000, committed: 999_999, failed: 999_999, ..Counts::default() };
        let id = "8bb37780-9018-5c54-9f71-c05618e5fbbb".to_owned();
        let shown = table(&[Batch { id, state: "cancelled".to_owned(), documents, ..Batch::default() }]);
        assert!(shown.lines().all(|line| line.len() <= 80), "{shown}");
        assert!(shown.contains("999999/1000000"), "{shown}");
    }

    #[test]
    fn only_success_is_success() {
        let batch = |failed, cancelled| Batch {
            documents: Counts {
                total: 3,
                committed: 1,
                superseded: 1,
                failed,
                cancelled,
                ..Counts::default()
            },
            ..Batch::default()
        };
        assert_eq!(code(&[batch(0, 0), batch(0, 0)]), 0);
        assert_eq!(code(&[batch(0, 0), batch(1, 0)]), DOCUMENTS_FAILED);
        assert_eq!(code(&[batch(0, 1)]), DOCUMENTS_FAILED);
    }
}
