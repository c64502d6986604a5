//! Proof commands: each builds what it needs, runs it, and ends with one line `NAME: key=value …`.
//!
//! Tests, simulation and chaos share the dev profile; what measures speed is built for release.

use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::corpus::extraction::{self, Extent};
use crate::{bench_ask, cache, corpora, process};

/// Arguments passed on as they are.
#[derive(Args)]
pub struct PassedOn {
    /// Passed on; `--help` says what is understood
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

impl PassedOn {
    /// As if given on the command line.
    pub fn of(args: &[&str]) -> Self {
        Self { args: args.iter().map(OsString::from).collect() }
    }

    /// The same after an option of ours, which what is passed on may say otherwise.
    pub fn after(&self, option: &str, value: &Path) -> Self {
        let ours = [OsString::from(option), OsString::from(value)];
        Self { args: ours.into_iter().chain(self.args.iter().cloned()).collect() }
    }
}

/// What is put under stress.
#[derive(Subcommand)]
pub enum Chaos {
    /// The one-machine shape: kill -9 at random moments, counted against an independent list
    Machine(PassedOn),
    /// Many processes on real servers: kill -9 of workers and servers, counted against an independent list
    Services(PassedOn),
}

/// Whose faults.
#[derive(Subcommand)]
pub enum Faults {
    /// Many processes on real servers: what was acknowledged is there in the end, and it heals by itself
    Services(PassedOn),
}

/// What is measured.
#[derive(Subcommand)]
pub enum Bench {
    /// The one-machine shape: rates, latencies, answers found
    Machine(PassedOn),
    /// Many processes on real servers: rates, what many documents cost against few
    Services(PassedOn),
    /// Extraction: speed beside others in the same run, memory; with --quality, whether the text is right
    Extract(PassedOn),
    /// `docmill serve`: questions, searches, beside ingestion, beside a FastAPI server
    Ask(bench_ask::Args),
}

/// The simulation of delivery and commit by seed.
pub fn sim(passed: &PassedOn) -> Result<()> {
    build_as_tests_do()?;
    run("debug/sim", passed)
}

/// Kills at random moments.
pub fn chaos(chaos: &Chaos) -> Result<()> {
    build_as_tests_do()?;
    match chaos {
        Chaos::Machine(passed) => run("debug/chaos_machine", passed),
        Chaos::Services(passed) => run("debug/chaos_services", passed),
    }
}

/// Two tenants on real servers.
pub fn tenants(passed: &PassedOn) -> Result<()> {
    build_as_tests_do()?;
    run("debug/tenants", passed)
}

/// Extractors that try to get out, and what it costs to hold them.
pub fn sandbox(passed: &PassedOn) -> Result<()> {
    if passed.args.iter().any(|arg| arg == "--counts-only") {
        build_as_tests_do()?;
        return run("debug/sandbox", passed);
    }
    // All of it, so that the worker has what is for tests alone: the attempts.
    build(&["--workspace", "--bins"], true)?;
    run("release/sandbox", passed)
}

/// Hostile files, and what is fetched of them.
pub fn hostile(passed: &PassedOn) -> Result<()> {
    let has = |wanted: &str| passed.args.iter().any(|arg| arg == wanted);
    if has("--pin") {
        return corpora::print_pins();
    }
    if !has("made") {
        corpora::install(&cache::root()?, !has("--sample"))?;
    }
    build_as_tests_do()?;
    run("debug/hostile", passed)
}

/// Workers in network namespaces of their own.
pub fn namespaces(passed: &PassedOn) -> Result<()> {
    build_as_tests_do()?;
    run("debug/namespaces", passed)
}

/// Faults of servers and disks.
pub fn faults(faults: &Faults) -> Result<()> {
    let Faults::Services(passed) = faults;
    build_as_tests_do()?;
    run("debug/faults_services", passed)
}

/// The shape of many processes, on this machine, until it is interrupted.
pub fn services(passed: &PassedOn) -> Result<()> {
    build_as_tests_do()?;
    run("debug/services", passed)
}

/// A pipeline of other parts, measured with the documents that our own is measured with.
pub fn peers(passed: &PassedOn) -> Result<()> {
    build_as_tests_do()?;
    let corpus = process::repository().join("out/peers");
    if corpus.exists() {
        std::fs::remove_dir_all(&corpus)?;
    }
    std::fs::create_dir_all(process::repository().join("out"))?;
    run("debug/bench_services", &PassedOn { args: vec!["--write-corpus".into(), corpus.clone().into()] })?;
    let mut command = std::process::Command::new(process::repository().join("bench/peers/run.sh"));
    process::run(command.arg("--corpus").arg(&corpus).args(&passed.args))
}

/// Measures.
pub fn bench(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Machine(passed) => {
            build(&["--package", "docmill"], true)?;
            build(&["--package", "docmill-tests", "--bin", "bench_machine"], true)?;
            run("release/bench_machine", passed)
        }
        Bench::Services(passed) => {
            build(&["--workspace", "--bins"], true)?;
            run("release/bench_services", passed)
        }
        Bench::Extract(passed) => extract(passed),
        Bench::Ask(args) => bench_ask::run(args),
    }
}

/// Extraction, with documents that are made first: a share of them for tests, the large ones only where they are measured.
fn extract(passed: &PassedOn) -> Result<()> {
    let has = |option: &str| passed.args.iter().any(|arg| arg == option);
    if has("--counts-only") || has("--pages-per-language") {
        let documents = extraction::assemble(Extent::Share)?;
        build_as_tests_do()?;
        return run("debug/bench_extract", &passed.after("--corpus", &documents));
    }
    let documents = extraction::assemble(Extent::Whole)?;
    let names_parts = has("--quality") || has("--only");
    if !names_parts || passed.args.iter().any(|arg| arg.to_string_lossy().contains("memory")) {
        extraction::assemble_large()?;
    }
    build(&["--workspace", "--bins"], true)?;
    run("release/bench_extract", &passed.after("--corpus", &documents))
}

/// Builds everything with one set of features for programs and tests: a package selected alone has another,
/// and every dependency would be compiled a second time.
pub fn build_as_tests_do() -> Result<()> {
    build(&["--workspace", "--all-targets"], false)
}

/// Builds for dev or for release.
pub fn build(what: &[&str], release: bool) -> Result<()> {
    let profile: &[&str] = if release { &["--release"] } else { &[] };
    process::run(process::cargo().args(["build", "--quiet", "--locked"]).args(what).args(profile))
}

/// Runs a program of the build.
pub fn run(binary: &str, passed: &PassedOn) -> Result<()> {
    let mut command = std::process::Command::new(process::target_dir().join(binary));
    process::run_telling(command.current_dir(process::repository()).args(&passed.args))
}
