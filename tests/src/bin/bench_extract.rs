//! `bench_extract --corpus DIR [--quality] [--only PARTS] [--counts-only] [--pages-per-language N] [--no-thresholds]`: right text,
//! speed beside others, memory. `cargo xtask bench extract` makes the documents and runs it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use docmill_tests::bench::extract::{Options, Part, run};
use docmill_tests::services::worker::program;

// As the worker: an allocator is part of what is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<ExitCode> {
    let (mut corpus, mut parts, mut judge) = (None, Vec::new(), true);
    let (mut counts_only, mut pages_per_language) = (false, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--corpus" => corpus = Some(PathBuf::from(value()?)),
            "--quality" => parts.push(Part::Quality),
            "--only" => parts.extend(Part::list(&value()?)?),
            "--counts-only" => counts_only = true,
            "--pages-per-language" => {
                let pages: usize = value()?.parse().context("--pages-per-language is a whole number")?;
                ensure!(pages > 0, "--pages-per-language is 1 or more");
                pages_per_language = Some(pages);
            }
            "--no-thresholds" => judge = false,
            other => bail!("unknown argument {other}"),
        }
    }
    if parts.is_empty() && (counts_only || pages_per_language.is_some()) {
        parts.extend(counts_only.then_some(Part::Workload));
        parts.extend(pages_per_language.map(|_| Part::Quality));
    } else if parts.is_empty() {
        parts.extend(Part::SPEED);
    }
    let corpus = corpus.context("--corpus is needed: `cargo xtask bench extract` gives it")?;
    let options = Options { worker: program(), corpus, parts, counts_only, pages_per_language };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let figures = runtime.block_on(Box::pin(run(&options)))?;
    println!("\n{figures}");
    println!("bench_extract: {}", figures.line());
    let short = figures.short();
    if judge && !short.is_empty() {
        eprintln!("falls short: {}", short.join(", "));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
