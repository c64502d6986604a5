//! The commands against a server: `--server URL`. Each is a file, as those on this machine are in
//! [`crate::command`]; what a server does is in its API, and none of it is done here.

use std::process::ExitCode;
use std::time::Duration;

use docmill_core::id::DocumentId;
use docmill_worker::secret::Secret;
use serde_json::Value;

pub mod address;
mod ask;
mod cancel;
mod client;
mod concepts;
mod dead_letters;
mod documents;
mod error;
pub mod events;
mod export;
mod fill;
mod going;
mod progress;
mod rebuild;
mod results;
mod retry;
mod search;
mod status;
mod submit;
mod verify;
mod wait;
mod wire;

use crate::args::{Command, Global};
use crate::failure::Failure;
use crate::output::Style;
use client::Client;
use error::Error;

/// Most that one page of a list shows.
const PAGE: &str = "1000";

/// What every command against a server needs.
pub struct Remote {
    client: Client,
    key: Option<Secret>,
    json: bool,
}

impl Remote {
    fn new(global: &Global) -> Result<Self, Failure> {
        let url = address::url(global.server.as_deref().unwrap_or_default())?;
        let variable = std::env::var(address::KEY_VARIABLE).ok();
        let key = address::key(global.api_key_file.as_deref(), variable)?;
        // `docmill serve` of this user: what changes need lies in its data directory.
        let key = key.or_else(|| {
            global.data_dir().ok().filter(|_| address::is_local(&url)).and_then(address::token)
        });
        if key.is_some() && url.scheme() == "http" && !address::is_local(&url) {
            let style = Style::stderr();
            eprintln!("{} the key goes unencrypted over the network: use https", style.strong("warning:"));
        }
        let client = Client::new(url, key.clone(), Duration::from_secs(global.retry_seconds))?;
        Ok(Self { client, key, json: global.json })
    }

    /// All pages of a list, an entry at a time. False from `each` ends it.
    async fn each(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        list: &str,
        each: &mut dyn FnMut(Value) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let mut cursor: Option<String> = None;
        loop {
            let mut asked = query.to_vec();
            asked.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let mut page = self.client.get(path, &asked).await?;
            let Value::Array(entries) = page[list].take() else {
                return Err(Error::foreign(&format!("it has no {list}")).into());
            };
            for entry in entries {
                if !each(entry)? {
                    return Ok(());
                }
            }
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(()),
            }
        }
    }

    /// The id of a document that is named by its id, its URI, or the path that it was submitted from.
    async fn id_of(&self, name: &str) -> Result<String, Failure> {
        if DocumentId::parse(name).is_some() {
            return Ok(name.to_owned());
        }
        let mut uris = vec![name.to_owned()];
        if let Ok(path) = std::path::absolute(name)
            && !name.contains("://")
        {
            uris.push(format!("upload:{}", submit::place(&submit::origin(None)?, &path)));
        }
        for uri in uris {
            let found = self.client.get(&["v1", "documents"], &[("uri", &uri), ("limit", "1")]).await?;
            if let Some(id) = found["documents"][0]["id"].as_str() {
                return Ok(id.to_owned());
            }
        }
        Err(crate::command::unknown_document(name))
    }
}

/// Whether what was written is still read: who closes the pipe, as `head` does, has seen enough.
fn still_read(written: std::io::Result<()>) -> Result<bool, Failure> {
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        written => Ok(written.map(|()| true)?),
    }
}

/// Carries a command out. Those that work on this machine alone never come here.
pub async fn execute(global: &Global, command: Command) -> Result<ExitCode, Failure> {
    let remote = Remote::new(global)?;
    match command {
        Command::Submit(asked) => Box::pin(submit::execute(&remote, *asked)).await,
        Command::Wait { batches, timeout } => wait::execute(&remote, &batches, timeout).await,
        Command::Cancel { batches } => cancel::execute(&remote, &batches).await,
        Command::Results { batch, state } => results::execute(&remote, &batch, state.as_deref()).await,
        Command::Status { batch } => status::execute(&remote, batch.as_deref()).await,
        Command::Export { format: _, output } => export::execute(&remote, output.as_deref()).await,
        Command::Search(asked) => search::execute(&remote, &asked).await,
        Command::Ask(asked) => ask::execute(&remote, &asked).await,
        Command::Concepts { top } => concepts::list(&remote, top).await,
        Command::Concept(asked) => concepts::concept(&remote, &asked).await,
        Command::Documents(documents) => documents::execute(&remote, documents).await,
        Command::DeadLetters { action } => dead_letters::execute(&remote, action).await,
        Command::Rebuild(asked) => match asked.store.clone() {
            Some(store) => fill::execute(&remote, &store, &asked).await,
            None => rebuild::execute(&remote, asked).await,
        },
        Command::Verify { repair, wait, timeout, .. } => {
            verify::execute(&remote, repair, wait, timeout).await
        }
        Command::Run(_)
        | Command::Serve(_)
        | Command::Reindex { .. }
        | Command::Bench(_)
        | Command::Profile(_) => Err(Failure::internal("this command asks no server")),
    }
}
