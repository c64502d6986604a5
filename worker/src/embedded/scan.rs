//! The scan: which files are there, which of them changed, moved or went. An unchanged file costs a stat.
//!
//! Hashes on blocking threads what [`crate::walk`] finds and hands registrations on in batches; decides nothing
//! about removal, see [`super::removal`].

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::ContentHash;
use docmill_core::source::{FileStat, Gone, moved_from};

use super::{Counters, FailedDocument};
use crate::ledger::Move;
use crate::sqlite::KnownSource;
use crate::stages::{file_uri, read_failure};
use crate::walk::{self, Visitor};

/// A file to be registered.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where it is.
    pub uri: String,
    /// Hash of its content.
    pub content: ContentHash,
    /// What `stat` said before it was hashed.
    pub stat: FileStat,
    /// The PATH it was found under.
    pub root: String,
}

/// What a scan hands on while it goes.
#[derive(Debug)]
pub enum Seen {
    /// Files whose content is new at their place.
    Found(Vec<Found>),
    /// Files that are what they were but whose look must be remembered anew.
    Again(Vec<(String, FileStat)>),
}

/// What a whole scan saw.
#[derive(Debug, Default)]
pub struct Scanned {
    /// Documents that are somewhere else now.
    pub moves: Vec<Move>,
    /// Documents found under a PATH given now that are not there any more.
    pub vanished: Vec<KnownSource>,
    /// Known documents under the paths given now, vanished ones included.
    pub known_under_paths: usize,
    /// Files and directories that could not be looked at; their documents did not vanish.
    pub failures: Vec<FailedDocument>,
    /// A PATH was missing or a directory could not be read: what was not seen proves nothing.
    pub incomplete: Option<String>,
}

/// Batches handed on at once.
const BATCH: usize = 256;

/// A scan of paths against what is known.
pub struct Scan {
    /// The tenant's sources by URI.
    pub known: HashMap<String, KnownSource>,
    /// When it began, in nanoseconds since the Unix epoch.
    pub began_ns: i64,
    /// Largest file, in bytes.
    pub bytes_max: u64,
    /// What is shown while it works.
    pub counters: Arc<Counters>,
}

impl Scan {
    /// Walks the paths; `hand_on` takes batches and blocks when enough is waiting. False from it ends the scan.
    pub fn run(&self, paths: &[PathBuf], hand_on: &mut dyn FnMut(Seen) -> bool) -> Scanned {
        let mut looking = Looking::new(self, hand_on);
        walk::walk(paths, &mut looking);
        looking.finish()
    }
}

/// What is known so far, and made of what the walk tells.
struct Looking<'a> {
    scan: &'a Scan,
    hand_on: &'a mut dyn FnMut(Seen) -> bool,
    /// The PATH that is walked.
    root: String,
    roots: Vec<String>,
    seen: HashSet<String>,
    known_contents: HashSet<ContentHash>,
    found: Vec<Found>,
    again: Vec<(String, FileStat)>,
    /// New places whose content is known from another place: moved, or a twin.
    maybe_moved: Vec<Found>,
    scanned: Scanned,
    stopped: bool,
}

impl<'a> Looking<'a> {
    fn new(scan: &'a Scan, hand_on: &'a mut dyn FnMut(Seen) -> bool) -> Self {
        Self {
            scan,
            hand_on,
            root: String::new(),
            roots: Vec::new(),
            seen: HashSet::new(),
            known_contents: scan.known.values().filter_map(|known| known.content).collect(),
            found: Vec::new(),
            again: Vec::new(),
            maybe_moved: Vec::new(),
            scanned: Scanned::default(),
            stopped: false,
        }
    }

    fn failed(&mut self, uri: String, failure: Failure) {
        let advice = failure.code.advice();
        self.seen.insert(uri.clone());
        self.scanned.failures.push(FailedDocument { uri, failure, advice });
    }

    fn hand_on_full(&mut self, at_least: usize) {
        if self.found.len() >= at_least {
            self.stopped |= !(self.hand_on)(Seen::Found(std::mem::take(&mut self.found)));
        }
        if self.again.len() >= at_least {
            self.stopped |= !(self.hand_on)(Seen::Again(std::mem::take(&mut self.again)));
        }
    }

