//! `bench_services [--only PARTS] [--scale S] [--no-thresholds]`: rates through real servers.
//! `bench_services --write-corpus FOLDER [--documents N]`: only the documents, for others to be measured with.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use docmill_tests::bench::services::{Options, Part, run, write_corpus};

/// Documents that are written where nothing is said: what is measured, and what comes before, twice.
const CORPUS: usize = 4_600;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<ExitCode> {
    let (mut parts, mut scale, mut judge) = (Part::ALL.to_vec(), 1.0, true);
    let (mut corpus, mut documents) = (None, CORPUS);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--only" => parts = Part::list(&value()?)?,
            "--no-thresholds" => judge = false,
            // Smaller sizes, to try the measurement itself; its figures say nothing.
            "--scale" => scale = value()?.parse()?,
            "--write-corpus" => corpus = Some(PathBuf::from(value()?)),
            "--documents" => documents = value()?.parse()?,
            other => bail!("unknown argument {other}"),
        }
    }
    if let Some(folder) = corpus {
        write_corpus(&folder, documents)?;
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(scale > 0.0 && scale <= 1.0, "--scale is above 0 and at most 1");
    let figures = Box::pin(run(&Options { parts, scale })).await?;
    println!("\n{figures}");
    println!("bench services: {}", figures.line());
    let short = figures.short();
    if judge && !short.is_empty() {
        eprintln!("falls short: {}", short.join(", "));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
