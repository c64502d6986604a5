//! The ledger: the system of record. What it says was committed is committed; a lost queue or store
//! is rebuilt from it. Decisions come from `docmill_core::delivery`; back ends only carry them out,
//! each call in one transaction.

use async_trait::async_trait;
use docmill_core::delivery::{ClaimDecision, History, Progress, State};
use docmill_core::failure::Failure;
use docmill_core::id::{
    ChunkId, CommitSeq, ContentHash, DocumentId, Epoch, Generation, IndexId, TenantId, TextHash,
};
use docmill_core::index::{IndexSpec, IndexState};
use docmill_core::manifest::Manifest;
use docmill_core::page::Page;
use docmill_core::source::FileStat;
use serde::{Deserialize, Serialize};

use crate::queue::Message;

#[cfg(feature = "testing")]
pub mod memory;

/// A ledger call that failed. Nothing of it took effect.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// May pass by itself.
    #[error("the ledger failed: {0}")]
    Failed(String),
    /// The disk is full.
    #[error("the disk under the ledger is full")]
    DiskFull,
    /// An earlier transaction could not be made durable; the process must start again.
    #[error("the ledger stopped after a failed commit: {0}")]
    Stopped(String),
}

/// A process that works on documents: unique for a process start.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(pub String);

/// What is said of a source: this URI has this content now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Whose it is.
    pub tenant: TenantId,
    /// Where it is.
    pub uri: String,
    /// Hash of its content.
    pub content: ContentHash,
    /// Its size.
    pub bytes: u64,
    /// What `stat` said just before it was hashed, where it is a file.
    pub stat: Option<FileStat>,
    /// When the scan that saw it began, in nanoseconds since the Unix epoch.
    pub scanned_at_ns: i64,
    /// The PATH it was found under, as a URI.
    pub root: Option<String>,
}

/// A document that is somewhere else now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Where it was.
    pub from: String,
    /// Where it is.
    pub to: String,
    /// What `stat` says there.
    pub stat: FileStat,
    /// When the scan that saw it began.
    pub scanned_at_ns: i64,
    /// The PATH it was found under.
    pub root: Option<String>,
}

/// What a registration led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// A document was born.
    New(Message),
    /// A known document has a new generation.
    Changed(Message),
    /// The newest generation has this content already; its state is given.
    Unchanged(DocumentId, State),
}

/// What a granted claim works on.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// The fence of every later call.
    pub epoch: Epoch,
    /// The document.
    pub document: DocumentId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The generation.
    pub generation: Generation,
    /// Its content; `None` is a deletion: everything of the document goes.
    pub content: Option<ContentHash>,
    /// Where it is (of twins: this document's own).
    pub uri: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Earlier trials of this generation.
    pub history: History,
    /// This very generation was committed before: it is repaired, replayed or indexed anew.
    pub committed_before: bool,
    /// The indexes to write: the active one and, while there is one, the one being built.
    pub indexes: Vec<(IndexId, IndexSpec)>,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// It is the caller's.
    Granted(Box<Grant>),
    /// It is not, and why.
    Refused(ClaimDecision),
}

/// What became of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Go on.
    Go,
    /// It was dead-lettered instead.
    GaveUp(Failure),
    /// The claim is no longer the caller's.
    Fenced,
}

/// What became of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// It waits for another trial.
    Retry {
        /// Delay before it, in milliseconds.
        after_ms: u64,
    },
    /// It was dead-lettered.
    DeadLettered,
    /// The claim is no longer the caller's.
    Fenced,
}

/// What is worth knowing of a committed document beside its chunks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Title.
    pub title: Option<String>,
    /// IANA media type.
    pub media_type: String,
    /// Language of most of its text.
    pub language: String,
    /// Its category, where something gave it one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// How near it is to that, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category_confidence: Option<f32>,
    /// The recipe that looked for its category, whether it found one or not: what another found is done again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classifier: Option<String>,
    /// Pages.
    pub pages: u32,
    /// Pages whose text was recognised.
    pub ocr_pages: u32,
    /// Pages that could not be read, or not to their end.
    pub lost_pages: u32,
    /// Chunks in the active index.
    pub chunks: u32,
    /// Bytes of text.
    pub text_bytes: u64,
    /// Milliseconds a stage took, by its name.
    pub stage_ms: std::collections::BTreeMap<String, f64>,
    /// What pages say of themselves, as `page: note`; see [`crate::page_note`].
    pub notes: Vec<String>,
}

/// Rows that only older manifests name, to be removed once no search can still show them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleanup {
    /// The ledger's number of it.
    pub id: u64,
    /// The document.
    pub document: DocumentId,
    /// Remove only rows below this epoch.
    pub below: Epoch,
    /// Not before, in milliseconds since the Unix epoch.
    pub due_ms: u64,
    /// The chunks.
    pub chunks: Vec<ChunkId>,
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commit {
    /// It is the document's content for every search that begins now.
    Committed {
        /// Its place in the order of commits.
        seq: CommitSeq,
    },
    /// The claim is no longer the caller's; nothing changed.
    Fenced,
}

/// A committed manifest with its number, as audits read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedManifest {
    /// When it was committed.
    pub seq: CommitSeq,
    /// What it names.
    pub manifest: Manifest,
}

/// Counts that an audit takes from the ledger alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SelfAudit {
    /// Two documents on one URI, two live entries with equal (document, text hash, occurrence).
    pub duplicate: u64,
    /// Removals that are recorded and not yet due or done.
    pub cleanup_pending: u64,
    /// Removals overdue by more than the grace given.
    pub stale: u64,
}

