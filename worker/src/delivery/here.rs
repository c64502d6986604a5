//! What one process works on, and claims whose outcome it no longer knows. A worker that lives keeps
//! its claims; one that it forgot would be held for ever, so it is remembered until it is given back.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard};

use docmill_core::id::DocumentId;
use futures::future::{Either, select};
use tokio::sync::Notify;

use crate::ledger::{Claim, Error, Grant, Ledger, WorkerId};
use crate::queue::Message;

/// See the module.
#[derive(Default)]
pub struct Here {
    state: Mutex<State>,
    left: Notify,
}

#[derive(Default)]
struct State {
    in_work: BTreeSet<DocumentId>,
    unknown: BTreeMap<DocumentId, Unknown>,
}

/// What the ledger may have recorded for this worker. Both may be there: an entry that came back is claimed
/// while an older claim is still unknown.
#[derive(Default)]
struct Unknown {
    /// A claim's own answer was lost: of the newest generation, which the ledger grants if it grants any.
    claim: Option<Message>,
    /// The answer of a later call was lost.
    outcome: Option<Box<Grant>>,
}

/// A document that this process works on, until it is dropped.
pub(super) struct InWork<'a> {
    here: &'a Here,
    document: DocumentId,
}

impl Drop for InWork<'_> {
    fn drop(&mut self) {
        self.here.lock().in_work.remove(&self.document);
        self.here.left.notify_waiters();
    }
}

