//! Sinks: the stores that searches read. Rows are chunks, immutable and content-addressed.
//!
//! A sink knows nothing of documents' states. What makes repeated, late and crossing writers safe is
//! the epoch on every row: a write raises it and never lowers it, a removal is conditional on it.

use std::sync::Arc;

use async_trait::async_trait;
use docmill_core::id::{ChunkId, DocumentId, Epoch, IndexId, TenantId, TextHash};
use docmill_core::manifest::Store;

use crate::embed::Embedding;

mod batched;
#[cfg(feature = "services")]
mod claimed;
#[cfg(feature = "testing")]
pub mod memory;

pub use batched::Batched;
#[cfg(feature = "services")]
pub use claimed::Claimed;
#[cfg(feature = "services")]
pub(crate) use claimed::ascending;

/// A store that did not take or give rows.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// May pass by itself.
    #[error("the {store} store failed: {detail}", store = .store.as_str())]
    Failed {
        /// Which store.
        store: Store,
        /// What it said.
        detail: String,
    },
    /// The disk is full; nothing goes on before it is freed.
    #[error("the disk under the {store} store is full", store = .store.as_str())]
    DiskFull {
        /// Which store.
        store: Store,
    },
}

/// A concept as a chunk mentions it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MentionRow {
    /// The canonical name: the key, with the tenant.
    pub canonical_name: String,
    /// The form to show.
    pub display: String,
    /// `name`, `acronym` or `term`.
    pub kind: &'static str,
    /// How often the chunk mentions it.
    pub count: u32,
}

/// All that the stores may need of one chunk; each takes its part.
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkRow {
    /// Whose it is.
    pub tenant: TenantId,
    /// The chunk.
    pub chunk: ChunkId,
    /// Its document.
    pub document: DocumentId,
    /// The index it belongs to.
    pub index: IndexId,
    /// Hash of its text.
    pub text_hash: TextHash,
    /// Its text.
    pub text: Arc<str>,
    /// Its text as terms for full text, separated by spaces.
    pub terms: Arc<str>,
    /// Its embedding, where the vector store must hold it.
    pub embedding: Option<Arc<Embedding>>,
    /// Its concepts, where the graph store must hold it.
    pub mentions: Arc<[MentionRow]>,
}

/// Rows of one claim.
#[derive(Debug, Clone)]
pub struct Write {
    /// The rows.
    pub rows: Vec<Arc<ChunkRow>>,
    /// The claim's epoch.
    pub epoch: Epoch,
}

/// What a store says of a chunk that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredChunk {
    /// The chunk.
    pub chunk: ChunkId,
    /// Its document.
    pub document: DocumentId,
    /// Its index.
    pub index: IndexId,
    /// Hash of the text it was made of.
    pub text_hash: TextHash,
    /// The highest epoch that claimed it.
    pub epoch: Epoch,
}

/// Whether a store that says this of a chunk lacks what a manifest names: the chunk, made of this text.
pub(crate) fn lacks(held: Option<StoredChunk>, text: TextHash) -> bool {
    held.is_none_or(|held| held.text_hash != text)
}

/// A store of chunk rows. Every call is one atomic step in the store.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Which store this is.
    fn store(&self) -> Store;

    /// Inserts the rows that are not there and raises the epoch of those that are to
    /// `max(theirs, epoch)`. Returns how many of `rows` the store holds afterwards; fewer than given
    /// means: write again. Calling it twice changes nothing.
    async fn write(&self, rows: &[Arc<ChunkRow>], epoch: Epoch) -> Result<usize, Error>;

    /// The same for several claims, with how many rows of each the store holds afterwards. What fails may have
    /// written some of them.
    async fn write_many(&self, writes: &[Write]) -> Result<Vec<usize>, Error> {
        let mut held = Vec::with_capacity(writes.len());
        for write in writes {
            held.push(self.write(&write.rows, write.epoch).await?);
        }
        Ok(held)
    }

    /// Removes those of the chunks whose epoch is below `below`, and what only they held up (concepts
    /// without evidence). Calling it twice changes nothing. Returns how many went.
    async fn remove(&self, chunks: &[ChunkId], below: Epoch) -> Result<usize, Error>;

    /// What the store holds of these chunks, in the order asked, `None` where it lacks one.
    async fn look_up(&self, chunks: &[ChunkId]) -> Result<Vec<Option<StoredChunk>>, Error>;

    /// At most `limit` held chunks with an id above `after`, ascending: for audits, page by page.
    async fn list(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredChunk>, Error>;

    /// Things in the store that no chunk holds up (concepts without evidence, mentions without a chunk).
    async fn loose_ends(&self) -> Result<u64, Error>;

    /// Removes loose ends. Safe while others write.
    async fn remove_loose_ends(&self) -> Result<u64, Error>;
}
