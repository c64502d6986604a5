//! Tesseract as extraction wants it: the distribution's source, patched, as a library and nothing else. The recipe is in
//! `third_party/tesseract`; without the library the worker uses the distribution's, which reads the same and takes three
//! times as long.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::apt;
use crate::{cache, process};

/// The version that the patches are for.
const VERSION: &str = "5.3.0";

/// The distribution's package of it: its text is what ours has to give, so that it has to be of the same version.
const STOCK: &str = "libtesseract5";

/// The source in the distribution's archive.
const SOURCE: &str = "pool/main/t/tesseract/tesseract_5.3.0.orig.tar.gz";
const SOURCE_SHA256: &str = "7e70870f8341e5ea228af2836ce79a36eefa11b01b56177b4a8997f330c014b8";

/// Headers of the library that Tesseract uses for pictures; the library itself comes with the distribution's Tesseract.
const HEADERS: &str = "libleptonica-dev";

/// What builds it.
const TOOLS: &[&str] = &["g++", "make", "patch"];

/// Where it goes, under the cache's root. The worker, its tests and the images look there.
const PLACE: &str = "lib/libtesseract-docmill.so";

/// Says what it was built from, and its own hash; written last.
const PIN: &str = "lib/libtesseract-docmill.pin";

/// Builds the library unless it is there, or cannot be of use on this machine.
pub fn install(cache: &Path) -> Result<()> {
    let recipe = Recipe::read(&process::repository().join("third_party/tesseract"))?;
    let key = recipe.key();
    let (library, pin) = (cache.join(PLACE), cache.join(PIN));
    let built = fs::read_to_string(&pin).unwrap_or_default();
    if built.trim().strip_prefix(&format!("{key} ")).is_some_and(|sha256| cache::holds(&library, sha256)) {
        return Ok(());
    }
    if let Some(why) = why_not(std::env::consts::ARCH, apt::installed_version(STOCK).as_deref()) {
        println!("setup: no Tesseract of our own, pages take three times as long: {why}");
        return Ok(());
    }
    apt::install_missing(TOOLS)?;
    println!("setup: building Tesseract {VERSION} for extraction: 4 minutes of one core");
    let partial = cache.join(format!("build-tesseract-{}", std::process::id()));
    let placed = fs::create_dir_all(&partial)
        .with_context(|| format!("cannot create {}", partial.display()))
        .and_then(|()| recipe.build(&partial))
        .and_then(|bytes| {
            cache::write(&library, &bytes, 0o755)?;
            cache::write(&pin, format!("{key} {}\n", cache::sha256(&bytes)).as_bytes(), 0o644)
        });
    // Only disk space: a leftover harms nothing.
    let _ = fs::remove_dir_all(&partial);
    placed.with_context(|| format!("Tesseract {VERSION} for extraction"))
}

/// Why there is nothing to build on a machine of this kind, with this version of the distribution's package.
fn why_not(arch: &str, stock: Option<&str>) -> Option<String> {
    // What is left of a Debian version before its own revision.
    let upstream = |version: &str| version.split('-').next() == Some(VERSION);
    match stock {
        _ if arch != "x86_64" => Some(format!("it is for x86_64 alone, this is {arch}")),
        None => Some(format!("{STOCK} is not installed by apt")),
        Some(version) if !upstream(version) => {
            Some(format!("the distribution has {version}, the patches are for {VERSION}"))
        }
        Some(_) => None,
    }
}

/// All that the build is of, beside the source: a Makefile, and patches in the order of their names.
struct Recipe {
    makefile: PathBuf,
    patches: Vec<PathBuf>,
    /// Of all of them.
    contents: Vec<Vec<u8>>,
}

