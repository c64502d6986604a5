//! `docmill submit PATH…`: files and folders into a batch of a server, with as many uploads at once as asked for.
//!
//! Interrupted or killed, the same command goes on with the same batch: what was handed in is in a [`journal`], and
//! what is handed in twice changes nothing at the server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::stream::{self, LocalBoxStream, StreamExt};
use serde_json::json;
use tokio::sync::{mpsc, watch};

mod files;
mod journal;
mod plan;
mod tally;
mod upload;

pub use plan::place;

use super::client::Again;
use super::error::{Error, Refusal};
use super::progress::{Shown, of_files};
use super::wire::{self, Accepted, Batch};
use super::{Remote, wait};
use crate::args::Submit;
use crate::failure::{DOCUMENTS_FAILED, Failure, INTERRUPTED};
use crate::output;
use files::{Progress, Search, Seen};
use journal::Journal;
use tally::Tally;
use upload::{Found, Outcome};

/// How long uploads may go on that are on their way when we are asked to stop.
const GRACE: Duration = Duration::from_secs(10);
/// What is said then.
const STOPPING: &str = "finishing what is on its way";

pub async fn execute(remote: &Remote, asked: Submit) -> Result<ExitCode, Failure> {
    let (paths, prefixes) = plan::split(&asked.paths);
    for path in &paths {
        if let Err(error) = std::fs::symlink_metadata(path) {
            let message = format!("there is nothing at {}: {error}", path.display());
            return Err(Failure::new("no_such_path", message, "check the path"));
        }
    }
    let origin = origin(asked.origin.as_deref())?;
    let mut journal = open_journal(remote, &asked, &origin, &paths, &prefixes)?;
    let stop = crate::signals::stop_saying(STOPPING);
    let batch = open_batch(remote, asked.name.as_deref(), &mut journal).await?;
    // At once: whatever happens, this is what one goes on with.
    match remote.json {
        true => eprintln!("batch {batch}"),
        false => println!("batch {batch}"),
    }
    let mut tally = Tally::default();
    let handing = HandIn { remote, batch: &batch, stop: stop.clone() };
    let handed = async {
        handing.prefixes(&prefixes, &mut tally).await?;
        let progress: Arc<Progress> = Arc::default();
        let search = Search {
            origin,
            bytes_max: asked.max_file_mib << 20,
            done: journal.take_done(),
            progress: progress.clone(),
        };
        handing.files(search, paths, asked.concurrency.into(), &mut journal, &mut tally, &progress).await
    };
    if let Err(error) = Box::pin(handed).await {
        let failure = match error.is("not_found") {
            true => {
                let message = format!("the batch {batch} takes no more documents: it was cancelled");
                Failure::new("batch_closed", message, "run the same command again for another batch")
            }
            false => Failure::from(error).then("; run the same command again to go on"),
        };
        return Err(failure.with("submitted", &tally.json(&batch)));
    }
    if *stop.borrow() {
        return interrupted(remote, &batch, &tally);
    }
    journal.finish();
    let failed = tally.failed > 0;
    if !asked.wait {
        match remote.json {
            true => output::json(&tally.json(&batch))?,
            false => {
                tally.print();
                println!("\nnext: docmill wait {batch}");
            }
        }
        return Ok(if failed { ExitCode::from(DOCUMENTS_FAILED) } else { ExitCode::SUCCESS });
    }
    if !remote.json {
        tally.print();
    }
    let waited = wait::until_settled(remote, std::slice::from_ref(&batch), asked.timeout, stop).await?;
    if remote.json {
        let mut told = tally.json(&batch);
        told["settled"] = waited.answers().first().cloned().unwrap_or_default();
        output::json(&told)?;
    } else {
        waited.print()?;
    }
    let code = waited.code()?;
    Ok(if failed && code == 0 { ExitCode::from(DOCUMENTS_FAILED) } else { ExitCode::from(code) })
}

/// The name of this machine, unless another is given.
pub fn origin(given: Option<&str>) -> Result<String, Failure> {
    let own = rustix::system::uname();
    let name = given.map_or_else(|| own.nodename().to_string_lossy().into_owned(), str::to_owned);
    let fits = !name.is_empty() && name.len() <= plan::ORIGIN_BYTES_MAX;
    if !fits || name.chars().any(|c| c.is_control() || c == '/') {
        let allowed = format!("1 to {} bytes without slashes", plan::ORIGIN_BYTES_MAX);
        let message = format!("{name:?} cannot be where files come from: {allowed}");
        return Err(Failure::new("bad_origin", message, "give another --origin"));
    }
    Ok(name)
}

/// A name that nobody else draws.
fn random_hex() -> Result<String, Failure> {
    let mut drawn = [0; 16];
    getrandom::fill(&mut drawn).map_err(|error| Failure::internal(error.to_string()))?;
    Ok(plan::hex(&drawn))
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The journal of just this submission: paths as they are, however they were written.
fn open_journal(
    remote: &Remote,
    asked: &Submit,
    origin: &str,
    paths: &[PathBuf],
    prefixes: &[String],
) -> Result<Journal, Failure> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    let state = state.ok_or_else(|| {
        let message = "there is no home directory to keep what was handed in";
        Failure::new("state_dir_unusable", message, "name a directory by XDG_STATE_HOME")
    })?;
    let real = |path: &PathBuf| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let arguments: Vec<PathBuf> =
        paths.iter().map(real).chain(prefixes.iter().map(PathBuf::from)).collect();
    let key = remote.key.as_ref().map_or("", |key| key.expose());
    let identity = plan::identity(remote.client.address(), key, asked.name.as_deref(), origin, &arguments);
    Journal::open(&folder(&state), &identity, random_hex()?, now_ms())
}