impl Here {
    /// `None` when the process works on the document already.
    pub(super) fn enter(&self, document: DocumentId) -> Option<InWork<'_>> {
        // Made only where it was entered: dropping one takes the document out again.
        self.lock().in_work.insert(document).then(|| InWork { here: self, document })
    }

    /// [`Here::enter`] once the document is free, unless the time ends first.
    pub(super) async fn enter_within(
        &self,
        document: DocumentId,
        time: impl Future<Output = ()>,
    ) -> Option<InWork<'_>> {
        let mut time = pin!(time);
        loop {
            // Listens before it looks, so that nobody leaves in between.
            let mut left = pin!(self.left.notified());
            left.as_mut().enable();
            if let Some(entered) = self.enter(document) {
                return Some(entered);
            }
            if let Either::Right(_) = select(left, time.as_mut()).await {
                return None;
            }
        }
    }

    pub(super) fn lost_claim(&self, message: Message) {
        let mut state = self.lock();
        let claim = &mut state.unknown.entry(message.document).or_default().claim;
        if claim.as_ref().is_none_or(|known| known.generation <= message.generation) {
            *claim = Some(message);
        }
    }

    pub(super) fn lost_outcome(&self, grant: &Grant) {
        self.lock().unknown.entry(grant.document).or_default().outcome = Some(Box::new(grant.clone()));
    }

    /// A claim was granted: what was unknown of older ones no longer matters.
    pub(super) fn granted(&self, document: DocumentId) {
        self.lock().unknown.remove(&document);
    }

    /// Gives back what nothing here works on. What is in work now is left for the next beat: the entry
    /// that came back may be one that the ledger refuses, and then the old claim still stands. A call
    /// without an answer is made again at the next beat.
    pub(super) async fn give_back(&self, ledger: &dyn Ledger, worker: &WorkerId) -> Result<(), Error> {
        let documents: Vec<DocumentId> = self.lock().unknown.keys().copied().collect();
        for document in documents {
            let Some(_here) = self.enter(document) else { continue };
            let Some(unknown) = self.lock().unknown.remove(&document) else { continue };
            if let Some(grant) = unknown.outcome {
                let handed = ledger.hand_back(&grant).await;
                handed.inspect_err(|_| {
                    self.lost_outcome(&grant);
                    unknown.claim.into_iter().for_each(|message| self.lost_claim(message));
                })?;
            }
            let Some(message) = unknown.claim else { continue };
            let claimed = ledger.claim(&message, worker).await.inspect_err(|_| self.lost_claim(message))?;
            if let Claim::Granted(grant) = claimed {
                ledger.hand_back(&grant).await.inspect_err(|_| self.lost_outcome(&grant))?;
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding it")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use docmill_core::id::{ContentHash, TenantId};
    use docmill_core::index::IndexSpec;

    use super::*;
    use crate::clock::SystemClock;
    use crate::ledger::memory::MemoryLedger;
    use crate::ledger::{Registered, Registration};

    const LEASE_MS: u64 = 60_000;

    fn worker(name: &str) -> WorkerId {
        WorkerId(name.to_owned())
    }

    async fn queued(ledger: &MemoryLedger) -> Message {
        let spec =
            IndexSpec { chunker: "c".into(), embedder: "e".into(), dimensions: 2, concepts: "k".into() };
        ledger.begin_index(&TenantId::default(), &spec).await.unwrap();
        for name in ["ours", "other"] {
            ledger.heartbeat(&worker(name), LEASE_MS).await.unwrap();
        }
        let registration = Registration {
            tenant: TenantId::default(),
            uri: "u".to_owned(),
            content: ContentHash::of(b"A"),
            bytes: 1,
            stat: None,
            scanned_at_ns: 0,
            root: None,
        };
        match ledger.register(vec![registration]).await.unwrap()[0] {
            Registered::New(message) => message,
            other => panic!("{other:?}"),
        }
    }

    async fn claim(ledger: &MemoryLedger, message: &Message, name: &str) -> Option<Box<Grant>> {
        match ledger.claim(message, &worker(name)).await.unwrap() {
            Claim::Granted(grant) => Some(grant),
            Claim::Refused(_) => None,
        }
    }

    #[tokio::test]
    async fn what_is_in_work_is_looked_at_again_at_the_next_beat() {
        let ledger = MemoryLedger::new(Arc::new(SystemClock), 0);
        let message = queued(&ledger).await;
        let grant = claim(&ledger, &message, "ours").await.unwrap();
        let here = Here::default();
        here.lost_outcome(&grant);
        // An entry of the document is here again; the ledger has not refused it yet.
        let in_work = here.enter(message.document).unwrap();
        here.give_back(&ledger, &worker("ours")).await.unwrap();
        assert!(claim(&ledger, &message, "other").await.is_none(), "still ours");
        drop(in_work);
        here.give_back(&ledger, &worker("ours")).await.unwrap();
        assert!(claim(&ledger, &message, "other").await.is_some(), "given back");
    }

    #[tokio::test]
    async fn who_waits_enters_when_the_other_leaves() {
        let here = Here::default();
        let [one, other] = [1, 2].map(|n| DocumentId::from_bytes([n; 16]));
        let first = here.enter(one).unwrap();
        assert!(here.enter_within(one, async {}).await.is_none());
        assert!(here.enter_within(other, async {}).await.is_some());
        let second = here.enter_within(one, std::future::pending());
        let leaving = async {
            tokio::task::yield_now().await;
            drop(here.enter(other));
            tokio::task::yield_now().await;
            drop(first);
        };
        let (entered, ()) = futures::join!(second, leaving);
        assert!(entered.is_some());
    }

    #[tokio::test]
    async fn a_lost_claim_of_an_older_generation_hides_nothing() {
        let ledger = MemoryLedger::new(Arc::new(SystemClock), 0);
        let message = queued(&ledger).await;
        let grant = claim(&ledger, &message, "ours").await.unwrap();
        let here = Here::default();
        here.lost_outcome(&grant);
        here.lost_claim(Message { generation: docmill_core::id::Generation(0), ..message });
        here.give_back(&ledger, &worker("ours")).await.unwrap();
        assert!(claim(&ledger, &message, "other").await.is_some(), "given back");
    }

    #[tokio::test]
    async fn a_new_grant_makes_older_ones_known() {
        let ledger = MemoryLedger::new(Arc::new(SystemClock), 0);
        let message = queued(&ledger).await;
        let here = Here::default();
        here.lost_claim(message);
        let grant = claim(&ledger, &message, "ours").await.unwrap();
        here.granted(message.document);
        here.give_back(&ledger, &worker("ours")).await.unwrap();
        assert!(ledger.hand_back(&grant).await.unwrap(), "not fenced by a claim of our own");
    }
}
