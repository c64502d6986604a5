//! The one configuration file of workers and of the API in their pods: YAML, overridden by the environment, checked as a whole.
//!
//! Pure: the text, the environment and the way to read a file of a secret are arguments. Secrets are never
//! part of the file; it names files or variables that hold them.

mod api;
mod ask;
mod cache;
mod classify;
mod graph;
mod key;
mod keys;
mod objects;
mod oidc;
mod problem;
mod rate_limits;
mod read;
mod reference;
mod resolve;
mod types;
mod variables;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

pub use api::{ApiSettings, OperatorSettings};
pub use ask::{Ask, AskModel};
pub use cache::CacheSettings;
pub use classify::Classify;
pub use graph::GraphStore;
pub use key::{Key, Kind};
pub use keys::KEYS;
pub use oidc::OidcSettings;
pub use problem::Problem;
pub use reference::markdown;
pub use resolve::Settings;
pub use types::{
    Api, Azure, Cache, CacheRedis, Extract, ExtractLimits, Gcs, Graph, GraphInPostgres, Health, Ledger,
    Neo4j, Objects, Oidc, Operator, Postgres, Queue, RateLimit, Redis, S3, Scratch, Volume, WorkerConfig,
};

/// The environment, by name.
pub type Environment = BTreeMap<String, String>;

/// Reads the file of a secret.
pub type ReadSecret<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// Reads, overrides and checks a configuration.
///
/// # Errors
/// All problems at once, by their path; none of them repeats a secret.
pub fn load(
    text: &str,
    environment: &Environment,
    read_secret: ReadSecret<'_>,
) -> Result<Settings, Vec<Problem>> {
    let mut problems = Vec::new();
    let config = read::read(text, environment, &mut problems);
    let settings = resolve::resolve(&config, environment, read_secret, &mut problems);
    match settings {
        Some(settings) if problems.is_empty() => Ok(settings),
        _ => {
            problems.sort();
            Err(problems)
        }
    }
}

#[cfg(test)]
mod tests;
