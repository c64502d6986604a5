//! What the stages and the intake look up again of what was written before: a seam, as each shape keeps it in
//! a database of its own.

use async_trait::async_trait;
use docmill_core::id::{ContentHash, DocumentId, Generation, TenantId};
use docmill_core::manifest::ManifestEntry;

use crate::ledger::{Error, Grant, Summary};

/// A committed generation with the texts of its chunks.
#[derive(Debug, Clone)]
pub struct KeptGeneration {
    /// Which it is.
    pub generation: Generation,
    /// Its chunks, in order, each with its text.
    pub entries: Vec<(ManifestEntry, String)>,
    /// Language of most of it.
    pub language: String,
    /// What was noted of it.
    pub summary: Summary,
}

/// Questions about what is kept.
#[async_trait]
pub trait Kept: Send + Sync {
    /// The generation that search shows, as it was committed; `None` where there is none, or its texts are
    /// not all there as they were.
    async fn shown(&self, document: DocumentId) -> Result<Option<KeptGeneration>, Error>;

    /// The PATH that the source was found under; `None` where it was under none, or is unknown.
    async fn root_of(&self, tenant: &TenantId, uri: &str) -> Result<Option<String>, Error>;

    /// Where the document is, and its bytes; `None` where it is unknown.
    async fn place_of(&self, document: DocumentId) -> Result<Option<(String, u64)>, Error>;

    /// Records the content of a generation that was only looked at when it was registered: an API does not read
    /// what a store has. False: the content was known, and is another by now.
    async fn settle_content(&self, _: &Grant, _: ContentHash, _bytes: u64) -> Result<bool, Error> {
        Ok(false)
    }
}
