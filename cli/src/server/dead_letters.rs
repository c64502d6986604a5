//! `docmill dead-letters`: what was given up, why, and having it done again.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::client::Again;
use super::wire::{self, DeadLetter};
use super::{PAGE, Remote};
use crate::args::{DeadLetters, Letters};
use crate::failure::Failure;
use crate::output::{self, escaped};

/// Documents that one request names.
const NAMED_MAX: usize = 1_000;

pub async fn execute(remote: &Remote, action: Option<DeadLetters>) -> Result<ExitCode, Failure> {
    match action.unwrap_or(DeadLetters::List) {
        DeadLetters::List => list(remote).await,
        DeadLetters::Show { document } => show(remote, &document).await,
        DeadLetters::Replay { which, .. } => replay(remote, &which).await,
    }
}

async fn list(remote: &Remote) -> Result<ExitCode, Failure> {
    let mut letters: Vec<Value> = Vec::new();
    let mut count = 0u64;
    let mut each = |letter: Value| {
        count += 1;
        if remote.json {
            letters.push(letter);
        } else {
            let letter: DeadLetter = wire::read(&letter)?;
            println!("{}  {:<22}  {}", letter.id, escaped(&letter.reason.code), escaped(&letter.uri));
        }
        Ok(true)
    };
    remote.each(&["v1", "dead-letters"], &[("limit", PAGE)], "deadLetters", &mut each).await?;
    if remote.json {
        output::json(&json!({ "deadLetters": letters }))?;
    } else if count == 0 {
        println!("no dead letters");
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(remote: &Remote, name: &str) -> Result<ExitCode, Failure> {
    let id = remote.id_of(name).await?;
    let answer = remote.client.get(&["v1", "dead-letters", &id], &[]).await?;
    if remote.json {
        output::json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let DeadLetter { id, uri, reason, starts, extractor_deaths, transient_failures } = wire::read(&answer)?;
    println!("{id}  {}", escaped(&uri));
    println!("{}: {}", escaped(&reason.code), escaped(&reason.meaning));
    println!("  {}", escaped(&reason.detail));
    output::place_of_failure(reason.stage.as_deref(), reason.page);
    let tried = format!("{starts} starts without progress, {extractor_deaths} extractors died");
    println!("  before: {tried}, {transient_failures} transient failures");
    for line in reason.stderr.as_deref().unwrap_or_default().lines() {
        println!("  | {}", escaped(line));
    }
    println!("  help: {}", escaped(&reason.what_to_do));
    Ok(ExitCode::SUCCESS)
}

async fn replay(remote: &Remote, which: &Letters) -> Result<ExitCode, Failure> {
    let mut wanted = Vec::new();
    if which.all {
        wanted.push(json!({ "all": true }));
    } else if let Some(code) = which.code {
        wanted.push(json!({ "code": code.as_str() }));
    } else {
        let mut ids = Vec::new();
        for name in &which.documents {
            ids.push(remote.id_of(name).await?);
        }
        wanted.extend(ids.chunks(NAMED_MAX).map(|ids| json!({ "documents": ids })));
    }
    let mut replayed = 0;
    for mut request in wanted {
        loop {
            // The first names no time: sent again unseen it could meet what failed again since.
            let again = if request["untilMs"].is_null() { Again::IfRefused } else { Again::Always };
            let path = ["v1", "dead-letters", "replay"];
            let answer = remote.client.post(&path, &request, again).await?;
            replayed += answer["replayed"].as_u64().unwrap_or(0);
            if answer["remaining"].as_u64().unwrap_or(0) == 0 {
                break;
            }
            request["untilMs"] = answer["untilMs"].clone();
        }
    }
    if remote.json {
        output::json(&json!({ "replayed": replayed }))?;
    } else {
        println!("{replayed} queued again");
    }
    Ok(ExitCode::SUCCESS)
}
