//! `docmill status [BATCH]`: a batch, or all of them with what waits.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::Remote;
use super::error::Error;
use super::progress::{duration, of_batches};
use super::wait::table;
use super::wire::{self, Batch, Lane, Worker};
use crate::failure::Failure;
use crate::output::{self, escaped};

/// Batches that are shown: the newest.
const BATCHES: &str = "20";

pub async fn execute(remote: &Remote, batch: Option<&str>) -> Result<ExitCode, Failure> {
    match batch {
        Some(batch) => one(remote, batch).await?,
        None => all(remote).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn one(remote: &Remote, id: &str) -> Result<(), Failure> {
    let answer = remote.client.get(&["v1", "batches", id], &[]).await?;
    if remote.json {
        return output::json(&answer);
    }
    let batch: Batch = wire::read(&answer)?;
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    row("batch", batch.id.clone());
    if let Some(name) = &batch.name {
        row("name", escaped(name));
    }
    row("state", batch.state.clone());
    row("made", batch.created_at.clone());
    row("progress", format!("{:.1} %", batch.progress_percent));
    if let Some(rate) = batch.rate_per_s {
        row("rate", format!("{rate:.1} documents/s"));
    }
    match batch.eta_s {
        Some(0) => {}
        Some(seconds) => row("ETA", duration(seconds)),
        None => row("ETA", "not known yet".to_owned()),
    }
    let counts = &batch.documents;
    for (state, count) in [
        ("documents", counts.total),
        ("queued", counts.queued),
        ("processing", counts.processing),
        ("committed", counts.committed),
        ("failed", counts.failed),
        ("cancelled", counts.cancelled),
        ("superseded", counts.superseded),
    ] {
        row(state, count.to_string());
    }
    println!("{}", output::table(&[], rows));
    Ok(())
}

async fn all(remote: &Remote) -> Result<(), Failure> {
    let batches = remote.client.get(&["v1", "batches"], &[("limit", BATCHES)]).await?;
    // What all tenants share takes a scope of its own, which most keys lack.
    let queues = if_allowed(remote.client.get(&["v1", "queues"], &[]).await)?;
    let workers = if_allowed(remote.client.get(&["v1", "workers"], &[]).await)?;
    if remote.json {
        return output::json(&json!({
            "batches": batches["batches"],
            "queues": queues,
            "workers": workers.map(|workers| workers["workers"].clone()),
        }));
    }
    let batches: Vec<Batch> = wire::read(&batches["batches"])?;
    if batches.is_empty() {
        println!("no batches yet; docmill submit PATH hands documents in");
    } else {
        println!("{}", table(&batches));
        let running: Vec<Batch> = batches.into_iter().filter(|batch| batch.state == "running").collect();
        if !running.is_empty() {
            println!("\nrunning: {}", of_batches(&running).text);
        }
    }
    match (queues, workers) {
        (Some(queues), Some(workers)) => {
            println!("\n{}", lanes(&wire::read::<Vec<Lane>>(&queues["lanes"])?));
            if queues["queueReachable"] == false {
                println!("the queue does not answer; what is handed in is kept meanwhile");
            }
            println!("\n{}", fleet(&wire::read::<Vec<Worker>>(&workers["workers"])?));
        }
        _ => println!("\nqueues and workers are shown to keys with the scope admin"),
    }
    Ok(())
}

fn if_allowed(answer: Result<Value, Error>) -> Result<Option<Value>, Failure> {
    match answer {
        Err(error) if error.is("scope_needed") => Ok(None),
        answer => Ok(answer.map(Some)?),
    }
}

fn lanes(lanes: &[Lane]) -> String {
    let known = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
    let row = |lane: &Lane| {
        vec![
            lane.lane.clone(),
            known(lane.waiting),
            known(lane.in_flight),
            lane.unsettled.to_string(),
            lane.dead.to_string(),
        ]
    };
    let header = ["lane", "waiting", "in flight", "unsettled", "dead letters"];
    output::table(&header, lanes.iter().map(row).collect())
}

fn fleet(workers: &[Worker]) -> String {
    let busy: u32 = workers.iter().map(|worker| worker.busy).sum();
    let draining = workers.iter().filter(|worker| worker.draining).count();
    match workers.len() {
        0 => "no worker lives: nothing is worked on".to_owned(),
        count => format!("{count} workers, {busy} documents in work, {draining} draining"),
    }
}
