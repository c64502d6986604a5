//! Why a document failed: one code a cause, what it means and what to do about it.
//!
//! Codes are part of the user contract (reports, dead letters, metrics): never renamed, only added.

use serde::{Deserialize, Serialize};

use crate::delivery::Stage;

/// What a retry can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Trying again as it is cannot help; dead-lettered at once.
    Permanent,
    /// May pass by itself; retried with back-off.
    Transient,
    /// The extractor child died over it; three of these and it is dead-lettered.
    ChildCrash,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $class:ident, $meaning:literal, $advice:literal;)+) => {
        /// Cause of a failed document.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum FailureCode {
            $(
                #[doc = $meaning]
                #[serde(rename = $code)]
                $variant,
            )+
        }

        impl FailureCode {
            /// All codes, in the order of the reference.
            pub const ALL: &'static [FailureCode] = &[$(FailureCode::$variant),+];

            /// The code as reports print it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// What a retry can change.
            pub fn class(self) -> FailureClass {
                match self { $(Self::$variant => FailureClass::$class),+ }
            }

            /// One sentence that says what happened.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),+ }
            }

            /// One sentence that says what the user can do.
            pub fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice),+ }
            }

            /// The names of all codes, for whoever gave another.
            pub fn names() -> String {
                Self::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>().join(", ")
            }

            /// The code with this name.
            pub fn parse(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == code)
            }
        }
    };
}

codes! {
    Empty = "empty", Permanent,
        "the file has no bytes", "remove it, or write its content and run again";
    NoText = "no_text", Permanent,
        "no text was found on any page", "if it is a scan, run with --ocr auto or always and the right --languages";
    TypeUnsupported = "type_unsupported", Permanent,
        "the format is not one that docmill reads", "convert it to PDF, DOCX, HTML or text";
    Unreadable = "unreadable", Permanent,
        "the file cannot be read", "check that it exists and that you may read it, then run again";
    Vanished = "vanished", Permanent,
        "the file went away before it was read", "nothing to do if it was removed on purpose; --sync forgets it";
    ChangedWhileRead = "changed_while_read", Transient,
        "the file changed while it was read", "run again when it is no longer written to";
    Encrypted = "encrypted", Permanent,
        "the document needs a password",
        "give it by --passwords-file, extract.passwordsFile or spec.extract.passwordsSecretRef, or save a copy without it";
    Damaged = "damaged", Permanent,
        "the parser cannot make sense of the file", "open and save it again with the program that made it";
    LimitFileSize = "limit_file_size", Permanent,
        "the file is larger than allowed", "raise --max-file-mib, or split the file";
    LimitPages = "limit_pages", Permanent,
        "the document has more pages than allowed", "raise --max-pages, or split the file";
    LimitText = "limit_text", Permanent,
        "the document holds more text than allowed", "raise --max-text-mib, or split the file";
    LimitDepth = "limit_depth", Permanent,
        "what is packed in the file is packed too many times over", "unpack it, then run again";
    LimitEntries = "limit_entries", Permanent,
        "the file holds more files than allowed", "unpack it, then run again";
    LimitUnpacked = "limit_unpacked", Permanent,
        "the file unpacks to more than allowed", "unpack it, then run again";
    LimitPixels = "limit_pixels", Permanent,
        "a picture has more pixels than allowed", "make it smaller, then run again";
    LimitTime = "limit_time", ChildCrash,
        "a page or the document took longer than allowed", "raise --page-seconds, or look at the page named here";
    LimitMemory = "limit_memory", ChildCrash,
        "extraction needed more memory than allowed", "raise --extractor-mib, or split the file";
    LimitCpu = "limit_cpu", ChildCrash,
        "extraction used more CPU time than allowed", "raise --document-seconds, or look at the page named here";
    LimitOutput = "limit_output", ChildCrash,
        "the extractor wrote to a file, which it may not", "the file is probably made to do harm: look at where it came from";
    SandboxViolation = "sandbox_violation", ChildCrash,
        "the extractor tried to get out of its sandbox, or said what none of ours would, and was ended", "the file is probably made to do harm: look at where it came from";
    SandboxMissing = "sandbox_missing", Transient,
        "the sandbox of extractors is not whole here", "docmill-worker check-sandbox says what to do; --sandbox best-effort, or extract.sandbox: bestEffort, does without what lacks";
    ExtractorDied = "extractor_died", ChildCrash,
        "the extractor process died over this document", "the file is probably damaged: open and save it again";
    OcrUnavailable = "ocr_unavailable", Permanent,
        "a page needs OCR and no recogniser is installed", "install tesseract-ocr with the languages you need, or run with --ocr never";
    WorkerDiedRepeatedly = "worker_died_repeatedly", Permanent,
        "the worker died six times over this document without progress", "look at the page named here; replay it with more memory";
    Stalled = "stalled", Transient,
        "no progress was made for longer than the lease allows", "run again; if it repeats, look at the page named here";
    ModelFailed = "model_failed", Transient,
        "the embedding or concept model gave an error", "run again; if it repeats, check the model";
    StoreFailed = "store_failed", Transient,
        "a store did not take the rows", "check the disk or the store, then run again";
    Cancelled = "cancelled", Permanent,
        "the batch that it was submitted with was cancelled", "submit it again, or replay it";
    DiskFull = "disk_full", Transient,
        "the disk is full", "free space under the data directory, then run again";
    Internal = "internal", Transient,
        "docmill met a state that it does not expect", "please report it with the log";
}

