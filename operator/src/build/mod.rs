//! From a plan to the objects that are applied. Pure: the same input, the same objects, and nothing here can
//! fail.
//!
//! ```text
//! volumes ──► uid of each ──► secrets ──► children
//! applied     observed        created     applied
//! ```
//!
//! The Secret of a managed store is named by the uid of its volume. Until that is known, the store and all
//! that mounts its Secret cannot be named, and [`children`] leaves them out: [`Input::missing`] says which
//! volumes those are.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;

use crate::child::Child;
use crate::names::{self, Part};
use crate::plan::{ManagedStore, Plan, Store};
use crate::resource::IngestionPipeline;

mod access;
mod account;
mod api;
mod config;
#[cfg(test)]
pub(crate) mod fixture;
mod hpa;
mod monitor;
mod neo4j;
mod network;
mod operator_keys;
mod pdb;
mod pod_template;
mod pods;
mod postgres;
mod redis;
mod s3;
mod secrets;
mod stores;
#[cfg(test)]
mod tests;
mod volumes;
mod worker;

pub use config::name as config_name;
pub use secrets::{api_key_secret, secrets};
pub use volumes::volumes;

/// Images of all parts. They come from the operator's own settings, never from the pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Images {
    /// Of workers and API.
    pub worker: String,
    /// Of the managed queue.
    pub redis: String,
    /// Of the managed ledger.
    pub postgres: String,
    /// Of the managed graph.
    pub neo4j: String,
    /// Of the managed store of objects.
    pub s3: String,
    /// When they are fetched; absent for Kubernetes' default.
    pub pull_policy: Option<String>,
    /// Secrets of the pipeline's namespace that they are fetched with.
    pub pull_secrets: Vec<String>,
}

/// What is known of a volume that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its uid.
    pub uid: String,
    /// What it was asked to hold, in MiB.
    pub storage_mib: u64,
    /// Its Secret was made.
    pub has_secret: bool,
}

/// All that objects are built from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What was declared.
    pub pipeline: &'a IngestionPipeline,
    /// What that comes to.
    pub plan: &'a Plan,
    /// What runs.
    pub images: &'a Images,
    /// Volumes that are there.
    pub volumes: &'a BTreeMap<Part, Volume>,
    /// Whether a HorizontalPodAutoscaler reads the operator's metric.
    pub hpa: bool,
    /// Workers that are asked of Kubernetes now. An autoscaler allows them, even where fewer are the most by now: they
    /// go when they are empty, and an autoscaler would not wait.
    pub workers_there: u32,
    /// Whether the cluster knows ServiceMonitor and PodMonitor.
    pub has_service_monitors: bool,
    /// Where the operator runs.
    pub operator_namespace: &'a str,
    /// Public keys of the operator's tokens.
    pub operator_keys_pem: &'a str,
}

impl<'a> Input<'a> {
    /// Managed stores whose volume is not known yet. While there are any, [`children`] is not all there is to
    /// be, and nothing may be removed for not being in it.
    pub fn missing(&self) -> Vec<Part> {
        let parts = self.managed().into_iter().map(|(part, _)| part);
        parts.filter(|part| !self.volumes.contains_key(part)).collect()
    }

    /// The pipeline's name.
    fn name(&self) -> &'a str {
        self.pipeline.metadata.name.as_deref().unwrap_or_default()
    }

    /// Stores that the operator runs.
    fn managed(&self) -> Vec<(Part, &'a ManagedStore)> {
        let plan = self.plan;
        let stores = [
            (Part::Redis, plan.queue.managed()),
            (Part::Postgres, plan.ledger.managed()),
            (Part::Neo4j, plan.graph.as_ref().and_then(Store::managed)),
            (Part::S3, plan.objects.managed()),
        ];
        stores.into_iter().filter_map(|(part, store)| Some((part, store?))).collect()
    }

    /// Name of the Secret of a managed store, once its volume is known.
    fn store_secret(&self, part: Part) -> Option<String> {
        self.volumes.get(&part).map(|volume| names::store_secret(self.name(), part, &volume.uid))
    }

    /// The pipeline as an owner. It blocks no deletion: what goes in the foreground does not wait for it.
    fn owner(&self) -> OwnerReference {
        OwnerReference {
            api_version: IngestionPipeline::api_version(&()).into_owned(),
            kind: IngestionPipeline::kind(&()).into_owned(),
            name: self.name().to_owned(),
            uid: self.pipeline.metadata.uid.clone().unwrap_or_default(),
            controller: Some(true),
            block_owner_deletion: Some(false),
        }
    }

    /// Metadata of an object that goes with the pipeline.
    fn meta(&self, name: String, labels: BTreeMap<String, String>) -> ObjectMeta {
        ObjectMeta { owner_references: Some(vec![self.owner()]), ..self.meta_without_owner(name, labels) }
    }

    /// Metadata of an object that stays.
    fn meta_without_owner(&self, name: String, labels: BTreeMap<String, String>) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: self.pipeline.metadata.namespace.clone(),
            labels: Some(labels),
            ..ObjectMeta::default()
        }
    }

    /// Metadata of a part's object, with the part's name.
    fn meta_of_part(&self, part: Part) -> ObjectMeta {
        self.meta(part.name(self.name()), names::part_labels(self.name(), part))
    }
}

/// Kinds in the order in which they are applied: what pods need comes before pods.
const ORDER: [&str; 10] = [
    "ServiceAccount",
    "ConfigMap",
    "NetworkPolicy",
    "Service",
    "StatefulSet",
    "Deployment",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
    "PodMonitor",
    "ServiceMonitor",
];

/// All objects but volumes and Secrets, in the order in which they are applied.
pub fn children(input: &Input<'_>) -> Vec<Child> {
    let mut all = vec![account::child(input), config::child(input), operator_keys::child(input)];
    for (part, store) in input.managed() {
        all.extend(match part {
            Part::Redis => redis::children(input, store),
            Part::Postgres => postgres::children(input, store),
            Part::Neo4j => neo4j::children(input, store),
            Part::S3 => s3::children(input, store),
            Part::Worker | Part::Api => Vec::new(),
        });
    }
    all.extend(worker::child(input));
    all.extend(api::children(input));
    all.extend(network::children(input));
    all.extend(pdb::children(input));
    all.extend(hpa::child(input));
    all.extend(monitor::children(input));
    all.sort_by_cached_key(|child| {
        let key = child.key();
        let place = ORDER.iter().position(|kind| *kind == key.kind).unwrap_or(ORDER.len());
        (place, key.clone())
    });
    all
}

/// A number of the plan as Kubernetes has it.
fn int(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
