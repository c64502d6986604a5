//! `kubectl docmill explain-scaling`: why there are as many workers as there are, and what would change it.

use docmill_operator::names::{METRIC, Part};
use docmill_operator::resource::{IngestionPipeline, IngestionPipelineSpec, ReasonStatus};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::output::{self, Screen, age, escaped};
use crate::view::View;

/// Explains it.
pub async fn execute(cluster: &Cluster, name: &str, json: bool) -> Result<(), Failure> {
    let pipeline = cluster.pipeline(name).await?;
    let api: Api<HorizontalPodAutoscaler> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let hpa = api.get_opt(&Part::Worker.name(name)).await?;
    if json {
        return output::json(&facts(&pipeline, hpa.as_ref()));
    }
    output::print(&explained(&pipeline, hpa.as_ref(), Timestamp::now(), Screen::stdout()))
}

fn explained(
    pipeline: &IngestionPipeline,
    hpa: Option<&HorizontalPodAutoscaler>,
    now: Timestamp,
    screen: Screen,
) -> String {
    let view = View::of(pipeline);
    let [there, ready, wanted] = view.workers();
    let name = screen.strong(&escaped(&view.name()));
    let mut lines = vec![format!("{name}: {wanted} workers wanted, {there} there, {ready} of them ready")];
    let scaling = view.status().and_then(|status| status.scaling.as_ref());
    let reasons = scaling.map(|scaling| scaling.reasons.as_slice()).unwrap_or_default();
    lines.push(format!("\n{}", screen.strong("Why, in the order in which it came about")));
    for (number, ReasonStatus { code, message }) in (1..).zip(reasons) {
        lines.push(format!("  {number}. {}: {}", escaped(code), escaped(message)));
    }
    if reasons.is_empty() {
        lines.push("  nothing was decided yet: no observation of the queue came".to_owned());
    }
    lines.push(format!("\n{}", screen.strong("Who scales")));
    match scaling.map(|scaling| scaling.provider.as_str()) {
        Some("Builtin") => lines.push(format!(
            "  Builtin: the operator at every change, and a HorizontalPodAutoscaler that reads its metric {METRIC}"
        )),
        Some("Direct") => lines.push("  Direct: the operator alone, at every change".to_owned()),
        Some(other) => lines.push(format!("  {}", escaped(other))),
        None => lines.push("  nobody yet".to_owned()),
    }
    if let Some(scaling) = scaling {
        let depth = pipeline.spec.autoscaling.queue_depth_per_replica;
        lines.push(format!("  the metric is {}, at {depth} a worker: {wanted}", scaling.metric));
    }
    lines.extend(hpa.map(|hpa| hpa_lines(hpa, now)).unwrap_or_default());
    lines.push(format!("\n{}", screen.strong("What would change it")));
    let changes = changes(pipeline, reasons);
    lines.extend(changes.iter().map(|change| format!("  - {}", escaped(change))));
    lines.join("\n")
}

/// What the HorizontalPodAutoscaler says.
fn hpa_lines(hpa: &HorizontalPodAutoscaler, now: Timestamp) -> Vec<String> {
    let name = hpa.metadata.name.as_deref().unwrap_or_default();
    let (Some(spec), Some(status)) = (&hpa.spec, &hpa.status) else {
        return vec![format!("  HPA {name}: it has said nothing yet")];
    };
    let (min, max) = (spec.min_replicas.unwrap_or(1), spec.max_replicas);
    let scaled =
        status.last_scale_time.as_ref().map(|time| format!(", scaled {} ago", age(Some(time.0), now)));
    let mut lines = vec![format!(
        "  HPA {name}: {} there, {} wanted by it, {min} to {max}{}",
        status.current_replicas.unwrap_or(0),
        status.desired_replicas,
        scaled.unwrap_or_default()
    )];
    for condition in status.conditions.iter().flatten() {
        let (reason, message) = (condition.reason.as_deref(), condition.message.as_deref());
        lines.push(format!(
            "    {} {} ({}): {}",
            escaped(&condition.type_),
            escaped(&condition.status),
            escaped(reason.unwrap_or_default()),
            escaped(message.unwrap_or_default())
        ));
    }
    if spec.min_replicas.unwrap_or(1) > 0 && status.current_replicas == Some(0) {
        lines.push("    at 0 it rests: the operator alone takes the first step up".to_owned());
    }
    lines
}

/// What would change the number, each once.
fn changes(pipeline: &IngestionPipeline, reasons: &[ReasonStatus]) -> Vec<String> {
    let name = View::of(pipeline).name();
    if pipeline.spec.paused {
        return vec![format!("it is paused: `kubectl docmill resume {name}`")];
    }
    let mut all: Vec<String> = Vec::new();
    for change in reasons.iter().filter_map(|reason| change(&reason.code, &pipeline.spec, &name)) {
        if !all.contains(&change) {
            all.push(change);
        }
    }
    if all.is_empty() {
        all.push("documents: more of them, or fewer".to_owned());
    }
    all
}

