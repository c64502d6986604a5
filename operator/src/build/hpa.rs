//! The HorizontalPodAutoscaler of workers. It has no judgement of its own: the metric that it reads is the
//! number of workers that the operator decided, and waiting is the operator's. So its windows are 0.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, ExternalMetricSource, HPAScalingPolicy, HPAScalingRules,
    HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec,
    MetricIdentifier, MetricSpec, MetricTarget,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Input, int, pods};
use crate::child::Child;
use crate::names::{METRIC, PIPELINE_LABEL, Part};

/// Time between two looks of a stock cluster, in seconds.
const PERIOD_S: i32 = 15;

/// The HorizontalPodAutoscaler, where one is to be.
pub(super) fn child(input: &Input<'_>) -> Option<Child> {
    if !input.hpa {
        return None;
    }
    let policy = &input.plan.policy;
    // A stock cluster refuses 0: down to none and up from there is the operator's.
    let min = policy.min.max(1);
    // What was declared, not what a pause makes of it: a lower bound of its own would end workers that are
    // busy.
    let max = input.pipeline.spec.workers.replicas.max.max(min).max(input.workers_there);
    let meta = input.meta_of_part(Part::Worker);
    Some(Child::of(&HorizontalPodAutoscaler {
        metadata: meta,
        spec: Some(HorizontalPodAutoscalerSpec {
            behavior: Some(HorizontalPodAutoscalerBehavior {
                scale_down: Some(rules(vec![("Percent", 100)])),
                scale_up: Some(rules(vec![("Percent", 1_000), ("Pods", 100)])),
            }),
            max_replicas: int(max),
            metrics: Some(vec![metric(input)]),
            min_replicas: Some(int(min)),
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: Part::Worker.name(input.name()),
            },
        }),
        ..HorizontalPodAutoscaler::default()
    }))
}

fn metric(input: &Input<'_>) -> MetricSpec {
    let of_pipeline = [(PIPELINE_LABEL.to_owned(), input.name().to_owned())].into();
    let metric = MetricIdentifier { name: METRIC.to_owned(), selector: Some(pods::labels(of_pipeline)) };
    let target = MetricTarget {
        average_value: Some(Quantity(input.plan.policy.depth_per_replica.to_string())),
        type_: "AverageValue".to_owned(),
        ..MetricTarget::default()
    };
    MetricSpec {
        external: Some(ExternalMetricSource { metric, target }),
        type_: "External".to_owned(),
        ..MetricSpec::default()
    }
}

/// At once, and so much in a period; of several the most.
fn rules(policies: Vec<(&str, i32)>) -> HPAScalingRules {
    let policies = policies
        .into_iter()
        .map(|(kind, value)| HPAScalingPolicy { period_seconds: PERIOD_S, type_: kind.to_owned(), value })
        .collect();
    HPAScalingRules {
        policies: Some(policies),
        select_policy: Some("Max".to_owned()),
        stabilization_window_seconds: Some(0),
        ..HPAScalingRules::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::build::fixture;

    fn bounds(world: &fixture::World) -> (i64, i64) {
        let child = child(&world.input()).unwrap();
        let spec = &child.object["spec"];
        (spec["minReplicas"].as_i64().unwrap(), spec["maxReplicas"].as_i64().unwrap())
    }

    #[test]
    fn never_below_one() {
        let mut world = fixture::managed();
        assert_eq!(bounds(&world), (1, 50));
        world.plan.policy.min = 7;
        assert_eq!(bounds(&world), (7, 50));
    }

    #[test]
    fn a_pause_ends_no_busy_worker() {
        let mut world = fixture::managed();
        (world.plan.policy.min, world.plan.policy.max) = (0, 0);
        assert_eq!(bounds(&world), (1, 50));
    }

    #[test]
    fn it_reads_the_metric_of_its_pipeline() {
        let child = child(&fixture::managed().input()).unwrap();
        let external = json!({
            "metric": {
                "name": "docmill-queue-demand",
                "selector": {"matchLabels": {"docmill.dev/pipeline": "knowbase"}},
            },
            "target": {"type": "AverageValue", "averageValue": "100"},
        });
        assert_eq!(child.object["spec"]["metrics"], json!([{"type": "External", "external": external}]));
    }

    #[test]
    fn it_is_there_only_where_the_metric_is_served() {
        let world = fixture::managed();
        assert_eq!(child(&Input { hpa: false, ..world.input() }), None);
    }
}
