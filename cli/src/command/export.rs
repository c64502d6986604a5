//! `docmill export`: everything as JSON lines.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use docmill_worker::sqlite::{Readers, read};
use docmill_worker::whole_file;

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
        Some(path) => whole_file::write(path, |file| {
            let mut out = BufWriter::new(file);
            let count = write(&mut out)?;
            out.flush()?;
            Ok::<_, Failure>(count)
        })?,
    };
    Ok(ExitCode::SUCCESS)
}
