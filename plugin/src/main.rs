//! `kubectl docmill`: what pipelines do and why, pausing them, and checking them before they are applied. It is
//! found by kubectl as soon as it is on the path.

use std::process::ExitCode;

use clap::Parser;

mod args;
mod cluster;
mod command;
mod failure;
mod output;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod sample;
mod validate;
mod view;
mod watch;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let json = args.global.json;
    // The only one that is compiled in; a client is not made without one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::Failure::from(error).report(json),
    };
    match runtime.block_on(Box::pin(command::execute(args))) {
        Ok(code) => code,
        Err(failure) => failure.report(json),
    }
}
