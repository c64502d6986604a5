//! `cargo xtask check`: formatting, lints, licences, and the boundaries between crates.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::test::phase;
use crate::{cache, process};

/// Runs every check, the cheap ones first.
pub fn run() -> Result<()> {
    phase("boundaries", core_is_pure)?;
    phase("licences", licences)?;
    phase("format", || process::run(process::cargo().args(["fmt", "--all", "--check"])))?;
    phase("clippy", || {
        process::run(
            process::cargo()
                .args(["clippy", "--quiet", "--workspace", "--all-targets", "--locked"])
                .args(["--", "-D", "warnings"]),
        )
    })
}

/// The core decides and does no IO: none of what could tempt it is among its dependencies.
pub fn core_is_pure() -> Result<()> {
    const BANNED: &[&str] = &["tokio", "rusqlite", "reqwest", "rustix", "libloading"];
    let tree = process::output(
        process::cargo()
            .args(["tree", "--locked", "--offline", "--package", "docmill-core"])
            .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"]),
    )?;
    for line in tree.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        ensure!(!BANNED.contains(&name), "docmill-core must not depend on {name}");
    }
    Ok(())
}

/// Licences, banned and duplicate crates, sources; not advisories, which need the network.
pub fn licences() -> Result<()> {
    process::run(
        Command::new(cache::root()?.join("bin/cargo-deny"))
            .current_dir(process::repository())
            .args(["--offline", "--locked", "--log-level", "error"])
            .args(["check", "--hide-inclusion-graph", "licenses", "bans", "sources"]),
    )
}
