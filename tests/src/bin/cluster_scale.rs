//! `cluster_scale [--pipelines N] [--operator PATH] [--resync-s N] [--requests N] [--writes-only]`: many pipelines
//! under one operator, on a real API server.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use docmill_tests::cluster::scale::{Options, run};

fn main() -> Result<ExitCode> {
    let program = PathBuf::from("target/release/docmill-operator");
    let mut options = Options { program, pipelines: 1_000, resync_s: 20, requests: 2_000 };
    let mut writes_only = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--pipelines" => options.pipelines = value()?.parse()?,
            "--operator" => options.program = value()?.into(),
            // Time between two looks at all pipelines: as long as one takes, or longer.
            "--resync-s" => options.resync_s = value()?.parse()?,
            "--requests" => options.requests = value()?.parse()?,
            // Times and memory are told and not judged: a dev build, or a machine that is busy with other things.
            "--writes-only" => writes_only = true,
            other => bail!("unknown argument {other}"),
        }
    }
    options.program = std::path::absolute(&options.program)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(async { Box::pin(run(&options)).await })?;
    println!("{}", outcome.line());
    let short = if writes_only { outcome.wrong() } else { outcome.short() };
    if short.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("falls short: {}", short.join(", "));
    Ok(ExitCode::FAILURE)
}
