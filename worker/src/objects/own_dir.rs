//! A directory that one process has for itself below a root that several share, removed when it ends; what
//! processes left that were killed goes when the next one starts.
//!
//! Whose process lives is said by a lock that the kernel drops with it: process numbers would not do, as
//! pods that share a volume count their own.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Held while directories are made and swept, so that none is swept before it is locked.
const TURNS: &str = "turns.lock";
/// Held as long as the directory's process lives.
const ALIVE: &str = "alive.lock";

/// See the module.
#[derive(Debug)]
pub(super) struct OwnDir {
    path: PathBuf,
    /// Whoever can take this lock may remove the directory.
    _alive: File,
}

impl OwnDir {
    /// Removes what dead processes left below `root`, and makes a directory there.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn create(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let turns = File::options().create(true).append(true).open(root.join(TURNS))?;
        turns.lock()?;
        for entry in fs::read_dir(root)? {
            let path = entry?.path();
            if path.is_dir() && is_dead(&path) {
                // It may belong to another user; it is then that user's to remove.
                let _ = fs::remove_dir_all(&path);
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let path = root.join(format!("{:x}-{now:x}", std::process::id()));
        fs::create_dir(&path)?;
        let alive = File::create_new(path.join(ALIVE))?;
        alive.lock()?;
        Ok(Self { path, _alive: alive })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// A directory without the lock's file is of a process that died while making it: the turns are ours.
fn is_dead(dir: &Path) -> bool {
    match File::open(dir.join(ALIVE)) {
        Ok(alive) => match alive.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
        },
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

impl Drop for OwnDir {
    fn drop(&mut self) {
        // What stays is swept by the next process.
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_keep_theirs_and_the_dead_do_not() {
        let root = tempfile::tempdir().unwrap();
        let mine = OwnDir::create(root.path()).unwrap();
        fs::write(mine.path().join("file"), b"x").unwrap();
        let dead = root.path().join("1-1");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(ALIVE), b"").unwrap();
        fs::create_dir(root.path().join("2-2")).unwrap();
        let other = OwnDir::create(root.path()).unwrap();
        assert!(mine.path().join("file").exists() && other.path().exists() && !dead.exists());
        drop((mine, other));
        let left: Vec<_> =
            fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [TURNS]);
    }
}
