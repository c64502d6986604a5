//! The page of fields.

use std::fmt::Write as _;

use serde_json::Value;

use super::{HOW, cell, schema};

/// `docs/reference/pipeline.md`.
pub fn page() -> String {
    let root = schema::root();
    let mut page = format!(
        "# Fields of an `IngestionPipeline`\n\n<!-- Generated: {HOW} -->\n\n\
         `docmill.dev/v1alpha1`, short name `ingp`. `kubectl explain ingestionpipeline.spec --recursive` says the\n\
         same. Every field with all that it may hold is in `manifests/samples/full.yaml`; rules between fields are in\n\
         `docs/reference/validation.md`. A field without a default may be absent, and its description says what is\n\
         taken then.\n"
    );
    for (part, title) in [("spec", "What a person declares"), ("status", "What is told back")] {
        write!(page, "\n## {title}\n\n| field | type | default | meaning |\n|---|---|---|---|\n").unwrap();
        rows(&mut page, &root["properties"][part], part);
    }
    page
}

fn rows(page: &mut String, node: &Value, path: &str) {
    let required = node["required"].as_array();
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|one| one == name));
    for (name, property) in sorted(node) {
        let path = format!("{path}.{name}");
        let meaning = cell(property["description"].as_str().unwrap_or_default());
        let default = default(property, is_required(name));
        writeln!(page, "| `{path}` | {} | {default} | {meaning} |", kind(property)).unwrap();
        if schema::is_of_kubernetes(&path) {
            continue;
        }
        match property["type"].as_str() {
            Some("array") => rows(page, &property["items"], &format!("{path}[]")),
            _ => rows(page, property, &path),
        }
    }
}

/// Properties by name, whatever the order in which JSON is kept.
fn sorted(node: &Value) -> Vec<(&String, &Value)> {
    let mut all: Vec<_> = node["properties"].as_object().into_iter().flatten().collect();
    all.sort_by_key(|(name, _)| *name);
    all
}

fn kind(node: &Value) -> String {
    let values = |node: &Value| {
        let values = node["enum"].as_array()?.iter().filter_map(Value::as_str);
        Some(values.map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", "))
    };
    if let Some(values) = values(node) {
        return values;
    }
    match node["type"].as_str().unwrap_or_default() {
        "array" => {
            format!("list{} of {}", at_most(&node["maxItems"]), kind(&node["items"]))
        }
        "object" if node["additionalProperties"].is_object() => {
            format!("map{}", at_most(&node["maxProperties"]))
        }
        "integer" => {
            let bound = |name: &str| node[name].as_f64().map(|bound| format!("{bound}"));
            match (bound("minimum"), bound("maximum")) {
                (Some(least), Some(most)) => format!("integer, {least} to {most}"),
                _ => "integer".to_owned(),
            }
        }
        "string" => format!("string{}", at_most(&node["maxLength"])),
        kind => kind.to_owned(),
    }
}

fn at_most(bound: &Value) -> String {
    bound.as_u64().map_or_else(String::new, |most| format!(" (at most {most})"))
}

fn default(node: &Value, is_required: bool) -> String {
    let is_scalar = |value: &&Value| !value.is_object() && !value.is_array() && !value.is_null();
    match node.get("default").filter(is_scalar) {
        Some(value) => format!("`{}`", value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
        None if is_required => "required".to_owned(),
        None => String::new(),
    }
}
