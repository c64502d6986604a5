//! One look at one pipeline: from what is declared to what is there, and what is told of it.
//!
//! 1. `plan`: all defaults, or all that is wrong (then nothing is written but status)
//! 2. volumes, and for each the Secret that lives with it
//! 3. everything else, in order: stores, then API and workers
//! 4. what nothing builds any more is removed
//! 5. scaling is told
//! 6. status, where it differs

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use kube::runtime::controller::Action;
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;

use crate::apply;
use crate::build::{self, Volume};
use crate::child::{Child, ChildKey};
use crate::context::Context;
use crate::live::{Live, LiveState, PipelineKey};
use crate::metrics_api::registration::Registration;
use crate::names::{self, Part};
use crate::plan::{self, Plan, Problem};
use crate::resource::{ConditionKind, IngestionPipeline, IngestionPipelineStatus};
use crate::rollback;
use crate::scaling::{Key, PipelineScaling};
use crate::status::{self, Scaling};
use crate::time_text;

/// Time after which a pipeline is looked at although nothing changed: what no watch shows is found then.
const RESYNC: Duration = Duration::from_secs(600);
/// Time to the next look where something is on its way that no watch shows.
const SOON: Duration = Duration::from_secs(2);
/// Time to the next look while what is there is being listed.
const LISTING: Duration = Duration::from_millis(100);

/// Why a look ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Kubernetes refused, or was not there.
    #[error("cannot {what}: {source}")]
    Kube {
        /// What was to be done.
        what: String,
        /// What Kubernetes says.
        source: Box<kube::Error>,
    },
    /// The machine gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(String),
}

