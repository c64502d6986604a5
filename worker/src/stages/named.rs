//! Files that somebody names, who may name only what is below a root. A name can lead elsewhere by the time that it is
//! followed again: so a file is opened once, and what was opened is judged, hashed and read.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use docmill_core::failure::Failure;
use docmill_core::id::ContentHash;
use sha2::{Digest, Sha256};

use super::fetch::Fetched;
use super::{file_uri, internal, read_failure};

/// Where the process finds what it has open, whatever has its name by now.
fn own_path(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// What the path leads to, with all links followed, held without being read; `None` where that is no regular file or
/// not below the root. Nothing waits for a pipe, and no device is touched.
fn hold(root: &Path, path: &Path) -> io::Result<Option<(File, Metadata)>> {
    let root = root.canonicalize()?;
    let held = File::options().read(true).custom_flags(libc::O_PATH).open(path)?;
    let metadata = held.metadata()?;
    let is_below = std::fs::read_link(own_path(&held))?.starts_with(root);
    Ok((is_below && metadata.is_file()).then_some((held, metadata)))
}

/// What is known of the file without reading it; `None` where it is no regular file or not below the root.
///
/// # Errors
/// What the file system says.
pub fn look_below(root: &Path, path: &Path) -> io::Result<Option<Metadata>> {
    Ok(hold(root, path)?.map(|(_, metadata)| metadata))
}

/// The same, opened to be read.
///
/// # Errors
/// What the file system says.
pub fn open_below(root: &Path, path: &Path) -> io::Result<Option<File>> {
    match hold(root, path)? {
        Some((held, _)) => File::open(own_path(&held)).map(Some),
        None => Ok(None),
    }
}

/// The file with its hash; `None` where it is no regular file or not below the root. It stays open: whoever reads it by
/// the path that is given back reads this one.
///
/// # Errors
/// It cannot be read.
pub async fn fetch_below(root: &Path, path: PathBuf) -> Result<Option<Fetched>, Failure> {
    let root = root.to_owned();
    let reading = move || -> io::Result<Option<Fetched>> {
        let Some(mut file) = open_below(&root, &path)? else { return Ok(None) };
        let (content, stat) = file_uri::hash_open(&mut file)?;
        Ok(Some(Fetched { path: own_path(&file), content, bytes: stat.bytes, keep: Box::new(file) }))
    };
    let read = tokio::task::spawn_blocking(reading).await.map_err(internal)?;
    read.map_err(|error| read_failure(&error))
}

/// What tells this state of a file from any other, without reading it.
pub fn version_of(metadata: &Metadata) -> ContentHash {
    let parts = [
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        metadata.mtime().cast_unsigned(),
        metadata.mtime_nsec().cast_unsigned(),
    ];
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part.to_le_bytes()));
    ContentHash(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Place {
        dir: tempfile::TempDir,
        root: PathBuf,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().join("root");
            std::fs::create_dir(&root).unwrap();
            std::fs::write(root.join("in"), b"inside").unwrap();
            std::fs::write(dir.path().join("out"), b"outside").unwrap();
            Self { dir, root }
        }
    }

    #[test]
    fn links_do_not_lead_out_of_the_root() {
        let Place { dir, root } = Place::new();
        symlink(dir.path().join("out"), root.join("link")).unwrap();
        symlink(root.join("in"), root.join("twin")).unwrap();
        let is_there = |name: &str| look_below(&root, &root.join(name)).unwrap().is_some();
        assert!(is_there("in") && is_there("twin"));
        assert!(!is_there("link") && !is_there("../out") && !is_there("."));
        assert!(look_below(&root, &root.join("none")).is_err());
    }

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let Place { dir: _dir, root } = Place::new();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert!(open_below(&root, &root.join("pipe")).unwrap().is_none());
    }

    #[tokio::test]
    async fn what_was_opened_is_what_is_read_whatever_has_its_name() {
        let Place { dir, root } = Place::new();
        let fetched = fetch_below(&root, root.join("in")).await.unwrap().unwrap();
        std::fs::remove_file(root.join("in")).unwrap();
        symlink(dir.path().join("out"), root.join("in")).unwrap();
        assert_eq!(std::fs::read(&fetched.path).unwrap(), b"inside");
        assert_eq!((fetched.content, fetched.bytes), (ContentHash::of(b"inside"), 6));
        assert!(fetch_below(&root, root.join("in")).await.unwrap().is_none());
    }

    #[test]
    fn another_file_of_the_same_name_is_another_version() {
        let Place { dir: _dir, root } = Place::new();
        let version = || version_of(&look_below(&root, &root.join("in")).unwrap().unwrap());
        let first = version();
        assert_eq!(version(), first);
        std::fs::write(root.join("new"), b"inside").unwrap();
        std::fs::rename(root.join("new"), root.join("in")).unwrap();
        assert_ne!(version(), first);
    }
}
