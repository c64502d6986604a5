//! The ledger trait over the pool: each call one transaction, made durable before it is answered.

use async_trait::async_trait;
use docmill_core::delivery::Progress;
use docmill_core::failure::Failure;
use docmill_core::id::{ChunkId, DocumentId, IndexId, TenantId, TextHash};
use docmill_core::index::{IndexSpec, IndexState};
use docmill_core::manifest::Manifest;
use docmill_core::page::Page;

use super::transaction::transaction;
use super::{Database, audit, claims, commits, deleted, derived, indexes, manifests, moves, sources};
use crate::ledger::{
    Claim, Cleanup, Commit, CommittedManifest, Error, Failed, Grant, Ledger, Move, Registered,
    Registration, SelfAudit, Start, Summary, WorkerId,
};
use crate::queue::Message;

/// The ledger in a PostgreSQL server.
#[derive(Clone)]
pub struct PostgresLedger {
    database: Database,
    switch_delay_ms: u64,
}

impl PostgresLedger {
    /// The ledger of this database. `switch_delay_ms` is the delay of removals that an index switch records:
    /// longer than any search's deadline; a commit is told its own.
    pub fn new(database: Database, switch_delay_ms: u64) -> Self {
        Self { database, switch_delay_ms }
    }

    /// Removes derived values that nothing needs. Returns how many; call again while it is not 0.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn sweep_derived(&self) -> Result<u64, Error> {
        Ok(transaction!(self.database, |transaction| derived::sweep(transaction))?)
    }

    /// Records that documents are somewhere else now; their content is what it was. Returns messages of
    /// those that are tried again, as they were given up when their file was not in its old place.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn move_sources(&self, tenant: &TenantId, moves: &[Move]) -> Result<Vec<Message>, Error> {
        Ok(transaction!(self.database, |transaction| moves::carry_out(transaction, tenant, moves))?)
    }

    /// Gives back all that the worker holds, as if it had not been begun. Returns how many.
    ///
    /// # Errors
    /// Nothing of it took effect.
    pub async fn hand_back_all(&self, worker: &WorkerId) -> Result<u64, Error> {
        Ok(transaction!(self.database, |transaction| claims::hand_back_all(transaction, worker))?)
    }
}

#[async_trait]
impl Ledger for PostgresLedger {
    async fn heartbeat(&self, worker: &WorkerId, lease_ms: u64) -> Result<(), Error> {
        Ok(transaction!(self.database, |transaction| claims::heartbeat(transaction, worker, lease_ms))?)
    }

    async fn retire_worker(&self, worker: &WorkerId) -> Result<(), Error> {
        Ok(transaction!(self.database, |transaction| claims::retire(transaction, worker))?)
    }

    async fn register(&self, registrations: Vec<Registration>) -> Result<Vec<Registered>, Error> {
        Ok(transaction!(self.database, |transaction| sources::register(transaction, &registrations))?)
    }

    async fn delete(&self, document: DocumentId) -> Result<Option<Message>, Error> {
        Ok(transaction!(self.database, |transaction| sources::delete(transaction, document))?)
    }

    async fn claim(&self, message: &Message, worker: &WorkerId) -> Result<Claim, Error> {
        Ok(transaction!(self.database, |transaction| claims::claim(transaction, message, worker))?)
    }

    async fn start(&self, grant: &Grant) -> Result<Start, Error> {
        Ok(transaction!(self.database, |transaction| claims::start(transaction, grant))?)
    }

    async fn progress(&self, grant: &Grant, reached: Progress, pages: Vec<Page>) -> Result<bool, Error> {
        Ok(transaction!(self.database, |transaction| claims::progress(
            transaction,
            grant,
            reached,
            &pages
        ))?)
    }

    async fn kept_pages(&self, grant: &Grant) -> Result<Vec<Page>, Error> {
        Ok(transaction!(self.database, |transaction| claims::kept_pages(transaction, grant))?)
    }

    async fn derived(
        &self,
        tenant: &TenantId,
        stage: &str,
        texts: &[TextHash],
    ) -> Result<Vec<Option<Vec<u8>>>, Error> {
        Ok(transaction!(self.database, |transaction| derived::get(transaction, tenant, stage, texts))?)
    }