fn kube(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Error {
    let what = what.into();
    move |source| Error::Kube { what, source: Box::new(source) }
}

/// What a look found out, for status.
#[derive(Default)]
struct Outcome {
    /// What could not be written.
    refused: Option<String>,
    /// The ConfigMap that is asked for.
    config: String,
    /// The last good state is in force, for this reason.
    rolled_back: Option<String>,
    /// Something is on its way.
    is_soon: bool,
}

/// Looks at a pipeline once.
///
/// # Errors
///
/// Kubernetes refused status, or was not there.
pub async fn reconcile(pipeline: Arc<IngestionPipeline>, context: Arc<Context>) -> Result<Action, Error> {
    if !context.leads() {
        return Ok(Action::await_change());
    }
    let key =
        PipelineKey { namespace: pipeline.namespace().unwrap_or_default(), name: pipeline.name_any() };
    let scaling_key = Key::new(&key.namespace, &key.name);
    if pipeline.metadata.deletion_timestamp.is_some() {
        context.scaling.remove(&scaling_key);
        return Ok(Action::await_change());
    }
    // Kinds without keys have nothing to check tokens with.
    let Some(material) = context.material.borrow().clone() else { return Ok(Action::requeue(SOON)) };
    // What was not listed may be there all the same, and must not be begun anew.
    if !context.known.is_complete() {
        return Ok(Action::requeue(LISTING));
    }
    let began = Instant::now();
    let plan = plan::make(&pipeline.spec, context.known.nodes.smallest());
    let mut outcome = Outcome::default();
    if pipeline.status.is_none() {
        // A resource without any condition is ready to tools that go by kstatus.
        tell(&pipeline, &key, &scaling_key, plan.as_ref().map_err(Vec::as_slice), &outcome, &context)
            .await?;
    }
    if let Ok(plan) = &plan {
        let written = write(&pipeline, &key, plan, &material.public_pem(), &context, &mut outcome).await;
        if let Err(error) = written {
            tracing::warn!(pipeline = %key.name, namespace = %key.namespace, %error, "not all could be written");
            outcome.refused = Some(error.to_string());
            outcome.is_soon = true;
        }
        context.scaling.set(PipelineScaling {
            key: scaling_key.clone(),
            uid: pipeline.uid().unwrap_or_default(),
            policy: plan.policy.clone(),
        });
    }
    let told =
        tell(&pipeline, &key, &scaling_key, plan.as_ref().map_err(Vec::as_slice), &outcome, &context).await;
    let result = if told.is_ok() && outcome.refused.is_none() { "ok" } else { "error" };
    context.meters.reconciles.with_label_values(&[result]).inc();
    context.meters.seconds.with_label_values(&[result]).observe(began.elapsed().as_secs_f64());
    told?;
    Ok(Action::requeue(if outcome.is_soon { SOON } else { RESYNC }))
}

/// What to do after an error: again soon, not at once.
pub fn again(_: Arc<IngestionPipeline>, error: &Error, _: Arc<Context>) -> Action {
    tracing::warn!(%error, "a look at a pipeline ended early; it is repeated");
    Action::requeue(SOON)
}

async fn write(
    pipeline: &IngestionPipeline,
    key: &PipelineKey,
    plan: &Plan,
    operator_keys_pem: &str,
    context: &Context,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let volumes = volumes(&key.name, &context.known.index.of(key));
    let input = build::Input {
        pipeline,
        plan,
        images: &context.settings.images,
        volumes: &volumes,
        hpa: has_autoscaler(pipeline, key, context),
        workers_there: status::rollout(
            &context.known.index.of(key),
            "Deployment",
            &Part::Worker.name(&key.name),
        )
        .map_or(0, |rollout| u32::try_from(rollout.wanted).unwrap_or(0)),
        has_service_monitors: context.settings.has_service_monitors,
        operator_namespace: &context.settings.namespace,
        operator_keys_pem,
    };
    for child in &build::volumes(&input) {
        apply(context, key, child, &mut Vec::new()).await?;
    }
    let volumes = self::volumes(&key.name, &context.known.index.of(key));
    let input = build::Input { volumes: &volumes, ..input };
    make_secrets(&input, key, context).await?;

    let mut children = build::children(&input);
    outcome.config = build::config_name(&input);
    let troubles = context.known.troubles.of(key);
    let since = context.failing_since(key, rollback::is_failing(&troubles));
    let image = &context.settings.images.worker;
    let status = pipeline.status.as_ref();
    let back = status.and_then(|status| rollback::decide(status, &outcome.config, image, since, &troubles));
    if let Some(back) = &back {
        rollback::put(&mut children, back);
        outcome.rolled_back = Some(back.cause.clone());
    }
    let live = context.known.index.of(key);
    let is_new = !live.contains_key(&crate::watches::worker_deployment(&key.name));
    let kept = kept(pipeline, &live, &key.name);
    let uid = pipeline.uid().unwrap_or_default();
    let left = context.applier.left(key);
    let writes = apply::decide(&children, &live, &left, &uid, &kept);
    let mut refused = Vec::new();
    for child in &writes.apply {
        let is_workers = child.key() == crate::watches::worker_deployment(&key.name);
        if is_workers && is_new {
            begin_workers(context, key, child, plan.policy.min).await?;
        }
        apply(context, key, child, &mut refused).await?;
    }
    // Nothing is too much while not all is built.
    if input.missing().is_empty() && refused.is_empty() {
        remove(context, key, &children, writes.delete).await?;
    }
    outcome.is_soon = !input.missing().is_empty() || (since.is_some() && back.is_none());
    if !refused.is_empty() {
        outcome.refused = Some(refused.join("; "));
        outcome.is_soon = true;
    }
    Ok(())
}

/// Whether an autoscaler reads our metric. While it is not known whose the cluster's metrics are, one that is there stays.
fn has_autoscaler(pipeline: &IngestionPipeline, key: &PipelineKey, context: &Context) -> bool {
    if pipeline.spec.autoscaling.metrics_provider == crate::resource::MetricsProvider::Direct {
        return false;
    }
    let child = ChildKey { kind: "HorizontalPodAutoscaler".into(), name: Part::Worker.name(&key.name) };
    match &*context.registration.borrow() {
        Some(registration) => *registration == Registration::Ours,
        None => context.known.index.of(key).contains_key(&child),
    }
}

/// Applies one object where it is not as it was left. What Kubernetes refuses for good is noted, and the others go on.
async fn apply(
    context: &Context,
    key: &PipelineKey,
    child: &Child,
    refused: &mut Vec<String>,
) -> Result<(), Error> {
    let name = child.key();
    let live = context.known.index.of(key);
    let children = std::slice::from_ref(child);
    if apply::decide(children, &live, &context.applier.left(key), "", &BTreeSet::new()).apply.is_empty() {
        return Ok(());
    }
    if !context.leads() {
        return Ok(());
    }
    context.meters.writes.with_label_values(&[name.kind.as_str()]).inc();
    match context.applier.apply(&context.client, key, child).await {
        Ok(now) => {
            let state = live.get(&name).map(|live| live.state.clone());
            let state = match (name.kind.as_str(), state) {
                (_, Some(state)) => state,
                ("PersistentVolumeClaim", None) => {
                    LiveState::Volume { asked_mib: 0, has_mib: 0, phase: "Pending".into() }
                }
                (_, None) => LiveState::Plain,
            };
            context.known.index.put_answer(key, &name, Live { state, ..now });
            Ok(())
        }
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {
            refused.push(format!("{} {}: {}", name.kind, name.name, status.message));
            Ok(())
        }
        Err(error) => Err(kube(format!("apply {} {}", name.kind, name.name))(error)),
    }
}

/// Makes the workers' Deployment with the fewest workers. A Deployment that is applied without `replicas` begins with
/// one; so the field is applied once, handed to the manager that scales, and never applied again.
async fn begin_workers(
    context: &Context,
    key: &PipelineKey,
    child: &Child,
    replicas: u32,
) -> Result<(), Error> {
    let name = child.key().name;
    let api: Api<kube::core::DynamicObject> =
        Api::namespaced_with(context.client.clone(), &key.namespace, &child.resource);
    // Asked for, not believed: workers that run must not be set to the fewest because a watch is behind.
    let there = api.get_metadata_opt(&name).await.map_err(kube(format!("look for Deployment {name}")))?;
    if there.is_some() {
        return Ok(());
    }
    let mut first = child.object.clone();
    first["spec"]["replicas"] = json!(replicas);
    let params = PatchParams::apply(names::FIELD_MANAGER).force();
    api.patch(&name, &params, &Patch::Apply(&first))
        .await
        .map_err(kube(format!("make Deployment {name}")))?;
    let handed = json!({
        "apiVersion": child.object["apiVersion"],
        "kind": child.object["kind"],
        "metadata": {"name": name},
        "spec": {"replicas": replicas},
    });
    let params = PatchParams::apply(names::SCALING_MANAGER).force();
    let handing = api.patch(&name, &params, &Patch::Apply(&handed)).await;
    handing.map_err(kube(format!("hand the replicas of Deployment {name} to scaling")))?;
    Ok(())
}

/// Removes what nothing builds any more.
async fn remove(
    context: &Context,
    key: &PipelineKey,
    children: &[Child],
    delete: Vec<(ChildKey, String)>,
) -> Result<(), Error> {
    for (child, uid) in delete {
        if !context.leads() {
            return Ok(());
        }
        let Some(resource) = resource_of(children, &child.kind) else { continue };
        context.meters.writes.with_label_values(&[child.kind.as_str()]).inc();
        let deleting = context.applier.delete(&context.client, key, &resource, &child.name, &uid).await;
        deleting.map_err(kube(format!("delete {} {}", child.kind, child.name)))?;
    }
    Ok(())
}

/// The client's name of a kind that is removed.
fn resource_of(children: &[Child], kind: &str) -> Option<ApiResource> {
    use k8s_openapi::api::{apps, autoscaling, core, networking, policy};
    let known =
        children.iter().find(|child| child.resource.kind == kind).map(|child| child.resource.clone());
    known.or_else(|| {
        Some(match kind {
            "ConfigMap" => ApiResource::erase::<core::v1::ConfigMap>(&()),
            "Deployment" => ApiResource::erase::<apps::v1::Deployment>(&()),
            "HorizontalPodAutoscaler" => {
                ApiResource::erase::<autoscaling::v2::HorizontalPodAutoscaler>(&())
            }
            "NetworkPolicy" => ApiResource::erase::<networking::v1::NetworkPolicy>(&()),
            "PodDisruptionBudget" => ApiResource::erase::<policy::v1::PodDisruptionBudget>(&()),
            "Service" => ApiResource::erase::<core::v1::Service>(&()),
            "StatefulSet" => ApiResource::erase::<apps::v1::StatefulSet>(&()),
            _ => return None,
        })
    })
}

/// ConfigMaps that pods may still start with: the last good one, and all while new pods are being rolled out.
fn kept(pipeline: &IngestionPipeline, live: &BTreeMap<ChildKey, Live>, name: &str) -> BTreeSet<ChildKey> {
    let is_rolling = [Part::Worker, Part::Api].into_iter().any(|part| {
        let key = ChildKey { kind: "Deployment".into(), name: part.name(name) };
        match live.get(&key) {
            Some(Live { state: LiveState::Pods(rollout), generation, .. }) => !rollout.is_done(*generation),
            _ => true,
        }
    });
    let good = pipeline.status.as_ref().and_then(|status| status.last_good.as_ref());
    let is_kept = |key: &ChildKey| is_rolling || good.is_some_and(|good| good.config == key.name);
    live.keys().filter(|key| key.kind == "ConfigMap" && is_kept(key)).cloned().collect()
}

/// Volumes that are there.
fn volumes(name: &str, live: &BTreeMap<ChildKey, Live>) -> BTreeMap<Part, Volume> {
    let volume = |part| {
        let key = ChildKey { kind: "PersistentVolumeClaim".into(), name: names::volume(name, part) };
        match live.get(&key)? {
            Live { state: LiveState::Volume { asked_mib, .. }, uid, deleting: false, .. } => {
                Some((part, Volume { uid: uid.clone(), storage_mib: *asked_mib }))
            }
            _ => None,
        }
    };
    Part::STORES.into_iter().filter_map(volume).collect()
}

/// Makes the Secrets that are not made yet. They cannot be looked at: what they were made for says so.
async fn make_secrets(input: &build::Input<'_>, key: &PipelineKey, context: &Context) -> Result<(), Error> {
    let live = context.known.index.of(key);
    let mut failed = None;
    let mut passwords = || {
        random(24).unwrap_or_else(|error| {
            failed = Some(error);
            String::new()
        })
    };
    let secrets = build::secrets(input, &mut passwords);
    if let Some(error) = failed {
        return Err(error);
    }
    for (part, secret) in secrets {
        let volume =
            ChildKey { kind: "PersistentVolumeClaim".into(), name: names::volume(&key.name, part) };
        if live.get(&volume).is_some_and(|live| live.secret.is_some()) {
            continue;
        }
        create(context, key, &secret).await?;
        mark::<k8s_openapi::api::core::v1::PersistentVolumeClaim>(
            context,
            key,
            &volume,
            &secret.name_any(),
        )
        .await?;
    }
    // The first key of the API: the ConfigMap of the operator's keys says whether it was made.
    let keys = ChildKey { kind: "ConfigMap".into(), name: names::operator_keys(&key.name) };
    let ledger_is_known =
        input.plan.ledger.managed().is_none() || input.volumes.contains_key(&Part::Postgres);
    if ledger_is_known && live.get(&keys).is_some_and(|live| live.secret.is_none()) {
        let api_key = format!("docmill_{}_{}", random(6)?, random(32)?);
        let secret = build::api_key_secret(input, api_key);
        create(context, key, &secret).await?;
        mark::<k8s_openapi::api::core::v1::ConfigMap>(context, key, &keys, &secret.name_any()).await?;
    }
    Ok(())
}

async fn create(context: &Context, key: &PipelineKey, secret: &Secret) -> Result<(), Error> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &key.namespace);
    context.meters.writes.with_label_values(&["Secret"]).inc();
    let params = PostParams { field_manager: Some(names::FIELD_MANAGER.into()), ..PostParams::default() };
    match api.create(&params, secret).await {
        Ok(_) => Ok(()),
        // It was made before, and is kept.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(kube(format!("create Secret {}", secret.name_any()))(error)),
    }
}

