//! What the API asks of the books beside the ledger: documents and batches as users see them, keys, workers, answers
//! to repeated requests, what is known of commits. One trait, so that the handlers are the same in every shape.
//!
//! Its rows are plain data and stay with the first who had them. Every call is one transaction, and may be repeated.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use docmill_core::id::{ContentHash, DocumentId, TenantId};
use docmill_core::manifest::Store;
use tokio::sync::watch;
use uuid::Uuid;

use crate::queue::Message;
use crate::{ledger, postgres, sqlite};

pub use crate::postgres::{
    Admission, Admitted, BatchRow, Change, Content, DocumentFilter, DocumentRow, ExportedChunkRow,
    ExportedRow, FillRow, IndexRow, KeyRow, LaneCounts, LetterFilter, LiveWorker, NewKey,
};

/// A call that failed. Nothing of it took effect, but where a function says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It may pass by itself.
    #[error("the ledger failed: {0}")]
    Away(String),
    /// There is no room.
    #[error("the disk under the ledger is full")]
    DiskFull,
    /// A value that no version of docmill writes.
    #[error("the ledger is damaged: {0}")]
    Damaged(String),
    /// The shape has no such thing.
    #[error("{0} is not done in this shape")]
    NotHere(&'static str),
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        match error {
            postgres::Error::DiskFull => Self::DiskFull,
            postgres::Error::Damaged(what) => Self::Damaged(what.to_owned()),
            other => Self::Away(other.to_string()),
        }
    }
}

impl From<sqlite::Error> for Error {
    fn from(error: sqlite::Error) -> Self {
        match error {
            sqlite::Error::DiskFull => Self::DiskFull,
            sqlite::Error::Damaged(what) => Self::Damaged(what),
            other => Self::Away(other.to_string()),
        }
    }
}

impl From<ledger::Error> for Error {
    fn from(error: ledger::Error) -> Self {
        match error {
            ledger::Error::DiskFull => Self::DiskFull,
            other => Self::Away(other.to_string()),
        }
    }
}

/// What was committed since somebody looked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commits {
    /// The newest commit.
    pub newest: u64,
    /// Whose documents were committed.
    pub tenants: Vec<TenantId>,
    /// Somebody's commits are not known, after a deletion or a switch of an index: it may be anybody.
    pub all: bool,
}

/// A document that a worker is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InWork {
    /// The worker.
    pub owner: String,
    /// The document.
    pub document: DocumentId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Where it is.
    pub uri: String,
    /// Its size.
    pub bytes: u64,
    /// Starts without progress.
    pub starts: u32,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// See the module. Each shape has one; what a function means is said here, once for all.
#[async_trait]
pub trait Desk: Send + Sync {
    /// Takes documents in, in their order, all or none apart from those whose batch is gone. What is given back is
    /// durable.
    async fn admit(&self, admissions: &[Admission]) -> Result<Vec<Admitted>, Error>;

    /// The object that has a content of the tenant.
    async fn object_of(&self, tenant: &TenantId, content: ContentHash) -> Result<Option<String>, Error>;

    /// Puts an object in the place of one that is gone. False: the content has another by now.
    async fn replace_object(
        &self,
        tenant: &TenantId,
        content: ContentHash,
        from: &str,
        to: &str,
    ) -> Result<bool, Error>;

    /// Objects that no document has needed for so long, marked so that no upload relies on them any more.
    async fn doomed_objects(&self, unused_ms: u64, limit: i64) -> Result<Vec<String>, Error>;

    /// Forgets doomed objects that are gone.
    async fn forget_objects(&self, keys: &[String]) -> Result<u64, Error>;

    /// Of these objects, those that no row names.
    async fn unknown_objects(&self, keys: &[String]) -> Result<Vec<String>, Error>;

    /// How many documents of the tenant are in which state, as people are told it.
    async fn states(&self, tenant: &TenantId) -> Result<BTreeMap<String, u64>, Error>;

    /// Makes a batch; one that is there is left as it is.
    async fn create_batch(&self, batch: Uuid, tenant: &TenantId, name: Option<&str>) -> Result<(), Error>;

