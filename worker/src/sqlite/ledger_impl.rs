//! The ledger trait over the writer: each call one job. Only calls whose effect must outlive a power
//! cut before anything else happens wait for the disk; the others become durable with a later one.

use async_trait::async_trait;
use docmill_core::delivery::Progress;
use docmill_core::failure::Failure;
use docmill_core::id::{ChunkId, DocumentId, IndexId, TenantId, TextHash};
use docmill_core::index::{IndexSpec, IndexState};
use docmill_core::manifest::Manifest;
use docmill_core::page::Page;
use rusqlite::Connection;

use super::{Answer, Database, audit, claims, deleted, derived, indexes, manifests, sources};
use crate::ledger::{
    Claim, Cleanup, Commit, CommittedManifest, Error, Failed, Grant, Ledger, Registered, Registration,
    SelfAudit, Start, Summary, WorkerId,
};
use crate::queue::Message;

impl Database {
    pub(super) async fn job<T: Send + 'static>(
        &self,
        answer: Answer,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        Ok(self.writer().run(answer, job).await?)
    }

    /// Removes derived values that nothing needs. Returns how many; call again while it is not 0.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn sweep_derived(&self) -> Result<usize, Error> {
        let now_ms = self.now_ms();
        self.job(Answer::Applied, move |connection| derived::sweep(connection, now_ms)).await
    }

    /// Gives back all that the worker holds, as if it had not been begun. Returns how many.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn hand_back_all(&self, worker: &WorkerId) -> Result<usize, Error> {
        let worker = worker.clone();
        self.job(Answer::Durable, move |connection| claims::hand_back_all(connection, &worker)).await
    }

    /// Puts this worker in the place of every other: the caller holds the directory's lock, so none of them lives.
    /// Returns how many there were; a worker that left nothing behind is not among them. It is one step, so that
    /// who dies after it is found by the next.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn take_over(&self, worker: &WorkerId, lease_ms: u64) -> Result<usize, Error> {
        let (worker, now_ms) = (worker.clone(), self.now_ms());
        let until_ms = now_ms + lease_ms as i64;
        self.job(Answer::Applied, move |connection| {
            let others = connection.execute("DELETE FROM workers WHERE worker <> ?", [&worker.0])?;
            claims::heartbeat(connection, &worker, now_ms, until_ms)?;
            Ok(others)
        })
        .await
    }

    /// Says that the worker lives no more and may have left rows in the stores: it is counted by the next that
    /// takes over.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn leave(&self, worker: &WorkerId) -> Result<(), Error> {
        let (worker, now_ms) = (worker.clone(), self.now_ms());
        self.job(Answer::Applied, move |connection| claims::heartbeat(connection, &worker, now_ms, 0)).await
    }
}

#[async_trait]
impl Ledger for Database {
    async fn heartbeat(&self, worker: &WorkerId, lease_ms: u64) -> Result<(), Error> {
        let (worker, now_ms) = (worker.clone(), self.now_ms());
        let until_ms = now_ms + lease_ms as i64;
        self.job(Answer::Applied, move |connection| {
            claims::heartbeat(connection, &worker, now_ms, until_ms)
        })
        .await
    }

    async fn retire_worker(&self, worker: &WorkerId) -> Result<(), Error> {
        let worker = worker.clone();
        self.job(Answer::Applied, move |connection| claims::retire(connection, &worker)).await
    }

    async fn register(&self, registrations: Vec<Registration>) -> Result<Vec<Registered>, Error> {
        let now_ms = self.now_ms();
        self.job(Answer::Durable, move |connection| {
            registrations.iter().map(|new| sources::register(connection, new, now_ms)).collect()
        })
        .await
    }

    async fn delete(&self, document: DocumentId) -> Result<Option<Message>, Error> {
        let now_ms = self.now_ms();
        self.job(Answer::Durable, move |connection| sources::delete(connection, document, now_ms)).await
    }

    async fn claim(&self, message: &Message, worker: &WorkerId) -> Result<Claim, Error> {
        let (message, worker, now_ms) = (*message, worker.clone(), self.now_ms());
        self.job(Answer::Applied, move |connection| claims::claim(connection, &message, &worker, now_ms))
            .await
    }

    async fn start(&self, grant: &Grant) -> Result<Start, Error> {
        let (grant, now_ms) = (grant.clone(), self.now_ms());
        self.job(Answer::Durable, move |connection| claims::start(connection, &grant, now_ms)).await
    }

    async fn progress(&self, grant: &Grant, reached: Progress, pages: Vec<Page>) -> Result<bool, Error> {
        let grant = grant.clone();
        self.job(Answer::Applied, move |connection| claims::progress(connection, &grant, reached, &pages))
            .await
    }

    async fn kept_pages(&self, grant: &Grant) -> Result<Vec<Page>, Error> {
        let grant = grant.clone();
        self.job(Answer::Applied, move |connection| claims::kept_pages(connection, &grant)).await
    }

