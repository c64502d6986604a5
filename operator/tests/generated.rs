//! Files that are made from the types: the definition, the chart's copy of it, tables and pages. What the
//! chart comes to. And what holds for the definition as a whole.
//!
//! `UPDATE_REFERENCE=1 cargo test --package docmill-operator --test generated` writes them again.
#![allow(clippy::unwrap_used)]

mod support;

use docmill_operator::resource;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::json;
use support::{chart, fields, install, is_up_to_date, schema, validation};

/// Largest definition, in bytes: `kubectl apply` keeps a copy of it in an annotation, which has room for 256 KiB.
const DEFINITION_MAX: usize = 200_000;

#[test]
fn crd_files() {
    let text = resource::crd_yaml();
    is_up_to_date("crds/ingestionpipelines.yaml", &text);
    is_up_to_date("helm/docmill/files/ingestionpipelines.yaml", &text);
}

#[test]
fn crd_is_small_and_the_same_when_read() {
    let (text, json) = (resource::crd_yaml(), schema::definition().to_string());
    assert!(text.len() < DEFINITION_MAX, "{} bytes", text.len());
    assert!(json.len() < DEFINITION_MAX, "{} bytes", json.len());
    let read: CustomResourceDefinition = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(read, resource::crd());
}

#[test]
fn validation_page() {
    is_up_to_date("docs/reference/validation.md", &validation::page());
}

#[test]
fn pipeline_page() {
    is_up_to_date("docs/reference/pipeline.md", &fields::page());
}

#[test]
fn chart_page() {
    is_up_to_date("helm/docmill/README.md", &chart::page());
}

#[test]
fn install_manifests() {
    is_up_to_date("manifests/install.yaml", &install::manifests());
}

#[test]
fn comments_of_values_become_rows() {
    let values = "\
# Not a row.
# -- One line.
one: 1
two:
  # -- Two lines,
  # the second.
  three: {b: x, a: [1, 2]}
  # Not a row.
  four: 4
# -- Back
# at the left.
five: ''
";
    let found: Vec<(String, String)> =
        chart::commented(values).into_iter().map(|(path, meaning)| (path.join("."), meaning)).collect();
    let row = |path: &str, meaning: &str| (path.to_owned(), meaning.to_owned());
    let expected = [
        row("one", "One line."),
        row("two.three", "Two lines, the second."),
        row("five", "Back at the left."),
    ];
    assert_eq!(found, expected);
    assert_eq!(chart::inline(&json!({"b": "x", "a": [1, 2]})), r#"{"a": [1, 2], "b": "x"}"#);
    assert_eq!(chart::inline(&json!({})), "{}");
}

#[test]
fn lists_maps_and_texts_are_bounded() {
    let root = schema::root();
    let mut unbounded = Vec::new();
    schema::walk(&root, "", &mut |path, node| {
        if is_kubernetes_inside(path) {
            return;
        }
        let is_bounded = match node["type"].as_str() {
            Some("array") => node["maxItems"].is_u64(),
            Some("object") if node["additionalProperties"].is_object() => node["maxProperties"].is_u64(),
            // What the operator writes in status, and values of maps, which are bounded by their number.
            Some("string") if path.starts_with("spec") && !path.ends_with(".*") => {
                node["maxLength"].is_u64() || node["enum"].is_array()
            }
            _ => true,
        };
        if !is_bounded {
            unbounded.push(path.to_owned());
        }
    });
    assert!(unbounded.is_empty(), "{unbounded:?}");
}

/// Whether a path is within a type of Kubernetes, not its list itself.
fn is_kubernetes_inside(path: &str) -> bool {
    let outer = path.rsplit_once('[').map_or("", |(outer, _)| outer);
    schema::is_of_kubernetes(path) && (schema::is_of_kubernetes(outer) || path.ends_with("[]"))
}

#[test]
fn every_field_is_explained() {
    let root = schema::root();
    let mut silent = Vec::new();
    schema::walk(&root, "", &mut |path, node| {
        let is_field = !path.is_empty() && !path.ends_with("[]") && !path.ends_with(".*");
        if is_field && node["description"].as_str().is_none_or(|text| text.trim().is_empty()) {
            silent.push(path.to_owned());
        }
    });
    assert!(silent.is_empty(), "kubectl explain says nothing of {silent:?}");
}

#[test]
fn what_kubectl_shows() {
    let definition = schema::definition();
    let version = &definition["spec"]["versions"][0];
    let columns: Vec<(&str, &str)> = version["additionalPrinterColumns"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|column| column["priority"].as_u64().unwrap_or(0) == 0)
        .map(|column| (column["name"].as_str().unwrap(), column["jsonPath"].as_str().unwrap()))
        .collect();
    let expected = [
        ("Ready", ".status.conditions[?(@.type==\"Ready\")].status"),
        ("Workers", ".status.workers.replicas"),
        ("Depth", ".status.depth.total"),
        ("Rate", ".status.rate"),
        ("Age", ".metadata.creationTimestamp"),
    ];
    assert_eq!(columns, expected);
    let names = &definition["spec"]["names"];
    assert_eq!(names["shortNames"], json!(["ingp"]));
    assert_eq!(names["plural"], "ingestionpipelines");
    assert_eq!(names["kind"], "IngestionPipeline");
}

#[test]
fn what_kubectl_scale_writes_is_the_least() {
    let definition = schema::definition();
    let subresources = &definition["spec"]["versions"][0]["subresources"];
    assert!(subresources["status"].is_object());
    let scale = json!({
        "specReplicasPath": ".spec.workers.replicas.min",
        "statusReplicasPath": ".status.workers.replicas",
        "labelSelectorPath": ".status.workers.selector",
    });
    assert_eq!(subresources["scale"], scale);
}
