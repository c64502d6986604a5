//! The timeline: what was used between two looks, under the names that people's scripts ask for.

use std::collections::BTreeMap;

use serde::Serialize;

use super::proc::{Counters, Process};

const GIB: f64 = 1_073_741_824.0;
const MIB: f64 = 1_048_576.0;

/// A whole profile.
#[derive(Debug, Serialize)]
pub struct Timeline {
    /// What ran, where a command was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    pub duration_seconds: f64,
    pub interval_seconds: f64,
    pub cpu_count: usize,
    pub data_points: Vec<Point>,
}

/// What was used from the look before to this one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    pub elapsed_seconds: f64,
    pub system: System,
    pub processes: Processes,
}

/// Of the whole machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct System {
    /// Of all cores together: 100 is all of them.
    pub cpu_percent: f64,
    pub memory_used_gb: f64,
    pub memory_total_gb: f64,
    pub memory_percent: f64,
    pub disk: Disk,
    pub network: Network,
    /// Over 1, 5 and 15 minutes.
    pub load: [f64; 3],
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Disk {
    pub read_mb_per_s: f64,
    pub write_mb_per_s: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Network {
    pub received_mb_per_s: f64,
    pub sent_mb_per_s: f64,
}

/// Of the processes that are followed, together.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Processes {
    pub count: usize,
    /// 100 is one core.
    pub cpu: f64,
    /// In GB.
    pub memory: f64,
    pub total_threads: u64,
    pub open_files: u64,
    pub each: Vec<Each>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Each {
    pub pid: u32,
    pub name: String,
    pub cpu: f64,
    pub memory: f64,
    pub threads: u64,
    pub open_files: u64,
}

impl Point {
    /// Between two looks; `elapsed_seconds` since the first of all, `ticks_per_s` as this kernel counts.
    pub fn between(before: &Counters, now: &Counters, elapsed_seconds: f64, ticks_per_s: f64) -> Self {
        let seconds = now.at.duration_since(before.at).as_secs_f64().max(1e-3);
        let per_s = |now: u64, before: u64| now.saturating_sub(before) as f64 / MIB / seconds;
        let all = now.ticks.0.saturating_sub(before.ticks.0);
        let idle = now.ticks.1.saturating_sub(before.ticks.1).min(all);
        let used_kib = now.memory_total_kib.saturating_sub(now.memory_available_kib);
        let gb = |kib: u64| kib as f64 * 1024.0 / GIB;
        let system = System {
            cpu_percent: share((all - idle) as f64, all as f64),
            memory_used_gb: gb(used_kib),
            memory_total_gb: gb(now.memory_total_kib),
            memory_percent: share(used_kib as f64, now.memory_total_kib as f64),
            disk: Disk {
                read_mb_per_s: per_s(now.disk.0, before.disk.0),
                write_mb_per_s: per_s(now.disk.1, before.disk.1),
            },
            network: Network {
                received_mb_per_s: per_s(now.network.0, before.network.0),
                sent_mb_per_s: per_s(now.network.1, before.network.1),
            },
            load: now.load,
        };
        let each: Vec<Each> = now
            .processes
            .iter()
            .map(|(pid, process)| Each {
                pid: *pid,
                name: process.name.clone(),
                cpu: computed(&before.processes, *pid, process) as f64 / ticks_per_s / seconds * 100.0,
                memory: gb(process.memory_kib),
                threads: process.threads,
                open_files: process.open_files,
            })
            .collect();
        let processes = Processes {
            count: each.len(),
            cpu: each.iter().map(|one| one.cpu).sum(),
            memory: each.iter().map(|one| one.memory).sum(),
            total_threads: each.iter().map(|one| one.threads).sum(),
            open_files: each.iter().map(|one| one.open_files).sum(),
            each,
        };
        Self { elapsed_seconds, system, processes }
    }
}

/// Ticks since the look before; all of them where the process was not there then.
fn computed(before: &BTreeMap<u32, Process>, pid: u32, now: &Process) -> u64 {
    let known = before.get(&pid).filter(|known| known.started == now.started);
    now.ticks.saturating_sub(known.map_or(0, |known| known.ticks))
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { 100.0 * part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn counters(at: Instant, ticks: (u64, u64), process: Process) -> Counters {
        Counters {
            at,
            ticks,
            memory_total_kib: 4 << 20,
            memory_available_kib: 3 << 20,
            disk: (ticks.0 << 20, 0),
            network: (0, 0),
            load: [1.0, 2.0, 3.0],
            processes: BTreeMap::from([(7, process)]),
        }
    }

    #[test]
    fn a_point_has_the_names_that_scripts_ask_for() {
        let process = |ticks| Process {
            name: "x".into(),
            ticks,
            threads: 4,
            memory_kib: 1 << 20,
            open_files: 9,
            ..Process::default()
        };
        let began = Instant::now();
        let before = counters(began, (100, 80), process(50));
        let now = counters(began + Duration::from_secs(2), (300, 130), process(150));
        let point = Point::between(&before, &now, 2.0, 100.0);
        let json = serde_json::to_value(&point).unwrap();
        let number = |path: &str| json.pointer(path).and_then(serde_json::Value::as_f64);
        for (path, expected) in [
            ("/elapsed_seconds", 2.0),
            ("/system/cpu_percent", 75.0),
            ("/system/memory_used_gb", 1.0),
            ("/system/memory_percent", 25.0),
            ("/system/disk/read_mb_per_s", 100.0),
            ("/system/network/sent_mb_per_s", 0.0),
            ("/system/load/0", 1.0),
            ("/processes/cpu", 50.0),
            ("/processes/memory", 1.0),
            ("/processes/total_threads", 4.0),
            ("/processes/open_files", 9.0),
        ] {
            assert_eq!(number(path), Some(expected), "{path} in {json:#}");
        }
    }

    #[test]
    fn a_number_that_is_used_again_is_another_process() {
        let process = |ticks, started| Process { ticks, started, ..Process::default() };
        let before = BTreeMap::from([(7, process(50, 1))]);
        assert_eq!(computed(&before, 7, &process(60, 1)), 10);
        assert_eq!(computed(&before, 7, &process(60, 2)), 60);
        assert_eq!(computed(&before, 8, &process(60, 1)), 60);
    }
}