    async fn derived(
        &self,
        tenant: &TenantId,
        stage: &str,
        texts: &[TextHash],
    ) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let (tenant, stage, texts) = (tenant.clone(), stage.to_owned(), texts.to_vec());
        self.job(Answer::Applied, move |connection| derived::get(connection, &tenant, &stage, &texts)).await
    }

    async fn keep_derived(
        &self,
        tenant: &TenantId,
        stage: &str,
        values: Vec<(TextHash, Vec<u8>)>,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let (tenant, stage, now_ms) = (tenant.clone(), stage.to_owned(), self.now_ms());
        self.job(Answer::Applied, move |connection| {
            derived::keep(connection, &tenant, &stage, values, now_ms)
        })
        .await
    }

    async fn commit(
        &self,
        grant: &Grant,
        manifests: Vec<Manifest>,
        summary: Summary,
        cleanup_delay_ms: u64,
    ) -> Result<Commit, Error> {
        let (grant, now_ms) = (grant.clone(), self.now_ms());
        let due_ms = now_ms + cleanup_delay_ms as i64;
        let committed = self
            .job(Answer::Durable, move |connection| {
                manifests::commit(connection, &grant, &manifests, &summary, now_ms, due_ms)
            })
            .await?;
        if let Commit::Committed { seq } = &committed {
            self.changed(seq.0);
        }
        Ok(committed)
    }

    async fn carry(
        &self,
        grant: &Grant,
        manifests: Vec<Manifest>,
        cleanup_delay_ms: u64,
    ) -> Result<bool, Error> {
        let (grant, due_ms) = (grant.clone(), self.now_ms() + cleanup_delay_ms as i64);
        self.job(Answer::Durable, move |connection| {
            manifests::carry(connection, &grant, &manifests, due_ms)
        })
        .await
    }

    async fn fail(&self, grant: &Grant, failure: Failure, jitter: f64) -> Result<Failed, Error> {
        let (grant, now_ms) = (grant.clone(), self.now_ms());
        self.job(Answer::Durable, move |connection| {
            claims::fail(connection, &grant, failure, jitter, now_ms)
        })
        .await
    }

    async fn hand_back(&self, grant: &Grant) -> Result<bool, Error> {
        let grant = grant.clone();
        self.job(Answer::Durable, move |connection| claims::hand_back(connection, &grant)).await
    }

    async fn unsettled(&self, limit: usize) -> Result<Vec<Message>, Error> {
        let now_ms = self.now_ms();
        self.job(Answer::Applied, move |connection| claims::unsettled(connection, limit, now_ms)).await
    }

    async fn due_cleanups(&self, limit: usize) -> Result<Vec<Cleanup>, Error> {
        let now_ms = self.now_ms();
        self.job(Answer::Applied, move |connection| manifests::due_cleanups(connection, limit, now_ms))
            .await
    }

    async fn wanted(&self, chunks: &[ChunkId]) -> Result<Vec<ChunkId>, Error> {
        let chunks = chunks.to_vec();
        self.job(Answer::Applied, move |connection| manifests::wanted(connection, &chunks)).await
    }

    async fn cleanup_done(&self, cleanup: &Cleanup) -> Result<(), Error> {
        let cleanup = cleanup.clone();
        self.job(Answer::Applied, move |connection| manifests::cleanup_done(connection, &cleanup)).await
    }

    async fn requeue(&self, document: DocumentId) -> Result<Option<Message>, Error> {
        self.job(Answer::Durable, move |connection| claims::requeue(connection, document)).await
    }

    async fn forget_deleted(&self, older_than_ms: u64, limit: usize) -> Result<u64, Error> {
        let before_ms = self.now_ms().saturating_sub(i64::try_from(older_than_ms).unwrap_or(i64::MAX));
        self.job(Answer::Applied, move |connection| deleted::forget(connection, before_ms, limit)).await
    }

    async fn manifests(
        &self,
        after: Option<(DocumentId, IndexId)>,
        limit: usize,
    ) -> Result<Vec<CommittedManifest>, Error> {
        self.job(Answer::Applied, move |connection| manifests::page(connection, after, limit)).await
    }

    async fn accounted_for(&self, document: DocumentId, chunk: ChunkId) -> Result<bool, Error> {
        self.job(Answer::Applied, move |connection| audit::accounted_for(connection, document, chunk)).await
    }

    async fn self_audit(&self, grace_ms: u64) -> Result<SelfAudit, Error> {
        let now_ms = self.now_ms();
        self.job(Answer::Applied, move |connection| audit::self_audit(connection, now_ms, grace_ms as i64))
            .await
    }

    async fn indexes(&self, tenant: &TenantId) -> Result<Vec<(IndexId, IndexSpec, IndexState)>, Error> {
        let tenant = tenant.clone();
        self.job(Answer::Applied, move |connection| indexes::all(connection, &tenant)).await
    }

    async fn begin_index(&self, tenant: &TenantId, spec: &IndexSpec) -> Result<IndexState, Error> {
        let (tenant, spec) = (tenant.clone(), spec.clone());
        self.job(Answer::Durable, move |connection| indexes::begin(connection, &tenant, &spec)).await
    }

    async fn switch_index(&self, tenant: &TenantId, to: IndexId) -> Result<u64, Error> {
        let (tenant, due_ms) = (tenant.clone(), self.now_ms());
        let lacking = self
            .job(Answer::Durable, move |connection| indexes::switch(connection, &tenant, to, due_ms))
            .await?;
        if lacking == 0 {
            // No number is given for it, and searches answer otherwise from now on.
            self.changed(0);
        }
        Ok(lacking)
    }
}
