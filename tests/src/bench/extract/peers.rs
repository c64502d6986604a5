//! What others make of the same documents: scripts in `bench/extract`, run as they are run by hand.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A document as another program reads it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Read {
    /// Texts of its pages; of a reader that knows none, one.
    pub pages: Vec<String>,
    /// CPU time that it took.
    pub cpu_s: f64,
    /// Why it was not read.
    pub error: Option<String>,
}

/// A run of the recipe.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RecipeRun {
    /// From the first file to the last.
    pub seconds: f64,
    /// The files, in the order given.
    pub files: Vec<RecipeFile>,
}

/// A file that the recipe read.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RecipeFile {
    /// Its pages.
    pub pages: Vec<RecipePage>,
    /// CPU time that it took, with that of recognition.
    pub cpu_s: f64,
}

/// A page that the recipe read.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RecipePage {
    /// Its text.
    pub text: String,
    /// Whether it was recognised.
    pub recognised: bool,
}

/// An office file, and what it was made of.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Office {
    /// Name of the file.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// File with the text that went into it.
    pub text: PathBuf,
}

/// What a reader makes of these files.
pub(super) fn read(reader: &str, languages: &str, files: &[PathBuf]) -> Result<Vec<Read>> {
    let mut command = script("read");
    command.args([reader, "--languages", languages]).args(files);
    let read: Vec<Read> = lines(&mut command)?;
    ensure!(read.len() == files.len(), "{reader} answered for {} of {} files", read.len(), files.len());
    Ok(read)
}

/// How the recipe is run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recipe {
    /// Processes that share the files.
    pub processes: usize,
    /// Whether Tesseract has one thread in each, or as many as it likes.
    pub one_thread: bool,
    /// What its pages are rendered to: `jpeg`, as it is published, or `png`.
    pub pictures: &'static str,
}

/// The recipe over these files.
pub(super) fn recipe(how: Recipe, languages: &str, files: &[PathBuf]) -> Result<RecipeRun> {
    let mut command = script("recipe");
    command.args(["--processes", &how.processes.to_string(), "--languages", languages]);
    command.args(["--pictures", how.pictures]).args(files);
    command.env_remove("OMP_THREAD_LIMIT").env_remove("OMP_NUM_THREADS");
    if how.one_thread {
        command.env("OMP_THREAD_LIMIT", "1");
    }
    let runs: Vec<RecipeRun> = lines(&mut command)?;
    let run = runs.into_iter().next().context("the recipe said nothing")?;
    ensure!(run.files.len() == files.len(), "the recipe read {} of {} files", run.files.len(), files.len());
    Ok(run)
}

/// Office files made in this folder.
pub(super) fn office(folder: &Path) -> Result<Vec<Office>> {
    lines(script("office").arg(folder))
}

fn script(name: &str) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/extract/run.sh"));
    command.arg(name).stdin(Stdio::null()).stderr(Stdio::inherit());
    command
}

/// Runs a command that prints one JSON value a line.
fn lines<T: DeserializeOwned>(command: &mut Command) -> Result<Vec<T>> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed ({})", output.status);
    let text = String::from_utf8(output.stdout).context("the answer is not UTF-8")?;
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("not understood: {line:.200}")))
        .collect()
}
