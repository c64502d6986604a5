//! The metrics API as the API server passes it on, as somebody asks it past the API server, and as another provider
//! has it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{SCALE_MAX, World};
use crate::cluster::documents::texts;
use crate::cluster::install::{API_SERVICE, NAMESPACE as OPERATORS};
use crate::cluster::{Installation, condition, wait_for};

/// The group and version.
const PATH: &str = "/apis/external.metrics.k8s.io/v1beta1";
/// The metric.
const METRIC: &str = "docmill-queue-demand";
/// The operator's Service for it, and its port.
const SERVICE: (&str, u16) = ("docmill-metrics-api", 443);
/// Longest time until a change of whose the metrics are is seen: it is looked for every 30 seconds.
const SEEN_MAX: Duration = Duration::from_secs(60);
/// Longest answer of the Service.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Workers that the queue asks for while another provider has the metrics, and documents that ask for them: slow ones.
const MORE: (u32, usize, usize) = (3, 12, 30_000);

pub(super) fn run(world: &World<'_>) -> Result<String> {
    let value = answers(world)?;
    let status = past_the_api_server(world)?;
    wait_for("the autoscaler", SEEN_MAX, || {
        let hpa = world.pipeline.object(&["horizontalpodautoscaler", &world.pipeline.workers()])?;
        let (is_so, says) = condition(&hpa, "ScalingActive").context("nothing is said of it")?;
        ensure!(is_so && world.workers.now() > 0, "{says}");
        Ok(())
    })?;
    let foreign_s = foreign(world)?;
    Ok(format!(
        "value {value}; {status} without a certificate; beside another provider scaled directly, ours again after \
         {foreign_s:.1} s"
    ))
}

/// Discovery, the value, and what is not there.
fn answers(world: &World<'_>) -> Result<String> {
    let raw = |path: &str| world.cluster.kubectl(&["get", "--raw", path]);
    let list: Value = serde_json::from_str(&raw(PATH)?)?;
    ensure!(list["kind"] == "APIResourceList" && list["resources"][0]["namespaced"] == true, "{list}");
    let namespace = world.pipeline.namespace();
    let at = |metric: &str, pipeline: &str| {
        format!("{PATH}/namespaces/{namespace}/{metric}?labelSelector=docmill.dev%2Fpipeline%3D{pipeline}")
    };
    let name = world.pipeline.name();
    let values: Value = serde_json::from_str(&raw(&at(METRIC, name))?)?;
    ensure!(
        values["kind"] == "ExternalMetricValueList" && values["items"][0]["metricName"] == METRIC,
        "{values}"
    );
    let value = values["items"][0]["value"].as_str().context("a metric has a value")?;
    for path in [at("another", name), at(METRIC, "nobody")] {
        let said = match raw(&path) {
            Ok(said) => said,
            Err(error) => format!("{error:#}"),
        };
        // kubectl reads the reason and the message from a Status.
        ensure!(said.contains("(NotFound)"), "{path}: {said}");
    }
    Ok(value.to_owned())
}

/// A status of HTTP for who asks the Service itself and shows no certificate.
fn past_the_api_server(world: &World<'_>) -> Result<u16> {
    let port = world.cluster.forward_service(OPERATORS, SERVICE.0, SERVICE.1)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = runtime.block_on(async {
        let client = reqwest::Client::builder()
            .no_proxy()
            // Who it is does not matter here: it is to find out who we are.
            .tls_danger_accept_invalid_certs(true)
            .timeout(ANSWER_MAX)
            .build()?;
        let answer = client.get(format!("https://127.0.0.1:{port}{PATH}")).send().await?;
        let status = answer.status().as_u16();
        Ok::<_, reqwest::Error>((status, answer.text().await?))
    });
    world.cluster.unforward(port)?;
    let (status, text) = asked?;
    let said: Value = serde_json::from_str(&text).with_context(|| format!("{status}: {text}"))?;
    ensure!(
        status == 401 && said["kind"] == "Status" && said["reason"] == "Unauthorized",
        "{status}: {said}"
    );
    Ok(status)
}

/// Another provider was there first: what is its own stays as it is, and workers follow the queue all the same. Gives
/// the seconds until the metrics are ours when it has gone.
fn foreign(world: &World<'_>) -> Result<f64> {
    let service = ["get", "apiservice", API_SERVICE];
    world.cluster.uninstall()?;
    world.cluster.wait_for("the end of our APIService", SEEN_MAX, || world.cluster.is_gone(&service))?;
    let theirs = json!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": API_SERVICE},
        "spec": {
            "group": "external.metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": true,
            "service": {"namespace": "default", "name": "another-provider", "port": 443},
        },
    });
    world.cluster.kubectl_with(&["create", "-f", "-"], &theirs.to_string())?;
    let found = || {
        let found = world.cluster.object(&service)?;
        let part = |of: &str| found["metadata"][of].clone();
        Ok::<_, anyhow::Error>([
            part("uid"),
            part("labels"),
            part("ownerReferences"),
            found["spec"].clone(),
        ])
    };
    let before = found()?;
    world.cluster.upgrade(&Installation::default())?;
    let beside = beside(world);
    let after = found()?;
    world.cluster.kubectl(&["delete", "apiservice", API_SERVICE])?;
    let deleted = Instant::now();
    beside?;
    ensure!(before == after, "another provider's was {before:?} and is {after:?}");
    world.cluster.wait_for("our APIService", SEEN_MAX, || {
        let service = world.cluster.object(&service)?;
        let (is_available, says) = condition(&service, "Available").context("nothing is said of it")?;
        ensure!(
            is_available && service["spec"]["service"]["name"] == SERVICE.0,
            "{says}: {}",
            service["spec"]
        );
        provider(world, "Builtin")
    })?;
    let seconds = deleted.elapsed().as_secs_f64();
    world.settled()?;
    let hpa = world.pipeline.workers();
    world.pipeline.object(&["horizontalpodautoscaler", &hpa]).context("there is no autoscaler again")?;
    Ok(seconds)
}

/// Without an autoscaler, workers come.
fn beside(world: &World<'_>) -> Result<()> {
    let hpa = world.pipeline.workers();
    world.cluster.wait_for("scaling beside another provider", SEEN_MAX, || {
        provider(world, "Direct")?;
        let namespace = world.pipeline.namespace();
        world.cluster.is_gone(&["--namespace", namespace, "get", "horizontalpodautoscaler", &hpa])
    })?;
    let (most, documents, bytes) = MORE;
    world.patch(&json!({"spec": {"workers": {"replicas": {"max": most}}}}))?;
    let mark = world.workers.mark();
    let batch = world.api.batch("beside another provider")?;
    world.api.upload(&batch, &texts(documents, bytes, 6))?;
    world.workers.wait(mark, SCALE_MAX, |now| now == most).context("workers beside another provider")?;
    Ok(())
}

fn provider(world: &World<'_>, wanted: &str) -> Result<()> {
    let shown = world.pipeline.shown()?;
    let provider = &shown["status"]["scaling"]["provider"];
    ensure!(provider == wanted, "{provider} scales");
    Ok(())
}
