//! Downloads by the clients of those who publish: sources of Debian packages by apt, of Python's by pip, modules by go,
//! artifacts by Maven. Nothing is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::setup::{apt, pypi};
use crate::{cache, process};

/// Who publishes a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publisher {
    Apt,
    Pypi,
    Go,
    Maven,
}

impl Publisher {
    const ALL: &'static [Self] = &[Self::Apt, Self::Pypi, Self::Go, Self::Maven];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Pypi => "pypi",
            Self::Go => "go",
            Self::Maven => "maven",
        }
    }

    pub fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.iter().copied().find(|from| from.as_str() == name);
        found.with_context(|| format!("packages come from apt, pypi, go or maven, not {name}"))
    }
}

/// The plugin that copies artifacts, pinned too: Maven would take what it happens to know.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy";

/// Downloads into `to`, and gives the file with the sources.
pub fn download(
    from: Publisher,
    name: &str,
    version: &str,
    sha256: Option<&str>,
    to: &Path,
) -> Result<PathBuf> {
    match from {
        Publisher::Apt => sources(name, version, to),
        Publisher::Pypi => sdist(name, version, sha256, to),
        Publisher::Go => module(version, to),
        Publisher::Maven => artifact(version, to),
    }
}

/// The sources of a Debian package as their authors published them, by lists of our own: those of most machines are of
/// programs alone.
fn sources(name: &str, version: &str, to: &Path) -> Result<PathBuf> {
    let parts = to.join("parts");
    for (at, file) in sources_files().into_iter().enumerate() {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let is_stanzas = file.extension().is_some_and(|end| end == "sources");
        let ending = if is_stanzas { "sources" } else { "list" };
        let place = parts.join(format!("{at}.{ending}"));
        cache::write(&place, of_sources(&text, is_stanzas).as_bytes(), 0o644)?;
    }
    let lists = to.join("lists");
    fs::create_dir_all(lists.join("partial"))?;
    let apt_get = || {
        let mut command = Command::new("apt-get");
        command.current_dir(to);
        for (option, path) in [
            ("Dir::Etc::sourceparts", &parts),
            ("Dir::State::lists", &lists),
            ("Dir::Cache", &to.join("cache")),
        ] {
            command.arg("-o").arg(format!("{option}={}", path.display()));
        }
        command.args(apt::AS_WE_ARE).args(["-o", "Dir::Etc::sourcelist=/dev/null", "-q"]);
        command
    };
    fs::create_dir_all(to.join("cache/archives/partial"))?;
    // A third party may offer programs alone: the download fails if the lists are of no use.
    if let Err(error) = process::run_quiet(apt_get().arg("update")) {
        eprintln!("hostile: {error:#}");
    }
    let source = |what: &str| {
        process::run_quiet(apt_get().args([
            "source",
            "--download-only",
            "--tar-only",
            "--only-source",
            what,
        ]))
    };
    // The archive moves on to other revisions; what the authors published stays.
    if source(&format!("{name}={version}")).is_err() {
        source(name)?;
    }
    let is_original = |name: &str| name.contains(".orig.tar.") && !name.ends_with(".asc");
    only(to, is_original)
}

fn sources_files() -> Vec<PathBuf> {
    let parts = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    let files = parts.map(|entry| entry.path()).chain([PathBuf::from("/etc/apt/sources.list")]);
    let is_list = |path: &PathBuf| path.extension().is_some_and(|end| end == "sources" || end == "list");
    let mut files: Vec<PathBuf> = files.filter(|path| path.is_file() && is_list(path)).collect();
    files.sort();
    files
}

