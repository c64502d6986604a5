//! The account of workers and API: an identity at a cloud, if any. Kubernetes gives it no right and mounts no
//! token.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Input;
use crate::child::Child;
use crate::names;

/// The account, named like the pipeline.
pub(super) fn child(input: &Input<'_>) -> Child {
    let annotations = &input.pipeline.spec.service_account.annotations;
    let meta = input.meta(input.name().to_owned(), names::labels(input.name()));
    Child::of(&ServiceAccount {
        metadata: ObjectMeta {
            annotations: (!annotations.is_empty()).then(|| annotations.clone()),
            ..meta
        },
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    })
}
