//! One model, many documents: texts of all documents are pooled and batched by length on dedicated threads.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{Embedding, EmbeddingModel, Error, Searched, give_way};

/// How texts are pooled.
#[derive(Debug, Clone)]
pub struct BatcherOptions {
    /// Batches computed at the same time, each on a thread of its own.
    pub threads: usize,
    /// Texts in one call of the model.
    pub batch_texts_max: usize,
    /// Tokens in one call, padding included: bounds the memory of a call.
    pub batch_tokens_max: usize,
    /// How long a text waits for others to fill its batch.
    pub flush_after: Duration,
    /// Its threads give way to searches, and its batches are short while somebody searches: who asks meanwhile has a core
    /// as soon as a batch ends.
    pub beside: Option<Searched>,
}

impl Default for BatcherOptions {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            batch_texts_max: 8,
            batch_tokens_max: 8 * 256,
            flush_after: Duration::from_millis(20),
            beside: None,
        }
    }
}

/// What has been done so far, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatcherStats {
    /// Calls of the model.
    pub calls: u64,
    /// Texts in these calls.
    pub texts: u64,
    /// Calls that failed.
    pub failed_calls: u64,
}

/// Pools the texts of all documents into batches. Its threads end when it is dropped.
pub struct Batcher {
    shared: Arc<Shared>,
    /// One permit a pooled text. Fair: a document takes its permits one by one, so that a large one and
    /// a small one take turns, and the small one waits for one pool's worth of texts at most.
    room: Arc<Semaphore>,
}

struct Shared {
    model: Arc<dyn EmbeddingModel>,
    options: BatcherOptions,
    pool: Mutex<Pool>,
    changed: Condvar,
    calls: AtomicU64,
    texts: AtomicU64,
    failed_calls: AtomicU64,
}

#[derive(Default)]
struct Pool {
    /// Oldest first.
    jobs: VecDeque<Job>,
    closed: bool,
}

struct Job {
    text: String,
    since: Instant,
    reply: oneshot::Sender<Result<Arc<Embedding>, Error>>,
    _room: OwnedSemaphorePermit,
}

/// Pooled texts for each text of a full round of batches: enough choice for batches of like length.
const ROUNDS_POOLED: usize = 8;
/// Tokens of a text are estimated from its bytes; the model cuts at this many.
const TOKENS_MAX: usize = 512;
const BYTES_PER_TOKEN: usize = 4;
/// Texts in one call of the model beside somebody who searches.
const TEXTS_BESIDE_SEARCHES: usize = 2;
/// How long somebody counts as searching.
const SEARCHES_LAST: Duration = Duration::from_secs(1);

impl Batcher {
    /// Starts the threads.
    pub fn new(model: Arc<dyn EmbeddingModel>, options: BatcherOptions) -> Result<Self, Error> {
        let options = BatcherOptions {
            threads: options.threads.max(1),
            batch_texts_max: options.batch_texts_max.max(1),
            ..options
        };
        let room = options.threads * options.batch_texts_max * ROUNDS_POOLED;
        let threads = options.threads;
        let batcher = Self {
            shared: Arc::new(Shared {
                model,
                options,
                pool: Mutex::default(),
                changed: Condvar::new(),
                calls: AtomicU64::new(0),
                texts: AtomicU64::new(0),
                failed_calls: AtomicU64::new(0),
            }),
            room: Arc::new(Semaphore::new(room)),
        };
        // A remote model does its IO on the runtime that we were started in; a local one needs none.
        let runtime = tokio::runtime::Handle::try_current().ok();
        for index in 0..threads {
            let shared = Arc::clone(&batcher.shared);
            let runtime = runtime.clone();
            std::thread::Builder::new()
                .name(format!("embed-{index}"))
                .spawn(move || shared.work(runtime.as_ref()))
                .map_err(|e| Error::Inference { detail: format!("cannot start a thread: {e}") })?;
        }
        Ok(batcher)
    }

    /// The model behind.
    pub fn model(&self) -> &Arc<dyn EmbeddingModel> {
        &self.shared.model
    }

