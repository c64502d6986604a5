//! The ledger's memory twin: tests and simulation run it where a shape runs a database. It passes the
//! same contract suite, so what the simulation shows of delivery holds for every back end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use docmill_core::delivery::{
    AfterFailure, ClaimDecision, ClaimView, History, Progress, StartDecision, State, decide_claim,
    decide_failure, decide_start,
};
use docmill_core::failure::{Failure, FailureClass};
use docmill_core::id::{
    ChunkId, CommitSeq, ContentHash, DocumentId, Epoch, Generation, IndexId, TenantId, TextHash,
};
use docmill_core::index::{IndexSpec, IndexState};
use docmill_core::lane::Lane;
use docmill_core::manifest::Manifest;
use docmill_core::page::Page;

use super::{
    Claim, Cleanup, Commit, CommittedManifest, Error, Failed, Grant, Ledger, Registered, Registration,
    SelfAudit, Start, Summary, WorkerId,
};
use crate::clock::Clock;
use crate::delivery::PlantedFault;
use crate::queue::Message;

mod commit;
mod inspect;
mod switch;

pub use inspect::{RowView, Snapshot};

/// See the module.
pub struct MemoryLedger {
    clock: Arc<dyn Clock>,
    /// Delay of the removals that an index switch records; a commit is told its own.
    switch_delay_ms: u64,
    planted: Option<PlantedFault>,
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    epoch: u64,
    seq: u64,
    next_cleanup: u64,
    sources: BTreeMap<(TenantId, String), DocumentId>,
    documents: BTreeMap<DocumentId, Row>,
    workers: BTreeMap<WorkerId, u64>,
    derived: BTreeMap<(TenantId, String, TextHash), Vec<u8>>,
    /// Ascending by number; the last is the one that is not replaced.
    manifests: BTreeMap<(DocumentId, IndexId), Vec<CommittedManifest>>,
    cleanups: BTreeMap<u64, Recorded>,
    indexes: BTreeMap<TenantId, Vec<(IndexId, IndexSpec, IndexState)>>,
    /// The last epoch that was given before the index was begun.
    begun: BTreeMap<(TenantId, IndexId), Epoch>,
}

/// A removal with the manifests that are kept until it is done, as searches may still show them.
struct Recorded {
    cleanup: Cleanup,
    replaced: Vec<(DocumentId, IndexId, CommitSeq)>,
}

/// A document with its newest generation.
struct Row {
    tenant: TenantId,
    uri: String,
    bytes: u64,
    generation: Generation,
    content: Option<ContentHash>,
    /// When its deletion was handed in; 0 where it was not.
    deleted_at_ms: u64,
    state: State,
    owner: Option<WorkerId>,
    epoch: Epoch,
    /// Whether the present claim counted a start, which a hand-back takes back.
    started: bool,
    history: History,
    pages: Vec<Page>,
    failure: Option<Failure>,
    summary: Option<Summary>,
}

impl Row {
    fn message(&self, document: DocumentId) -> Message {
        Message { document, generation: self.generation, lane: Lane::of_bytes(self.bytes) }
    }

    fn next_generation(&mut self, content: Option<ContentHash>) {
        self.generation = Generation(self.generation.0 + 1);
        self.content = content;
        self.pages.clear();
        self.queue_again();
    }

    /// Back to the start of its trials.
    fn queue_again(&mut self) {
        self.history = History::default();
        self.failure = None;
        self.release(State::Queued);
    }

    fn release(&mut self, state: State) {
        self.state = state;
        self.owner = None;
        self.started = false;
    }

    fn take_back_start(&mut self) {
        if self.started {
            self.history.starts = self.history.starts.saturating_sub(1);
            self.started = false;
        }
    }

    fn owned_by(&self, grant: &Grant) -> bool {
        self.state == State::Processing && self.generation == grant.generation && self.epoch == grant.epoch
    }
}

impl Tables {
    fn live(&self, row: &Row, now_ms: u64) -> bool {
        row.owner.as_ref().and_then(|owner| self.workers.get(owner)).is_some_and(|until| *until > now_ms)
    }

    fn owned(&mut self, grant: &Grant) -> Option<&mut Row> {
        self.documents.get_mut(&grant.document).filter(|row| row.owned_by(grant))
    }

    fn indexes_to_write(&self, tenant: &TenantId) -> Vec<(IndexId, IndexSpec)> {
        let rows = self.indexes.get(tenant).map(Vec::as_slice).unwrap_or_default();
        rows.iter()
            .filter(|(_, _, state)| *state != IndexState::Retired)
            .map(|(id, spec, _)| (*id, spec.clone()))
            .collect()
    }

