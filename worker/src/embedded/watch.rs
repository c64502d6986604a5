//! Directories that are watched: looked through again and again, as a run looks through them once. A file that is gone
//! takes nothing with it, as in a run without `--sync`.
//!
//! An unchanged file costs a `stat`. A look takes at most a tenth of the time, however many files there are.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use docmill_core::id::TenantId;
use tokio::sync::watch;

use super::scan::Scanned;
use super::session::Session;
use super::take_in::{Look, take_in};
use super::{Counters, Error};
use crate::ledger;

/// Shortest time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Waits after a look, in times of what it took.
const REST_TIMES: u32 = 9;
/// Files of one look that are told of because they cannot be read; more are counted.
const TOLD_MAX: usize = 20;

/// What is watched, and for whom.
pub(super) struct Watched {
    /// Whose documents they are.
    pub tenant: TenantId,
    /// The directories, with all links followed.
    pub directories: Vec<PathBuf>,
    /// Largest file, in bytes.
    pub bytes_max: u64,
}

/// The directories with all links followed, each once.
///
/// # Errors
/// One is not there, is none, or holds the data directory, which changes with every look.
pub(super) fn directories(asked: &[PathBuf], data_dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let data_dir = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
    let mut found: Vec<PathBuf> = Vec::with_capacity(asked.len());
    for path in asked {
        let real = path.canonicalize().map_err(|_| Error::NoSuchPath(path.clone()))?;
        let refused = |why| Err(Error::Watch { path: path.clone(), why });
        if !real.is_dir() {
            return refused("is no directory");
        }
        if data_dir.strip_prefix(&real).is_ok_and(is_seen) {
            return refused("holds the data directory");
        }
        if !found.contains(&real) {
            found.push(real);
        }
    }
    Ok(found)
}

/// Whether a walk comes there: what is hidden is not looked at.
fn is_seen(inside: &Path) -> bool {
    let hidden = |part: Component<'_>| part.as_os_str().as_encoded_bytes().starts_with(b".");
    !inside.components().any(hidden)
}

/// Looks until `stop` turns true.
///
/// # Errors
/// The ledger stopped.
pub(super) async fn watch_until(
    session: &Session,
    watched: &Watched,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    if watched.directories.is_empty() {
        return Ok(());
    }
    let mut told = Told::default();
    while !*stop.borrow() {
        let began = Instant::now();
        let look = Look {
            tenant: &watched.tenant,
            paths: &watched.directories,
            bytes_max: watched.bytes_max,
            // What a progress bar would show of a run; here it would only grow.
            counters: Arc::<Counters>::default(),
        };
        match take_in(session, look, stop.clone()).await {
            Ok(scanned) => told.tell(&scanned),
            Err(error @ Error::Ledger(ledger::Error::Stopped(_) | ledger::Error::DiskFull)) => {
                return Err(error);
            }
            Err(error) => tracing::warn!(%error, "the watched directories are looked at again"),
        }
        let rest = (began.elapsed() * REST_TIMES).max(LOOK_EVERY);
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            changed = stop.changed() => if changed.is_err() { return Ok(()) },
        }
    }
    Ok(())
}

/// What was told of the last look: the same is not told again.
#[derive(Default)]
struct Told {
    failures: BTreeSet<String>,
    vanished: usize,
    incomplete: Option<String>,
}

impl Told {
    fn tell(&mut self, scanned: &Scanned) {
        let news = scanned.failures.iter().filter(|failure| !self.failures.contains(&failure.uri));
        let (mut said, mut more) = (0, 0);
        for failure in news {
            if said == TOLD_MAX {
                more += 1;
                continue;
            }
            said += 1;
            tracing::warn!(uri = failure.uri, failure = %failure.failure, "a watched file cannot be taken");
        }
        if more > 0 {
            tracing::warn!(files = more, "more watched files cannot be taken");
        }
        self.failures = scanned.failures.iter().map(|failure| failure.uri.clone()).collect();
        if scanned.incomplete != self.incomplete {
            if let Some(incomplete) = &scanned.incomplete {
                tracing::warn!(incomplete, "not everything that is watched could be looked at");
            }
            self.incomplete.clone_from(&scanned.incomplete);
        }
        if !scanned.moves.is_empty() {
            tracing::info!(documents = scanned.moves.len(), "documents moved");
        }
        if scanned.vanished.len() != self.vanished {
            self.vanished = scanned.vanished.len();
            tracing::info!(documents = self.vanished, "files are gone; their documents stay");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_directory_is_not_watched() {
        let dir = tempfile::tempdir().unwrap();
        let [inner, hidden] = ["docs/data", "docs/.docmill"].map(|name| dir.path().join(name));
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::create_dir_all(&hidden).unwrap();
        std::fs::write(dir.path().join("file"), b"x").unwrap();
        let docs = dir.path().join("docs");
        let judged = |watched: &Path, data_dir: &Path| directories(&[watched.to_owned()], data_dir);
        assert!(matches!(judged(&docs, &inner), Err(Error::Watch { .. })));
        assert!(matches!(judged(&docs, &docs), Err(Error::Watch { .. })));
        assert!(judged(&docs, &hidden).is_ok());
        assert!(judged(&inner, &docs).is_ok());
        assert!(matches!(judged(&dir.path().join("file"), &docs), Err(Error::Watch { .. })));
        assert!(matches!(judged(&dir.path().join("none"), &docs), Err(Error::NoSuchPath(_))));
        let twice = directories(&[inner.clone(), inner.join("../data")], &hidden).unwrap();
        assert_eq!(twice.len(), 1);
    }
}
