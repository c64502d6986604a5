//! Child processes: run one, and say which command failed.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

/// Runs a command with our standard streams; a failure names the command.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

/// Lines of its output that a failure repeats.
const LAST_LINES: usize = 25;

/// Runs a command with our standard streams; where nobody watches a terminal, a failure repeats the last lines, so
/// that the end of a long log says why.
pub fn run_telling(command: &mut Command) -> Result<()> {
    if io::stdout().is_terminal() { run(command) } else { run_repeating(command) }
}

fn run_repeating(command: &mut Command) -> Result<()> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    let last = Mutex::new(VecDeque::with_capacity(LAST_LINES));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let status = std::thread::scope(|scope| {
        scope.spawn(|| pass_on(stdout, &mut io::stdout(), &last));
        scope.spawn(|| pass_on(stderr, &mut io::stderr(), &last));
        child.wait()
    })?;
    if !status.success() {
        let last = last.into_inner().unwrap_or_else(PoisonError::into_inner);
        let last: Vec<String> = last.into_iter().map(|line| format!("\n  | {line}")).collect();
        bail!("{} failed ({status}):{}", shown(command), last.concat());
    }
    Ok(())
}

/// Copies lines to where they belong, and keeps the last ones.
fn pass_on(from: Option<impl Read>, to: &mut impl Write, last: &Mutex<VecDeque<String>>) {
    let Some(from) = from else { return };
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        // Nobody listens any more: what we run goes on all the same.
        let _ = writeln!(to, "{line}");
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
}

/// Runs a command quietly; what it printed is shown only when it fails.
pub fn run_quiet(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// Runs a command and gives what it printed on standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        bail!("{} failed ({}):\n{}", shown(command), output.status, printed.trim_end());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The cargo that runs us, so that a toolchain override is kept.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(repository());
    command
}

/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The directory that cargo builds into.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => repository().join(dir),
        None => repository().join("target"),
    }
}

/// Where an executable is found on PATH.
pub fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn shown(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    format!("`{line}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(script: &str) -> String {
        run_repeating(Command::new("sh").args(["-c", script])).unwrap_err().to_string()
    }

    #[test]
    fn a_failure_repeats_the_last_lines() {
        let error = failure("seq 1 40; exit 3");
        assert!(error.contains("\n  | 16\n") && error.ends_with("\n  | 40"), "{error}");
        assert_eq!(error.matches("\n  | ").count(), LAST_LINES, "{error}");
        let error = failure("echo what; echo why >&2; exit 3");
        assert!(error.contains("\n  | what") && error.contains("\n  | why"), "{error}");
        run_repeating(Command::new("sh").args(["-c", "echo said"])).unwrap();
    }
}
