//! seccomp: the system calls that parsers make are let through, those that only an escape wants end the child at once
//! (SIGSYS, which its parent takes for an attempt), all others are refused with EPERM, as libraries expect of a right that
//! they lack.
//!
//! Three filters lie over each other, as one can answer in two ways only; the kernel follows the strictest answer.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// Calls that are let through whatever they are asked for.
const ALLOWED: &[libc::c_long] = &[
    // Memory. Libraries are loaded late, so pages may be made executable.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    // Files, of which Landlock says which: reading, and writing to what is open.
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_fadvise64,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_ppoll,
    // Signals that it handles, and its end.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Time, waiting, chance.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_getrandom,
    // What it is and where it runs.
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrusage,
    libc::SYS_times,
    libc::SYS_getcpu,
    libc::SYS_sched_getaffinity,
    libc::SYS_sysinfo,
    libc::SYS_uname,
];

/// The same by older names, which newer architectures do not have.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_getdents,
    libc::SYS_poll,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[libc::c_long] = &[];

/// Calls that no parser makes, whatever is in a document.
const FATAL: &[libc::c_long] = &[
    // The network, other processes' sockets.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    // Other programs; code from memory that is no file.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
    // Ways round: calls by other means, files by other names.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // Namespaces, mounts, roots.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    // The kernel itself, where its mistakes have been.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
];

#[cfg(target_arch = "x86_64")]
const FATAL_HERE: &[libc::c_long] =
    &[libc::SYS_fork, libc::SYS_vfork, libc::SYS_modify_ldt, libc::SYS_iopl, libc::SYS_ioperm];
#[cfg(not(target_arch = "x86_64"))]
const FATAL_HERE: &[libc::c_long] = &[];

/// What `prctl` may be asked: names of memory and threads, huge pages, what the kernel told at the start.
const PRCTL: &[libc::c_int] =
    &[PR_SET_VMA, PR_GET_AUXV, libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_GET_THP_DISABLE];
const PR_SET_VMA: libc::c_int = 0x5356_4d41;
const PR_GET_AUXV: libc::c_int = 0x4155_5856;

/// What `fcntl` may be asked: flags, and another number for the same file. Not who is signalled.
const FCNTL: &[libc::c_int] =
    &[libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL, libc::F_DUPFD, libc::F_DUPFD_CLOEXEC];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Puts the filters up, in this thread; there is no other.
///
/// # Errors
/// The kernel has none, or is not known to the compiler of filters, as a sentence.
pub(super) fn confine() -> Result<(), String> {
    let programs = programs().map_err(|error| format!("this processor's calls are not known: {error}"))?;
    for program in programs {
        seccompiler::apply_filter(&program).map_err(|error| format!("it cannot be put up: {error}"))?;
    }
    Ok(())
}

/// In the order in which they are put up: the last one refuses to take any more.
fn programs() -> Result<[BpfProgram; 3], BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let compiled = |rules, otherwise, then| -> Result<BpfProgram, BackendError> {
        SeccompFilter::new(rules, otherwise, then, arch)?.try_into()
    };
    // The C library then falls back to `clone`, which can be looked into.
    let absent: Rules = [(libc::SYS_clone3, Vec::new())].into();
    Ok([
        compiled(fatal()?, SeccompAction::Allow, SeccompAction::KillProcess)?,
        compiled(absent, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?,
        compiled(allowed()?, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)?,
    ])
}

fn fatal() -> Result<Rules, BackendError> {
    let mut rules: Rules = FATAL.iter().chain(FATAL_HERE).map(|call| (*call, Vec::new())).collect();
    // Another process. A thread is refused without ado: a library may try one and do without.
    let thread = libc::CLONE_THREAD as u64;
    let no_thread = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(thread), 0)?;
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![no_thread])?]);
    Ok(rules)
}

fn allowed() -> Result<Rules, BackendError> {
    let mut rules: Rules = ALLOWED.iter().chain(ALLOWED_HERE).map(|call| (*call, Vec::new())).collect();
    // Decided by the filter before this one.
    rules.insert(libc::SYS_clone3, Vec::new());
    rules.insert(libc::SYS_prctl, one_of(0, PRCTL)?);
    rules.insert(libc::SYS_fcntl, one_of(1, FCNTL)?);
    // Documents come through the standard input.
    rules.insert(libc::SYS_recvmsg, one_of(0, &[libc::STDIN_FILENO])?);
    // Aborting is a signal to oneself.
    let own = rustix::process::getpid().as_raw_nonzero().get();
    rules.insert(libc::SYS_tgkill, one_of(0, &[own])?);
    rules.insert(libc::SYS_kill, one_of(0, &[own])?);
    // Looking at its own limits, not setting any.
    let own_process = equals(0, 0)?;
    let no_new_limit = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?;
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![own_process, no_new_limit])?]);
    Ok(rules)
}

/// One rule for each value that this argument may have.
fn one_of(argument: u8, values: &[libc::c_int]) -> Result<Vec<SeccompRule>, BackendError> {
    values.iter().map(|value| SeccompRule::new(vec![equals(argument, *value)?])).collect()
}

/// An `int` argument: of its register the kernel reads the lower half.
fn equals(argument: u8, value: libc::c_int) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Eq,
        u64::from(value.cast_unsigned()),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn filters_are_compiled_and_no_call_is_both_let_through_and_fatal() {
        for program in programs().unwrap() {
            assert!((10..4_096).contains(&program.len()), "{}", program.len());
        }
        let let_through: BTreeSet<i64> = allowed().unwrap().into_keys().collect();
        let fatal: BTreeSet<i64> = fatal().unwrap().into_keys().collect();
        assert_eq!(let_through.intersection(&fatal).next(), None);
        assert_eq!(FATAL.len() + FATAL_HERE.len() + 1, fatal.len(), "none is named twice");
        // More filters could only forbid more; that one child changes what holds it is still not wanted.
        assert!(!let_through.contains(&libc::SYS_seccomp));
    }
}
