//! Prometheus' own tool for rules and their tests, out of the distribution's package: tests run the chart's alerts and
//! the dashboard's expressions through it. The package is not installed, as nobody wants the server that it brings.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::apt;
use crate::{cache, process};

/// What has it.
const PACKAGE: &str = "prometheus";
/// The program, in the package.
const PROGRAM: &str = "usr/bin/promtool";
/// Where it goes, under the cache's root. The tests look there.
const PLACE: &str = "services/prometheus";
/// Its name there.
const NAME: &str = "promtool";

/// Fetches it unless it is there.
///
/// # Errors
/// The package is not to be had, or has no such program.
pub fn install(cache: &Path) -> Result<()> {
    let place = cache.join(PLACE);
    if place.join(NAME).is_file() {
        return Ok(());
    }
    if process::which("apt-get").is_none() {
        eprintln!("setup: no apt here; please put {NAME} into {}", place.display());
        return Ok(());
    }
    println!("setup: fetching {NAME} (19 MB)");
    cache::place_folder(&place, fetch)
}

fn fetch(to: &Path) -> Result<()> {
    let package = to.join("package");
    fs::create_dir_all(&package).with_context(|| format!("cannot create {}", package.display()))?;
    let download = || {
        process::run_quiet(Command::new("apt-get").args(["download", "-qq", PACKAGE]).current_dir(&package))
    };
    // Lists that are missing or old name what is not there.
    if download().is_err() {
        apt::update()?;
        download()?;
    }
    let mut files = fs::read_dir(&package)?;
    let file = files.next().context("apt brought nothing")??.path();
    let tree = to.join("tree");
    process::run_quiet(Command::new("dpkg-deb").arg("--extract").arg(&file).arg(&tree))?;
    fs::rename(tree.join(PROGRAM), to.join(NAME))
        .with_context(|| format!("{} has no {PROGRAM}", file.display()))?;
    fs::remove_dir_all(&tree)?;
    fs::remove_dir_all(&package).context("cannot remove the package")
}
