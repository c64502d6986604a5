//! `docmill concept NAME`: one concept and what is around it.

use std::process::ExitCode;

use docmill_worker::sqlite::read;

use super::Context;
use crate::failure::Failure;
use crate::output::{self, Style, escaped};

pub fn execute(context: &Context, name: &str) -> Result<ExitCode, Failure> {
    let found =
        context.read(|connection| read::concept(connection, &context.tenant, name))?.ok_or_else(|| {
            let message = format!("there is no concept {name}");
            Failure::new("unknown_concept", message, "docmill concepts lists them")
        })?;
    if context.json {
        output::json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let concept = &found.concept;
    println!(
        "{}  {} mentions in {} documents",
        Style::stdout().strong(&escaped(&concept.name)),
        concept.mentions,
        concept.documents
    );
    let neighbours = found.neighbours.iter().map(|near| vec![escaped(&near.name), near.chunks.to_string()]);
    println!("\n{}", output::table(&["stands beside", "chunks"], neighbours.collect()));
    let documents =
        found.mentioned_in.iter().map(|place| vec![escaped(&place.uri), place.mentions.to_string()]);
    println!("\n{}", output::table(&["mentioned in", "mentions"], documents.collect()));
    Ok(ExitCode::SUCCESS)
}
