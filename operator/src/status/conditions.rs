//! The conditions of a pipeline, from what is known of its parts.

use docmill_core::scale::Reason;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Input, rollout};
use crate::child::ChildKey;
use crate::live::{Live, LiveState, Rollout};
use crate::names::{Part, RETRY_ANNOTATION};
use crate::pipeline_key::PipelineKey;
use crate::plan::Plan;
use crate::resource::{Condition, ConditionKind};
use crate::trouble::Trouble;

/// A condition that holds or does not, and why. Those that are absent say nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub kind: ConditionKind,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// A word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// What the parts come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What is not there or not ready yet, each in words.
    pub missing: Vec<String>,
    /// Of that, what is not merely being rolled out.
    pub lost: Vec<String>,
    /// What is being rolled out.
    pub rolling: Vec<String>,
    /// All that is declared is in force, ready, and on the newest revision.
    pub is_good: bool,
}

/// Looks at the parts.
pub fn facts(input: &Input<'_>) -> Facts {
    let mut facts = Facts { missing: Vec::new(), lost: Vec::new(), rolling: Vec::new(), is_good: false };
    let name = input.pipeline.metadata.name.as_deref().unwrap_or_default();
    let Ok(plan) = input.plan else { return facts };
    for (part, kind, is_needed) in parts(plan) {
        match input.live.get(&ChildKey::of_part(kind, part, name)) {
            Some(Live { state: LiveState::Pods(rollout), generation, .. }) => {
                look(&mut facts, part, rollout, *generation, is_needed);
            }
            _ => {
                let missing = format!("{part} is not there yet");
                facts.missing.push(missing.clone());
                facts.lost.push(missing);
            }
        }
    }
    facts.is_good = facts.missing.is_empty()
        && facts.rolling.is_empty()
        && input.refused.is_none()
        && input.rolled_back.is_none()
        && !input.troubles.iter().any(|trouble| trouble.is_lasting);
    facts
}

/// Parts that there are to be, the kind that runs each, and whether at least one pod of it must be available.
fn parts(plan: &Plan) -> Vec<(Part, &'static str, bool)> {
    let mut parts = vec![(Part::Api, "Deployment", true), (Part::Worker, "Deployment", false)];
    let stores = [
        (Part::Redis, plan.queue.managed().is_some()),
        (Part::Postgres, plan.ledger.managed().is_some()),
        (Part::Neo4j, plan.graph.as_ref().is_some_and(|graph| graph.managed().is_some())),
        (Part::S3, plan.objects.managed().is_some()),
    ];
    parts.extend(
        stores.into_iter().filter(|(_, managed)| *managed).map(|(part, _)| (part, "StatefulSet", true)),
    );
    parts
}

fn look(facts: &mut Facts, part: Part, rollout: &Rollout, generation: Option<i64>, is_needed: bool) {
    let is_rolling = !rollout.is_done(generation);
    if is_needed && rollout.ready == 0 {
        let missing = format!("{part} is not ready");
        facts.missing.push(missing.clone());
        // The one pod of a store goes before its successor comes.
        if !is_rolling || rollout.stuck.is_some() {
            facts.lost.push(missing);
        }
    }
    if is_rolling {
        facts.rolling.push(match &rollout.stuck {
            Some(why) => format!("{part} does not get on: {why}"),
            None => {
                format!("{part} has {} of {} pods on the newest revision", rollout.updated, rollout.wanted)
            }
        });
    }
}

/// The conditions, with the times of those that did not change kept.
pub fn make(input: &Input<'_>, facts: &Facts, before: &[Condition]) -> Vec<Condition> {
    let generation = input.pipeline.metadata.generation;
    find(input, facts, before)
        .into_iter()
        .map(|found| {
            let same = before.iter().find(|condition| {
                condition.type_ == found.kind.as_str() && condition.status == found.status
            });
            let since = same.map(|condition| condition.last_transition_time.clone());
            Condition {
                type_: found.kind.as_str().to_owned(),
                status: found.status.to_owned(),
                reason: found.reason,
                message: found.message,
                observed_generation: generation,
                last_transition_time: since.unwrap_or_else(|| time(input.now)),
            }
        })
        .collect()
}

fn time(now: &str) -> Time {
    serde_json::from_value(serde_json::Value::String(now.to_owned()))
        .unwrap_or_else(|_| serde_json::from_str("\"1970-01-01T00:00:00Z\"").expect("a time"))
}