    /// A batch of the tenant.
    async fn batch(&self, tenant: &TenantId, batch: Uuid) -> Result<Option<BatchRow>, Error>;

    /// Batches of the tenant, newest first, before the one that arrived so.
    async fn batches(
        &self,
        tenant: &TenantId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<BatchRow>, Error>;

    /// Cancels a batch of the tenant: what waits is never begun, what is in work loses its claim. `None`: there is no
    /// such batch; else how many documents were cancelled now. Part of it may take effect; the same again does the rest.
    async fn cancel_batch(&self, tenant: &TenantId, batch: Uuid) -> Result<Option<u64>, Error>;

    /// Finishes what a process did not that died while it cancelled. Returns how many documents.
    async fn finish_cancels(&self) -> Result<u64, Error>;

    /// Documents of the tenant, newest first; deleted ones are left out.
    async fn documents(
        &self,
        tenant: &TenantId,
        filter: &DocumentFilter,
    ) -> Result<Vec<DocumentRow>, Error>;

    /// A document of the tenant, a deleted one too.
    async fn document(&self, tenant: &TenantId, document: DocumentId)
    -> Result<Option<DocumentRow>, Error>;

    /// The content of the newest generation of the tenant's document; `None` where it is deleted, or nobody read it yet.
    async fn content_of(
        &self,
        tenant: &TenantId,
        document: DocumentId,
    ) -> Result<Option<ContentHash>, Error>;

    /// Makes the next generation of the tenant's document a deletion. `None`: unknown or deleted already.
    async fn delete_document(
        &self,
        tenant: &TenantId,
        document: DocumentId,
    ) -> Result<Option<Message>, Error>;

    /// Dead letters of the tenant, the last to fail first, before the one that failed so.
    async fn dead_letters(
        &self,
        tenant: &TenantId,
        filter: &LetterFilter,
        before: Option<(u64, DocumentId)>,
        limit: u32,
    ) -> Result<Vec<DocumentRow>, Error>;

    /// Queues dead letters of the tenant again, at most `limit`.
    async fn replay(
        &self,
        tenant: &TenantId,
        filter: &LetterFilter,
        limit: u32,
    ) -> Result<Vec<Message>, Error>;

    /// Dead letters of the tenant that are meant.
    async fn count_letters(&self, tenant: &TenantId, filter: &LetterFilter) -> Result<u64, Error>;

    /// Unsettled documents and dead letters by lane (small, large), of all tenants.
    async fn lane_counts(&self) -> Result<[LaneCounts; 2], Error>;

    /// Unsettled documents of each tenant that has any.
    async fn unsettled_by_tenant(&self) -> Result<BTreeMap<String, u64>, Error>;

    /// How many commits there were, ever, and the ledger's time in milliseconds since the Unix epoch.
    async fn commits(&self) -> Result<(u64, u64), Error>;

    /// What was committed after this commit.
    async fn commits_since(&self, seq: u64) -> Result<Commits, Error>;

    /// Told the newest commit at each, where commits are made by this process; else it has to be asked for.
    fn changes(&self) -> Option<watch::Receiver<u64>> {
        None
    }

    /// Documents that were committed last, newest first: the tenant's, or everybody's.
    async fn lately(&self, tenant: Option<&TenantId>, limit: u32) -> Result<Vec<DocumentRow>, Error>;

    /// What workers are at, of all tenants, the longest first.
    async fn in_work(&self, limit: u32) -> Result<Vec<InWork>, Error>;

    /// Keeps what somebody tells under this name, in the place of what they told before.
    async fn tell(&self, name: &str, value: &str) -> Result<(), Error>;

    /// What was told under this name last, and when, in milliseconds since the Unix epoch.
    async fn told(&self, name: &str) -> Result<Option<(String, u64)>, Error>;

    /// The first answer to a request with this key, with what that request was.
    async fn answer(&self, tenant: &TenantId, key: [u8; 32]) -> Result<Option<(Vec<u8>, String)>, Error>;

    /// Keeps an answer unless there is one, and gives what is kept.
    async fn keep_answer(
        &self,
        tenant: &TenantId,
        key: [u8; 32],
        fingerprint: [u8; 32],
        text: &str,
    ) -> Result<(Vec<u8>, String), Error>;

    /// Forgets answers and usage of days gone by.
    async fn forget_answers(&self) -> Result<u64, Error>;

    /// Bytes that the tenant uploaded on a day (since 1970).
    async fn usage(&self, tenant: &TenantId, day: u64) -> Result<u64, Error>;

    /// Adds to the bytes that the tenant uploaded on a day. `spread` is any number, another each time.
    async fn add_usage(&self, tenant: &TenantId, day: u64, bytes: u64, spread: u64) -> Result<(), Error>;

    /// Whether it answers.
    async fn ping(&self) -> Result<(), Error>;

    /// Keeps a new key.
    async fn create_key(&self, key: &NewKey<'_>) -> Result<KeyRow, Error>;

    /// All keys, oldest first; revoked and expired ones too.
    async fn keys(&self) -> Result<Vec<KeyRow>, Error>;

    /// The key with this hash, if it is neither revoked nor expired.
    async fn valid_key(&self, hash: [u8; 32]) -> Result<Option<KeyRow>, Error>;

    /// Whether a key was ever made. One that was revoked counts: else revoking the last would open the API.
    async fn has_keys(&self) -> Result<bool, Error>;

    /// Revokes a key. False: there is none of this name. Revoking twice keeps the first time.
    async fn revoke_key(&self, id: &str) -> Result<bool, Error>;

    /// The workers that live, by name, and the ledger's time in milliseconds since the Unix epoch.
    async fn live_workers(&self) -> Result<(Vec<LiveWorker>, u64), Error>;

    /// Orders a worker to take no new work for this long; `None` ends the order. False: no such worker lives.
    async fn order_drain(&self, worker: &str, lasts: Option<Duration>) -> Result<bool, Error>;

    /// Forgets workers that died long ago. Returns how many.
    async fn forget_dead_workers(&self) -> Result<u64, Error>;

    /// The tenant's next documents with their chunks, oldest first, after the one that arrived so: at most `limit`,
    /// and none more once there are `bytes_max` bytes of text. With whether there may be more.
    async fn export(
        &self,
        tenant: &TenantId,
        after: Option<u64>,
        limit: u32,
        bytes_max: usize,
    ) -> Result<(Vec<ExportedRow>, bool), Error>;

    /// The tenant's active index and the one that is being built, the active one first.
    async fn indexes(&self, tenant: &TenantId) -> Result<Vec<IndexRow>, Error>;

    /// Has the tenant's rows of a store looked at and what lacks written again. While that goes on, nothing.
    async fn begin_fill(&self, tenant: &TenantId, store: Store) -> Result<(), Error>;

    /// What of the tenant is or was filled, and how many documents the tenant has.
    async fn fills(&self, tenant: &TenantId) -> Result<(Vec<FillRow>, u64), Error>;

    /// The tenants that have an active index.
    async fn tenants(&self) -> Result<Vec<TenantId>, Error>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_wrong_is_told_from_what_may_pass() {
        assert_eq!(Error::from(postgres::Error::DiskFull), Error::DiskFull);
        assert_eq!(Error::from(postgres::Error::Damaged("a row")), Error::Damaged("a row".to_owned()));
        assert!(matches!(Error::from(postgres::Error::Failed("x".to_owned())), Error::Away(_)));
        assert_eq!(Error::from(sqlite::Error::DiskFull), Error::DiskFull);
        assert_eq!(Error::from(sqlite::Error::Damaged("x".to_owned())), Error::Damaged("x".to_owned()));
        assert!(matches!(Error::from(sqlite::Error::Stopped("x".to_owned())), Error::Away(_)));
        assert_eq!(Error::from(ledger::Error::DiskFull), Error::DiskFull);
        assert!(matches!(Error::from(ledger::Error::Stopped("x".to_owned())), Error::Away(_)));
    }
}
