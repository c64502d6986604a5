//! Writes of many documents as few: what comes while a store is busy is written together next. A store then waits
//! for its disk once for all of them, and documents that mention the same concepts do not wait for each other's locks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use docmill_core::id::{ChunkId, Epoch};
use docmill_core::manifest::Store;
use futures::future::join_all;
use tokio::sync::{Semaphore, oneshot};

use super::{ChunkRow, Error, Sink, StoredChunk, Write};

/// Rows that are written together at most, apart from a single document that has more.
const ROWS_TOGETHER_MAX: usize = 200;

/// A store whose writes are put together. Must be used inside of a tokio runtime.
pub struct Batched {
    inner: Arc<dyn Sink>,
    shared: Arc<Shared>,
}

struct Shared {
    waiting: Mutex<VecDeque<Job>>,
    at_once: Semaphore,
}

struct Job {
    write: Write,
    told: oneshot::Sender<Result<usize, Error>>,
}

impl Batched {
    /// Over this store, with so many writes to it at once.
    pub fn new(inner: Arc<dyn Sink>, at_once: usize) -> Self {
        let shared = Shared { waiting: Mutex::default(), at_once: Semaphore::new(at_once.max(1)) };
        Self { inner, shared: Arc::new(shared) }
    }
}

impl Shared {
    fn waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<Job>> {
        // Jobs are moved in and out whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The oldest that fit together. Who does not wait any more is left out.
    fn take(&self) -> Vec<Job> {
        let mut waiting = self.waiting();
        let (mut taken, mut rows) = (Vec::new(), 0);
        while let Some(next) = waiting.front() {
            let more = next.write.rows.len();
            if !taken.is_empty() && rows + more > ROWS_TOGETHER_MAX {
                break;
            }
            let Some(job) = waiting.pop_front() else { break };
            if !job.told.is_closed() {
                rows += more;
                taken.push(job);
            }
        }
        taken
    }
}

/// Writes what waits, once there is room: a task for each write, most of which find theirs done already.
async fn work(inner: Arc<dyn Sink>, shared: Arc<Shared>) {
    let Ok(_room) = shared.at_once.acquire().await else { return };
    let jobs = shared.take();
    if jobs.is_empty() {
        return;
    }
    let (writes, told): (Vec<Write>, Vec<_>) = jobs.into_iter().map(|job| (job.write, job.told)).unzip();
    let answers: Vec<Result<usize, Error>> = match inner.write_many(&writes).await {
        Ok(held) => held.into_iter().map(Ok).collect(),
        Err(error) if writes.len() == 1 => vec![Err(error)],
        // Each alone: what the store does not take of one document is no other's failure.
        Err(_) => join_all(writes.iter().map(|write| inner.write(&write.rows, write.epoch))).await,
    };
    for (told, answer) in told.into_iter().zip(answers) {
        // Who is gone meanwhile wrote rows that nobody names yet, as after a kill.
        let _ = told.send(answer);
    }
}

#[async_trait]
impl Sink for Batched {
    fn store(&self) -> Store {
        self.inner.store()
    }