    fn index_state(&self, tenant: &TenantId, index: IndexId) -> Option<IndexState> {
        self.indexes.get(tenant)?.iter().find(|(id, _, _)| *id == index).map(|(_, _, state)| *state)
    }

    fn index_is_read(&self, document: DocumentId, index: IndexId) -> bool {
        self.documents
            .get(&document)
            .and_then(|row| self.index_state(&row.tenant, index))
            .is_some_and(|state| state != IndexState::Retired)
    }

    /// Manifests that are not replaced, of indexes not retired.
    fn current(&self) -> impl Iterator<Item = (&(DocumentId, IndexId), &CommittedManifest)> {
        self.manifests.iter().filter_map(|(key, kept)| {
            let newest = kept.last()?;
            self.index_is_read(key.0, key.1).then_some((key, newest))
        })
    }

    /// Whether this very generation has a manifest that is not replaced.
    fn committed(&self, document: DocumentId, generation: Generation) -> bool {
        let lowest = (document, IndexId(i64::MIN));
        self.manifests
            .range(lowest..)
            .take_while(|((of, _), _)| *of == document)
            .filter_map(|(_, kept)| kept.last())
            .any(|newest| newest.manifest.generation == generation)
    }

    fn register(&mut self, registration: Registration) -> Registered {
        let key = (registration.tenant.clone(), registration.uri.clone());
        if let Some(document) = self.sources.get(&key).copied()
            && let Some(row) = self.documents.get_mut(&document)
        {
            if row.content == Some(registration.content) {
                return Registered::Unchanged(document, row.state);
            }
            row.bytes = registration.bytes;
            row.next_generation(Some(registration.content));
            return Registered::Changed(row.message(document));
        }
        let document = DocumentId::born(&registration.tenant, &registration.uri, self.born_before(&key));
        let row = Row {
            tenant: registration.tenant,
            uri: registration.uri,
            bytes: registration.bytes,
            generation: Generation(1),
            content: Some(registration.content),
            deleted_at_ms: 0,
            state: State::Queued,
            owner: None,
            epoch: Epoch(0),
            started: false,
            history: History::default(),
            pages: Vec::new(),
            failure: None,
            summary: None,
        };
        let message = row.message(document);
        self.documents.insert(document, row);
        self.sources.insert(key, document);
        Registered::New(message)
    }

    /// How many documents were born at this URI and have moved away: the first number that is free.
    fn born_before(&self, (tenant, uri): &(TenantId, String)) -> u32 {
        (0..u32::MAX)
            .find(|n| !self.documents.contains_key(&DocumentId::born(tenant, uri, *n)))
            .unwrap_or(u32::MAX)
    }

    fn claim(&mut self, message: &Message, worker: &WorkerId, now_ms: u64) -> Claim {
        let row = self.documents.get(&message.document);
        let view = row.map(|row| ClaimView {
            generation: row.generation,
            state: row.state,
            // What its own worker asks for, that worker does not have: it lost the answer to a claim.
            owner_live: row.owner.as_ref() != Some(worker) && self.live(row, now_ms),
        });
        match decide_claim(view, message.generation) {
            ClaimDecision::Grant => {}
            refused => return Claim::Refused(refused),
        }
        self.epoch += 1;
        let epoch = Epoch(self.epoch);
        let committed_before = self.committed(message.document, message.generation);
        let Some(row) = self.documents.get_mut(&message.document) else {
            return Claim::Refused(ClaimDecision::NothingToDo);
        };
        if row.owner.as_ref() == Some(worker) {
            row.take_back_start();
        }
        row.state = State::Processing;
        row.owner = Some(worker.clone());
        row.epoch = epoch;
        row.started = false;
        let mut grant = Grant {
            epoch,
            document: message.document,
            tenant: row.tenant.clone(),
            generation: row.generation,
            content: row.content,
            uri: row.uri.clone(),
            bytes: row.bytes,
            history: row.history,
            committed_before,
            indexes: Vec::new(),
        };
        grant.indexes = self.indexes_to_write(&grant.tenant);
        Claim::Granted(Box::new(grant))
    }

