//! Traits as a network sees them: every call takes time before and after its effect, may fail without
//! one, and may lose its answer. What must hold at every commit and ack is checked here.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use docmill_core::delivery::{Progress, State};
use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::{ChunkId, DocumentId, Epoch, Generation, IndexId, TenantId, TextHash};
use docmill_core::index::{IndexSpec, IndexState};
use docmill_core::lane::Lane;
use docmill_core::manifest::{Manifest, Store};
use docmill_core::page::Page;
use docmill_worker::ledger::memory::MemoryLedger;
use docmill_worker::ledger::{
    self, Claim, Cleanup, Commit, CommittedManifest, Failed, Grant, Ledger, Registered, Registration,
    SelfAudit, Start, Summary, WorkerId,
};
use docmill_worker::queue::memory::MemoryQueue;
use docmill_worker::queue::{self, Delivery, Depth, EntryId, Message, Queue};
use docmill_worker::sink::{self, ChunkRow, Sink, StoredChunk};

use super::core::{Armed, Core, STEADY};

/// What every decorated call goes through.
#[derive(Clone)]
pub struct Line {
    /// The machine.
    pub core: Arc<Core>,
    /// Who calls, for the trace.
    pub who: u32,
}

impl Line {
    async fn call<T, E>(
        &self,
        name: &'static str,
        fault: fn(&mut Armed) -> &mut u32,
        error: impl Fn(&str) -> E,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.core.latency().await;
        if self.core.hits(fault) {
            self.core.effect(self.who, "refused");
            self.core.note(self.who, || format!("refused: {name}"));
            return Err(error("out of reach"));
        }
        let answer = call.await;
        self.core.effect(self.who, name);
        self.core.latency().await;
        if self.core.hits(|armed| &mut armed.lost) {
            self.core.note(self.who, || format!("answer lost: {name}"));
            return Err(error("no answer"));
        }
        answer
    }
}

/// A queue behind a line.
pub struct SteppedQueue {
    /// What it is behind.
    pub line: Line,
    /// The queue.
    pub inner: Arc<MemoryQueue>,
    /// Asked at each ack.
    pub ledger: Arc<MemoryLedger>,
    /// Who received what last.
    pub receipts: Arc<Receipts>,
}

/// Which entry of a message was received last, told by the answers alone: it is the one that may be renewed.
#[derive(Default)]
pub struct Receipts(Mutex<BTreeMap<(DocumentId, Generation), Option<EntryId>>>);

impl Receipts {
    /// From here on the message has more than one entry, and nothing is said of it.
    pub fn forget(&self, message: Message) {
        self.lock().insert((message.document, message.generation), None);
    }

    fn received(&self, delivery: &Delivery) {
        let Delivery { message, entry, .. } = delivery;
        let mut receipts = self.lock();
        let known = receipts.entry((message.document, message.generation)).or_insert(Some(entry.clone()));
        if let Some(last) = known {
            *last = entry.clone();
        }
    }

    fn is_last(&self, delivery: &Delivery) -> bool {
        let message = delivery.message;
        let known = self.lock();
        let last = known.get(&(message.document, message.generation)).and_then(Option::as_ref);
        last.is_none_or(|last| *last == delivery.entry)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(DocumentId, Generation), Option<EntryId>>> {
        self.0.lock().expect("nothing panics while holding it")
    }
}

fn queue_error(what: &str) -> queue::Error {
    queue::Error(what.to_owned())
}

impl SteppedQueue {
    async fn call<T>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T, queue::Error>>,
    ) -> Result<T, queue::Error> {
        self.line.call(name, |armed| &mut armed.queue, queue_error, call).await
    }
}

#[async_trait]
impl Queue for SteppedQueue {
    async fn enqueue(&self, messages: &[Message]) -> Result<(), queue::Error> {
        self.call("enqueue", self.inner.enqueue(messages)).await
    }

    async fn receive(&self, consumer: &str, look: u64, max: usize) -> Result<Vec<Delivery>, queue::Error> {
        let noted = async {
            let received = self.inner.receive(consumer, look, max).await?;
            received.iter().for_each(|delivery| self.receipts.received(delivery));
            Ok(received)
        };
        self.call("receive", noted).await
    }

