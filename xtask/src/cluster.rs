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
    // Without a node there are no images to load.
    match cluster {
        Cluster::Faults(passed) => return cluster_operator::faults(passed),
        Cluster::Scale(passed) => return cluster_operator::scale(passed),
        Cluster::Up(asked) => return up(asked),
        Cluster::E2e(_) | Cluster::Latency(_) | Cluster::Day2(_) => {}
    }
    proof::build_as_tests_do()?;
    images::build(&cache::root()?, &images::Programs::dev())?;
    match cluster {
        Cluster::E2e(passed) => proof::run("debug/cluster_e2e", passed),
        Cluster::Latency(passed) => proof::run("debug/cluster_latency", passed),
        Cluster::Day2(passed) => proof::run("debug/cluster_day2", passed),
        Cluster::Faults(_) | Cluster::Scale(_) | Cluster::Up(_) => Ok(()),
    }
}

/// Leaves a cluster up.
fn up(asked: &Up) -> Result<()> {
    let cache = cache::root()?;
    let passed = if asked.mock {
        PassedOn::of(&["--mock"]).after("--documents", &corpus::docs()?)
    } else {
        PassedOn::of(&[])
    };
    let (programs, binary) = if asked.release {
        // All at once, as for other measurements: what runs beside the cluster is of the same build.
        proof::build(&["--workspace", "--bins"], true)?;
        (images::Programs::release(), "release/cluster_up")
    } else {
        proof::build_as_tests_do()?;
        (images::Programs::dev(), "debug/cluster_up")
    };
    images::build(&cache, &programs)?;
    proof::run(binary, &passed)
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
