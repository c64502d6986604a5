//! `docmill documents`: list, show, delete.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::wire::{self, Document};
use super::{PAGE, Remote};
use crate::args::{DocumentAction, DocumentList, Documents};
use crate::failure::Failure;
use crate::output::{self, Style, escaped, mib, one_line};

pub async fn execute(remote: &Remote, documents: Documents) -> Result<ExitCode, Failure> {
    match documents.action {
        None => list(remote, documents.list).await,
        Some(DocumentAction::List(asked)) => list(remote, asked).await,
        Some(DocumentAction::Show { document }) => show(remote, &document).await,
        Some(DocumentAction::Delete { documents }) => delete(remote, &documents).await,
    }
}

async fn list(remote: &Remote, asked: DocumentList) -> Result<ExitCode, Failure> {
    let page = asked.limit.clamp(1, PAGE.parse().unwrap_or(1)).to_string();
    let mut query = vec![("limit", page.as_str())];
    query.extend(asked.state.map(|state| ("state", state.as_str())));
    let mut found: Vec<Value> = Vec::new();
    let mut each = |document: Value| {
        let wanted = found.len() < asked.limit;
        if wanted {
            found.push(document);
        }
        Ok(wanted)
    };
    if asked.limit > 0 {
        remote.each(&["v1", "documents"], &query, "documents", &mut each).await?;
    }
    if remote.json {
        output::json(&json!({ "documents": found }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for document in &found {
        let document: Document = wire::read(document)?;
        let (state, uri) = (escaped(&document.state), escaped(&document.uri));
        println!("{}  {state:<10} {:>10}  {uri}", document.id, mib(document.bytes));
    }
    if found.len() == asked.limit {
        println!("there may be more: --limit {}", asked.limit.saturating_mul(10).max(10));
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(remote: &Remote, name: &str) -> Result<ExitCode, Failure> {
    let id = remote.id_of(name).await?;
    let answer = remote.client.get(&["v1", "documents", &id], &[]).await?;
    if remote.json {
        output::json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let document: Document = wire::read(&answer)?;
    println!("{}", Style::stdout().strong(&escaped(&document.uri)));
    println!("id {}  {}  generation {}", document.id, escaped(&document.state), document.generation);
    if let (Some(pages), Some(chunks)) = (document.pages, document.chunks) {
        let title = document.title.as_deref().unwrap_or("(no title)");
        let [kind, language] = [&document.media_type, &document.language]
            .map(|text| escaped(text.as_deref().unwrap_or_default()));
        println!("{}  {kind}  {language}", one_line(title));
        println!("{pages} pages, {chunks} chunks");
    }
    if let Some(reason) = &document.failure {
        let (code, detail, help) =
            (escaped(&reason.code), one_line(&reason.detail), escaped(&reason.what_to_do));
        println!("failed: {code}: {detail}  help: {help}");
    }
    Ok(ExitCode::SUCCESS)
}

async fn delete(remote: &Remote, names: &[String]) -> Result<ExitCode, Failure> {
    // All are looked up before any goes.
    let mut ids = Vec::new();
    for name in names {
        let id = remote.id_of(name).await?;
        remote.client.get(&["v1", "documents", &id], &[]).await?;
        ids.push(id);
    }
    for id in &ids {
        remote.client.delete(&["v1", "documents", id]).await?;
    }
    if remote.json {
        output::json(&json!({ "deleted": ids.len() }))?;
    } else {
        println!("{} documents will be gone within moments", ids.len());
    }
    Ok(ExitCode::SUCCESS)
}
