//! `docmill results BATCH`: what became of each document.

use std::io::{BufWriter, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::wire::{self, Document};
use super::{PAGE, Remote, still_read};
use crate::failure::Failure;
use crate::output::{escaped, one_line};

pub async fn execute(remote: &Remote, batch: &str, state: Option<&str>) -> Result<ExitCode, Failure> {
    // A batch that is not there has no documents, and must not look like one without.
    let shown = remote.client.get(&["v1", "batches", batch], &[]).await?;
    let mut query = vec![("batch", batch), ("limit", PAGE)];
    query.extend(state.map(|state| ("state", state)));
    let mut out = BufWriter::new(std::io::stdout());
    if !remote.json {
        let header =
            format!("{:<36}  {:<10} {:>6} {:>6}  where, why", "document", "state", "pages", "chunks");
        still_read(writeln!(out, "{header}"))?;
    }
    let mut count = 0u64;
    let mut each = |entry: Value| {
        let document: Document = wire::read(&entry)?;
        count += 1;
        let shown = if remote.json { line(&document).to_string() } else { row(&document) };
        still_read(writeln!(out, "{shown}"))
    };
    remote.each(&["v1", "documents"], &query, "documents", &mut each).await?;
    still_read(out.flush())?;
    if !remote.json && count == 0 {
        println!("no documents, of {} in all", shown["documents"]["total"]);
    }
    Ok(ExitCode::SUCCESS)
}

/// For programs: one line a document.
fn line(document: &Document) -> Value {
    let reason = document.failure.as_ref().map(|reason| {
        json!({ "code": reason.code, "detail": reason.detail, "page": reason.page, "whatToDo": reason.what_to_do })
    });
    json!({
        "id": document.id, "uri": document.uri, "state": document.state,
        "pages": document.pages, "chunks": document.chunks, "reason": reason
    })
}

/// For people.
fn row(document: &Document) -> String {
    let number = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let mut row = format!(
        "{}  {:<10} {:>6} {:>6}  {}",
        document.id,
        escaped(&document.state),
        number(document.pages),
        number(document.chunks),
        escaped(&document.uri)
    );
    if let Some(reason) = &document.failure {
        row += &format!("\n    {}: {}", escaped(&reason.code), one_line(&reason.detail));
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_with_its_reason() {
        let entry = json!({
            "id": "x", "uri": "upload:host/a\u{202e}.pdf", "state": "failed",
            "failure": {"code": "damaged", "meaning": "m", "detail": "no\ntrailer", "whatToDo": "repair it"}
        });
        let document: Document = wire::read(&entry).unwrap();
        assert!(
            row(&document).ends_with("host/a\\u{202e}.pdf\n    damaged: no trailer"),
            "{}",
            row(&document)
        );
        assert_eq!(line(&document)["reason"]["code"], "damaged");
    }
}
