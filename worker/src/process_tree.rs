//! What this process and its children use: memory as the sum of proportional set sizes, CPU seconds.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Looks now and then until dropped, and keeps the highest sum.
pub struct PeakMemory {
    peak_kib: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl PeakMemory {
    /// Begins to look.
    pub fn start() -> Self {
        let (peak_kib, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (peak, stopped) = (peak_kib.clone(), stop.clone());
        let look = move || {
            while !stopped.load(Ordering::Relaxed) {
                peak.fetch_max(tree_pss_kib(), Ordering::Relaxed);
                std::thread::park_timeout(LOOK_EVERY);
            }
        };
        let thread = std::thread::Builder::new().name("peak-memory".to_owned()).spawn(look).ok();
        Self { peak_kib, stop, thread }
    }

    /// The highest sum so far, in MiB, looking once more.
    pub fn peak_mib(&self) -> f64 {
        self.peak_kib.fetch_max(tree_pss_kib(), Ordering::Relaxed);
        self.peak_kib.load(Ordering::Relaxed) as f64 / 1024.0
    }
}

impl Drop for PeakMemory {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// Sum of the proportional set sizes of this process and all below it, in KiB.
pub fn tree_pss_kib() -> u64 {
    tree(std::process::id()).into_iter().filter_map(pss_kib).sum()
}

fn pss_kib(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The process and its descendants.
pub fn tree(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
            && let Some(parent) = stat_field(pid, 1).and_then(|field| field.parse().ok())
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(children.remove(&pid).unwrap_or_default());
        next += 1;
    }
    found
}

/// A field of /proc/PID/stat, counted from the one behind the name in parentheses.
fn stat_field(pid: u32, field: usize) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let behind_name = text.rsplit_once(')')?.1;
    behind_name.split_whitespace().nth(field).map(str::to_owned)
}

/// CPU seconds of this process, its ended children and its living descendants.
pub fn cpu_seconds() -> f64 {
    let ticks_a_second = rustix::param::clock_ticks_per_second() as f64;
    let own = std::process::id();
    let used = |pid: u32, fields: std::ops::Range<usize>| -> u64 {
        fields.filter_map(|field| stat_field(pid, field)?.parse::<u64>().ok()).sum()
    };
    // utime and stime, then for this process alone those of children that were waited for.
    let living: u64 = tree(own).into_iter().map(|pid| used(pid, 11..13)).sum();
    (living + used(own, 13..15)) as f64 / ticks_a_second
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        assert!(PeakMemory::start().peak_mib() > 0.5);
        assert!(tree(std::process::id()).contains(&std::process::id()));
        assert!(cpu_seconds() >= 0.0);
    }
}
