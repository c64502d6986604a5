//! A filter of system calls as the kernel runs it: one program that finds a call's answer by halving. The library's
//! programs compare a call with one after the other and know two answers each, so three would be needed; the kernel
//! translates every instruction, and runs them for every call there is, each time an extractor starts. What calls are
//! answered with is decided by others.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, sock_filter};

/// Where `struct seccomp_data` has what is asked.
const CALL_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

// Instructions of `linux/bpf_common.h`.
const LOAD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_NOT_LESS: u16 = 0x35;
const JUMP_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// Ends the program with this answer.
pub(super) fn returns(answer: u32) -> sock_filter {
    sock_filter { code: RETURN, jt: 0, jf: 0, k: answer }
}

/// Looks at the lower half of an argument: all of an `int`.
pub(super) fn low(argument: u8) -> sock_filter {
    // All architectures that are known here put it first.
    load(ARGUMENTS_AT + 8 * u32::from(argument))
}

/// Looks at the upper half of an argument.
pub(super) fn high(argument: u8) -> sock_filter {
    load(ARGUMENTS_AT + 8 * u32::from(argument) + 4)
}

/// Leaves out so many instructions where what was looked at is this, and so many where not.
pub(super) fn if_equal(value: u32, then: u8, otherwise: u8) -> sock_filter {
    sock_filter { code: JUMP_EQUAL, jt: then, jf: otherwise, k: value }
}

/// The same where it has any of these bits.
pub(super) fn if_any_bit(bits: u32, then: u8, otherwise: u8) -> sock_filter {
    sock_filter { code: JUMP_ANY_BIT, jt: then, jf: otherwise, k: bits }
}

fn load(at: u32) -> sock_filter {
    sock_filter { code: LOAD, jt: 0, jf: 0, k: at }
}

/// The program that answers each of these calls with its instructions, and all others with the other ones. Calls of another
/// architecture, which have other numbers, end the process.
///
/// # Errors
/// This architecture is not known, or there are more answers than a jump can leave out, as a sentence.
pub(super) fn of(
    calls: &BTreeMap<u32, BpfProgram>,
    otherwise: &[sock_filter],
) -> Result<BpfProgram, String> {
    let own = architecture()
        .ok_or_else(|| format!("the calls of this processor are not known: {}", std::env::consts::ARCH))?;
    let mut program =
        vec![load(ARCHITECTURE_AT), if_equal(own, 1, 0), returns(libc::SECCOMP_RET_KILL_PROCESS)];
    program.push(load(CALL_AT));
    program.extend(halved(&runs(calls, otherwise))?);
    Ok(program)
}

/// As the kernel numbers it in `linux/audit.h`: the machine of its programs, of 64 bits, little end first.
fn architecture() -> Option<u32> {
    let machine = match std::env::consts::ARCH {
        "x86_64" => 62,
        "aarch64" => 183,
        "riscv64" => 243,
        _ => return None,
    };
    Some(machine | 0xc000_0000)
}

/// The first call of each run that has the same answer, from 0 on; the last run has no end.
fn runs(calls: &BTreeMap<u32, BpfProgram>, otherwise: &[sock_filter]) -> Vec<(u32, BpfProgram)> {
    let mut runs: Vec<(u32, BpfProgram)> = Vec::new();
    let mut begin = |first: u32, answer: &[sock_filter]| {
        if runs.last().is_none_or(|(_, last)| last.as_slice() != answer) {
            runs.push((first, answer.to_vec()));
        }
    };
    let mut next = 0;
    for (call, answer) in calls {
        if *call > next {
            begin(next, otherwise);
        }
        begin(*call, answer);
        next = call.saturating_add(1);
    }
    begin(next, otherwise);
    runs
}

/// The instructions that find the run of the call that was looked at.
fn halved(runs: &[(u32, BpfProgram)]) -> Result<BpfProgram, String> {
    let (lower, upper) = runs.split_at(runs.len() / 2);
    let Some((first, answer)) = upper.first() else { return Ok(Vec::new()) };
    if lower.is_empty() {
        return Ok(answer.clone());
    }
    let lower = halved(lower)?;
    let left_out = u8::try_from(lower.len())
        .map_err(|_| format!("{} instructions are more than a jump can leave out", lower.len()))?;
    let mut program = vec![sock_filter { code: JUMP_NOT_LESS, jt: left_out, jf: 0, k: *first }];
    program.extend(lower);
    program.extend(halved(upper)?);
    Ok(program)
}