    fn finish(mut self) -> Scanned {
        let roots = std::mem::take(&mut self.roots);
        let under = |uri: &str| roots.iter().any(|root| uri == root || is_under(uri, root));
        let known: Vec<&KnownSource> =
            self.scan.known.values().filter(|known| known.root.is_some() && under(&known.uri)).collect();
        self.scanned.known_under_paths = known.len();
        let mut gone: Vec<Gone<&KnownSource>> = known
            .into_iter()
            .filter(|known| !self.seen.contains(&known.uri))
            .filter_map(|known| Some(Gone { document: known, uri: known.uri.clone(), stat: known.stat? }))
            .collect();
        if self.stopped {
            self.scanned.incomplete.get_or_insert_with(|| "the scan was stopped".to_owned());
            gone.clear();
        }
        for new in std::mem::take(&mut self.maybe_moved) {
            let candidates: Vec<Gone<&KnownSource>> =
                gone.iter().filter(|gone| gone.document.content == Some(new.content)).cloned().collect();
            match moved_from(&candidates, &new.stat) {
                Some(from) => {
                    gone.retain(|other| other.uri != from.uri);
                    self.scanned.moves.push(Move {
                        from: from.uri.clone(),
                        to: new.uri,
                        stat: new.stat,
                        scanned_at_ns: self.scan.began_ns,
                        root: Some(new.root),
                    });
                }
                None => self.found.push(new),
            }
        }
        self.scanned.vanished = gone.into_iter().map(|gone| gone.document.clone()).collect();
        self.scanned.vanished.sort_by(|a, b| a.uri.cmp(&b.uri));
        self.hand_on_full(1);
        self.scanned
    }
}

impl Visitor for Looking<'_> {
    fn root(&mut self, root: &Path) {
        self.root = file_uri::of_path(root);
        self.roots.push(self.root.clone());
    }

    fn file(&mut self, path: &Path, stat: FileStat) {
        let uri = file_uri::of_path(path);
        if !self.seen.insert(uri.clone()) {
            return;
        }
        self.scan.counters.files_seen.fetch_add(1, Ordering::Relaxed);
        let known = self.scan.known.get(&uri);
        // Handed in by name so far: from now on it is wanted because it is here, too, whatever becomes of its batch.
        let adopted = known.is_some_and(|known| known.root.is_none());
        let retried = adopted || known.is_some_and(|known| known.retry_when_seen);
        let unchanged = known
            .filter(|_| !retried)
            .and_then(|known| known.stat.map(|before| (before, known.scanned_at_ns)));
        if unchanged.is_some_and(|(before, scanned_at_ns)| stat.proves_unchanged(&before, scanned_at_ns)) {
            self.scan.counters.documents_unchanged.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if stat.bytes > self.scan.bytes_max {
            let detail = format!("{} bytes, at most {} are allowed", stat.bytes, self.scan.bytes_max);
            return self.failed(uri, Failure::new(FailureCode::LimitFileSize, detail));
        }
        let (content, stat) = match file_uri::hash_file(path) {
            Ok(hashed) => hashed,
            // Gone between the look and the open: as if it had not been seen.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.seen.remove(&uri);
                return;
            }
            Err(error) => return self.failed(uri, read_failure(&error)),
        };
        if !retried && known.is_some_and(|known| known.content == Some(content)) {
            self.scan.counters.documents_unchanged.fetch_add(1, Ordering::Relaxed);
            self.again.push((uri, stat));
            self.hand_on_full(BATCH);
            return;
        }
        let found = Found { uri, content, stat, root: self.root.clone() };
        if known.is_none() && self.known_contents.contains(&content) {
            self.maybe_moved.push(found);
        } else {
            self.found.push(found);
            self.hand_on_full(BATCH);
        }
    }

    fn cannot_look(&mut self, path: &Path, error: &std::io::Error) {
        let uri = file_uri::of_path(path);
        self.scanned.incomplete.get_or_insert_with(|| format!("{uri}: {error}"));
        self.failed(uri, read_failure(error));
    }

    fn neither(&mut self, path: &Path) {
        let failure = Failure::new(FailureCode::Unreadable, "neither a file nor a directory");
        self.failed(file_uri::of_path(path), failure);
    }

    fn stopped(&self) -> bool {
        self.stopped
    }
}

fn is_under(uri: &str, root: &str) -> bool {
    uri.strip_prefix(root).is_some_and(|rest| rest.starts_with('/') || root.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use docmill_core::delivery::State;
    use docmill_core::id::{DocumentId, TenantId};

    use super::*;

    #[test]
    fn a_file_that_was_only_named_is_taken_over_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let path = root.join("a.txt");
        std::fs::write(&path, b"text").unwrap();
        let (content, stat) = file_uri::hash_file(&path).unwrap();
        let uri = file_uri::of_path(&path);
        let roots_found = |known_under: Option<&str>| {
            let known = KnownSource {
                uri: uri.clone(),
                document: DocumentId::born(&TenantId::default(), &uri, 0),
                stat: Some(stat),
                scanned_at_ns: i64::MAX,
                content: Some(content),
                state: State::Committed,
                root: known_under.map(str::to_owned),
                retry_when_seen: false,
            };
            let known = HashMap::from([(uri.clone(), known)]);
            let scan = Scan { known, began_ns: i64::MAX, bytes_max: 1 << 20, counters: Arc::default() };
            let mut roots = Vec::new();
            scan.run(std::slice::from_ref(&root), &mut |seen| {
                if let Seen::Found(found) = seen {
                    roots.extend(found.into_iter().map(|found| found.root));
                }
                true
            });
            roots
        };
        assert_eq!(roots_found(None), [file_uri::of_path(&root)]);
        assert_eq!(roots_found(Some("file:///w")), [""; 0]);
    }
}
