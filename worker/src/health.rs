//! The health gate: whether the machine can take more work. Looks, and decides on what it saw.

use std::path::Path;

use crate::machine_memory;

/// What must be free for more work to be taken, in MiB. Below twice the disk and two and a half times
/// the memory, what can be given back is given back first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bars {
    /// Memory.
    pub memory_mib: u64,
    /// Disk under the data directory.
    pub disk_mib: u64,
}

impl Bars {
    /// Work is taken whatever is free.
    pub const NONE: Self = Self { memory_mib: 0, disk_mib: 0 };
}

impl Default for Bars {
    fn default() -> Self {
        Self { memory_mib: 200, disk_mib: 1_024 }
    }
}

/// What the machine has free, or the container where that has a limit, in MiB. A value that cannot be read is `None` and
/// gates nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Free {
    /// Memory that can be had without swapping.
    pub memory_mib: Option<u64>,
    /// Disk under the data directory.
    pub disk_mib: Option<u64>,
}

/// What the gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Take work.
    Open,
    /// Reclaim (give memory back, remove scratch) and look again.
    Reclaim,
    /// Take none: memory.
    WaitForMemory,
    /// Take none: disk.
    WaitForDisk,
}

/// Decides; `reclaimed` says that reclaiming was just done, which lowers the bars.
pub fn decide(free: Free, bars: Bars, reclaimed: bool) -> Gate {
    let (memory_min, disk_min) = if reclaimed {
        (bars.memory_mib, bars.disk_mib)
    } else {
        (bars.memory_mib.saturating_mul(5) / 2, bars.disk_mib.saturating_mul(2))
    };
    let short = |free: Option<u64>, min| free.is_some_and(|free| free < min);
    match (short(free.memory_mib, memory_min), short(free.disk_mib, disk_min)) {
        (false, false) => Gate::Open,
        _ if !reclaimed => Gate::Reclaim,
        (true, _) => Gate::WaitForMemory,
        (_, true) => Gate::WaitForDisk,
    }
}

/// Looks at the machine.
pub fn look(data_dir: &Path) -> Free {
    Free {
        memory_mib: machine_memory::look().map(|memory| memory.available_mib),
        disk_mib: free_disk_mib(data_dir),
    }
}

fn free_disk_mib(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize) >> 20)
}

/// Gives free heap pages back to the system at once (SIGUSR1, and before the gate closes).
pub fn reclaim_memory() {
    // SAFETY: `mi_collect` takes a flag and touches only the allocator's own state.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_lower_after_reclaiming() {
        let free = |memory, disk| Free { memory_mib: Some(memory), disk_mib: Some(disk) };
        let cases = [
            (free(500, 2_048), false, Gate::Open),
            (free(499, 9_999), false, Gate::Reclaim),
            (free(499, 9_999), true, Gate::Open),
            (free(199, 9_999), true, Gate::WaitForMemory),
            (free(9_999, 2_047), false, Gate::Reclaim),
            (free(9_999, 1_024), true, Gate::Open),
            (free(9_999, 1_023), true, Gate::WaitForDisk),
            (Free::default(), false, Gate::Open),
        ];
        for (free, reclaimed, expected) in cases {
            assert_eq!(decide(free, Bars::default(), reclaimed), expected, "{free:?} {reclaimed}");
        }
    }
}