    /// One embedding a text, in the order of the texts; the first failed batch fails the call.
    ///
    /// Waits while the pool is full. Dropping the future takes its texts out of the pool.
    pub async fn embed(&self, texts: Vec<String>) -> Result<Vec<Arc<Embedding>>, Error> {
        let mut replies = Vec::with_capacity(texts.len());
        for text in texts {
            let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_| Error::Stopped)?;
            let (reply, receiver) = oneshot::channel();
            self.shared.lock().jobs.push_back(Job { text, since: Instant::now(), reply, _room: room });
            self.shared.changed.notify_one();
            replies.push(receiver);
        }
        let mut embeddings = Vec::with_capacity(replies.len());
        for reply in replies {
            embeddings.push(reply.await.map_err(|_| Error::Stopped)??);
        }
        Ok(embeddings)
    }

    /// What has been done so far.
    pub fn stats(&self) -> BatcherStats {
        BatcherStats {
            calls: self.shared.calls.load(Ordering::Relaxed),
            texts: self.shared.texts.load(Ordering::Relaxed),
            failed_calls: self.shared.failed_calls.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        // Not joined: a thread may be in the middle of a batch, and nobody waits for it any more.
        let mut pool = self.shared.lock();
        pool.closed = true;
        pool.jobs.clear();
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// The pool stays valid whatever panicked while it was held: jobs are moved in and out whole.
    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, runtime: Option<&tokio::runtime::Handle>) {
        if self.options.beside.is_some() {
            give_way();
        }
        while let Some(batch) = self.next_batch() {
            let (texts, replies): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|job| (job.text, job.reply)).unzip();
            self.calls.fetch_add(1, Ordering::Relaxed);
            self.texts.fetch_add(texts.len() as u64, Ordering::Relaxed);
            let count = texts.len();
            // A panic would end the thread for good and leave its documents waiting for ever.
            let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
                let answer = self.model.embed(texts);
                match runtime {
                    Some(runtime) => runtime.block_on(answer),
                    None => futures::executor::block_on(answer),
                }
            }));
            let result = result
                .unwrap_or_else(|_| Err(Error::Inference { detail: "the model panicked".into() }))
                .and_then(|embeddings| self.checked(embeddings, count));
            // A reply that nobody waits for any more is dropped.
            match result {
                Ok(embeddings) => {
                    for (reply, embedding) in replies.into_iter().zip(embeddings) {
                        let _ = reply.send(Ok(Arc::new(embedding)));
                    }
                }
                Err(error) => {
                    self.failed_calls.fetch_add(1, Ordering::Relaxed);
                    for reply in replies {
                        let _ = reply.send(Err(error.clone()));
                    }
                }
            }
        }
    }

    fn checked(&self, embeddings: Vec<Embedding>, count: usize) -> Result<Vec<Embedding>, Error> {
        let dimensions = self.model.dimensions();
        if embeddings.len() != count {
            let detail = format!("{count} texts gave {} embeddings", embeddings.len());
            return Err(Error::Inference { detail });
        }
        let mut vectors = embeddings.iter().map(|embedding| &embedding.vector);
        match vectors.find(|v| v.len() != dimensions || v.iter().any(|x| !x.is_finite())) {
            Some(v) if v.len() == dimensions => {
                Err(Error::Inference { detail: "a vector is not finite".into() })
            }
            Some(v) => {
                let detail = format!("a vector has {} dimensions, expected {dimensions}", v.len());
                Err(Error::Inference { detail })
            }
            None => Ok(embeddings),
        }
    }

    /// Texts in the next call.
    fn texts_max(&self) -> usize {
        let all = self.options.batch_texts_max;
        let beside = self.options.beside.as_ref().is_some_and(|searched| searched.within(SEARCHES_LAST));
        if beside { all.min(TEXTS_BESIDE_SEARCHES) } else { all }
    }

    /// Waits for a batch that is full or whose oldest text has waited long enough; none when closed.
    fn next_batch(&self) -> Option<Vec<Job>> {
        let mut pool = self.lock();
        loop {
            if pool.closed {
                return None;
            }
            pool.jobs.retain(|job| !job.reply.is_closed());
            let Some(oldest) = pool.jobs.front() else {
                pool = self.changed.wait(pool).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (waited, texts_max) = (oldest.since.elapsed(), self.texts_max());
            if pool.jobs.len() >= texts_max || waited >= self.options.flush_after {
                let batch = take_batch(&mut pool.jobs, texts_max, self.options.batch_tokens_max);
                if !pool.jobs.is_empty() {
                    self.changed.notify_one();
                }
                return Some(batch);
            }
            let left = self.options.flush_after - waited;
            pool = self.changed.wait_timeout(pool, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The oldest job, so that none starves, and those nearest to it in length, so that little is padding.
fn take_batch(jobs: &mut VecDeque<Job>, texts_max: usize, tokens_max: usize) -> Vec<Job> {
    let estimates: Vec<usize> = jobs.iter().map(|job| tokens_estimate(&job.text)).collect();
    let Some(&first) = estimates.first() else { return Vec::new() };
    let mut nearest: Vec<usize> = (0..jobs.len()).collect();
    nearest.sort_by_key(|&i| (estimates[i].abs_diff(first), i));
    let mut taken: Vec<usize> = Vec::with_capacity(texts_max);
    let mut longest = 0;
    for i in nearest {
        let padded = longest.max(estimates[i]);
        let over = padded * (taken.len() + 1) > tokens_max;
        if taken.len() == texts_max || (over && !taken.is_empty()) {
            break;
        }
        longest = padded;
        taken.push(i);
    }
    taken.sort_unstable();
    // From the back, so that positions in front stay what they are.
    taken.iter().rev().filter_map(|&i| jobs.remove(i)).collect()
}

fn tokens_estimate(text: &str) -> usize {
    (text.len() / BYTES_PER_TOKEN + 2).min(TOKENS_MAX)
}

#[cfg(test)]
mod tests;
