//! One look at one pipeline: from what is declared to what is there, and what is told of it.
//!
//! 1. `plan`: all defaults, or all that is wrong (then nothing is written but status)
//! 2. volumes, and for each the Secret that lives with it
//! 3. everything else, in order: stores, then API and workers
//! 4. what nothing builds any more is removed
//! 5. scaling is told
//! 6. status, where it differs
//!
//! What to write is decided once, on one state of what is there; `carry_out` does it.

mod carry_out;
mod secrets;
mod tell;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;

use crate::apply;
use crate::build::{self, Volume};
use crate::child::ChildKey;
use crate::context::Context;
use crate::live::{Children, Live, LiveState};
use crate::metrics_api::registration::Registration;
use crate::names::{self, Part};
use crate::pipeline_key::PipelineKey;
use crate::plan::{self, Plan};
use crate::resource::{IngestionPipeline, MetricsProvider};
use crate::rollback;
use crate::scaling::PipelineScaling;
use crate::status::rollout;

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

fn cannot(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Error {
    let what = what.into();
    move |source| Error::Kube { what, source: Box::new(source) }
}

/// What a look is at, and by what means.
struct Look<'a> {
    pipeline: &'a IngestionPipeline,
    key: PipelineKey,
    context: &'a Context,
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
    let look = Look { pipeline: &pipeline, key: PipelineKey::of(&pipeline), context: &context };
    if pipeline.metadata.deletion_timestamp.is_some() {
        context.scaling.remove(&look.key);
        return Ok(Action::await_change());
    }
    // Without the operator's keys there are no public ones to give to API pods, which check its tokens by them.
    let Some(material) = context.material.borrow().clone() else { return Ok(Action::requeue(SOON)) };
    // What was not listed may be there all the same, and must not be begun anew.
    if !context.known.is_complete() {
        return Ok(Action::requeue(LISTING));
    }
    let began = Instant::now();
    let plan = plan::make(&pipeline.spec, context.known.nodes.smallest());
    let planned = plan.as_ref().map_err(Vec::as_slice);
    let mut outcome = Outcome::default();
    if pipeline.status.is_none() {
        // A resource without any condition is ready to tools that go by kstatus.
        tell::tell(&look, planned, &outcome).await?;
    }
    if let Ok(plan) = planned {
        if let Err(error) = write(&look, plan, &material.public_pem(), &mut outcome).await {
            let PipelineKey { namespace, name } = &look.key;
            tracing::warn!(pipeline = %name, %namespace, %error, "not all could be written");
            outcome.refused = Some(error.to_string());
            outcome.is_soon = true;
        }
        context.scaling.set(PipelineScaling {
            key: look.key.clone(),
            uid: pipeline.uid().unwrap_or_default(),
            policy: plan.policy.clone(),
        });
    }
    let told = tell::tell(&look, planned, &outcome).await;
    let result = if told.is_ok() && outcome.refused.is_none() { "ok" } else { "error" };
    context.meters.reconciles.with_label_values(&[result]).inc();
    context.meters.seconds.with_label_values(&[result]).observe(began.elapsed().as_secs_f64());
    told?;
    let next = if outcome.is_soon { SOON } else { RESYNC };
    let trouble = context.known.troubles.next(&look.key, Timestamp::now());
    Ok(Action::requeue(trouble.map_or(next, |trouble| trouble.min(next))))
}

/// What to do after an error: again soon, not at once.
pub fn again(_: Arc<IngestionPipeline>, error: &Error, _: Arc<Context>) -> Action {
    tracing::warn!(%error, "a look at a pipeline ended early; it is repeated");
    Action::requeue(SOON)
}