    async fn write(&self, rows: &[Arc<ChunkRow>], epoch: Epoch) -> Result<usize, Error> {
        let (told, answer) = oneshot::channel();
        self.shared.waiting().push_back(Job { write: Write { rows: rows.to_vec(), epoch }, told });
        tokio::spawn(work(self.inner.clone(), self.shared.clone()));
        let stopped = || Error::Failed { store: self.store(), detail: "its writer has ended".to_owned() };
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    async fn remove(&self, chunks: &[ChunkId], below: Epoch) -> Result<usize, Error> {
        self.inner.remove(chunks, below).await
    }

    async fn look_up(&self, chunks: &[ChunkId]) -> Result<Vec<Option<StoredChunk>>, Error> {
        self.inner.look_up(chunks).await
    }

    async fn list(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<StoredChunk>, Error> {
        self.inner.list(after, limit).await
    }

    async fn loose_ends(&self) -> Result<u64, Error> {
        self.inner.loose_ends().await
    }

    async fn remove_loose_ends(&self) -> Result<u64, Error> {
        self.inner.remove_loose_ends().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use docmill_core::id::{DocumentId, IndexId, TenantId, TextHash};
    use tokio::sync::Notify;

    use super::*;

    /// Refuses rows with this text.
    const REFUSED: &str = "refused";

    /// Counts calls; the first waits until it is told to go on.
    #[derive(Default)]
    struct Slow {
        calls: AtomicUsize,
        begun: Notify,
        go_on: Notify,
    }

    #[async_trait]
    impl Sink for Slow {
        fn store(&self) -> Store {
            Store::Text
        }

        async fn write(&self, rows: &[Arc<ChunkRow>], epoch: Epoch) -> Result<usize, Error> {
            Ok(self.write_many(&[Write { rows: rows.to_vec(), epoch }]).await?.into_iter().sum())
        }

        async fn write_many(&self, writes: &[Write]) -> Result<Vec<usize>, Error> {
            if self.calls.fetch_add(1, Ordering::SeqCst) == 0 {
                self.begun.notify_one();
                self.go_on.notified().await;
            }
            let refused = writes.iter().any(|write| write.rows.iter().any(|row| &*row.text == REFUSED));
            match refused {
                true => Err(Error::Failed { store: Store::Text, detail: REFUSED.to_owned() }),
                false => Ok(writes.iter().map(|write| write.rows.len()).collect()),
            }
        }

        async fn remove(&self, _: &[ChunkId], _: Epoch) -> Result<usize, Error> {
            Ok(0)
        }

        async fn look_up(&self, _: &[ChunkId]) -> Result<Vec<Option<StoredChunk>>, Error> {
            Ok(Vec::new())
        }

        async fn list(&self, _: Option<ChunkId>, _: usize) -> Result<Vec<StoredChunk>, Error> {
            Ok(Vec::new())
        }

        async fn loose_ends(&self) -> Result<u64, Error> {
            Ok(0)
        }

        async fn remove_loose_ends(&self) -> Result<u64, Error> {
            Ok(0)
        }
    }

    fn row(text: &str) -> Arc<ChunkRow> {
        let (document, hash) =
            (DocumentId::born(&TenantId::default(), text, 0), TextHash::of(text.as_bytes()));
        Arc::new(ChunkRow {
            tenant: TenantId::default(),
            chunk: ChunkId::of(document, hash, 0, IndexId(1)),
            document,
            index: IndexId(1),
            text_hash: hash,
            text: text.into(),
            terms: "".into(),
            embedding: None,
            mentions: Arc::new([]),
        })
    }

    /// One write that the store is busy with, and these behind it; what became of them, and the store's calls.
    async fn behind_one(texts: &[&str], dropped: usize) -> (Vec<Result<usize, Error>>, usize) {
        let slow: Arc<Slow> = Arc::default();
        let batched = Arc::new(Batched::new(slow.clone(), 1));
        let write = |text: &str| {
            let (batched, rows) = (batched.clone(), vec![row(text), row(&format!("{text} 2"))]);
            tokio::spawn(async move { batched.write(&rows, Epoch(1)).await })
        };
        let first = write("first");
        slow.begun.notified().await;
        let mut behind: Vec<_> = texts.iter().map(|text| write(text)).collect();
        while batched.shared.waiting().len() < texts.len() {
            tokio::task::yield_now().await;
        }
        for gone in behind.drain(..dropped) {
            gone.abort();
            assert!(gone.await.unwrap_err().is_cancelled());
        }
        slow.go_on.notify_one();
        assert_eq!(first.await.unwrap().unwrap(), 2);
        let mut answers = Vec::new();
        for one in behind {
            answers.push(one.await.unwrap());
        }
        (answers, slow.calls.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn what_comes_meanwhile_is_one_write() {
        let (answers, calls) = behind_one(&["a", "b", "c"], 0).await;
        assert!(answers.iter().all(|answer| matches!(answer, Ok(2))), "{answers:?}");
        assert_eq!(calls, 2);
    }

    #[tokio::test]
    async fn what_the_store_refuses_is_no_others_failure() {
        let (answers, calls) = behind_one(&["a", REFUSED, "c"], 0).await;
        assert!(matches!(&answers[..], [Ok(2), Err(Error::Failed { .. }), Ok(2)]), "{answers:?}");
        assert_eq!(calls, 2 + 3);
    }

    #[tokio::test]
    async fn who_is_gone_is_not_written() {
        // Alone it would have failed the write of all.
        let (answers, calls) = behind_one(&[REFUSED, "b", "c"], 1).await;
        assert!(answers.iter().all(|answer| matches!(answer, Ok(2))), "{answers:?}");
        assert_eq!(calls, 2);
    }

    #[tokio::test]
    async fn a_write_has_a_limit() {
        let texts: Vec<String> = (0..ROWS_TOGETHER_MAX).map(|n| n.to_string()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (answers, calls) = behind_one(&texts, 0).await;
        assert!(answers.iter().all(|answer| matches!(answer, Ok(2))));
        assert_eq!(calls, 1 + 2);
    }
}