    async fn extend(&self, delivery: &Delivery) -> Result<bool, queue::Error> {
        let checked = async {
            let extended = self.inner.extend(delivery).await?;
            if extended && !self.receipts.is_last(delivery) {
                let document = delivery.message.document;
                self.line.core.violate(|| format!("the lease of {document} was renewed for who lost it"));
            }
            Ok(extended)
        };
        self.call("extend", checked).await
    }

    async fn ack(&self, delivery: &Delivery) -> Result<bool, queue::Error> {
        let checked = async {
            let acked = self.inner.ack(delivery).await?;
            let message = delivery.message;
            let row = self.ledger.row(message.document);
            let works_on_it = row.is_some_and(|row| {
                row.state == State::Processing
                    && row.generation == message.generation
                    && row.owner.is_some_and(|owner| owner.0 == delivery.consumer)
            });
            if acked && works_on_it {
                self.line.core.violate(|| format!("{} acked before its end", message.document));
            }
            Ok(acked)
        };
        self.call("ack", checked).await
    }

    async fn release(&self, delivery: &Delivery, after_ms: u64) -> Result<bool, queue::Error> {
        self.call("release", self.inner.release(delivery, after_ms)).await
    }

    async fn promote(&self) -> Result<u64, queue::Error> {
        self.call("promote", self.inner.promote()).await
    }

    async fn depth(&self, lane: Lane) -> Result<Depth, queue::Error> {
        self.call("depth", self.inner.depth(lane)).await
    }

    async fn next_due_ms(&self) -> Result<Option<u64>, queue::Error> {
        self.call("next_due", self.inner.next_due_ms()).await
    }

    async fn delete_consumer(&self, consumer: &str) -> Result<(), queue::Error> {
        self.call("delete_consumer", self.inner.delete_consumer(consumer)).await
    }
}

/// A store behind a line.
pub struct SteppedSink {
    /// What it is behind.
    pub line: Line,
    /// The store.
    pub inner: Arc<dyn Sink>,
}

impl SteppedSink {
    async fn call<T>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T, sink::Error>>,
    ) -> Result<T, sink::Error> {
        let store = self.inner.store();
        let error = |what: &str| sink::Error::Failed { store, detail: what.to_owned() };
        self.line.call(name, |armed| &mut armed.sink, error, call).await
    }
}

impl SteppedSink {
    /// The write arrives, whatever becomes meanwhile of who sent it: a network does not call back what it has.
    fn send_late(&self, rows: &[Arc<ChunkRow>], epoch: Epoch, ms: u64) {
        let (core, who, inner, rows) =
            (self.line.core.clone(), self.line.who, self.inner.clone(), rows.to_vec());
        self.line.core.spawn(STEADY, async move {
            core.sleep(ms).await;
            // A memory twin always answers.
            let _ = inner.write(&rows, epoch).await;
            core.effect(who, "late write");
        });
    }
}

#[async_trait]
impl Sink for SteppedSink {
    fn store(&self) -> Store {
        self.inner.store()
    }

    async fn write(&self, rows: &[Arc<ChunkRow>], epoch: Epoch) -> Result<usize, sink::Error> {
        if self.line.core.hits(|armed| &mut armed.late_write) {
            // Long enough for later generations to be committed, short enough for their removals to wait.
            let ms = self.line.core.draw(|rng| rng.within(1_500, 7_000));
            self.line.core.note(self.line.who, || format!("a write arrives {ms} ms late"));
            self.send_late(rows, epoch, ms);
            self.line.core.sleep(ms).await;
        }
        if rows.len() > 1 && self.line.core.hits(|armed| &mut armed.partial) {
            self.line.core.note(self.line.who, || "half of the rows are written".to_owned());
            let half = &rows[..rows.len() / 2];
            return self.call("write half", self.inner.write(half, epoch)).await;
        }
        let name = match self.store() {
            Store::Text => "write text",
            Store::Vector => "write vector",
            Store::Graph => "write graph",
        };
        self.call(name, self.inner.write(rows, epoch)).await
    }

    async fn remove(&self, chunks: &[ChunkId], below: Epoch) -> Result<usize, sink::Error> {
        self.call("remove", self.inner.remove(chunks, below)).await
    }

    async fn look_up(&self, chunks: &[ChunkId]) -> Result<Vec<Option<StoredChunk>>, sink::Error> {
        self.call("look_up", self.inner.look_up(chunks)).await
    }

