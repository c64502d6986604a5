//! What tests of generated files share.
// Each test is a program of its own, and none needs all of it.
#![allow(dead_code)]

pub mod chart;
pub mod fields;
pub mod install;
pub mod schema;
pub mod states;
pub mod validation;

use std::path::{Path, PathBuf};

/// How all pages and files are written again.
pub const HOW: &str = "UPDATE_REFERENCE=1 cargo test --package docmill-operator --test generated";

/// A path of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A program that setup puts into the cache.
pub fn tool(place: &str) -> PathBuf {
    let set = |variable| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("DOCMILL_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("docmill")))
        .or_else(|| set("HOME").map(|folder| folder.join(".cache/docmill")))
        .expect("DOCMILL_CACHE, XDG_CACHE_HOME or HOME is set");
    let tool = cache.join(place);
    assert!(tool.is_file(), "no {}: run `cargo xtask setup`", tool.display());
    tool
}

/// Reads a file of the repository.
pub fn read(path: &str) -> String {
    let path = repository(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether a file is what it would be written as; with `UPDATE_REFERENCE`, it is written.
pub fn is_up_to_date(path: &str, text: &str) {
    let file = repository(path);
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == text, "{path} is old: run `{HOW}`");
}

/// A text as a cell of a table has it.
pub fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ").trim().to_owned()
}
