//! One operator and one pipeline with nothing broken: what is edited comes back, what is no longer declared goes, a
//! pause holds, and looks without a cause write nothing.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::http::Method;
use docmill_operator::metrics_api::registration::API_SERVICE;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::Found;
use super::state::Everything;
use super::subject::{LIMIT, NAME, Subject, World};
use crate::cluster::host::until;
use crate::services::process::free_port;

/// Looks that write nothing.
const RESYNCS: u32 = 100;
/// Times that the operator starts again beside a HorizontalPodAutoscaler.
const STARTS: usize = 3;
/// The role that the chart would make.
const ROLE: &str = "docmill-faults";

/// Looks at a pipeline that is as it should be, with three workers and with none, write nothing.
pub async fn resync(world: &World) -> Result<Found> {
    let subject = Subject::begun(world, &["--resync-ms", "100"]).await?;
    let mut found = Found::default();
    for (documents, workers) in [(250, 3), (0, 0)] {
        subject.scale(documents, workers).await?;
        subject
            .settled("workers", async |subject: &Subject<'_>| Ok(subject.workers().await? == Some(workers)))
            .await?;
        let before = subject.proxy.written().len();
        subject.looks(RESYNCS).await?;
        for written in subject.proxy.written().iter().skip(before) {
            eprintln!("faults: resync wrote: {}", written.line());
            found.resync_writes += 1;
        }
    }
    Ok(found)
}

/// Objects that somebody edits or deletes are as before within seconds.
pub async fn drift(world: &World) -> Result<Found> {
    let subject = Subject::begun(world, &[]).await?;
    subject.scale(250, 3).await?;
    subject
        .settled("three workers", async |subject: &Subject<'_>| Ok(subject.workers().await? == Some(3)))
        .await?;
    let before = subject.look().await?;
    let mut found = Found::default();
    let (client, namespace) = (&world.client, &subject.namespace);
    let params = PatchParams::default();
    let api = format!("{NAME}-api");
    let back = async |what: &str, before: &Everything, found: &mut Found| -> Result<()> {
        let began = Instant::now();
        let mut last = Everything::default();
        let same = async || {
            last = subject.look().await?;
            anyhow::Ok(last == *before)
        };
        let came = until(what, LIMIT, same).await;
        came.with_context(|| format!("{}\n{}", before.difference(&last), subject.log()))?;
        found.drift_s = found.drift_s.max(began.elapsed().as_secs_f64());
        Ok(())
    };

    let deployments = subject.deployments();
    let workers = format!("{NAME}-worker");
    let containers = deployments.get(&workers).await?.spec.and_then(|spec| spec.template.spec);
    let first = containers.and_then(|spec| spec.containers.first().map(|container| container.name.clone()));
    let container = json!({"name": first.context("a container")?, "image": "other"});
    let image = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    deployments.patch(&workers, &params, &Patch::Strategic(&image)).await?;
    back("the workers' image", &before, &mut found).await?;

    deployments.patch(&api, &params, &Patch::Merge(&json!({"spec": {"replicas": 7}}))).await?;
    back("the API's replicas", &before, &mut found).await?;

    deployments.patch(&workers, &params, &Patch::Merge(&json!({"spec": {"replicas": 1}}))).await?;
    back("the workers' replicas", &before, &mut found).await?;

    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let elsewhere = json!({"spec": {"selector": {"app.kubernetes.io/component": "elsewhere"}}});
    services.patch(&api, &params, &Patch::Merge(&elsewhere)).await?;
    back("the Service's selector", &before, &mut found).await?;

    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    maps.delete(&format!("{NAME}-operator-keys"), &DeleteParams::default()).await?;
    back("the ConfigMap of keys", &before, &mut found).await?;

    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), namespace);
    for budget in budgets.list(&super::state::ours()).await? {
        let name = budget.metadata.name.unwrap_or_default();
        budgets.delete(&name, &DeleteParams::default()).await?;
        back("a PodDisruptionBudget", &before, &mut found).await?;
    }

    deployments.delete(&api, &DeleteParams::background()).await?;
    back("the API's Deployment", &before, &mut found).await?;
    Ok(found)
}

