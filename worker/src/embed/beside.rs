//! What gives way to searches: threads that compute for later while somebody waits for an answer now.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How much less of a busy core is theirs: a tenth of what one that answers gets, so that they neither stop nor are felt.
const NICE: i32 = 10;

/// The calling thread gives way from now on, and with it every thread and process that it begins. It cannot be taken
/// back.
pub fn give_way() {
    let thread = Some(rustix::thread::gettid());
    // Who was started with less keeps it.
    let gives_way = rustix::process::getpriority_process(thread).is_ok_and(|nice| nice >= NICE);
    if !gives_way && let Err(error) = rustix::process::setpriority_process(thread, NICE) {
        tracing::debug!(%error, "a thread does not give way to searches");
    }
}

/// When somebody searched last; clones share it.
#[derive(Debug, Clone)]
pub struct Searched(Arc<Last>);

#[derive(Debug)]
struct Last {
    began: Instant,
    /// Milliseconds from the beginning, and one; 0: nobody did.
    at_ms: AtomicU64,
}

impl Default for Searched {
    fn default() -> Self {
        Self(Arc::new(Last { began: Instant::now(), at_ms: AtomicU64::new(0) }))
    }
}

impl Searched {
    /// Somebody does.
    pub fn note(&self) {
        self.0.at_ms.store(self.elapsed_ms() + 1, Ordering::Relaxed);
    }

    /// Whether somebody did so lately.
    pub fn within(&self, time: Duration) -> bool {
        let Some(at_ms) = self.0.at_ms.load(Ordering::Relaxed).checked_sub(1) else { return false };
        u128::from(self.elapsed_ms().saturating_sub(at_ms)) <= time.as_millis()
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_searched_before_somebody_did() {
        let searched = Searched::default();
        assert!(!searched.within(Duration::MAX));
        searched.clone().note();
        assert!(searched.within(Duration::from_secs(60)));
    }

    #[test]
    fn what_a_thread_begins_gives_way_with_it_and_nobody_else_does() {
        let nice = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = nice();
        let (own, begun) = std::thread::spawn(move || {
            give_way();
            (nice(), std::thread::spawn(nice).join().unwrap())
        })
        .join()
        .unwrap();
        let expected = before.max(NICE);
        assert_eq!((own, begun, nice()), (expected, expected, before));
    }
}
