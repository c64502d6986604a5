//! `cargo xtask images`: container images without a daemon, as archives that a node's container runtime loads.
//!
//! Each Dockerfile under `images/` is built as it is by buildah, on a base that mmdebstrap makes from this
//! machine's own package sources. What is built, its layers and its archives lie in the cache; an archive's
//! name has the hash of all that went in, so that nothing is built twice.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{cache, process, setup};

/// Part of every hash: another number, another image of the same files.
const RECIPE: &str = "1";
/// Before the names of our images: no registry has them, so nothing is ever pulled in their place.
const PREFIX: &str = "localhost/docmill";
/// What the base has beyond the packages that apt needs.
const BASE_PACKAGES: &str = "ca-certificates,tini";
/// Documentation that nobody reads in a container; licences stay.
const BASE_WITHOUT: &[&str] = &[
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
];
/// File beside the programs that says which images were made of them.
const LIST: &str = "images.json";
/// Archives kept of each image: checkouts share the cache, and one may still load what it built before.
const KEPT: usize = 3;
/// The operator's program for a shipped image has a profile of its own, which its folder is named after.
const OPERATOR_PROFILE: &str = "operator";
/// Largest shipped image of the operator, in MB: nodes fetch it before anything is repaired or scaled.
const OPERATOR_MB_MAX: f64 = 20.0;
/// Where this machine's packages come from: the first of these that says something. Sources of others beside it
/// are not for images.
const SOURCES: &[&str] = &[
    "/etc/apt/sources.list.d/debian.sources",
    "/etc/apt/sources.list.d/ubuntu.sources",
    "/etc/apt/sources.list",
];

/// An image: its name, its folder under `images/`, and what its build context has besides that folder.
struct Recipe {
    name: &'static str,
    folder: &'static str,
    added: &'static [Added],
}

/// Something that is put into a build context.
enum Added {
    /// A program that cargo built, without what only a debugger reads.
    Program(&'static str),
    /// A file or tree of the cache, and its place in the context.
    Cached(&'static str, &'static str),
    /// The same of a file that setup does not make on each kind of machine.
    CachedIfThere(&'static str, &'static str),
}

const RECIPES: &[Recipe] = &[
    Recipe { name: "operator", folder: "operator", added: &[Added::Program("docmill-operator")] },
    Recipe {
        name: "worker",
        folder: "worker",
        added: &[
            Added::Program("docmill-worker"),
            Added::Program("docmill"),
            Added::Cached("lib/libpdfium.so", "lib/libpdfium.so"),
            Added::CachedIfThere("lib/libtesseract-docmill.so", "lib/libtesseract-docmill.so"),
            Added::Cached("models/minilm-l6-v2", "models/minilm-l6-v2"),
        ],
    },
    Recipe { name: "redis", folder: "test/redis", added: &[] },
    Recipe {
        name: "postgres",
        folder: "test/postgres",
        added: &[Added::Cached("services/postgresql", "postgresql")],
    },
    Recipe { name: "neo4j", folder: "test/neo4j", added: &[Added::Cached("services/neo4j/lib", "lib")] },
    Recipe {
        name: "s3",
        folder: "test/s3",
        added: &[Added::Cached("services/versitygw/versitygw", "bin/versitygw")],
    },
];

#[derive(clap::Args)]
pub struct Args {
    /// Put the archives here too, as NAME.tar
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Programs as they are shipped instead of those of the dev profile; the operator's image must then be small
    #[arg(long)]
    release: bool,
}

/// Where cargo put the programs.
pub struct Programs {
    /// All but the operator's; the list of images is written here.
    folder: PathBuf,
    /// Of the operator.
    operator: PathBuf,
}

impl Programs {
    /// Those of the dev profile, all in one place.
    pub fn dev() -> Self {
        let folder = process::target_dir().join("debug");
        Self { operator: folder.clone(), folder }
    }

    /// Those of the release profile, all in one place: to measure. The operator's is larger than what is shipped.
    pub fn release() -> Self {
        let folder = process::target_dir().join("release");
        Self { operator: folder.clone(), folder }
    }

    /// Those that are shipped.
    fn shipped() -> Self {
        let target = process::target_dir();
        Self { folder: target.join("release"), operator: target.join(OPERATOR_PROFILE) }
    }

