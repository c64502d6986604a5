//! Objects as files of a volume that pods share.
//!
//! A file gets its name when it is whole and on disk, and the name is on disk before a put returns.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use docmill_core::id::ContentHash;
use futures::stream::StreamExt;

use super::incoming::Incoming;
use super::key::RESERVED;
use super::own_dir::OwnDir;
use super::{Content, Error, Meta, Moved, ObjectKey, Stored};

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Volume {
    root: PathBuf,
    /// Where files are written, made at the first put: who only reads needs no right to write.
    parts: Mutex<Option<Arc<OwnDir>>>,
    next: AtomicU64,
}

/// A file without a name yet, removed unless it gets one.
struct Part {
    path: PathBuf,
    _dir: Arc<OwnDir>,
}

impl Drop for Part {
    fn drop(&mut self) {
        // Renamed, it is no longer there.
        let _ = fs::remove_file(&self.path);
    }
}

impl Volume {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, parts: Mutex::default(), next: AtomicU64::new(0) }
    }

    fn place(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn part(&self) -> io::Result<Part> {
        let mut parts = self.parts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let dir = match &*parts {
            // Another volume may be there now.
            Some(dir) if dir.path().is_dir() => dir.clone(),
            _ => {
                // Not made by us: a volume that is not mounted would be filled in the container's own layer.
                if !self.root.is_dir() {
                    return Err(io::ErrorKind::NotFound.into());
                }
                let dir = Arc::new(OwnDir::create(&self.root.join(RESERVED))?);
                *parts = Some(dir.clone());
                dir
            }
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(Part { path: dir.path().join(number.to_string()), _dir: dir })
    }

    pub(super) async fn put(
        &self,
        key: &ObjectKey,
        mut content: Content<'_>,
        bytes_max: u64,
    ) -> Result<Stored, Error> {
        let failed = |error: &io::Error| match Error::io(&self.root.display().to_string(), error) {
            // Nothing was asked for that could be missing but the volume.
            Error::Missing(what) => Error::Unreachable(format!("{what} is not there")),
            other => other,
        };
        let part = self.part().map_err(|error| failed(&error))?;
        let mut incoming = Incoming::create(&part.path).map_err(|error| self.seen(error))?;
        while let Some(next) = content.next().await {
            incoming.push(next.map_err(|error| Error::Sender(error.to_string()))?).await?;
            if incoming.bytes() > bytes_max {
                return Err(Error::TooLarge { bytes: incoming.bytes(), max: bytes_max });
            }
        }
        let (bytes, content) = incoming.finish(true).await?;
        let (root, place) = (self.root.clone(), self.place(key));
        blocking(move || {
            let dir = place.parent().unwrap_or(&root);
            make_dirs(&root, dir)?;
            fs::rename(&part.path, &place)?;
            sync_dir(dir)
        })
        .await?
        .map_err(|error| failed(&error))?;
        Ok(Stored { bytes, content })
    }

    pub(super) async fn head(&self, key: &ObjectKey) -> Result<Meta, Error> {
        let (place, key) = (self.place(key), key.clone());
        let found = blocking(move || {
            let metadata = fs::metadata(&place).map_err(|error| absent(&key, &error))?;
            if metadata.is_file() { Ok(meta(key, &metadata)) } else { Err(Error::Missing(key.to_string())) }
        });
        found.await?.map_err(|error| self.seen(error))
    }

    /// An object that is missing on a volume that is not there may come back with it.
    fn seen(&self, error: Error) -> Error {
        match error {
            Error::Missing(_) if !self.root.is_dir() => {
                Error::Unreachable(format!("{} is not there", self.root.display()))
            }
            error => error,
        }
    }

    /// One file is opened once: a put that replaces it meanwhile leaves that one as it is.
    pub(super) async fn fetch(
        &self,
        asked: &Meta,
        mut incoming: Incoming,
        moved: Moved<'_>,
    ) -> Result<(u64, ContentHash), Error> {
        let key = &asked.key;
        let (place, name) = (self.place(key), key.clone());
        let opened = blocking(move || File::open(&place).map_err(|error| absent(&name, &error)));
        let mut file = opened.await?.map_err(|error| self.seen(error))?;
        let changed = |file: &File| match file.metadata() {
            Ok(metadata) if meta(key.clone(), &metadata) == *asked => Ok(()),
            Ok(_) => Err(Error::Changed(key.to_string())),
            Err(error) => Err(absent(key, &error)),
        };
        changed(&file)?;
        loop {
            let read;
            (file, read) = blocking(move || {
                let mut buffer = vec![0; READ_BYTES];
                let read = file.read(&mut buffer).map(|length| {
                    buffer.truncate(length);
                    buffer
                });
                (file, read)
            })
            .await?;
            let read = read.map_err(|error| absent(key, &error))?;
            if read.is_empty() {
                break;
            }
            moved(read.len() as u64);
            incoming.push(Bytes::from(read)).await?;
            if incoming.bytes() > asked.bytes {
                return Err(Error::Changed(key.to_string()));
            }
        }
        // Somebody who writes into the file in place is seen here.
        changed(&file)?;
        incoming.finish(false).await
    }

    pub(super) async fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        if !self.root.is_dir() {
            // It is not removed, and would be there again with the volume.
            return Err(self.seen(Error::Missing(key.to_string())));
        }
        let (place, key) = (self.place(key), key.clone());
        blocking(move || match fs::remove_file(&place) {
            Ok(()) => place.parent().map_or(Ok(()), sync_dir).map_err(|error| absent(&key, &error)),
            Err(error) if is_no_file(&error) => Ok(()),
            Err(error) => Err(absent(&key, &error)),
        })
        .await?
    }

    pub(super) async fn list(
        &self,
        folder: Option<&ObjectKey>,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<Meta>, Error> {
        let root = self.root.clone();
        let start = folder.map(ToString::to_string).unwrap_or_default();
        let after = after.map(ToString::to_string).unwrap_or_default();
        if !root.is_dir() {
            return Err(self.seen(Error::Missing(start)));
        }
        blocking(move || {
            let mut page = Vec::new();
            walk(&root, &start, &after, limit, &mut page)
                .map_err(|error| Error::io(&root.display().to_string(), &error))?;
            Ok(page)
        })
        .await?
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Failed(error.to_string()))
}

fn absent(key: &ObjectKey, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotADirectory => Error::Missing(key.to_string()),
        _ => Error::io(key.as_str(), error),
    }
}

