//! Documents of a process that are prepared: they wait for stores and the ledger, and keep no extractor busy.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// See the module.
#[derive(Default)]
pub struct Writing {
    count: AtomicUsize,
    more: Notify,
}

/// A document that is prepared, until its work ends or is dropped.
pub(super) struct InWriting<'a>(&'a Writing);

impl Drop for InWriting<'_> {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Writing {
    pub(super) fn enter(&self) -> InWriting<'_> {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.more.notify_one();
        InWriting(self)
    }

    /// How many there are now.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Returns once one more was prepared since the last time, or at once where one was.
    pub async fn more(&self) {
        self.more.notified().await;
    }
}
