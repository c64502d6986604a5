//! Four extractors in 4 GB: what all of them may take together is below the limit of the control group that they run in,
//! whatever the documents need. The kernel ends nobody.
//!
//! Needs a control group of memory that may be made, as root may; where that is not so it says why and looks at nothing.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use docmill_tests::command::locate;
use docmill_tests::hostile::made::healthy;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::Value;
use tempfile::TempDir;

const LIMIT_BYTES: u64 = 4_000_000_000;
const SLOTS: usize = 4;
/// Pictures of some 400 MB each, once they are unpacked: no two of them fit a slot, and eight of them no group.
const PICTURES: usize = 8;
const SIDE: u32 = 9_900;

/// A group of memory with the limit; gone with this.
struct Group {
    folder: PathBuf,
    /// Where it stands how many of its processes the kernel has ended.
    kills: &'static str,
}

impl Group {
    /// None can be made where what is said.
    fn make() -> Result<Self, String> {
        let mounted = Path::new("/sys/fs/cgroup");
        let (above, limit, kills) = if mounted.join("cgroup.controllers").exists() {
            (mounted.to_owned(), "memory.max", "memory.events")
        } else {
            (mounted.join("memory"), "memory.limit_in_bytes", "memory.oom_control")
        };
        let folder = above.join(format!("docmill-test-{}", std::process::id()));
        let said = |error: std::io::Error| format!("no control group of memory can be made: {error}");
        std::fs::create_dir(&folder).map_err(said)?;
        let group = Self { folder, kills };
        std::fs::write(group.folder.join(limit), LIMIT_BYTES.to_string()).map_err(said)?;
        Ok(group)
    }

    fn killed(&self) -> u64 {
        let told = std::fs::read_to_string(self.folder.join(self.kills)).unwrap();
        let count = told.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.expect("the kernel counts them since 4.13").trim().parse().unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // An empty folder of the kernel: a leftover harms nothing.
        let _ = std::fs::remove_dir(&self.folder);
    }
}

/// A white picture in colours, with transparency.
fn picture(shade: u8) -> Vec<u8> {
    let mut row = vec![255; 1 + 4 * SIDE as usize];
    row[0] = 0;
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    // Each another document.
    row[1] = shade;
    for _ in 0..SIDE {
        packed.write_all(&row).unwrap();
    }
    let size = [SIDE.to_be_bytes(), SIDE.to_be_bytes()].concat();
    let header = [size.as_slice(), &[8, 6, 0, 0, 0]].concat();
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [(b"IHDR", header), (b"IDAT", packed.finish().unwrap()), (b"IEND", Vec::new())] {
        let mut sum = flate2::Crc::new();
        sum.update(kind);
        sum.update(&data);
        png.extend((data.len() as u32).to_be_bytes());
        png.extend_from_slice(kind);
        png.extend(data);
        png.extend(sum.sum().to_be_bytes());
    }
    png
}

#[test]
fn documents_that_need_more_than_there_is_end_nobody() {
    let group = match Group::make() {
        Ok(group) => group,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let place = TempDir::new().unwrap();
    let (docs, report) = (place.path().join("docs"), place.path().join("report.json"));
    std::fs::create_dir(&docs).unwrap();
    for number in 0..PICTURES {
        std::fs::write(docs.join(format!("{number}.png")), picture(number as u8)).unwrap();
    }
    std::fs::write(docs.join("healthy.pdf"), healthy().0).unwrap();

    let run = Command::new("/bin/sh")
        .args(["-c", r#"echo $$ > "$0" && exec "$@""#])
        .arg(group.folder.join("cgroup.procs"))
        .arg(locate(None).unwrap())
        .env_remove("DOCMILL_DATA_DIR")
        .arg("--data-dir")
        .arg(place.path().join("data"))
        .args(["--json", "run", "--embeddings", "none", "--workers", &SLOTS.to_string(), "--report"])
        .arg(&report)
        .arg(&docs)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.code().is_some(), "it was ended: {said}");
    let told: Value =
        serde_json::from_slice(&std::fs::read(&report).unwrap_or_else(|_| panic!("{said}"))).unwrap();
    assert_eq!(group.killed(), 0, "{told:#}");
    assert_eq!((told["documents"].as_u64(), told["succeeded"].as_u64()), (Some(9), Some(1)), "{told:#}");
    for failure in told["failures"].as_array().unwrap() {
        let code = failure["code"].as_str().unwrap();
        // Blank, or more than one extractor may take.
        assert!(["no_text", "limit_memory"].contains(&code), "{failure}");
    }
    let warnings = told["warnings"].to_string();
    assert!(!warnings.contains("extractors work at once"), "all {SLOTS} work: {warnings}");
}
