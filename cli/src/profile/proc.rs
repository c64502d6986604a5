//! One look at `/proc`: counters that only grow, and what is used now.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Instant;

/// Bytes of a sector, as the kernel counts them whatever the disk.
const SECTOR_BYTES: u64 = 512;
/// Begins of names of block devices that only pass on what others do.
const PASSING: [&str; 3] = ["loop", "ram", "zram"];

/// What was seen.
#[derive(Debug, Clone)]
pub struct Counters {
    pub at: Instant,
    /// Clock ticks of all cores since the start, and those of them that were idle.
    pub ticks: (u64, u64),
    pub memory_total_kib: u64,
    pub memory_available_kib: u64,
    /// Bytes read and written since the start.
    pub disk: (u64, u64),
    /// Bytes received and sent since the start.
    pub network: (u64, u64),
    /// Over 1, 5 and 15 minutes.
    pub load: [f64; 3],
    pub processes: BTreeMap<u32, Process>,
}

/// A process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    pub name: String,
    pub parent: u32,
    /// Clock ticks that it computed, with when it was started: a number may be used again.
    pub ticks: u64,
    pub started: u64,
    pub threads: u64,
    pub memory_kib: u64,
    pub open_files: u64,
}

/// Looks at the machine, and at the processes that are followed with all that they started.
pub fn look(pids: &[u32], names: &[String]) -> Counters {
    let read = |name: &str| fs::read_to_string(Path::new("/proc").join(name)).unwrap_or_default();
    let (total, available) = memory(&read("meminfo"));
    Counters {
        at: Instant::now(),
        ticks: ticks(&read("stat")),
        memory_total_kib: total,
        memory_available_kib: available,
        disk: disk(&read("diskstats"), &whole_disks()),
        network: network(&read("net/dev")),
        load: load(&read("loadavg")),
        processes: processes(pids, names),
    }
}

/// All and idle ticks of the line `cpu`.
fn ticks(stat: &str) -> (u64, u64) {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    // user nice system idle iowait irq softirq steal; what follows is part of these.
    let ticks: Vec<u64> = line.split_whitespace().take(8).map(|tick| tick.parse().unwrap_or(0)).collect();
    (ticks.iter().sum(), ticks.iter().skip(3).take(2).sum())
}

fn memory(meminfo: &str) -> (u64, u64) {
    let of = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    (of("MemTotal:"), of("MemAvailable:"))
}

/// Names of whole disks; parts of them would be counted twice.
fn whole_disks() -> BTreeSet<String> {
    let entries = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn disk(diskstats: &str, whole: &BTreeSet<String>) -> (u64, u64) {
    let mut sum = (0, 0);
    for line in diskstats.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (Some(name), Some(read), Some(written)) = (fields.get(2), fields.get(5), fields.get(9)) else {
            continue;
        };
        if whole.contains(*name) && !PASSING.iter().any(|begin| name.starts_with(begin)) {
            sum.0 += read.parse().unwrap_or(0) * SECTOR_BYTES;
            sum.1 += written.parse().unwrap_or(0) * SECTOR_BYTES;
        }
    }
    sum
}

fn network(dev: &str) -> (u64, u64) {
    let mut sum = (0, 0);
    for line in dev.lines() {
        let Some((_, numbers)) = line.split_once(':') else { continue };
        let numbers: Vec<u64> =
            numbers.split_whitespace().map(|number| number.parse().unwrap_or(0)).collect();
        sum.0 += numbers.first().copied().unwrap_or(0);
        sum.1 += numbers.get(8).copied().unwrap_or(0);
    }
    sum
}

fn load(loadavg: &str) -> [f64; 3] {
    let mut numbers = loadavg.split_whitespace().map(|number| number.parse().unwrap_or(0.0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0.0))
}

fn processes(pids: &[u32], names: &[String]) -> BTreeMap<u32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all: BTreeMap<u32, Process> = entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((pid, process(&stat)?))
        })
        .collect();
    let mut followed = followed(&all, pids, names);
    for (pid, process) in &mut followed {
        let dir = Path::new("/proc").join(pid.to_string());
        process.memory_kib = resident(&fs::read_to_string(dir.join("status")).unwrap_or_default());
        process.open_files = fs::read_dir(dir.join("fd")).map_or(0, |files| files.count() as u64);
    }
    followed
}

