//! What a submission is: what its arguments mean, where its documents belong, and the names under which a server
//! knows a request that comes again. Pure.

use std::path::{Path, PathBuf};

use docmill_core::source::FileStat;
use docmill_worker::stages::file_uri;
use sha2::{Digest, Sha256};

/// Longest place that a server takes, in bytes.
const PLACE_BYTES_MAX: usize = 1_024;
/// Longest name of a machine at the beginning of places, in bytes.
pub const ORIGIN_BYTES_MAX: usize = 100;

/// A file as it was when it was handed in: equal for the same file with the same content at the same place.
pub type Stamp = [u8; 16];

/// Arguments by kind: files and directories of this machine, and folders of the server's object store.
pub fn split(arguments: &[PathBuf]) -> (Vec<PathBuf>, Vec<String>) {
    let (mut paths, mut prefixes) = (Vec::new(), Vec::new());
    for argument in arguments {
        match argument.to_str() {
            Some(text) if text.contains("://") => prefixes.push(text.to_owned()),
            _ => paths.push(argument.clone()),
        }
    }
    (paths, prefixes)
}

/// Where a file belongs at the server: the machine and its path there. So a file that is handed in again is the same
/// document, and equal paths of two machines are not. One that is too long ends in its hash.
pub fn place(origin: &str, path: &Path) -> String {
    let uri = file_uri::of_path(path);
    let place = format!("{origin}{}", uri.strip_prefix("file://").unwrap_or(&uri));
    if place.len() <= PLACE_BYTES_MAX {
        return place;
    }
    let hash = hex(&Sha256::digest(place.as_bytes()));
    // The name stays: it says what kind of document it is.
    let name = place.rsplit('/').next().unwrap_or_default();
    let from = name.len().saturating_sub(PLACE_BYTES_MAX - ORIGIN_BYTES_MAX - hash.len() - 2);
    let from = (from..=name.len()).find(|at| name.is_char_boundary(*at)).unwrap_or(name.len());
    format!("{origin}/{hash}/{}", &name[from..])
}

/// Tells one submission from all others: the same arguments, to the same server, as the same user.
pub fn identity(
    server: &str,
    key: &str,
    name: Option<&str>,
    origin: &str,
    arguments: &[PathBuf],
) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    for part in [server, key, name.unwrap_or_default(), origin] {
        add(part.as_bytes());
    }
    for argument in arguments {
        add(argument.as_os_str().as_encoded_bytes());
    }
    hash.finalize().into()
}

/// What tells a file from its next content.
pub fn stamp(place: &str, stat: &FileStat) -> Stamp {
    let mut hash = Sha256::new();
    hash.update(place.as_bytes());
    for number in [stat.dev, stat.inode, stat.bytes] {
        hash.update(number.to_le_bytes());
    }
    for time in [stat.mtime_ns, stat.ctime_ns] {
        hash.update(time.to_le_bytes());
    }
    let whole: [u8; 32] = hash.finalize().into();
    let mut stamp = [0; 16];
    stamp.copy_from_slice(&whole[..16]);
    stamp
}

/// The key under which the server keeps its answer to an upload.
pub fn upload_key(batch: &str, stamp: &Stamp) -> String {
    format!("{batch}/{}", hex(stamp))
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: FileStat = FileStat { dev: 1, inode: 2, bytes: 3, mtime_ns: 4, ctime_ns: 5 };

    #[test]
    fn prefixes_are_told_from_paths() {
        let given = ["docs", "s3://bucket/in", "/a:b", "gs://x"].map(PathBuf::from);
        let (paths, prefixes) = split(&given);
        assert_eq!(paths, [PathBuf::from("docs"), PathBuf::from("/a:b")]);
        assert_eq!(prefixes, ["s3://bucket/in", "gs://x"]);
    }

    #[test]
    fn places_name_the_machine_and_fit() {
        assert_eq!(place("host", Path::new("/a b/日本.pdf")), "host/a b/日本.pdf");
        assert_eq!(place("host", Path::new("/x\n")), "host/x%0A");
        let origin = "o".repeat(ORIGIN_BYTES_MAX);
        let long = |last: &str| place(&origin, Path::new(&format!("/{}/{last}", "d/".repeat(600))));
        let (one, two) = (long("a.pdf"), long("b.pdf"));
        assert!(one.len() <= PLACE_BYTES_MAX && one.ends_with("/a.pdf") && two.ends_with("/b.pdf"));
        let wide = place(&origin, Path::new(&format!("/{}.pdf", "本".repeat(600))));
        assert!(wide.len() <= PLACE_BYTES_MAX && wide.ends_with("本.pdf"), "{}", wide.len());
    }

    #[test]
    fn another_content_has_another_stamp() {
        let other = FileStat { ctime_ns: 6, ..STAT };
        assert_eq!(stamp("a", &STAT), stamp("a", &STAT));
        assert_ne!(stamp("a", &STAT), stamp("a", &other));
        assert_ne!(stamp("a", &STAT), stamp("b", &STAT));
    }

    #[test]
    fn arguments_are_framed() {
        let of = |arguments: &[&str]| {
            let arguments: Vec<PathBuf> = arguments.iter().map(PathBuf::from).collect();
            identity("http://s/", "k", None, "host", &arguments)
        };
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["ab"]));
        assert_ne!(of(&["a", "b"]), of(&["b", "a"]));
    }
}