/// Where sources are, by where programs are.
fn of_sources(text: &str, is_stanzas: bool) -> String {
    let line = |line: &str| {
        if is_stanzas && line.starts_with("Types:") {
            return "Types: deb-src\n".to_owned();
        }
        match line.strip_prefix("deb ") {
            Some(rest) if !is_stanzas => format!("deb-src {rest}\n"),
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}

/// The sources of a Python package. With a sum pip checks them before it looks into them.
fn sdist(name: &str, version: &str, sha256: Option<&str>, to: &Path) -> Result<PathBuf> {
    let sum = sha256.map(|sum| format!(" --hash=sha256:{sum}")).unwrap_or_default();
    let wanted = to.join("wanted.txt");
    cache::write(&wanted, format!("{name}=={version}{sum}\n").as_bytes(), 0o644)?;
    process::run_quiet(
        pypi::pip()?
            .args(["download", "--quiet", "--disable-pip-version-check", "--no-deps"])
            .args(["--no-binary=:all:", "--dest"])
            .arg(to)
            .arg("--requirement")
            .arg(&wanted),
    )?;
    only(to, |name| name.ends_with(".tar.gz") || name.ends_with(".zip"))
}

/// A Go module, whose sum go holds against the public log.
fn module(version: &str, to: &Path) -> Result<PathBuf> {
    ensure!(process::which("go").is_some(), "go is not on PATH: install Go 1.26 or newer");
    let told =
        process::output(Command::new("go").current_dir(to).args(["mod", "download", "-json", version]))?;
    let told: serde_json::Value = serde_json::from_str(&told).context("what go says makes no sense")?;
    let zip = told["Zip"].as_str().with_context(|| format!("go downloaded nothing: {told}"))?;
    Ok(PathBuf::from(zip))
}

/// One artifact, without what it depends on.
fn artifact(version: &str, to: &Path) -> Result<PathBuf> {
    apt::install_maven()?;
    let mut maven = Command::new("mvn");
    maven.current_dir(to).args(["--batch-mode", "--quiet", COPY]);
    maven.arg(format!("-Dartifact={version}")).arg(format!("-DoutputDirectory={}", to.display()));
    process::run_quiet(&mut maven)?;
    only(to, |name| name.ends_with(".jar"))
}

/// The one file whose name is like that.
fn only(folder: &Path, is_it: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let files = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file());
    let mut found: Vec<PathBuf> =
        files.filter(|path| path.file_name().is_some_and(|name| is_it(&name.to_string_lossy()))).collect();
    match (found.pop(), found.pop()) {
        (Some(file), None) => Ok(file),
        (None, _) => bail!("nothing was downloaded"),
        (Some(one), Some(other)) => bail!("both {} and {} were downloaded", one.display(), other.display()),
    }
}

/// Unpacks what was downloaded.
pub fn unpack(file: &Path, to: &Path) -> Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(".zip") || name.ends_with(".jar") {
        return unzip(file, to);
    }
    if name.ends_with(".xz") && process::which("xz").is_none() {
        apt::install_missing(&["xz-utils"])?;
    }
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--no-same-owner", "--no-same-permissions", "--file"]).arg(file);
    process::run_quiet(tar.arg("--directory").arg(to))
}

fn unzip(file: &Path, to: &Path) -> Result<()> {
    let mut archive = zip::ZipArchive::new(fs::File::open(file)?).context("it is no zip")?;
    for index in 0..archive.len() {
        let mut member = archive.by_index(index)?;
        if member.is_dir() {
            continue;
        }
        // What leads out of the archive is none of its files.
        let Some(name) = member.enclosed_name() else { continue };
        let place = to.join(name);
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut unpacked =
            fs::File::create(&place).with_context(|| format!("cannot write {}", place.display()))?;
        std::io::copy(&mut member, &mut unpacked)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_programs_become_lists_of_sources() {
        let stanza = "Types: deb\nURIs: http://a.example\nSuites: stable\n";
        assert_eq!(of_sources(stanza, true), "Types: deb-src\nURIs: http://a.example\nSuites: stable\n");
        assert_eq!(
            of_sources("# deb x\ndeb [a=b] http://a.example stable main\n", false),
            "# deb x\ndeb-src [a=b] http://a.example stable main\n"
        );
    }
}
