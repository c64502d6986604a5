//! Clients that people have, for the tests: OpenAI's for Python and JavaScript, and the fuzzer of the API's description.
//! One folder holds them all, named after its pins: Python's environment with `node_modules` in it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{cache, process};

/// The pins, under the repository. `requirements.txt` is made of `requirements.in`, `package-lock.json` of
/// `package.json`; both with hashes:
///
/// ```text
/// uv pip compile --generate-hashes --universal --python-version 3.11 --no-emit-index-url requirements.in -o requirements.txt
/// npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved
/// ```
const PINS: &str = "tests/clients";
/// The files of it that name versions and hashes.
const FILES: [&str; 3] = ["requirements.txt", "package.json", "package-lock.json"];
/// Characters of the hash in the folder's name.
const HASH_CHARS: usize = 12;
/// Written last.
const COMPLETE: &str = "complete";

/// Installs them unless they are there.
pub fn install(cache: &Path) -> Result<()> {
    let pins = process::repository().join(PINS);
    let mut named = process::output(Command::new("python3").arg("--version"))?.into_bytes();
    for file in FILES {
        let path = pins.join(file);
        named.extend(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    let hash = cache::sha256(&named);
    // Scripts of an environment name its place, so it is made where it stays.
    let place = cache.join(format!("clients-{}", hash.get(..HASH_CHARS).unwrap_or(&hash)));
    if place.join(COMPLETE).exists() {
        return Ok(());
    }
    ensure!(
        process::which("npm").is_some(),
        "a test client comes by npm, which is not on PATH: install Node 20 or newer"
    );
    println!("setup: fetching clients of Python and JavaScript");
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("cannot replace {}", place.display()))?;
    }
    process::run_quiet(Command::new("python3").args(["-m", "venv"]).arg(&place))
        .context("python3 cannot make virtual environments: install python3-venv")?;
    process::run_quiet(
        Command::new(place.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"])
            .args(["--require-hashes", "--requirement"])
            .arg(pins.join("requirements.txt")),
    )?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(pins.join(file), place.join(file)).with_context(|| format!("cannot copy {file}"))?;
    }
    let npm = ["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"];
    process::run_quiet(Command::new("npm").args(npm).current_dir(&place))?;
    cache::write(&place.join(COMPLETE), b"", 0o644)
}
