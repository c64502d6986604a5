//! Waiting for something that a server does by itself, and showing how far it is.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Remote;
use super::progress::{Look, Shown};
use crate::failure::Failure;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What is said when we are asked to stop.
const STOPPING: &str = "ending; the server goes on";

/// Asks for `path` until `going` gives nothing more to show; the last answer, or none where we were asked to stop.
/// `undone` is what it is not when the time, in seconds, is up.
///
/// # Errors
/// The time is up; the server does not answer, or not as it should.
pub async fn until_done(
    remote: &Remote,
    path: &[&str],
    timeout: Option<u64>,
    undone: &str,
    going: impl Fn(&Value) -> Result<Option<Look>, Failure>,
) -> Result<Option<Value>, Failure> {
    let mut stop = crate::signals::stop_saying(STOPPING);
    let began = Instant::now();
    let (_shown, told) = Shown::told(remote.json);
    loop {
        let answer = remote.client.get(path, &[]).await?;
        let Some(now) = going(&answer)? else { return Ok(Some(answer)) };
        if let Some(limit) = timeout.filter(|limit| began.elapsed() >= Duration::from_secs(*limit)) {
            let message = format!("not {undone} within {limit} s: {}", now.text);
            return Err(Failure::new("not_in_time", message, "the same command goes on waiting"));
        }
        told.is(now);
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            // Who could ask is gone with the process.
            Ok(_) = stop.wait_for(|stop| *stop) => return Ok(None),
        }
    }
}
