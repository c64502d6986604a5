//! `docmill rebuild`: another index at a server, and waiting until searches read it.

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Remote;
use super::client::Again;
use super::progress::{Look, Shown, of_index};
use super::wire::{self, Index};
use crate::args::Rebuild;
use crate::failure::{Failure, INTERRUPTED};
use crate::output;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What is said when we are asked to stop.
const STOPPING: &str = "ending; the server goes on";

pub async fn execute(remote: &Remote, asked: Rebuild) -> Result<ExitCode, Failure> {
    let body = json!({ "embeddings": asked.embeddings, "concepts": asked.concepts });
    let mut answer = remote.client.post(&["v1", "indexes"], &body, Again::Always).await?;
    let began = building(&answer)?;
    let mut code = ExitCode::SUCCESS;
    if let (Some(_), true) = (&began, asked.wait) {
        match until_switched(remote, asked.timeout).await? {
            Some(last) => answer = last,
            None => code = ExitCode::from(INTERRUPTED),
        }
    }
    if remote.json {
        output::json(&answer)?;
        return Ok(code);
    }
    match (began, building(&answer)?) {
        (None, _) => println!("the index is made so already, or is the one that is being built"),
        (Some(index), None) => {
            println!("searches read embeddings {} and concepts {} now", index.embeddings, index.concepts);
        }
        (Some(index), Some(_)) => {
            println!("being built: embeddings {} and concepts {}", index.embeddings, index.concepts);
            println!("the same command with --wait waits for it");
        }
    }
    Ok(code)
}

/// The index that is being built.
fn building(answer: &Value) -> Result<Option<Index>, Failure> {
    let indexes: Vec<Index> = wire::read(&answer["indexes"])?;
    Ok(indexes.into_iter().find(|index| index.state == "building"))
}

/// Waits until none is being built; none: asked to stop.
async fn until_switched(remote: &Remote, timeout: Option<u64>) -> Result<Option<Value>, Failure> {
    let mut stop = crate::signals::stop_saying(STOPPING);
    let began = Instant::now();
    let look: Arc<Mutex<Look>> = Arc::default();
    let shared = look.clone();
    let current = move || shared.lock().map(|look| look.clone()).unwrap_or_default();
    let _shown = Shown::start(remote.json, Arc::new(current));
    loop {
        let answer = remote.client.get(&["v1", "indexes"], &[]).await?;
        if building(&answer)?.is_none() {
            return Ok(Some(answer));
        }
        let now = of_index(&wire::read::<Vec<Index>>(&answer["indexes"])?);
        if timeout.is_some_and(|limit| began.elapsed() >= Duration::from_secs(limit)) {
            let message = format!("not built within {} s: {}", timeout.unwrap_or(0), now.text);
            return Err(Failure::new("not_in_time", message, "the same command goes on waiting"));
        }
        if let Ok(mut look) = look.lock() {
            *look = now;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            // Who could ask is gone with the process.
            Ok(_) = stop.wait_for(|stop| *stop) => return Ok(None),
        }
    }
}