    fn path(&self, name: &str) -> PathBuf {
        let folder = if name == "docmill-operator" { &self.operator } else { &self.folder };
        folder.join(name)
    }
}

/// An image that was built.
#[derive(Debug, Clone)]
pub struct Image {
    /// `operator`, `worker`, `redis`, `postgres`, `neo4j` or `s3`.
    pub name: &'static str,
    /// What a pod names it.
    pub reference: String,
    /// The archive that a container runtime loads; its name changes with what is in it.
    pub archive: PathBuf,
}

impl Image {
    /// Its size on a node, in MB: archives are not compressed.
    fn mb(&self) -> Result<f64> {
        let file = self.archive.metadata();
        let bytes = file.with_context(|| format!("cannot read {}", self.archive.display()))?.len();
        Ok(bytes as f64 / 1e6)
    }
}

/// All images, in the order of their recipes.
pub type Images = Vec<Image>;

/// Builds the programs and all images, says where the archives are, and last how large those of our own programs are.
///
/// # Errors
/// The machine lacks a tool, setup was not run, a build fails, or the operator's image is too large to be shipped.
pub fn run(args: &Args) -> Result<()> {
    let cache = cache::root()?;
    let images = build(&cache, &programs(args.release)?)?;
    for image in &images {
        let mut archive = image.archive.clone();
        if let Some(dir) = &args.out {
            fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
            let copy = dir.join(format!("{}.tar", image.name));
            fs::copy(&archive, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
            archive = copy;
        }
        println!("images: {} in {}", image.reference, archive.display());
    }
    let mb = |name: &str| {
        let image = images.iter().find(|image| image.name == name);
        image.with_context(|| format!("no image {name}"))?.mb()
    };
    let (operator_mb, worker_mb) = (mb("operator")?, mb("worker")?);
    println!("images: operator_mb={operator_mb:.1} worker_mb={worker_mb:.1}");
    // A dev build is for tests, and has no such bound.
    ensure!(
        !args.release || operator_mb <= OPERATOR_MB_MAX,
        "the operator's image has {operator_mb:.1} MB, and at most {OPERATOR_MB_MAX} are to be shipped"
    );
    Ok(())
}

/// Builds the programs.
fn programs(is_shipped: bool) -> Result<Programs> {
    // All of the workspace: a package built alone has other features, and so all dependencies anew.
    let build = || {
        let mut cargo = process::cargo();
        cargo.args(["build", "--locked"]);
        cargo
    };
    if !is_shipped {
        process::run(build().args(["--workspace", "--all-targets"]))?;
        return Ok(Programs::dev());
    }
    process::run(build().args(["--workspace", "--release"]))?;
    shipped_operator()?;
    Ok(Programs::shipped())
}

/// Builds the operator's program as it is shipped, and says where it is.
///
/// # Errors
/// The build fails.
pub fn shipped_operator() -> Result<PathBuf> {
    // Its dependencies are built anew for its profile anyway, and so with its own features alone.
    let package = ["build", "--locked", "--package", "docmill-operator", "--profile", OPERATOR_PROFILE];
    process::run(process::cargo().args(package))?;
    Ok(Programs::shipped().path("docmill-operator"))
}

/// Builds the images that are not there yet, of `programs`, which it does not build.
///
/// # Errors
/// The machine lacks a tool, setup was not run, a program is missing, or a build fails.
pub fn build(cache: &Path, programs: &Programs) -> Result<Images> {
    let builder = Builder::new(cache)?;
    // One at a time: they share the store and the contexts. The lock goes with the file.
    let lock = File::create(builder.dir.join("lock")).context("cannot lock the images")?;
    lock.lock().context("cannot lock the images")?;
    let base = builder.base()?;
    let images: Images = RECIPES
        .iter()
        .map(|recipe| builder.image(cache, programs, &base, recipe))
        .collect::<Result<_>>()?;
    list(&programs.folder.join(LIST), &images)?;
    Ok(images)
}

/// Writes down what was built, for programs that load it. It lies with the build and not in the cache, which other
/// checkouts share.
fn list(file: &Path, images: &Images) -> Result<()> {
    let entry = |image: &Image| {
        (image.name.to_owned(), json!({"reference": image.reference, "archive": image.archive}))
    };
    let all: Value = images.iter().map(entry).collect();
    cache::write(file, format!("{all:#}\n").as_bytes(), 0o644)
}

/// Where things lie, and how buildah is called.
struct Builder {
    dir: PathBuf,
}

impl Builder {
    fn new(cache: &Path) -> Result<Self> {
        setup::install_image_tools()?;
        let is_root = process::output(Command::new("id").arg("-u"))?.trim() == "0";
        ensure!(is_root, "images are built as root: run this with sudo");
        let dir = cache.join("images");
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(Self { dir })
    }

    /// buildah with a store of its own, so that neither sees what the machine's own tools have.
    fn buildah(&self) -> Command {
        let mut command = Command::new("buildah");
        command.arg("--root").arg(self.dir.join("store")).arg("--runroot").arg(self.dir.join("store-run"));
        // A file system below that cannot carry overlays needs STORAGE_DRIVER=vfs, which copies whole trees.
        if std::env::var_os("STORAGE_DRIVER").is_none() {
            command.args(["--storage-driver", "overlay"]);
        }
        // In place of namespaces, which are not to be had everywhere.
        command.env("BUILDAH_ISOLATION", "chroot");
        command
    }

    /// The reference of the base image; makes it unless it is there. It stays as it is until its recipe changes
    /// or `images` in the cache is removed: that is how newer packages come in.
    fn base(&self) -> Result<String> {
        let release = fs::read_to_string("/etc/os-release").context("cannot tell the distribution")?;
        let mut names = release.lines().filter_map(|line| line.strip_prefix("VERSION_CODENAME="));
        let suite = names.next().context("images need Debian or Ubuntu")?.trim_matches('"');
        let says = |path: &&&str| fs::metadata(path).is_ok_and(|file| file.len() > 0);
        let sources = SOURCES.iter().find(says).context("apt has no sources here")?;
        let said = fs::read_to_string(sources).with_context(|| format!("cannot read {sources}"))?;
        let inputs = format!("{RECIPE}\n{suite}\n{BASE_PACKAGES}\n{BASE_WITHOUT:?}\n{said}");
        let reference = format!("{PREFIX}/base:{}", short(&cache::sha256(inputs.as_bytes())));
        let mut look = self.buildah();
        look.args(["inspect", "--type", "image", &reference]);
        if process::run_quiet(&mut look).is_ok() {
            return Ok(reference);
        }
        let began = Instant::now();
        println!("images: making a base of {suite}");
        let tree = self.dir.join("base.tar");
        let mut make = Command::new("mmdebstrap");
        make.arg("--variant=minbase").arg(format!("--include={BASE_PACKAGES}"));
        make.args(BASE_WITHOUT.iter().map(|option| format!("--dpkgopt={option}")));
        process::run_quiet(make.arg(suite).arg(&tree).arg(sources))?;
        let container = process::output(self.buildah().args(["from", "scratch"]))?;
        let container = container.trim();
        process::run_quiet(self.buildah().args(["add", "--quiet", container]).arg(&tree).arg("/"))?;
        process::run_quiet(self.buildah().args(["commit", "--quiet", "--rm", container, &reference]))?;
        fs::remove_file(&tree).with_context(|| format!("cannot remove {}", tree.display()))?;
        println!("images: {reference} in {:.1} s", began.elapsed().as_secs_f64());
        Ok(reference)
    }

    fn image(&self, cache: &Path, programs: &Programs, base: &str, recipe: &Recipe) -> Result<Image> {
        let context = self.dir.join(format!("context-{}", recipe.name));
        stage(&context, cache, programs, recipe)?;
        let inputs = format!("{RECIPE}\n{base}\n{}", listed(&context)?);
        let key = short(&cache::sha256(inputs.as_bytes())).to_owned();
        let archive = self.dir.join(format!("{}-{key}.tar", recipe.name));
        let reference = format!("{PREFIX}/{}:dev", recipe.name);
        if archive.exists() {
            // Used just now: not the next one to go.
            File::options().append(true).open(&archive)?.set_modified(SystemTime::now())?;
        } else {
            let began = Instant::now();
            self.make(&context, base, &reference, &archive)?;
            let mib = archive.metadata()?.len() >> 20;
            println!("images: {reference}, {mib} MiB, in {:.1} s", began.elapsed().as_secs_f64());
        }
        self.remove_old(recipe.name)?;
        // Only disk space, and not much: large files in it are links.
        let _ = fs::remove_dir_all(&context);
        Ok(Image { name: recipe.name, reference, archive })
    }

    /// Builds what is in the context and writes the archive, whole or not at all.
    fn make(&self, context: &Path, base: &str, reference: &str, archive: &Path) -> Result<()> {
        let mut build = self.buildah();
        // Layers are kept: what changes seldom stands first in each Dockerfile.
        build.args(["build", "--quiet", "--layers", "--build-arg"]).arg(format!("BASE={base}"));
        process::run_quiet(build.args(["--tag", reference]).arg(context))?;
        let partial = archive.with_added_extension(format!("partial-{}", std::process::id()));
        // Of the formats this one is not compressed, which takes a third of the time and is read faster too.
        let mut target = std::ffi::OsString::from("docker-archive:");
        target.push(&partial);
        target.push(":");
        target.push(reference);
        let pushed = process::run_quiet(self.buildah().args(["push", "--quiet", reference]).arg(target));
        let placed = pushed.and_then(|()| {
            fs::rename(&partial, archive).with_context(|| format!("cannot write {}", archive.display()))
        });
        // Only disk space: a leftover harms nothing.
        let _ = fs::remove_file(&partial);
        placed?;
        // Of builds that were cut off: nobody else builds while we hold the lock.
        process::run_quiet(self.buildah().args(["rm", "--all"]))?;
        // What the tag was on before; layers that a tagged image is made of stay.
        process::run_quiet(self.buildah().args(["rmi", "--prune"]))
    }

    /// Removes all but the newest archives of an image.
    fn remove_old(&self, name: &str) -> Result<()> {
        let mut archives = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let is_one = {
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                file.strip_prefix(name).is_some_and(|rest| rest.starts_with('-') && rest.ends_with(".tar"))
            };
            if is_one {
                archives.push((path.metadata()?.modified()?, path));
            }
        }
        archives.sort();
        for (_, path) in archives.iter().rev().skip(KEPT) {
            fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }
}

/// Puts together what an image is built of, in a folder of its own.
fn stage(context: &Path, cache: &Path, programs: &Programs, recipe: &Recipe) -> Result<()> {
    if context.exists() {
        fs::remove_dir_all(context).with_context(|| format!("cannot empty {}", context.display()))?;
    }
    copy(&process::repository().join("images").join(recipe.folder), context, false)?;
    for added in recipe.added {
        match added {
            Added::Program(name) => {
                let built = programs.path(name);
                ensure!(built.is_file(), "no {}: build it first", built.display());
                let bin = context.join("bin");
                fs::create_dir_all(&bin)?;
                // The names of functions stay, for what is said when it panics.
                let mut strip = Command::new("strip");
                process::run_quiet(strip.arg("--strip-debug").arg("-o").arg(bin.join(name)).arg(&built))?;
            }
            Added::Cached(from, to) => {
                let from = cache.join(from);
                ensure!(from.exists(), "no {}: run `cargo xtask setup`", from.display());
                copy(&from, &context.join(to), true)?;
            }
            Added::CachedIfThere(from, to) => {
                let from = cache.join(from);
                if from.exists() {
                    copy(&from, &context.join(to), true)?;
                }
            }
        }
    }
    Ok(())
}

/// Copies a file or a tree; with `link`, files become further names of the same content.
fn copy(from: &Path, to: &Path, link: bool) -> Result<()> {
    let parent = to.parent().context("a context has a parent")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let mut command = Command::new("cp");
    command.args(["--recursive", "--preserve=mode,timestamps"]);
    if link {
        command.arg("--link");
    }
    process::run_quiet(command.arg(from).arg(to))
}

/// A line `PATH MODE SHA-256` for each file below `dir`, in order.
fn listed(dir: &Path) -> Result<String> {
    let mut lines = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() {
                pending.push(path);
            } else if kind.is_file() {
                let mode = entry.metadata()?.permissions().mode() & 0o7777;
                let place = path.strip_prefix(dir)?;
                lines.push(format!("{} {mode:o} {}\n", place.display(), cache::sha256_file(&path)?));
            } else {
                bail!("{} is neither a file nor a folder: images are made of these", path.display());
            }
        }
    }
    lines.sort();
    Ok(lines.concat())
}

/// As much of a hash as a name needs.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_changes_with_content_name_and_mode() {
        let dir = std::env::temp_dir().join(format!("docmill-images-list-{}", std::process::id()));
        cache::write(&dir.join("a/b"), b"1", 0o644).unwrap();
        let first = listed(&dir).unwrap();
        assert!(first.starts_with("a/b 644 "), "{first}");
        cache::write(&dir.join("a/b"), b"1", 0o755).unwrap();
        let executable = listed(&dir).unwrap();
        assert_ne!(executable, first);
        cache::write(&dir.join("a/b"), b"2", 0o755).unwrap();
        assert_ne!(listed(&dir).unwrap(), executable);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn every_recipe_has_a_dockerfile() {
        for recipe in RECIPES {
            let file = process::repository().join("images").join(recipe.folder).join("Dockerfile");
            assert!(file.is_file(), "{}", file.display());
        }
    }
}
