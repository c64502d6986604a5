//! `chaos_services [--kills N] [--seed S] [--lease-ms MS] [--counts-only] [--planted NAME]`: kills among many processes, counted independently.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use docmill_tests::chaos::services::{LEASE_MS, Options, run};
use docmill_worker::delivery::PlantedFault;

/// Kills in a test run.
const KILLS: usize = 100;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<ExitCode> {
    let mut options = Options { kills: KILLS, seed: 1, lease_ms: LEASE_MS, planted: None };
    let mut counts_only = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--kills" => options.kills = value()?.parse()?,
            "--seed" => options.seed = value()?.parse()?,
            // The shipped lease is 30,000.
            "--lease-ms" => options.lease_ms = value()?.parse()?,
            // Times are told and not judged: a machine that is busy with other things is slow to recover.
            "--counts-only" => counts_only = true,
            // For those who want to see that it is found; the exit code says that it was.
            "--planted" => {
                let name = value()?;
                let planted = PlantedFault::ON_SERVERS.into_iter().find(|fault| fault.as_str() == name);
                let known = PlantedFault::ON_SERVERS.map(PlantedFault::as_str).join(", ");
                options.planted = Some(planted.with_context(|| format!("--planted is one of {known}"))?);
            }
            other => bail!("unknown argument {other}"),
        }
    }
    let outcome = Box::pin(run(&options)).await?;
    eprintln!("{}", outcome.beside());
    println!("{}", outcome.line());
    let short = if counts_only { outcome.verdict.short() } else { outcome.short() };
    if short.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("falls short: {}", short.join(", "));
    Ok(ExitCode::FAILURE)
}
