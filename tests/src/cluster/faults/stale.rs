//! Watches that say what is no longer so, keep silent, or end: nothing that is declared is deleted for it, and no
//! worker goes. After each fault the operator looks twenty times before it is judged.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::http::Method;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;

use super::Found;
use super::subject::{LIMIT, NAME, Subject, World};
use crate::cluster::host::until;

/// Looks after a fault.
const LOOKS: u32 = 20;
/// How soon a fault that ended is made good.
const HEALED_MAX: Duration = Duration::from_secs(30);
/// Kinds of which old events are said again.
const KINDS: [&str; 9] = [
    "configmaps",
    "deployments",
    "networkpolicies",
    "poddisruptionbudgets",
    "pods",
    "serviceaccounts",
    "services",
    "statefulsets",
    "persistentvolumeclaims",
];

/// Runs all of them, each on a pipeline of its own.
///
/// # Errors
/// The API server does not answer, or a pipeline does not get on at all.
pub async fn run(world: &World) -> Result<Found> {
    let mut found = Found::default();
    for (name, fault) in [
        ("replayed", Fault::Replayed),
        ("rolled back", Fault::RolledBack),
        ("hidden deletion", Fault::HiddenDeletion),
        ("hidden pods", Fault::HiddenPods),
        ("gone", Fault::Gone),
        ("broken off", Fault::BrokenOff),
        ("late list", Fault::LateList),
    ] {
        let one = Box::pin(fault.run(world)).await.with_context(|| format!("stale: {name}"))?;
        eprintln!(
            "faults: stale, {name}: wrong_deletes={} wrong_lowerings={}",
            one.wrong_deletes, one.wrong_lowerings
        );
        found.add(&one);
    }
    Ok(found)
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Replayed,
    RolledBack,
    HiddenDeletion,
    HiddenPods,
    Gone,
    BrokenOff,
    LateList,
}

impl Fault {
    async fn run(self, world: &World) -> Result<Found> {
        let subject = Subject::begun(world, &["--resync-ms", "200"]).await?;
        subject.scale(250, 3).await?;
        subject
            .settled("three workers", async |subject: &Subject<'_>| Ok(subject.workers().await? == Some(3)))
            .await?;
        subject.recorder.forbid();
        let mut before = subject.proxy.written().len();
        match self {
            Self::Replayed => replayed(&subject).await?,
            Self::RolledBack => before = rolled_back(&subject).await?,
            Self::HiddenDeletion => hidden_deletion(&subject).await?,
            Self::HiddenPods => return hidden_pods(&subject, before).await,
            Self::Gone => {
                subject.proxy.watches().gone();
                subject.looks(LOOKS).await?;
            }
            Self::BrokenOff => {
                subject.proxy.watches().break_off();
                subject.looks(LOOKS).await?;
            }
            Self::LateList => late_list(&subject).await?,
        }
        let found = judged(&subject, before);
        // It goes on as if nothing had been.
        subject.recorder.allow();
        subject.proxy.watches().gone();
        subject.scale(550, 6).await?;
        Ok(found)
    }
}

/// What was done since so many writes that must not have been.
fn judged(subject: &Subject<'_>, before: usize) -> Found {
    let written = subject.proxy.written();
    let since = written.get(before..).unwrap_or_default();
    let deleted: Vec<String> = since
        .iter()
        .filter(|written| written.method == Method::DELETE)
        .map(|written| written.line())
        .collect();
    if !deleted.is_empty() {
        eprintln!("faults: deleted: {}", deleted.join(", "));
    }
    Found {
        wrong_deletes: deleted.len(),
        wrong_lowerings: subject.recorder.lowerings(),
        ..Found::default()
    }
}

/// Everything that was ever said of objects is said again: the last word on each is its first state.
async fn replayed(subject: &Subject<'_>) -> Result<()> {
    let said: usize = KINDS.iter().map(|kind| subject.proxy.watches().replay(kind)).sum();
    ensure!(said > 20, "only {said} events to say again");
    subject.looks(LOOKS).await
}

/// The pipeline as it was first declared is said again, after it was declared to have three workers at least. Gives
/// the number of writes before that.
async fn rolled_back(subject: &Subject<'_>) -> Result<usize> {
    subject.change(json!({"workers": {"replicas": {"min": 3}, "concurrency": 6}})).await?;
    subject.settled("what was changed", async |subject: &Subject<'_>| subject.has_all().await).await?;
    subject.set_waiting(0);
    subject.looks(LOOKS).await?;
    ensure!(subject.workers().await? == Some(3), "at least three workers");
    let before = subject.proxy.written().len();
    let was_said = subject.proxy.watches().replay_first("ingestionpipelines", NAME);
    ensure!(was_said, "the pipeline was never said");
    subject.looks(LOOKS).await?;
    Ok(before)
}

/// An object goes, and the operator is not told. Once it has to list anew, the object is back.
async fn hidden_deletion(subject: &Subject<'_>) -> Result<()> {
    let before = subject.look().await?;
    subject.proxy.watches().hide("configmaps", "DELETED");
    let maps: Api<ConfigMap> = Api::namespaced(subject.world.client.clone(), &subject.namespace);
    maps.delete(&format!("{NAME}-operator-keys"), &DeleteParams::default()).await?;
    subject.looks(LOOKS).await?;
    subject.proxy.watches().hide_nothing();
    subject.proxy.watches().gone();
    until("what was deleted is back", HEALED_MAX, async || {
        // Its note of the Secret, which is kept, comes back with it.
        Ok(subject.look().await? == before)
    })
    .await
    .map(drop)
}

/// Six pods are made of which the operator is not told, and there is nothing to do any more: nobody goes while somebody
/// is unseen. Once all are seen, they go.
async fn hidden_pods(subject: &Subject<'_>, before: usize) -> Result<Found> {
    for event in ["ADDED", "MODIFIED"] {
        subject.proxy.watches().hide("pods", event);
    }
    subject.scale(550, 6).await?;
    let counted = async || {
        let found = subject.deployments().get(&format!("{NAME}-worker")).await?;
        anyhow::Ok(found.status.and_then(|status| status.updated_replicas) == Some(6))
    };
    until("six pods", LIMIT, counted).await?;
    subject.set_waiting(0);
    subject.looks(LOOKS).await?;
    let found = judged(subject, before);
    subject.recorder.allow();
    subject.proxy.watches().hide_nothing();
    subject.proxy.watches().gone();
    subject.scale(0, 0).await?;
    Ok(found)
}

/// The operator starts again and is not told of Deployments for a while: workers that run stay.
async fn late_list(subject: &Subject<'_>) -> Result<()> {
    subject.kill().await?;
    subject.proxy.hold_lists(Some("deployments"));
    subject.start().await?;
    // It may wait for the list, or work without it: half a minute is longer than any start takes.
    let waited = subject.looks_within(LOOKS, Duration::from_secs(30)).await;
    subject.proxy.hold_lists(None);
    if waited.is_err() {
        eprintln!("faults: stale, late list: it waits for the list");
    }
    subject.looks(LOOKS).await
}
