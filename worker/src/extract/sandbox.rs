//! What a child takes from itself before it reads a document. Does not start processes.

use docmill_core::limits::Limits;
use rustix::process::{Resource, Rlimit, Signal, setrlimit};

/// Dies with the thread that started it, and gains no rights. Called once, at start.
pub(super) fn at_start() -> rustix::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::thread::set_no_new_privs(true)?;
    let fixed = |n| Rlimit { current: Some(n), maximum: Some(n) };
    setrlimit(Resource::Core, fixed(0))?;
    setrlimit(Resource::Nofile, fixed(64))?;
    // Nothing is written to files; pipes and sockets are not counted.
    setrlimit(Resource::Fsize, fixed(1 << 20))
    // No limit of processes: that one counts per user over the whole machine.
}

/// Address space and CPU, which the request's options give. Hard limits only shrink: children of one
/// pool always get the same.
pub(super) fn at_request(limits: &Limits) -> rustix::io::Result<()> {
    let memory = limits.extractor_mib.saturating_mul(1 << 20);
    setrlimit(Resource::As, Rlimit { current: Some(memory), maximum: Some(memory) })?;
    // The parent's clock is the deadline; this only stops a spinning child whose parent is stuck. CPU time
    // adds up over all documents of the child, so the limit is counted from what it has used.
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).tv_sec as u64;
    let seconds = used + limits.document_ms / 1_000 * 2 + 60;
    setrlimit(Resource::Cpu, Rlimit { current: Some(seconds), maximum: None })
}