fn find(input: &Input<'_>, facts: &Facts, before: &[Condition]) -> Vec<Found> {
    use ConditionKind as Kind;
    let mut all = Vec::new();
    let mut add = |kind, status, reason: &str, message: String| {
        all.push(Found { kind, status, reason: reason.to_owned(), message });
    };
    let was_ready = before
        .iter()
        .any(|condition| condition.type_ == Kind::Ready.as_str() && condition.status == "True");
    let paused = input.pipeline.spec.paused;
    let problems = input.plan.err();

    if let Some(problems) = problems {
        let first = problems.first().map_or("Invalid", |problem| problem.rule);
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let message = format!("{}; what runs was left as it is", said.join("; "));
        add(Kind::Ready, "False", "Stalled", message.clone());
        add(Kind::Stalled, "True", &first.replace('-', ""), message);
    } else if facts.missing.is_empty() || (was_ready && facts.rolling.is_empty()) {
        let reason = match (paused, idle(input)) {
            (true, _) => "Paused",
            (false, true) => "Idle",
            (false, false) => "Running",
        };
        add(Kind::Ready, "True", reason, "documents are taken and answered".into());
    } else if was_ready {
        add(Kind::Ready, "True", "Updating", "what is declared is being rolled out".into());
    } else {
        add(Kind::Ready, "False", "Starting", facts.missing.join("; "));
    }

    let is_reconciling =
        problems.is_none() && (!facts.rolling.is_empty() || (!was_ready && !facts.missing.is_empty()));
    if is_reconciling {
        let what: Vec<&str> = facts.rolling.iter().chain(&facts.missing).map(String::as_str).collect();
        add(Kind::Reconciling, "True", "RollingOut", what.join("; "));
    }
    trouble(input, facts, was_ready, &mut add);
    scaling(input, paused, &mut add);
    let name = input.pipeline.metadata.name.as_deref().unwrap_or_default();
    if let Ok(plan) = input.plan {
        graph(input, plan, name, &mut add);
        queue(input, plan, name, &mut add);
    }
    if paused {
        add(
            Kind::Paused,
            "True",
            "Paused",
            "spec.paused is true: no worker runs, uploads are taken".into(),
        );
    }
    all.sort_by_key(|found| found.kind);
    all
}

fn idle(input: &Input<'_>) -> bool {
    let workers = PipelineKey::of(input.pipeline).worker_deployment();
    rollout(input.live, &workers).is_none_or(|rollout| rollout.wanted == 0)
}

