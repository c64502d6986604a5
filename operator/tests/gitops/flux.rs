//! Flux's health expressions, evaluated one by one in the order in which Flux does.

use cel::{Context, Program};
use docmill_operator::resource::IngestionPipeline;
use kube::Resource;
use serde_json::Value;

use crate::support::read;
use crate::support::states::{self, Health};

/// In the order in which Flux asks; the first that holds decides.
const ORDER: [&str; 3] = ["inProgress", "failed", "current"];

/// The expressions, with the kind that they are for.
fn given() -> Value {
    let documents = read("manifests/gitops/flux/pipelines.yaml");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&documents).unwrap();
    let kustomization = documents.iter().find(|document| document["kind"] == "Kustomization").unwrap();
    kustomization["spec"]["healthCheckExprs"][0].clone()
}

/// Those of the three that hold for an object. Its fields are what the expressions name; one that is not there cannot
/// be looked into, and the expression comes to nothing.
fn holding(given: &Value, object: &Value) -> Vec<&'static str> {
    let mut context = Context::default();
    for (name, field) in object.as_object().unwrap() {
        context.add_variable(name.as_str(), field).unwrap();
    }
    let holds = |name: &&'static str| {
        let program = Program::compile(given[*name].as_str().unwrap());
        let said = program.unwrap_or_else(|error| panic!("{name}: {error}")).execute(&context);
        match said {
            Ok(cel::Value::Bool(holds)) => holds,
            Err(_) if object.get("status").is_none() => false,
            other => panic!("{name}: {other:?} of {object}"),
        }
    };
    ORDER.into_iter().filter(holds).collect()
}

#[test]
fn one_of_three_holds_in_every_state() {
    let given = given();
    for state in states::all() {
        let holding = holding(&given, &state.object);
        let expected = match state.health {
            Health::Progressing => "inProgress",
            Health::Degraded => "failed",
            // Whoever pauses a pipeline has what was declared.
            Health::Healthy | Health::Suspended => "current",
        };
        // Of what nobody has seen nothing can be said, and Flux waits.
        let is_seen = state.object.get("status").is_some();
        let is_deleted = state.object["metadata"].get("deletionTimestamp").is_some();
        let expected = if is_seen || is_deleted { vec![expected] } else { Vec::new() };
        assert_eq!(holding, expected, "{}: {:#}", state.name, state.object["status"]);
    }
}

#[test]
fn they_are_for_our_kind() {
    let given = given();
    assert_eq!(given["apiVersion"], IngestionPipeline::api_version(&()).into_owned());
    assert_eq!(given["kind"], IngestionPipeline::kind(&()).into_owned());
}
