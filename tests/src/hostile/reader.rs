//! The process that reads hostile files as a worker does: a pool of one slot with the limits that are shipped. It is told on
//! standard input what to read and says on standard output what came of it, so that whoever started it sees it die.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use docmill_core::failure::{Failure, FailureClass};
use docmill_core::id::TenantId;
use docmill_core::page::{Page, PageSource};
use docmill_worker::extract::{Event, ExtractOptions, Input, Pool};
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::class::{self, Told};

/// Notes of lost parts that are told, and characters of each.
const NOTES: usize = 3;
const NOTE_CHARS: usize = 300;

/// What is to be read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ask {
    /// Where it is.
    pub path: PathBuf,
    /// The name that the document has.
    pub name: String,
    /// How often, at once.
    pub times: usize,
    /// What its text must have.
    pub holds: Vec<String>,
    /// What neither its text nor what is said of it may have.
    pub lacks: Vec<String>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Its class.
    pub class: String,
    /// Whether a recogniser looked at its pictures, and none of it was text anyway.
    pub recognised: bool,
    /// Why it failed, else empty.
    pub detail: String,
    /// Why parts of it were lost.
    pub notes: Vec<String>,
    /// Whether it was read without a text, or a page of it, and nothing says so.
    pub silent: bool,
    /// Whether a child ended over it.
    pub child_ended: bool,
    /// What its text lacks.
    pub missing: Vec<String>,
    /// What it has and must not have.
    pub leaked: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// What was needed for all of it, told last.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Peak {
    /// Most memory of the reader and of the largest of its children, in MiB.
    pub mib: f64,
}

/// Limits that are shipped, with less time: a page that takes longer than this here is none that a machine waits for.
pub fn options() -> ExtractOptions {
    let mut options = ExtractOptions::default();
    options.limits.page_ms = 20_000;
    options.limits.document_ms = 60_000;
    options
}

/// The longest that a document may take, in the pool's own count.
pub fn document_deadline() -> Duration {
    options().limits.document_deadline()
}

/// Answers until nobody asks any more.
///
/// # Errors
/// What is asked is not understood, or nobody takes the answers.
pub fn serve(extractor: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let pool = Pool::new(extractor.to_owned(), 1, options());
    for line in std::io::stdin().lock().lines() {
        let ask: Ask = serde_json::from_str(&line?).context("what is asked makes no sense")?;
        say(&runtime.block_on(answer(&pool, &ask)))?;
    }
    runtime.block_on(pool.shutdown());
    say(&Peak { mib: peak_mib()? })
}

fn say(answer: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, answer)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Reads it, all times at once: one answer for all, which must be the same.
async fn answer(pool: &Pool, ask: &Ask) -> Answer {
    let mut answers = join_all((0..ask.times.max(1)).map(|_| read(pool, ask))).await;
    let mut first = answers.remove(0);
    let same = |other: &Answer| other.class == first.class && other.missing == first.missing;
    if !answers.iter().all(same) {
        first.missing.push("the same answer each time".to_owned());
    }
    first
}

async fn read(pool: &Pool, ask: &Ask) -> Answer {
    let input = Input { name: ask.name.clone(), ..Input::new(&ask.path) };
    let (sink, mut events) = mpsc::channel(8);
    let collect = async {
        let mut seen = Seen::new(ask);
        while let Some(event) = events.recv().await {
            if let Event::Page(page) = event {
                seen.page(&page);
            }
        }
        seen
    };
    let tenant = TenantId::default();
    let began = Instant::now();
    let (outcome, seen) = tokio::join!(pool.extract(&tenant, input, sink), collect);
    seen.answer(&outcome, began.elapsed().as_secs_f64())
}

/// What the pages say.
struct Seen<'a> {
    ask: &'a Ask,
    missing: Vec<String>,
    leaked: Vec<String>,
    notes: Vec<String>,
    has_text: bool,
    own_text: bool,
    recognised: bool,
    lost: bool,
    silent: bool,
}

impl<'a> Seen<'a> {
    fn new(ask: &'a Ask) -> Self {
        Self {
            ask,
            missing: ask.holds.clone(),
            leaked: Vec::new(),
            notes: Vec::new(),
            has_text: false,
            own_text: false,
            recognised: false,
            lost: false,
            silent: false,
        }
    }

    fn page(&mut self, page: &Page) {
        let text = page.text();
        self.missing.retain(|wanted| !text.contains(wanted.as_str()));
        self.look(&text);
        self.look(page.note.as_deref().unwrap_or_default());
        self.has_text |= !page.blocks.is_empty();
        match class::told(page) {
            Told::Text => self.own_text = true,
            Told::Recognised => self.recognised = true,
            Told::Lost => self.lost = true,
            Told::Silent => self.silent = true,
            Told::Nothing => {}
        }
        if page.source == PageSource::Lost && self.notes.len() < NOTES {
            let note = page.note.as_deref().unwrap_or("lost, and nothing says why");
            self.notes.push(note.chars().take(NOTE_CHARS).collect());
        }
    }

    /// Looks for what must not be there.
    fn look(&mut self, text: &str) {
        for barred in &self.ask.lacks {
            if text.contains(barred.as_str()) && !self.leaked.contains(barred) {
                self.leaked.push(barred.clone());
            }
        }
    }

    fn answer(mut self, outcome: &Result<(), Failure>, seconds: f64) -> Answer {
        let mut detail = String::new();
        if let Err(failure) = outcome {
            detail.clone_from(&failure.detail);
            self.look(&failure.detail);
            self.look(failure.stderr.as_deref().unwrap_or_default());
        }
        Answer {
            class: class::of(outcome, self.lost).to_owned(),
            recognised: self.recognised && !self.own_text,
            silent: self.silent || (outcome.is_ok() && !self.has_text),
            child_ended: outcome
                .as_ref()
                .is_err_and(|failure| failure.code.class() == FailureClass::ChildCrash),
            detail,
            notes: self.notes,
            missing: self.missing,
            leaked: self.leaked,
            seconds,
        }
    }
}

/// The most that this process held, and the most that one of its children did: with one slot there is one at a time.
fn peak_mib() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let own = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let own = own.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    let own = own.context("/proc/self/status has no VmHWM")?;
    // SAFETY: it is numbers alone, for which zeros are as good as any, and the call fills it.
    let children = unsafe {
        let mut used: libc::rusage = std::mem::zeroed();
        if libc::getrusage(libc::RUSAGE_CHILDREN, &mut used) != 0 {
            return Err(std::io::Error::last_os_error()).context("cannot ask what children used");
        }
        used.ru_maxrss as f64
    };
    Ok((own + children) / 1_024.0)
}
