//! What a run is asked to do. Parsed by the caller; checked here.

use std::path::PathBuf;

use docmill_core::id::TenantId;
use docmill_core::limits::Limits;

use crate::classify::ClassifySettings;
use crate::extract::{ExtractOptions, OcrLanguages, OcrMode, SandboxMode};
use crate::health::Bars;
use crate::secret::Secret;

/// Which embedding model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Embeddings {
    /// MiniLM, in the process.
    Builtin,
    /// Deterministic vectors without meaning, for measuring.
    Mock,
    /// Full text only.
    None,
}

/// Which concept model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concepts {
    /// Key phrases and names, in the process.
    Builtin,
    /// No graph.
    None,
}

/// What happens to documents whose file this scan did not see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// They are counted as vanished and stay.
    Off,
    /// They are removed, unless the scan was incomplete or more than half would go.
    On,
    /// They are removed even if more than half would go.
    Force,
}

/// One run over paths.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Files and directories.
    pub paths: Vec<PathBuf>,
    /// Whose documents they are.
    pub tenant: TenantId,
    /// Extractor children that work at once (`-w`).
    pub slots: usize,
    /// What happens to vanished documents.
    pub sync: Sync,
    /// When pages are recognised.
    pub ocr: OcrMode,
    /// In which languages.
    pub languages: OcrLanguages,
    /// The embedding model; `None` takes the data directory's, or the built-in one for a new one.
    pub embeddings: Option<Embeddings>,
    /// The concept model; as above.
    pub concepts: Option<Concepts>,
    /// What documents are told apart by; `None` takes the data directory's.
    pub classify: Option<ClassifySettings>,
    /// Where metrics are written, for Prometheus.
    pub metrics: Option<PathBuf>,
    /// Limits of one document.
    pub limits: Limits,
    /// What must be free on the machine.
    pub bars: Bars,
    /// What extracts.
    pub extractor: Extractor,
}

impl RunOptions {
    /// What extractors are told.
    pub(super) fn extract_options(&self) -> ExtractOptions {
        ExtractOptions {
            limits: self.limits.clone(),
            ocr: self.ocr,
            languages: self.languages.clone(),
            sandbox: self.extractor.sandbox,
            passwords: self.extractor.passwords.clone(),
        }
    }
}

/// What extracts, and what holds it.
#[derive(Debug, Clone)]
pub struct Extractor {
    /// The binary whose hidden sub-command extracts: this one, but for tests.
    pub binary: PathBuf,
    /// What may lack of its sandbox.
    pub sandbox: SandboxMode,
    /// What encrypted documents are tried with.
    pub passwords: Vec<Secret>,
}
