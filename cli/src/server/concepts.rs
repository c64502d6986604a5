//! `docmill concepts` and `docmill concept NAME` at a server.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::Remote;
use super::error::Error;
use crate::answers;
use crate::args;
use crate::command::unknown_concept;
use crate::failure::Failure;
use crate::output::{self, Style, one_line};

/// Concepts of one page of the API.
const PAGE_MAX: usize = 1_000;

pub async fn list(remote: &Remote, top: usize) -> Result<ExitCode, Failure> {
    let mut concepts: Vec<Value> = Vec::new();
    let limit = top.clamp(1, PAGE_MAX).to_string();
    let mut each = |concept: Value| {
        if concepts.len() < top {
            concepts.push(concept);
        }
        Ok(concepts.len() < top)
    };
    remote.each(&["v1", "concepts"], &[("limit", &limit)], "concepts", &mut each).await?;
    if remote.json {
        output::json(&json!({ "concepts": concepts }))?;
    } else if concepts.is_empty() {
        println!("no concepts yet");
    } else {
        let rows = concepts.iter().map(|concept| {
            let number = |name: &str| concept[name].to_string();
            vec![text(&concept["name"]), text(&concept["kind"]), number("mentions"), number("documents")]
        });
        println!("{}", output::table(&["concept", "kind", "mentions", "documents"], rows.collect()));
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn concept(remote: &Remote, asked: &args::Concept) -> Result<ExitCode, Failure> {
    match &asked.path {
        Some(other) => way(remote, &asked.name, other, asked.steps).await,
        None => one(remote, &asked.name).await,
    }
}

async fn one(remote: &Remote, name: &str) -> Result<ExitCode, Failure> {
    let found =
        remote.client.get(&["v1", "concepts", name], &[]).await.map_err(|error| known(error, name))?;
    if remote.json {
        output::json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let shown = Style::stdout().strong(&text(&found["name"]));
    println!("{shown}  {} mentions in {} documents", found["mentions"], found["documents"]);
    for (list, name, count, header) in [
        ("neighbours", "name", "chunks", ["stands beside", "chunks"]),
        ("mentionedIn", "uri", "mentions", ["mentioned in", "mentions"]),
    ] {
        let rows = found[list].as_array().into_iter().flatten();
        let rows = rows.map(|row| vec![text(&row[name]), row[count].to_string()]);
        println!("\n{}", output::table(&header, rows.collect()));
    }
    Ok(ExitCode::SUCCESS)
}

async fn way(remote: &Remote, from: &str, to: &str, steps: u8) -> Result<ExitCode, Failure> {
    let (path, steps) = (["v1", "concepts", from, "path"], steps.to_string());
    let found = remote.client.get(&path, &[("to", to), ("steps", &steps)]).await;
    let found = found.map_err(|error| known(error, &format!("{from} or {to}")))?;
    if remote.json {
        output::json(&found)?;
    } else {
        answers::way(&found["steps"]);
    }
    Ok(ExitCode::SUCCESS)
}

/// As a data directory says that there is no such concept.
fn known(error: Error, name: &str) -> Failure {
    if error.is("not_found") { unknown_concept(name) } else { error.into() }
}

fn text(value: &Value) -> String {
    one_line(value.as_str().unwrap_or_default())
}
