//! What is told back. It is written only when it differs; numbers that move all the time are written rarely.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;

/// How a pipeline is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngestionPipelineStatus {
    /// The generation that this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 16, "x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// What was sized, and from what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanStatus>,
    /// The workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<WorkersStatus>,
    /// What is to do; absent while it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<DepthStatus>,
    /// Documents a minute, all workers together: of the last minute, rounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// How many workers there are to be, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingStatus>,
    /// Memory of the managed Neo4j, asked for and in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neo4j: Option<Neo4jStatus>,
    /// The last state in which all was ready; what fails later goes back to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good: Option<LastGood>,
}

/// What was sized, and from what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStatus {
    /// What it was sized for: an instance type, or cores and memory.
    pub node: String,
    /// `OneNode` or `SpreadNeeded`.
    pub fit: String,
    /// Nodes of this size that the requests take, with as many workers as were sized.
    pub nodes: u32,
    /// Workers that nodes of this number carry.
    pub workers: u32,
    /// What a worker asks for, and may take: `1/2Gi, at most 1500m/3Gi`.
    pub worker: String,
    /// Documents that a worker does at once: as many as are asked for, or as its memory has room for.
    pub concurrency: u32,
    /// What an API pod asks for, and may take.
    pub api: String,
    /// Requests that an API pod works on at once.
    pub api_workers: u32,
}

/// The workers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkersStatus {
    /// Pods that there are.
    pub replicas: i32,
    /// Pods that are ready: started and not drained.
    pub ready: i32,
    /// The pods' labels, for tools that select by them.
    pub selector: String,
}

/// What is to do, in documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DepthStatus {
    /// All of it.
    #[schemars(extend("format" = "int64"))]
    pub total: u64,
    /// Nobody has it.
    #[schemars(extend("format" = "int64"))]
    pub waiting: u64,
    /// A worker has it.
    #[schemars(extend("format" = "int64"))]
    pub in_flight: u64,
    /// Delayed, and its time is near.
    #[schemars(extend("format" = "int64"))]
    pub due: u64,
}

/// How many workers there are to be, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingStatus {
    /// Workers that there are to be.
    pub desired: u32,
    /// The value of the metric that a HorizontalPodAutoscaler reads.
    #[schemars(extend("format" = "int64"))]
    pub metric: u64,
    /// Who scales: `Builtin` or `Direct`.
    pub provider: String,
    /// When this was last found so, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<String>,
    /// Why, in the order in which it came about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub reasons: Vec<ReasonStatus>,
}

/// A reason of a decision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReasonStatus {
    /// The same whatever its numbers.
    pub code: String,
    /// A sentence with the numbers.
    pub message: String,
}

/// Memory of the managed Neo4j.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Neo4jStatus {
    /// What was asked for: all of it, heap at the start, largest heap, page cache.
    pub asked: String,
    /// What the server reports; absent while it does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<String>,
}

/// The last state in which all was ready.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastGood {
    /// Its generation.
    pub generation: i64,
    /// Its ConfigMap.
    pub config: String,
    /// Image of its workers and API.
    pub image: String,
}
