//! The worker's command. Routes to the extractor child before anything else starts; does no work itself.

use std::process::ExitCode;

fn main() -> ExitCode {
    let command = std::env::args_os().nth(1);
    if command.as_deref() == Some(docmill_worker::extract::CHILD_COMMAND.as_ref()) {
        docmill_worker::extract::child_main();
    }
    match command {
        Some(command) => eprintln!("docmill-worker: unknown command {:?}", command.to_string_lossy()),
        None => eprintln!("docmill-worker: a command is needed"),
    }
    ExitCode::from(2)
}
