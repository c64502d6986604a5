//! docmill in a cluster, as `helm install` brings it, with the images that `cargo xtask images` built.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;

use super::Cluster;

/// Namespace of the operator.
pub const NAMESPACE: &str = "docmill-system";
/// Name of the release.
pub const RELEASE: &str = "docmill";
/// The operator's Deployment.
pub const OPERATOR: &str = "docmill-operator";
/// What makes the operator the cluster's source of external metrics.
pub const API_SERVICE: &str = "v1beta1.external.metrics.k8s.io";

/// What `cargo xtask` writes beside the programs that the images were made of.
const IMAGES: &str = "images.json";
/// Images of what pipelines run, as the chart's values name them.
const OF_PIPELINES: [&str; 5] = ["worker", "redis", "postgres", "neo4j", "s3"];
/// Longest time until operators are ready.
const READY_MAX: Duration = Duration::from_secs(120);
/// Longest time until the API server asks the operator for metrics.
const METRICS_MAX: Duration = Duration::from_secs(60);

/// An image that was built.
#[derive(Debug, Clone, Deserialize)]
pub struct Image {
    /// What a pod names it.
    pub reference: String,
    /// The archive that a node loads.
    pub archive: PathBuf,
}

/// How docmill is to be installed.
#[derive(Debug, Clone)]
pub struct Installation {
    /// Operators.
    pub replicas: u32,
    /// Further values of the chart, as `--set` takes them.
    pub values: Vec<String>,
}

impl Default for Installation {
    fn default() -> Self {
        Self { replicas: 1, values: Vec::new() }
    }
}

/// What keeps this machine from running a cluster; none where it can.
pub fn lacking() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("namespaces, mounts and control groups want root: run this with sudo".to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    let lacking = ["containerd", "runc"].into_iter().find(|name| !has(name))?;
    Some(format!("no {lacking} on PATH: `cargo xtask setup` installs it"))
}

/// The images by name, of the programs beside this executable.
///
/// # Errors
/// None were built.
pub fn images() -> Result<BTreeMap<String, Image>> {
    let own = std::env::current_exe()?;
    // Tests lie a folder deeper than programs.
    let mut files = own.ancestors().skip(1).take(2).map(|folder| folder.join(IMAGES));
    let file = files.find(|file| file.is_file()).context("no images: `cargo xtask cluster` builds them")?;
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not understood", file.display()))
}

/// A folder or file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

impl Cluster {
    /// Gives the node all images, installs docmill, and waits until the operator is ready and asked for metrics.
    /// Installed again, it is an upgrade.
    ///
    /// # Errors
    /// Images lack, Helm failed, or it is not ready in time: the error says what to look at.
    pub fn install(&self, installation: &Installation) -> Result<()> {
        let images = images()?;
        for image in images.values() {
            self.load_image(&image.archive)?;
        }
        self.restricted_namespace(NAMESPACE)?;
        self.helm_install(&images, installation)?;
        self.wait_for_operator(installation.replicas)?;
        self.wait_for("the APIService", METRICS_MAX, || {
            let service = self.object(&["get", "apiservice", API_SERVICE])?;
            let (is_available, says) = super::condition(&service, "Available").unwrap_or_default();
            ensure!(is_available, "it is not available: {says}");
            Ok(())
        })
    }

    /// Installs docmill, or upgrades it, with images that the node has, and waits until the operators are ready. The
    /// cluster's metrics may be another's.
    ///
    /// # Errors
    /// As [`Cluster::install`].
    pub fn upgrade(&self, installation: &Installation) -> Result<()> {
        self.helm_install(&images()?, installation)?;
        self.wait_for_operator(installation.replicas)
    }

    /// Makes a namespace whose pods are held to the strictest of the standards for pods.
    ///
    /// # Errors
    /// The API server refused.
    pub fn restricted_namespace(&self, name: &str) -> Result<()> {
        let labels = json!({
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/warn": "restricted",
        });
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels},
        });
        self.kubectl_with(&["apply", "--server-side", "-f", "-"], &namespace.to_string()).map(drop)
    }

    fn helm_install(&self, images: &BTreeMap<String, Image>, installation: &Installation) -> Result<()> {
        let reference = |name: &str| {
            let image = images.get(name).with_context(|| format!("no image {name} was built"))?;
            Ok::<_, anyhow::Error>(image.reference.as_str())
        };
        let operator = reference("operator")?;
        let (repository_of, tag) = operator.rsplit_once(':').context("a reference has a tag")?;
        let mut values = vec![
            format!("replicas={}", installation.replicas),
            format!("image.repository={repository_of}"),
            format!("image.tag={tag}"),
            "image.pullPolicy=Never".to_owned(),
            "images.pullPolicy=Never".to_owned(),
        ];
        for name in OF_PIPELINES {
            values.push(format!("images.{name}={}", reference(name)?));
        }
        values.extend(installation.values.iter().cloned());
        let chart = repository("helm/docmill");
        let chart = chart.to_str().context("the path is UTF-8")?;
        let mut args = vec!["upgrade", "--install", RELEASE, chart, "--namespace", NAMESPACE];
        args.extend(values.iter().flat_map(|value| ["--set", value.as_str()]));
        self.helm(&args).map(drop)
    }

    /// Waits until as many operators are ready, all of the newest revision.
    ///
    /// # Errors
    /// They are not in time.
    pub fn wait_for_operator(&self, replicas: u32) -> Result<()> {
        self.wait_for("operators", READY_MAX, || {
            let deployment = self.object(&["--namespace", NAMESPACE, "get", "deployment", OPERATOR])?;
            let status = &deployment["status"];
            let number = |name: &str| status[name].as_u64().unwrap_or(0);
            let seen = status["observedGeneration"] == deployment["metadata"]["generation"];
            let wanted = u64::from(replicas);
            let counts = ["replicas", "updatedReplicas", "readyReplicas"].map(number);
            ensure!(seen && counts == [wanted; 3], "all, updated, ready of {wanted}: {counts:?}");
            Ok(())
        })
    }

    /// Takes docmill away; the definition of pipelines stays.
    ///
    /// # Errors
    /// Helm failed.
    pub fn uninstall(&self) -> Result<()> {
        self.helm(&["uninstall", RELEASE, "--namespace", NAMESPACE]).map(drop)
    }
}
