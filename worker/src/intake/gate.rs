//! Looks at the machine at most once a second, and logs when the health gate closes or opens.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::health::{self, Bars, Free, Gate};

/// Looks at the health of the machine.
const GATE_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for memory that others have, with nothing of this process in work.
const MEMORY_WAIT: Duration = Duration::from_secs(600);

/// What there is no use waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// Disk.
    Disk {
        /// Free, in MiB.
        free_mib: u64,
        /// What must be, in MiB.
        wanted_mib: u64,
    },
    /// Memory, for long.
    Memory {
        /// Free, in MiB.
        free_mib: u64,
        /// What must be, in MiB.
        wanted_mib: u64,
    },
}

/// See the module.
pub struct GateWatch {
    dir: PathBuf,
    bars: Bars,
    looked: Option<(Instant, Gate, Free)>,
    closed_since: Option<Instant>,
}

impl GateWatch {
    /// Watches memory, and the disk under `dir`.
    pub fn new(dir: &Path, bars: Bars) -> Self {
        Self { dir: dir.to_owned(), bars, looked: None, closed_since: None }
    }

    /// What the gate says now.
    pub fn look(&mut self) -> Gate {
        if let Some((at, gate, _)) = self.looked
            && at.elapsed() < GATE_EVERY
        {
            return gate;
        }
        let mut free = health::look(&self.dir);
        let mut gate = health::decide(free, self.bars, false);
        if gate == Gate::Reclaim {
            health::reclaim_memory();
            free = health::look(&self.dir);
            gate = health::decide(free, self.bars, true);
        }
        let now = Instant::now();
        match (gate, self.closed_since) {
            (Gate::Open, Some(_)) => {
                tracing::warn!("the health gate opened again");
                self.closed_since = None;
            }
            (Gate::Open, None) | (_, Some(_)) => {}
            (_, None) => {
                tracing::warn!(reason = ?gate, "the health gate closed: no new documents are begun");
                self.closed_since = Some(now);
            }
        }
        self.looked = Some((now, gate, free));
        gate
    }

    /// What there is no use waiting for once nothing is in work: disk frees nobody but the user, and
    /// memory not for ever.
    pub fn given_up(&self) -> Option<GivenUp> {
        let (_, gate, free) = self.looked?;
        let (waited, bars) = (self.closed_since?.elapsed(), self.bars);
        match gate {
            Gate::WaitForDisk => Some(GivenUp::Disk {
                free_mib: free.disk_mib.unwrap_or_default(),
                wanted_mib: bars.disk_mib,
            }),
            Gate::WaitForMemory if waited >= MEMORY_WAIT => Some(GivenUp::Memory {
                free_mib: free.memory_mib.unwrap_or_default(),
                wanted_mib: bars.memory_mib,
            }),
            Gate::WaitForMemory | Gate::Open | Gate::Reclaim => None,
        }
    }
}
