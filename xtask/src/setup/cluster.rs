//! A Kubernetes cluster for the tests: its components as one program, built from their released sources, and
//! what a node calls.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::{apt, go};
use crate::process;

/// What a node calls, what the script that starts it calls, and what makes images without a daemon.
const PACKAGES: &[&str] = &[
    "buildah",
    "busybox-static",
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "ethtool",
    "gettext-base",
    "ipset",
    "iproute2",
    "iptables",
    "kmod",
    "mmdebstrap",
    "nftables",
    "procps",
    "runc",
    "socat",
];

/// Installs charts.
const HELM: go::Program =
    go::Program { module: "helm.sh/helm/v3/cmd/helm@v3.22.0", place: "services/helm" };

/// Where the programs go, under the cache's root: a folder for each state of their sources.
const PLACE: &str = "services/cluster";

/// Installs what is missing.
pub fn install(cache: &Path) -> Result<()> {
    apt::install_servers(PACKAGES)?;
    HELM.install(cache)?;
    go::required()?;
    let script = process::repository().join("tests/cluster/build.sh");
    // The script has the one definition of the key: the tests ask it too.
    let key = process::output(Command::new(&script).arg("key"))?;
    let place = cache.join(PLACE).join(key.trim());
    // It comes to its place whole.
    if place.is_dir() {
        return Ok(());
    }
    println!("setup: building Kubernetes for the tests: 11 minutes of one core, and 600 MB of modules");
    let partial = place.with_added_extension(format!("partial-{}", std::process::id()));
    let placed = process::run_quiet(Command::new(&script).arg(&partial)).and_then(|()| {
        if place.is_dir() {
            // Another setup was faster.
            return Ok(());
        }
        fs::rename(&partial, &place).with_context(|| format!("cannot write {}", place.display()))
    });
    // Only disk space: a leftover harms nothing.
    let _ = fs::remove_dir_all(&partial);
    placed
}
