//! The same once more as a user without any rights, who finds neither the cache nor the programs of who builds them: all
//! that is needed is put where everybody may read it.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Options;
use crate::services::cache;

/// The user of docmill's image.
const USER: u32 = 10_001;
/// The library that reads PDF.
const PDFIUM: &str = "libpdfium.so";

/// Runs this program again as the user of the image, without capabilities; says whether it found all well. What it prints
/// is printed.
///
/// # Errors
/// It could not be run.
pub fn again_as_other_user(options: Options) -> Result<bool> {
    let stage = tempfile::Builder::new().prefix("docmill-sandbox-").tempdir()?;
    std::fs::set_permissions(stage.path(), std::fs::Permissions::from_mode(0o755))?;
    let own = std::env::current_exe()?;
    let program = put(&own, stage.path())?;
    put(&crate::services::worker::program(), stage.path())?;
    let library = put(&pdfium()?, stage.path())?;
    let room = stage.path().join("tmp");
    std::fs::create_dir(&room)?;
    chown(&room, Some(USER), Some(USER))?;
    let mut command = Command::new("setpriv");
    command
        .args([format!("--reuid={USER}"), format!("--regid={USER}")])
        .args(["--clear-groups", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"])
        .arg(program)
        .arg("--as-is")
        .args(options.counts_only.then_some("--counts-only"))
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("PDFIUM_LIB", library)
        .env("TMPDIR", &room)
        .current_dir("/");
    let status = command.status().context("cannot start setpriv (Debian: util-linux)")?;
    Ok(status.success())
}

/// Where children find the library, when they are this user's.
fn pdfium() -> Result<PathBuf> {
    let named = std::env::var_os("PDFIUM_LIB").map(PathBuf::from).filter(|path| path.is_file());
    match named {
        Some(named) => Ok(named),
        None => Ok(cache()?.join("lib").join(PDFIUM)),
    }
}

/// Puts a file there for everybody to read and run.
fn put(file: &Path, folder: &Path) -> Result<PathBuf> {
    let name = file.file_name().context("a file has a name")?;
    let there = folder.join(name);
    let for_everybody = std::fs::metadata(file)?.permissions().mode() & 0o005 == 0o005;
    // Programs with what a debugger wants are large, and the same file will do.
    if !for_everybody || std::fs::hard_link(file, &there).is_err() {
        std::fs::copy(file, &there).with_context(|| format!("cannot copy {}", file.display()))?;
        std::fs::set_permissions(&there, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(there)
}
