//! `docmill status`: the data directory at a glance.

use std::process::ExitCode;

use docmill_worker::sqlite::read;

use super::Context;
use crate::failure::Failure;
use crate::output::{self, escaped, mib};

pub fn execute(context: &Context) -> Result<ExitCode, Failure> {
    let status = context.read(|connection| read::status(connection, &context.tenant, &context.dir))?;
    if context.json {
        output::json(&status)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![vec!["data directory".to_owned(), escaped(&context.dir.to_string_lossy())]];
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    row("on disk", mib(status.bytes_on_disk));
    for (state, count) in &status.documents {
        row(&format!("documents {state}"), count.to_string());
    }
    for (lane, count) in &status.waiting {
        row(&format!("waiting, {lane} lane"), count.to_string());
    }
    row("chunks", status.chunks.to_string());
    row("vectors", status.vectors.to_string());
    row("concepts", status.concepts.to_string());
    if let Some(index) = &status.active_index {
        row("embeddings", index.spec.embedder.clone());
        row("concept model", index.spec.concepts.clone());
        if let Some(building) = &status.building_index {
            row("building index", format!("{} of {} documents", building.documents, index.documents));
        }
    }
    if let Some(writer) = &status.writer {
        row("writing now", format!("process {} since {}", escaped(&writer.pid), escaped(&writer.since)));
    }
    for (code, count) in &status.failures_by_code {
        row(&format!("failed: {code}"), count.to_string());
    }
    println!("{}", output::table(&[], rows));
    Ok(ExitCode::SUCCESS)
}
