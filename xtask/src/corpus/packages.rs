//! The Debian packages that the demo documents come from: pinned, downloaded, unpacked; never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{cache, process, setup};

/// A package as it was when the demo was made.
pub struct Package {
    pub name: &'static str,
    version: &'static str,
    sha256: &'static str,
}

const fn package(name: &'static str, version: &'static str, sha256: &'static str) -> Package {
    Package { name, version, sha256 }
}

/// Name, version and SHA-256 of the file.
#[rustfmt::skip]
pub const PACKAGES: &[Package] = &[
    package("aptitude-doc-ru", "0.8.13-5", "0d38f3888b2510d2a294ff32622fce0af44a1bdc0f8f1979165301dffde14ba2"),
    package("bash-doc", "5.2.15-2", "2c1a353f7004d14ba81db19c253b958d2dd9582027650739c530fd50376a9d8b"),
    package("debian-faq", "11.1", "427426e0cfa6888622fc1d72631071cb4b5a1f86ccde722e7820bcef284de5d0"),
    package("debian-policy", "4.6.2.0", "ef9d01b625c3b87c3a845c2cd1b66f1a16e9240b2b9e5bee53472a00e8457a39"),
    package("debian-reference-de", "2.100", "3b0ce65fd63e75ddf8eb07ca36293425135080e690a07e06a6ac8bc8040ef0aa"),
    package("debian-reference-en", "2.100", "9f31d3a17df505de09689ca255512ea58c1fc47c59bb1b0c7bf1c23362e9743f"),
    package("debian-reference-ja", "2.100", "f67140e0b994409413bd5fcc8dfcce832445c99d724401f0275fa238daf30325"),
    package("debian-reference-zh-cn", "2.100", "6d2d8d9a646397e28b04cdff23d2e4374101ebf9be348e35961af62c8a2d0977"),
    package("developers-reference", "12.18", "0dba82f6fa16e373f2a84ad07e7971aa9264ad2e7d2ae46b37edbc9c5fd57e2e"),
    package("developers-reference-de", "12.18", "281f0c2b24139e0ac83117c3e95b60458a6644fe14c82cf9ea78e87ea8c175d7"),
    package("developers-reference-ja", "12.18", "fdcd6ac4ade8b3a68449c7ba881195e37f429c64b8067ee7269404d1b86fa229"),
    package("installation-guide-amd64", "20230508+deb12u1", "812c43e1dc906daf671e3efe953dc023205c238e5bd5a3021ce4ca142793573a"),
    package("maint-guide-ja", "1.2.53", "67e9020818b7664b465239d96316a13af5f8cbd9a8bed5e8773c74e31ca24c97"),
    package("maint-guide-ru", "1.2.53", "41b69743c45f0a931edca9ab19232e226cebce393cbafdd582f0d000499a0d19"),
    package("maint-guide-zh-cn", "1.2.53", "d605b60a034f63857bc44205aed5ad7ba6e17d0d2b1ba5e79179b4e7ec4ee4bc"),
];

/// Manuals of other people, and of other programs, than the rest: only what extraction is measured with.
#[rustfmt::skip]
const MANUALS: &[Package] = &[
    package("gnuplot-doc", "5.4.4+dfsg1-2", "73fe1816a296594cf6a1d38528f8d740fd650f57a2cb62e029f7920fcd5b31f0"),
    package("r-doc-info", "4.2.2.20221110-2", "622344f981dc6f4fe755311cffe6d6ce7e001bfd7205dbb79e7f8646db91d5d2"),
    package("r-doc-pdf", "4.2.2.20221110-2", "beb104ad5818d261f280a868294645ca31d7c63365f2c9a55aa3ca9aad5aa71d"),
    package("zsh-doc", "5.9-4", "79bd75df4bf03d1021e993fd773f82b8a4c8d76649e420cd32eca940cf418ff4"),
];

/// A manual of 1,335 pages, for files larger than the memory that they may take.
#[rustfmt::skip]
pub const LARGE: Package =
    package("linuxcnc-doc-en", "2.9.0~pre1+git20230208.f1270d6ed7-1+deb12u2", "499e698beb2f0254fc49042861341a77ff39ca47ee51772dc939c633bed79b1f");

/// The package of this name.
pub fn named(name: &str) -> Result<&'static Package> {
    PACKAGES
        .iter()
        .chain(MANUALS)
        .find(|package| package.name == name)
        .with_context(|| format!("no package {name} is pinned"))
}

/// Downloads and unpacks a package under `dir`; gives the root of what was unpacked.
pub fn unpack(package: &Package, dir: &Path) -> Result<PathBuf> {
    let root = dir.join(package.name);
    if root.is_dir() {
        return Ok(root);
    }
    println!("corpus: fetching {}", package.name);
    let download = dir.join(format!("{}.partial-{}", package.name, std::process::id()));
    let result = unpack_in(package, &download, &root);
    // Only disk space: a leftover harms nothing.
    let _ = fs::remove_dir_all(&download);
    result.with_context(|| format!("package {}", package.name))?;
    Ok(root)
}

fn unpack_in(package: &Package, download: &Path, root: &Path) -> Result<()> {
    fs::create_dir_all(download)?;
    let pinned = format!("{}={}", package.name, package.version);
    let fetch = |what: &str| {
        process::run_quiet(Command::new("apt-get").current_dir(download).args(["download", "-q", what]))
    };
    if fetch(&pinned).is_err() {
        // Either the lists are empty or old, or the archive has moved on to another version.
        setup::update_package_lists()?;
        if fetch(&pinned).is_err() {
            fetch(package.name)?;
            println!("corpus: {} {} is not offered, taking another version", package.name, package.version);
        }
    }
    let file = fs::read_dir(download)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get downloaded no file")?;
    if !cache::holds(&file, package.sha256) {
        // apt has checked its signature; the documents, and so the demo's figures, may differ a little.
        println!("corpus: {} differs from the pinned file", package.name);
    }
    let unpacked = download.join("unpacked");
    process::run_quiet(Command::new("dpkg").arg("-x").arg(&file).arg(&unpacked))?;
    fs::rename(&unpacked, root)?;
    Ok(())
}
