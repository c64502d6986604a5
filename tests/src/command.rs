//! The `docmill` command as a user runs it: another process, its JSON, its exit code. Uses none of our code.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// The counts of an audit that all must be zero.
pub const FINDINGS: [&str; 6] = ["missing", "orphan", "stale", "duplicate", "queue", "cleanup_pending"];

/// The command on one data directory.
#[derive(Debug, Clone)]
pub struct Docmill {
    bin: PathBuf,
    data_dir: PathBuf,
}

/// A run that came to its end.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its report.
    pub report: Value,
    /// From the start of the process to its end.
    pub wall_seconds: f64,
    /// What it exited with.
    pub exit_code: Option<i32>,
}

impl Run {
    /// A number of the report.
    ///
    /// # Errors
    /// The report lacks it.
    pub fn number(&self, name: &str) -> Result<f64> {
        self.report[name].as_f64().with_context(|| format!("the report lacks `{name}`"))
    }
}

/// A chunk as `export` prints it.
#[derive(Debug, Clone)]
pub struct ExportedChunk {
    /// Id of its document.
    pub document: String,
    /// Path of its document.
    pub path: PathBuf,
    /// Page, from 1.
    pub page: u64,
    /// Byte offset of its start in the page's text.
    pub start: u64,
    /// Byte offset of its end.
    pub end: u64,
    /// Its heading.
    pub heading: Option<String>,
    /// Its text.
    pub text: String,
}

/// A dead letter as `dead-letters` prints it.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Path of its document.
    pub path: PathBuf,
    /// The failure's code.
    pub code: String,
}

/// The binary to test: `given`, else `DOCMILL_BIN`, else the one beside this executable.
///
/// # Errors
/// There is none.
pub fn locate(given: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(path) = given.or_else(|| std::env::var_os("DOCMILL_BIN").map(PathBuf::from)) {
        ensure!(path.is_file(), "no docmill binary at {}", path.display());
        return Ok(path.canonicalize()?);
    }
    let own = std::env::current_exe()?;
    let beside = own.ancestors().skip(1).take(2).map(|folder| folder.join("docmill"));
    beside.into_iter().find(|path| path.is_file()).context(
        "no docmill binary beside this one: build it (`cargo build -p docmill-cli`) or set DOCMILL_BIN",
    )
}

impl Docmill {
    /// The command at `bin` on `data_dir`.
    pub fn new(bin: &Path, data_dir: &Path) -> Self {
        Self { bin: bin.to_owned(), data_dir: data_dir.to_owned() }
    }

    /// Where its data is.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.bin);
        command.arg("--data-dir").arg(&self.data_dir).arg("--json").stdin(Stdio::null());
        command
    }

    fn run_command(&self, root: &Path, arguments: &[&str], report: &Path) -> Command {
        let mut command = self.command();
        command.arg("run").arg(root).args(arguments).arg("--report").arg(report);
        command
    }

    /// Runs over `root` to the end. An exit code other than 0 is the caller's to judge (dead letters).
    ///
    /// # Errors
    /// It left no report.
    pub fn run(&self, root: &Path, arguments: &[&str]) -> Result<Run> {
        let report = self.data_dir.with_extension("report.json");
        let _ = std::fs::remove_file(&report);
        let began = Instant::now();
        let output = self.run_command(root, arguments, &report).output().context("start docmill")?;
        let wall_seconds = began.elapsed().as_secs_f64();
        let text = std::fs::read_to_string(&report).with_context(|| {
            format!("no report; {}: {}", output.status, tail(&String::from_utf8_lossy(&output.stderr)))
        })?;
        Ok(Run { report: serde_json::from_str(&text)?, wall_seconds, exit_code: output.status.code() })
    }

    /// Runs over `root`; anything but success is an error.
    ///
    /// # Errors
    /// The run failed, or left a document behind.
    pub fn run_well(&self, root: &Path, arguments: &[&str]) -> Result<Run> {
        let run = self.run(root, arguments)?;
        ensure!(run.exit_code == Some(0), "docmill run exited with {:?}: {}", run.exit_code, run.report);
        Ok(run)
    }

    /// Starts a run as the head of its own process group, its error output into `log`.
    ///
    /// # Errors
    /// It could not be started.
    pub fn start_run(&self, root: &Path, arguments: &[&str], log: &Path) -> Result<Child> {
        let mut command = self.run_command(root, arguments, &self.data_dir.with_extension("killed.json"));
        let log = std::fs::File::create(log)?;
        command.process_group(0).stdout(Stdio::null()).stderr(log).spawn().context("start docmill")
    }

    /// Runs another sub-command and reads its JSON.
    ///
    /// # Errors
    /// It printed none.
    pub fn json(&self, arguments: &[&str]) -> Result<(Option<i32>, Value)> {
        let output = self.command().args(arguments).output().context("start docmill")?;
        let value = serde_json::from_slice(&output.stdout).with_context(|| {
            format!(
                "`{}` printed no JSON; {}",
                arguments.join(" "),
                tail(&String::from_utf8_lossy(&output.stderr))
            )
        })?;
        Ok((output.status.code(), value))
    }

    /// The findings of `verify`, without repair.
    ///
    /// # Errors
    /// One of [`FINDINGS`] is not there.
    pub fn verify(&self) -> Result<BTreeMap<&'static str, u64>> {
        let (_, value) = self.json(&["verify"])?;
        let counts = if value["findings"].is_object() { &value["findings"] } else { &value };
        FINDINGS
            .into_iter()
            .map(|name| {
                Ok((
                    name,
                    counts[name].as_u64().with_context(|| format!("verify lacks `{name}`: {value}"))?,
                ))
            })
            .collect()
    }

    /// Every chunk of every document.
    ///
    /// # Errors
    /// The export failed or a line lacks a field.
    pub fn export(&self) -> Result<Vec<ExportedChunk>> {
        let output =
            self.command().args(["export", "--format", "jsonl"]).output().context("start docmill")?;
        ensure!(output.status.success(), "export: {}", tail(&String::from_utf8_lossy(&output.stderr)));
        let mut chunks = Vec::new();
        for line in String::from_utf8(output.stdout)?.lines().filter(|line| !line.is_empty()) {
            let value: Value = serde_json::from_str(line)?;
            // One line a document with its chunks inside, or one line a chunk.
            match value["chunks"].as_array() {
                Some(inner) => {
                    for chunk in inner {
                        chunks.push(exported_chunk(&value, chunk)?);
                    }
                }
                None => chunks.push(exported_chunk(&value, &value)?),
            }
        }
        Ok(chunks)
    }

    /// Paths and ids of the documents.
    ///
    /// # Errors
    /// The listing failed.
    pub fn documents(&self) -> Result<Vec<(PathBuf, String)>> {
        let (_, value) = self.json(&["documents"])?;
        list(&value, "documents")?.iter().map(|entry| Ok((path_of(entry)?, document_id(entry)?))).collect()
    }

    /// The dead letters.
    ///
    /// # Errors
    /// The listing failed.
    pub fn dead_letters(&self) -> Result<Vec<DeadLetter>> {
        let (_, value) = self.json(&["dead-letters"])?;
        list(&value, "dead_letters")?
            .iter()
            .map(|entry| {
                let code = entry["code"].as_str().or_else(|| entry["failure"]["code"].as_str());
                let code = code.with_context(|| format!("a dead letter lacks `code`: {entry}"))?;
                Ok(DeadLetter { path: path_of(entry)?, code: code.to_owned() })
            })
            .collect()
    }
}