    async fn keep_derived(
        &self,
        tenant: &TenantId,
        stage: &str,
        values: Vec<(TextHash, Vec<u8>)>,
    ) -> Result<Vec<Vec<u8>>, Error> {
        Ok(transaction!(self.database, |transaction| derived::keep(transaction, tenant, stage, &values))?)
    }

    async fn commit(
        &self,
        grant: &Grant,
        manifests: Vec<Manifest>,
        summary: Summary,
        cleanup_delay_ms: u64,
    ) -> Result<Commit, Error> {
        Ok(transaction!(self.database, |transaction| commits::commit(
            transaction,
            grant,
            &manifests,
            &summary,
            cleanup_delay_ms
        ))?)
    }

    async fn carry(
        &self,
        grant: &Grant,
        manifests: Vec<Manifest>,
        cleanup_delay_ms: u64,
    ) -> Result<bool, Error> {
        Ok(transaction!(self.database, |transaction| commits::carry(
            transaction,
            grant,
            &manifests,
            cleanup_delay_ms
        ))?)
    }

    async fn fail(&self, grant: &Grant, failure: Failure, jitter: f64) -> Result<Failed, Error> {
        Ok(transaction!(self.database, |transaction| claims::fail(transaction, grant, &failure, jitter))?)
    }

    async fn hand_back(&self, grant: &Grant) -> Result<bool, Error> {
        Ok(transaction!(self.database, |transaction| claims::hand_back(transaction, grant))?)
    }

    async fn unsettled(&self, limit: usize) -> Result<Vec<Message>, Error> {
        Ok(transaction!(self.database, |transaction| claims::unsettled(transaction, limit))?)
    }

    async fn due_cleanups(&self, limit: usize) -> Result<Vec<Cleanup>, Error> {
        Ok(transaction!(self.database, |transaction| manifests::due_cleanups(transaction, limit))?)
    }

    async fn wanted(&self, chunks: &[ChunkId]) -> Result<Vec<ChunkId>, Error> {
        Ok(transaction!(self.database, |transaction| manifests::wanted(transaction, chunks))?)
    }

    async fn cleanup_done(&self, cleanup: &Cleanup) -> Result<(), Error> {
        Ok(transaction!(self.database, |transaction| manifests::cleanup_done(transaction, cleanup))?)
    }

    async fn requeue(&self, document: DocumentId) -> Result<Option<Message>, Error> {
        Ok(transaction!(self.database, |transaction| claims::requeue(transaction, document))?)
    }

    async fn forget_deleted(&self, older_than_ms: u64, limit: usize) -> Result<u64, Error> {
        Ok(transaction!(self.database, |transaction| deleted::forget(transaction, older_than_ms, limit))?)
    }

    async fn manifests(
        &self,
        after: Option<(DocumentId, IndexId)>,
        limit: usize,
    ) -> Result<Vec<CommittedManifest>, Error> {
        Ok(transaction!(self.database, |transaction| manifests::page(transaction, after, limit))?)
    }

    async fn accounted_for(&self, document: DocumentId, chunk: ChunkId) -> Result<bool, Error> {
        Ok(transaction!(self.database, |transaction| audit::accounted_for(transaction, document, chunk))?)
    }

    async fn self_audit(&self, grace_ms: u64) -> Result<SelfAudit, Error> {
        Ok(transaction!(self.database, |transaction| audit::self_audit(transaction, grace_ms))?)
    }

    async fn indexes(&self, tenant: &TenantId) -> Result<Vec<(IndexId, IndexSpec, IndexState)>, Error> {
        Ok(transaction!(self.database, |transaction| indexes::all(transaction, tenant))?)
    }

    async fn begin_index(&self, tenant: &TenantId, spec: &IndexSpec) -> Result<IndexState, Error> {
        Ok(transaction!(self.database, |transaction| indexes::begin(transaction, tenant, spec))?)
    }

    async fn switch_index(&self, tenant: &TenantId, to: IndexId) -> Result<u64, Error> {
        let delay_ms = self.switch_delay_ms;
        Ok(transaction!(self.database, |transaction| indexes::switch(transaction, tenant, to, delay_ms))?)
    }
}
