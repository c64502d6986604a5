//! Tells what a look found: status where it differs, metrics, and Events of what turned.

use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource};
use serde_json::json;

use super::{Error, Look, Outcome, cannot};
use crate::names;
use crate::plan::{Plan, Problem};
use crate::resource::{ConditionKind, IngestionPipeline, IngestionPipelineStatus};
use crate::status::{self, Scaling};
use crate::time_text;

/// Writes status where it differs, and tells people what changed.
pub(super) async fn tell(
    look: &Look<'_>,
    plan: Result<&Plan, &[Problem]>,
    outcome: &Outcome,
) -> Result<(), Error> {
    let Look { pipeline, key, context } = look;
    let now = time_text::now();
    let scaling = context.scaling.get(key).map(|scaled| Scaling { scaled, observed_at: now.clone() });
    // As it is by now: what was just written is a part of it.
    let live = context.known.index.of(key);
    let troubles = context.known.troubles.of(key, Timestamp::now());
    let status = status::make(&status::Input {
        pipeline,
        plan,
        live: &live,
        troubles: &troubles,
        scaling: scaling.as_ref(),
        provider: if look.has_autoscaler(&live) { "Builtin" } else { "Direct" },
        refused: outcome.refused.as_deref(),
        config: &outcome.config,
        image: &context.settings.images.worker,
        rolled_back: outcome.rolled_back.as_deref(),
        now: &now,
    });
    if !context.leads() {
        return Ok(());
    }
    if let Some(scaling) = &scaling {
        context.meters.scaled(key, &scaling.scaled, context.scaling.now_ms());
    }
    context.meters.status(key, &status);
    let before = pipeline.status.clone().unwrap_or_default();
    if !status::differs(&before, &status) {
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
        Err(error) => return Err(cannot("write status")(error)),
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
