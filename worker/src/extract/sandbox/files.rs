//! Landlock: what may still be opened is read, and little of that. Every other file is as if its rights forbade it,
//! and so are TCP, abstract sockets and signals to processes outside where the kernel is new enough; those are barred as
//! calls too, so an older kernel lacks nothing.

use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

/// The newest version that is asked for; an older kernel gives what it has.
const NEWEST: ABI = ABI::V10;

/// Leaves these folders and files to read. Returns the kernel's version of Landlock.
///
/// # Errors
/// It is not there, or not allowed to be used, as a sentence.
pub(super) fn confine(readable: &[PathBuf]) -> Result<u32, String> {
    let version = version()?;
    match restrict(readable) {
        Ok(RulesetStatus::NotEnforced) => Err("it was put up and is not in force".to_owned()),
        Ok(RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced) => Ok(version),
        Err(error) => Err(format!("it cannot be put up: {error}")),
    }
}

fn restrict(readable: &[PathBuf]) -> Result<RulesetStatus, RulesetError> {
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(readable, AccessFs::ReadFile | AccessFs::ReadDir))?
        .restrict_self()?;
    Ok(status.ruleset)
}

/// Asks the kernel itself: the library does not tell why there is none.
fn version() -> Result<u32, String> {
    const CREATE_RULESET_VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the call reads no memory and makes nothing.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0 as libc::size_t,
            CREATE_RULESET_VERSION,
        )
    };
    match u32::try_from(answer) {
        Ok(version) if version > 0 => Ok(version),
        Ok(_) => Err("the kernel names no version".to_owned()),
        Err(_) => Err(why_absent(&io::Error::last_os_error())),
    }
}

fn why_absent(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => "the kernel has none".to_owned(),
        Some(libc::EOPNOTSUPP) => "the kernel was started without it".to_owned(),
        Some(libc::EPERM | libc::EACCES) => "the container's seccomp profile forbids it".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_a_container_and_a_setting_are_told_apart() {
        let why = |code| why_absent(&io::Error::from_raw_os_error(code));
        assert_eq!(why(libc::ENOSYS), "the kernel has none");
        assert_eq!(why(libc::EOPNOTSUPP), "the kernel was started without it");
        assert!(why(libc::EPERM).contains("profile"));
        assert!(why(libc::EIO).contains("os error 5"));
    }
}
