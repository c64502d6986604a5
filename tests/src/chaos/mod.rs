//! Kills and stops of the one-machine shape at random times, judged by a list of the input that docmill never saw.

mod check;
mod inventory;
mod kill;
pub mod services;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;

pub use check::Verdict;
use inventory::Inventory;

use crate::command::{Docmill, Run};

/// Documents before the first kill.
const DOCUMENTS: usize = 3_000;
/// Files changed before each run at first; more when runs come to their end before the kill.
const BATCH: usize = 120;
/// Most files changed before a run.
const BATCH_MAX: usize = 1_500;
/// A run is killed this long after its start, at the earliest and the latest.
const KILL_MS: (f64, f64) = (50.0, 1_500.0);
/// Runs that are stopped as people stop them, between two that come to their end: what they leave, no death tells of.
const STOPS: usize = 5;
/// Longest that a run may take to end once it was told to.
const STOP_MAX: Duration = Duration::from_secs(30);
/// What a run exits with that reports, and removes nothing as it would remove too much.
const SYNC_REFUSED: i32 = 1;
/// What it exits with where documents failed.
const DOCUMENTS_FAILED: i32 = 3;
/// Longest that a run to the end may take; then something hangs.
const LAST_RUN_SECONDS_MAX: f64 = 600.0;
/// `--sync`, as deletions are part of what must not be lost.
const RUN: [&str; 4] = ["--embeddings", "mock", "--sync", "--ocr=never"];

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Runs to kill.
    pub kills: usize,
    /// Decides on everything but the moments at which processes really die.
    pub seed: u64,
    /// The command.
    pub bin: PathBuf,
    /// Keep the directory for a look at it.
    pub keep: bool,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Runs that were to be killed.
    pub kills: usize,
    /// Of them, killed while they worked.
    pub effective: usize,
    /// Of them, killed by the death of an extractor first.
    pub extractor_kills: usize,
    /// Runs that were stopped while they worked, after the kills.
    pub stops: usize,
    /// Documents at the end.
    pub documents: usize,
    /// What the check found.
    pub verdict: Verdict,
    /// All of it.
    pub seconds: f64,
}

/// Kills, runs to the end, checks.
///
/// # Errors
/// Docmill could not be asked; what it did wrong is in the outcome.
pub fn run(options: &Options) -> Result<Outcome> {
    let began = Instant::now();
    let mut folder = tempfile::Builder::new().prefix("docmill-chaos-").tempdir()?;
    folder.disable_cleanup(options.keep);
    let root = folder.path().join("documents");
    let docmill = Docmill::new(&options.bin, &folder.path().join("data"));
    let mut random = StdRng::seed_from_u64(options.seed);
    let mut inventory = Inventory::plant(&root, DOCUMENTS, options.seed)?;
    let mut outcome = Outcome {
        kills: 0,
        effective: 0,
        extractor_kills: 0,
        stops: 0,
        documents: 0,
        verdict: Verdict::default(),
        seconds: 0.0,
    };
    let mut batch = BATCH;
    for kill in 0..options.kills {
        if kill > 0 {
            inventory.change(batch, &mut random)?;
        }
        let killed = one_kill(&docmill, &root, folder.path(), kill, &mut random)?;
        outcome.kills += 1;
        outcome.effective += usize::from(killed.effective);
        outcome.extractor_kills += usize::from(killed.extractor);
        if !killed.effective {
            batch = (batch * 3 / 2).min(BATCH_MAX);
        }
        if (kill + 1) % 10 == 0 {
            eprintln!("{} kills, {} while it worked, {batch} changes a run", kill + 1, outcome.effective);
        }
    }
    run_to_the_end(&docmill, &root)?;
    for _ in 0..STOPS {
        inventory.change(batch, &mut random)?;
        outcome.stops += usize::from(one_stop(&docmill, &root, folder.path(), &mut random)?);
    }
    let last = run_to_the_end(&docmill, &root)?;
    eprintln!("last run: {:.1} s, exit code {:?}", last.wall_seconds, last.exit_code);
    outcome.documents = inventory.documents();
    outcome.verdict = check::check(&docmill, &inventory)?;
    outcome.verdict.orphan_processes = kill::alive_for(docmill.data_dir())?.len();
    outcome.seconds = began.elapsed().as_secs_f64();
    if options.keep {
        eprintln!("kept {}", folder.path().display());
    }
    Ok(outcome)
}

