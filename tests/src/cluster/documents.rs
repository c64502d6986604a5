//! Documents to upload: those of this repository, the demo's where they were fetched, and generated ones of several
//! kinds. No two are the same: the API knows an upload by its content.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::install::repository;
use crate::corpus::{Writer, dense_pages, pdf};
use crate::services::cache;

/// Where the demo's documents are, below the cache.
const DEMO: &str = "corpus/docs";
/// Sizes of files that are taken: smaller ones say nothing, larger ones take a test's time.
const BYTES: std::ops::RangeInclusive<u64> = 1_024..=24 * 1_024;
/// Kinds that are read without recognition of scans.
const KINDS: [&str; 3] = ["html", "md", "txt"];
/// Size of a generated document.
const GENERATED_BYTES: usize = 4_000;

/// A file to upload.
#[derive(Debug, Clone)]
pub struct File {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// `count` different documents, at most half of them files that people wrote.
///
/// # Errors
/// A file cannot be read.
pub fn documents(count: usize, seed: u64) -> Result<Vec<File>> {
    let mut known = BTreeSet::new();
    let mut is_new = |bytes: &[u8]| known.insert(Sha256::digest(bytes).to_vec());
    let mut all = Vec::with_capacity(count);
    let mut paths = Vec::new();
    collect(&repository("docs"), &mut paths)?;
    let demo = cache()?.join(DEMO);
    if demo.is_dir() {
        collect(&demo, &mut paths)?;
    }
    paths.sort();
    // From all over the list: languages are in folders of their own.
    let step = paths.len().div_ceil((count / 2).max(1)).max(1);
    for path in paths.iter().step_by(step) {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        if all.len() < count / 2 && is_new(&bytes) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            all.push(File { name, bytes });
        }
    }
    let mut writer = Writer::new(seed);
    for number in all.len()..count {
        all.push(generated(&mut writer, number));
    }
    Ok(all)
}

/// `count` texts of about `bytes` each.
pub fn texts(count: usize, bytes: usize, seed: u64) -> Vec<File> {
    let mut writer = Writer::new(seed);
    (0..count)
        .map(|number| File {
            name: format!("text-{seed}-{number}.txt"),
            bytes: writer.document(bytes).into_bytes(),
        })
        .collect()
}

fn generated(writer: &mut Writer, number: usize) -> File {
    match number % 3 {
        0 => File {
            name: format!("text-{number}.txt"),
            bytes: writer.document(GENERATED_BYTES).into_bytes(),
        },
        1 => {
            let (first, second) = (writer.prose(GENERATED_BYTES / 2), writer.prose(GENERATED_BYTES / 2));
            let page = format!(
                "<!doctype html><html><head><title>Report {number}</title></head><body><h1>Report {number}</h1>\
                 <p>{first}</p><h2>Details</h2><p>{second}</p></body></html>"
            );
            File { name: format!("page-{number}.html"), bytes: page.into_bytes() }
        }
        _ => {
            let first = format!("Report {number}");
            let pages = dense_pages(writer, 2, Some(first.as_str()), None);
            File { name: format!("report-{number}.pdf"), bytes: pdf(&pages) }
        }
    }
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        let (path, about) = (entry.path(), entry.metadata()?);
        let kind = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        if about.is_dir() {
            collect(&path, paths)?;
        } else if about.is_file() && BYTES.contains(&about.len()) && KINDS.contains(&kind.as_str()) {
            paths.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_documents_are_the_same() {
        let all = documents(200, 1).unwrap();
        let different: BTreeSet<&[u8]> = all.iter().map(|file| file.bytes.as_slice()).collect();
        assert_eq!((all.len(), different.len()), (200, 200));
        assert!(
            ["html", "md", "pdf", "txt"]
                .iter()
                .all(|kind| all.iter().any(|file| file.name.ends_with(kind)))
        );
    }
}
