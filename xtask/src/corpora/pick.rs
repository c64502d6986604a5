//! Which files of a package are documents, and where they go. A file keeps its path in the package.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::uu;

/// What is wanted of a package.
struct Wanted {
    package: &'static str,
    /// A path has one of these in it.
    below: &'static [&'static str],
    /// And ends with one of these; with none of them it may end with anything.
    ends: &'static [&'static str],
}

const PICTURES: &[&str] = &[".pdf", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".gif", ".bmp"];

const WANTED: &[Wanted] = &[
    Wanted { package: "qpdf", below: &["/qtest/", "/fuzz/qpdf_extra/"], ends: &[".pdf", ".fuzz"] },
    Wanted { package: "libarchive", below: &["/test/"], ends: &[".uu"] },
    Wanted { package: "pypdf", below: &["/"], ends: &[".pdf"] },
    Wanted { package: "python-docx", below: &["/"], ends: &[".docx"] },
    Wanted { package: "defusedxml", below: &["/"], ends: &[".xml", ".xsl"] },
    // Of these, a file of each format that nobody else in every run has.
    Wanted {
        package: "tracker-miners",
        below: &["/test-extraction-data/office/"],
        ends: &[".pdf", ".odt", ".doc", ".ppt"],
    },
    Wanted { package: "libemail-outlook-message-perl", below: &["/t/files/plain_uc_unsent."], ends: &[] },
    Wanted { package: "odfpy", below: &["/tests/examples/ol.odp"], ends: &[] },
    Wanted { package: "pikepdf", below: &["/tests/"], ends: PICTURES },
    Wanted { package: "pillow", below: &["/Tests/images/", "/Tests/icc/"], ends: &[] },
    Wanted { package: "pdfcpu", below: &["/"], ends: PICTURES },
    Wanted { package: "tika", below: &["test-documents/"], ends: &[] },
    Wanted { package: "tika-pdf", below: &["test-documents/"], ends: &[] },
];

/// Whether it is said what is wanted of a package.
#[cfg(test)]
pub fn is_known(package: &str) -> bool {
    WANTED.iter().any(|wanted| wanted.package == package)
}

/// Moves the files that are wanted to `to`, and says how many they are.
pub fn pick(package: &str, unpacked: &Path, to: &Path) -> Result<usize> {
    let wanted = WANTED.iter().find(|wanted| wanted.package == package);
    let wanted = wanted.with_context(|| format!("it is not said what is wanted of {package}"))?;
    let mut files = Vec::new();
    walk(unpacked, &mut files)?;
    let root = common_root(unpacked, &files);
    let mut count = 0;
    for file in files {
        let path = file.strip_prefix(&root)?.to_string_lossy().into_owned();
        let slashed = format!("/{path}");
        let is_below = wanted.below.iter().any(|part| slashed.contains(*part));
        let lower = path.to_ascii_lowercase();
        if !is_below || !(wanted.ends.is_empty() || wanted.ends.iter().any(|end| lower.ends_with(*end))) {
            continue;
        }
        match path.strip_suffix(".uu") {
            // What was written as letters is made what it was.
            Some(path) => {
                let bytes = fs::read(&file)?;
                // Some are broken so that their reader is tried, which is not what is tried here.
                let Some(bytes) = uu::decode(&bytes) else { continue };
                write(&to.join(path), &bytes)?;
            }
            None => {
                let place = to.join(&path);
                if let Some(folder) = place.parent() {
                    fs::create_dir_all(folder)?;
                }
                fs::rename(&file, &place).with_context(|| format!("cannot write {}", place.display()))?;
            }
        }
        count += 1;
    }
    Ok(count)
}

fn write(place: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(place, bytes).with_context(|| format!("cannot write {}", place.display()))
}

/// The folder that all files are in: its name has the version in it.
fn common_root(unpacked: &Path, files: &[PathBuf]) -> PathBuf {
    let mut root = unpacked.to_owned();
    let Some(first) = files.first() else { return root };
    let Ok(inner) = first.strip_prefix(unpacked) else { return root };
    for part in inner.parent().into_iter().flat_map(Path::components) {
        let deeper = root.join(part);
        // Below a folder that says what is wanted nothing is taken away.
        let is_told = part.as_os_str() == "test-documents";
        if is_told || !files.iter().all(|file| file.starts_with(&deeper)) {
            break;
        }
        root = deeper;
    }
    root
}

/// All files, no links.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            walk(&path, files)?;
        } else if metadata.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_picked_with_their_paths() {
        let folder = std::env::temp_dir().join(format!("docmill-pick-{}", std::process::id()));
        let (unpacked, to) = (folder.join("unpacked"), folder.join("files"));
        for (path, text) in [
            ("qpdf-1.0/qpdf/qtest/qpdf/a.pdf", "a"),
            ("qpdf-1.0/fuzz/qpdf_extra/1.fuzz", "b"),
            ("qpdf-1.0/manual/no.pdf", "c"),
            ("qpdf-1.0/qpdf/qtest/no.out", "d"),
        ] {
            write(&unpacked.join(path), text.as_bytes()).unwrap();
        }
        assert_eq!(pick("qpdf", &unpacked, &to).unwrap(), 2);
        assert_eq!(fs::read(to.join("qpdf/qtest/qpdf/a.pdf")).unwrap(), b"a");
        assert_eq!(fs::read(to.join("fuzz/qpdf_extra/1.fuzz")).unwrap(), b"b");
        assert!(pick("other", &unpacked, &to).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
