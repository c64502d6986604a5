//! What managed stores have in common: one pod on one volume, and a Service.
//!
//! No store has a liveness probe: what is slow under load or replays a log would be killed for it, and what
//! is dead has ended anyhow, which Kubernetes sees without asking.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, PodSpec, PodTemplateSpec, Service, ServiceSpec, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Input, api, pods};
use crate::child::{Child, short_hash};
use crate::names::{self, Part};

/// The annotation that rolls a pod when the files of its ConfigMap change.
const CONFIG_HASH: &str = "docmill.dev/config-hash";
/// Time to end, in seconds. What is cut off replays its log at the next start.
const END_S: i64 = 45;
/// Name of the volume with the data.
pub(super) const DATA: &str = "data";
/// Name of the volume with the ConfigMap.
pub(super) const CONFIG: &str = "config";
/// Name of the volume with the Secret.
pub(super) const SECRET: &str = "secret";

/// What is a store's own.
pub(super) struct Pod {
    /// Which.
    pub(super) part: Part,
    /// User and group of its image.
    pub(super) user: i64,
    /// What runs.
    pub(super) container: Container,
    /// What runs before.
    pub(super) init: Vec<Container>,
    /// Volumes beside the data and the ConfigMap.
    pub(super) volumes: Vec<Volume>,
    /// Files of its ConfigMap, if it has one.
    pub(super) config: BTreeMap<String, String>,
}

/// The Service of a store, named like the store.
pub(super) fn service(input: &Input<'_>, part: Part, port_name: &str, port: i32) -> Child {
    Child::of(&Service {
        metadata: input.meta_of_part(part),
        spec: Some(ServiceSpec {
            ports: Some(vec![api::service_port(port_name, port)]),
            selector: Some(names::selector(input.name(), part)),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    })
}

/// The ConfigMap of a store, named like the store.
pub(super) fn config_map(input: &Input<'_>, part: Part, files: &BTreeMap<String, String>) -> Child {
    Child::of(&ConfigMap {
        metadata: input.meta_of_part(part),
        data: Some(files.clone()),
        ..ConfigMap::default()
    })
}

/// The StatefulSet of a store. The volume is no template of it: it is there before, and stays after.
pub(super) fn stateful_set(input: &Input<'_>, pod: Pod) -> Child {
    let Pod { part, user, container, init, mut volumes, config } = pod;
    let claim = names::volume(input.name(), part);
    volumes.push(pods::claim_volume(DATA, &claim));
    let mut annotations = None;
    if !config.is_empty() {
        volumes.push(pods::config_volume(CONFIG, &part.name(input.name())));
        let text: Vec<String> = config.iter().map(|(name, text)| format!("{name}\n{text}")).collect();
        annotations = Some(BTreeMap::from([(CONFIG_HASH.to_owned(), short_hash(&text.concat()))]));
    }
    let spec = PodSpec {
        init_containers: (!init.is_empty()).then_some(init),
        volumes: Some(volumes),
        ..pods::spec(input, user, END_S, container)
    };
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            annotations,
            labels: Some(names::part_labels(input.name(), part)),
            ..ObjectMeta::default()
        }),
        spec: Some(spec),
    };
    Child::of(&StatefulSet {
        metadata: input.meta_of_part(part),
        spec: Some(StatefulSetSpec {
            replicas: Some(1),
            revision_history_limit: Some(super::worker::HISTORY),
            selector: pods::selector(input, part),
            service_name: Some(part.name(input.name())),
            template,
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    })
}

/// Where a store has its Secret's files.
pub(super) fn secret_mount(part: Part) -> VolumeMount {
    pods::mount_read_only(SECRET, &super::access::folder(part))
}
