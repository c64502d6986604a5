//! Our own build of the recogniser reads what the distribution's reads, byte for byte: on scans made here, and on those of
//! the demo documents where `cargo xtask corpus` has made them. Needs both libraries: `make setup`.

use std::ffi::{CStr, c_char};
use std::path::{Path, PathBuf};

use docmill_worker::extract::{ExtractOptions, OcrLanguages, Pool};
use tempfile::tempdir;

use crate::files::{file, program};
use crate::recognition::scan;
use crate::{Read, cache, read};

/// The library that setup builds, and the version of Tesseract that it builds it of.
const OWN: &str = "libtesseract-docmill.so";
const OWN_VERSION: &str = "5.3.0";

/// The distribution's.
const STOCK: &str = "libtesseract.so.5";

/// The demo's scans.
const SCANS: &[&str] = &[
    "en/scanned-policy.pdf",
    "de/gescannte-anleitung.pdf",
    "ru/скан-руководства.pdf",
    "ja/スキャン.pdf",
    "zh/扫描件.pdf",
];

/// The version of the distribution's library.
fn stock_version() -> String {
    // SAFETY: the library's constructors only set up its own tables, and the text is part of it.
    unsafe {
        let stock = libloading::Library::new(STOCK).expect("libtesseract.so.5 is there: run `make setup`");
        let version = stock.get::<unsafe extern "C" fn() -> *const c_char>(b"TessVersion").unwrap();
        let version = CStr::from_ptr(version()).to_string_lossy().into_owned();
        // It stays loaded: what it loads has threads of its own, which do not bear to lose their code.
        std::mem::forget(stock);
        version
    }
}

/// Our library; none where setup builds none, or where it would not run: the worker has the other one there too.
fn own_library() -> Option<PathBuf> {
    if stock_version() != OWN_VERSION || !is_x86_feature_detected!("avx2") {
        return None;
    }
    let own = cache().join("lib").join(OWN);
    assert!(own.is_file(), "no {}: run `make setup`", own.display());
    Some(own)
}

/// Extraction whose children use this library.
fn pool_with(folder: &Path, library: &Path, options: ExtractOptions) -> Pool {
    let binary = env!("CARGO_BIN_EXE_docmill-worker");
    let script = format!("TESSERACT_LIB='{}' exec '{binary}' \"$@\"", library.display());
    let name = format!("extractor-with-{}", library.file_name().unwrap().to_string_lossy());
    Pool::new(program(folder, &name, &script), 1, options)
}

/// Reads documents with the library, and sees that it was this one that was used.
async fn read_with(
    folder: &Path,
    library: &Path,
    options: &ExtractOptions,
    paths: &[PathBuf],
) -> Vec<Read> {
    let pool = pool_with(folder, library, options.clone());
    let mut found = Vec::new();
    for path in paths {
        found.push(read(&pool, path).await);
    }
    let [child] = pool.child_pids()[..] else { panic!("one child works") };
    let maps = std::fs::read_to_string(format!("/proc/{child}/maps")).unwrap();
    let name = library.file_name().unwrap().to_string_lossy().into_owned();
    assert!(maps.contains(&name), "{name} was not loaded");
    pool.shutdown().await;
    found
}

async fn assert_equal(folder: &Path, own: &Path, options: &ExtractOptions, paths: &[PathBuf]) {
    let ours = read_with(folder, own, options, paths).await;
    let theirs = read_with(folder, Path::new(STOCK), options, paths).await;
    for ((ours, theirs), path) in ours.iter().zip(&theirs).zip(paths) {
        assert!(!ours.text().is_empty(), "{}", path.display());
        // Text, and with the notes how sure each was of it.
        assert_eq!(ours.pages, theirs.pages, "{}", path.display());
    }
}

#[tokio::test]
async fn both_libraries_read_the_same() {
    let Some(own) = own_library() else { return };
    let folder = tempdir().unwrap();
    let scans = [("upright.pdf", scan(0)), ("turned.pdf", scan(1))];
    let scans = scans.map(|(name, bytes)| file(folder.path(), name, bytes));
    assert_equal(folder.path(), &own, &ExtractOptions::default(), &scans).await;
    // Two models at once, and one for another script.
    for models in ["rus+eng", "chi_sim"] {
        let languages = OcrLanguages::Fixed(models.to_owned());
        let options = ExtractOptions { languages, ..Default::default() };
        assert_equal(folder.path(), &own, &options, &scans[..1]).await;
    }
}

#[tokio::test]
async fn both_libraries_read_the_demos_scans_the_same() {
    let Some(own) = own_library() else { return };
    let folder = tempdir().unwrap();
    let scans: Vec<PathBuf> = SCANS.iter().map(|scan| cache().join("corpus/docs").join(scan)).collect();
    if scans.iter().all(|scan| scan.is_file()) {
        assert_equal(folder.path(), &own, &ExtractOptions::default(), &scans).await;
    }
}