/// A HorizontalPodAutoscaler is there while the operator's metric is served and wanted, goes when it is not, and stays
/// when the operator starts again.
pub async fn prune(world: &World) -> Result<Found> {
    let roles: Api<ClusterRole> = Api::all(world.client.clone());
    let role: ClusterRole = serde_json::from_value(json!({"metadata": {"name": ROLE}, "rules": []}))?;
    roles.create(&PostParams::default(), &role).await?;
    let pruned = Box::pin(prune_with_role(world)).await;
    // The APIService has no server: it goes at once, and not only with its role.
    let services: Api<APIService> = Api::all(world.client.clone());
    let gone = services.delete(API_SERVICE, &DeleteParams::default()).await;
    roles.delete(ROLE, &DeleteParams::default()).await?;
    let found = pruned?;
    gone?;
    Ok(found)
}

async fn prune_with_role(world: &World) -> Result<Found> {
    let listen = format!("127.0.0.1:{}", free_port());
    let more = [
        "--metrics-api-service",
        "docmill-metrics-api",
        "--metrics-api-listen",
        listen.as_str(),
        "--owner-cluster-role",
        ROLE,
    ];
    let subject = Subject::begun(world, &more).await?;
    let autoscalers: Api<HorizontalPodAutoscaler> =
        Api::namespaced(world.client.clone(), &subject.namespace);
    let name = format!("{NAME}-worker");
    let is_there = async || anyhow::Ok(autoscalers.get_opt(&name).await?.is_some());
    until("an autoscaler", LIMIT, async || is_there().await).await.with_context(|| subject.log())?;
    for (provider, wanted) in [("Direct", false), ("Builtin", true), ("Auto", true)] {
        subject.change(json!({"autoscaling": {"metricsProvider": provider}})).await?;
        let what = format!("an autoscaler with {provider}: {wanted}");
        until(&what, LIMIT, async || Ok(is_there().await? == wanted))
            .await
            .with_context(|| subject.log())?;
    }
    subject.settled("all its objects", Subject::has_all).await?;
    let before = subject.proxy.written().len();
    for _ in 0..STARTS {
        subject.kill().await?;
        subject.start().await?;
        subject.looked().await?;
        subject.settled("the autoscaler", async |_: &Subject<'_>| is_there().await).await?;
    }
    let written = subject.proxy.written();
    let deleted: Vec<String> = written
        .iter()
        .skip(before)
        .filter(|written| written.method == Method::DELETE)
        .map(|written| written.line())
        .collect();
    if !deleted.is_empty() {
        eprintln!("faults: prune: deleted by a start: {}", deleted.join(", "));
    }
    subject.kill().await?;
    Ok(Found { wrong_deletes: deleted.len(), ..Found::default() })
}

/// A pause takes all workers, keeps all objects, and ends.
pub async fn pause(world: &World) -> Result<Found> {
    let subject = Subject::begun(world, &[]).await?;
    subject.scale(250, 3).await?;
    subject.change(json!({"paused": true})).await?;
    let is_paused = async |wanted: bool| {
        let status = subject.pipeline().await?.and_then(|pipeline| pipeline.status).unwrap_or_default();
        let paused = status.conditions.iter().find(|condition| condition.type_ == "Paused");
        anyhow::Ok(paused.is_some_and(|condition| condition.status == "True") == wanted)
    };
    until("a pause", LIMIT, async || Ok(is_paused(true).await? && subject.workers().await? == Some(0)))
        .await
        .with_context(|| subject.log())?;
    ensure!(subject.deployments().list(&super::state::ours()).await?.items.len() == 2, "Deployments stay");
    let paused_for = Duration::from_secs(3);
    subject
        .settled("nothing more", async |subject: &Subject<'_>| {
            Ok(subject.workers().await? == Some(0) && subject.proxy.quiet_for() >= paused_for)
        })
        .await?;
    subject.change(json!({"paused": Value::Null})).await?;
    until("its end", LIMIT, async || Ok(is_paused(false).await? && subject.workers().await? == Some(3)))
        .await
        .with_context(|| subject.log())?;
    Ok(Found::default())
}