async fn write(
    look: &Look<'_>,
    plan: &Plan,
    operator_keys_pem: &str,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let Look { pipeline, key, context } = look;
    let mut live = context.known.index.of(key);
    let left = context.applier.left(key);
    let mut refused = Vec::new();

    let there = volumes(&key.name, &live);
    let input = build::Input {
        pipeline,
        plan,
        images: &context.settings.images,
        volumes: &there,
        hpa: look.has_autoscaler(&live),
        workers_there: rollout(&live, &key.worker_deployment())
            .map_or(0, |rollout| u32::try_from(rollout.wanted).unwrap_or(0)),
        has_service_monitors: context.settings.has_service_monitors,
        operator_namespace: &context.settings.namespace,
        operator_keys_pem,
    };
    let built = build::volumes(&input);
    let writes = apply::to_apply(&built, &live, &left);
    if !writes.is_empty() {
        look.apply(&writes, None, &mut refused).await?;
        // What comes next goes by the UIDs of volumes.
        live = context.known.index.of(key);
    }
    let there = volumes(&key.name, &live);
    let input = build::Input { volumes: &there, ..input };
    look.make_secrets(&input).await?;

    let mut children = build::children(&input);
    outcome.config = build::config_name(&input);
    let troubles = context.known.troubles.of(key, Timestamp::now());
    let since = context.failing_since(key, rollback::is_failing(&troubles));
    let declared = rollback::Declared {
        config: &outcome.config,
        image: &context.settings.images.worker,
        retry: pipeline.annotations().get(names::RETRY_ANNOTATION).map_or("", String::as_str),
    };
    let status = pipeline.status.as_ref();
    let back = status.and_then(|status| rollback::decide(status, declared, since, &troubles));
    if let Some(back) = &back {
        rollback::put(&mut children, back);
        outcome.rolled_back = Some(back.cause.clone());
    }
    let writes = apply::to_apply(&children, &live, &left);
    let fewest = (!live.contains_key(&key.worker_deployment())).then_some(plan.policy.min);
    look.apply(&writes, fewest, &mut refused).await?;
    // What was just applied may be rolled out now: until it is, pods of before may start anew.
    live = context.known.index.of(key);
    look.make_first_key(&input, &live).await?;
    // Nothing is too much while not all is built.
    if input.missing().is_empty() && refused.is_empty() {
        let uid = pipeline.uid().unwrap_or_default();
        let too_much = apply::to_delete(&children, &live, &uid, &kept(pipeline, &live, &key.name));
        look.remove(&children, &too_much).await?;
    }
    outcome.is_soon = !input.missing().is_empty() || (since.is_some() && back.is_none());
    if !refused.is_empty() {
        outcome.refused = Some(refused.join("; "));
        outcome.is_soon = true;
    }
    Ok(())
}

impl Look<'_> {
    /// Whether an autoscaler reads our metric. While it is not known whose the cluster's metrics are, one that is there
    /// stays.
    fn has_autoscaler(&self, live: &Children) -> bool {
        if self.pipeline.spec.autoscaling.metrics_provider == MetricsProvider::Direct {
            return false;
        }
        match &*self.context.registration.borrow() {
            Some(registration) => *registration == Registration::Ours,
            None => {
                let key = ChildKey::of_part("HorizontalPodAutoscaler", Part::Worker, &self.key.name);
                live.contains_key(&key)
            }
        }
    }
}

/// ConfigMaps that pods may still start with: the last good one, and all while new pods are being rolled out.
fn kept(pipeline: &IngestionPipeline, live: &Children, name: &str) -> BTreeSet<ChildKey> {
    let is_rolling = [Part::Worker, Part::Api].into_iter().any(|part| {
        match live.get(&ChildKey::of_part("Deployment", part, name)) {
            Some(Live { state: LiveState::Pods(rollout), generation, .. }) => !rollout.is_done(*generation),
            _ => true,
        }
    });
    let good = pipeline.status.as_ref().and_then(|status| status.last_good.as_ref());
    let is_kept = |key: &ChildKey| is_rolling || good.is_some_and(|good| good.config == key.name);
    live.keys().filter(|key| key.kind == "ConfigMap" && is_kept(key)).cloned().collect()
}

/// Volumes that are there.
fn volumes(name: &str, live: &Children) -> BTreeMap<Part, Volume> {
    let volume = |part| {
        let live = live.get(&volume_key(name, part)).filter(|live| !live.deleting)?;
        let LiveState::Volume { asked_mib } = live.state else { return None };
        let volume =
            Volume { uid: live.uid.to_string(), storage_mib: asked_mib, has_secret: live.has_secret };
        Some((part, volume))
    };
    Part::STORES.into_iter().filter_map(volume).collect()
}

/// What names the volume of a store.
fn volume_key(pipeline: &str, part: Part) -> ChildKey {
    ChildKey::new("PersistentVolumeClaim", names::volume(pipeline, part))
}