    async fn list(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredChunk>, sink::Error> {
        self.call("list", self.inner.list(after, limit)).await
    }

    async fn loose_ends(&self) -> Result<u64, sink::Error> {
        self.call("loose_ends", self.inner.loose_ends()).await
    }

    async fn remove_loose_ends(&self) -> Result<u64, sink::Error> {
        self.call("remove_loose_ends", self.inner.remove_loose_ends()).await
    }
}

/// A ledger behind a line.
pub struct SteppedLedger {
    /// What it is behind.
    pub line: Line,
    /// The ledger.
    pub inner: Arc<MemoryLedger>,
    /// The number of the last commit, of all lines.
    pub last_seq: Arc<AtomicU64>,
}

fn ledger_error(what: &str) -> ledger::Error {
    ledger::Error::Failed(what.to_owned())
}

impl SteppedLedger {
    async fn call<T>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T, ledger::Error>>,
    ) -> Result<T, ledger::Error> {
        self.line.call(name, |armed| &mut armed.ledger, ledger_error, call).await
    }

    /// Only the owner of the newest claim of the newest generation commits, and numbers have no gap.
    fn check_commit(&self, grant: &Grant, owned: bool, commit: &Commit) {
        let Commit::Committed { seq } = commit else { return };
        let core = &self.line.core;
        core.note(self.line.who, || {
            format!(
                "committed {} generation {} epoch {}",
                grant.document, grant.generation.0, grant.epoch.0
            )
        });
        if !owned {
            core.violate(|| format!("{} committed by a claim that was not the newest", grant.document));
        }
        let last = self.last_seq.swap(seq.0, Ordering::Relaxed);
        if seq.0 != last + 1 {
            core.violate(|| format!("commit {} followed commit {last}", seq.0));
        }
    }
}

#[async_trait]
impl Ledger for SteppedLedger {
    async fn heartbeat(&self, worker: &WorkerId, lease_ms: u64) -> Result<(), ledger::Error> {
        self.call("heartbeat", self.inner.heartbeat(worker, lease_ms)).await
    }

    async fn retire_worker(&self, worker: &WorkerId) -> Result<(), ledger::Error> {
        self.call("retire_worker", self.inner.retire_worker(worker)).await
    }

    async fn register(&self, registrations: Vec<Registration>) -> Result<Vec<Registered>, ledger::Error> {
        self.call("register", self.inner.register(registrations)).await
    }

    async fn delete(&self, document: DocumentId) -> Result<Option<Message>, ledger::Error> {
        self.call("delete", self.inner.delete(document)).await
    }

    async fn claim(&self, message: &Message, worker: &WorkerId) -> Result<Claim, ledger::Error> {
        self.call("claim", self.inner.claim(message, worker)).await
    }

    async fn start(&self, grant: &Grant) -> Result<Start, ledger::Error> {
        self.call("start", self.inner.start(grant)).await
    }

    async fn progress(
        &self,
        grant: &Grant,
        reached: Progress,
        pages: Vec<Page>,
    ) -> Result<bool, ledger::Error> {
        self.call("progress", self.inner.progress(grant, reached, pages)).await
    }

    async fn kept_pages(&self, grant: &Grant) -> Result<Vec<Page>, ledger::Error> {
        self.call("kept_pages", self.inner.kept_pages(grant)).await
    }

    async fn derived(
        &self,
        tenant: &TenantId,
        stage: &str,
        texts: &[TextHash],
    ) -> Result<Vec<Option<Vec<u8>>>, ledger::Error> {
        self.call("derived", self.inner.derived(tenant, stage, texts)).await
    }

    async fn keep_derived(
        &self,
        tenant: &TenantId,
        stage: &str,
        values: Vec<(TextHash, Vec<u8>)>,
    ) -> Result<Vec<Vec<u8>>, ledger::Error> {
        self.call("keep_derived", self.inner.keep_derived(tenant, stage, values)).await
    }

    async fn commit(
        &self,
        grant: &Grant,
        manifests: Vec<Manifest>,
        summary: Summary,
        cleanup_delay_ms: u64,
    ) -> Result<Commit, ledger::Error> {
        let checked = async {
            let owned = self.inner.row(grant.document).is_some_and(|row| {
                row.epoch == grant.epoch
                    && row.generation == grant.generation
                    && row.state == State::Processing
            });
            let commit = self.inner.commit(grant, manifests, summary, cleanup_delay_ms).await?;
            self.check_commit(grant, owned, &commit);
            Ok(commit)
        };
        self.call("commit", checked).await
    }