    fn fail(&mut self, grant: &Grant, failure: Failure, jitter: f64, uncounted: bool) -> Failed {
        let Some(row) = self.owned(grant) else { return Failed::Fenced };
        let before = row.history;
        let (decision, after) = decide_failure(before, failure.clone(), jitter);
        row.history = after;
        if uncounted && failure.code.class() == FailureClass::ChildCrash {
            row.history.child_crashes = before.child_crashes;
            row.release(State::Queued);
            return Failed::Retry { after_ms: 0 };
        }
        match decision {
            AfterFailure::Retry { after_ms } => {
                row.release(State::Queued);
                Failed::Retry { after_ms }
            }
            AfterFailure::GiveUp(failure) => {
                row.release(State::Failed);
                row.failure = Some(failure);
                Failed::DeadLettered
            }
        }
    }
}

impl MemoryLedger {
    /// An empty ledger. `switch_delay_ms` is the delay of removals that an index switch records.
    pub fn new(clock: Arc<dyn Clock>, switch_delay_ms: u64) -> Self {
        Self { clock, switch_delay_ms, planted: None, tables: Mutex::default() }
    }

    /// The same with a known mistake.
    #[cfg(feature = "planted-faults")]
    pub fn with_planted(self, planted: Option<PlantedFault>) -> Self {
        Self { planted, ..self }
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("no code panics while holding the ledger's lock")
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn heartbeat(&self, worker: &WorkerId, lease_ms: u64) -> Result<(), Error> {
        let until = self.clock.now_ms() + lease_ms;
        self.lock().workers.insert(worker.clone(), until);
        Ok(())
    }

    async fn retire_worker(&self, worker: &WorkerId) -> Result<(), Error> {
        self.lock().workers.remove(worker);
        Ok(())
    }

    async fn register(&self, registrations: Vec<Registration>) -> Result<Vec<Registered>, Error> {
        let mut tables = self.lock();
        Ok(registrations.into_iter().map(|registration| tables.register(registration)).collect())
    }

    async fn delete(&self, document: DocumentId) -> Result<Option<Message>, Error> {
        let now_ms = self.clock.now_ms();
        let mut tables = self.lock();
        let Some(row) = tables.documents.get_mut(&document).filter(|row| row.content.is_some()) else {
            return Ok(None);
        };
        row.next_generation(None);
        row.deleted_at_ms = now_ms;
        Ok(Some(row.message(document)))
    }

    async fn claim(&self, message: &Message, worker: &WorkerId) -> Result<Claim, Error> {
        let now = self.clock.now_ms();
        Ok(self.lock().claim(message, worker, now))
    }

    async fn start(&self, grant: &Grant) -> Result<Start, Error> {
        let mut tables = self.lock();
        let Some(row) = tables.owned(grant) else { return Ok(Start::Fenced) };
        let (decision, history) = decide_start(row.history);
        row.history = history;
        Ok(match decision {
            StartDecision::Together | StartDecision::Alone => {
                row.started = true;
                Start::Go
            }
            StartDecision::GiveUp(failure) => {
                row.release(State::Failed);
                row.failure = Some(failure.clone());
                Start::GaveUp(failure)
            }
        })
    }

    async fn progress(&self, grant: &Grant, reached: Progress, pages: Vec<Page>) -> Result<bool, Error> {
        let mut tables = self.lock();
        let Some(row) = tables.owned(grant) else { return Ok(false) };
        row.history = row.history.after_progress(reached);
        if row.history.starts == 0 {
            row.started = false;
        }
        for page in pages {
            if page.number as usize == row.pages.len() + 1 {
                row.pages.push(page);
            }
        }
        Ok(true)
    }

    async fn kept_pages(&self, grant: &Grant) -> Result<Vec<Page>, Error> {
        let mut tables = self.lock();
        Ok(tables.owned(grant).map(|row| row.pages.clone()).unwrap_or_default())
    }

    async fn derived(
        &self,
        tenant: &TenantId,
        stage: &str,
        texts: &[TextHash],
    ) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let tables = self.lock();
        let key = |text: &TextHash| (tenant.clone(), stage.to_owned(), *text);
        Ok(texts.iter().map(|text| tables.derived.get(&key(text)).cloned()).collect())
    }

    async fn keep_derived(
        &self,
        tenant: &TenantId,
        stage: &str,
        values: Vec<(TextHash, Vec<u8>)>,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let mut tables = self.lock();
        let mut keep = |(text, value): (TextHash, Vec<u8>)| {
            tables.derived.entry((tenant.clone(), stage.to_owned(), text)).or_insert(value).clone()
        };
        Ok(values.into_iter().map(&mut keep).collect())
    }

