//! Programs built by Go from their released sources.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{cache, process};

/// Says what a program was built from; written last.
const PIN: &str = "module";

/// One program.
pub struct Program {
    /// What is built, with its version. Its checksum is held against Go's public log by `go` itself.
    pub module: &'static str,
    /// Where it goes, under the cache's root. The tests look there.
    pub place: &'static str,
}

impl Program {
    /// Builds it unless it is there.
    pub fn install(&self, cache: &Path) -> Result<()> {
        let place = cache.join(self.place);
        if fs::read_to_string(place.join(PIN)).is_ok_and(|pin| pin == self.module) {
            return Ok(());
        }
        required()?;
        println!("setup: building {}", self.module);
        cache::place_folder(&place, |partial| {
            let compiled = partial.join("gocache");
            let mut build = Command::new("go");
            build.args(["install", self.module]).env("GOFLAGS", "-trimpath").env("CGO_ENABLED", "0");
            // What is compiled for it is of no use to another.
            build.env("GOBIN", partial).env("GOCACHE", &compiled);
            // Outside of the repository, whose files are no part of the build.
            process::run_quiet(build.current_dir(partial))?;
            fs::remove_dir_all(&compiled)?;
            cache::write(&partial.join(PIN), self.module.as_bytes(), 0o644)
        })
    }
}

/// Fails where there is no Go.
pub fn required() -> Result<()> {
    if process::which("go").is_none() {
        bail!("servers of the tests are built by Go, which is not on PATH: install Go 1.26 or newer");
    }
    Ok(())
}
