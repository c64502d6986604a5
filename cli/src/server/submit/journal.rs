//! What was handed in of a submission that is not finished, in a file: the same command again goes on with the same
//! batch, after a kill too. Lost lines cost an upload that changes nothing, so nothing is synced.

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::plan::{Stamp, hex};
use crate::failure::Failure;

/// What the first line begins with.
const HEAD: &str = "docmill-submit-1";
/// After this a submission that was not finished is begun anew, in milliseconds: a week.
const RESUMED_WITHIN_MS: u64 = 7 * 86_400_000;
/// Files that are remembered; more are uploaded again, which changes nothing.
const FILES_MAX: usize = 5_000_000;
/// Digits of a stamp.
const DIGITS: usize = 32;

/// See the module. Locked while it is open.
pub struct Journal {
    file: File,
    path: PathBuf,
    nonce: String,
    done: HashSet<Stamp>,
    resumed: bool,
}

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Noted {
    nonce: String,
    began_ms: u64,
    done: HashSet<Stamp>,
}

impl Journal {
    /// Opens the journal of a submission, or begins it under a new name.
    pub fn open(dir: &Path, identity: &[u8; 32], nonce: String, now_ms: u64) -> Result<Self, Failure> {
        let unusable = |error: std::io::Error| {
            let message = format!("{} cannot be used: {error}", dir.display());
            let advice = "name a directory that can be written by XDG_STATE_HOME";
            Failure::new("state_dir_unusable", message, advice)
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(unusable)?;
        let path = dir.join(hex(identity));
        let mut options = File::options();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = "the same is being submitted by another process";
                return Err(Failure::new("submit_running", message, "wait for it, or end it"));
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(unusable)?;
        let before =
            read(&text).filter(|before| now_ms.saturating_sub(before.began_ms) < RESUMED_WITHIN_MS);
        let resumed = before.is_some();
        let before = before.unwrap_or(Noted { nonce, began_ms: now_ms, done: HashSet::new() });
        let mut journal = Self { file, path, nonce: before.nonce, done: before.done, resumed };
        if !resumed {
            journal.restart(before.began_ms).map_err(unusable)?;
        }
        // A line that was torn is ended, so that the next one is whole.
        writeln!(journal.file).map_err(unusable)?;
        Ok(journal)
    }

    /// Forgets what was handed in: the batch is gone, and another one is begun.
    pub fn begin_anew(&mut self, nonce: String, now_ms: u64) -> Result<(), Failure> {
        self.nonce = nonce;
        self.done.clear();
        self.resumed = false;
        Ok(self.restart(now_ms)?)
    }

    fn restart(&mut self, began_ms: u64) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        writeln!(self.file, "{HEAD} {} {began_ms}", self.nonce)
    }

    /// The name under which the batch is made: the same, the same batch.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Whether an earlier process began it.
    pub fn resumed(&self) -> bool {
        self.resumed
    }

    /// How many files were handed in, each content counted.
    pub fn files(&self) -> u64 {
        self.done.len() as u64
    }

    /// What was handed in; asked once, by who looks for the rest.
    pub fn take_done(&mut self) -> HashSet<Stamp> {
        std::mem::take(&mut self.done)
    }

    /// Notes that this was handed in. What cannot be noted is uploaded again, should it come to that.
    pub fn note(&mut self, stamp: &Stamp) {
        if let Err(error) = writeln!(self.file, "{}", hex(stamp)) {
            tracing::warn!(%error, "what was handed in is not noted");
        }
    }

    /// All is handed in: the same command again is another submission.
    pub fn finish(self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, "the journal stays");
        }
    }
}

/// Reads a journal; `None`: it is none. Lines that are torn are left out.
fn read(text: &[u8]) -> Option<Noted> {
    let text = std::str::from_utf8(text).ok()?;
    let mut lines = text.split('\n');
    let mut head = lines.next()?.split(' ');
    let (Some(HEAD), Some(nonce), Some(began_ms)) = (head.next(), head.next(), head.next()) else {
        return None;
    };
    // The last part is what follows the last line's end: nothing, or a torn line.
    let done = lines.filter_map(stamp_of).take(FILES_MAX).collect();
    Some(Noted { nonce: nonce.to_owned(), began_ms: began_ms.parse().ok()?, done })
}

fn stamp_of(line: &str) -> Option<Stamp> {
    if line.len() != DIGITS || !line.is_ascii() {
        return None;
    }
    let mut stamp = Stamp::default();
    for (at, byte) in stamp.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&line[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path, nonce: &str, now_ms: u64) -> Result<Journal, Failure> {
        Journal::open(dir, &[7; 32], nonce.to_owned(), now_ms)
    }

    #[test]
    fn what_was_handed_in_is_known_after_a_kill() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = open(dir.path(), "one", 1_000).unwrap();
        assert!(!journal.resumed() && open(dir.path(), "two", 1_000).is_err(), "it is locked");
        journal.note(&[1; 16]);
        // Torn in the middle of a line.
        write!(journal.file, "0202").unwrap();
        drop(journal);
        let mut journal = open(dir.path(), "three", 2_000).unwrap();
        assert_eq!((journal.nonce(), journal.resumed()), ("one", true));
        assert_eq!(journal.take_done(), HashSet::from([[1; 16]]));
        journal.note(&[2; 16]);
        drop(journal);
        let mut journal = open(dir.path(), "four", 3_000).unwrap();
        assert_eq!(journal.take_done(), HashSet::from([[1; 16], [2; 16]]));
        journal.finish();
        assert_eq!(open(dir.path(), "five", 4_000).unwrap().nonce(), "five");
        let late = open(dir.path(), "six", 4_000 + RESUMED_WITHIN_MS).unwrap();
        assert_eq!((late.nonce(), late.resumed()), ("six", false));
    }

    #[test]
    fn what_is_no_journal_is_begun_anew() {
        for text in ["", "x", "docmill-submit-1 a", "docmill-submit-1 a b\n", "\u{0}\n"] {
            assert_eq!(read(text.as_bytes()), None, "{text:?}");
        }
        assert!(read(b"\xff").is_none());
    }
}
