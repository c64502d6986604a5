//! The operator's program: reads its command line, and runs until it is told to end.

use std::process::ExitCode;

use clap::Parser;
use docmill_operator::args::{Args, Command};
use docmill_operator::{resource, run};

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(Command::Crd) = args.command {
        print!("{}", resource::crd_yaml());
        return ExitCode::SUCCESS;
    }
    tracing_subscriber::fmt().json().with_env_filter(tracing_subscriber::EnvFilter::new(&args.log)).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
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
