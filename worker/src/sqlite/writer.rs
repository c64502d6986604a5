//! The one writer: a thread that runs jobs in order and makes many durable with one fsync.
//!
//! A job either waits for durability or only for having been applied. The second kind is for rows
//! whose commit comes later through the same writer: SQLite's log keeps their order, so a crash can
//! take the later with the earlier, never the earlier alone.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::Error;

/// Jobs that may wait for the writer.
const JOBS_MAX: usize = 4_096;
/// Jobs in one transaction.
const GROUP_JOBS_MAX: usize = 2_048;
/// Longest time that a transaction takes more jobs: who waits for its end waits for no more than that and the job in work.
const GROUP_MAX: Duration = Duration::from_millis(100);
/// Longest time that a durable job waits for company.
const GROUP_WAIT: Duration = Duration::from_millis(2);
/// Longest time that applied rows stay in an open transaction when nothing else comes.
const APPLIED_WAIT: Duration = Duration::from_millis(50);

/// Answers after the transaction's end.
type Finish = Box<dyn FnOnce(Result<(), Error>) + Send>;
type Job = Box<dyn FnOnce(&Connection) -> Option<Finish> + Send>;

/// A handle to the writer thread; the thread ends when the last handle is dropped.
#[derive(Clone)]
pub struct Writer {
    jobs: SyncSender<Job>,
    /// Why the thread ended, where a commit failed: whoever comes later is told the same.
    failed: Arc<OnceLock<Error>>,
}

/// When a job's answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// As soon as it was applied; durable with any later durable job.
    Applied,
    /// When it is on disk.
    Durable,
}

impl Writer {
    /// Starts the thread on a connection that is set up.
    pub fn start(connection: Connection) -> Result<(Self, std::thread::JoinHandle<()>), Error> {
        let (jobs, queue) = sync_channel(JOBS_MAX);
        let failed = Arc::new(OnceLock::new());
        let noted = failed.clone();
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || run(&connection, &queue, &noted))
            .map_err(|error| Error::Failed(error.to_string()))?;
        Ok((Self { jobs, failed }, thread))
    }

    /// Runs the job in the writer's transaction; an error of the job takes back the job alone.
    pub async fn run<T: Send + 'static>(
        &self,
        answer: Answer,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answered) = oneshot::channel();
        let boxed: Job = Box::new(move |connection| {
            let done = in_savepoint(connection, job).map_err(Error::from);
            match (answer, done) {
                (Answer::Durable, Ok(value)) => Some(Box::new(move |committed: Result<(), Error>| {
                    let _ = reply.send(committed.map(|()| value));
                }) as Finish),
                (_, done) => {
                    let _ = reply.send(done);
                    None
                }
            }
        });
        self.send(boxed).await?;
        answered.await.map_err(|_| self.ended())?
    }

    async fn send(&self, mut job: Job) -> Result<(), Error> {
        loop {
            match self.jobs.try_send(job) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(back)) => {
                    job = back;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err(TrySendError::Disconnected(_)) => {
                    return Err(self.ended());
                }
            }
        }
    }

    fn ended(&self) -> Error {
        match self.failed.get() {
            Some(error) => error.duplicate(),
            None => Error::Stopped("the writer ended".to_owned()),
        }
    }
}

fn in_savepoint<T>(
    connection: &Connection,
    job: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.prepare_cached("SAVEPOINT job")?.execute([])?;
    let done = job(connection);
    // A full disk takes the whole transaction back by itself: then the job's own error says why.
    if connection.is_autocommit() {
        return done;
    }
    if done.is_err() {
        connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
    }
    connection.prepare_cached("RELEASE job")?.execute([])?;
    done
}

/// Takes jobs until all handles are gone. After a commit that failed, no answer given before can be
/// trusted, so every later job is refused.
fn run(connection: &Connection, jobs: &Receiver<Job>, failed: &OnceLock<Error>) {
    while let Ok(first) = jobs.recv() {
        let committed = group(connection, jobs, first, GROUP_MAX);
        if let Err(error) = committed {
            tracing::error!(%error, "the ledger stopped after a failed commit");
            // Before the channel is dropped, which is what the waiting notice.
            let _ = failed.set(error);
            return;
        }
    }
    if let Err(error) = connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::debug!(%error, "the last checkpoint was left to the next start");
    }
}

fn group(
    connection: &Connection,
    jobs: &Receiver<Job>,
    first: Job,
    longest: Duration,
) -> Result<(), Error> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut finishes: Vec<Finish> = Vec::new();
    let began = Instant::now();
    let mut waits_since: Option<Instant> = None;
    let mut next = Some(first);
    let mut count = 0;
    while let Some(job) = next.take() {
        finishes.extend(job(connection));
        if waits_since.is_none() && !finishes.is_empty() {
            waits_since = Some(Instant::now());
        }
        count += 1;
        if count >= GROUP_JOBS_MAX || began.elapsed() >= longest {
            break;
        }
        let patience = match waits_since {
            Some(since) => GROUP_WAIT.saturating_sub(since.elapsed()),
            None => APPLIED_WAIT.saturating_sub(began.elapsed()),
        };
        next = match jobs.try_recv() {
            Ok(job) => Some(job),
            Err(_) if patience.is_zero() => None,
            Err(_) => jobs.recv_timeout(patience).ok(),
        };
    }
    let committed = connection.prepare_cached("COMMIT")?.execute([]).map(|_| ()).map_err(Error::from);
    for finish in finishes {
        finish(committed.as_ref().copied().map_err(Error::duplicate));
    }
    committed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Jobs that wait in the channel, each of which adds a row.
    fn waiting(jobs: usize) -> (Receiver<Job>, Job) {
        let (sender, receiver) = sync_channel(JOBS_MAX);
        let job = || -> Job {
            Box::new(|connection| {
                connection.execute("INSERT INTO t VALUES(1)", []).unwrap();
                None
            })
        };
        for _ in 0..jobs {
            sender.send(job()).unwrap();
        }
        (receiver, job())
    }

    #[test]
    fn a_transaction_ends_though_jobs_wait() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t(a)").unwrap();
        let rows =
            || connection.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, usize>(0)).unwrap();
        let (jobs, first) = waiting(9);
        group(&connection, &jobs, first, Duration::ZERO).unwrap();
        assert_eq!((rows(), connection.is_autocommit()), (1, true));
        let (jobs, first) = waiting(9);
        group(&connection, &jobs, first, Duration::MAX).unwrap();
        assert_eq!((rows(), jobs.try_recv().is_err()), (11, true));
    }
}
