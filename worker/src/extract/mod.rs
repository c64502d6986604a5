//! File in, pages of text out: sniffing, parsers, OCR and the child processes they run in.
//! Does not chunk, store or decide about retries.
//!
//! Parsers of complex formats, pdfium and Tesseract run only in child processes, as a stack overflow
//! or a trap in them cannot be caught, and as whoever takes one over must find nothing there (`sandbox/`).
//! Plain text kinds are decoded in this process.

mod archive;
mod child;
mod decode;
mod draw;
mod emit;
mod epub;
mod format;
mod frame;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod fuzzing;
mod gzip;
#[cfg(feature = "testing")]
mod here;
mod html;
mod json;
mod mail;
mod markdown;
mod markup;
mod ocr;
mod office;
mod ole;
mod package;
pub mod passwords;
mod pdf;
mod picture;
mod pool;
mod process;
mod rtf;
mod sandbox;
mod sniff;
mod source;
mod spent;
mod spreadsheet;
mod tesseract;
mod text;
mod turbojpeg;
mod work;
mod xml;

use std::path::PathBuf;
use std::str::FromStr;

use docmill_core::limits::Limits;
use docmill_core::page::{DocumentInfo, Page};
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

pub use child::child_main;
pub use draw::Drawn;
pub use format::{FORMATS, Format, Kind, Place, is_in_process};
#[cfg(feature = "testing")]
pub use here::Here;
pub use pool::{Drawing, Pool};
pub use sandbox::{Missing, Piece, SandboxMode, SandboxReport};
#[cfg(feature = "testing")]
pub use sandbox::{attempts, trials};
pub use sniff::sniff;
#[cfg(feature = "testing")]
pub use spent::Spent;

/// The hidden sub-command that makes a binary an extractor child; route it to [`child_main`] first of all.
pub const CHILD_COMMAND: &str = "__extract";

/// When pages are given to character recognition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OcrMode {
    /// Only pages that have no usable text of their own.
    #[default]
    Auto,
    /// No page.
    Never,
    /// Every page.
    Always,
}

/// Which languages recognition expects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OcrLanguages {
    /// Found out: by the document's other pages, by what is read, and by the script.
    #[default]
    Auto,
    /// Always these, as Tesseract names them: `jpn+eng`.
    Fixed(String),
}

impl FromStr for OcrLanguages {
    type Err = String;

    /// `auto`, or names of models; none at all, as an empty variable has it, is `auto`.
    ///
    /// # Errors
    /// What is not a list of names, and what would be: the recogniser dies over some that are none.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let in_names = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let is_name = |name: &str| !name.is_empty() && name.chars().all(in_names);
        match text {
            "" | "auto" => Ok(Self::Auto),
            _ if text.split('+').all(is_name) => Ok(Self::Fixed(text.to_owned())),
            _ => Err(format!(
                "{text:?} is not a list of languages: auto, or as Tesseract names them, such as jpn+eng"
            )),
        }
    }
}

/// What one pool's extraction is allowed and asked to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExtractOptions {
    /// Limits of a document, a page and a child.
    pub limits: Limits,
    /// When pages are recognised.
    pub ocr: OcrMode,
    /// In which languages.
    pub languages: OcrLanguages,
    /// What may lack of what holds children.
    pub sandbox: SandboxMode,
    /// What encrypted documents are tried with, in this order, after no password at all; of what lies together, first with
    /// what opened another.
    #[serde(with = "passwords")]
    pub passwords: Vec<Secret>,
}

/// One document to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The local file. Opened once; the child gets the open file, not the path.
    pub path: PathBuf,
    /// Name by which text kinds are told apart (its extension counts) and messages speak of it.
    pub name: String,
    /// Size when it was listed; another size when it is opened means that it is being written to.
    pub bytes: u64,
    /// First page to hand out, from 1: a resumed document passes the last finished page + 1.
    pub resume_from_page: u32,
    /// Pages before it that were lost to extractors which ended over them, without text. What lies in an archive or a mail
    /// is read again on the way to that page, without these.
    pub lost: Vec<Page>,
}

impl Input {
    /// A document from its start, named after its path, with the size that it has now.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let bytes = std::fs::metadata(&path).map(|metadata| metadata.len()).unwrap_or_default();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self { path, name, bytes, resume_from_page: 1, lost: Vec::new() }
    }
}

/// What extraction reports, in this order: one `Info`, the pages by number, one `Done`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// What is known before the pages.
    Info(DocumentInfo),
    /// A finished page.
    Page(Page),
    /// All pages were sent.
    Done,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_names_and_an_empty_variable_is_none() {
        let parsed = |text: &str| text.parse::<OcrLanguages>();
        for auto in ["auto", "", "  "] {
            assert_eq!(parsed(auto), Ok(OcrLanguages::Auto), "{auto:?}");
        }
        for fixed in ["eng", "jpn+eng", "chi_sim_vert", "script-x"] {
            assert_eq!(parsed(fixed), Ok(OcrLanguages::Fixed(fixed.to_owned())));
        }
        for wrong in ["+", "eng+", "+eng", "eng deu", "eng,deu", "../eng", "e\0"] {
            assert!(parsed(wrong).unwrap_err().contains("jpn+eng"), "{wrong:?}");
        }
    }
}