/// Notes on an object that its Secret was made. Under another manager than what is applied, which does not know of it.
async fn mark<K>(context: &Context, key: &PipelineKey, object: &ChildKey, secret: &str) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(context.client.clone(), &key.namespace);
    let annotation = json!({"metadata": {"annotations": {names::SECRET_ANNOTATION: secret}}});
    let params = PatchParams { field_manager: Some("docmill-secrets".into()), ..PatchParams::default() };
    context.meters.writes.with_label_values(&[object.kind.as_str()]).inc();
    let marking = api.patch_metadata(&object.name, &params, &Patch::Merge(&annotation)).await;
    marking.map_err(kube(format!("note the Secret of {} {}", object.kind, object.name)))?;
    Ok(())
}

/// So many random bytes, in hexadecimal.
fn random(bytes: usize) -> Result<String, Error> {
    let mut buffer = vec![0; bytes];
    getrandom::fill(&mut buffer).map_err(|error| Error::Random(error.to_string()))?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes status where it differs, and tells people what changed.
async fn tell(
    pipeline: &IngestionPipeline,
    key: &PipelineKey,
    scaling_key: &Key,
    plan: Result<&Plan, &[Problem]>,
    outcome: &Outcome,
    context: &Context,
) -> Result<(), Error> {
    let now = time_text::now();
    let scaled = context.scaling.get(scaling_key);
    if let Some(scaled) = &scaled {
        context.meters.scaled(key, scaled, context.scaling.now_ms());
    }
    let scaling = scaled.map(|scaled| Scaling { scaled, observed_at: now.clone() });
    let live = context.known.index.of(key);
    let troubles = context.known.troubles.of(key);
    let status = status::make(&status::Input {
        pipeline,
        plan,
        live: &live,
        troubles: &troubles,
        scaling: scaling.as_ref(),
        provider: if has_autoscaler(pipeline, key, context) { "Builtin" } else { "Direct" },
        refused: outcome.refused.as_deref(),
        config: &outcome.config,
        image: &context.settings.images.worker,
        rolled_back: outcome.rolled_back.as_deref(),
        now: &now,
    });
    context.meters.status(key, &status);
    let before = pipeline.status.clone().unwrap_or_default();
    if !status::differs(&before, &status) || !context.leads() {
        return Ok(());
    }
    let api: Api<IngestionPipeline> = Api::namespaced(context.client.clone(), &key.namespace);
    let patch = json!({
        "apiVersion": IngestionPipeline::api_version(&()),
        "kind": IngestionPipeline::kind(&()),
        "status": status,
    });
    context.meters.writes.with_label_values(&["IngestionPipeline"]).inc();
    let params = PatchParams::apply(names::FIELD_MANAGER).force();
    match api.patch_status(&key.name, &params, &Patch::Apply(&patch)).await {
        Ok(_) => {}
        // It is gone.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(error) => return Err(kube("write status")(error)),
    }
    for event in events(&before, &status) {
        if let Err(error) = context.recorder.publish(&event, &pipeline.object_ref(&())).await {
            tracing::debug!(%error, "an Event could not be written");
        }
    }
    Ok(())
}

/// What people are told of: conditions that turned, and another number of workers.
fn events(before: &IngestionPipelineStatus, now: &IngestionPipelineStatus) -> Vec<Event> {
    let event = |type_, reason: &str, action: &str, note: &str| Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note.chars().take(1_000).collect()),
        action: action.to_owned(),
        secondary: None,
    };
    let mut events = Vec::new();
    let kinds = [
        ConditionKind::Ready,
        ConditionKind::Stalled,
        ConditionKind::Degraded,
        ConditionKind::ScalingLimited,
    ];
    for kind in kinds {
        let of = |status: &IngestionPipelineStatus| {
            let mut found = status.conditions.iter().filter(|condition| condition.type_ == kind.as_str());
            found.next().map(|condition| {
                (condition.status.clone(), condition.reason.clone(), condition.message.clone())
            })
        };
        let (was, is) = (of(before), of(now));
        let turned = was.as_ref().map(|(status, reason, _)| (status, reason))
            != is.as_ref().map(|(status, reason, _)| (status, reason));
        if let Some((status, reason, message)) = is.filter(|_| turned) {
            let is_bad = (status == "True") != (kind == ConditionKind::Ready);
            let is_news = kind != ConditionKind::ScalingLimited || was.is_some();
            if is_news {
                let is_warning = is_bad && reason != "Starting";
                let type_ = if is_warning { EventType::Warning } else { EventType::Normal };
                events.push(event(type_, &reason, kind.as_str(), &message));
            }
        }
    }
    let desired = |status: &IngestionPipelineStatus| status.scaling.as_ref().map(|scaling| scaling.desired);
    if let (Some(from), Some(to), Some(scaling)) = (desired(before), desired(now), now.scaling.as_ref())
        && from != to
    {
        let why: Vec<&str> = scaling.reasons.iter().map(|reason| reason.message.as_str()).collect();
        let reason = if to > from { "ScaledUp" } else { "ScaledDown" };
        events.push(event(
            EventType::Normal,
            reason,
            "Scale",
            &format!("{from} to {to}: {}", why.join("; ")),
        ));
    }
    events
}

impl Context {
    /// Since when a pipeline's pods are in lasting trouble, given whether they are now.
    fn failing_since(&self, key: &PipelineKey, is_failing: bool) -> Option<Instant> {
        let mut failing = self.failing.lock().expect("no code panics while holding it");
        match is_failing {
            true => Some(*failing.entry(key.clone()).or_insert_with(Instant::now)),
            false => {
                failing.remove(key);
                None
            }
        }
    }
}
