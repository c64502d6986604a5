//! The user's command: point it at documents, search what they say; or hand them in to a server.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};

mod answers;
mod args;
mod asking;
mod backend;
mod bench;
mod codes;
mod command;
mod failure;
mod findings;
mod output;
mod place;
mod profile;
mod progress;
#[cfg(test)]
mod reference;
mod server;
mod signals;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads that may wait for the disk beside those that compute, where a server runs.
const SERVING_THREADS: usize = 16;

fn main() -> ExitCode {
    // The extractor child shares nothing with the command: no runtime, no argument parser, no log.
    let first = std::env::args_os().nth(1);
    if first.as_deref() == Some(docmill_worker::extract::CHILD_COMMAND.as_ref()) {
        docmill_worker::extract::child_main();
    }
    let (args, place) = match said() {
        Ok(said) => said,
        Err(mistake) => mistake.exit(),
    };
    if let Err(failure) = start_log(args.global.log.as_deref(), args.global.log_format) {
        return failure.report(args.global.json);
    }
    // Work off the async threads is CPU work: more threads than cores only cost memory, some megabytes
    // of allocator pages each. One more for the scan, which lasts as long as the paths do.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // A server also reads for whoever asks and writes what they upload, while all that goes on.
    let beside = if matches!(args.command, args::Command::Serve(_)) { SERVING_THREADS } else { 1 };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.enable_all().max_blocking_threads(2 * cores + beside).build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::Failure::internal(error.to_string()).report(args.global.json),
    };
    let json = args.global.json;
    let done = match place {
        place::Place::Here => runtime.block_on(Box::pin(command::execute(args))),
        place::Place::Server => runtime.block_on(Box::pin(server::execute(&args.global, args.command))),
    };
    match done {
        Ok(code) => code,
        Err(failure) => failure.report(json),
    }
}

/// The command line, and where it wants the work done.
fn said() -> Result<(args::Args, place::Place), clap::Error> {
    let matches = args::Args::command().try_get_matches()?;
    let args = args::Args::from_arg_matches(&matches)?;
    let place = place::decide(args.command.needs(), place::Options::of(&matches))
        .map_err(|mistake| args::Args::command().error(ErrorKind::ArgumentConflict, mistake))?;
    Ok((args, place))
}

fn start_log(filter: Option<&str>, format: args::LogFormat) -> Result<(), failure::Failure> {
    let filter = filter.unwrap_or("warn");
    let filter = tracing_subscriber::EnvFilter::try_new(filter).map_err(|error| {
        let message = format!("--log {filter}: {error}");
        failure::Failure::new("bad_log_filter", message, "use a level, or parts as docmill_worker=debug")
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        args::LogFormat::Pretty => log.with_ansi(std::io::stderr().is_terminal()).init(),
        args::LogFormat::Json => log.json().init(),
    }
    Ok(())
}
