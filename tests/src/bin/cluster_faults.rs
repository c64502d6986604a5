//! `cluster_faults [--every N] [--jobs N] [--only NAME,NAME] [--away-s N] [--operator PATH]`: the operator under
//! faults, on a real API server with its controllers.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use docmill_tests::cluster::faults::{Options, Part, Sweep, run};

/// Lives at once where nothing is said: most of each is waiting.
const JOBS: usize = 3;
/// How long no operator runs where nothing is said, in seconds.
const AWAY_S: u64 = 60;

fn main() -> Result<ExitCode> {
    let options = options()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(async { Box::pin(run(&options)).await })?;
    println!("{}", outcome.line());
    let short = outcome.short();
    if short.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("falls short: {}", short.join(", "));
    Ok(ExitCode::FAILURE)
}

fn options() -> Result<Options> {
    let program = PathBuf::from("target/debug/docmill-operator");
    let sweep = Sweep { every: 1, jobs: JOBS };
    let mut options =
        Options { program, parts: Part::ALL.to_vec(), sweep, away: Duration::from_secs(AWAY_S) };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            // Kills at each so many-th write only.
            "--every" => options.sweep.every = value()?.parse()?,
            "--jobs" => options.sweep.jobs = value()?.parse()?,
            "--away-s" => options.away = Duration::from_secs(value()?.parse()?),
            "--operator" => options.program = value()?.into(),
            "--only" => {
                let named = |name: &str| {
                    let known = Part::ALL.map(Part::name).join(", ");
                    Part::parse(name).with_context(|| format!("{name} is none of {known}"))
                };
                options.parts = value()?.split(',').map(named).collect::<Result<_>>()?;
            }
            other => bail!(
                "unknown argument {other}; there are --every, --jobs, --only, --away-s and --operator"
            ),
        }
    }
    // Found from wherever the process runs.
    options.program = std::path::absolute(&options.program)?;
    Ok(options)
}
