//! One file a command.

use std::process::ExitCode;

use crate::args::{Args, Command};
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::validate;

mod dead_letters;
mod events;
mod explain;
mod port_forward;
mod status;
mod switch;
mod top;

/// Does what was asked.
pub async fn execute(args: Args) -> Result<ExitCode, Failure> {
    let global = args.global;
    if let Command::Validate(asked) = args.command {
        return validate::execute(&global, &asked).await;
    }
    let cluster = Cluster::connect(&global).await?;
    let json = global.json;
    match args.command {
        Command::Status { which } => status::execute(&cluster, &which, json).await?,
        Command::Top { which, watch } => top::execute(&cluster, &which, watch, json).await?,
        Command::Pause(asked) => switch::execute(&cluster, &asked, switch::To::Paused, json).await?,
        Command::Resume(asked) => switch::execute(&cluster, &asked, switch::To::Running, json).await?,
        Command::ExplainScaling { pipeline } => explain::execute(&cluster, &pipeline, json).await?,
        Command::Events { pipeline, watch } => events::execute(&cluster, &pipeline, watch, json).await?,
        Command::DeadLetters { action } => return dead_letters::execute(&cluster, &action, json).await,
        // Done before there was a cluster.
        Command::Validate(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}
