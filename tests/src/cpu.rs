//! CPU time of this process and of single others, in seconds. Ratios of it hold on machines that do other things too.

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

/// Of this process with all its threads.
pub(crate) fn own_s() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// Of a process with all its threads, as the scheduler counts it: other counts are of hundredths of seconds.
pub(crate) fn child_s(pid: u32) -> Result<f64> {
    let tasks = format!("/proc/{pid}/task");
    let listed = std::fs::read_dir(&tasks).with_context(|| format!("cannot list {tasks}"))?;
    let mut nanoseconds = 0.0;
    for task in listed {
        let path = task?.path().join("schedstat");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let first = text.split_whitespace().next().and_then(|first| first.parse::<f64>().ok());
        nanoseconds += first.with_context(|| format!("{} is not understood", path.display()))?;
    }
    Ok(nanoseconds / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time() {
        let (own, seen) = (own_s(), child_s(std::process::id()).unwrap());
        let sum = (0..3_000_000_u64).fold(0, |sum: u64, n| std::hint::black_box(sum.wrapping_add(n)));
        assert!(sum > 0 && own_s() > own && own_s() > 0.0 && seen >= 0.0);
        assert!(child_s(u32::MAX).is_err());
    }
}
