//! A pipeline as an operator leaves it, for tests.
#![allow(clippy::unwrap_used)]

use docmill_operator::resource::IngestionPipeline;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

/// When tests look: an hour after [`pipeline`] was made.
pub fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

/// A pipeline that scales up.
pub fn pipeline() -> IngestionPipeline {
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": 3,
            "lastTransitionTime": "2026-01-01T00:50:00Z",
        })
    };
    let reason = |code: &str, message: &str| json!({ "code": code, "message": message });
    serde_json::from_value(json!({
        "apiVersion": "docmill.dev/v1alpha1",
        "kind": "IngestionPipeline",
        "metadata": {
            "name": "knowbase", "namespace": "docs", "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"instanceType": "c5.4xlarge", "workers": {"replicas": {"max": 3}}},
        "status": {
            "observedGeneration": 3,
            "conditions": [
                condition("Ready", "True", "Running", "documents are taken and answered"),
                condition("ScalingLimited", "True", "MaxReplicas", "more workers were asked for"),
            ],
            "plan": {
                "node": "c5.4xlarge", "fit": "OneNode", "nodes": 1, "workers": 8,
                "worker": "1/2Gi, at most 1500m/3Gi", "concurrency": 4,
                "api": "2/2Gi, at most 8/8Gi", "apiWorkers": 12,
            },
            "workers": {"replicas": 2, "ready": 1, "selector": "app.kubernetes.io/instance=knowbase"},
            "depth": {"total": 420, "waiting": 400, "inFlight": 8, "due": 12},
            "rate": "120",
            "scaling": {
                "desired": 3, "metric": 300, "provider": "Builtin", "observedAt": "2026-01-01T00:59:50Z",
                "reasons": [
                    reason("Demand", "400 waiting + 8 in flight + 12 due, at 100 a worker, ask for 5 workers"),
                    reason("Maximum", "5 workers asked for, at most 3 allowed"),
                    reason("Raised", "raised from 2 to 3 workers"),
                ],
            },
            "neo4j": {
                "asked": "total 8Gi, heap 2Gi (initial 2Gi), page cache 4Gi", "inForce": "heap 2Gi, page cache 4Gi",
            },
            "lastGood": {"generation": 2, "config": "knowbase-config-1", "image": "docmill/worker:0.1.0"},
        },
    }))
    .unwrap()
}

/// The same of which the operator has said nothing yet.
pub fn unseen() -> IngestionPipeline {
    IngestionPipeline { status: None, ..pipeline() }
}

/// The text with runs of spaces made one, for what does not depend on the widths of columns.
pub fn squeezed(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}
