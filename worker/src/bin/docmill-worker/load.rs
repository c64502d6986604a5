//! The configuration of a command, from its file and this process's environment.

use std::io;
use std::path::Path;

use docmill_worker::config::{self, Environment, Problem, Settings};
use docmill_worker::postgres::Database;

/// Why there is none.
pub enum NotLoaded {
    /// The file cannot be read, as a sentence.
    Unreadable(String),
    /// All that is wrong with it.
    Wrong(Vec<Problem>),
}

/// Reads and judges it.
pub fn load(file: &Path) -> Result<Settings, NotLoaded> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| NotLoaded::Unreadable(format!("{} cannot be read: {error}", file.display())))?;
    // A name or value that is no text is no variable that we know.
    let environment: Environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    config::load(&text, &environment, &read_secret).map_err(NotLoaded::Wrong)
}

/// The same with the passwords of documents, which only who extracts may have.
pub fn load_to_extract(file: &Path) -> Result<Settings, NotLoaded> {
    let mut settings = load(file)?;
    settings.read_passwords(&read_secret).map_err(NotLoaded::Wrong)?;
    Ok(settings)
}

/// The same with the passwords of documents where they are at hand. An API without them answers all the same: it draws
/// what needs none.
pub fn load_to_draw(file: &Path) -> Result<Settings, NotLoaded> {
    let mut settings = load(file)?;
    if settings.passwords_file.as_deref().is_some_and(Path::exists)
        && let Err(problems) = settings.read_passwords(&read_secret)
    {
        for problem in problems {
            tracing::warn!(%problem, "documents with a password are not drawn");
        }
    }
    Ok(settings)
}

fn read_secret(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(path)
}

/// The ledger's server that a configuration names, connected.
pub async fn database(path: &Path) -> Result<Database, String> {
    let settings = load(path).map_err(|error| match error {
        NotLoaded::Unreadable(message) => message,
        NotLoaded::Wrong(problems) => {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        }
    })?;
    Box::pin(Database::open(&settings.postgres)).await.map_err(|error| error.to_string())
}