    async fn carry(
        &self,
        grant: &Grant,
        manifests: Vec<Manifest>,
        cleanup_delay_ms: u64,
    ) -> Result<bool, ledger::Error> {
        let checked = async {
            let carried = self.inner.carry(grant, manifests, cleanup_delay_ms).await?;
            if carried {
                self.line.core.note(self.line.who, || format!("carried {}", grant.document));
                self.last_seq.fetch_add(1, Ordering::Relaxed);
            }
            Ok(carried)
        };
        self.call("carry", checked).await
    }

    async fn fail(&self, grant: &Grant, failure: Failure, jitter: f64) -> Result<Failed, ledger::Error> {
        self.line.core.note(self.line.who, || format!("failed {}: {failure}", grant.document));
        self.call("fail", self.inner.fail(grant, failure, jitter)).await
    }

    async fn hand_back(&self, grant: &Grant) -> Result<bool, ledger::Error> {
        self.call("hand_back", self.inner.hand_back(grant)).await
    }

    async fn unsettled(&self, limit: usize) -> Result<Vec<Message>, ledger::Error> {
        self.call("unsettled", self.inner.unsettled(limit)).await
    }

    async fn due_cleanups(&self, limit: usize) -> Result<Vec<Cleanup>, ledger::Error> {
        self.call("due_cleanups", self.inner.due_cleanups(limit)).await
    }

    async fn wanted(&self, chunks: &[ChunkId]) -> Result<Vec<ChunkId>, ledger::Error> {
        self.call("wanted", self.inner.wanted(chunks)).await
    }

    async fn cleanup_done(&self, cleanup: &Cleanup) -> Result<(), ledger::Error> {
        self.call("cleanup_done", self.inner.cleanup_done(cleanup)).await
    }

    async fn requeue(&self, document: DocumentId) -> Result<Option<Message>, ledger::Error> {
        self.call("requeue", self.inner.requeue(document)).await
    }

    async fn forget_deleted(&self, older_than_ms: u64, limit: usize) -> Result<u64, ledger::Error> {
        self.call("forget_deleted", self.inner.forget_deleted(older_than_ms, limit)).await
    }

    async fn manifests(
        &self,
        after: Option<(DocumentId, IndexId)>,
        limit: usize,
    ) -> Result<Vec<CommittedManifest>, ledger::Error> {
        self.call("manifests", self.inner.manifests(after, limit)).await
    }

    async fn accounted_for(&self, document: DocumentId, chunk: ChunkId) -> Result<bool, ledger::Error> {
        self.call("accounted_for", self.inner.accounted_for(document, chunk)).await
    }

    async fn self_audit(&self, grace_ms: u64) -> Result<SelfAudit, ledger::Error> {
        self.call("self_audit", self.inner.self_audit(grace_ms)).await
    }

    async fn indexes(
        &self,
        tenant: &TenantId,
    ) -> Result<Vec<(IndexId, IndexSpec, IndexState)>, ledger::Error> {
        self.call("indexes", self.inner.indexes(tenant)).await
    }

    async fn begin_index(&self, tenant: &TenantId, spec: &IndexSpec) -> Result<IndexState, ledger::Error> {
        self.call("begin_index", self.inner.begin_index(tenant, spec)).await
    }

    async fn switch_index(&self, tenant: &TenantId, to: IndexId) -> Result<u64, ledger::Error> {
        let checked = async {
            let shown = || -> BTreeSet<DocumentId> {
                let visible = self.inner.visible(self.inner.snapshot(tenant));
                let found = visible.iter().filter(|committed| !committed.manifest.entries.is_empty());
                found.map(|committed| committed.manifest.document).collect()
            };
            let before = shown();
            let lacking = self.inner.switch_index(tenant, to).await?;
            let after = shown();
            for document in before.difference(&after) {
                let Some(row) = self.inner.row(*document) else { continue };
                let code = row.failure.map(|failure| failure.code);
                // What takes down every worker that looks at it is given up without a look.
                if row.content.is_some() && code != Some(FailureCode::WorkerDiedRepeatedly) {
                    let state = row.state.as_str();
                    self.line.core.violate(|| format!("the switch took {document} ({state}) from search"));
                }
            }
            Ok(lacking)
        };
        self.call("switch_index", checked).await
    }
}
