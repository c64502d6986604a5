//! What a document reaches that took its parser over, and what it costs that this is nothing: real children try to get out
//! while everything they could reach is watched, and documents are read beside reading them in the own process.
//!
//! The attempts themselves, and who watches, are in the worker (`extract/sandbox/`), as they are made in pods too.

mod cost;
mod other_user;
mod outcome;

use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use docmill_worker::extract::trials::{self, Trial};

pub use cost::Figures;
pub use other_user::again_as_other_user;
pub use outcome::Outcome;

/// How it is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Figures are told and not judged, and measured for a moment only.
    pub counts_only: bool,
}

/// Makes all attempts with children of this binary, then measures.
///
/// # Errors
/// They could not be made.
pub async fn run(options: Options, binary: &Path) -> Result<Outcome> {
    let report = trials::report(binary).await.map_err(|error| anyhow!(error))?;
    ensure!(report.missing.is_empty(), "nothing is tried where {}", report.lacks().unwrap_or_default());
    let held = trials::held(binary).await?;
    // An attempt that fails anyway says nothing of what holds it.
    let unheld = trials::unheld(binary).await?;
    let figures = cost::measure(binary, options)?;
    Ok(Outcome {
        held,
        unheld,
        figures,
        landlock_abi: report.landlock_abi,
        user: rustix::process::geteuid().as_raw(),
    })
}

/// Attempts as a person reads them.
pub fn shown(trials: &[Trial]) -> String {
    let line = |trial: &Trial| {
        let verdict = if trial.escaped { "ESCAPED" } else { "held" };
        format!("{verdict:8} {:56} {}\n", trial.attempt, trial.how)
    };
    trials.iter().map(line).collect()
}