fn meta(key: ObjectKey, metadata: &fs::Metadata) -> Meta {
    let modified_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    Meta {
        key,
        bytes: metadata.len(),
        version: Some(format!("{:x}-{modified_ns:x}-{:x}", metadata.ino(), metadata.len())),
        modified_ms: u64::try_from(modified_ns / 1_000_000).unwrap_or(0),
    }
}

/// Makes the directories from `root` to `dir`, each on disk in the one above.
fn make_dirs(root: &Path, dir: &Path) -> io::Result<()> {
    let Ok(below) = dir.strip_prefix(root) else { return Ok(()) };
    let mut at = root.to_owned();
    for name in below {
        let above = at.clone();
        at.push(name);
        match fs::create_dir(&at) {
            Ok(()) => sync_dir(&above)?,
            // Another put may have made it and not synced it yet.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Adds the objects below `folder` (empty: all) whose names come after `after`, in the order of names.
fn walk(root: &Path, folder: &str, after: &str, limit: usize, page: &mut Vec<Meta>) -> io::Result<()> {
    let entries = match fs::read_dir(root.join(folder)) {
        Ok(entries) => entries,
        Err(error) if !folder.is_empty() && is_no_folder(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let whole = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        let is_dir = entry.file_type()?.is_dir();
        // A folder's place is that of the names in it.
        names.push((if is_dir { format!("{whole}/") } else { whole }, is_dir));
    }
    names.sort();
    for (name, is_dir) in names {
        if page.len() >= limit {
            break;
        }
        if is_dir {
            // Not entered where everything in it comes before.
            if name.as_str() > after || after.starts_with(&name) {
                let name = name.trim_end_matches('/');
                if name != RESERVED {
                    walk(root, name, after, limit, page)?;
                }
            }
        } else if name.as_str() > after
            && let Ok(key) = ObjectKey::new(name.as_str())
            && let Ok(metadata) = fs::metadata(root.join(&name))
        {
            // Gone since it was listed: no longer an object.
            page.push(meta(key, &metadata));
        }
    }
    Ok(())
}

fn is_no_file(error: &io::Error) -> bool {
    is_no_folder(error) || error.kind() == io::ErrorKind::IsADirectory
}

fn is_no_folder(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
