//! Pods of workers and of the API: how many, what each may take, and what of a pod is a person's to choose.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Toleration, TopologySpreadConstraint};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::units::Quantity;

/// Pods that do the work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workers {
    /// How many there may be.
    #[serde(default)]
    pub replicas: Replicas,
    /// Documents that a worker does at once; without it, what is published for the instance type, else 4. Fewer where
    /// its memory is too little: 512 MiB for itself and for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 512))]
    pub concurrency: Option<u32>,
    /// What a worker asks for and may take; what is absent is sized from the node.
    #[serde(default)]
    pub resources: Resources,
    /// Room for files while they are worked on.
    #[serde(default)]
    pub scratch: Scratch,
    /// What else of the pods is to be otherwise.
    #[serde(default)]
    pub pod_template: PodTemplate,
}

/// How many workers there may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.min <= self.max")
    .message("IP-03: min must not be more than max; lower min or raise max").field_path(".min"))]
pub struct Replicas {
    /// Fewest; 0 lets an idle pipeline go to nothing. It is what `kubectl scale` writes.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10000))]
    pub min: u32,
    /// Most.
    #[serde(default = "fifty")]
    #[schemars(range(min = 1, max = 10000))]
    pub max: u32,
}

fn fifty() -> u32 {
    50
}

impl Default for Replicas {
    fn default() -> Self {
        Self { min: 0, max: fifty() }
    }
}

/// What a container asks for and may take.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What must be free for it on a node.
    #[serde(default)]
    pub requests: ResourceAmounts,
    /// What it may take at most.
    #[serde(default)]
    pub limits: ResourceAmounts,
}

/// Cores and memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceAmounts {
    /// Cores: `500m` is half of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
}

/// Room for files while they are worked on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scratch {
    /// Memory that serves as a file system; it counts as the worker's.
    #[serde(default = "two_gib")]
    pub tmpfs: Quantity,
}

fn two_gib() -> Quantity {
    Quantity("2Gi".into())
}

impl Default for Scratch {
    fn default() -> Self {
        Self { tmpfs: two_gib() }
    }
}

/// What of a pod is a person's to choose. Images, commands, volumes and accounts are not: whoever may create a
/// pipeline may use the Secrets that it names, and no more.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Labels beside docmill's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: BTreeMap<String, String>,
    /// Annotations beside docmill's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that are put up with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub tolerations: Vec<Toleration>,
    /// How pods are spread; without it, over nodes where that is possible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 8))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// The pods' priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub priority_class_name: Option<String>,
}

/// Pods that people and programs ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Api {
    /// How many.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 100))]
    pub replicas: u32,
    /// Requests that each works on at once; without it, what the instance type is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 512))]
    pub workers: Option<u32>,
    /// What each asks for and may take; what is absent is sized from the node.
    #[serde(default)]
    pub resources: Resources,
    /// What else of the pods is to be otherwise.
    #[serde(default)]
    pub pod_template: PodTemplate,
}

fn two() -> u32 {
    2
}

impl Default for Api {
    fn default() -> Self {
        Self {
            replicas: two(),
            workers: None,
            resources: Resources::default(),
            pod_template: PodTemplate::default(),
        }
    }
}
