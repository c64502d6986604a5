//! `chaos_machine --kills N [--seed S] [--bin PATH] [--keep] [--no-thresholds]`: kill -9 at any moment.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use docmill_tests::{chaos, command};

/// Share of the kills that must hit a run that still works; below, the test proves too little.
const EFFECTIVE_SHARE_MIN: f64 = 0.8;
/// Kills of one proof (issue "One machine": at least 100).
const KILLS: usize = 100;

fn main() -> Result<ExitCode> {
    let (mut kills, mut seed, mut bin, mut keep, mut judge) = (KILLS, 1, None, false, true);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--kills" => kills = value()?.parse()?,
            "--seed" => seed = value()?.parse()?,
            "--bin" => bin = Some(PathBuf::from(value()?)),
            "--keep" => keep = true,
            "--no-thresholds" => judge = false,
            other => bail!("unknown argument {other}"),
        }
    }
    let options = chaos::Options { kills, seed, bin: command::locate(bin)?, keep };
    let outcome = chaos::run(&options)?;
    let verdict = &outcome.verdict;
    println!(
        "chaos machine: kills={} effective={} extractor_kills={} stops={} documents={} lost={} doubled={} stale={} \
         innocent_dead={} poison_wrong={} orphan_processes={} verify={} seconds={:.1}",
        outcome.kills,
        outcome.effective,
        outcome.extractor_kills,
        outcome.stops,
        outcome.documents,
        verdict.lost,
        verdict.doubled,
        verdict.stale,
        verdict.innocent_dead,
        verdict.poison_wrong,
        verdict.orphan_processes,
        verdict.verify,
        outcome.seconds,
    );
    let enough = outcome.effective as f64 >= EFFECTIVE_SHARE_MIN * outcome.kills as f64;
    let enough = enough && outcome.stops > 0;
    Ok(if !judge || (enough && verdict.is_clean()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
