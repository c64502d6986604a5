//! Real servers for the tests: started in a directory of their own when the first test needs one, waited
//! for by condition, gone with what started them.

pub mod api;
pub mod certificates;
pub mod decks;
pub mod http;
pub mod issuer;
pub mod made_key;
pub mod model;
pub mod neo4j;
pub mod postgres;
pub mod process;
pub mod redis;
pub mod s3;
pub mod served;
pub mod tls_front;
pub mod worker;

use std::path::PathBuf;

use anyhow::{Context, Result};

/// Where setup puts what the tests need, and measurements what can be had again.
pub(crate) fn cache() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("DOCMILL_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("docmill")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/docmill")))
        .context("none of DOCMILL_CACHE, XDG_CACHE_HOME and HOME is set")
}