/// `Degraded`: it runs, but not as declared.
fn trouble(
    input: &Input<'_>,
    facts: &Facts,
    was_ready: bool,
    add: &mut impl FnMut(ConditionKind, &'static str, &str, String),
) {
    let memory = input.plan.ok().and_then(|plan| plan.neo4j);
    if let Some(why) = input.rolled_back {
        let message = format!(
            "the last good state is in force again until something else is declared or the annotation {RETRY_ANNOTATION} \
             changes, as what is declared does not run: {why}"
        );
        return add(ConditionKind::Degraded, "True", "RolledBack", message);
    }
    if let Some(why) = input.refused {
        return add(ConditionKind::Degraded, "True", "WriteRefused", why.to_owned());
    }
    let weight =
        |trouble: &Trouble| (trouble.symptom.is_some(), trouble.is_lasting, trouble.from.is_some());
    let worst = input.troubles.iter().max_by_key(|trouble| weight(trouble));
    // What a first start goes through is not told, but for what takes longer than it may.
    if let Some(trouble) = worst.filter(|trouble| was_ready || weight(trouble) != (false, false, false)) {
        return add(ConditionKind::Degraded, "True", &trouble.reason, trouble.sentence(memory.as_ref()));
    }
    if was_ready && !facts.lost.is_empty() {
        add(ConditionKind::Degraded, "True", "PartsMissing", facts.lost.join("; "));
    }
}

fn scaling(
    input: &Input<'_>,
    paused: bool,
    add: &mut impl FnMut(ConditionKind, &'static str, &str, String),
) {
    let Some(scaling) = input.scaling else {
        let message = "no observation came yet, so all stays as it is".to_owned();
        add(ConditionKind::MetricsAvailable, "Unknown", "NeverObserved", message);
        return;
    };
    let unknown = scaling.scaled.reasons.iter().find(|reason| matches!(reason, Reason::Unknown { .. }));
    match unknown {
        Some(unknown) => add(ConditionKind::MetricsAvailable, "False", "Unknown", unknown.to_string()),
        None => {
            add(ConditionKind::MetricsAvailable, "True", "Observed", "the queue's depth is known".into())
        }
    }
    match (paused, unknown) {
        (true, _) => add(ConditionKind::ScalingActive, "False", "Paused", "spec.paused is true".into()),
        (false, Some(unknown)) => add(ConditionKind::ScalingActive, "False", "Held", unknown.to_string()),
        (false, None) => {
            let message = match input.provider {
                "Direct" => "the number of workers follows the queue, without an autoscaler",
                _ => "the number of workers follows the queue, and an autoscaler reads the same",
            };
            add(ConditionKind::ScalingActive, "True", input.provider, message.into());
        }
    }
    let limits = scaling.scaled.limited.clone();
    if let Some(limit) = limits.first() {
        let said: Vec<String> = scaling
            .scaled
            .reasons
            .iter()
            .filter(|reason| reason.scaling_limited() == Some(*limit))
            // Without numbers that move with every look.
            .map(|reason| reason.code().to_owned())
            .collect();
        let message = format!(
            "more workers or fewer were asked for: see status.scaling.reasons ({})",
            said.join(", ")
        );
        add(ConditionKind::ScalingLimited, "True", limit.as_str(), message);
    } else {
        let message = "the number of workers is what the queue asks for".into();
        add(ConditionKind::ScalingLimited, "False", "Free", message);
    }
}

fn graph(
    input: &Input<'_>,
    plan: &Plan,
    name: &str,
    add: &mut impl FnMut(ConditionKind, &'static str, &str, String),
) {
    let kind = ConditionKind::GraphStoreReady;
    let Some(memory) = plan.neo4j else {
        return add(
            kind,
            "True",
            "NotManaged",
            "the graph is in a server that the operator does not run".into(),
        );
    };
    let is_ready = rollout(input.live, &ChildKey::of_part("StatefulSet", Part::Neo4j, name))
        .is_some_and(|rollout| rollout.ready > 0);
    let in_force = input.scaling.and_then(super::Scaling::neo4j_in_force_mib);
    match (is_ready, in_force) {
        (false, _) => add(kind, "False", "NotReady", "Neo4j is not ready".into()),
        (true, None) => add(kind, "Unknown", "MemoryUnknown", "Neo4j has not told its memory yet".into()),
        (true, Some((heap, page_cache)))
            if is_near(heap, memory.heap_max_mib) && is_near(page_cache, memory.page_cache_mib) =>
        {
            add(kind, "True", "MemoryInForce", "Neo4j has the memory that was asked for".into());
        }
        (true, Some((heap, page_cache))) => {
            let message = format!(
                "Neo4j has {heap} MiB of heap and {page_cache} of page cache in force, and {} and {} were asked for",
                memory.heap_max_mib, memory.page_cache_mib
            );
            add(kind, "False", "MemoryNotInForce", message);
        }
    }
}

/// A JVM rounds its heap to what its collector works in, up to 32 MiB.
fn is_near(found_mib: u64, asked_mib: u64) -> bool {
    found_mib.abs_diff(asked_mib) <= 32
}

fn queue(
    input: &Input<'_>,
    plan: &Plan,
    name: &str,
    add: &mut impl FnMut(ConditionKind, &'static str, &str, String),
) {
    let kind = ConditionKind::QueueReady;
    let is_down = plan.queue.managed().is_some()
        && rollout(input.live, &ChildKey::of_part("StatefulSet", Part::Redis, name))
            .is_none_or(|rollout| rollout.ready == 0);
    match (is_down, input.scaling) {
        (true, _) => add(kind, "False", "NotReady", "Redis is not ready".into()),
        (false, Some(scaling)) if scaling.scaled.depth.is_some() => {
            add(kind, "True", "Answers", "the queue answers".into());
        }
        (false, Some(_)) => add(kind, "False", "Silent", "the queue does not answer the API".into()),
        (false, None) => add(kind, "Unknown", "NeverObserved", "no observation came yet".into()),
    }
}
