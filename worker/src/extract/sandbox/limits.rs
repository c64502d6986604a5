//! What a child may use, and that it ends with its parent. Kernels have had all of this for long.

use std::io;

use docmill_core::limits::Limits;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit, setrlimit};

/// Open files at once: a document, a library or model that is loaded, and the three that every process has.
const DESCRIPTORS: u64 = 64;

/// CPU seconds beside twice what the document's own deadline allows. That deadline is the parent's clock; this one is
/// for a child that spins while its parent is stuck.
const CPU_BESIDE_S: u64 = 60;

/// Closes what the parent had open without saying that it ends with its own program.
pub(super) fn close_inherited() -> io::Result<()> {
    // SAFETY: this process has opened nothing yet that it would use, so numbers from 3 on are nobody's.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3 as libc::c_uint, libc::c_uint::MAX, 0) };
    if closed == 0 {
        return Ok(());
    }
    // Kernels before 5.9, and containers' profiles that do not know it.
    let listed = std::fs::read_dir("/proc/self/fd")?;
    let numbers: Vec<libc::c_int> =
        listed.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|number| *number > 2) {
        // SAFETY: as above; the one that listed them is closed already, which is an error that says nothing.
        unsafe { libc::close(number) };
    }
    Ok(())
}

/// Has the kernel kill this process when the thread that started it is gone.
pub(super) fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// Whether this process is still that one's child: it may have gone before it could be asked to die with it.
pub(super) fn is_child_of(parent: u32) -> bool {
    rustix::process::getppid().is_some_and(|pid| pid.as_raw_nonzero().get().unsigned_abs() == parent)
}

/// No program that it starts has more rights than it has.
pub(super) fn gain_no_privileges() -> io::Result<()> {
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Bounds what it uses, for good: the hard limits are as low as the soft ones.
pub(super) fn set(memory_mib: u64) -> io::Result<()> {
    let fixed = |n| Rlimit { current: Some(n), maximum: Some(n) };
    setrlimit(Resource::Core, fixed(0))?;
    setrlimit(Resource::Nofile, fixed(DESCRIPTORS))?;
    // Nothing is written to files; pipes and sockets are not counted.
    setrlimit(Resource::Fsize, fixed(0))?;
    setrlimit(Resource::Memlock, fixed(0))?;
    Ok(setrlimit(Resource::As, fixed(memory_mib.saturating_mul(1 << 20)))?)
    // No limit of processes: that one counts per user over the whole machine. Forks are refused as calls.
}

/// Lets a child use as much more CPU time as one more document may take. Called by its parent, as inside of the sandbox
/// nobody may; CPU time adds up over all documents of the child, so it is counted from what it has used.
pub(in crate::extract) fn allow_cpu(pid: u32, limits: &Limits) -> io::Result<()> {
    let child = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let child = child.ok_or_else(|| io::Error::other("that is no process"))?;
    let seconds = cpu_seconds(child)? + limits.document_ms / 1_000 * 2 + CPU_BESIDE_S;
    // A child has the hard limit of its parent, which only a privileged process could raise.
    let maximum = getrlimit(Resource::Cpu).maximum;
    let current = Some(maximum.map_or(seconds, |maximum| seconds.min(maximum)));
    prlimit(Some(child), Resource::Cpu, Rlimit { current, maximum })?;
    Ok(())
}

/// CPU time that a process has used, in whole seconds.
fn cpu_seconds(process: Pid) -> io::Result<u64> {
    let mut clock = 0;
    // SAFETY: both write to a place of their type that lives over the call.
    unsafe {
        let failed = libc::clock_getcpuclockid(process.as_raw_nonzero().get(), &mut clock);
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed));
        }
        let mut used = std::mem::zeroed::<libc::timespec>();
        if libc::clock_gettime(clock, &mut used) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(used.tv_sec.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_knows_its_parent() {
        let parent = rustix::process::getppid().unwrap().as_raw_nonzero().get().unsigned_abs();
        assert!(is_child_of(parent));
        assert!(!is_child_of(parent + 1));
    }

    #[test]
    fn cpu_time_is_allowed_from_outside_and_only_to_processes_that_are_there() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let limits = Limits { document_ms: 30_000, ..Limits::default() };
        allow_cpu(child.id(), &limits).unwrap();
        let shown = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let line = shown.lines().find(|line| line.starts_with("Max cpu time")).unwrap();
        assert_eq!(line.split_whitespace().nth(3), Some("120"), "{line}");
        assert!(allow_cpu(child.id(), &limits).is_err());
        assert!(allow_cpu(0, &limits).is_err());
    }
}
