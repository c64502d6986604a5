//! How much memory this process may take and how much of it is free: of its control groups where they have a limit, of the
//! machine where they have none. Looks; decides nothing.

use std::path::{Component, Path, PathBuf};

/// Memory, in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineMemory {
    /// What all of this process's group may take together.
    pub limit_mib: u64,
    /// What can be had without swapping, and without the kernel's ending somebody.
    pub available_mib: u64,
}

/// Looks. `None` where the kernel does not tell.
pub fn look() -> Option<MachineMemory> {
    look_below(Path::new("/proc"), Path::new("/sys/fs/cgroup"))
}

/// The files of one version of control groups.
struct Version {
    /// Where its groups are, below the place of all.
    folder: &'static str,
    limit: &'static str,
    used: &'static str,
    /// Of what is used, what the kernel gives back when it is asked for: pages of files.
    cached: [&'static str; 2],
}

const V1: Version = Version {
    folder: "memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cached: ["total_active_file", "total_inactive_file"],
};
const V2: Version = Version {
    folder: "",
    limit: "memory.max",
    used: "memory.current",
    cached: ["active_file", "inactive_file"],
};

fn look_below(proc: &Path, groups: &Path) -> Option<MachineMemory> {
    let machine = std::fs::read_to_string(proc.join("meminfo")).ok()?;
    let kib = |name| number_after(&machine, name).map(|kib| kib.saturating_mul(1_024));
    let (total, mut available) = (kib("MemTotal:")?, kib("MemAvailable:")?);
    let mut limit = total;
    let own = std::fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
    for (version, path) in own.lines().filter_map(own_group) {
        // A limit above holds below too. A container sees its own group as the outermost, by whatever name.
        for folder in folders(&groups.join(version.folder), path) {
            let read = |file: &str| std::fs::read_to_string(folder.join(file)).ok();
            let Some(group_limit) = read(version.limit).and_then(|text| limit_of(&text)) else { continue };
            limit = limit.min(group_limit);
            let Some(used) = read(version.used).and_then(|text| text.trim().parse::<u64>().ok()) else {
                continue;
            };
            let told = read("memory.stat").unwrap_or_default();
            let cached = version.cached.iter().filter_map(|name| number_after(&told, name)).sum();
            let free = group_limit.saturating_sub(used.saturating_sub(cached));
            available = available.min(free);
        }
    }
    Some(MachineMemory { limit_mib: limit >> 20, available_mib: available >> 20 })
}

/// The group of a line of `/proc/self/cgroup` (`number:controllers:path`), if it counts memory.
fn own_group(line: &str) -> Option<(&'static Version, &str)> {
    let (_, rest) = line.split_once(':')?;
    match rest.split_once(':')? {
        ("", path) => Some((&V2, path)),
        (controllers, path) if controllers.split(',').any(|one| one == "memory") => Some((&V1, path)),
        _ => None,
    }
}

/// The group's folder and all above it, up to the outermost.
fn folders(outermost: &Path, path: &str) -> Vec<PathBuf> {
    let mut folders = vec![outermost.to_owned()];
    for part in Path::new(path).components() {
        // Of a group outside of what is seen here there is nothing to read.
        if let Component::Normal(name) = part
            && let Some(above) = folders.last()
        {
            let folder = above.join(name);
            folders.push(folder);
        }
    }
    folders
}

/// A limit in bytes; `max` is none.
fn limit_of(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The number behind a name at the start of a line.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.next()?.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;

    const MEMINFO: &str =
        "MemTotal:       16384000 kB\nMemFree:         100 kB\nMemAvailable:    8192000 kB\n";

    /// What is seen with these files below `proc` and the place of groups.
    fn seen(own: &str, files: &[(&str, &str)]) -> (u64, u64) {
        let folder = tempdir().unwrap();
        let (proc, groups) = (folder.path().join("proc"), folder.path().join("groups"));
        std::fs::create_dir_all(proc.join("self")).unwrap();
        std::fs::write(proc.join("meminfo"), MEMINFO).unwrap();
        std::fs::write(proc.join("self/cgroup"), own).unwrap();
        for (name, text) in files {
            let path = groups.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let found = look_below(&proc, &groups).unwrap();
        (found.limit_mib, found.available_mib)
    }

    #[test]
    fn without_limits_it_is_the_machines() {
        assert_eq!(seen("0::/\n", &[]), (16_000, 8_000));
        assert_eq!(seen("", &[]), (16_000, 8_000));
        assert_eq!(
            seen("0::/a\n", &[("a/memory.max", "max\n"), ("a/memory.current", "9\n")]),
            (16_000, 8_000)
        );
        // The number that the first version writes for none.
        let unlimited = [("memory/memory.limit_in_bytes", "9223372036854771712\n")];
        assert_eq!(seen("4:memory:/\n", &unlimited), (16_000, 8_000));
    }

    #[test]
    fn a_pod_has_its_own_limit_less_what_is_no_cache() {
        let files = [
            ("memory.max", "3221225472\n"),
            ("memory.current", "2147483648\n"),
            ("memory.stat", "anon 1\nactive_file 524288000\ninactive_file 524288000\nslab 9\n"),
        ];
        assert_eq!(seen("0::/\n", &files), (3_072, 3_072 - (2_048 - 1_000)));
        // The host's name of the group, of which a container sees nothing.
        assert_eq!(seen("0::/kubepods/pod1/abc\n", &files), (3_072, 2_024));
    }

    #[test]
    fn the_first_version_has_other_names() {
        let files = [
            ("memory/kube/memory.limit_in_bytes", "2147483648\n"),
            ("memory/kube/memory.usage_in_bytes", "1073741824\n"),
            ("memory/kube/memory.stat", "inactive_file 1\ntotal_inactive_file 536870912\n"),
        ];
        assert_eq!(seen("9:name=systemd:/x\n4:cpu,memory:/kube\n0::/\n", &files), (2_048, 1_536));
    }

    #[test]
    fn a_limit_above_holds_below() {
        let files = [
            ("a/memory.max", "1073741824"),
            ("a/memory.current", "0"),
            ("a/b/memory.max", "2147483648"),
            ("a/b/memory.current", "0"),
        ];
        assert_eq!(seen("0::/a/b\n", &files), (1_024, 1_024));
        assert_eq!(seen("0::/../a/b\n", &files), (1_024, 1_024));
    }

    #[test]
    fn more_used_than_allowed_is_nothing_free() {
        let files = [("memory.max", "1048576"), ("memory.current", "2097152")];
        assert_eq!(seen("0::/\n", &files), (1, 0));
    }
}
