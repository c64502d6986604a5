//! `docmill rebuild --store STORE`: has a server write again what a store lost, and waits for it.

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Remote;
use super::client::Again;
use super::error::Error;
use super::progress::{Look, Shown, of_fill};
use super::wire::{self, Fill};
use crate::args::Rebuild;
use crate::failure::{Failure, INTERRUPTED};
use crate::output;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What is said when we are asked to stop.
const STOPPING: &str = "ending; the server goes on";

pub async fn execute(remote: &Remote, store: &str, asked: &Rebuild) -> Result<ExitCode, Failure> {
    let path = ["v1", "indexes", "stores"];
    let mut answer = remote.client.post(&path, &json!({ "store": store }), Again::Always).await?;
    let mut code = ExitCode::SUCCESS;
    if asked.wait {
        match until_filled(remote, store, asked.timeout).await? {
            Some(last) => answer = last,
            None => code = ExitCode::from(INTERRUPTED),
        }
    }
    if remote.json {
        output::json(&answer)?;
        return Ok(code);
    }
    let fill = of_store(&answer, store)?;
    if fill.state == "filled" {
        println!("the {store} store has all rows; {} documents were done again", fill.again);
        if fill.given_up > 0 {
            println!("{} dead letters lack rows there; see docmill dead-letters", fill.given_up);
        }
    } else {
        println!("{}", of_fill(&fill).text);
        println!("the same command with --wait waits for it");
    }
    Ok(code)
}

fn of_store(answer: &Value, store: &str) -> Result<Fill, Failure> {
    let fills: Vec<Fill> = wire::read(&answer["stores"])?;
    let fill = fills.into_iter().find(|fill| fill.store == store);
    Ok(fill.ok_or_else(|| Error::foreign("it does not name the store"))?)
}

/// Waits until nothing lacks; none: asked to stop.
async fn until_filled(
    remote: &Remote,
    store: &str,
    timeout: Option<u64>,
) -> Result<Option<Value>, Failure> {
    let mut stop = crate::signals::stop_saying(STOPPING);
    let began = Instant::now();
    let look: Arc<Mutex<Look>> = Arc::default();
    let shared = look.clone();
    let current = move || shared.lock().map(|look| look.clone()).unwrap_or_default();
    let _shown = Shown::start(remote.json, Arc::new(current));
    loop {
        let answer = remote.client.get(&["v1", "indexes", "stores"], &[]).await?;
        let fill = of_store(&answer, store)?;
        if fill.state == "filled" {
            return Ok(Some(answer));
        }
        let now = of_fill(&fill);
        if timeout.is_some_and(|limit| began.elapsed() >= Duration::from_secs(limit)) {
            let message = format!("not filled within {} s: {}", timeout.unwrap_or(0), now.text);
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
