//! The rules of the schema by a real API server: the table that `operator/tests/cel.rs` goes through without one.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use docmill_operator::resource::rules::{Case, SCHEMA_RULES};
use docmill_tests::cluster::{Cluster, Options};
use serde_json::Value;

/// What is told of a case that does not go as it is to.
type Outcome = Result<(), String>;

fn started() -> Cluster {
    let cluster = Cluster::start("rules", &Options { node: false, ..Options::default() }).unwrap();
    let definition = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/ingestionpipelines.yaml");
    let said = cluster.kubectl(&["apply", "-f", definition.to_str().unwrap()]).unwrap();
    assert!(said.contains("ingestionpipelines.docmill.dev created"), "{said}");
    let name = "customresourcedefinition/ingestionpipelines.docmill.dev";
    cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", name]).unwrap();
    cluster
}

fn send(cluster: &Cluster, verb: &str, dry: bool, object: &Value) -> Outcome {
    let dry = if dry { "--dry-run=server" } else { "--dry-run=none" };
    let said = cluster.kubectl_with(&[verb, dry, "-f", "-"], &object.to_string());
    said.map(drop).map_err(|error| format!("{error:#}"))
}

fn try_case(cluster: &Cluster, case: &Case) -> Outcome {
    let Some(old) = &case.old else { return send(cluster, "create", true, &case.new) };
    send(cluster, "create", false, old).unwrap_or_else(|error| panic!("{old}: {error}"));
    let outcome = send(cluster, "replace", true, &case.new);
    let name = old["metadata"]["name"].as_str().unwrap();
    cluster.kubectl(&["delete", "ingp", name]).unwrap();
    outcome
}

/// What is wrong with the outcome of a case.
fn judged(id: &str, case: &Case, outcome: Outcome) -> Outcome {
    match (case.is_taken, outcome) {
        (true, Ok(())) => Ok(()),
        (true, Err(error)) => Err(format!("{id} is to take {case:?}: {error}")),
        (false, Ok(())) => Err(format!("{id} is to refuse {case:?}")),
        (false, Err(error)) if error.contains(&format!("{id}: ")) => Ok(()),
        (false, Err(error)) => Err(format!("{id} is to refuse {case:?}, and what refuses is {error}")),
    }
}

#[test]
fn each_rule_takes_and_refuses() {
    let cluster = started();
    let mut wrong = Vec::new();
    for rule in SCHEMA_RULES {
        for case in (rule.cases)() {
            wrong.extend(judged(rule.id, &case, try_case(&cluster, &case)).err());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
