//! `docmill search QUERY`.

use std::process::ExitCode;
use std::sync::Arc;

use docmill_worker::embed::EmbeddingModel;
use docmill_worker::search::Searcher;
use docmill_worker::sqlite::{Readers, read};

use super::Context;
use crate::answers;
use crate::args;
use crate::failure::Failure;
use crate::output;

pub async fn execute(context: &Context, asked: &args::Search) -> Result<ExitCode, Failure> {
    let readers = Readers::open(&context.dir)?;
    let (embedder, problem) = match embedder(context, &readers)? {
        Ok(embedder) => (embedder, None),
        Err(problem) => (None, Some(problem)),
    };
    let searcher = Searcher::open(readers, context.tenant.clone(), embedder);
    let mut found = searcher.answer(&asked.request()).await?;
    // Why the model is missing says more than that it is.
    found.reason = found.reason.map(|reason| problem.unwrap_or(reason));
    if context.json {
        output::json(&found)?;
    } else {
        answers::hits(&found);
    }
    Ok(ExitCode::SUCCESS)
}

/// The model of the active index; a model that cannot be had leaves the words.
fn embedder(
    context: &Context,
    readers: &Readers,
) -> Result<Result<Option<Arc<dyn EmbeddingModel>>, String>, Failure> {
    let active = readers.read(|connection| read::active_index(connection, &context.tenant))??;
    let Some((_, spec)) = active else { return Ok(Ok(None)) };
    Ok(docmill_worker::search::model_of(&spec).map_err(|error| error.to_string()))
}