/// A failure with where it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {}", code.as_str(), detail)]
pub struct Failure {
    /// The cause.
    pub code: FailureCode,
    /// What happened, for a person; one line, at most [`Failure::DETAIL_BYTES_MAX`] bytes.
    pub detail: String,
    /// The stage in which it happened; none where nothing was in work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// The page (from 1) at which it happened, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// Last lines that the extractor wrote to standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
}

impl Failure {
    /// Longest detail and longest stderr tail kept, in bytes.
    pub const DETAIL_BYTES_MAX: usize = 2_000;

    /// A failure of this cause; control characters in the detail become spaces, and it is cut to its limit.
    pub fn new(code: FailureCode, detail: impl AsRef<str>) -> Self {
        Self { code, detail: one_line(detail.as_ref()), stage: None, page: None, stderr: None }
    }

    /// Adds the stage, unless it is known.
    pub fn in_stage(mut self, stage: Stage) -> Self {
        self.stage.get_or_insert(stage);
        self
    }

    /// Adds the page.
    pub fn at_page(mut self, page: u32) -> Self {
        self.page = Some(page);
        self
    }

    /// Adds the tail of standard error.
    pub fn with_stderr(mut self, stderr: &str) -> Self {
        let tail_start = stderr.len().saturating_sub(Self::DETAIL_BYTES_MAX);
        let tail_start = (tail_start..=stderr.len()).find(|&i| stderr.is_char_boundary(i)).unwrap_or(0);
        let tail = stderr[tail_start..].trim();
        self.stderr = (!tail.is_empty()).then(|| tail.to_owned());
        self
    }
}

/// Cuts to the limit and replaces control characters, as details reach logs and terminals.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for c in text.trim().chars() {
        if line.len() + c.len_utf8() > Failure::DETAIL_BYTES_MAX {
            break;
        }
        line.push(if c.is_control() { ' ' } else { c });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_parse_back() {
        for &code in FailureCode::ALL {
            assert_eq!(FailureCode::parse(code.as_str()), Some(code));
        }
    }

    #[test]
    fn details_are_one_bounded_line() {
        let failure = Failure::new(FailureCode::Damaged, format!("a\n\x1b[31m{}", "é".repeat(3_000)));
        assert!(failure.detail.len() <= Failure::DETAIL_BYTES_MAX);
        assert!(!failure.detail.contains(['\n', '\x1b']));
        let long = "é".repeat(3_000);
        assert!(failure.with_stderr(&long).stderr.unwrap().len() <= Failure::DETAIL_BYTES_MAX);
    }
}
