//! The CustomResourceDefinition, made from the types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use super::IngestionPipeline;

/// The CustomResourceDefinition of [`IngestionPipeline`].
pub fn crd() -> CustomResourceDefinition {
    IngestionPipeline::crd()
}

/// The same as YAML, for people and `kubectl apply`.
pub fn crd_yaml() -> String {
    let head = "# Generated: UPDATE_REFERENCE=1 cargo test --package docmill-operator crd\n";
    format!("{head}{}", serde_saphyr::to_string(&crd()).expect("a definition is YAML"))
}
