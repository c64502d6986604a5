//! `docmill export`: everything as JSON lines.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use docmill_worker::sqlite::{Readers, read};

use super::Context;
use crate::failure::Failure;

pub fn execute(context: &Context, output: Option<&Path>) -> Result<ExitCode, Failure> {
    let readers = Readers::open(&context.dir)?;
    let write = |out: &mut dyn Write| {
        let done = readers.read(|connection| read::export(connection, &context.tenant, out))?;
        done.map_err(|error| {
            Failure::new("export_failed", error.to_string(), "check the output and its disk")
        })
    };
    match output {
        None => write(&mut BufWriter::new(std::io::stdout().lock()))?,
        Some(path) => {
            // Renamed when complete: a half-written export never has the name asked for.
            let mut part = path.as_os_str().to_owned();
            part.push(".part");
            let count = write(&mut BufWriter::new(std::fs::File::create(&part)?))?;
            std::fs::rename(&part, path)?;
            count
        }
    };
    Ok(ExitCode::SUCCESS)
}
