//! What of the sandbox holds here, what lacks, and what that means to a person.

use std::fmt;

use docmill_core::failure::{Failure, FailureCode};
use serde::{Deserialize, Serialize};

use super::SandboxMode;

/// What a child gives up, by the means that takes it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// Descriptors that its parent left open.
    Descriptors,
    /// Living on without its parent.
    Orphans,
    /// Gaining rights by starting programs.
    Privileges,
    /// Memory, CPU time, files and core dumps beyond limits.
    Limits,
    /// Files, and on newer kernels TCP and processes outside.
    Landlock,
    /// System calls that parsers do not make.
    Seccomp,
}

impl Piece {
    /// All of them, in the order in which they are given up.
    pub const ALL: &'static [Self] =
        &[Self::Descriptors, Self::Orphans, Self::Privileges, Self::Limits, Self::Landlock, Self::Seccomp];

    /// Its name in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::Orphans => "orphans",
            Self::Privileges => "privileges",
            Self::Limits => "limits",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        }
    }

    /// What it keeps an extractor from.
    pub fn keeps_from(self) -> &'static str {
        match self {
            Self::Descriptors => "files and connections that its parent has open",
            Self::Orphans => "outliving its parent",
            Self::Privileges => "rights that programs bring",
            Self::Limits => "more memory, CPU time, descriptors and file content than allowed; core dumps",
            Self::Landlock => "files other than libraries, fonts and models",
            Self::Seccomp => "sockets, programs, other processes and namespaces",
        }
    }

    /// What may bring it back.
    pub fn what_to_do(self) -> &'static str {
        match self {
            Self::Descriptors => "use a kernel from 5.9 on, or mount /proc",
            Self::Orphans | Self::Privileges => {
                "look at the container's seccomp profile: RuntimeDefault allows prctl"
            }
            Self::Limits => "look at the limits that the process is started with: they may only be lowered",
            Self::Landlock => {
                "use a kernel from 5.13 on with landlock in its lsm= list, and a container runtime whose seccomp profile \
                 lists landlock_create_ruleset (containerd 1.6, Docker 23)"
            }
            Self::Seccomp => {
                "use a kernel with CONFIG_SECCOMP_FILTER on x86_64 or aarch64, and a container's seccomp profile that \
                 allows seccomp, as RuntimeDefault does"
            }
        }
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A piece that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Which.
    pub piece: Piece,
    /// What the system said.
    pub why: String,
}

/// What holds an extractor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxReport {
    /// Version of Landlock that is in force; 0: none.
    pub landlock_abi: u32,
    /// Whether system calls are filtered.
    pub seccomp: bool,
    /// What was asked for and is not there.
    pub missing: Vec<Missing>,
}

impl SandboxReport {
    /// Notes how giving a piece up ended.
    pub(super) fn note<T>(&mut self, piece: Piece, outcome: Result<T, impl fmt::Display>) -> Option<T> {
        match outcome {
            Ok(done) => Some(done),
            Err(error) => {
                self.missing.push(Missing { piece, why: error.to_string() });
                None
            }
        }
    }

    /// What lacks as a sentence; none where nothing does.
    pub fn lacks(&self) -> Option<String> {
        let named = |missing: &Missing| format!("{} ({})", missing.piece, missing.why);
        let missing: Vec<String> = self.missing.iter().map(named).collect();
        (!missing.is_empty()).then(|| format!("the sandbox of extractors lacks {}", missing.join(", ")))
    }

    /// What to do about what lacks.
    pub fn what_to_do(&self) -> String {
        let known: Vec<&str> = self.missing.iter().map(|missing| missing.piece.what_to_do()).collect();
        known.join("; ")
    }

    /// Whether documents may be read with what holds.
    ///
    /// # Errors
    /// A piece lacks, and all are required.
    pub fn judge(&self, mode: SandboxMode) -> Result<(), Failure> {
        match self.lacks() {
            Some(lacks) if mode == SandboxMode::Required => {
                Err(Failure::new(FailureCode::SandboxMissing, lacks))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lacks_is_named_with_its_reason_and_refused_only_where_all_is_required() {
        let mut report = SandboxReport::default();
        assert_eq!(report.note(Piece::Seccomp, Ok::<_, String>(7)), Some(7));
        assert_eq!(report.judge(SandboxMode::Required), Ok(()));
        assert_eq!(report.note(Piece::Landlock, Err::<(), _>("it is switched off")), None);
        let refused = report.judge(SandboxMode::Required).unwrap_err();
        assert_eq!(refused.code, FailureCode::SandboxMissing);
        assert_eq!(refused.detail, "the sandbox of extractors lacks landlock (it is switched off)");
        assert_eq!(report.judge(SandboxMode::BestEffort), Ok(()));
        assert!(report.what_to_do().contains("5.13"));
    }

    #[test]
    fn pieces_are_named_as_they_are_written() {
        for piece in Piece::ALL {
            assert_eq!(serde_json::to_value(piece).unwrap(), piece.as_str());
        }
    }
}
