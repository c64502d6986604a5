//! Our own build of the recogniser reads what the distribution's reads, byte for byte: on scans made here, and on those of
//! the demo documents where `cargo xtask corpus` has made them. Needs both libraries: `make setup`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use docmill_worker::extract::{ExtractOptions, OcrLanguages, Pool};
use tempfile::tempdir;

use crate::files::file;
use crate::recognition::scan;
use crate::{Read, read};

/// The library that setup builds.
const OWN: &str = "libtesseract-docmill.so";
const STOCK: &str = "libtesseract.so.5";

/// The demo's scans.
const SCANS: &[&str] = &[
    "en/scanned-policy.pdf",
    "de/gescannte-anleitung.pdf",
    "ru/скан-руководства.pdf",
    "ja/スキャン.pdf",
    "zh/扫描件.pdf",
];

fn cache() -> PathBuf {
    let named = std::env::var_os("DOCMILL_CACHE").map(PathBuf::from);
    named.unwrap_or_else(|| Path::new(&std::env::var("HOME").unwrap()).join(".cache/docmill"))
}

/// Extraction whose children use this library.
fn pool_with(folder: &Path, library: &Path, options: ExtractOptions) -> Pool {
    let binary = env!("CARGO_BIN_EXE_docmill-worker");
    let script = format!("#!/bin/sh\nTESSERACT_LIB='{}' exec '{binary}' \"$@\"\n", library.display());
    let name = format!("extractor-with-{}", library.file_name().unwrap().to_string_lossy());
    let script = file(folder, &name, script);
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    Pool::new(script, 1, options)
}

/// Reads a document with the library, and sees that it was this one that was used.
async fn read_with(folder: &Path, library: &Path, options: &ExtractOptions, path: &Path) -> Read {
    let pool = pool_with(folder, library, options.clone());
    let found = read(&pool, path).await;
    let [child] = pool.child_pids()[..] else { panic!("one child works") };
    let maps = std::fs::read_to_string(format!("/proc/{child}/maps")).unwrap();
    let name = library.file_name().unwrap().to_string_lossy().into_owned();
    assert!(maps.contains(&name), "{name} was not loaded");
    pool.shutdown().await;
    found
}

async fn assert_equal(folder: &Path, options: &ExtractOptions, path: &Path) {
    let own = cache().join("lib").join(OWN);
    assert!(own.is_file(), "no {}: run `make setup`", own.display());
    // Its own is not loaded where it would not run, and then there is nothing to compare.
    if cfg!(target_arch = "x86_64") && !is_x86_feature_detected!("avx2") {
        return;
    }
    let ours = read_with(folder, &own, options, path).await;
    let theirs = read_with(folder, Path::new(STOCK), options, path).await;
    assert!(!ours.text().is_empty());
    for (ours, theirs) in ours.pages.iter().zip(&theirs.pages) {
        assert_eq!(ours, theirs, "{}", path.display());
    }
    assert_eq!(ours.pages.len(), theirs.pages.len());
}

#[tokio::test]
async fn both_libraries_read_the_same() {
    let folder = tempdir().unwrap();
    for (name, bytes) in [("upright.pdf", scan(0)), ("turned.pdf", scan(1))] {
        let path = file(folder.path(), name, bytes);
        assert_equal(folder.path(), &ExtractOptions::default(), &path).await;
    }
    // Two models at once, and one for another script.
    let path = file(folder.path(), "languages.pdf", scan(0));
    for models in ["deu+eng", "rus", "jpn+eng", "chi_sim"] {
        let languages = OcrLanguages::Fixed(models.to_owned());
        assert_equal(folder.path(), &ExtractOptions { languages, ..Default::default() }, &path).await;
    }
}

#[tokio::test]
async fn both_libraries_read_the_demos_scans_the_same() {
    let folder = tempdir().unwrap();
    for scan in SCANS {
        let path = cache().join("corpus/docs").join(scan);
        if path.is_file() {
            assert_equal(folder.path(), &ExtractOptions::default(), &path).await;
        }
    }
}
