//! What an extractor child gives up before it is given a document: files, sockets, programs, other processes, memory.
//! Knows nothing of documents and starts no process.
//!
//! Whoever takes a parser over finds three nets. [`limits`] bounds what a process uses and whom it outlives. [`files`]
//! (Landlock) leaves libraries, fonts and models to read, and nothing to write. [`calls`] (seccomp) leaves the system
//! calls that parsers make, and ends the child at those that only an escape wants. A document comes as an open file, so
//! none of them has to know where it is.

#[cfg(feature = "testing")]
pub mod attempts;
mod calls;
mod files;
mod limits;
mod report;
#[cfg(feature = "testing")]
pub mod trials;

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ExtractOptions, pdf, tesseract};

pub(super) use limits::allow_cpu;
pub use report::{Missing, Piece, SandboxReport};

/// Whether extractors work where the kernel or the container lacks a piece of their sandbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SandboxMode {
    /// No document is read without all of it.
    #[default]
    Required,
    /// As much of it as there is; what lacks is said.
    BestEffort,
    /// Limits alone.
    Off,
}

impl SandboxMode {
    /// The names in configurations, strictest first.
    pub const NAMES: &'static [&'static str] = &["required", "bestEffort", "off"];

    /// The mode of this name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "required" => Some(Self::Required),
            "bestEffort" => Some(Self::BestEffort),
            "off" => Some(Self::Off),
            _ => None,
        }
    }
}

/// What a child is told on its command line, before it is given a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    /// The process that starts it.
    parent: u32,
    /// What may lack.
    pub mode: SandboxMode,
    /// Its address space, in MiB.
    memory_mib: u64,
}

impl Start {
    /// For children of this process.
    pub fn of(options: &ExtractOptions) -> Self {
        Self { parent: std::process::id(), mode: options.sandbox, memory_mib: options.limits.extractor_mib }
    }

    /// As it stands on the command line.
    pub fn as_argument(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From the command line of this process.
    pub fn from_arguments() -> io::Result<Self> {
        let argument = std::env::args_os().nth(2).unwrap_or_default();
        serde_json::from_str(&argument.to_string_lossy()).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("only docmill starts extractors: {error}"))
        })
    }
}

/// Gives all of it up, in this process and for good, and says what holds. Called once, before anything else.
///
/// # Errors
/// The parent is gone: nobody is left to work for, or to be killed by.
pub(super) fn enter(start: &Start) -> io::Result<SandboxReport> {
    let mut report = SandboxReport::default();
    report.note(Piece::Descriptors, limits::close_inherited());
    report.note(Piece::Orphans, limits::die_with_parent());
    if !limits::is_child_of(start.parent) {
        return Err(io::Error::other("the process that started it is gone"));
    }
    // Without it neither of the two nets could be put up by a user who is not root.
    report.note(Piece::Privileges, limits::gain_no_privileges());
    report.note(Piece::Limits, limits::set(start.memory_mib));
    if start.mode != SandboxMode::Off {
        report.landlock_abi = report.note(Piece::Landlock, files::confine(&readable())).unwrap_or(0);
        report.seccomp = report.note(Piece::Seccomp, calls::confine()).is_some();
    }
    Ok(report)
}

/// What parsers read beside their document: libraries, which are loaded when first needed, fonts, models. Nothing here is
/// secret or of a user; what is not there is left out.
fn readable() -> Vec<PathBuf> {
    const ALWAYS: &[&str] = &[
        "/lib",
        "/lib64",
        "/usr/lib",
        "/usr/lib64",
        "/usr/local/lib",
        "/usr/local/lib64",
        "/etc/ld.so.cache",
        "/usr/share/fonts",
        "/usr/share/X11/fonts",
        "/usr/local/share/fonts",
        // How many cores there are, for libraries that ask at their start.
        "/sys/devices/system/cpu",
    ];
    let named = ["PDFIUM_LIB", "TESSERACT_LIB"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
    let own = std::env::var_os("DOCMILL_CACHE").map(|cache| PathBuf::from(cache).join("lib"));
    let always = ALWAYS.iter().map(PathBuf::from);
    let found = pdf::library_paths().into_iter().chain(tesseract::data_folder());
    // A relative name of a library is looked up in the folders above.
    let whole = |path: &PathBuf| path.is_absolute();
    always.chain(named).chain(own).chain(found).filter(whole).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_have_the_names_that_configurations_write() {
        for name in SandboxMode::NAMES {
            let mode = SandboxMode::parse(name).unwrap();
            assert_eq!(serde_json::to_value(mode).unwrap(), *name);
        }
        assert_eq!(SandboxMode::parse("Off"), None);
        assert_eq!(SandboxMode::default(), SandboxMode::Required);
    }

    #[test]
    fn a_child_reads_what_it_is_told() {
        let start = Start::of(&ExtractOptions::default());
        assert_eq!(serde_json::from_str::<Start>(&start.as_argument()).unwrap(), start);
        assert_eq!(start.parent, std::process::id());
    }

    #[test]
    fn nothing_of_a_user_or_of_processes_can_be_read() {
        for path in readable() {
            assert!(path.components().count() > 1, "{} is everything", path.display());
            for barred in ["/proc", "/root", "/home", "/run", "/var", "/tmp", "/dev"] {
                // A library that a person keeps at home is named as a file, never by its folder.
                let is_library = path.extension().is_some_and(|end| end == "so");
                let below_cache = path.ends_with("docmill/lib");
                assert!(!path.starts_with(barred) || is_library || below_cache, "{}", path.display());
            }
        }
    }
}
