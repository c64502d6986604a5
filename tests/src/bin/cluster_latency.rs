//! `cluster_latency [--trials N] [--stock] [--counts-only]`: how soon workers follow the queue on a real cluster. Wants
//! root.

use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use docmill_tests::cluster::lacking;
use docmill_tests::cluster::latency::{Options, run};

/// Trials where nothing is said.
const TRIALS: u64 = 50;

fn main() -> Result<ExitCode> {
    let mut options = Options { trials: TRIALS, stock: false };
    let mut counts_only = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--trials" => options.trials = value()?.parse()?,
            // Autoscalers that look as seldom as a released cluster's.
            "--stock" => options.stock = true,
            // Times are told and not judged: a machine that is busy with other things is slow.
            "--counts-only" => counts_only = true,
            other => bail!("unknown argument {other}; there are --trials N, --stock and --counts-only"),
        }
    }
    ensure!(options.trials > 0, "--trials is at least 1");
    if let Some(lacking) = lacking() {
        bail!(lacking);
    }
    let figures = run(&options)?;
    println!("{}", figures.line());
    let short = if counts_only { Vec::new() } else { figures.short() };
    if short.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("falls short: {}", short.join(", "));
    Ok(ExitCode::FAILURE)
}
