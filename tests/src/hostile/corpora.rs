//! Files that others keep for their own tests, as `cargo xtask setup` and `cargo xtask hostile` lay them out in the cache.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::services::cache;

/// Packages with their pins; the program that fetches them reads the same table.
const PINS: &str = include_str!("pins.tsv");

/// What stands in the last field of a package that every run of the tests has.
const ALWAYS: &str = "always";

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its package.
    pub package: String,
    /// Its path in it.
    pub path: String,
    /// Where it is.
    pub file: PathBuf,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// Names of the packages, all or those of every run.
///
/// # Errors
/// The table is not understood.
pub fn packages(all: bool) -> Result<Vec<&'static str>> {
    let rows = PINS.lines().filter(|line| !line.starts_with('#'));
    let named = rows.map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, _, _, _, when] = fields[..] else { bail!("five fields are wanted: {line}") };
        Ok((name, when))
    });
    let named = named.collect::<Result<Vec<_>>>()?;
    Ok(named.into_iter().filter(|(_, when)| all || *when == ALWAYS).map(|(name, _)| name).collect())
}

/// All files, or so many of the packages of every run: always the same ones, and of all kinds.
///
/// # Errors
/// A package is not there.
pub fn cases(sample: Option<usize>) -> Result<Vec<Case>> {
    let root = cache()?.join("hostile");
    let mut cases = Vec::new();
    for package in packages(sample.is_none())? {
        let folder = root.join(package).join("files");
        ensure!(
            folder.is_dir(),
            "{package} is not in {}: `cargo xtask setup` fetches what every run needs, `cargo xtask hostile` all of it",
            root.display()
        );
        let before = cases.len();
        walk(package, &folder, &folder, &mut cases)?;
        ensure!(cases.len() > before, "{} has no files", folder.display());
    }
    if let Some(sample) = sample {
        // In the order of their sums, which has nothing to do with what they are.
        cases.sort_by(|a, b| a.sha256.cmp(&b.sha256));
        cases.truncate(sample);
    }
    cases.sort_by(|a, b| (&a.package, &a.path).cmp(&(&b.package, &b.path)));
    Ok(cases)
}

fn walk(package: &str, root: &Path, folder: &Path, cases: &mut Vec<Case>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let file = entry?.path();
        let metadata = std::fs::symlink_metadata(&file)?;
        if metadata.is_dir() {
            walk(package, root, &file, cases)?;
        } else if metadata.is_file() {
            let path = file.strip_prefix(root)?.to_string_lossy().into_owned();
            let sha256 = sha256(&file)?;
            cases.push(Case { package: package.to_owned(), path, file, sha256 });
        }
    }
    Ok(())
}

fn sha256(path: &Path) -> Result<String> {
    let mut file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; READ_BYTES]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_stands_once_and_some_are_for_every_run() {
        let all = packages(true).unwrap();
        let few = packages(false).unwrap();
        assert!(!few.is_empty() && few.len() < all.len());
        assert!(all.iter().enumerate().all(|(at, name)| !all[..at].contains(name)));
    }
}
