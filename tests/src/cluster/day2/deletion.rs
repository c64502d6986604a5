//! Everything is deleted, in several orders, with an operator and without: nothing hangs, and nothing is left but what
//! is to stay.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{KINDS, NAMESPACE, World};
use crate::cluster::install::{API_SERVICE, NAMESPACE as OPERATORS};
use crate::cluster::{Installation, Pipeline};

/// Longest time that anything may be on its way out.
const GONE_MAX: Duration = Duration::from_secs(60);
/// Longest time until a pipeline is made of something.
const MADE_MAX: Duration = Duration::from_secs(60);
/// The definition of pipelines.
const DEFINITION: &str = "ingestionpipelines.docmill.dev";
/// Volumes of the managed sample, and Secrets that live with them: one each, and the first key of the API.
const VOLUMES: usize = 4;
const SECRETS: usize = 5;

pub(super) fn run(world: &World<'_>) -> Result<String> {
    let in_order = external(world, "first-itself")?;
    in_order.delete(GONE_MAX).context("a pipeline, then its namespace")?;
    nothing_left(world, &in_order)?;
    namespace_goes(world, in_order.namespace())?;

    let inside = external(world, "with-its-namespace")?;
    namespace_goes(world, inside.namespace()).context("a namespace with a pipeline")?;

    all_of_it(world)?;

    let alone = external(world, "without-an-operator")?;
    uninstalled(world)?;
    alone.delete(GONE_MAX).context("a pipeline without an operator")?;
    nothing_left(world, &alone)?;
    namespace_goes(world, alone.namespace())?;
    // Late, and all the same.
    world.cluster.upgrade(&Installation::default())?;
    world.settled()?;

    definition(world)?;
    for namespace in [NAMESPACE, "with-the-definition"] {
        namespace_goes(world, namespace)?;
    }
    uninstalled(world)?;
    world.cluster.kubectl(&["create", "namespace", "nothing-in-it"])?;
    for namespace in ["nothing-in-it", OPERATORS] {
        namespace_goes(world, namespace)?;
    }
    Ok("pipeline, namespace, release and definition are gone in each order, each within 60 s".to_owned())
}

/// A pipeline with servers of somebody else's, as soon as its pods are asked for.
fn external<'a>(world: &World<'a>, namespace: &str) -> Result<Pipeline<'a>> {
    let pipeline = applied(world, namespace, "external", &json!({}))?;
    world.cluster.wait_for("a pipeline's Deployments", MADE_MAX, || {
        for part in ["worker", "api"] {
            pipeline.object(&["deployment", &format!("{}-{part}", pipeline.name())])?;
        }
        Ok(())
    })?;
    Ok(pipeline)
}

fn applied<'a>(world: &World<'a>, namespace: &str, sample: &str, patch: &Value) -> Result<Pipeline<'a>> {
    world.cluster.restricted_namespace(namespace)?;
    let pipeline = Pipeline::of_sample(world.cluster, namespace, sample, patch)?;
    pipeline.apply()?;
    Ok(pipeline)
}

/// A managed pipeline that takes its data along.
fn all_of_it(world: &World<'_>) -> Result<()> {
    let patch = json!({"spec": {"deletionPolicy": "Delete"}});
    let pipeline = applied(world, "with-its-data", "minimal", &patch)?;
    let kept = |kind: &str| kept(world, pipeline.namespace(), pipeline.name(), kind);
    let volumes = world.cluster.wait_for("volumes and Secrets", MADE_MAX, || {
        let (claims, secrets) = (kept("persistentvolumeclaims")?, kept("secrets")?);
        let volumes: Vec<String> = claims
            .iter()
            .filter_map(|claim| claim["spec"]["volumeName"].as_str().map(str::to_owned))
            .collect();
        ensure!(
            volumes.len() == VOLUMES && secrets.len() == SECRETS,
            "{volumes:?}, {} Secrets",
            secrets.len()
        );
        Ok(volumes)
    })?;
    pipeline.delete(GONE_MAX).context("a pipeline with its data")?;
    nothing_left(world, &pipeline)?;
    let mut gone = vec!["get", "persistentvolumes"];
    gone.extend(volumes.iter().map(String::as_str));
    world.cluster.wait_for("the end of volumes", GONE_MAX, || world.cluster.is_gone(&gone))?;
    namespace_goes(world, pipeline.namespace())
}

/// The definition goes, and with it all pipelines, while the operator runs. Data of those that keep it stays.
fn definition(world: &World<'_>) -> Result<()> {
    let other = external(world, "with-the-definition")?;
    let name = world.pipeline.name();
    let stays = |kind: &str| {
        let uid = |found: Value| found["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let mut all: Vec<String> = kept(world, NAMESPACE, name, kind)?.into_iter().map(uid).collect();
        all.sort();
        Ok::<_, anyhow::Error>(all)
    };
    let before = (stays("persistentvolumeclaims")?, stays("secrets")?);
    ensure!((before.0.len(), before.1.len()) == (VOLUMES, SECRETS), "there are {before:?}");
    world.cluster.kubectl(&["delete", "crd", DEFINITION, "--wait=false"])?;
    gone(world, &["get", "crd", DEFINITION])?;
    for pipeline in [world.pipeline, &other] {
        let selector = format!("docmill.dev/pipeline={}", pipeline.name());
        gone(world, &["--namespace", pipeline.namespace(), "get", KINDS, "--selector", &selector])?;
    }
    nothing_left(world, &other)?;
    let after = (stays("persistentvolumeclaims")?, stays("secrets")?);
    ensure!(before == after, "volumes and Secrets were {before:?} and are {after:?}");
    Ok(())
}

/// Nothing of a pipeline is there, volumes and Secrets included, and nothing of its namespace hangs.
fn nothing_left(world: &World<'_>, pipeline: &Pipeline<'_>) -> Result<()> {
    let selector = format!("docmill.dev/pipeline={}", pipeline.name());
    let kinds = format!("{KINDS},persistentvolumeclaims,secrets,endpointslices");
    gone(world, &["--namespace", pipeline.namespace(), "get", &kinds, "--selector", &selector])
}

/// What stays of a pipeline: objects of this kind that have its label.
fn kept(world: &World<'_>, namespace: &str, name: &str, kind: &str) -> Result<Vec<Value>> {
    let selector = format!("docmill.dev/pipeline={name}");
    let list = world.cluster.object(&["--namespace", namespace, "get", kind, "--selector", &selector])?;
    Ok(list["items"].as_array().context("a list has items")?.clone())
}

pub(super) fn namespace_goes(world: &World<'_>, namespace: &str) -> Result<()> {
    world.cluster.kubectl(&["delete", "namespace", namespace, "--wait=false"])?;
    gone(world, &["get", "namespace", namespace])
}

/// docmill goes, and its place in the cluster's metrics with it.
fn uninstalled(world: &World<'_>) -> Result<()> {
    world.cluster.uninstall()?;
    gone(world, &["get", "apiservice", API_SERVICE])?;
    let operators = ["--namespace", OPERATORS, "get", "pods"];
    gone(world, &operators)
}

fn gone(world: &World<'_>, what: &[&str]) -> Result<()> {
    let end = format!("the end of {}", what.join(" "));
    world.cluster.wait_for(&end, GONE_MAX, || world.cluster.is_gone(what))
}
