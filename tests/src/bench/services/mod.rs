//! What the measurements of the shape with many processes ask: rates through real servers, and what work
//! costs twice.

mod cpu;
mod documents;
mod queue;
mod uploads;

pub use documents::write_corpus;

use anyhow::{Context, Result, bail};

use super::Figures;

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The queue alone: receive and settle.
    Queue,
    /// Uploads onto a volume.
    Uploads,
    /// Documents into PostgreSQL and Neo4j.
    Graph,
    /// The same with vectors.
    Vectors,
    /// The rate over many documents against that over few.
    Growth,
}

impl Part {
    /// All of them, quick ones first.
    pub const ALL: [Self; 5] = [Self::Queue, Self::Uploads, Self::Graph, Self::Vectors, Self::Growth];

    /// As the command line names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Uploads => "uploads",
            Self::Graph => "graph",
            Self::Vectors => "vectors",
            Self::Growth => "growth",
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
    /// What to measure.
    pub parts: Vec<Part>,
    /// Factor on every size; figures count at 1 only.
    pub scale: f64,
}

impl Options {
    fn sized(&self, full: usize, least: usize) -> usize {
        ((full as f64 * self.scale).round() as usize).max(least)
    }
}

/// Measures the parts asked for, in the order given.
///
/// # Errors
/// A measurement could not be made; a figure that falls short is no error.
pub async fn run(options: &Options) -> Result<Figures> {
    let mut figures = Figures::default();
    for &part in &options.parts {
        eprintln!("# {}", part.name());
        // What the part before wrote and removed is no business of this one.
        rustix::fs::sync();
        let measured = match part {
            Part::Queue => queue::settle(options, &mut figures).await,
            Part::Uploads => Box::pin(uploads::held(options, &mut figures)).await,
            Part::Graph => Box::pin(documents::rate(options, false, &mut figures)).await,
            Part::Vectors => Box::pin(documents::rate(options, true, &mut figures)).await,
            Part::Growth => Box::pin(documents::growth(options, &mut figures)).await,
        };
        measured.with_context(|| format!("measuring {}", part.name()))?;
    }
    Ok(figures)
}
