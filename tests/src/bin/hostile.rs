//! `hostile [--only made|corpora] [--sample N] [--write] [--jobs N]`: hostile files through real extractors. `--reader PATH`
//! makes it the process that reads them.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use docmill_tests::hostile::{Only, Options, own_reader, run, serve};
use docmill_tests::services::worker::program;

fn main() -> Result<ExitCode> {
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (mut only, mut sample, mut write, mut jobs) = (None, None, false, jobs);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--reader" => {
                serve(&PathBuf::from(value()?))?;
                return Ok(ExitCode::SUCCESS);
            }
            "--only" => {
                only = Some(match value()?.as_str() {
                    "made" => Only::Made,
                    "corpora" => Only::Corpora,
                    other => bail!("--only takes made or corpora, not {other}"),
                });
            }
            // Of the corpora that every run of the tests has: always the same ones.
            "--sample" => sample = Some(value()?.parse()?),
            // What is seen is what is expected from now on: read the difference before it is kept.
            "--write" => write = true,
            "--jobs" => jobs = value()?.parse()?,
            other => {
                bail!("unknown argument {other}; there are --only, --sample, --write and --jobs")
            }
        }
    }
    let options = Options { only, sample, write, jobs, subject: own_reader(&program())? };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(Box::pin(run(&options)))?;
    let short = outcome.short();
    print!("{}", outcome.differences());
    println!("{}", outcome.beside());
    println!("{}", outcome.line());
    if short.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("falls short: {}", short.join(", "));
    Ok(ExitCode::FAILURE)
}
