//! The cache that clones share: where artefacts lie, and how one gets there whole or not at all.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// `$DOCMILL_CACHE`, else `docmill` under the user's cache directory. The worker looks in the same places.
pub fn root() -> Result<PathBuf> {
    if let Some(dir) = set("DOCMILL_CACHE") {
        return Ok(dir);
    }
    if let Some(dir) = set("XDG_CACHE_HOME") {
        return Ok(dir.join("docmill"));
    }
    let home = set("HOME").context("neither DOCMILL_CACHE, XDG_CACHE_HOME nor HOME is set")?;
    Ok(home.join(".cache/docmill"))
}

fn set(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// SHA-256 of a file, in lower-case hexadecimal.
pub fn sha256_file(path: &Path) -> Result<String> {
    let mut file = fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).with_context(|| format!("cannot read {}", path.display()))?;
        if n == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..n]);
    }
}

/// SHA-256 of bytes, in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// True when the file is there with this SHA-256; a file that is there with another is as good as missing.
pub fn holds(path: &Path, expected_sha256: &str) -> bool {
    path.is_file() && sha256_file(path).is_ok_and(|found| found == expected_sha256)
}

/// Checks bytes against their pin and puts them at `path`.
pub fn place(path: &Path, bytes: &[u8], expected_sha256: &str, mode: u32) -> Result<()> {
    let found = sha256(bytes);
    if found != expected_sha256 {
        bail!("{}: sha256 is {found}, expected {expected_sha256}", path.display());
    }
    write(path, bytes, mode)
}

/// Writes a file whole or not at all, so that an interrupted or concurrent setup leaves no half file.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let dir = path.parent().context("a cache path has a directory")?;
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let partial = path.with_added_extension(format!("partial-{}", std::process::id()));
    fs::write(&partial, bytes).with_context(|| format!("cannot write {}", partial.display()))?;
    fs::set_permissions(&partial, fs::Permissions::from_mode(mode))?;
    fs::rename(&partial, path).with_context(|| format!("cannot write {}", path.display()))
}

/// Makes a folder aside and puts it in place whole, instead of one that is there; or leaves all as it is.
pub fn place_folder(place: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let partial = place.with_added_extension(format!("partial-{}", std::process::id()));
    // Of a process that had our number and was cut off: in a container that happens.
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    let placed = make(&partial).and_then(|()| {
        if place.exists() {
            fs::remove_dir_all(place).with_context(|| format!("cannot replace {}", place.display()))?;
        }
        fs::rename(&partial, place).with_context(|| format!("cannot write {}", place.display()))
    });
    // Only disk space: a leftover harms nothing.
    let _ = fs::remove_dir_all(&partial);
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_hexadecimal() {
        assert_eq!(sha256(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn wrong_bytes_are_not_placed() {
        let path = std::env::temp_dir().join(format!("docmill-cache-test-{}", std::process::id()));
        assert!(place(&path, b"a", &sha256(b"b"), 0o644).is_err());
        assert!(!path.exists());
        place(&path, b"b", &sha256(b"b"), 0o644).unwrap();
        assert!(holds(&path, &sha256(b"b")) && !holds(&path, &sha256(b"a")));
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_folder_is_replaced_whole_or_not_at_all() {
        let root = std::env::temp_dir().join(format!("docmill-cache-folder-{}", std::process::id()));
        let place = root.join("at.1");
        let names = |folder: &Path| {
            let entries = fs::read_dir(folder).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
        };
        let with = |name: &'static str| {
            move |folder: &Path| {
                assert!(names(folder).is_empty());
                write(&folder.join(name), b"", 0o644)
            }
        };
        let partial = place.with_added_extension(format!("partial-{}", std::process::id()));
        write(&partial.join("cut off"), b"", 0o644).unwrap();
        place_folder(&place, with("first")).unwrap();
        assert_eq!((names(&place), names(&root)), (vec!["first".to_owned()], vec!["at.1".to_owned()]));
        place_folder(&place, with("second")).unwrap();
        assert_eq!(names(&place), ["second"]);
        let failed = place_folder(&place, |folder| with("third")(folder).and_then(|()| bail!("broken")));
        assert_eq!(failed.unwrap_err().to_string(), "broken");
        assert_eq!((names(&place), names(&root)), (vec!["second".to_owned()], vec!["at.1".to_owned()]));
        fs::remove_dir_all(root).unwrap();
    }
}
