//! `cargo xtask cluster`: docmill on a real cluster of this machine, to prove it and to try it.

use std::process::Command;

use anyhow::{Result, ensure};
use clap::{Args, Subcommand};

use crate::proof::{self, PassedOn};
use crate::{cache, cluster_operator, corpus, images, process};

/// What is done on the cluster.
#[derive(Subcommand)]
pub enum Cluster {
    /// The whole way of a person: install, upload, scale up, down to none and back, delete
    E2e(PassedOn),
    /// How soon workers follow the queue
    Latency(PassedOn),
    /// The operator killed at every write, lied to, edited behind its back, one of two, gone
    Faults(PassedOn),
    /// What comes later: bad images, memory, volumes, Secrets, nodes that go, the plugin, other providers, every end
    Day2(PassedOn),
    /// Many pipelines under one operator: memory, time, writes
    Scale(PassedOn),
    /// Leave one up with docmill and a first pipeline, until Ctrl-C
    Up(Up),
}

/// How the cluster that is left up is to be.
#[derive(Args)]
pub struct Up {
    /// Programs and images as they are released, to measure them
    #[arg(long)]
    release: bool,
    /// Stand-ins in place of models, and the demo documents handed in: what `bench ask --k8s` compares
    #[arg(long)]
    mock: bool,
}

/// Builds programs and images, and runs what was asked for.
///
/// # Errors
/// This machine cannot run a cluster, a build fails, or the proof falls short.
pub fn run(cluster: &Cluster) -> Result<()> {
    is_possible()?;
    match cluster {
        Cluster::E2e(passed) => run_with_images("debug/cluster_e2e", passed),
        Cluster::Latency(passed) => run_with_images("debug/cluster_latency", passed),
        Cluster::Day2(passed) => run_with_images("debug/cluster_day2", passed),
        // Without a node there are no images to load.
        Cluster::Faults(passed) => cluster_operator::faults(passed),
        Cluster::Scale(passed) => cluster_operator::scale(passed),
        Cluster::Up(asked) => up(asked),
    }
}

/// Builds programs as tests do, and images of them, and runs one of the programs.
fn run_with_images(binary: &str, passed: &PassedOn) -> Result<()> {
    proof::build_as_tests_do()?;
    images::build(&cache::root()?, &images::Programs::dev())?;
    proof::run(binary, passed)
}

/// Leaves a cluster up.
fn up(asked: &Up) -> Result<()> {
    let passed = if asked.mock {
        PassedOn::of(&["--mock"]).after("--documents", &corpus::docs()?)
    } else {
        PassedOn::of(&[])
    };
    if !asked.release {
        return run_with_images("debug/cluster_up", &passed);
    }
    // All at once, as for other measurements: what runs beside the cluster is of the same build.
    proof::build(&["--workspace", "--bins"], true)?;
    images::build(&cache::root()?, &images::Programs::release())?;
    proof::run("release/cluster_up", &passed)
}

/// Says what lacks before minutes of building.
fn is_possible() -> Result<()> {
    let is_root = process::output(Command::new("id").arg("-u"))?.trim() == "0";
    ensure!(is_root, "a cluster wants root, for namespaces, mounts and control groups: run this with sudo");
    for program in ["containerd", "runc"] {
        ensure!(process::which(program).is_some(), "no {program} on PATH: `cargo xtask setup` installs it");
    }
    Ok(())
}
