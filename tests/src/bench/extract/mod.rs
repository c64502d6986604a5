//! What extraction is measured by: right text, speed beside others in the same run, and memory that stays what it is.
//!
//! Documents are assembled by `cargo xtask bench extract`; what others make of them, scripts in `bench/extract` tell.

mod bare;
pub mod f1;
mod memory;
mod peers;
mod quality;
mod reading;
mod text;
pub mod truth;
mod workload;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::Figures;
use truth::Corpus;

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Large files, and many.
    Memory,
    /// PDFs with a text layer, against pdfium in the process and pdfplumber.
    Text,
    /// What a file pipeline gets, against a published recipe at its best.
    Workload,
    /// The same against the recipe as it is published.
    Published,
    /// Whether the text is right, beside six others.
    Quality,
}

impl Part {
    /// What is measured when nothing else is asked for.
    pub const SPEED: [Self; 4] = [Self::Memory, Self::Text, Self::Workload, Self::Published];

    /// As the command line names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Text => "text",
            Self::Workload => "workload",
            Self::Published => "published",
            Self::Quality => "quality",
        }
    }

    /// Parts named in a list with commas.
    ///
    /// # Errors
    /// One is not known.
    pub fn list(text: &str) -> Result<Vec<Self>> {
        let all = [Self::Memory, Self::Text, Self::Workload, Self::Published, Self::Quality];
        let find = |name: &str| match all.into_iter().find(|part| part.name() == name) {
            Some(part) => Ok(part),
            None => bail!("unknown part {name}: one of {}", all.map(Self::name).join(", ")),
        };
        text.split(',').map(|name| find(name.trim())).collect()
    }
}

/// How to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// The worker, whose children extract.
    pub worker: PathBuf,
    /// Folder of the documents.
    pub corpus: PathBuf,
    /// What to measure.
    pub parts: Vec<Part>,
    /// Only what is true on a busy machine too, and nobody else beside us.
    pub counts_only: bool,
    /// Quality of so many recognised pages a language, and of nothing else.
    pub pages_per_language: Option<usize>,
}

/// Measures the parts asked for, in the order given.
///
/// # Errors
/// A measurement could not be made; a figure that falls short is no error.
pub async fn run(options: &Options) -> Result<Figures> {
    let corpus = Corpus::load(&options.corpus)?;
    let mut figures = Figures::default();
    for &part in &options.parts {
        eprintln!("# {}", part.name());
        let measured = match part {
            Part::Memory => memory::measure(options, &corpus, &mut figures).await,
            Part::Text => text::measure(options, &corpus, &mut figures).await,
            Part::Workload => workload::measure(options, &corpus, &mut figures).await,
            Part::Published => workload::measure_published(options, &corpus, &mut figures).await,
            Part::Quality => quality::measure(options, &corpus, &mut figures).await,
        };
        measured.with_context(|| format!("measuring {}", part.name()))?;
    }
    Ok(figures)
}

/// Cores that this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The middle one; not a number of none.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named() {
        assert_eq!(Part::list("text, quality").unwrap(), [Part::Text, Part::Quality]);
        assert!(
            Part::list("speed")
                .unwrap_err()
                .to_string()
                .contains("memory, text, workload, published, quality")
        );
    }

    #[test]
    fn the_middle_one_is_the_median() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert!(median(&mut []).is_nan());
    }
}
