//! The public keys that API pods check the operator's tokens with. They change while pods run, which see the
//! change.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::Input;
use crate::child::Child;
use crate::names::{self, Part};

/// Key of the file.
pub(super) const KEYS: &str = "keys.pem";

/// The ConfigMap of the keys.
pub(super) fn child(input: &Input<'_>) -> Child {
    let labels = names::part_labels(input.name(), Part::Api);
    Child::of(&ConfigMap {
        metadata: input.meta(names::operator_keys(input.name()), labels),
        data: Some(BTreeMap::from([(KEYS.to_owned(), input.operator_keys_pem.to_owned())])),
        ..ConfigMap::default()
    })
}
