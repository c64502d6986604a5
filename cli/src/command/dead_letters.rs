//! `docmill dead-letters`: what was given up, why, and trying it again.

use std::process::ExitCode;
use std::sync::Arc;

use docmill_core::delivery::{Stage, State};
use docmill_worker::sqlite::read::{self, DocumentRow, Filter};

use super::{Context, unknown_document};
use crate::args::{DeadLetters, Extraction, Letters};
use crate::failure::{DOCUMENTS_FAILED, Failure};
use crate::output::{self, escaped};

pub async fn execute(context: &Context, action: Option<DeadLetters>) -> Result<ExitCode, Failure> {
    match action.unwrap_or(DeadLetters::List) {
        DeadLetters::List => list(context),
        DeadLetters::Show { document } => show(context, &document),
        DeadLetters::Replay { which, extraction } => replay(context, &which, extraction).await,
    }
}

fn all_of(context: &Context) -> Result<Vec<DocumentRow>, Failure> {
    let filter = Filter { state: Some(State::Failed), limit: usize::MAX, ..Filter::default() };
    context.read(|connection| read::documents(connection, &context.tenant, &filter))
}

fn one(context: &Context, name: &str) -> Result<DocumentRow, Failure> {
    let found = context.read(|connection| read::find(connection, &context.tenant, name))?;
    found.filter(|document| document.state == State::Failed).ok_or_else(|| unknown_document(name))
}

fn list(context: &Context) -> Result<ExitCode, Failure> {
    let letters = all_of(context)?;
    if context.json {
        output::json(&serde_json::json!({ "dead_letters": letters }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if letters.is_empty() {
        println!("no dead letters");
    }
    for letter in &letters {
        let code = letter.failure.as_ref().map_or("unknown", |failure| failure.code.as_str());
        println!("{}  {code:<22}  {}", letter.id, escaped(&letter.uri));
    }
    Ok(ExitCode::SUCCESS)
}

fn show(context: &Context, name: &str) -> Result<ExitCode, Failure> {
    let letter = one(context, name)?;
    if context.json {
        output::json(&letter)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}  {}", letter.id, escaped(&letter.uri));
    if let Some(failure) = &letter.failure {
        println!("{}: {}", failure.code.as_str(), failure.code.meaning());
        println!("  {}", escaped(&failure.detail));
        output::place_of_failure(failure.stage.map(Stage::as_str), failure.page);
        for line in failure.stderr.as_deref().unwrap_or_default().lines() {
            println!("  | {}", escaped(line));
        }
        println!("  help: {}", failure.code.advice());
    }
    Ok(ExitCode::SUCCESS)
}

async fn replay(context: &Context, which: &Letters, extraction: Extraction) -> Result<ExitCode, Failure> {
    let letters = match which {
        Letters { all: true, .. } => all_of(context)?,
        Letters { code: Some(code), .. } => {
            let failed_so =
                |letter: &DocumentRow| letter.failure.as_ref().is_some_and(|failure| failure.code == *code);
            all_of(context)?.into_iter().filter(failed_so).collect()
        }
        Letters { documents, .. } => {
            documents.iter().map(|name| one(context, name)).collect::<Result<Vec<_>, _>>()?
        }
    };
    let documents = letters.into_iter().map(|letter| letter.id).collect();
    let counters = Arc::default();
    let stop = crate::signals::stop();
    let progress = crate::progress::Progress::start(Arc::clone(&counters), context.json);
    let (tenant, extractor) = (context.tenant.clone(), crate::backend::extractor(&extraction)?);
    let replayed =
        crate::backend::replay(&context.dir, tenant, documents, extractor, counters, stop).await?;
    drop(progress);
    if context.json {
        output::json(&replayed)?;
    } else {
        println!(
            "replayed {}: {} succeeded, {} failed",
            replayed.replayed, replayed.succeeded, replayed.failed
        );
    }
    Ok(if replayed.failed > 0 { ExitCode::from(DOCUMENTS_FAILED) } else { ExitCode::SUCCESS })
}
