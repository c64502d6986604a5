//! `cluster_day2 [--only NAME,NAME]`: what comes after the first day, on a real cluster. Wants root.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use docmill_tests::cluster::day2::{Options, Step, run};
use docmill_tests::cluster::lacking;

fn main() -> Result<ExitCode> {
    let mut options = Options { steps: Step::ALL.to_vec() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--only" => {
                let named = |name: &str| {
                    let known = Step::ALL.map(Step::name).join(", ");
                    Step::parse(name).with_context(|| format!("{name} is none of {known}"))
                };
                options.steps = value()?.split(',').map(named).collect::<Result<_>>()?;
            }
            other => bail!("unknown argument {other}; there is --only NAME,NAME"),
        }
    }
    if let Some(lacking) = lacking() {
        bail!(lacking);
    }
    let outcome = run(&options)?;
    println!("{}", outcome.line());
    if outcome.failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("failed: {}", outcome.failed.join(", "));
    Ok(ExitCode::FAILURE)
}
