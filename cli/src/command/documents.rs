//! `docmill documents`: list, show, delete.

use std::process::ExitCode;

use docmill_worker::sqlite::read;

use super::{Context, unknown_document};
use crate::args::{DocumentAction, DocumentList, Documents};
use crate::failure::Failure;
use crate::output::{self, Style, escaped, mib, one_line};

pub async fn execute(context: &Context, documents: Documents) -> Result<ExitCode, Failure> {
    match documents.action {
        None => list(context, documents.list),
        Some(DocumentAction::List(asked)) => list(context, asked),
        Some(DocumentAction::Show { document }) => show(context, &document),
        Some(DocumentAction::Delete { documents }) => delete(context, &documents).await,
    }
}

fn list(context: &Context, asked: DocumentList) -> Result<ExitCode, Failure> {
    let filter = read::Filter {
        state: asked.state,
        uri_prefix: asked.prefix,
        limit: asked.limit,
        offset: asked.offset,
    };
    let documents = context.read(|connection| read::documents(connection, &context.tenant, &filter))?;
    if context.json {
        output::json(&serde_json::json!({ "documents": documents }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for document in &documents {
        println!(
            "{}  {:<10} {:>10}  {}",
            document.id,
            document.state.as_str(),
            mib(document.bytes),
            escaped(&document.uri)
        );
    }
    if documents.len() == filter.limit {
        println!("there may be more: --offset {}", filter.offset + filter.limit);
    }
    Ok(ExitCode::SUCCESS)
}

fn show(context: &Context, name: &str) -> Result<ExitCode, Failure> {
    let detail = context
        .read(|connection| read::document(connection, &context.tenant, name))?
        .ok_or_else(|| unknown_document(name))?;
    if context.json {
        output::json(&detail)?;
        return Ok(ExitCode::SUCCESS);
    }
    let document = &detail.document;
    println!("{}", Style::stdout().strong(&escaped(&document.uri)));
    println!("id {}  {}  generation {}", document.id, document.state.as_str(), document.generation);
    if let Some(summary) = &document.summary {
        let title = summary.title.as_deref().unwrap_or("(no title)");
        println!("{}  {}  {}", one_line(title), escaped(&summary.media_type), escaped(&summary.language));
        if let Some(category) = &summary.category {
            let confidence = summary.category_confidence.unwrap_or_default();
            println!("category {} (confidence {confidence:.2})", escaped(category));
        }
        println!(
            "{} pages ({} by OCR, {} lost), {} chunks",
            summary.pages, summary.ocr_pages, summary.lost_pages, summary.chunks
        );
        for (stage, ms) in &summary.stage_ms {
            println!("  {stage} {ms:.1} ms");
        }
    }
    if let Some(failure) = &document.failure {
        println!("failed: {}  help: {}", escaped(&failure.to_string()), failure.code.advice());
    }
    if !detail.page_notes.is_empty() {
        println!("pages that say something:");
    }
    for note in &detail.page_notes {
        println!("  p. {:<4} {}", note.page, one_line(&note.to_string()));
    }
    if !detail.chunks.is_empty() {
        println!("chunks:");
    }
    for chunk in &detail.chunks {
        let heading = chunk.heading.as_deref().unwrap_or_default();
        println!("  p. {:<4} {:>7}-{:<7} {}", chunk.page, chunk.start, chunk.end, one_line(heading));
    }
    Ok(ExitCode::SUCCESS)
}

async fn delete(context: &Context, names: &[String]) -> Result<ExitCode, Failure> {
    // All are looked up before any goes.
    let ids = context.read(|connection| {
        names
            .iter()
            .map(|name| read::find(connection, &context.tenant, name))
            .collect::<Result<Vec<_>, _>>()
    })?;
    let mut documents = Vec::new();
    for (name, found) in names.iter().zip(ids) {
        documents.push(found.ok_or_else(|| unknown_document(name))?.id);
    }
    let stop = crate::signals::stop();
    let deleted = crate::backend::delete(&context.dir, context.tenant.clone(), documents, stop).await?;
    if context.json {
        output::json(&serde_json::json!({ "deleted": deleted }))?;
    } else {
        println!("deleted {deleted} documents");
    }
    Ok(ExitCode::SUCCESS)
}