fn folder(state: &Path) -> PathBuf {
    state.join("docmill/submit")
}

/// The batch of the journal, or another one where that takes no more documents.
async fn open_batch(remote: &Remote, name: Option<&str>, journal: &mut Journal) -> Result<String, Failure> {
    loop {
        let body = json!({ "name": name });
        let key = journal.nonce().to_owned();
        let made: AcceptedBatch =
            wire::read(&remote.client.post_once(&["v1", "batches"], &body, &key).await?)?;
        if !journal.resumed() {
            return Ok(made.id);
        }
        let batch: Batch = wire::read(&remote.client.get(&["v1", "batches", &made.id], &[]).await?)?;
        // One with less than was handed in is another's: the server has a new ledger behind the same address.
        if batch.state != "cancelled" && batch.documents.total >= journal.files() {
            return Ok(made.id);
        }
        journal.begin_anew(random_hex()?, now_ms())?;
    }
}

#[derive(serde::Deserialize)]
struct AcceptedBatch {
    id: String,
}

fn interrupted(remote: &Remote, batch: &str, tally: &Tally) -> Result<ExitCode, Failure> {
    if remote.json {
        let mut told = tally.json(batch);
        told["interrupted"] = true.into();
        output::json(&told)?;
    } else {
        println!("interrupted: {}", tally.line());
        println!("run the same command again to go on; docmill wait {batch} waits for what was handed in");
    }
    Ok(ExitCode::from(INTERRUPTED))
}

/// Into which batch, and until when.
struct HandIn<'a> {
    remote: &'a Remote,
    batch: &'a str,
    stop: watch::Receiver<bool>,
}

impl HandIn<'_> {
    /// Has the server add what is in folders of its store, a page a request.
    async fn prefixes(&self, prefixes: &[String], tally: &mut Tally) -> Result<(), Error> {
        for prefix in prefixes {
            let mut cursor: Option<String> = None;
            loop {
                if *self.stop.borrow() {
                    return Ok(());
                }
                let body = json!({ "prefix": prefix, "cursor": cursor });
                let path = ["v1", "batches", self.batch, "prefixes"];
                let accepted: Accepted =
                    wire::read(&self.remote.client.post(&path, &body, Again::Always).await?)?;
                tally.listed(&accepted.documents);
                match accepted.next {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// Uploads what the search finds, `concurrency` at once.
    async fn files(
        &self,
        search: Search,
        paths: Vec<PathBuf>,
        concurrency: usize,
        journal: &mut Journal,
        tally: &mut Tally,
        progress: &Arc<Progress>,
    ) -> Result<(), Error> {
        let looked = progress.clone();
        let _shown = Shown::start(
            self.remote.json,
            Arc::new(move || {
                let get = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
                let walked = looked.walked.load(Ordering::Acquire);
                of_files(get(&looked.done), get(&looked.found), get(&looked.bytes), walked)
            }),
        );
        let stopped = |mut stop: watch::Receiver<bool>| async move {
            // Who could ask is gone with the process.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        let found = taken(search.start(paths)).take_until(Box::pin(stopped(self.stop.clone())));
        let mut handed = found.map(|seen| self.one(seen)).buffer_unordered(concurrency);
        let mut grace = std::pin::pin!(async {
            stopped(self.stop.clone()).await;
            tokio::time::sleep(GRACE).await;
        });
        loop {
            let next = tokio::select! {
                next = handed.next() => next,
                () = &mut grace => None,
            };
            let Some(settled) = next else { return Ok(()) };
            progress.done.fetch_add(1, Ordering::Relaxed);
            match settled? {
                Settled::Earlier => tally.earlier += 1,
                Settled::Refused(path, refusal) => tally.refused(path, refusal),
                Settled::File(_, Outcome::Taken { change, bytes, stamp }) => {
                    journal.note(&stamp);
                    tally.took(&change, bytes);
                    progress.bytes.fetch_add(bytes, Ordering::Relaxed);
                }
                Settled::File(found, Outcome::Refused(refusal)) => tally.refused(found.path, refusal),
                Settled::File(_, Outcome::Gone) => {}
            }
        }
    }

    async fn one(&self, seen: Seen) -> Result<Settled, Error> {
        Ok(match seen {
            Seen::Already => Settled::Earlier,
            Seen::Refused(path, refusal) => Settled::Refused(path, refusal),
            Seen::File(found) => {
                let outcome = upload::upload(&self.remote.client, self.batch, &found).await?;
                Settled::File(found, outcome)
            }
        })
    }
}

/// What became of something that was found.
enum Settled {
    Earlier,
    Refused(PathBuf, Refusal),
    File(Found, Outcome),
}

fn taken(told: mpsc::Receiver<Seen>) -> LocalBoxStream<'static, Seen> {
    stream::unfold(told, async |mut told| Some((told.recv().await?, told))).boxed_local()
}