    async fn commit(
        &self,
        grant: &Grant,
        manifests: Vec<Manifest>,
        summary: Summary,
        cleanup_delay_ms: u64,
    ) -> Result<Commit, Error> {
        let due_ms = self.clock.now_ms() + cleanup_delay_ms;
        let unfenced = self.planted == Some(PlantedFault::CommitWithoutEpoch);
        Ok(self.lock().commit(grant, manifests, summary, due_ms, unfenced))
    }

    async fn carry(
        &self,
        grant: &Grant,
        manifests: Vec<Manifest>,
        cleanup_delay_ms: u64,
    ) -> Result<bool, Error> {
        let due_ms = self.clock.now_ms() + cleanup_delay_ms;
        Ok(self.lock().carry(grant, manifests, due_ms))
    }

    async fn fail(&self, grant: &Grant, failure: Failure, jitter: f64) -> Result<Failed, Error> {
        let uncounted = self.planted == Some(PlantedFault::NoCrashCounter);
        Ok(self.lock().fail(grant, failure, jitter, uncounted))
    }

    async fn hand_back(&self, grant: &Grant) -> Result<bool, Error> {
        let mut tables = self.lock();
        let Some(row) = tables.owned(grant) else { return Ok(false) };
        row.take_back_start();
        row.release(State::Queued);
        Ok(true)
    }

    async fn unsettled(&self, limit: usize) -> Result<Vec<Message>, Error> {
        let now = self.clock.now_ms();
        let tables = self.lock();
        let waits = |row: &Row| match row.state {
            State::Queued => true,
            State::Processing => !tables.live(row, now),
            State::Committed | State::Failed => false,
        };
        let rows = tables.documents.iter().filter(|(_, row)| waits(row));
        Ok(rows.take(limit).map(|(document, row)| row.message(*document)).collect())
    }

    async fn due_cleanups(&self, limit: usize) -> Result<Vec<Cleanup>, Error> {
        let now = self.clock.now_ms();
        let tables = self.lock();
        let due = tables.cleanups.values().filter(|recorded| recorded.cleanup.due_ms <= now);
        Ok(due.take(limit).map(|recorded| recorded.cleanup.clone()).collect())
    }

    async fn wanted(&self, chunks: &[ChunkId]) -> Result<Vec<ChunkId>, Error> {
        Ok(self.lock().wanted(chunks))
    }

    async fn cleanup_done(&self, cleanup: &Cleanup) -> Result<(), Error> {
        self.lock().cleanup_done(cleanup.id);
        Ok(())
    }

    async fn requeue(&self, document: DocumentId) -> Result<Option<Message>, Error> {
        let mut tables = self.lock();
        let Some(row) = tables.documents.get_mut(&document) else { return Ok(None) };
        // Work that is on its way ends by writing every row anyway.
        if row.state.is_final() {
            row.queue_again();
        }
        Ok(Some(row.message(document)))
    }

    async fn forget_deleted(&self, older_than_ms: u64, limit: usize) -> Result<u64, Error> {
        let before_ms = self.clock.now_ms().saturating_sub(older_than_ms);
        Ok(self.lock().forget_deleted(before_ms, limit))
    }

    async fn manifests(
        &self,
        after: Option<(DocumentId, IndexId)>,
        limit: usize,
    ) -> Result<Vec<CommittedManifest>, Error> {
        let tables = self.lock();
        let beyond = tables.current().filter(|(key, _)| after.is_none_or(|after| **key > after));
        Ok(beyond.take(limit).map(|(_, manifest)| manifest.clone()).collect())
    }

    async fn accounted_for(&self, document: DocumentId, chunk: ChunkId) -> Result<bool, Error> {
        Ok(self.lock().accounted_for(document, chunk))
    }

    async fn self_audit(&self, grace_ms: u64) -> Result<SelfAudit, Error> {
        let now = self.clock.now_ms();
        Ok(self.lock().self_audit(now, grace_ms))
    }

    async fn indexes(&self, tenant: &TenantId) -> Result<Vec<(IndexId, IndexSpec, IndexState)>, Error> {
        Ok(self.lock().indexes.get(tenant).cloned().unwrap_or_default())
    }

    async fn begin_index(&self, tenant: &TenantId, spec: &IndexSpec) -> Result<IndexState, Error> {
        let now = self.clock.now_ms();
        Ok(self.lock().begin_index(tenant, spec, now))
    }

    async fn switch_index(&self, tenant: &TenantId, to: IndexId) -> Result<u64, Error> {
        let due_ms = self.clock.now_ms() + self.switch_delay_ms;
        Ok(self.lock().switch_index(tenant, to, due_ms))
    }
}
