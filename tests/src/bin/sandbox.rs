//! `sandbox [--counts-only] [--as-is]`: extractors try to get out, held and not, and what it costs to hold them. As root it
//! is run twice, the second time as the user of docmill's image.

use std::process::ExitCode;

use anyhow::{Result, bail};
use docmill_tests::sandbox::{Options, again_as_other_user, run, shown};
use docmill_tests::services::worker::program;

fn main() -> Result<ExitCode> {
    let mut options = Options { counts_only: false };
    let mut as_is = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            // Figures are told and not judged: a machine that is busy with other things measures them.
            "--counts-only" => options.counts_only = true,
            // Once, as whoever runs it.
            "--as-is" => as_is = true,
            other => bail!("unknown argument {other}; there are --counts-only and --as-is"),
        }
    }
    let mut good = judged(options)?;
    if !as_is && rustix::process::geteuid().is_root() {
        good &= again_as_other_user(options)?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn judged(options: Options) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(Box::pin(run(options, &program())))?;
    let short = if options.counts_only { outcome.wrong() } else { outcome.short() };
    print!("{}", shown(&outcome.held));
    println!("{}", outcome.line_unheld());
    println!("{}", outcome.line());
    if !short.is_empty() {
        eprint!("{}", shown(&outcome.unheld));
        eprintln!("falls short: {}", short.join(", "));
    }
    Ok(short.is_empty())
}