/// What would make a reason another; absent where it only says what was done.
fn change(code: &str, spec: &IngestionPipelineSpec, name: &str) -> Option<String> {
    let (scaling, replicas) = (&spec.autoscaling, &spec.workers.replicas);
    let depth = scaling.queue_depth_per_replica;
    Some(match code {
        "Demand" => format!(
            "documents: {depth} more ask for one worker more (spec.autoscaling.queueDepthPerReplica is {depth})"
        ),
        "Maximum" => format!("a higher spec.workers.replicas.max (now {})", replicas.max),
        "Minimum" => format!("a lower spec.workers.replicas.min (now {})", replicas.min),
        "RequestBudget" | "TokenBudget" => {
            "a larger budget in spec.rateLimits, as far as the provider allows it".to_owned()
        }
        "BudgetUnmeasured" => {
            "documents that are finished: then it is known what a budget feeds".to_owned()
        }
        "Unknown" => format!(
            "an answer of the queue: see QueueReady and MetricsAvailable in `kubectl docmill status {name}`"
        ),
        "Window" => format!(
            "time without as much to do: spec.autoscaling.scaleDownWindow is {}",
            scaling.scale_down_window.0
        ),
        "ZeroWaits" => format!(
            "time with nothing to do: spec.autoscaling.scaleToZeroAfter is {}",
            scaling.scale_to_zero_after.0
        ),
        "NotFresh" => "a newer observation of the queue: workers go only on what is known now".to_owned(),
        "PodsUnseen" => format!(
            "word of every worker's pod: `kubectl get pods -l app.kubernetes.io/instance={name},\
             app.kubernetes.io/component=worker`"
        ),
        "RollingOut" => "the end of the rollout of a new revision".to_owned(),
        "Draining" | "BusyWorkers" => format!(
            "workers that finish what they have: spec.autoscaling.maxBusyWait is {}",
            scaling.max_busy_wait.0
        ),
        _ => return None,
    })
}

/// The same for programs.
fn facts(pipeline: &IngestionPipeline, hpa: Option<&HorizontalPodAutoscaler>) -> Value {
    let view = View::of(pipeline);
    let status = view.status();
    let scaling = status.and_then(|status| status.scaling.as_ref());
    let reasons = scaling.map(|scaling| scaling.reasons.as_slice()).unwrap_or_default();
    json!({
        "namespace": view.namespace(),
        "name": view.name(),
        "desired": scaling.map(|scaling| scaling.desired),
        "metric": scaling.map(|scaling| scaling.metric),
        "provider": scaling.map(|scaling| &scaling.provider),
        "workers": status.and_then(|status| status.workers.as_ref()),
        "reasons": reasons,
        "changes": changes(pipeline, reasons),
        "hpa": hpa.map(|hpa| json!({
            "name": hpa.metadata.name,
            "minReplicas": hpa.spec.as_ref().and_then(|spec| spec.min_replicas),
            "maxReplicas": hpa.spec.as_ref().map(|spec| spec.max_replicas),
            "status": hpa.status,
        })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, now};

    fn hpa() -> HorizontalPodAutoscaler {
        serde_json::from_value(json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "knowbase-worker"},
            "spec": {
                "minReplicas": 1, "maxReplicas": 3,
                "scaleTargetRef": {"kind": "Deployment", "name": "knowbase-worker"},
            },
            "status": {
                "currentReplicas": 2, "desiredReplicas": 3, "lastScaleTime": "2026-01-01T00:59:00Z",
                "conditions": [{
                    "type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "message": "it counts",
                }],
            },
        }))
        .unwrap()
    }

    #[test]
    fn it_is_told_in_order_and_with_what_would_change_it() {
        let text = explained(&sample::pipeline(), Some(&hpa()), now(), Screen::plain());
        let expected = "knowbase: 3 workers wanted, 2 there, 1 of them ready

Why, in the order in which it came about
  1. Demand: 400 waiting + 8 in flight + 12 due, at 100 a worker, ask for 5 workers
  2. Maximum: 5 workers asked for, at most 3 allowed
  3. Raised: raised from 2 to 3 workers

Who scales
  Builtin: the operator at every change, and a HorizontalPodAutoscaler that reads its metric docmill-queue-demand
  the metric is 300, at 100 a worker: 3
  HPA knowbase-worker: 2 there, 3 wanted by it, 1 to 3, scaled 60s ago
    ScalingActive True (ValidMetricFound): it counts

What would change it
  - documents: 100 more ask for one worker more (spec.autoscaling.queueDepthPerReplica is 100)
  - a higher spec.workers.replicas.max (now 3)";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_pipeline_that_rests_and_one_that_is_not_known() {
        let mut resting = hpa();
        resting.status.as_mut().unwrap().current_replicas = Some(0);
        let text = explained(&sample::unseen(), Some(&resting), now(), Screen::plain());
        assert!(text.contains("nothing was decided yet") && text.contains("nobody yet"), "{text}");
        assert!(text.contains("at 0 it rests"), "{text}");
        assert!(text.ends_with("  - documents: more of them, or fewer"), "{text}");
        let mut paused = sample::pipeline();
        paused.spec.paused = true;
        assert_eq!(changes(&paused, &[]), ["it is paused: `kubectl docmill resume knowbase`"]);
    }

    #[test]
    fn every_reason_that_is_not_over_has_a_change() {
        // In core's order. What was done says nothing of what comes.
        let done = ["Raised", "Resumed", "Lowered"];
        let codes = [
            "Demand",
            "Maximum",
            "RequestBudget",
            "TokenBudget",
            "BudgetUnmeasured",
            "Minimum",
            "Unknown",
            "Window",
            "ZeroWaits",
            "Raised",
            "NotFresh",
            "PodsUnseen",
            "RollingOut",
            "Draining",
            "BusyWorkers",
            "Resumed",
            "Lowered",
        ];
        for code in codes {
            let found = change(code, &IngestionPipelineSpec::default(), "knowbase");
            assert_eq!(found.is_none(), done.contains(&code), "{code}");
        }
    }

    #[test]
    fn programs_are_told_the_same() {
        let facts = facts(&sample::pipeline(), Some(&hpa()));
        assert_eq!((&facts["desired"], &facts["hpa"]["status"]["desiredReplicas"]), (&json!(3), &json!(3)));
        assert_eq!(facts["reasons"][1]["code"], "Maximum");
        assert_eq!(super::facts(&sample::unseen(), None)["hpa"], Value::Null);
    }
}
