//! The way into the ledger: what requests bring within a moment is taken in by one transaction, so that a disk
//! that syncs a hundred times a second takes thousands of documents. Who brought something is answered when it
//! is durable; the queue is told afterwards, and what it is not told reconciliation finds in the ledger.
//!
//! What is only named may have to be read before it can be taken in: it goes through a lane of its own, so that a batch
//! of large files holds up nobody who brings a file.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::problem::Problem;
use crate::desk::{Admission, Admitted, Content, Desk};
use crate::queue::{Message, Queue};

/// Documents that one transaction takes in at most, apart from a single request that brings more.
const TOGETHER_MAX: usize = 200;
/// Transactions at once, of what was uploaded.
const WRITERS: usize = 3;
/// And of what is only named.
const NAMED_WRITERS: usize = 2;
/// Requests that wait for a transaction, in each lane.
const WAITING_MAX: usize = 1_024;
/// Messages that wait to be told to the queue; more are left to reconciliation.
const UNTOLD_MAX: usize = 4_096;
/// Longest time that the queue is given for them.
const TELL_MAX: Duration = Duration::from_secs(5);

struct Asked {
    admissions: Vec<Admission>,
    told: oneshot::Sender<Result<Vec<Admitted>, Problem>>,
}

/// See the module. Clones share it.
#[derive(Clone)]
pub struct Door {
    uploaded: mpsc::Sender<Asked>,
    named: mpsc::Sender<Asked>,
}

impl Door {
    /// Opens it; its work goes on until the set is dropped.
    pub fn open(beside: &mut JoinSet<()>, desk: Arc<dyn Desk>, queue: Arc<dyn Queue>) -> Self {
        let (untold, telling) = mpsc::channel(UNTOLD_MAX);
        let mut lane = |writers: usize| {
            let (asked, waiting) = mpsc::channel(WAITING_MAX);
            let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
            for _ in 0..writers {
                beside.spawn(Box::pin(write(desk.clone(), waiting.clone(), untold.clone())));
            }
            asked
        };
        let door = Self { uploaded: lane(WRITERS), named: lane(NAMED_WRITERS) };
        beside.spawn(tell(queue, telling));
        door
    }

    /// Takes documents in: all, or none with the problem. What is given back is durable.
    ///
    /// # Errors
    /// The ledger did not answer.
    pub async fn admit(&self, admissions: Vec<Admission>) -> Result<Vec<Admitted>, Problem> {
        let (told, answer) = oneshot::channel();
        let is_named = |admission: &Admission| matches!(admission.content, Content::Seen { .. });
        let lane = if admissions.iter().any(is_named) { &self.named } else { &self.uploaded };
        let asked = lane.send(Asked { admissions, told }).await;
        asked.map_err(|_| Problem::ledger_away())?;
        answer.await.unwrap_or_else(|_| Err(Problem::ledger_away()))
    }

    /// Tells nobody but the queue: what the ledger has already.
    pub async fn enqueue(queue: &dyn Queue, messages: &[Message]) {
        match tokio::time::timeout(TELL_MAX, queue.enqueue(messages)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "left to reconciliation"),
            Err(_) => tracing::warn!("the queue is slow: left to reconciliation"),
        }
    }
}

async fn write(
    desk: Arc<dyn Desk>,
    waiting: Arc<tokio::sync::Mutex<mpsc::Receiver<Asked>>>,
    untold: mpsc::Sender<Vec<Message>>,
) {
    loop {
        let mut together = Vec::new();
        {
            // One writer collects at a time; the others write meanwhile.
            let mut waiting = waiting.lock().await;
            let Some(first) = waiting.recv().await else { return };
            let mut documents = first.admissions.len();
            together.push(first);
            while documents < TOGETHER_MAX {
                let Ok(next) = waiting.try_recv() else { break };
                documents += next.admissions.len();
                together.push(next);
            }
        }
        let admissions: Vec<Admission> =
            together.iter().flat_map(|asked| asked.admissions.iter().cloned()).collect();
        match desk.admit(&admissions).await {
            Ok(admitted) => {
                let messages = admitted.iter().filter_map(message).collect::<Vec<_>>();
                let mut admitted = admitted.into_iter();
                for Asked { admissions, told } in together {
                    // Who asked may be gone; what they brought is taken in all the same.
                    let _ = told.send(Ok(admitted.by_ref().take(admissions.len()).collect()));
                }
                if !messages.is_empty() {
                    let _ = untold.try_send(messages);
                }
            }
            Err(error) => {
                let problem = Problem::from(error);
                for asked in together {
                    let _ = asked.told.send(Err(problem.clone()));
                }
            }
        }
    }
}

fn message(admitted: &Admitted) -> Option<Message> {
    match admitted {
        Admitted::Document { message, .. } => *message,
        Admitted::NoBatch => None,
    }
}

async fn tell(queue: Arc<dyn Queue>, mut telling: mpsc::Receiver<Vec<Message>>) {
    while let Some(mut messages) = telling.recv().await {
        while let Ok(more) = telling.try_recv() {
            messages.extend(more);
        }
        Door::enqueue(queue.as_ref(), &messages).await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use docmill_core::id::{ContentHash, TenantId};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::clock::{Clock, SystemClock};
    use crate::queue::memory::MemoryQueue;
    use crate::sqlite::Database;
    use crate::stages::{file_uri, named};

    /// Takes longer to read than anything here waits.
    const LONG: u64 = 64 << 30;

    fn admission(uri: &str, content: Content) -> Admission {
        Admission { tenant: TenantId::default(), uri: uri.to_owned(), content, bytes: 1, batch: None }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn files_that_are_only_named_hold_up_no_upload() {
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let desk = Arc::new(Database::open(&dir.path().join("data"), clock.clone()).unwrap());
        let mut beside = JoinSet::new();
        let door = Door::open(&mut beside, desk, Arc::new(MemoryQueue::new(clock, 1_000)));
        // They have a size and nothing on the disk.
        let files: Vec<File> = (0..=WRITERS.max(NAMED_WRITERS))
            .map(|n| {
                let file = File::create(dir.path().join(n.to_string())).unwrap();
                file.set_len(LONG).unwrap();
                file
            })
            .collect();
        let named: Vec<JoinHandle<Result<Vec<Admitted>, Problem>>> = files
            .iter()
            .enumerate()
            .map(|(n, file)| {
                let version = named::version_of(&file.metadata().unwrap());
                let uri = file_uri::of_path(&dir.path().join(n.to_string()));
                let (door, admission) = (door.clone(), admission(&uri, Content::Seen { version }));
                tokio::spawn(async move { door.admit(vec![admission]).await })
            })
            .collect();
        let uploaded = Content::Uploaded { hash: ContentHash::of(b"x"), object: "uploads/x".to_owned() };
        let admitted = door.admit(vec![admission("upload:x", uploaded)]).await;
        assert!(admitted.is_ok_and(|admitted| admitted.len() == 1));
        assert!(
            !named.iter().any(JoinHandle::is_finished),
            "they were read faster than an upload is taken in"
        );
        // Short enough to be read to their end.
        files.iter().for_each(|file| file.set_len(0).unwrap());
        for named in named {
            assert!(named.await.unwrap().is_ok());
        }
    }
}
