//! `cargo xtask fuzz`: builds the fuzzers with libFuzzer's instrumentation, which stable `rustc` has, and runs each for a
//! while. What breaks a rule is kept, and told in the closing line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process;

/// What has the compiler count which branches were taken, and tell what was compared with what.
const INSTRUMENTATION: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// Longest input, in bytes: that which the functions look at.
const INPUT_BYTES_MAX: u32 = 256 << 10;
/// Longest time for one input, in seconds, and most memory of a fuzzer, in MiB.
const INPUT_S_MAX: u32 = 20;
const MEMORY_MIB_MAX: u32 = 2_048;

#[derive(clap::Args)]
pub struct Args {
    /// How long each runs, in seconds
    #[arg(long, default_value_t = 600, value_name = "N")]
    seconds: u32,
    /// One of them alone
    #[arg(long, value_name = "TARGET")]
    only: Option<String>,
}

/// Builds and runs them, one after the other.
pub fn run(args: &Args) -> Result<()> {
    let folder = process::repository().join("fuzz");
    let targets = targets(&folder)?;
    let chosen: Vec<&String> =
        targets.iter().filter(|target| args.only.as_ref().is_none_or(|only| only == *target)).collect();
    ensure!(!chosen.is_empty(), "there is no such target; there are {}", targets.join(", "));
    let programs = build(&folder)?;
    let mut broken = Vec::new();
    for target in &chosen {
        println!("== {target}");
        if let Err(error) = fuzz(&folder, &programs, target, args.seconds) {
            println!("{error:#}");
            broken.push(target.as_str());
        }
    }
    println!("fuzz: targets={} seconds_each={} broken={}", chosen.len(), args.seconds, broken.len());
    ensure!(broken.is_empty(), "rules were broken: {}", broken.join(", "));
    Ok(())
}

/// Names of the targets.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let sources = folder.join("fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&sources).with_context(|| format!("cannot list {}", sources.display()))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Builds all of them and says where they are.
fn build(folder: &Path) -> Result<PathBuf> {
    // What is tried is what is shipped: the same versions, and those of the fuzzer's own beside them.
    let lock = process::repository().join("Cargo.lock");
    fs::copy(&lock, folder.join("Cargo.lock"))
        .with_context(|| format!("cannot copy {}", lock.display()))?;
    let (target_dir, triple) =
        (process::target_dir().join("fuzz"), format!("{}-unknown-linux-gnu", std::env::consts::ARCH));
    let mut build = process::cargo();
    build.env("RUSTFLAGS", INSTRUMENTATION).args(["build", "--quiet", "--release", "--bins"]);
    build.arg("--manifest-path").arg(folder.join("Cargo.toml")).arg("--target-dir").arg(&target_dir);
    // With a target named, what runs while it is built is built without the instrumentation.
    process::run(build.args(["--target", &triple]))?;
    Ok(target_dir.join(triple).join("release"))
}

fn fuzz(folder: &Path, programs: &Path, target: &str, seconds: u32) -> Result<()> {
    let out = process::repository().join("out/fuzz").join(target);
    let found = out.join("corpus");
    fs::create_dir_all(&found).with_context(|| format!("cannot create {}", found.display()))?;
    let mut command = Command::new(programs.join(target));
    command.current_dir(&out).args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={INPUT_BYTES_MAX}"),
        format!("-timeout={INPUT_S_MAX}"),
        format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
        format!("-artifact_prefix={}/", out.display()),
        "-print_final_stats=1".to_owned(),
    ]);
    process::run_telling(command.arg(&found).arg(folder.join("seeds").join(target)))
}
