//! Documents of a process that are prepared: they wait for stores and the ledger, and keep no extractor busy.
//! One that ends in any way but its commit may leave rows that no manifest names.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// See the module.
#[derive(Default)]
pub struct Writing {
    count: AtomicUsize,
    more: Notify,
    left_rows: AtomicBool,
}

/// A document that is prepared, until its work ends or is dropped.
pub(super) struct InWriting<'a> {
    of: &'a Writing,
    committed: AtomicBool,
}

impl InWriting<'_> {
    /// A manifest names all that was written.
    pub(super) fn committed(&self) {
        self.committed.store(true, Ordering::Relaxed);
    }
}

impl Drop for InWriting<'_> {
    fn drop(&mut self) {
        if !self.committed.load(Ordering::Relaxed) {
            self.of.note_left_rows();
        }
        self.of.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Writing {
    pub(super) fn enter(&self) -> InWriting<'_> {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.more.notify_one();
        InWriting { of: self, committed: AtomicBool::new(false) }
    }

    /// Rows may lie in the stores that no manifest names: for what is known of others that died, say.
    pub fn note_left_rows(&self) {
        self.left_rows.store(true, Ordering::Relaxed);
    }

    /// Whether rows may have been left since this was asked last.
    pub fn take_left_rows(&self) -> bool {
        self.left_rows.swap(false, Ordering::Relaxed)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_committed_leaves_no_rows() {
        let writing = Writing::default();
        assert!(!writing.take_left_rows());
        let document = writing.enter();
        document.committed();
        drop(document);
        assert!(!writing.take_left_rows());
        // Failed, fenced, stalled, cancelled or stopped with the process: it is dropped.
        drop(writing.enter());
        assert_eq!(writing.count(), 0);
        assert!(writing.take_left_rows());
        assert!(!writing.take_left_rows(), "it is told once");
    }
}
