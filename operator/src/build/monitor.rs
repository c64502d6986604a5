//! What Prometheus reads, where the cluster has its operator: workers pod by pod, as no Service leads to
//! them, and the API by the Service on whose port metrics need no key.

use kube::core::ApiResource;
use serde_json::{Value, json};

use super::{Input, api};
use crate::child::Child;
use crate::names::{self, Part};

const GROUP: &str = "monitoring.coreos.com";
const VERSION: &str = "v1";

/// PodMonitor and ServiceMonitor, where they are known.
pub(super) fn children(input: &Input<'_>) -> Vec<Child> {
    if !input.has_service_monitors {
        return Vec::new();
    }
    let selector = |part| json!({"matchLabels": names::selector(input.name(), part)});
    let workers = json!({
        "selector": selector(Part::Worker),
        "podMetricsEndpoints": [{"port": "health", "path": "/metrics"}],
    });
    let internal = json!({
        "selector": selector(Part::Api),
        "endpoints": [{"port": api::INTERNAL_PORT_NAME, "path": "/metrics"}],
    });
    vec![
        monitor(input, "PodMonitor", "podmonitors", Part::Worker, workers),
        monitor(input, "ServiceMonitor", "servicemonitors", Part::Api, internal),
    ]
}

fn monitor(input: &Input<'_>, kind: &'static str, plural: &str, part: Part, spec: Value) -> Child {
    let api_version = format!("{GROUP}/{VERSION}");
    let object = json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": input.meta_of_part(part),
        "spec": spec,
    });
    let resource = ApiResource {
        group: GROUP.to_owned(),
        version: VERSION.to_owned(),
        api_version,
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    };
    Child::new(kind, resource, object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::fixture;

    #[test]
    fn monitors_are_there_only_where_they_are_known() {
        let world = fixture::managed();
        let known = children(&world.input());
        assert_eq!(
            known.iter().map(|child| child.key().kind).collect::<Vec<_>>(),
            ["PodMonitor", "ServiceMonitor"]
        );
        assert_eq!(known[0].object["metadata"]["name"], "knowbase-worker");
        assert_eq!(known[1].object["spec"]["endpoints"][0]["port"], "internal");
        assert!(children(&Input { has_service_monitors: false, ..world.input() }).is_empty());
    }
}
