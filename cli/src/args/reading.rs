//! What may be said of how documents are read: the same for `run` and `serve`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use docmill_core::limits::Limits;
use docmill_worker::extract::OcrLanguages;
use docmill_worker::health::Bars;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Embeddings {
    Builtin,
    Mock,
    None,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Concepts {
    Builtin,
    None,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Ocr {
    Auto,
    Never,
    Always,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Sync {
    On,
    Force,
}

#[derive(Debug, ClapArgs)]
pub struct Run {
    /// Files and directories
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Remove documents whose file is gone; `--sync=force` even if more than half would go
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    pub sync: Option<Sync>,
    /// Also write the report to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    #[command(flatten)]
    pub reading: Reading,
}

#[derive(Debug, ClapArgs)]
pub struct Serve {
    /// Where it listens; others than this machine are answered only by key
    #[arg(
        long,
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS",
        env = "DOCMILL_LISTEN",
        hide_env_values = true
    )]
    pub listen: std::net::SocketAddr,
    /// A directory whose files are taken in as they come and change; may be given more than once
    #[arg(long, value_name = "DIR")]
    pub watch: Vec<PathBuf>,
    #[command(flatten)]
    pub reading: Reading,
}

/// How documents are read.
#[derive(Debug, ClapArgs)]
pub struct Reading {
    /// Extractors that work at once [default: one a core]
    #[arg(short, long, env = "WORKER_CONCURRENCY", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub workers: Option<u16>,
    /// When pages are recognised
    #[arg(long, value_enum, default_value = "auto")]
    pub ocr: Ocr,
    /// Languages of scans: `auto`, or as Tesseract names them: jpn+eng
    #[arg(long, env = "OCR_LANGUAGE", default_value = "auto")]
    pub languages: OcrLanguages,
    /// The embedding model [default: the data directory's, builtin for a new one]
    #[arg(long, value_enum)]
    pub embeddings: Option<Embeddings>,
    /// The concept model [default: the data directory's, builtin for a new one]
    #[arg(long, value_enum)]
    pub concepts: Option<Concepts>,
    #[command(flatten)]
    pub categories: Categories,
    /// Keep metrics in this file, in Prometheus' text format
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub extraction: Extraction,
}

/// What documents are told apart by [default: the data directory's].
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Categories")]
pub struct Categories {
    /// A file of categories, one NAME=DESCRIPTION a line; the name again adds an example
    #[arg(long, value_name = "FILE")]
    pub classify: Option<PathBuf>,
    /// A category; may be given more than once, and beside a file
    #[arg(long = "category", value_name = "NAME=DESCRIPTION")]
    pub categories: Vec<String>,
    /// Documents have no categories any more
    #[arg(long, conflicts_with_all = ["classify", "categories"])]
    pub no_classify: bool,
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Largest file
    #[arg(long, env = "MAX_FILE_SIZE_MB", value_name = "MIB", default_value_t = Limits::default().file_mib)]
    pub max_file_mib: u64,
    /// Largest PDF
    #[arg(long, env = "MAX_PDF_SIZE_MB", value_name = "MIB", default_value_t = Limits::default().pdf_mib)]
    pub max_pdf_mib: u64,
    /// Most pages of a PDF
    #[arg(long, env = "MAX_PDF_PAGES", value_name = "N", default_value_t = Limits::default().pdf_pages)]
    pub max_pages: u32,
    /// Most text of one document
    #[arg(long, value_name = "MIB", default_value_t = Limits::default().text_mib)]
    pub max_text_mib: u64,
    /// Longest time without a finished page
    #[arg(long, value_name = "S", default_value_t = Limits::default().page_ms / 1000)]
    pub page_seconds: u64,
    /// Longest extraction of one document
    #[arg(long, value_name = "S", default_value_t = Limits::default().document_ms / 1000)]
    pub document_seconds: u64,
    /// Address space of one extractor
    #[arg(long, value_name = "MIB", default_value_t = Limits::default().extractor_mib)]
    pub extractor_mib: u64,
    /// Free disk under the data directory below which no document is begun
    #[arg(long, value_name = "MIB", default_value_t = Bars::default().disk_mib)]
    pub min_free_disk_mib: u64,
    /// Free memory below which no document is begun
    #[arg(long, value_name = "MIB", default_value_t = Bars::default().memory_mib)]
    pub min_free_memory_mib: u64,
    /// Resolution for recognition
    #[arg(long, env = "PDF_DPI", value_name = "DPI", default_value_t = Limits::default().ocr_dpi)]
    pub ocr_dpi: u32,
}

impl LimitArgs {
    pub fn bars(&self) -> Bars {
        Bars { memory_mib: self.min_free_memory_mib, disk_mib: self.min_free_disk_mib }
    }

    pub fn limits(&self) -> Limits {
        Limits {
            file_mib: self.max_file_mib,
            pdf_mib: self.max_pdf_mib,
            pdf_pages: self.max_pages,
            text_mib: self.max_text_mib,
            page_ms: self.page_seconds.saturating_mul(1000),
            document_ms: self.document_seconds.saturating_mul(1000),
            extractor_mib: self.extractor_mib,
            ocr_dpi: self.ocr_dpi,
            ..Limits::default()
        }
    }
}

/// What commands that read documents have in common.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Extraction")]
pub struct Extraction {
    /// What to do where kernel or container lack a piece of the extractors' sandbox
    #[arg(
        long,
        value_enum,
        default_value = "required",
        env = "DOCMILL_SANDBOX",
        value_name = "MODE",
        hide_env_values = true
    )]
    pub sandbox: Sandbox,
    /// A file of passwords that encrypted documents are tried with, one a line
    #[arg(long, env = "DOCMILL_PASSWORDS_FILE", value_name = "FILE", hide_env_values = true)]
    pub passwords_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sandbox {
    Required,
    // As configurations write it, which the same variable overrides.
    #[value(alias = "bestEffort")]
    BestEffort,
    Off,
}
