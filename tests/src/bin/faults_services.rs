//! `faults_services [--away-s N] [--only NAME,NAME] [--seed S]`: faults of servers and disks, counted independently.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use docmill_tests::chaos::services::faults::{Options, Scenario, disks, run};

/// How long a server is away where nothing is said, in seconds.
const AWAY_S: u64 = 60;

fn main() -> Result<ExitCode> {
    // Before the first thread of ours.
    disks::enter()?;
    let options = options()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build()?;
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
    let mut options =
        Options { scenarios: Scenario::ALL.to_vec(), away: Duration::from_secs(AWAY_S), seed: 1 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--away-s" => options.away = Duration::from_secs(value()?.parse()?),
            "--seed" => options.seed = value()?.parse()?,
            "--only" => {
                let named = |name: &str| {
                    let known = Scenario::ALL.map(Scenario::name).join(", ");
                    Scenario::parse(name).with_context(|| format!("{name} is none of {known}"))
                };
                options.scenarios = value()?.split(',').map(named).collect::<Result<_>>()?;
            }
            other => bail!("unknown argument {other}; there are --away-s N, --only NAME,NAME and --seed S"),
        }
    }
    Ok(options)
}