struct Killed {
    effective: bool,
    extractor: bool,
}

/// Starts a run and ends it at a random time: its whole tree, itself alone, or an extractor before it.
fn one_kill(
    docmill: &Docmill,
    root: &Path,
    folder: &Path,
    kill: usize,
    random: &mut StdRng,
) -> Result<Killed> {
    let log = folder.join("killed.log");
    let mut child = docmill.start_run(root, &RUN, &log)?;
    let early = kill::wait_for_exit(&mut child, moment(random))?;
    let mut extractor = false;
    if early.is_none() && kill % 4 == 1 {
        extractor = kill::one_extractor(child.id(), random)?;
        let more = Duration::from_millis(random.random_range(20..300));
        kill::wait_for_exit(&mut child, more)?;
    }
    let effective = kill::wait_for_exit(&mut child, Duration::ZERO)?.is_none();
    if effective {
        if kill % 4 == 3 {
            // Its extractors must notice by themselves, and must not hold the data directory.
            kill::only(child.id())?;
        } else {
            kill::tree(child.id())?;
        }
    } else if let Some(status) = early {
        // A run that ends by itself ends well, or says that documents failed; anything else is a fault.
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        ensure!(
            status.code().is_some_and(|code| code != 101),
            "run {kill} died by itself: {status}\n{said}"
        );
        ensure!(
            !said.contains("data_dir_busy"),
            "run {kill} found the data directory of a dead run busy\n{said}"
        );
    }
    child.wait()?;
    Ok(Killed { effective, extractor })
}

/// How long a run is left alone. Squared: early moments (scan, first claims, recovery of the last kill) are the crowded ones.
fn moment(random: &mut StdRng) -> Duration {
    let share = random.random_range(0.0..1.0f64).powi(2);
    Duration::from_secs_f64((KILL_MS.0 + share * (KILL_MS.1 - KILL_MS.0)) / 1_000.0)
}

/// Starts a run and stops it at a random time. Whether it still worked.
fn one_stop(docmill: &Docmill, root: &Path, folder: &Path, random: &mut StdRng) -> Result<bool> {
    let log = folder.join("stopped.log");
    let mut child = docmill.start_run(root, &RUN, &log)?;
    if kill::wait_for_exit(&mut child, moment(random))?.is_some() {
        return Ok(false);
    }
    kill::stop(child.id())?;
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    let Some(status) = kill::wait_for_exit(&mut child, STOP_MAX)? else {
        kill::tree(child.id())?;
        bail!("a run that was stopped went on for {} s\n{}", STOP_MAX.as_secs(), said());
    };
    if status.signal() == Some(Signal::INT.as_raw()) {
        // It had begun nothing yet, not even to listen.
        return Ok(false);
    }
    ensure!(
        status.code().is_some_and(|code| code != 101),
        "a run that was stopped died: {status}\n{}",
        said()
    );
    Ok(true)
}

/// To the end. Where kills kept runs from removing what is gone until that was more than half of all, `--sync` refuses,
/// and another run does what the refusal advises.
fn run_to_the_end(docmill: &Docmill, root: &Path) -> Result<Run> {
    let mut run = docmill.run(root, &RUN).context("a run to the end")?;
    if run.exit_code == Some(SYNC_REFUSED) {
        eprintln!(
            "--sync refused, {} documents are gone: once more by --sync=force",
            run.number("vanished")?
        );
        let forced = RUN.map(|argument| if argument == "--sync" { "--sync=force" } else { argument });
        run = docmill.run(root, &forced).context("the run by force")?;
    }
    // Some are poison.
    let ended = matches!(run.exit_code, Some(0 | DOCUMENTS_FAILED));
    ensure!(ended, "the run to the end ended with {:?}: {}", run.exit_code, run.report);
    ensure!(run.wall_seconds < LAST_RUN_SECONDS_MAX, "the run to the end took {:.0} s", run.wall_seconds);
    Ok(run)
}
