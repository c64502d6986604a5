//! The walk: which files some paths lead to. What a hidden name, a link or a thing that is no file means is decided
//! here, once for what is ingested on this machine and for what is handed in to a server.

use std::fs::DirEntry;
use std::io;
use std::path::{Path, PathBuf};

use docmill_core::source::FileStat;

use crate::stages::file_uri;

/// What is told on the way.
pub trait Visitor {
    /// One of the paths that were given, with all links followed; what comes next was found under it.
    fn root(&mut self, root: &Path);
    /// A file, or a link to one, with what `stat` said.
    fn file(&mut self, path: &Path, stat: FileStat);
    /// Something could not be looked at: what is below it was not seen.
    fn cannot_look(&mut self, path: &Path, error: &io::Error);
    /// A path that was given leads to what is neither a file nor a directory.
    fn neither(&mut self, path: &Path);
    /// Whether the walk is to end.
    fn stopped(&self) -> bool;
}

/// Walks the paths, directories in order of their names.
pub fn walk(paths: &[PathBuf], visitor: &mut dyn Visitor) {
    for path in paths {
        match std::fs::canonicalize(path) {
            Ok(root) => {
                visitor.root(&root);
                entry(&root, true, visitor);
            }
            Err(error) => visitor.cannot_look(path, &error),
        }
    }
}

fn entry(path: &Path, given: bool, visitor: &mut dyn Visitor) {
    if visitor.stopped() {
        return;
    }
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return visitor.cannot_look(path, &error),
    };
    if metadata.is_dir() {
        directory(path, visitor);
    } else if metadata.is_file() {
        visitor.file(path, file_uri::stat_of(&metadata));
    } else if metadata.is_symlink() {
        // A link to a file is that file under another name; a link to a directory may lead in circles.
        if let Ok(target) = std::fs::metadata(path)
            && target.is_file()
        {
            visitor.file(path, file_uri::stat_of(&target));
        }
    } else if given {
        visitor.neither(path);
    }
}

fn directory(path: &Path, visitor: &mut dyn Visitor) {
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => return visitor.cannot_look(path, &error),
    };
    // In order of names, so that two walks tell the same in the same order.
    entries.sort_by_key(DirEntry::file_name);
    for below in entries {
        let hidden = below.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden {
            entry(&below.path(), false, visitor);
        }
    }
}
