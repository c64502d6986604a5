//! The schema of the resource, as the API server has it.

use std::collections::{BTreeMap, BTreeSet};

use docmill_operator::resource;
use serde_json::Value;

/// The whole definition as JSON.
pub fn definition() -> Value {
    serde_json::to_value(resource::crd()).unwrap()
}

/// The schema of the resource.
pub fn root() -> Value {
    definition().pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap().clone()
}

/// Fields whose types are Kubernetes' own: they are as its own schema has them.
pub const OF_KUBERNETES: [&str; 3] = ["tolerations", "topologySpreadConstraints", "conditions"];

/// Goes through a schema and all in it: the path of each node, such as `spec.rateLimits[].provider`.
pub fn walk<'a>(node: &'a Value, path: &str, see: &mut dyn FnMut(&str, &'a Value)) {
    see(path, node);
    for (name, property) in node["properties"].as_object().into_iter().flatten() {
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        walk(property, &below, see);
    }
    if let Some(items) = node.get("items") {
        walk(items, &format!("{path}[]"), see);
    }
    if let Some(values) = node.get("additionalProperties").filter(|values| values.is_object()) {
        walk(values, &format!("{path}.*"), see);
    }
}

/// Whether a path leads into a type of Kubernetes itself.
pub fn is_of_kubernetes(path: &str) -> bool {
    path.split(['.', '[']).any(|part| OF_KUBERNETES.contains(&part))
}

/// Numbers of the rules in the schema, each with its messages without the number.
pub fn rules() -> BTreeMap<String, BTreeSet<String>> {
    let root = root();
    let mut rules: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    walk(&root, "", &mut |path, node| {
        for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let message = rule["message"].as_str().unwrap_or_else(|| panic!("{path}: {rule}"));
            let (id, text) = message.split_once(": ").unwrap_or_else(|| panic!("{path}: {message}"));
            rules.entry(id.to_owned()).or_default().insert(text.to_owned());
        }
    });
    rules
}
