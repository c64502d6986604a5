//! A browser at the other end of two pipes: commands in, answers and events out, as JSON that ends with a NUL.
//!
//! It is driven by its own file descriptors 3 and 4, so that neither a port nor a library for its protocol is needed.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::services::process::Process;

/// Longest wait for an answer or an event: far more than it takes, as builds may run beside.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Events that are kept until somebody asks for them; the oldest go first.
const EVENTS_MAX: usize = 20_000;

/// What came and was not taken yet.
#[derive(Default)]
struct Came {
    answers: Vec<Value>,
    events: VecDeque<Value>,
    /// The browser closed its end.
    ended: bool,
}

/// A browser process with its pipes.
pub(super) struct Pipe {
    to: Mutex<(File, u64)>,
    came: Arc<(Mutex<Came>, Condvar)>,
    log: PathBuf,
    _process: Process,
    _dir: tempfile::TempDir,
}

impl Pipe {
    /// Starts the program with these arguments and a profile of its own.
    pub(super) fn start(program: &Path, arguments: &[String]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (input, output) = (dir.path().join("in"), dir.path().join("out"));
        for path in [&input, &output] {
            rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
        }
        let log = dir.path().join("log");
        let mut command = Command::new("sh");
        // Opened by the shell, which waits for our ends, and inherited under the numbers that the browser expects.
        command.args(["-c", "in=$1 out=$2; shift 2; exec \"$@\" 3<\"$in\" 4>\"$out\"", "sh"]);
        command.arg(&input).arg(&output).arg(program).args(arguments);
        command.arg(format!("--user-data-dir={}", dir.path().join("profile").display()));
        command.env("HOME", dir.path());
        let process = Process::start(&mut command, &log);
        // The first for both ways, as the shell waits for it; the second for one, so that its end is seen.
        let to = File::options().read(true).write(true).open(&input)?;
        let from = File::open(&output)?;
        let came: Arc<(Mutex<Came>, Condvar)> = Arc::default();
        let heard = came.clone();
        std::thread::spawn(move || listen(from, &heard));
        Ok(Self { to: Mutex::new((to, 0)), came, log, _process: process, _dir: dir })
    }

    /// Sends a command, to a page where a session is named, and waits for its answer.
    pub(super) fn ask(&self, session: Option<&str>, method: &str, parameters: Value) -> Result<Value> {
        let id = {
            let mut to = self.to.lock().unwrap();
            to.1 += 1;
            let mut command = json!({"id": to.1, "method": method, "params": parameters});
            if let Some(session) = session {
                command["sessionId"] = session.into();
            }
            let mut bytes = serde_json::to_vec(&command)?;
            bytes.push(0);
            to.0.write_all(&bytes).context("the browser does not listen")?;
            to.1
        };
        let answer = self.wait(method, |came| {
            let at = came.answers.iter().position(|answer| answer["id"] == id)?;
            Some(came.answers.swap_remove(at))
        })?;
        if let Some(error) = answer.get("error") {
            bail!("{method}: {}", error["message"].as_str().unwrap_or_default());
        }
        Ok(answer["result"].clone())
    }

    /// Takes the events of a page with these names that came so far.
    pub(super) fn events(&self, session: &str, names: &[&str]) -> Vec<Value> {
        let mut came = self.came.0.lock().unwrap();
        let is_wanted = |event: &Value| {
            event["sessionId"] == session
                && event["method"].as_str().is_some_and(|name| names.contains(&name))
        };
        let (wanted, rest) = std::mem::take(&mut came.events).into_iter().partition(is_wanted);
        came.events = rest;
        let wanted: VecDeque<Value> = wanted;
        wanted.into()
    }

    /// Waits for what is looked for among what came.
    pub(super) fn wait_event(&self, session: &str, name: &str) -> Result<Value> {
        self.wait(name, |came| {
            let is_it = |event: &Value| event["sessionId"] == session && event["method"] == name;
            let at = came.events.iter().position(is_it)?;
            came.events.remove(at)
        })
    }

    fn wait(&self, what: &str, mut look: impl FnMut(&mut Came) -> Option<Value>) -> Result<Value> {
        let began = Instant::now();
        let (came, told) = &*self.came;
        let mut came = came.lock().unwrap();
        loop {
            if let Some(found) = look(&mut came) {
                return Ok(found);
            }
            let left = ANSWER_MAX.saturating_sub(began.elapsed());
            if came.ended || left.is_zero() {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                bail!("{what}: the browser does not answer; it said: {log}");
            }
            came = told.wait_timeout(came, left).unwrap().0;
        }
    }
}

/// Takes what comes until the browser ends.
fn listen(mut from: File, heard: &(Mutex<Came>, Condvar)) {
    let (mut rest, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    while let Ok(size @ 1..) = from.read(&mut buffer) {
        rest.extend_from_slice(&buffer[..size]);
        let Some(end) = rest.iter().rposition(|byte| *byte == 0) else { continue };
        let whole: Vec<u8> = rest.drain(..=end).collect();
        let mut came = heard.0.lock().unwrap();
        for message in whole.split(|byte| *byte == 0).filter(|message| !message.is_empty()) {
            let Ok(message) = serde_json::from_slice::<Value>(message) else { continue };
            if message.get("id").is_some() {
                came.answers.push(message);
            } else {
                came.events.push_back(message);
                if came.events.len() > EVENTS_MAX {
                    came.events.pop_front();
                }
            }
        }
        heard.1.notify_all();
    }
    heard.0.lock().unwrap().ended = true;
    heard.1.notify_all();
}
