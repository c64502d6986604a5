//! Where documents are worked on beside whoever searches: a runtime of its own, whose threads give way.
//!
//! A search so never waits for a thread that a document has, and what a document needs of a core is little while somebody
//! wants it for an answer. Extractors are begun by these threads, so they give way, too.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use super::Error;
use crate::embed::give_way;

/// Threads beside two a core that may wait for the disk: as in a run, one for the scan, and one for what is tidied up.
const BESIDE: usize = 2;
/// How long threads may take to end what they compute for nobody any more.
const END_MAX: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Workshop(Option<Runtime>);

impl Workshop {
    /// Opens it, with a thread a core.
    ///
    /// # Errors
    /// The system gives no threads.
    pub(super) fn open(cores: usize) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(cores.max(1))
            .max_blocking_threads(2 * cores + BESIDE)
            .thread_name("work")
            .on_thread_start(give_way)
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| Error::Api(format!("there are no threads: {error}")))?;
        Ok(Self(Some(runtime)))
    }

    /// Begins work there.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Work<T> {
        Work(self.0.as_ref().map(|runtime| runtime.spawn(Box::pin(work))))
    }

    /// Ends its threads.
    pub(super) async fn close(mut self) {
        if let Some(runtime) = self.0.take() {
            // Not on a thread that answers: a runtime waits for its own.
            let ending = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(END_MAX));
            let _ = ending.await;
        }
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Work that was begun; it goes on when this is dropped.
pub(super) struct Work<T>(Option<JoinHandle<Result<T, Error>>>);

impl<T> Work<T> {
    /// What came of it; may be asked again where nobody waited for the answer.
    ///
    /// # Errors
    /// Its own, or that it panicked.
    pub(super) async fn done(&mut self) -> Result<T, Error> {
        let gone = || Error::Api("what was worked on is gone".to_owned());
        let work = self.0.as_mut().ok_or_else(gone)?;
        let done = work.await;
        self.0 = None;
        done.unwrap_or_else(|error| Err(Error::Api(error.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nice() -> i32 {
        rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap()
    }

    #[tokio::test]
    async fn all_its_threads_give_way_and_no_other_does() {
        let before = nice();
        let workshop = Workshop::open(1).unwrap();
        let mut work = workshop.begin(async {
            let blocking = tokio::task::spawn_blocking(nice).await;
            // What threads begin gives way as they do: extractors and those that compute.
            let begun = tokio::task::spawn_blocking(|| std::thread::spawn(nice).join()).await;
            Ok([nice(), blocking.unwrap(), begun.unwrap().unwrap()])
        });
        let found = work.done().await.unwrap();
        assert!(found.iter().all(|nice| *nice >= 10), "{found:?}");
        assert_eq!(nice(), before);
        assert!(work.done().await.is_err(), "there is one answer");
        workshop.close().await;
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error() {
        let workshop = Workshop::open(1).unwrap();
        let mut work = workshop.begin(async { Err::<(), Error>(Error::Api("no".to_owned())) });
        assert_eq!(work.done().await.unwrap_err().to_string(), "the API cannot begin: no");
        let mut work = workshop.begin::<()>(async { panic!("asked to") });
        assert!(work.done().await.is_err());
        workshop.close().await;
    }
}
