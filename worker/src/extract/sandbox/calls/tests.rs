//! The library's filters say what ours has to answer.

use std::collections::BTreeSet;

use seccompiler::{
    BackendError, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use super::*;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

const OWN: libc::c_int = 4_711;
/// More than any architecture has.
const CALLS: u32 = 600;

/// The same as three filters of the library's, oldest first: each knows two answers.
fn library() -> [BpfProgram; 3] {
    let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let compiled = |rules, otherwise, then| -> BpfProgram {
        SeccompFilter::new(rules, otherwise, then, arch).unwrap().try_into().unwrap()
    };
    let absent: Rules = [(libc::SYS_clone3, Vec::new())].into();
    [
        compiled(fatal().unwrap(), SeccompAction::Allow, SeccompAction::KillProcess),
        compiled(absent, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32)),
        compiled(allowed().unwrap(), SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow),
    ]
}

fn fatal() -> Result<Rules, BackendError> {
    let mut rules: Rules = FATAL.iter().chain(FATAL_HERE).map(|call| (*call, Vec::new())).collect();
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
    rules.insert(libc::SYS_recvmsg, one_of(0, &[libc::STDIN_FILENO])?);
    rules.insert(libc::SYS_tgkill, one_of(0, &[OWN])?);
    rules.insert(libc::SYS_kill, one_of(0, &[OWN])?);
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
    let value = u64::from(value.cast_unsigned());
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

/// One call as the kernel shows it to filters.
fn asked(call: u32, architecture: u32, arguments: [u64; 3]) -> [u32; 16] {
    let mut words = [0; 16];
    (words[0], words[1]) = (call, architecture);
    for (place, argument) in words[4..].chunks_exact_mut(2).zip(arguments) {
        (place[0], place[1]) = (argument as u32, (argument >> 32) as u32);
    }
    words
}

/// What a program answers, as the kernel would have it run.
fn run(program: &[sock_filter], asked: &[u32; 16]) -> u32 {
    let (mut at, mut seen) = (0, 0);
    loop {
        let sock_filter { code, jt, jf, k } = program[at].clone();
        at += 1;
        let holds = match code {
            0x20 => {
                seen = asked[k as usize / 4];
                continue;
            }
            0x54 => {
                seen &= k;
                continue;
            }
            0x05 => {
                at += k as usize;
                continue;
            }
            0x06 => return k,
            0x15 => seen == k,
            0x25 => seen > k,
            0x35 => seen >= k,
            0x45 => seen & k != 0,
            other => panic!("an instruction that is not known: {other:#x}"),
        };
        at += usize::from(if holds { jt } else { jf });
    }
}

/// Of several answers the kernel follows the strictest one, and of these the newest filter's.
fn strictest(programs: &[BpfProgram], asked: &[u32; 16]) -> u32 {
    let answers = programs.iter().rev().map(|program| run(program, asked));
    answers.min_by_key(|answer| (answer & libc::SECCOMP_RET_ACTION_FULL).cast_signed()).unwrap()
}

/// Arguments of which any is what something depends on.
fn arguments() -> Vec<[u64; 3]> {
    let named = PRCTL.iter().chain(FCNTL).chain(&[OWN, libc::CLONE_THREAD, libc::F_SETOWN, 0, -1]);
    let named: BTreeSet<u64> = named.map(|value| u64::from(value.cast_unsigned())).collect();
    let near =
        named.iter().flat_map(|value| [*value, value ^ 1, value | 0x11, value | (1_u64 << 32), value << 1]);
    let values: BTreeSet<u64> = near.chain([u64::MAX, 1 << 63]).collect();
    let one = values.iter().flat_map(|value| [[*value, 0, 0], [0, *value, 0], [0, 0, *value]]);
    let two: [[u64; 3]; 4] = [[1, 0, 1], [0, 7, 1 << 32], [1 << 32, 7, 0], [1, 7, 1 << 40]];
    one.chain(two).collect()
}

#[test]
fn every_call_is_answered_as_by_the_librarys_filters() {
    let (ours, library) = (program_of(OWN).unwrap(), library());
    let own = library[0][1].k;
    let arguments = arguments();
    let of_other_numbers = [0x4000_0000, 0x4000_0000 + 41, u32::MAX];
    for call in (0..CALLS).chain(of_other_numbers) {
        for arguments in &arguments {
            let asked = asked(call, own, *arguments);
            let expected = strictest(&library, &asked);
            assert_eq!(run(&ours, &asked), expected, "call {call} with {arguments:x?}");
        }
    }
    // Programs of 32 bits have other numbers.
    for other in [0, own ^ 0x8000_0000, 0x4000_0003] {
        assert_eq!(run(&ours, &asked(0, other, [0; 3])), libc::SECCOMP_RET_KILL_PROCESS);
    }
}

#[test]
fn it_is_less_than_half_of_the_librarys() {
    let (ours, library) = (program_of(OWN).unwrap(), library());
    let all: usize = library.iter().map(Vec::len).sum();
    assert!((10..all / 2).contains(&ours.len()), "{} beside {all}", ours.len());
}

#[test]
fn no_call_is_both_let_through_and_fatal() {
    let let_through: BTreeSet<i64> = allowed().unwrap().into_keys().collect();
    let fatal: BTreeSet<i64> = fatal().unwrap().into_keys().collect();
    assert_eq!(let_through.intersection(&fatal).next(), None);
    assert_eq!(FATAL.len() + FATAL_HERE.len() + 1, fatal.len(), "none is named twice");
    assert_eq!(let_through.len() + fatal.len(), answers(OWN).len());
    // More filters could only forbid more; that one child changes what holds it is still not wanted.
    assert!(!let_through.contains(&libc::SYS_seccomp));
}
