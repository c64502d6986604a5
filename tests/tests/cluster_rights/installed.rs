//! Installing, upgrading and taking away, with kubectl and with Helm. There is no node: pods are
//! admitted and wait.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use docmill_tests::cluster::Cluster;
use docmill_tests::cluster::install::{NAMESPACE, OPERATOR, RELEASE, repository};
use serde_json::Value;

use crate::Ground;

/// Without Helm.
const MANIFESTS: &str = "manifests/install.yaml";
/// With it.
const CHART: &str = "helm/docmill";
/// The definition of pipelines.
const DEFINITION: &str = "ingestionpipelines.docmill.dev";
/// Longest time until pods of a Deployment are admitted.
const ADMITTED_MAX: Duration = Duration::from_secs(30);
/// Longest time until something is gone.
const GONE_MAX: Duration = Duration::from_secs(60);
/// What a release makes, but for the definition.
const KINDS: &str = "clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts,services,\
                     deployments,replicasets,pods,poddisruptionbudgets,networkpolicies";

/// As `docs/kubernetes.md` says, word by word. Then it begins to go.
pub fn manifests_are_taken(ground: &Ground) -> Result<()> {
    let file = path(MANIFESTS)?;
    let mut command = ground.cluster.kubectl_command();
    let output = command.args(["apply", "--server-side", "-f", &file]).stdin(Stdio::null()).output()?;
    let (said, warned) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    ensure!(output.status.success(), "{said}{warned}");
    ensure!(!warned.contains("PodSecurity"), "{warned}");
    let text = std::fs::read_to_string(&file)?;
    let objects = text.lines().filter(|line| line.starts_with("kind: ")).count();
    let taken = said.lines().filter(|line| line.ends_with(" serverside-applied")).count();
    ensure!(taken == objects && objects > 0, "{taken} of {objects} objects were applied:\n{said}");
    ground.cluster.wait_for_definition()?;
    pods_are_admitted(&ground.cluster, NAMESPACE)?;
    ground.cluster.kubectl(&["delete", "--wait=false", "-f", &file]).map(drop)
}

/// All of it went, the namespace last.
pub fn manifests_are_gone(ground: &Ground) -> Result<()> {
    let file = path(MANIFESTS)?;
    let cluster = &ground.cluster;
    cluster.wait_for("the end of install.yaml", GONE_MAX, || cluster.is_gone(&["get", "-f", &file]))
}

/// An install and an upgrade to other values.
pub fn release_is_upgraded(ground: &Ground) -> Result<()> {
    let cluster = &ground.cluster;
    cluster.restricted_namespace(NAMESPACE)?;
    let budget = ["--namespace", NAMESPACE, "get", "poddisruptionbudget", OPERATOR];

    upgraded(cluster, NAMESPACE, &["replicas=1"])?;
    let first = definition(cluster)?;
    let before = operator(cluster, NAMESPACE)?;
    ensure!(before["spec"]["replicas"] == 1, "{}", before["spec"]["replicas"]);
    // A budget for one operator would keep its node from being drained.
    cluster.is_gone(&budget)?;

    upgraded(cluster, NAMESPACE, &["replicas=2", "log=debug"])?;
    let after = operator(cluster, NAMESPACE)?;
    ensure!(after["spec"]["replicas"] == 2, "{}", after["spec"]["replicas"]);
    let args = &after["spec"]["template"]["spec"]["containers"][0]["args"];
    ensure!(args.as_array().is_some_and(|args| args.iter().any(|arg| arg == "--log=debug")), "{args}");
    ensure!(before["metadata"]["uid"] == after["metadata"]["uid"], "the Deployment was made anew");
    cluster.object(&budget)?;
    let second = definition(cluster)?;
    ensure!(first == second, "the definition was made anew: {first}, {second}");
    let said = cluster.helm(&["status", RELEASE, "--namespace", NAMESPACE, "--output=json"])?;
    let release: Value = serde_json::from_str(&said)?;
    let (revision, state) = (&release["version"], &release["info"]["status"]);
    ensure!(revision == 2 && state == "deployed", "revision {revision} is {state}");
    Ok(())
}

/// The release for the whole cluster, and that for one namespace, go; what people declared stays.
pub fn definition_stays(ground: &Ground) -> Result<()> {
    let cluster = &ground.cluster;
    let before = definition(cluster)?;
    let said = cluster.helm(&["list", "--all-namespaces", "--output=json"])?;
    let releases: Vec<Value> = serde_json::from_str(&said)?;
    ensure!(releases.len() == 2, "there are {said}");
    for release in &releases {
        let namespace = release["namespace"].as_str().context("a release has a namespace")?;
        cluster.helm(&["uninstall", RELEASE, "--namespace", namespace])?;
    }
    let selector = format!("app.kubernetes.io/name={OPERATOR}");
    cluster.wait_for("the end of the releases", GONE_MAX, || {
        cluster.is_gone(&["get", KINDS, "--all-namespaces", "--selector", &selector])
    })?;
    let after = definition(cluster)?;
    ensure!(before == after, "the definition was made anew: {before}, {after}");
    Ok(())
}

/// Installs the chart, or upgrades it to these values, and waits until its pods are admitted.
pub fn upgraded(cluster: &Cluster, namespace: &str, values: &[&str]) -> Result<()> {
    let chart = path(CHART)?;
    let mut args = vec!["upgrade", "--install", RELEASE, chart.as_str(), "--namespace", namespace];
    args.extend(values.iter().flat_map(|value| ["--set", *value]));
    cluster.helm(&args)?;
    pods_are_admitted(cluster, namespace)
}

/// The pod of an operator, as the chart makes it.
pub fn template(cluster: &Cluster) -> Result<Value> {
    let chart = path(CHART)?;
    let only = "templates/deployment.yaml";
    let version = "--kube-version=1.34.0";
    let args =
        ["template", RELEASE, chart.as_str(), "--namespace", NAMESPACE, version, "--show-only", only];
    let deployment: Value =
        serde_saphyr::from_str(&cluster.helm(&args)?).map_err(|error| anyhow!("{only}: {error}"))?;
    Ok(deployment["spec"]["template"].clone())
}

/// Waits until the newest template of the operator's Deployment has a pod. It never runs: there is no node.
fn pods_are_admitted(cluster: &Cluster, namespace: &str) -> Result<()> {
    cluster.wait_for("operator pods", ADMITTED_MAX, || {
        let deployment = operator(cluster, namespace)?;
        let status = &deployment["status"];
        let seen = status["observedGeneration"] == deployment["metadata"]["generation"];
        ensure!(seen && status["updatedReplicas"].as_u64() > Some(0), "{status}");
        Ok(())
    })
}

fn operator(cluster: &Cluster, namespace: &str) -> Result<Value> {
    cluster.object(&["--namespace", namespace, "get", "deployment", OPERATOR])
}

/// The definition's UID. It stays whatever Helm does.
fn definition(cluster: &Cluster) -> Result<Value> {
    let definition = cluster.object(&["get", "customresourcedefinition", DEFINITION])?;
    let metadata = &definition["metadata"];
    ensure!(metadata["deletionTimestamp"].is_null(), "the definition goes");
    let policy = &metadata["annotations"]["helm.sh/resource-policy"];
    ensure!(policy == "keep", "the definition's policy is {policy}");
    Ok(metadata["uid"].clone())
}

fn path(of: &str) -> Result<String> {
    Ok(repository(of).to_str().context("the path is UTF-8")?.to_owned())
}
