//! SIGKILL for a tree of processes, one process, or one extractor, found through /proc.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::StdRng;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Time between two looks at a child.
const LOOK: Duration = Duration::from_millis(2);
/// Time that processes of a dead run have to go away by themselves.
const GRACE: Duration = Duration::from_secs(3);

/// Waits for the child's end for at most this long.
pub fn wait_for_exit(child: &mut Child, most: Duration) -> Result<Option<ExitStatus>> {
    let until = Instant::now() + most;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        std::thread::sleep(left.min(LOOK));
    }
}

/// Kills the process group that this process heads, and children that made groups of their own.
pub fn tree(head: u32) -> Result<()> {
    let pid = pid(head)?;
    let children = descendants(head)?;
    let _ = kill_process_group(pid, Signal::KILL);
    for child in children {
        only(child)?;
    }
    Ok(())
}

/// Kills one process. That it is gone already is no error.
pub fn only(process: u32) -> Result<()> {
    let _ = kill_process(pid(process)?, Signal::KILL);
    Ok(())
}

/// Tells one process to end, as Ctrl-C does.
pub fn stop(process: u32) -> Result<()> {
    let _ = kill_process(pid(process)?, Signal::INT);
    Ok(())
}

/// Kills one extractor of the run, if there is one.
pub fn one_extractor(head: u32, random: &mut StdRng) -> Result<bool> {
    let mut extractors = Vec::new();
    for process in descendants(head)? {
        if command_line(process).contains("__extract") {
            extractors.push(process);
        }
    }
    if extractors.is_empty() {
        return Ok(false);
    }
    only(extractors[random.random_range(0..extractors.len())])?;
    Ok(true)
}

/// Extractors and runs that still work for this data directory, after a grace time.
pub fn alive_for(data_dir: &Path) -> Result<Vec<u32>> {
    let name = data_dir.to_string_lossy().into_owned();
    let until = Instant::now() + GRACE;
    loop {
        let mut alive = Vec::new();
        for process in parents()?.into_keys() {
            let environment = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&environment).into_owned();
            if line.contains(&name) {
                alive.push(process);
            }
        }
        alive.retain(|&process| process != std::process::id());
        if alive.is_empty() || Instant::now() > until {
            return Ok(alive);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn pid(process: u32) -> Result<Pid> {
    Pid::from_raw(i32::try_from(process)?).context("a process has a number above 0")
}

fn command_line(process: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// All processes with their parents.
fn parents() -> Result<BTreeMap<u32, u32>> {
    let mut parents = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // Gone since it was listed: not a child any more.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { continue };
        // The name in parentheses may hold anything; the parent is the second word behind it.
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        if let Some(parent) = parent {
            parents.insert(process, parent);
        }
    }
    Ok(parents)
}

fn descendants(head: u32) -> Result<Vec<u32>> {
    let parents = parents()?;
    let mut found = vec![head];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(parents.iter().filter(|(_, of)| **of == parent).map(|(process, _)| *process));
        at += 1;
    }
    found.remove(0);
    Ok(found)
}
