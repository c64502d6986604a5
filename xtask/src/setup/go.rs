//! The S3 server of the tests, built from its released source: one that checks signatures.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{cache, process};

/// What is built. The module's checksum is held against Go's public log by `go` itself.
const MODULE: &str = "github.com/versity/versitygw/cmd/versitygw@v1.8.0";
/// Where it goes, under the cache's root. The tests look there.
const PLACE: &str = "services/versitygw";
/// Says what the program was built from; written last.
const PIN: &str = "module";

/// Builds the server unless it is there: about 100 seconds of one core.
pub fn install(cache: &Path) -> Result<()> {
    let place = cache.join(PLACE);
    if fs::read_to_string(place.join(PIN)).is_ok_and(|pin| pin == MODULE) {
        return Ok(());
    }
    if process::which("go").is_none() {
        bail!("the tests' S3 server is built by Go, which is not on PATH: install Go 1.24 or newer");
    }
    println!("setup: building {MODULE}");
    let partial = place.with_added_extension(format!("partial-{}", std::process::id()));
    fs::create_dir_all(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    let mut build = Command::new("go");
    build.args(["install", "-trimpath", MODULE]).env("GOBIN", &partial).env("CGO_ENABLED", "0");
    // Outside of the repository, whose files are no part of the build.
    build.current_dir(&partial);
    let placed = process::run_quiet(&mut build).and_then(|()| {
        cache::write(&partial.join(PIN), MODULE.as_bytes(), 0o644)?;
        if place.exists() {
            fs::remove_dir_all(&place).with_context(|| format!("cannot replace {}", place.display()))?;
        }
        fs::rename(&partial, &place).with_context(|| format!("cannot write {}", place.display()))
    });
    // Only disk space: a leftover harms nothing.
    let _ = fs::remove_dir_all(&partial);
    placed
}