/// Documents, generations, manifests, epochs, sources, derived values.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Says that the worker lives until `lease_ms` from now. Written each third of that.
    async fn heartbeat(&self, worker: &WorkerId, lease_ms: u64) -> Result<(), Error>;

    /// Says that the worker is gone: what it holds may be claimed at once.
    async fn retire_worker(&self, worker: &WorkerId) -> Result<(), Error>;

    /// Records sources, all or none. After it returns, no crash loses them.
    async fn register(&self, registrations: Vec<Registration>) -> Result<Vec<Registered>, Error>;

    /// Makes the next generation of the document a deletion. `None`: unknown or deleted already.
    async fn delete(&self, document: DocumentId) -> Result<Option<Message>, Error>;

    /// Claims the generation for the worker, with a new epoch.
    async fn claim(&self, message: &Message, worker: &WorkerId) -> Result<Claim, Error>;

    /// Counts a start; durable before it returns, as the parse may take the process down.
    async fn start(&self, grant: &Grant) -> Result<Start, Error>;

    /// Records how far the work got, with pages to resume from. False: fenced.
    async fn progress(&self, grant: &Grant, reached: Progress, pages: Vec<Page>) -> Result<bool, Error>;

    /// Pages kept by earlier trials of this generation, from page 1 without a gap.
    async fn kept_pages(&self, grant: &Grant) -> Result<Vec<Page>, Error>;

    /// Values of texts at a stage, `None` where there is none.
    async fn derived(
        &self,
        tenant: &TenantId,
        stage: &str,
        texts: &[TextHash],
    ) -> Result<Vec<Option<Vec<u8>>>, Error>;

    /// Keeps values unless there is one already; returns what is kept now, in the order given.
    async fn keep_derived(
        &self,
        tenant: &TenantId,
        stage: &str,
        values: Vec<(TextHash, Vec<u8>)>,
    ) -> Result<Vec<Vec<u8>>, Error>;

    /// Commits one manifest an index of the grant, conditional on the epoch, and records the removal of
    /// what only older manifests name, due `cleanup_delay_ms` from now.
    async fn commit(
        &self,
        grant: &Grant,
        manifests: Vec<Manifest>,
        summary: Summary,
        cleanup_delay_ms: u64,
    ) -> Result<Commit, Error>;

    /// Puts manifests of the older generation that search shows into indexes which have none of the
    /// document, under a claim of the newest generation, whose state stays as it is: when that fails, a
    /// switch of the index must not take from search what it shows. False: fenced.
    async fn carry(
        &self,
        grant: &Grant,
        manifests: Vec<Manifest>,
        cleanup_delay_ms: u64,
    ) -> Result<bool, Error>;

    /// Records a failure and what it leads to. `jitter` is random in [0, 1).
    async fn fail(&self, grant: &Grant, failure: Failure, jitter: f64) -> Result<Failed, Error>;

    /// Gives the document back untouched (shutdown): its start is taken back. False: fenced.
    async fn hand_back(&self, grant: &Grant) -> Result<bool, Error>;

    /// Messages for every row that is queued, or processing under a worker that is not live.
    async fn unsettled(&self, limit: usize) -> Result<Vec<Message>, Error>;

    /// Removals that are due.
    async fn due_cleanups(&self, limit: usize) -> Result<Vec<Cleanup>, Error>;

    /// Of these chunks, those that a manifest names which is not replaced.
    async fn wanted(&self, chunks: &[ChunkId]) -> Result<Vec<ChunkId>, Error>;

    /// The removal is done: the replaced manifests are forgotten.
    async fn cleanup_done(&self, cleanup: &Cleanup) -> Result<(), Error>;

    /// Queues the newest generation again although it is final: repair, replay. `None`: unknown.
    async fn requeue(&self, document: DocumentId) -> Result<Option<Message>, Error>;

    /// Forgets documents whose newest generation is a deletion that was handed in `older_than_ms` ago or
    /// earlier, is committed, and left nothing to remove: row, source and manifests, at most `limit`. Returns
    /// how many went. Registered again, such a document is born anew.
    async fn forget_deleted(&self, older_than_ms: u64, limit: usize) -> Result<u64, Error>;

    /// Committed manifests that are not replaced, of indexes not retired, ordered by (document, index).
    async fn manifests(
        &self,
        after: Option<(DocumentId, IndexId)>,
        limit: usize,
    ) -> Result<Vec<CommittedManifest>, Error>;

    /// Whether a live claim or a recorded removal may still account for a row of this document that no
    /// manifest names.
    async fn accounted_for(&self, document: DocumentId, chunk: ChunkId) -> Result<bool, Error>;

    /// Counts taken from the ledger alone; a removal overdue by more than `grace_ms` is stale.
    async fn self_audit(&self, grace_ms: u64) -> Result<SelfAudit, Error>;

    /// The tenant's indexes.
    async fn indexes(&self, tenant: &TenantId) -> Result<Vec<(IndexId, IndexSpec, IndexState)>, Error>;

    /// Begins an index beside the active one, or makes it active where there is none. Known: nothing.
    async fn begin_index(&self, tenant: &TenantId, spec: &IndexSpec) -> Result<IndexState, Error>;

    /// Makes the building index active if every document that search shows has a manifest in it, in one
    /// update. Returns how many still lack one (0: switched); a dead letter that was tried since the index
    /// was begun is not waited for. The old one is retired and its rows are due for removal.
    async fn switch_index(&self, tenant: &TenantId, to: IndexId) -> Result<u64, Error>;
}
