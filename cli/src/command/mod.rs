//! One file a command.

use std::path::PathBuf;
use std::process::ExitCode;

use docmill_core::id::TenantId;
use docmill_worker::sqlite::Readers;

use crate::args::{Args, Command};
use crate::failure::Failure;

mod ask;
mod bench;
mod concept;
mod concepts;
mod dead_letters;
mod documents;
mod export;
mod profile;
mod reindex;
mod run;
mod search;
mod serve;
mod status;
mod verify;

/// What every command needs.
pub struct Context {
    pub dir: PathBuf,
    pub tenant: TenantId,
    pub json: bool,
}

impl Context {
    /// Asks one question within one read transaction.
    pub fn read<T>(
        &self,
        look: impl FnOnce(
            &docmill_worker::sqlite::rusqlite::Connection,
        ) -> docmill_worker::sqlite::rusqlite::Result<T>,
    ) -> Result<T, Failure> {
        Ok(Readers::open(&self.dir)?.read(look)??)
    }
}

pub async fn execute(args: Args) -> Result<ExitCode, Failure> {
    // These need no data directory.
    let command = match args.command {
        Command::Bench(asked) => return Box::pin(bench::execute(&args.global, asked)).await,
        Command::Profile(asked) => return profile::execute(asked, args.global.json).await,
        command => command,
    };
    let context =
        Context { dir: args.global.data_dir()?, tenant: args.global.tenant()?, json: args.global.json };
    match command {
        Command::Run(run) => run::execute(&context, *run).await,
        Command::Serve(asked) => serve::execute(&context, *asked).await,
        Command::Search(asked) => search::execute(&context, &asked).await,
        Command::Ask(asked) => ask::execute(&context, *asked).await,
        Command::Concepts { top } => concepts::execute(&context, top),
        Command::Concept(asked) => concept::execute(&context, &asked).await,
        Command::Documents(documents) => documents::execute(&context, documents).await,
        Command::Status { batch: _ } => status::execute(&context),
        Command::Export { format: _, output } => export::execute(&context, output.as_deref()),
        Command::DeadLetters { action } => dead_letters::execute(&context, action).await,
        Command::Verify { repair, extraction, .. } => verify::execute(&context, repair, extraction).await,
        Command::Reindex { embeddings, concepts, extraction } => {
            reindex::execute(&context, embeddings, concepts, extraction).await
        }
        Command::Rebuild(_)
        | Command::Submit(_)
        | Command::Wait { .. }
        | Command::Cancel { .. }
        | Command::Results { .. }
        | Command::Bench(_)
        | Command::Profile(_) => Err(Failure::internal("this command works elsewhere")),
    }
}

/// A concept that no document mentions.
pub fn unknown_concept(name: &str) -> Failure {
    Failure::new("unknown_concept", format!("there is no concept {name}"), "docmill concepts lists them")
}

/// A document that the ledger does not know.
pub fn unknown_document(name: &str) -> Failure {
    Failure::new("unknown_document", format!("there is no document {name}"), "docmill documents lists them")
}