/// The processes that were named, with all that they started.
fn followed(all: &BTreeMap<u32, Process>, pids: &[u32], names: &[String]) -> BTreeMap<u32, Process> {
    let is_named = |pid: u32| {
        pids.contains(&pid) || all.get(&pid).is_some_and(|process| names.contains(&process.name))
    };
    let belongs = |pid: u32| {
        let mut at = pid;
        // No line of parents is longer than there are processes.
        for _ in 0..all.len() {
            if is_named(at) {
                return true;
            }
            match all.get(&at) {
                Some(process) if process.parent != 0 => at = process.parent,
                _ => return false,
            }
        }
        false
    };
    let own = std::process::id();
    let ours = |pid: &u32| *pid != own || pids.contains(&own);
    all.iter()
        .filter(|(pid, _)| ours(*pid) && belongs(**pid))
        .map(|(pid, process)| (*pid, process.clone()))
        .collect()
}

/// A line of `stat`. The name stands in brackets, and may hold some.
fn process(stat: &str) -> Option<Process> {
    let (begin, rest) = (stat.find('(')?, stat.rfind(')')?);
    let fields: Vec<&str> = stat.get(rest + 1..)?.split_whitespace().collect();
    let number = |place: usize| fields.get(place).and_then(|field| field.parse::<u64>().ok());
    Some(Process {
        name: stat.get(begin + 1..rest)?.to_owned(),
        parent: u32::try_from(number(1)?).ok()?,
        ticks: number(11)? + number(12)?,
        threads: number(17)?,
        started: number(19)?,
        ..Process::default()
    })
}

fn resident(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        assert_eq!(ticks("cpu  10 1 5 80 4 0 0 0 7 0\ncpu0 1 1 1 1\n"), (100, 84));
        assert_eq!(memory("MemTotal:  100 kB\nMemFree: 1 kB\nMemAvailable:   60 kB\n"), (100, 60));
        let disks =
            "8 0 sda 1 0 10 0 1 0 20 0 0\n8 1 sda1 1 0 10 0 1 0 20 0 0\n7 0 loop0 1 0 99 0 1 0 99 0 0\n";
        let whole = BTreeSet::from(["sda".to_owned(), "loop0".to_owned()]);
        assert_eq!(disk(disks, &whole), (5_120, 10_240));
        let dev =
            "Inter-| Receive\n face |bytes\n  lo: 5 0 0 0 0 0 0 0 5 0 0\neth0:7 0 0 0 0 0 0 0 9 0 0\n";
        assert_eq!(network(dev), (12, 14));
        assert_eq!(load("0.50 1.25 2.00 1/100 42\n"), [0.5, 1.25, 2.0]);
        assert_eq!(resident("Name:\tx\nVmRSS:\t  4096 kB\n"), 4_096);
        for nothing in ["", "\n", "cpu", ":"] {
            assert_eq!((ticks(nothing), memory(nothing), load(nothing)), ((0, 0), (0, 0), [0.0; 3]));
        }
    }

    #[test]
    fn a_name_may_hold_brackets() {
        let stat = "42 (a (b) c) S 7 42 42 0 -1 4194560 1 0 0 0 30 12 0 0 20 0 3 0 9000 1 1";
        let found = process(stat).unwrap();
        let expected = Process {
            name: "a (b) c".into(),
            parent: 7,
            ticks: 42,
            threads: 3,
            started: 9_000,
            ..Process::default()
        };
        assert_eq!(found, expected);
        assert_eq!(process("42 (cut"), None);
    }

    #[test]
    fn what_a_process_starts_belongs_to_it() {
        let process = |name: &str, parent| Process { name: name.into(), parent, ..Process::default() };
        let all = BTreeMap::from([
            (2_000_001, process("init", 0)),
            (2_000_002, process("server", 2_000_001)),
            (2_000_003, process("child", 2_000_002)),
            (2_000_004, process("other", 2_000_001)),
            (2_000_005, process("loop", 2_000_005)),
        ]);
        let of = |pids: &[u32], names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            followed(&all, pids, &names).into_keys().map(|pid| pid - 2_000_000).collect::<Vec<_>>()
        };
        assert_eq!(of(&[], &["server"]), [2, 3]);
        assert_eq!(of(&[2_000_004], &[]), [4]);
        assert!(of(&[9], &["nobody"]).is_empty());
    }

    #[test]
    fn this_process_is_seen() {
        let own = std::process::id();
        let seen = look(&[own], &[]);
        let process = &seen.processes[&own];
        assert!(process.threads >= 1 && process.memory_kib > 0 && process.open_files > 0, "{process:?}");
        assert!(seen.ticks.0 > 0 && seen.memory_total_kib > seen.memory_available_kib);
    }
}
