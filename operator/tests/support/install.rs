//! What `kubectl apply` installs: a namespace, and the chart as Helm renders it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{HOW, read, repository};

/// Where setup puts Helm, below the cache.
const HELM: &str = "services/helm/helm";
/// The version of Kubernetes that Helm is told, as it asks no cluster.
const KUBERNETES: &str = "1.34.0";

/// `manifests/install.yaml`.
pub fn manifests() -> String {
    format!("# Generated: {HOW}\n{}{}", read("manifests/install/namespace.yaml"), rendered())
}

fn rendered() -> String {
    let helm = cache().join(HELM);
    assert!(helm.is_file(), "no {}: run `cargo xtask setup`", helm.display());
    let mut command = Command::new(helm);
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm");
    for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(variable, &home);
    }
    command.args(["template", "docmill"]).arg(repository("helm/docmill"));
    command.args(["--namespace", "docmill-system", "--kube-version", KUBERNETES]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Where setup puts what it fetches.
fn cache() -> PathBuf {
    let set = |variable| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("DOCMILL_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("docmill")))
        .or_else(|| set("HOME").map(|folder| folder.join(".cache/docmill")))
        .expect("DOCMILL_CACHE, XDG_CACHE_HOME or HOME is set")
}
