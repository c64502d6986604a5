//! CPU time of recognised pages by what it went to. Counted in builds for tests, which measure it; elsewhere it is zero.

use std::time::Duration;

/// CPU time of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// Making pictures of pages.
    pub pictures: Duration,
    /// In the recogniser, its start and its models included.
    pub recogniser: Duration,
}

/// What this process has used so far.
#[cfg(feature = "testing")]
pub(super) fn so_far() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), used.tv_nsec.unsigned_abs() as u32)
}

#[cfg(not(feature = "testing"))]
pub(super) fn so_far() -> Duration {
    Duration::ZERO
}

/// What it has used since then.
pub(super) fn since(before: Duration) -> Duration {
    so_far().saturating_sub(before)
}