impl Recipe {
    fn read(folder: &Path) -> Result<Self> {
        let makefile = folder.join("Makefile");
        let mut patches = Vec::new();
        for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "patch") {
                patches.push(path);
            }
        }
        patches.sort();
        let contents = [&makefile]
            .into_iter()
            .chain(&patches)
            .map(|path| fs::read(path).with_context(|| format!("cannot read {}", path.display())))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { makefile, patches, contents })
    }

    /// Changes with all that goes in.
    fn key(&self) -> String {
        let hashes: Vec<String> = self.contents.iter().map(|content| cache::sha256(content)).collect();
        cache::sha256(format!("{SOURCE_SHA256}\n{}", hashes.join("\n")).as_bytes())
    }

    /// Builds in an empty folder and gives the library.
    fn build(&self, folder: &Path) -> Result<Vec<u8>> {
        let archive = folder.join("source.tar.gz");
        apt::fetch_from_archive(SOURCE, &archive)?;
        let found = cache::sha256_file(&archive)?;
        if found != SOURCE_SHA256 {
            bail!("sha256 of {SOURCE} is {found}, expected {SOURCE_SHA256}");
        }
        fs::create_dir_all(folder.join("source"))?;
        // Within the folder all names are relative: make splits them at spaces, which a cache's path may have.
        let within = |program: &str| {
            let mut command = Command::new(program);
            command.current_dir(folder);
            command
        };
        let unpack = ["--extract", "--gzip", "--strip-components=1", "--directory=source"];
        process::run_quiet(within("tar").args(unpack).arg("--file=source.tar.gz"))?;
        for patch in &self.patches {
            let apply = ["--quiet", "--strip=1", "--fuzz=0", "--directory=source"];
            process::run_quiet(within("patch").args(apply).arg("--input").arg(patch))?;
        }
        apt::unpack(HEADERS, &folder.join("headers"))?;
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let mut make = within("make");
        // One above us has jobs and variables of its own.
        make.env_remove("MAKEFLAGS").env_remove("MFLAGS").env_remove("MAKEOVERRIDES");
        make.arg(format!("--jobs={jobs}")).arg("--file").arg(&self.makefile);
        make.args(["SOURCE=source", "LEPTONICA=headers/usr/include/leptonica", "OUT=out"]);
        process::run_quiet(&mut make)?;
        let library = folder.join("out/libtesseract-docmill.so");
        fs::read(&library).with_context(|| format!("cannot read {}", library.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_built_for_one_version_on_one_kind_of_processor() {
        assert_eq!(why_not("x86_64", Some("5.3.0-2")), None);
        assert_eq!(why_not("x86_64", Some("5.3.0-2+deb12u1")), None);
        let why = |arch, stock| why_not(arch, stock).unwrap();
        assert!(why("aarch64", Some("5.3.0-2")).contains("this is aarch64"));
        assert!(why("x86_64", Some("5.3.4-1build5")).contains("has 5.3.4-1build5"));
        assert!(why("x86_64", Some("5.3.01-1")).contains("has 5.3.01-1"));
        assert!(why("x86_64", None).contains("is not installed"));
    }

    #[test]
    fn the_key_changes_with_each_patch_and_their_order() {
        let folder = std::env::temp_dir().join(format!("docmill-tesseract-key-{}", std::process::id()));
        let write =
            |name: &str, text: &str| cache::write(&folder.join(name), text.as_bytes(), 0o644).unwrap();
        let key = || Recipe::read(&folder).unwrap().key();
        write("Makefile", "all:");
        write("0001-a.patch", "a");
        let mut keys = vec![key()];
        write("0002-b.patch", "b");
        keys.push(key());
        write("0001-a.patch", "b");
        write("0002-b.patch", "a");
        keys.push(key());
        write("Makefile", "all: it");
        keys.push(key());
        // What only people read is no part of it.
        write("README.md", "text");
        assert_eq!(keys.last(), Some(&key()));
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 4);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_recipe_is_for_this_version() {
        let recipe = Recipe::read(&process::repository().join("third_party/tesseract")).unwrap();
        assert!(recipe.patches.len() >= 4, "{:?}", recipe.patches);
        let makefile = String::from_utf8(recipe.contents[0].clone()).unwrap();
        assert!(makefile.contains(&format!("VERSION := {VERSION}\n")));
        assert!(SOURCE.contains(VERSION));
        let built = Path::new(PLACE).file_name().unwrap().to_string_lossy().into_owned();
        assert!(makefile.contains(&built), "{built}");
    }
}
