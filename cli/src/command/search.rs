//! `docmill search QUERY`.

use std::process::ExitCode;
use std::sync::Arc;

use docmill_worker::embed::EmbeddingModel;
use docmill_worker::search::{Found, Mode, Searcher};
use docmill_worker::sqlite::{Readers, read};

use super::Context;
use crate::failure::Failure;
use crate::output::{self, Style, escaped, highlighted, one_line};

pub async fn execute(context: &Context, query: &str, k: usize) -> Result<ExitCode, Failure> {
    let readers = Readers::open(&context.dir)?;
    let (embedder, problem) = match embedder(context, &readers)? {
        Ok(embedder) => (embedder, None),
        Err(problem) => (None, Some(problem)),
    };
    let searcher = Searcher::open(readers, context.tenant.clone(), embedder);
    let mut found = searcher.search(query, k).await?;
    // Why the model is missing says more than that it is.
    found.reason = found.reason.map(|reason| problem.unwrap_or(reason));
    if context.json {
        output::json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let style = Style::stdout();
    for (place, hit) in found.results.iter().enumerate() {
        print(place + 1, hit, style);
    }
    if found.results.is_empty() {
        println!("nothing found");
    }
    if let (Mode::FullText, Some(reason)) = (found.mode, &found.reason) {
        println!("{}", style.dim(&format!("full text only: {}", escaped(reason))));
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

fn print(place: usize, hit: &Found, style: Style) {
    let file = hit.document.uri.rsplit('/').next().unwrap_or(&hit.document.uri);
    let title = hit.document.title.as_deref().unwrap_or(file);
    println!("{place}. {}  {}", style.strong(&one_line(title)), style.dim(&format!("{:.4}", hit.score)));
    let heading = hit.heading.as_deref().map(|heading| format!("  {}", one_line(heading)));
    println!("   p. {}{}", hit.page, heading.unwrap_or_default());
    println!("   {}", style.dim(&escaped(&hit.document.uri)));
    for twin in &hit.also_at {
        println!("   {}", style.dim(&format!("also at {}", escaped(twin))));
    }
    println!("   {}\n", highlighted(&hit.snippet, style));
}
