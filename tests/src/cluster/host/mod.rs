//! The operator as a process of this machine, beside a cluster without a node: what it talks to is the real API
//! server, and one server that stands in for the APIs of all pipelines.

mod process;
mod stub;

pub use process::{LOOKS, Operator, Settings};
pub use stub::Stub;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use docmill_operator::resource::{IngestionPipeline, crd_yaml};
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use super::Cluster;

/// Time between two looks at something that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A client of the cluster that sends each request once: what fails is told, not repeated.
///
/// # Errors
/// The kubeconfig is none.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    // Of several providers that are compiled in, this one.
    let _ = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default();
    let file = Kubeconfig::read_from(kubeconfig).with_context(|| kubeconfig.display().to_string())?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    config.proxy_url = None;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// Makes the kind known to the cluster, and waits until it is.
///
/// # Errors
/// kubectl failed.
pub fn install_kind(cluster: &Cluster) -> Result<()> {
    cluster.kubectl_with(&["apply", "--server-side", "-f", "-"], &crd_yaml())?;
    cluster.wait_for_definition()
}

/// Looks until it is so.
///
/// # Errors
/// It is not within the limit, or a look failed.
pub async fn until(
    what: &str,
    limit: Duration,
    is_so: impl AsyncFnMut() -> Result<bool>,
) -> Result<Duration> {
    until_each(LOOK_EVERY, what, limit, is_so).await
}

/// The same with another time between two looks, where a look costs something.
///
/// # Errors
/// As [`until`].
pub async fn until_each(
    every: Duration,
    what: &str,
    limit: Duration,
    mut is_so: impl AsyncFnMut() -> Result<bool>,
) -> Result<Duration> {
    let began = Instant::now();
    loop {
        if is_so().await? {
            return Ok(began.elapsed());
        }
        if began.elapsed() > limit {
            bail!("{what}: not within {} s", limit.as_secs());
        }
        tokio::time::sleep(every).await;
    }
}

/// A pipeline whose stores are all somebody else's, and that is scaled without any wait.
///
/// # Errors
/// It is no pipeline: the kind changed.
pub fn pipeline(namespace: &str, name: &str) -> Result<IngestionPipeline> {
    let secret = json!({"name": "of-somebody-else"});
    let object = json!({
        "apiVersion": "docmill.dev/v1alpha1",
        "kind": "IngestionPipeline",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "instanceType": "c5.4xlarge",
            "workers": {"replicas": {"min": 0, "max": 10}, "concurrency": 4},
            "autoscaling": {
                "queueDepthPerReplica": 100,
                "scaleDownWindow": "0s",
                "scaleToZeroAfter": "0s",
                "maxBusyWait": "1s",
            },
            "queue": {"redis": {"external": {"url": "redis://queue.example:6379", "secretRef": secret}}},
            "stores": {
                "ledger": {"postgres": {"external": {
                    "url": "postgresql://ledger.example:5432/docmill", "secretRef": secret,
                }}},
                "graph": {"neo4j": {"external": {"url": "bolt://graph.example:7687", "secretRef": secret}}},
                "objects": {"s3": {"external": {"bucket": "docmill", "region": "eu-west-1", "secretRef": secret}}},
            },
            "api": {"replicas": 2},
        },
    });
    Ok(serde_json::from_value::<IngestionPipeline>(object)?)
}

/// A namespace's object.
pub fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}
