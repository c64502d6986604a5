//! `bench_machine [--only PARTS] [--bin PATH] [--full] [--fresh] [--no-thresholds]`: speed and answers.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use docmill_tests::bench::{self, Options, Part};
use docmill_tests::command;

// As the command: an allocator is part of what is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<ExitCode> {
    let (mut parts, mut bin, mut scale) = (Part::ALL.to_vec(), None, 1.0);
    let (mut full, mut fresh, mut judge) = (false, false, true);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--only" => parts = Part::list(&value()?)?,
            "--bin" => bin = Some(PathBuf::from(value()?)),
            "--full" => full = true,
            "--fresh" => fresh = true,
            "--no-thresholds" => judge = false,
            // Smaller sizes, to try the measurement itself; its figures say nothing.
            "--scale" => scale = value()?.parse()?,
            other => bail!("unknown argument {other}"),
        }
    }
    ensure!(scale > 0.0 && scale <= 1.0, "--scale is above 0 and at most 1");
    let options = Options { bin: command::locate(bin)?, parts, scale, full, fresh };
    let figures = bench::run(&options)?;
    println!("\n{figures}");
    println!("bench machine: {}", figures.line());
    let short = figures.short();
    if judge && !short.is_empty() {
        eprintln!("falls short: {}", short.join(", "));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
