//! One file a command.

use std::path::PathBuf;
use std::process::ExitCode;

use docmill_core::id::TenantId;
use docmill_worker::sqlite::Readers;

use crate::args::{Args, Command};
use crate::failure::Failure;

mod concept;
mod concepts;
mod dead_letters;
mod documents;
mod export;
mod reindex;
mod run;
mod search;
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
    let context =
        Context { dir: args.global.data_dir()?, tenant: args.global.tenant()?, json: args.global.json };
    match args.command {
        Command::Run(run) => run::execute(&context, *run).await,
        Command::Search { query, k } => search::execute(&context, &query, k.into()).await,
        Command::Concepts { top } => concepts::execute(&context, top),
        Command::Concept { name } => concept::execute(&context, &name),
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
        | Command::Results { .. } => Err(Failure::internal("this command asks a server")),
    }
}

/// A document that the ledger does not know.
pub fn unknown_document(name: &str) -> Failure {
    Failure::new("unknown_document", format!("there is no document {name}"), "docmill documents lists them")
}
