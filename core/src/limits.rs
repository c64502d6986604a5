//! Every limit of ingestion, named with its unit. Defaults follow the published file-pipeline figures.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long the row of a deleted document stays, in days: so long a late look at its source still finds what it was.
pub const DELETED_KEPT_DAYS: u32 = 30;

/// Limits that one document, page or process must keep. Over one: its own failure code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest file, in MiB (`MAX_FILE_SIZE_MB`).
    pub file_mib: u64,
    /// Largest PDF, in MiB (`MAX_PDF_SIZE_MB`).
    pub pdf_mib: u64,
    /// Most pages of a PDF (`MAX_PDF_PAGES`).
    pub pdf_pages: u32,
    /// Most pages of any document, with all that lies in it.
    pub pages_max: u32,
    /// Most pages of a document that may be lost to extractors that ended over them; one more and the document fails.
    pub pages_lost_max: u32,
    /// Most text of one document, in MiB, after extraction and decompression.
    pub text_mib: u64,
    /// Deepest that a document may lie in others: a mail in an archive in a mail is at two.
    pub nesting_max: u32,
    /// Most documents that one holds, at all depths together.
    pub entries_max: u32,
    /// Most bytes that all parts of a document unpack to, at all depths together, in MiB.
    pub unpacked_mib: u64,
    /// Most pixels of a picture that is decoded.
    pub pixels_max: u64,
    /// Longest time without a finished page, in milliseconds; then the extractor is killed.
    pub page_ms: u64,
    /// Longest extraction of one document, in milliseconds.
    pub document_ms: u64,
    /// Most address space of one extractor, in MiB (RLIMIT_AS); less where there is not as much memory for each.
    pub extractor_mib: u64,
    /// Resolution at which pages are rendered for recognition, in dots per inch (`PDF_DPI`).
    pub ocr_dpi: u32,
    /// Documents one extractor handles before it is replaced.
    pub extractor_documents: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_mib: 500,
            pdf_mib: 500,
            pdf_pages: 3_000,
            pages_max: 100_000,
            pages_lost_max: 3,
            text_mib: 64,
            nesting_max: 8,
            entries_max: 10_000,
            unpacked_mib: 1_024,
            pixels_max: 100_000_000,
            page_ms: 60_000,
            document_ms: 7_200_000,
            extractor_mib: 2_048,
            ocr_dpi: 200,
            extractor_documents: 500,
        }
    }
}

impl Limits {
    /// [`Limits::page_ms`] as a duration.
    pub fn page_deadline(&self) -> Duration {
        Duration::from_millis(self.page_ms)
    }

    /// [`Limits::document_ms`] as a duration.
    pub fn document_deadline(&self) -> Duration {
        Duration::from_millis(self.document_ms)
    }

    /// Longest that nothing may be heard of a document that is read, in milliseconds: a page is tried twice.
    pub fn silence_ms(&self) -> u64 {
        self.page_ms.saturating_mul(2)
    }

    /// Most pages of a document of whatever format: what a PDF may have, all may.
    pub fn pages_in_all(&self) -> u32 {
        self.pages_max.max(self.pdf_pages)
    }
}
