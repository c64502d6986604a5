//! seccomp: the system calls that parsers make are let through, those that only an escape wants end the child at once
//! (SIGSYS, which its parent takes for an attempt), all others are refused with EPERM, as libraries expect of a right that
//! they lack.

mod program;

use std::collections::BTreeMap;

use seccompiler::BpfProgram;

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

/// Puts the filter up, in this thread; there is no other.
///
/// # Errors
/// The kernel has none, or this processor's calls are not known, as a sentence.
pub(super) fn confine() -> Result<(), String> {
    let program = program_of(rustix::process::getpid().as_raw_nonzero().get())?;
    seccompiler::apply_filter(&program).map_err(|error| format!("it cannot be put up: {error}"))
}

/// All answers as one program of the kernel's, for the process of this number.
fn program_of(own_process: libc::c_int) -> Result<BpfProgram, String> {
    let mut calls = BTreeMap::new();
    for (call, answer) in answers(own_process) {
        let number = u32::try_from(call).map_err(|_| format!("no call has the number {call}"))?;
        calls.insert(number, answer.code());
    }
    program::of(&calls, &Answer::Refused.code())
}

/// What a call is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// It is let through.
    Through,
    /// It is let through if this argument, an `int`, is one of these; else refused.
    ThroughIf(u8, Vec<libc::c_int>),
    /// The same if the first argument, an `int`, and the third one are zero.
    ThroughIfNothingIsSet,
    /// As of a right that the process lacks.
    Refused,
    /// As on a kernel that does not know it.
    Absent,
    /// The process ends.
    Fatal,
    /// The process ends, unless a thread is asked for, which is refused without ado: a library may try one and do without.
    FatalUnlessThread,
}

/// Of every call that is not simply refused.
fn answers(own_process: libc::c_int) -> BTreeMap<libc::c_long, Answer> {
    let fatal = FATAL.iter().chain(FATAL_HERE).map(|call| (*call, Answer::Fatal));
    let through = ALLOWED.iter().chain(ALLOWED_HERE).map(|call| (*call, Answer::Through));
    let mut answers: BTreeMap<_, _> = fatal.chain(through).collect();
    answers.extend([
        (libc::SYS_clone, Answer::FatalUnlessThread),
        // The C library then falls back to `clone`, which can be looked into.
        (libc::SYS_clone3, Answer::Absent),
        (libc::SYS_prctl, Answer::ThroughIf(0, PRCTL.to_vec())),
        (libc::SYS_fcntl, Answer::ThroughIf(1, FCNTL.to_vec())),
        // Documents come through the standard input.
        (libc::SYS_recvmsg, Answer::ThroughIf(0, vec![libc::STDIN_FILENO])),
        // Aborting is a signal to oneself.
        (libc::SYS_tgkill, Answer::ThroughIf(0, vec![own_process])),
        (libc::SYS_kill, Answer::ThroughIf(0, vec![own_process])),
        // Looking at its own limits, not setting any.
        (libc::SYS_prlimit64, Answer::ThroughIfNothingIsSet),
    ]);
    answers
}

impl Answer {
    /// The instructions that give it.
    fn code(&self) -> BpfProgram {
        use program::{high, if_any_bit, if_equal, low, returns};
        let [through, refused] = [libc::SECCOMP_RET_ALLOW, errno(libc::EPERM)].map(returns);
        match self {
            Self::Through => vec![through],
            Self::Refused => vec![refused],
            Self::Absent => vec![returns(errno(libc::ENOSYS))],
            Self::Fatal => vec![returns(libc::SECCOMP_RET_KILL_PROCESS)],
            Self::FatalUnlessThread => {
                let thread = libc::CLONE_THREAD.cast_unsigned();
                vec![low(0), if_any_bit(thread, 1, 0), returns(libc::SECCOMP_RET_KILL_PROCESS), refused]
            }
            Self::ThroughIf(argument, values) => {
                let mut code = vec![low(*argument)];
                for (after, value) in (1..).zip(values.iter().rev()) {
                    code.insert(1, if_equal(value.cast_unsigned(), after, 0));
                }
                code.extend([refused, through]);
                code
            }
            Self::ThroughIfNothingIsSet => vec![
                low(0),
                if_equal(0, 0, 4),
                low(2),
                if_equal(0, 0, 2),
                high(2),
                if_equal(0, 1, 0),
                refused,
                through,
            ],
        }
    }
}

fn errno(code: libc::c_int) -> u32 {
    libc::SECCOMP_RET_ERRNO | (code.cast_unsigned() & libc::SECCOMP_RET_DATA)
}

#[cfg(test)]
mod tests;
