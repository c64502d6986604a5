//! Scratch: where fetched objects lie while they are worked on. In a pod it is memory (tmpfs), so its bytes
//! are a budget that is waited for, never exceeded.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Error;
use super::own_dir::OwnDir;

/// Where scratch is, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScratchOptions {
    /// Its directory; made where it lacks. Processes may share it.
    pub path: PathBuf,
    /// Most that one process holds there, in MiB.
    pub limit_mib: u32,
}

/// The scratch of one process; clones share it.
#[derive(Debug, Clone)]
pub struct Scratch {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: OwnDir,
    /// One permit a KiB.
    free_kib: Arc<Semaphore>,
    limit_kib: u32,
    next: AtomicU64,
}

/// A file in scratch with its share of the budget; both go when it is dropped.
#[derive(Debug)]
pub struct ScratchFile {
    path: PathBuf,
    _share: OwnedSemaphorePermit,
    /// The directory outlives its files.
    _scratch: Scratch,
}

impl Scratch {
    /// Makes the directory and removes what dead processes left there.
    ///
    /// # Errors
    /// The file system's.
    pub fn open(options: &ScratchOptions) -> io::Result<Self> {
        let dir = OwnDir::create(&options.path)?;
        let limit_kib = options.limit_mib.saturating_mul(1024);
        let free_kib = Arc::new(Semaphore::new(limit_kib as usize));
        Ok(Self { inner: Arc::new(Inner { dir, free_kib, limit_kib, next: AtomicU64::new(0) }) })
    }

    /// A name for a file of this many bytes, once the budget has them. First come, first served: a large
    /// file is not overtaken for ever.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for more than the whole budget, at once.
    pub async fn file(&self, bytes: u64) -> Result<ScratchFile, Error> {
        let max = u64::from(self.inner.limit_kib) * 1024;
        // A file without bytes still is one.
        let Some(kib) = u32::try_from(bytes.div_ceil(1024).max(1)).ok().filter(|_| bytes <= max) else {
            return Err(Error::TooLarge { bytes, max });
        };
        let share = self.inner.free_kib.clone().acquire_many_owned(kib).await;
        let share = share.map_err(|closed| Error::Failed(closed.to_string()))?;
        let number = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let path = self.inner.dir.path().join(number.to_string());
        Ok(ScratchFile { path, _share: share, _scratch: self.clone() })
    }

    /// Bytes that nobody holds.
    pub fn free_bytes(&self) -> u64 {
        self.inner.free_kib.available_permits() as u64 * 1024
    }
}

impl ScratchFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        // It may never have been written; what stays goes with the directory.
        let _ = std::fs::remove_file(&self.path);
    }
}
