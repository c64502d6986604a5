//! `cluster_e2e [--documents N] [--shipped] [--stock]`: the whole way of a person on a real cluster, from `helm
//! install` to the end of the last namespace. Wants root.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use docmill_tests::cluster::e2e::{Options, run};
use docmill_tests::cluster::lacking;

/// Documents where nothing is said.
const DOCUMENTS: usize = 200;

fn main() -> Result<ExitCode> {
    let mut options = Options { documents: DOCUMENTS, shipped: false, stock: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--documents" => options.documents = value()?.parse()?,
            // The windows of the sample as it is shipped, which take minutes.
            "--shipped" => options.shipped = true,
            // Autoscalers that look as seldom as a released cluster's.
            "--stock" => options.stock = true,
            other => bail!("unknown argument {other}; there are --documents N, --shipped and --stock"),
        }
    }
    if let Some(lacking) = lacking() {
        bail!(lacking);
    }
    let outcome = run(&options)?;
    println!("{}", outcome.line());
    let short = outcome.short();
    if short.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("falls short: {}", short.join(", "));
    Ok(ExitCode::FAILURE)
}
