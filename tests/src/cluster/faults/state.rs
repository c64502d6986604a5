//! What is there of a pipeline, without what differs from one run to the next: two runs that led to the same are
//! equal. Numbers that are drawn (uids, keys, names by hash of them) and what Kubernetes counts are left out.

use anyhow::Result;
use docmill_operator::names::{MANAGED_BY, SECRET_ANNOTATION};
use docmill_operator::resource::IngestionPipeline;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DynamicObject, ListParams};
use kube::core::ApiResource;
use kube::{Api, Client};
use serde_json::{Value, json};

/// Digits of the hash in a ConfigMap's name.
const HASH_DIGITS: usize = 16;
/// Of metadata, what is declared.
const METADATA: [&str; 4] = ["name", "labels", "annotations", "ownerReferences"];
/// Annotations that controllers count in.
const COUNTED: &str = "deployment.kubernetes.io/revision";
/// Of a Service, what Kubernetes chooses.
const CHOSEN: [&str; 2] = ["clusterIP", "clusterIPs"];

/// Everything that is there, a line each, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Everything(Vec<String>);

impl Everything {
    /// What the other has not, and what it has beside.
    pub fn difference(&self, other: &Self) -> String {
        let of = |one: &Self, two: &Self, sign: char| -> Vec<String> {
            one.0.iter().filter(|line| !two.0.contains(line)).map(|line| format!("{sign} {line}")).collect()
        };
        [of(self, other, '-'), of(other, self, '+')].concat().join("\n")
    }

    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Kinds that belong to a pipeline.
pub fn kinds() -> [ApiResource; 10] {
    [
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<Secret>(&()),
        ApiResource::erase::<NetworkPolicy>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<StatefulSet>(&()),
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<PodDisruptionBudget>(&()),
        ApiResource::erase::<HorizontalPodAutoscaler>(&()),
        ApiResource::erase::<PersistentVolumeClaim>(&()),
    ]
}

/// Only what the operator made.
pub fn ours() -> ListParams {
    ListParams::default().labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1))
}

/// Looks at all of one pipeline. `operators` is the namespace of the operator.
///
/// # Errors
/// The API server does not answer.
pub async fn look(client: &Client, namespace: &str, name: &str, operators: &str) -> Result<Everything> {
    let pipelines: Api<IngestionPipeline> = Api::namespaced(client.clone(), namespace);
    let pipeline = pipelines.get_opt(name).await?;
    let uid = pipeline.as_ref().and_then(|pipeline| pipeline.metadata.uid.clone()).unwrap_or_default();
    let mut all: Vec<Value> = pipeline.iter().map(told).collect();
    for kind in kinds() {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
        for object in api.list(&ours()).await? {
            all.push(declared(&kind.kind, &serde_json::to_value(&object)?));
        }
    }
    let plain = |object: &Value| {
        let mut text = object.to_string();
        if !uid.is_empty() {
            text = text.replace(&uid, "UID");
        }
        // The longer name first, as the other may be part of it.
        text = text.replace(operators, "OPERATORS").replace(namespace, "NAMESPACE");
        without_hashes(&text, &format!("{name}-config-"))
    };
    let mut lines: Vec<String> = all.iter().map(plain).collect();
    lines.sort();
    Ok(Everything(lines))
}

/// What a pipeline's status says for good.
fn told(pipeline: &IngestionPipeline) -> Value {
    let status = pipeline.status.clone().unwrap_or_default();
    let conditions: Vec<String> = status
        .conditions
        .iter()
        .map(|condition| format!("{}={}", condition.type_, condition.status))
        .collect();
    json!({
        "kind": "IngestionPipeline",
        "spec": pipeline.spec,
        "observed": status.observed_generation == pipeline.metadata.generation,
        "conditions": conditions,
        "plan": status.plan,
        "desired": status.scaling.map(|scaling| scaling.desired),
    })
}

/// An object without what was not declared.
fn declared(kind: &str, object: &Value) -> Value {
    let mut plain = object.clone();
    plain["kind"] = kind.into();
    let metadata = &object["metadata"];
    plain["metadata"] =
        METADATA.iter().map(|field| ((*field).to_owned(), metadata[*field].clone())).collect();
    // One that is about to go is not one that stays.
    plain["metadata"]["isGoing"] = metadata.get("deletionTimestamp").is_some().into();
    if let Some(annotations) = plain["metadata"]["annotations"].as_object_mut() {
        annotations.remove(COUNTED);
        if annotations.is_empty() {
            plain["metadata"]["annotations"] = Value::Null;
        }
    }
    let is_of_keys = metadata["annotations"].get(SECRET_ANNOTATION).is_some() && kind == "ConfigMap";
    if let Some(whole) = plain.as_object_mut() {
        whole.remove("status");
    }
    if let Some(spec) = plain.get_mut("spec").and_then(Value::as_object_mut) {
        for field in CHOSEN {
            spec.remove(field);
        }
    }
    // Drawn by each operator: that they are there counts.
    if (kind == "Secret" || is_of_keys)
        && let Some(data) = plain.get_mut("data").and_then(Value::as_object_mut)
    {
        for value in data.values_mut() {
            *value = value.as_str().is_some_and(|text| !text.is_empty()).into();
        }
    }
    plain
}

/// The text with the hashes that follow these words taken out.
fn without_hashes(text: &str, words: &str) -> String {
    let mut parts = text.split(words);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        let rest = if digits >= HASH_DIGITS { &part[HASH_DIGITS..] } else { part };
        plain.push_str(words);
        plain.push_str(rest);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_declared_counts() {
        let object = |uid: &str, replicas: u32| {
            json!({
                "metadata": {
                    "name": "p-worker", "uid": uid, "resourceVersion": uid, "labels": {"a": "b"},
                    "annotations": {COUNTED: uid},
                },
                "spec": {"replicas": replicas, "clusterIP": uid},
                "status": {"replicas": 7},
            })
        };
        assert_eq!(declared("Deployment", &object("1", 2)), declared("Deployment", &object("2", 2)));
        assert_ne!(declared("Deployment", &object("1", 2)), declared("Deployment", &object("1", 3)));
        let secret = |data: Value| declared("Secret", &json!({"metadata": {"name": "s"}, "data": data}));
        assert_eq!(secret(json!({"key": "x"})), secret(json!({"key": "y"})));
        assert_ne!(secret(json!({"key": "x"})), secret(json!({"other": "x"})));
    }

    #[test]
    fn hashes_in_names_are_no_difference() {
        let of = |hash: &str| without_hashes(&format!("a p-config-{hash}\" b"), "p-config-");
        assert_eq!(of("0123456789abcdef"), of("fedcba9876543210"));
        assert_eq!(of("0123456789abcdef"), "a p-config-\" b");
        assert_eq!(of("short"), "a p-config-short\" b");
    }

    #[test]
    fn a_difference_says_both_sides() {
        let of = |lines: &[&str]| Everything(lines.iter().map(ToString::to_string).collect());
        assert_eq!(of(&["a", "b"]).difference(&of(&["b", "c"])), "- a\n+ c");
    }
}
