//! The fetch stage: a document's content as a file on this machine, hashed. A seam, as each shape has its own
//! places; what follows from the hash is decided once, by [`super::Stages`].

use std::any::Any;
use std::path::PathBuf;

use async_trait::async_trait;
use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::ContentHash;

use super::{file_uri, internal, read_failure};
use crate::delivery::Tracker;
use crate::ledger::Grant;

/// A document's content.
pub struct Fetched {
    /// The file.
    pub path: PathBuf,
    /// Its hash.
    pub content: ContentHash,
    /// Its size.
    pub bytes: u64,
    /// What keeps the file there until it is dropped.
    pub keep: Box<dyn Any + Send>,
}

/// Where content comes from.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Brings the content that the document's URI leads to now, whatever generation that is.
    async fn fetch(&self, grant: &Grant, tracker: &Tracker<'_>) -> Result<Fetched, Failure>;
}

/// Files of this machine, where they are.
pub struct LocalFiles;

#[async_trait]
impl Fetch for LocalFiles {
    async fn fetch(&self, grant: &Grant, _tracker: &Tracker<'_>) -> Result<Fetched, Failure> {
        let path = file_uri::to_path(&grant.uri).ok_or_else(|| {
            Failure::new(FailureCode::Unreadable, format!("{} is no file on this machine", grant.uri))
        })?;
        hashed(path).await
    }
}

/// The file with its hash.
///
/// # Errors
/// It cannot be read.
pub async fn hashed(path: PathBuf) -> Result<Fetched, Failure> {
    let looked = tokio::task::spawn_blocking(move || (file_uri::hash_file(&path), path)).await;
    let (hashed, path) = looked.map_err(internal)?;
    let (content, stat) = hashed.map_err(|error| read_failure(&error))?;
    Ok(Fetched { path, content, bytes: stat.bytes, keep: Box::new(()) })
}
