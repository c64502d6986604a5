//! The CustomResourceDefinition, made from the types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use super::IngestionPipeline;

/// The CustomResourceDefinition of [`IngestionPipeline`].
pub fn crd() -> CustomResourceDefinition {
    IngestionPipeline::crd()
}
