//! `run` and `api`: a worker, or the API, until SIGTERM. Exit code 0: it was asked to end and did; 1: it cannot work.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use docmill_worker::api;
use docmill_worker::config::Settings;
use docmill_worker::service::{self, Place};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::args::Run;
use crate::load::{self, NotLoaded};

/// What is logged where RUST_LOG says nothing.
const LOG: &str = "info";

/// Works until it is asked to end.
pub fn worker(options: &Run) -> ExitCode {
    until_asked(options, load::load_to_extract, async |settings, stop| {
        let extractor = program()?;
        // Pods are told apart by it in the ledger; a process by its number and start.
        let host = std::env::var("HOSTNAME").unwrap_or_default();
        service::run(&settings, &Place { extractor, host }, stop).await.map_err(|error| error.to_string())
    })
}

/// Answers until it is asked to end.
pub fn api(options: &Run) -> ExitCode {
    until_asked(options, load::load_to_draw, async |settings, stop| {
        api::run(&settings, program()?, stop).await.map_err(|error| error.to_string())
    })
}

/// What extractors run: this program.
fn program() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|error| format!("the own program cannot be found: {error}"))
}

fn until_asked(
    options: &Run,
    load: fn(&Path) -> Result<Settings, NotLoaded>,
    work: impl AsyncFnOnce(Settings, watch::Receiver<bool>) -> Result<(), String>,
) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.init()
    } else {
        log.json().init()
    }
    let settings = match load(&options.config) {
        Ok(settings) => settings,
        Err(NotLoaded::Unreadable(message)) => return failed(&message),
        Err(NotLoaded::Wrong(problems)) => {
            for problem in problems {
                tracing::error!(%problem, "the configuration is wrong");
            }
            return failed("the configuration is wrong: see `docmill-worker check-config`");
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    let worked = runtime.block_on(Box::pin(async {
        let stop = stop().map_err(|error| error.to_string())?;
        work(settings, stop).await
    }));
    match worked {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => failed(&message),
    }
}

fn failed(message: &str) -> ExitCode {
    tracing::error!(message, "it cannot work");
    ExitCode::FAILURE
}

/// Turns true at the first SIGTERM or SIGINT. The handlers are in place when this returns.
fn stop() -> std::io::Result<watch::Receiver<bool>> {
    let (sender, stop) = watch::channel(false);
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        // Nobody listens any more: it is ending already.
        let _ = sender.send(true);
    });
    Ok(stop)
}
