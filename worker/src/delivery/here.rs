//! What one process works on, and claims whose outcome it no longer knows. A worker that lives keeps
//! its claims; one that it forgot would be held for ever, so it is remembered until it is given back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use docmill_core::id::DocumentId;

use crate::ledger::{Claim, Error, Grant, Ledger, WorkerId};
use crate::queue::Message;

/// See the module.
#[derive(Default)]
pub struct Here {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    in_work: BTreeSet<DocumentId>,
    unknown: BTreeMap<DocumentId, Unknown>,
}

/// A claim that the ledger may have recorded for this worker.
enum Unknown {
    /// The claim's own answer was lost.
    Claim(Message),
    /// The answer of a later call was lost.
    Outcome(Box<Grant>),
}

/// A document that this process works on, until it is dropped.
pub(super) struct InWork<'a> {
    here: &'a Here,
    document: DocumentId,
}

impl Drop for InWork<'_> {
    fn drop(&mut self) {
        self.here.lock().in_work.remove(&self.document);
    }
}

impl Here {
    /// `None` when the process works on the document already.
    pub(super) fn enter(&self, document: DocumentId) -> Option<InWork<'_>> {
        // Made only where it was entered: dropping one takes the document out again.
        self.lock().in_work.insert(document).then(|| InWork { here: self, document })
    }

    pub(super) fn lost_claim(&self, message: Message) {
        self.lock().unknown.insert(message.document, Unknown::Claim(message));
    }

    pub(super) fn lost_outcome(&self, grant: &Grant) {
        self.lock().unknown.insert(grant.document, Unknown::Outcome(Box::new(grant.clone())));
    }

    /// Gives back what nothing here works on. A call without an answer is made again at the next beat.
    pub(super) async fn give_back(&self, ledger: &dyn Ledger, worker: &WorkerId) -> Result<(), Error> {
        loop {
            let Some((document, unknown)) = self.lock().unknown.pop_first() else { return Ok(()) };
            // Its entry came back to this process, and the new claim took the place of the old one.
            let Some(_here) = self.enter(document) else { continue };
            let (grant, message) = match unknown {
                Unknown::Outcome(grant) => (grant, None),
                Unknown::Claim(message) => match ledger.claim(&message, worker).await {
                    Ok(Claim::Granted(grant)) => (grant, Some(message)),
                    Ok(Claim::Refused(_)) => continue,
                    Err(error) => {
                        self.lost_claim(message);
                        return Err(error);
                    }
                },
            };
            if let Err(error) = ledger.hand_back(&grant).await {
                match message {
                    Some(message) => self.lost_claim(message),
                    None => self.lost_outcome(&grant),
                }
                return Err(error);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding it")
    }
}
