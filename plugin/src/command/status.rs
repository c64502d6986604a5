//! `kubectl docmill status`: one pipeline in full, or all of them at a glance.

use docmill_operator::resource::{ConditionKind, IngestionPipeline, IngestionPipelineStatus};
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use crate::args::Which;
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::output::{self, Screen, age};
use crate::view::View;

/// Shows it.
pub async fn execute(cluster: &Cluster, which: &Which, json: bool) -> Result<(), Failure> {
    let (now, screen) = (Timestamp::now(), Screen::stdout());
    if let Some(name) = &which.pipeline {
        let mut pipeline = cluster.pipeline(name).await?;
        pipeline.metadata.managed_fields = None;
        return if json { output::json(&pipeline) } else { output::print(&full(&pipeline, now, screen)) };
    }
    let mut all = cluster.list(which.all_namespaces).await?;
    if json {
        all.iter_mut().for_each(|pipeline| pipeline.metadata.managed_fields = None);
        return output::json(&json!({ "pipelines": all }));
    }
    if all.is_empty() {
        let place = if which.all_namespaces { "the cluster" } else { cluster.namespace.as_str() };
        return output::print(&format!("no pipelines in {place}"));
    }
    output::print(&glance(&all, which.all_namespaces, now, screen))
}

/// A line a pipeline.
fn glance(all: &[IngestionPipeline], with_namespace: bool, now: Timestamp, screen: Screen) -> String {
    let mut header = vec!["NAME", "READY", "REASON", "WORKERS", "DEPTH", "RATE", "AGE"];
    if with_namespace {
        header.insert(0, "NAMESPACE");
    }
    let row = |pipeline: &IngestionPipeline| {
        let view = View::of(pipeline);
        let ([there, _, wanted], [depth, ..], (ready, reason)) =
            (view.workers(), view.depth(), view.ready());
        let workers = format!("{there}/{wanted}");
        let age = age(view.created(), now);
        let mut row = vec![view.name(), ready, reason, workers, depth, view.rate(), age];
        if with_namespace {
            row.insert(0, view.namespace());
        }
        row
    };
    screen.table(&header, all.iter().map(row).collect())
}

/// All of one pipeline.
fn full(pipeline: &IngestionPipeline, now: Timestamp, screen: Screen) -> String {
    let view = View::of(pipeline);
    let (ready, reason) = view.ready();
    let state = match ready.as_str() {
        "True" => screen.good(&format!("ready ({reason})")),
        _ => screen.bad(&format!("not ready ({reason})")),
    };
    let name = screen.strong(&output::escaped(&view.name()));
    let head = format!("{name} in {}: {state}, {} old", view.namespace(), age(view.created(), now));
    let Some(status) = view.status() else {
        let help = "the operator has not looked at it yet; is it running? `kubectl get pods -A -l \
                    app.kubernetes.io/name=docmill-operator`";
        return format!("{head}\n{help}");
    };
    let mut parts = vec![head];
    if !view.is_seen() {
        let (seen, is) =
            (status.observed_generation.unwrap_or(0), pipeline.metadata.generation.unwrap_or(0));
        parts
            .push(format!("what follows is of generation {seen}; the operator has not looked at {is} yet"));
    }
    parts.push(String::new());
    parts.push(screen.table(&[], rows(&view, status)));
    parts.push(format!("\n{}", screen.strong("Conditions")));
    let conditions = status.conditions.iter().map(|condition| {
        vec![
            condition.type_.clone(),
            condition.status.clone(),
            condition.reason.clone(),
            age(Some(condition.last_transition_time.0), now),
            condition.message.clone(),
        ]
    });
    parts.push(screen.table(&["TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"], conditions.collect()));
    let reasons = status.scaling.iter().flat_map(|scaling| &scaling.reasons);
    let reasons: Vec<_> = reasons.map(|reason| vec![reason.code.clone(), reason.message.clone()]).collect();
    if !reasons.is_empty() {
        parts.push(format!("\n{}", screen.strong("Why so many workers")));
        parts.push(screen.table(&["CODE", "REASON"], reasons));
    }
    parts.join("\n")
}

