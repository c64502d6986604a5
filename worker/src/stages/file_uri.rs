//! Files as URIs and back, and what a look at a file says.
//!
//! Names stay readable: only what cannot stand in a line of text or is no UTF-8 is percent-encoded.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use docmill_core::id::ContentHash;
use docmill_core::source::FileStat;
use sha2::{Digest, Sha256};

const SCHEME: &str = "file://";
/// Bytes read at once while hashing.
const READ_BYTES: usize = 256 * 1024;

/// The URI of an absolute path.
pub fn of_path(path: &Path) -> String {
    let mut uri = SCHEME.to_owned();
    for part in path.as_os_str().as_bytes().utf8_chunks() {
        for c in part.valid().chars() {
            if c == '%' || c.is_control() || is_bidi_control(c) {
                let mut bytes = [0; 4];
                percent(&mut uri, c.encode_utf8(&mut bytes).as_bytes());
            } else {
                uri.push(c);
            }
        }
        percent(&mut uri, part.invalid());
    }
    uri
}

fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn percent(uri: &mut String, bytes: &[u8]) {
    for byte in bytes {
        uri.push_str(&format!("%{byte:02X}"));
    }
}

/// The path of a URI that [`of_path`] made; `None` for any other.
pub fn to_path(uri: &str) -> Option<PathBuf> {
    let encoded = uri.strip_prefix(SCHEME)?.as_bytes();
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

/// The last part of a URI.
pub fn name(uri: &str) -> &str {
    uri.rsplit('/').next().unwrap_or(uri)
}

/// What `stat` says.
pub fn stat_of(metadata: &std::fs::Metadata) -> FileStat {
    FileStat {
        dev: metadata.dev(),
        inode: metadata.ino(),
        bytes: metadata.len(),
        mtime_ns: metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()),
        ctime_ns: metadata.ctime().saturating_mul(1_000_000_000).saturating_add(metadata.ctime_nsec()),
    }
}

/// Hashes a file, with what `stat` said before the first byte was read.
///
/// # Errors
/// What the file system says.
pub fn hash_file(path: &Path) -> std::io::Result<(ContentHash, FileStat)> {
    hash_open(&mut open(path)?)
}

/// Opens a file to be read, without waiting: what was one when it was listed may be a pipe by now.
///
/// # Errors
/// What the file system says.
pub fn open(path: &Path) -> std::io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// Hashes a file that is open, at its beginning, with what `stat` said before.
///
/// # Errors
/// What the file system says.
pub fn hash_open(file: &mut File) -> std::io::Result<(ContentHash, FileStat)> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let stat = stat_of(&metadata);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; READ_BYTES.min(stat.bytes as usize + 1)];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    Ok((ContentHash(hash.finalize().into()), stat))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn readable_names_stay_readable() {
        assert_eq!(of_path(Path::new("/a b/日本語.pdf")), "file:///a b/日本語.pdf");
        assert_eq!(of_path(Path::new("/50%\n.txt")), "file:///50%25%0A.txt");
    }

    proptest! {
        #[test]
        fn every_path_comes_back(bytes in proptest::collection::vec(1u8.., 0..40)) {
            let path = PathBuf::from(OsString::from_vec([b"/", &bytes[..]].concat()));
            let uri = of_path(&path);
            prop_assert!(!uri.chars().any(char::is_control));
            prop_assert_eq!(to_path(&uri), Some(path));
        }

        #[test]
        fn no_uri_panics(uri in "\\PC*") {
            let _ = to_path(&uri);
            let _ = to_path(&format!("file://{uri}"));
        }
    }
}
