//! Looking for the files of a submission, on a thread of its own, ahead of the uploads by a bounded number.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use docmill_core::source::FileStat;
use docmill_worker::walk::{self, Visitor};
use tokio::sync::mpsc;

use super::super::error::Refusal;
use super::plan::{self, Stamp};
use super::upload::{Found, unreadable};

/// Files that wait for an upload; the search for more waits with them.
const WAITING_MAX: usize = 256;

/// What was found.
#[derive(Debug)]
pub enum Seen {
    /// A file that is to be handed in.
    File(Found),
    /// A file that the server has from an earlier process of this submission.
    Already,
    /// What cannot be handed in.
    Refused(PathBuf, Refusal),
}

/// How far it is, for those who look now and then.
#[derive(Debug, Default)]
pub struct Progress {
    /// Files found so far.
    pub found: AtomicU64,
    /// Those that are settled here, well or not.
    pub done: AtomicU64,
    /// Bytes that were uploaded.
    pub bytes: AtomicU64,
    /// No more will be found.
    pub walked: AtomicBool,
}

/// Where files belong and which are left out.
pub struct Search {
    pub origin: String,
    pub bytes_max: u64,
    /// What was handed in before.
    pub done: HashSet<Stamp>,
    pub progress: Arc<Progress>,
}

impl Search {
    /// Begins it; it ends when all is found or nobody takes what is.
    pub fn start(self, paths: Vec<PathBuf>) -> mpsc::Receiver<Seen> {
        let (tell, told) = mpsc::channel(WAITING_MAX);
        tokio::task::spawn_blocking(move || {
            let progress = self.progress.clone();
            let mut finder = Finder { search: self, tell, seen: HashSet::new(), nobody: false };
            walk::walk(&paths, &mut finder);
            progress.walked.store(true, Ordering::Release);
        });
        told
    }
}

struct Finder {
    search: Search,
    tell: mpsc::Sender<Seen>,
    /// Files found under more than one path are handed in once.
    seen: HashSet<Stamp>,
    nobody: bool,
}

impl Finder {
    fn tell(&mut self, seen: Seen) {
        self.search.progress.found.fetch_add(1, Ordering::Relaxed);
        self.nobody |= self.tell.blocking_send(seen).is_err();
    }
}

impl Visitor for Finder {
    fn root(&mut self, _: &Path) {}

    fn file(&mut self, path: &Path, stat: FileStat) {
        let place = plan::place(&self.search.origin, path);
        let stamp = plan::stamp(&place, &stat);
        if !self.seen.insert(stamp) {
            return;
        }
        let max = self.search.bytes_max;
        let seen = if self.search.done.contains(&stamp) {
            Seen::Already
        } else if stat.bytes > max {
            Seen::Refused(path.to_owned(), too_large(stat.bytes, max))
        } else {
            Seen::File(Found { path: path.to_owned(), place, bytes: stat.bytes, stamp })
        };
        self.tell(seen);
    }

    fn cannot_look(&mut self, path: &Path, error: &io::Error) {
        self.tell(Seen::Refused(path.to_owned(), unreadable(&error.to_string())));
    }

    fn neither(&mut self, path: &Path) {
        self.tell(Seen::Refused(path.to_owned(), unreadable("neither a file nor a directory")));
    }

    fn stopped(&self) -> bool {
        self.nobody
    }
}

fn too_large(bytes: u64, max: u64) -> Refusal {
    Refusal {
        status: 0,
        code: "too_large".to_owned(),
        message: format!("{bytes} bytes, at most {max} are allowed"),
        advice: "split the file, or raise --max-file-mib and the server's limit".to_owned(),
        retry_after: None,
    }
}
