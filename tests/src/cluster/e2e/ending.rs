//! The end of a pipeline, of its namespace and of docmill: what is to stay stays, and nothing hangs.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{NAMESPACE, Outcome, READY_MAX};
use crate::cluster::install::{API_SERVICE, NAMESPACE as OPERATORS};
use crate::cluster::{Cluster, Pipeline};

/// Longest time that anything may be on its way out.
const GONE_MAX: Duration = Duration::from_secs(60);
/// A namespace that is made and deleted when docmill is gone: an APIService without a server would hold it.
const EMPTY: &str = "nothing-in-it";
/// Volumes of the sample: queue, ledger, graph, objects.
const VOLUMES: usize = 4;

pub(super) fn run(cluster: &Cluster, pipeline: &Pipeline<'_>, outcome: &mut Outcome) -> Result<()> {
    let before = volumes(pipeline)?;
    ensure!(before.len() == VOLUMES, "there are volumes {before:?}");
    pipeline.delete(GONE_MAX)?;
    outcome.volumes_stay = volumes(pipeline)? == before;

    pipeline.apply()?;
    pipeline.wait_ready(READY_MAX)?;
    // Its Service has another address.
    outcome.found_again = pipeline.api()?.committed()? as u64;

    cluster.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"])?;
    gone(cluster, &["get", "namespace", NAMESPACE])?;
    cluster.uninstall()?;
    gone(cluster, &["get", "apiservice", API_SERVICE])?;
    cluster.kubectl(&["create", "namespace", EMPTY])?;
    for namespace in [EMPTY, OPERATORS] {
        cluster.kubectl(&["delete", "namespace", namespace, "--wait=false"])?;
        gone(cluster, &["get", "namespace", namespace])?;
    }
    outcome.all_gone = true;
    Ok(())
}

fn gone(cluster: &Cluster, what: &[&str]) -> Result<()> {
    cluster.wait_for(&format!("the end of {}", what[1..].join(" ")), GONE_MAX, || cluster.is_gone(what))
}

/// Names and UIDs of the pipeline's volumes.
fn volumes(pipeline: &Pipeline<'_>) -> Result<Vec<String>> {
    let selector = format!("docmill.dev/pipeline={}", pipeline.name());
    let path = "--output=jsonpath={range .items[*]}{.metadata.name} {.metadata.uid}{\"\\n\"}{end}";
    let said =
        pipeline.kubectl(&["get", "pvc", "--selector", &selector, "--sort-by=.metadata.name", path])?;
    Ok(said.lines().map(str::to_owned).collect())
}
