//! What the measurements of the one-machine shape ask; they judge by the document, not by our own answer.

mod embed;
pub mod extract;
mod figures;
mod incremental;
mod known_items;
pub mod paraphrases;
mod quality;
mod rates;
mod search;
pub mod services;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::command::Docmill;

pub use figures::{Figure, Figures};

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Small text documents a second, and memory over 1,000 and 2,000 of them.
    Text,
    /// The rate at 5,000 documents of common concepts against that at 500.
    Growth,
    /// Dense PDF pages a second.
    Pdf,
    /// A second run over unchanged, then over touched files.
    Rerun,
    /// What an inserted sentence costs.
    Edit,
    /// Latency at 100,000 chunks.
    Search,
    /// What real documents answer, and the memory that they took.
    Quality,
    /// Pooled embedding against the bare model.
    Embed,
}

impl Part {
    /// All of them, quick ones first.
    pub const ALL: [Self; 8] = [
        Self::Text,
        Self::Growth,
        Self::Pdf,
        Self::Rerun,
        Self::Edit,
        Self::Embed,
        Self::Search,
        Self::Quality,
    ];

    /// As the command line names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Growth => "growth",
            Self::Pdf => "pdf",
            Self::Rerun => "rerun",
            Self::Edit => "edit",
            Self::Search => "search",
            Self::Quality => "quality",
            Self::Embed => "embed",
        }
    }

    /// Parts named in a list with commas.
    ///
    /// # Errors
    /// One is not known.
    pub fn list(text: &str) -> Result<Vec<Self>> {
        let find = |name: &str| match Self::ALL.into_iter().find(|part| part.name() == name) {
            Some(part) => Ok(part),
            None => bail!("unknown part {name}: one of {}", Self::ALL.map(Self::name).join(", ")),
        };
        text.split(',').map(|name| find(name.trim())).collect()
    }
}

/// How to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// The command.
    pub bin: PathBuf,
    /// What to measure.
    pub parts: Vec<Part>,
    /// Factor on every size; figures count at 1 only.
    pub scale: f64,
    /// All texts of the embedding measurement instead of a fifth.
    pub full: bool,
    /// Ingest cached data directories anew.
    pub fresh: bool,
}

impl Options {
    /// A size, scaled.
    fn sized(&self, full: usize, least: usize) -> usize {
        ((full as f64 * self.scale).round() as usize).max(least)
    }
}

/// Measures the parts asked for, in the order given.
///
/// # Errors
/// A measurement could not be made; a figure that falls short is no error.
pub fn run(options: &Options) -> Result<Figures> {
    let mut figures = Figures::default();
    for &part in &options.parts {
        eprintln!("# {}", part.name());
        let measured = match part {
            Part::Text => rates::text(options, &mut figures),
            Part::Growth => rates::growth(options, &mut figures),
            Part::Pdf => rates::pdf(options, &mut figures),
            Part::Rerun => incremental::rerun(options, &mut figures),
            Part::Edit => incremental::edit(options, &mut figures),
            Part::Search => search::search(options, &mut figures),
            Part::Quality => quality::quality(options, &mut figures),
            Part::Embed => embed::embed(options, &mut figures),
        };
        measured.with_context(|| format!("measuring {}", part.name()))?;
    }
    Ok(figures)
}

/// Documents and a fresh data directory, gone afterwards.
struct Bench {
    folder: TempDir,
    bin: PathBuf,
}

impl Bench {
    fn new(options: &Options) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("docmill-bench-").tempdir()?;
        Ok(Self { folder, bin: options.bin.clone() })
    }

    fn documents(&self) -> PathBuf {
        self.folder.path().join("documents")
    }

    fn docmill(&self) -> Docmill {
        self.docmill_at("data")
    }

    fn docmill_at(&self, name: &str) -> Docmill {
        Docmill::new(&self.bin, &self.folder.path().join(name))
    }
}

/// Removes a directory that may not be there.
fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// White space as one space each.
fn collapsed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
