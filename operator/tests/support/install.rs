//! What `kubectl apply` installs: a namespace, and the chart as Helm renders it.

use std::path::Path;
use std::process::Command;

use super::{HOW, read, repository, tool};

/// Where setup puts Helm, below the cache.
const HELM: &str = "services/helm/helm";
/// The version of Kubernetes that Helm is told, as it asks no cluster.
const KUBERNETES: &str = "1.34.0";

/// `manifests/install.yaml`.
pub fn manifests() -> String {
    let rendered = rendered("docmill", "docmill-system", &[]);
    format!("# Generated: {HOW}\n{}{rendered}", read("manifests/install/namespace.yaml"))
}

/// The chart as Helm renders it for a release, with more options.
pub fn rendered(release: &str, namespace: &str, options: &[&str]) -> String {
    let mut command = Command::new(tool(HELM));
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm");
    for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(variable, &home);
    }
    command.args(["template", release]).arg(repository("helm/docmill"));
    command.args(["--namespace", namespace, "--kube-version", KUBERNETES]).args(options);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
