//! Who may talk to whom. Policies add up: whoever wants more adds one beside these.
//!
//! ```text
//! anybody ──8080──► api ──┐
//! operator ─8082──► api   ├──► redis, postgres, neo4j, s3 ──► nobody
//! Prometheus ─8082─► api  │
//! Prometheus ─8081─► worker
//! ```
//!
//! Where workers and API may go is not bounded: external stores, and the model that writes answers, are anywhere, and a
//! policy knows no names of hosts. Probes come from the node, which no policy keeps out.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Input, neo4j, pods, postgres, redis, s3};
use crate::child::Child;
use crate::names::{API_PORT, COMPONENT_LABEL, HEALTH_PORT, INTERNAL_PORT, NAME_LABEL, Part};

/// One policy a part.
pub(super) fn children(input: &Input<'_>) -> Vec<Child> {
    let mut all = vec![
        policy(input, Part::Worker, vec![from(vec![prometheus()], HEALTH_PORT)]),
        policy(
            input,
            Part::Api,
            vec![
                from(Vec::new(), API_PORT),
                // Metrics need no token there, and the rest needs the operator's.
                from(vec![operator(input), prometheus()], INTERNAL_PORT),
            ],
        ),
    ];
    let stores = input.managed().into_iter().filter_map(|(part, _)| Some((part, store_port(part)?)));
    all.extend(stores.map(|(part, port)| policy(input, part, vec![from(vec![own(input)], port)])));
    all
}

fn store_port(part: Part) -> Option<i32> {
    match part {
        Part::Redis => Some(redis::PORT),
        Part::Postgres => Some(postgres::PORT),
        Part::Neo4j => Some(neo4j::PORT),
        Part::S3 => Some(s3::PORT),
        Part::Worker | Part::Api => None,
    }
}

fn policy(input: &Input<'_>, part: Part, ingress: Vec<NetworkPolicyIngressRule>) -> Child {
    let mut types = vec!["Ingress".to_owned()];
    // A store asks nobody: with no rule for what goes out, nothing does.
    if Part::STORES.contains(&part) {
        types.push("Egress".to_owned());
    }
    Child::of(&NetworkPolicy {
        metadata: input.meta_of_part(part),
        spec: Some(NetworkPolicySpec {
            egress: None,
            ingress: Some(ingress),
            pod_selector: Some(pods::selector(input, part)),
            policy_types: Some(types),
        }),
    })
}

/// From these to a port; from nobody named means from anybody.
fn from(peers: Vec<NetworkPolicyPeer>, port: i32) -> NetworkPolicyIngressRule {
    let port = NetworkPolicyPort {
        port: Some(IntOrString::Int(port)),
        protocol: Some("TCP".to_owned()),
        end_port: None,
    };
    NetworkPolicyIngressRule { from: (!peers.is_empty()).then_some(peers), ports: Some(vec![port]) }
}

/// Workers and API of the same pipeline.
fn own(input: &Input<'_>) -> NetworkPolicyPeer {
    let mut labels = crate::names::selector(input.name(), Part::Worker);
    labels.remove(COMPONENT_LABEL);
    let parts = LabelSelectorRequirement {
        key: COMPONENT_LABEL.to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![Part::Api.to_string(), Part::Worker.to_string()]),
    };
    let selector = LabelSelector { match_expressions: Some(vec![parts]), ..pods::labels(labels) };
    NetworkPolicyPeer { pod_selector: Some(selector), ..NetworkPolicyPeer::default() }
}

fn operator(input: &Input<'_>) -> NetworkPolicyPeer {
    named("docmill-operator", one("kubernetes.io/metadata.name", input.operator_namespace))
}

/// By the label that the Prometheus operator and the common charts give its pods, in any namespace.
fn prometheus() -> NetworkPolicyPeer {
    named("prometheus", LabelSelector::default())
}

fn named(name: &str, namespaces: LabelSelector) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(namespaces),
        pod_selector: Some(one(NAME_LABEL, name)),
        ip_block: None,
    }
}

fn one(key: &str, value: &str) -> LabelSelector {
    pods::labels(BTreeMap::from([(key.to_owned(), value.to_owned())]))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::build::fixture;

    fn spec(part: Part) -> Value {
        let all = children(&fixture::managed().input());
        let policy = all.iter().find(|child| child.key().name == part.name("knowbase")).unwrap();
        policy.object["spec"].clone()
    }

    #[test]
    fn stores_hear_their_pipeline_and_ask_nobody() {
        for part in Part::STORES {
            let spec = spec(part);
            assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]), "{part}");
            assert!(spec.get("egress").is_none());
            let from = &spec["ingress"][0]["from"];
            assert_eq!(from.as_array().unwrap().len(), 1);
            assert!(from[0].get("namespaceSelector").is_none(), "of this namespace alone");
            assert_eq!(from[0]["podSelector"]["matchLabels"]["app.kubernetes.io/instance"], "knowbase");
            assert_eq!(from[0]["podSelector"]["matchExpressions"][0]["values"], json!(["api", "worker"]));
        }
    }

    #[test]
    fn the_operators_port_is_the_operators() {
        let spec = spec(Part::Api);
        assert!(spec["ingress"][0].get("from").is_none(), "anybody");
        assert_eq!(spec["ingress"][0]["ports"][0]["port"], 8_080);
        let from = &spec["ingress"][1]["from"];
        let operator = json!({
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "docmill-system"}},
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "docmill-operator"}},
        });
        assert_eq!((&from[0], from.as_array().unwrap().len()), (&operator, 2));
    }

    #[test]
    fn a_model_is_reached_wherever_it_is() {
        let mut world = fixture::managed();
        let policies = |world: &fixture::World| -> Vec<Value> {
            children(&world.input()).into_iter().map(|child| child.object).collect()
        };
        let before = policies(&world);
        world.pipeline.spec.ask.model = Some(fixture::model());
        assert_eq!(policies(&world), before);
        // Without this type of policy, and so without rules, all that goes out may.
        assert_eq!(spec(Part::Api)["policyTypes"], json!(["Ingress"]));
        assert_eq!(spec(Part::Worker)["policyTypes"], json!(["Ingress"]));
    }

    #[test]
    fn only_what_runs_here_has_a_policy() {
        let names: Vec<String> =
            children(&fixture::external().input()).iter().map(|child| child.key().name.clone()).collect();
        assert_eq!(names, ["letters-worker", "letters-api"]);
    }
}
