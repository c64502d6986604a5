//! The worker's command. Routes to the extractor child before anything else starts; does no work itself.

#[cfg(feature = "services")]
mod args;
#[cfg(feature = "services")]
mod check_config;
#[cfg(feature = "services")]
mod check_sandbox;
#[cfg(feature = "services")]
mod keys;
#[cfg(feature = "services")]
mod load;
#[cfg(feature = "services")]
mod output;
#[cfg(feature = "services")]
mod run;
#[cfg(feature = "services")]
mod vector_index;

use std::process::ExitCode;

/// A fifth of what pdfium does with a page of text is asking for memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = std::env::args_os().nth(1);
    if command.as_deref() == Some(docmill_worker::extract::CHILD_COMMAND.as_ref()) {
        docmill_worker::extract::child_main();
    }
    run()
}

#[cfg(feature = "services")]
fn run() -> ExitCode {
    match <args::Args as clap::Parser>::parse().command {
        args::Command::Run(options) => run::worker(&options),
        args::Command::Api(options) => run::api(&options),
        args::Command::Keys(options) => keys::run(options.action),
        args::Command::VectorIndex(options) => vector_index::run(&options),
        args::Command::CheckConfig(options) => check_config::run(&options),
        args::Command::CheckSandbox(options) => check_sandbox::run(&options),
    }
}

/// Built for extraction alone.
#[cfg(not(feature = "services"))]
fn run() -> ExitCode {
    eprintln!("docmill-worker: this build only extracts; build it with the feature `services`");
    ExitCode::from(2)
}
