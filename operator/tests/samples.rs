//! What the samples come to: the plan and all objects, as snapshots. A change of any object is a change of a file.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use docmill_core::sizing::{Node, Resources};
use docmill_operator::build::{self, Images, Input, Volume};
use docmill_operator::child::Child;
use docmill_operator::names::Part;
use docmill_operator::plan::{self, Plan};
use docmill_operator::resource::IngestionPipeline;
use serde_json::Value;
use support::{repository, schema};

/// All samples, by the names of their files without ending.
fn samples() -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(repository("manifests/samples")).unwrap();
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap())
    };
    entries.map(read).collect()
}

fn typed(text: &str) -> IngestionPipeline {
    let mut pipeline: IngestionPipeline = serde_saphyr::from_str(text).unwrap();
    pipeline.metadata.namespace = Some("archive".to_owned());
    pipeline.metadata.uid = Some("0a1b2c3d-0000-4000-8000-000000000001".to_owned());
    pipeline
}

/// A node of a laptop's cluster, for a pipeline that names none.
fn laptop() -> Node {
    let resources = |cpu_milli, memory_mib| Resources { cpu_milli, memory_mib };
    Node::of_allocatable(resources(2_000, 8_192), resources(1_900, 7_900))
}

fn images() -> Images {
    Images {
        worker: "docmill/worker:1".to_owned(),
        redis: "redis:7".to_owned(),
        postgres: "pgvector/pgvector:pg16".to_owned(),
        neo4j: "neo4j:5.26-community".to_owned(),
        s3: "versity/versitygw:v1".to_owned(),
        pull_policy: Some("IfNotPresent".to_owned()),
        pull_secrets: Vec::new(),
    }
}

/// Volumes as they are once the API server took them: each with a uid of its own.
fn volumes() -> BTreeMap<Part, Volume> {
    let volume = |(number, part): (usize, Part)| {
        let uid = format!("{number:08}-0000-4000-8000-000000000000");
        (part, Volume { uid, storage_mib: 1, has_secret: true })
    };
    Part::STORES.into_iter().enumerate().map(volume).collect()
}

/// The plan, the volumes and the children of a sample, as text.
fn built(text: &str) -> String {
    let pipeline = typed(text);
    let plan = plan::make(&pipeline.spec, Some(laptop())).unwrap();
    let (images, volumes) = (images(), volumes());
    let input = Input {
        pipeline: &pipeline,
        plan: &plan,
        images: &images,
        volumes: &volumes,
        hpa: true,
        workers_there: 0,
        has_service_monitors: true,
        operator_namespace: "docmill-system",
        operator_keys_pem: "-----BEGIN PUBLIC KEY-----\n",
    };
    assert!(input.missing().is_empty());
    let mut shown = shown_plan(&plan);
    for child in build::volumes(&input).iter().chain(&build::children(&input)) {
        shown.push_str(&shown_child(child));
    }
    shown
}

fn shown_plan(plan: &Plan) -> String {
    format!("# Plan\n{plan:#?}\n")
}

fn shown_child(child: &Child) -> String {
    let key = child.key();
    let object = serde_json::to_string_pretty(&ordered(&child.object)).unwrap();
    format!("\n# {} {}\n{object}\n", key.kind, key.name)
}

/// The same with its fields in order, whatever the order in which JSON is kept.
fn ordered(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(ordered).collect(),
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().collect();
            fields.into_iter().map(|(name, value)| (name.clone(), ordered(value))).collect()
        }
        other => other.clone(),
    }
}

#[test]
fn come_to_these_objects() {
    for (name, text) in samples() {
        insta::assert_snapshot!(name, built(&text));
    }
}

#[test]
fn come_to_the_same_twice() {
    for (name, text) in samples() {
        assert_eq!(built(&text), built(&text), "{name}");
    }
}

#[test]
fn are_taken_by_the_rules() {
    for (name, text) in samples() {
        let pipeline = typed(&text);
        assert_eq!(pipeline.validate_cel(), Ok(()), "{name}");
        assert_eq!(pipeline.validate_cel_update(&pipeline), Ok(()), "{name}");
    }
}

#[test]
fn name_only_fields_that_there_are() {
    let root = schema::root();
    for (name, text) in samples() {
        let sample: Value = serde_saphyr::from_str(&text).unwrap();
        let mut unknown = Vec::new();
        unknown_fields(&sample["spec"], &root["properties"]["spec"], "spec", &mut unknown);
        assert!(unknown.is_empty(), "{name}: {unknown:?}");
    }
}

fn unknown_fields(value: &Value, schema: &Value, path: &str, unknown: &mut Vec<String>) {
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        unknown_fields(item, &schema["items"], &format!("{path}[{index}]"), unknown);
    }
    if schema["additionalProperties"].is_object() {
        return;
    }
    for (name, below) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match schema["properties"].get(name) {
            Some(schema) => unknown_fields(below, schema, &path, unknown),
            None => unknown.push(path),
        }
    }
}

#[test]
fn the_full_one_names_every_field() {
    // Those that exclude what is set stand in its comments.
    let samples = samples();
    let text = &samples["full"];
    let root = schema::root();
    let mut unnamed = Vec::new();
    schema::walk(&root["properties"]["spec"], "spec", &mut |path, _| {
        let name = path.rsplit('.').next().unwrap().trim_end_matches("[]");
        let is_named = name == "*" || text.contains(&format!("{name}:"));
        if !schema::is_of_kubernetes(path) && path != "spec" && !is_named {
            unnamed.push(path.to_owned());
        }
    });
    assert!(unnamed.is_empty(), "{unnamed:?}");
}
