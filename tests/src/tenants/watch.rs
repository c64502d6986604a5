//! What passes by while requests are sent: entries of the queue, and the command lines of all processes, which any
//! user of a machine may read.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::stores::{self, Look, Wanted};
use super::town::Town;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// See the module.
pub struct Watch {
    stop: Arc<AtomicBool>,
    watching: JoinHandle<Result<(Look, Look)>>,
}

impl Watch {
    /// Looks from now on.
    ///
    /// # Errors
    /// The queue's server does not answer.
    pub fn start(town: &Town, wanted: &Wanted) -> Result<Self> {
        let (stop, wanted, mut admin) =
            (Arc::new(AtomicBool::new(false)), wanted.clone(), town.redis.admin());
        let stopped = stop.clone();
        let watching = std::thread::spawn(move || {
            let (mut entries, mut lines, mut seen) = (Look::default(), Look::default(), BTreeSet::new());
            loop {
                // The last look is after the end.
                let last = stopped.load(Ordering::Relaxed);
                let look = stores::redis(&mut admin, &wanted)?;
                entries.rows += look.rows;
                // What stays there is one finding, however often it is looked at.
                if look.foreign > entries.foreign || !look.secrets.is_empty() {
                    entries = Look { rows: entries.rows, ..look };
                }
                command_lines(&wanted, &mut seen, &mut lines);
                if last {
                    return Ok((entries, lines));
                }
                std::thread::sleep(LOOK_EVERY);
            }
        });
        Ok(Self { stop, watching })
    }

    /// What was seen: in the queue, and in command lines.
    ///
    /// # Errors
    /// It could not look.
    pub fn end(self) -> Result<(Look, Look)> {
        self.stop.store(true, Ordering::Relaxed);
        self.watching.join().map_err(|_| anyhow!("the watch ended early"))?
    }
}

/// Each process once, also one that was there for a moment only.
fn command_lines(wanted: &Wanted, seen: &mut BTreeSet<(String, Vec<u8>)>, look: &mut Look) {
    let Ok(processes) = std::fs::read_dir("/proc") else { return };
    for process in processes.flatten() {
        let name = process.file_name().to_string_lossy().into_owned();
        if !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        // It may be gone by now.
        let Ok(line) = std::fs::read(process.path().join("cmdline")) else { continue };
        if !line.is_empty() && seen.insert((name.clone(), line.clone())) {
            look.rows += 1;
            look.secrets(wanted, &format!("the command line of process {name}"), &line);
        }
    }
}
