//! `tenants [--queries N] [--seed S] [--planted]`: two tenants reach for what is the other's, and secrets are looked
//! for wherever they must not be.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use docmill_tests::tenants::{Options, run};

/// Requests where nothing is said.
const QUERIES: usize = 10_000;

fn main() -> Result<ExitCode> {
    let mut options = Options { queries: QUERIES, seed: 1, planted: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--queries" => options.queries = value()?.parse()?,
            "--seed" => options.seed = value()?.parse()?,
            // For those who want to see that it is found; the exit code says that it was.
            "--planted" => options.planted = true,
            other => bail!("unknown argument {other}"),
        }
    }
    let outcome = run(&options)?;
    let short = outcome.short();
    if !short.is_empty() {
        eprintln!("{}", outcome.beside());
    }
    println!("{}", outcome.line());
    if short.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("falls short: {}", short.join(", "));
    Ok(ExitCode::FAILURE)
}