/// The list itself, or the only list in an object.
fn list<'a>(value: &'a Value, name: &str) -> Result<&'a Vec<Value>> {
    let Some(list) = value.as_array().or_else(|| value[name].as_array()) else {
        bail!("no list `{name}` in {}", tail(&value.to_string()));
    };
    Ok(list)
}

fn exported_chunk(document: &Value, chunk: &Value) -> Result<ExportedChunk> {
    let number = |name: &str| {
        let found = chunk[name].as_u64().or_else(|| chunk["offsets"][name].as_u64());
        found.with_context(|| format!("an exported chunk lacks `{name}`: {}", tail(&chunk.to_string())))
    };
    Ok(ExportedChunk {
        document: document_id(document)?,
        path: path_of(document)?,
        page: number("page")?,
        start: number("start")?,
        end: number("end")?,
        heading: chunk["heading"].as_str().map(str::to_owned),
        text: chunk["text"].as_str().context("an exported chunk lacks `text`")?.to_owned(),
    })
}

fn document_id(entry: &Value) -> Result<String> {
    let nested = entry["document"]["id"].as_str();
    let id = nested.or_else(|| entry["document"].as_str()).or_else(|| entry["id"].as_str());
    Ok(id.with_context(|| format!("no document id in {}", tail(&entry.to_string())))?.to_owned())
}

fn path_of(entry: &Value) -> Result<PathBuf> {
    let uri = entry["uri"].as_str().or_else(|| entry["document"]["uri"].as_str());
    let uri = uri.with_context(|| format!("no uri in {}", tail(&entry.to_string())))?;
    Ok(path_of_uri(uri))
}

/// The path that a `file:` URI names; a bare path stays.
pub fn path_of_uri(uri: &str) -> PathBuf {
    let Some(path) = uri.strip_prefix("file://") else { return PathBuf::from(uri) };
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%').then(|| after.get(..2)).flatten();
        let value = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(value.unwrap_or(byte));
        rest = if value.is_some() { &after[2..] } else { after };
    }
    PathBuf::from(String::from_utf8_lossy(&bytes).into_owned())
}

/// The end of what a process said.
fn tail(text: &str) -> String {
    let start = text.len().saturating_sub(800);
    let start = (start..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text[start..].trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_become_paths() {
        assert_eq!(path_of_uri("file:///a/b%20c%C3%A9"), PathBuf::from("/a/b cé"));
        assert_eq!(path_of_uri("/a/b%20c"), PathBuf::from("/a/b%20c"));
        assert_eq!(path_of_uri("file:///100%"), PathBuf::from("/100%"));
    }

    #[test]
    fn both_shapes_of_an_export_line_are_read() {
        let flat = serde_json::json!({"document": {"id": "d", "uri": "/a"}, "page": 1, "start": 0, "end": 1, "text": "x"});
        assert_eq!(exported_chunk(&flat, &flat).unwrap().document, "d");
        let document = serde_json::json!({"id": "d", "uri": "/a"});
        let chunk = serde_json::json!({"page": 1, "start": 0, "end": 1, "text": "x"});
        assert_eq!(exported_chunk(&document, &chunk).unwrap().path, PathBuf::from("/a"));
    }
}
