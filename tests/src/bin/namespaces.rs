//! `namespaces [--documents N] [--counts-only] [--if-possible]`: workers in network namespaces of their own.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use docmill_tests::namespaces::{Options, lacking, run};

/// Documents for each worker in each measurement, where nothing is said.
const DOCUMENTS: usize = 60;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<ExitCode> {
    let mut options = Options { documents: DOCUMENTS };
    let (mut counts_only, mut if_possible) = (false, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--documents" => options.documents = value()?.parse()?,
            // Rates are told and not judged: a machine that is busy with other things scales nothing.
            "--counts-only" => counts_only = true,
            // Without the rights it is skipped, and says so.
            "--if-possible" => if_possible = true,
            other => bail!("unknown argument {other}"),
        }
    }
    if let Some(lacking) = lacking() {
        if if_possible {
            println!("namespaces: skipped=1 reason={lacking:?}");
            return Ok(ExitCode::SUCCESS);
        }
        bail!(lacking);
    }
    let outcome = Box::pin(run(&options)).await?;
    println!("{}", outcome.line());
    let short = if counts_only { outcome.wrong() } else { outcome.short() };
    if short.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("falls short: {}", short.join(", "));
    Ok(ExitCode::FAILURE)
}
