//! The operator's program: reads its command line, and runs until it is told to end.

use std::process::ExitCode;

use clap::Parser;
use docmill_operator::args::{Args, Command};
use docmill_operator::{resource, run};

/// Most threads for what blocks, which is names to look up: those of a thousand pipelines come at once, and each thread
/// takes memory of its own.
const BLOCKING_MAX: usize = 64;

fn main() -> ExitCode {
    without_huge_pages();
    let args = Args::parse();
    if let Some(Command::Crd) = args.command {
        print!("{}", resource::crd_yaml());
        return ExitCode::SUCCESS;
    }
    tracing_subscriber::fmt().json().with_env_filter(tracing_subscriber::EnvFilter::new(&args.log)).init();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).max_blocking_threads(BLOCKING_MAX).enable_all();
    let runtime = match runtime.build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("docmill-operator: no threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run::run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the operator ends");
            ExitCode::FAILURE
        }
    }
}

/// Where the kernel gives huge pages unasked, the heap of an idle operator takes several times what is in it.
fn without_huge_pages() {
    // Where it cannot be said there are none, and nothing depends on it.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
