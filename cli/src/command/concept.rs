//! `docmill concept NAME`: one concept and what is around it, or how it leads to another.

use std::process::ExitCode;

use docmill_worker::concepts::{self, ConceptReader, SqliteConcepts};
use docmill_worker::sqlite::{Readers, read};

use super::{Context, unknown_concept};
use crate::answers;
use crate::args;
use crate::failure::Failure;
use crate::output::{self, Style, escaped};

pub async fn execute(context: &Context, asked: &args::Concept) -> Result<ExitCode, Failure> {
    match &asked.path {
        Some(other) => way(context, &asked.name, other, asked.steps).await,
        None => one(context, &asked.name),
    }
}

async fn way(context: &Context, from: &str, to: &str, steps: u8) -> Result<ExitCode, Failure> {
    let reader = SqliteConcepts(Readers::open(&context.dir)?);
    let found = reader.path(&context.tenant, from, to, steps).await?;
    let steps = found.ok_or_else(|| unknown_concept(&format!("{from} or {to}")))?;
    let found = serde_json::json!({ "steps": steps });
    if context.json {
        output::json(&found)?;
    } else {
        answers::way(&found["steps"]);
    }
    Ok(ExitCode::SUCCESS)
}

fn one(context: &Context, name: &str) -> Result<ExitCode, Failure> {
    let found = context
        .read(|connection| read::concept(connection, &context.tenant, name))?
        .ok_or_else(|| unknown_concept(name))?;
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

impl From<concepts::Error> for Failure {
    fn from(error: concepts::Error) -> Self {
        match error {
            concepts::Error::TooDeep => Self::new(
                "too_deep",
                error.to_string(),
                "ask for fewer --steps, or for concepts that are nearer",
            ),
            concepts::Error::Away(_) | concepts::Error::Graph(_) => Self::internal(error.to_string()),
        }
    }
}
