//! `docmill export`: everything as JSON lines, in the form that a data directory has too.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use docmill_worker::whole_file;
use serde_json::Value;

use super::error::Error;
use super::{Remote, still_read};
use crate::failure::Failure;

/// Documents of a request; the server gives fewer where they are large.
const PAGE: &str = "200";

pub async fn execute(remote: &Remote, output: Option<&Path>) -> Result<ExitCode, Failure> {
    match output {
        None => {
            let mut out = BufWriter::new(std::io::stdout());
            write(remote, &mut out).await?;
        }
        Some(path) => {
            // The writing of files that are seen whole is the same as everywhere, and it does not wait.
            whole_file::write(path, |file| {
                let runtime = tokio::runtime::Handle::current();
                tokio::task::block_in_place(|| runtime.block_on(Box::pin(write(remote, file))))
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn write(remote: &Remote, out: &mut dyn Write) -> Result<(), Failure> {
    let mut each = |document: Value| {
        let line = line(document)?;
        still_read(writeln!(out, "{line}"))
    };
    remote.each(&["v1", "export"], &[("limit", PAGE)], "documents", &mut each).await?;
    still_read(out.flush()).map(drop)
}

/// The document as `docmill export` of a data directory writes it.
fn line(mut document: Value) -> Result<Value, Error> {
    let Some(fields) = document.as_object_mut() else {
        return Err(Error::foreign("a document is no object"));
    };
    if let Some(media_type) = fields.remove("mediaType") {
        fields.insert("media_type".to_owned(), media_type);
    }
    Ok(document)
}
