//! The rules of the schema by a real API server: the table that `operator/tests/cel.rs` goes through without one.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use docmill_operator::resource::IngestionPipeline;
use docmill_operator::resource::rules::{Case, SCHEMA_RULES};
use docmill_tests::cluster::{Cluster, Options};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, PostParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use tokio_rustls::rustls::crypto::aws_lc_rs;

/// A cluster without a node that knows the resource.
fn started() -> Cluster {
    let cluster = Cluster::start("rules", &Options { node: false, ..Options::default() }).unwrap();
    let definition = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/ingestionpipelines.yaml");
    let said = cluster.kubectl(&["apply", "-f", definition.to_str().unwrap()]).unwrap();
    assert!(said.contains("ingestionpipelines.docmill.dev created"), "{said}");
    cluster.wait_for_definition().unwrap();
    cluster
}

/// Pipelines as people give them: with the fields that they give, and no others.
async fn pipelines(cluster: &Cluster) -> Api<DynamicObject> {
    // An error says that there is one already.
    let _ = aws_lc_rs::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();
    Api::namespaced_with(client, "default", &ApiResource::erase::<IngestionPipeline>(&()))
}

fn object(value: &Value) -> DynamicObject {
    serde_json::from_value(value.clone()).unwrap()
}

/// What the API server says of a case, without keeping it.
async fn said(api: &Api<DynamicObject>, case: &Case) -> Result<(), kube::Error> {
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let mut new = object(&case.new);
    let Some(old) = &case.old else { return api.create(&dry, &new).await.map(drop) };
    let made = api.create(&PostParams::default(), &object(old)).await;
    let made = made.unwrap_or_else(|error| panic!("{old}: {error}"));
    let name = made.metadata.name.unwrap();
    new.metadata.resource_version = made.metadata.resource_version;
    let said = api.replace(&name, &dry, &new).await.map(drop);
    api.delete(&name, &DeleteParams::default()).await.unwrap();
    said
}

/// What is wrong with what is said of a case.
fn wrong(id: &str, case: &Case, said: Result<(), kube::Error>) -> Option<String> {
    match said.map_err(|error| error.to_string()) {
        Ok(()) if case.is_taken => None,
        Ok(()) => Some(format!("{id} is to refuse {case:?}")),
        Err(error) if case.is_taken => Some(format!("{id} is to take {case:?}: {error}")),
        Err(error) if error.contains(&format!("{id}: ")) => None,
        Err(error) => Some(format!("{id} is to refuse {case:?}, and what refuses is {error}")),
    }
}

#[tokio::test]
async fn each_rule_takes_and_refuses() {
    let cluster = started();
    let api = pipelines(&cluster).await;
    let mut all_wrong = Vec::new();
    for rule in SCHEMA_RULES {
        for case in (rule.cases)() {
            all_wrong.extend(wrong(rule.id, &case, said(&api, &case).await));
        }
    }
    assert!(all_wrong.is_empty(), "{}", all_wrong.join("\n"));
}
