//! `docmill ask QUESTION`: an answer from the data directory's documents, as it is written.

use std::process::ExitCode;
use std::sync::Arc;

use docmill_worker::ask::{AskEvent, AskSettings, Asker, Question};
use docmill_worker::search::{EmbeddedSearch, QueryEmbedder};
use docmill_worker::sqlite::Readers;
use futures::StreamExt;
use serde::Serialize;
use serde_json::Value;

use super::Context;
use crate::args;
use crate::asking::Telling;
use crate::failure::Failure;

pub async fn execute(context: &Context, asked: args::Ask) -> Result<ExitCode, Failure> {
    let settings = settings()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let search = EmbeddedSearch::new(Readers::open(&context.dir)?, Arc::new(QueryEmbedder::new(cores)));
    let asker = Asker::new(Arc::new(search), &settings)
        .map_err(|what| Failure::new("bad_ask", what, "correct the settings of the model"))?;
    let question =
        Question { filter: asked.filters.filter(), k: asked.k, text: asked.question, history: Vec::new() };
    let mut telling = Telling::new(context.json, !asked.no_stream);
    let mut events = asker.ask(context.tenant.clone(), question);
    while let Some(event) = events.next().await {
        match event {
            AskEvent::SearchResults { .. } | AskEvent::Citation(_) => {}
            AskEvent::Message { delta } => telling.message(&delta)?,
            AskEvent::FinalAnswer(answer) => return telling.end(&value(&answer)?),
            AskEvent::Error(problem) => {
                telling.cut();
                return Err(Failure::of_problem(&value(&problem)?));
            }
        }
    }
    Err(Failure::internal("the answer ended before its end"))
}

/// Who writes answers: the environment says, for this command and for `docmill serve`.
pub fn settings() -> Result<AskSettings, Failure> {
    AskSettings::from_environment(&|name| std::env::var(name).ok())
        .map_err(|what| Failure::new("bad_ask", what, "correct the variable, or remove it"))
}

fn value(said: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(said).map_err(|error| Failure::internal(error.to_string()))
}