/// What is told of it, a line each.
fn rows(view: &View<'_>, status: &IngestionPipelineStatus) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    let [there, ready, wanted] = view.workers();
    let paused = if view.is(ConditionKind::Paused) { "; paused" } else { "" };
    row("workers", format!("{there}, {ready} ready, {wanted} wanted{paused}"));
    let [total, waiting, in_flight, due] = view.depth();
    row(
        "documents to do",
        match status.depth {
            Some(_) => format!("{total}: {waiting} waiting, {in_flight} in flight, {due} due"),
            None => "not known".to_owned(),
        },
    );
    row("documents a minute", view.rate());
    if let Some(scaling) = &status.scaling {
        row("who scales", scaling.provider.clone());
    }
    if let Some(plan) = &status.plan {
        let nodes = if plan.nodes == 1 { "one node".to_owned() } else { format!("{} nodes", plan.nodes) };
        row("sized for", format!("{}: {} workers on {nodes}", plan.node, plan.workers));
        row("a worker", format!("{}; {} documents at once", plan.worker, plan.concurrency));
        row("an API pod", format!("{}; {} requests at once", plan.api, plan.api_workers));
    }
    if let Some(neo4j) = &status.neo4j {
        row("Neo4j asked", neo4j.asked.clone());
        row("Neo4j in force", neo4j.in_force.clone().unwrap_or_else(|| "not told yet".to_owned()));
    }
    if let Some(good) = &status.last_good {
        row("last good", format!("generation {}, {}, {}", good.generation, good.config, good.image));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, now, squeezed};

    #[test]
    fn one_pipeline_is_told_in_full() {
        let text = squeezed(&full(&sample::pipeline(), now(), Screen::plain()));
        let expected = "knowbase in docs: ready (Running), 60m old

workers 2, 1 ready, 3 wanted
documents to do 420: 400 waiting, 8 in flight, 12 due
documents a minute 120
who scales Builtin
sized for c5.4xlarge: 8 workers on one node
a worker 1/2Gi, at most 1500m/3Gi; 4 documents at once
an API pod 2/2Gi, at most 8/8Gi; 12 requests at once
Neo4j asked total 8Gi, heap 2Gi (initial 2Gi), page cache 4Gi
Neo4j in force heap 2Gi, page cache 4Gi
last good generation 2, knowbase-config-1, docmill/worker:0.1.0

Conditions
TYPE STATUS REASON SINCE MESSAGE
Ready True Running 10m documents are taken and answered
ScalingLimited True MaxReplicas 10m more workers were asked for

Why so many workers
CODE REASON
Demand 400 waiting + 8 in flight + 12 due, at 100 a worker, ask for 5 workers
Maximum 5 workers asked for, at most 3 allowed
Raised raised from 2 to 3 workers";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_the_operator_has_not_looked_at_says_so() {
        let text = full(&sample::unseen(), now(), Screen::plain());
        assert!(text.starts_with("knowbase in docs: not ready (NotSeen), 60m old\n"), "{text}");
        let mut changed = sample::pipeline();
        changed.metadata.generation = Some(4);
        let text = full(&changed, now(), Screen::plain());
        assert!(text.contains("of generation 3; the operator has not looked at 4 yet"), "{text}");
    }

    #[test]
    fn all_are_told_in_a_line_each() {
        let all = [sample::pipeline(), sample::unseen()];
        let text = squeezed(&glance(&all, true, now(), Screen::plain()));
        let expected = "NAMESPACE NAME READY REASON WORKERS DEPTH RATE AGE
docs knowbase True Running 2/3 420 120 60m
docs knowbase Unknown NotSeen -/- - - 60m";
        assert_eq!(text, expected);
        assert!(glance(&all, true, now(), Screen::plain()).lines().all(|line| line.len() <= 80));
    }
}
