//! The report of a run: what went in, what came of it, how fast. Its JSON is part of the user contract.

use std::collections::BTreeMap;

use docmill_core::failure::Failure;
use docmill_core::report::Stats;
use serde::Serialize;

use crate::ledger::Summary;
use crate::page_note::{Outcome, PageNote};

/// A document that this run gave up.
#[derive(Debug, Clone, Serialize)]
pub struct FailedDocument {
    /// Where it is.
    pub uri: String,
    /// Why.
    #[serde(flatten)]
    pub failure: Failure,
    /// What to do.
    pub advice: &'static str,
}

/// A document that was read, but not all of it.
#[derive(Debug, Clone, Serialize)]
pub struct LossyDocument {
    /// Where it is.
    pub uri: String,
    /// Its pages.
    pub pages: u32,
    /// Of them, those that could not be read, or not to their end.
    pub lost_pages: u32,
    /// Why; of very many the first ones.
    pub losses: Vec<PageNote>,
}

impl LossyDocument {
    /// What a committed document lost; nothing of one that was read whole.
    pub fn of(uri: &str, summary: &Summary) -> Option<Self> {
        let losses = PageNote::all(&summary.notes).into_iter().filter(|note| note.outcome == Outcome::Lost);
        (summary.lost_pages > 0).then(|| Self {
            uri: uri.to_owned(),
            pages: summary.pages,
            lost_pages: summary.lost_pages,
            losses: losses.collect(),
        })
    }
}

/// See the module. Rates are over the whole run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Documents that this run worked on.
    pub documents: u64,
    /// Of them, committed.
    pub succeeded: u64,
    /// Of them, dead-lettered.
    pub failed: u64,
    /// Files that are what they were.
    pub skipped: u64,
    /// Documents that moved: only their place changed.
    pub moved: u64,
    /// Documents whose file this scan did not see, left as they are.
    pub vanished: u64,
    /// Documents removed because their file is gone.
    pub removed: u64,
    /// Pages.
    pub pages: u64,
    /// Pages whose text was recognised.
    pub ocr_pages: u64,
    /// Pages that could not be read, or not to their end, in documents that were committed all the same.
    pub lost_pages: u64,
    /// Chunks.
    pub chunks: u64,
    /// Concepts of the tenant after the run.
    pub concepts: u64,
    /// Bytes of the documents.
    pub bytes: u64,
    /// Wall-clock time of the run.
    pub seconds: f64,
    /// Documents a second.
    pub docs_per_second: f64,
    /// Megabytes (10⁶) a second.
    pub mb_per_second: f64,
    /// Highest sum of the proportional set sizes of the process tree, in MiB.
    pub peak_rss_mib: f64,
    /// CPU of the process tree, 100 for one core.
    pub cpu_percent: f64,
    /// Mean time of a document from claim to ack.
    pub mean_document_seconds: f64,
    /// Median of the same.
    pub median_document_seconds: f64,
    /// Texts that the embedding model was asked for.
    pub embedded_texts: u64,
    /// Calls of the embedding model.
    pub embedding_calls: u64,
    /// Sum over documents of the time in each stage.
    pub stage_seconds: BTreeMap<String, f64>,
    /// Dead letters of this run by code.
    pub failures_by_code: BTreeMap<String, u64>,
    /// The dead letters.
    pub failures: Vec<FailedDocument>,
    /// Documents that were read with losses, at most [`Report::LOSSY_MAX`] of them.
    pub read_with_losses: Vec<LossyDocument>,
    /// What the user should know: files that could not be read while scanning, languages without vectors.
    pub warnings: Vec<String>,
}

/// What the rates are computed from.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReportInput {
    /// Wall-clock seconds.
    pub seconds: f64,
    /// CPU seconds of the process tree.
    pub cpu_seconds: f64,
}

impl Report {
    /// Most documents of which a report says what they lost: a pile of broken files must not fill the memory.
    pub const LOSSY_MAX: usize = 10_000;

    /// Notes what a committed document lost.
    pub fn note_losses(&mut self, uri: &str, summary: &Summary) {
        self.lost_pages += u64::from(summary.lost_pages);
        if self.read_with_losses.len() < Self::LOSSY_MAX {
            self.read_with_losses.extend(LossyDocument::of(uri, summary));
        }
    }

    /// Fills in the rates.
    pub fn with_rates(mut self, input: ReportInput, document_seconds: &[f64]) -> Self {
        let seconds = input.seconds.max(1e-9);
        self.seconds = input.seconds;
        self.docs_per_second = self.documents as f64 / seconds;
        self.mb_per_second = self.bytes as f64 / 1e6 / seconds;
        self.cpu_percent = 100.0 * input.cpu_seconds / seconds;
        let stats = Stats::of(document_seconds);
        (self.mean_document_seconds, self.median_document_seconds) = (stats.mean, stats.median);
        self
    }
}
