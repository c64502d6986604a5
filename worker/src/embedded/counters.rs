//! What a run has done so far, for a progress display that looks when it likes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Counters of one run; each only grows.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: AtomicU64,)+
            /// The scan of the paths is complete: `documents_total` grows no more.
            pub scan_done: AtomicBool,
        }
    };
}

counters! {
    /// Files seen.
    files_seen,
    /// Documents that this run works on.
    documents_total,
    /// Bytes of them.
    bytes_total,
    /// Documents finished, well or not.
    documents_done,
    /// Bytes of them.
    bytes_done,
    /// Documents dead-lettered.
    documents_failed,
    /// Files that are what they were.
    documents_unchanged,
    /// Pages extracted.
    pages,
    /// Pages recognised.
    ocr_pages,
    /// Chunks made.
    chunks,
    /// Chunks embedded (not taken from earlier work).
    embedded,
    /// Answers of models that the cache had.
    cache_hits,
    /// Documents in the extract stage now (goes down too).
    extracting,
    /// Documents in the enrich stage now (goes down too).
    enriching,
}

impl Counters {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// Reads a counter.
    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
