//! What a pipeline comes to on its nodes: every default worked out. Pure: the same resource and facts, the same plan.

use docmill_core::scale::{ModelBudget, Policy};
use docmill_core::sizing::neo4j::Memory;
use docmill_core::sizing::{Documents, Fit, Node, Resources};

use crate::resource::{
    Credentials, ExternalNeo4j, ExternalPostgres, ExternalRedis, ExternalS3, IngestionPipelineSpec,
};

mod ask;
mod check;
mod classify;
mod make;
mod problem;
mod read;
#[cfg(test)]
mod tests;

pub use make::make;
pub use problem::{PLAN_RULES, PlanRule, Problem};

/// What one container asks for and may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// What must be free for it on a node.
    pub requests: Resources,
    /// What it may take at most.
    pub limits: Resources,
}

/// A pipeline with every default worked out.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The node that it was sized for.
    pub node: Node,
    /// What it was sized for, in words: an instance type, or cores and memory.
    pub node_name: String,
    /// Whether one node is enough.
    pub fit: Fit,
    /// Workers that the node carries.
    pub workers_sized: u32,
    /// How the number of workers is decided. Of a paused pipeline: down to none.
    pub policy: Policy,
    /// Of a worker.
    pub worker: Bounds,
    /// Documents that a worker does at once: as many as are asked for, or as its memory has room for.
    pub slots: u32,
    /// Address space of an extractor, in MiB.
    pub extractor_mib: u64,
    /// Room for files of a worker, in MiB of memory; part of what it may take.
    pub scratch_mib: u64,
    /// Of an API pod.
    pub api: Bounds,
    /// API pods.
    pub api_replicas: u32,
    /// Requests that each works on at once.
    pub api_workers: u32,
    /// Largest documents.
    pub documents: Documents,
    /// Longest time of a document without a finished page, in milliseconds.
    pub page_ms: u64,
    /// Longest extraction of a document, in milliseconds.
    pub document_ms: u64,
    /// Times of answers.
    pub ask: AskTimes,
    /// The queue.
    pub queue: Store<ExternalRedis>,
    /// The ledger.
    pub ledger: Store<ExternalPostgres>,
    /// The graph; absent where it is in the ledger's server.
    pub graph: Option<Store<ExternalNeo4j>>,
    /// Memory of a managed Neo4j.
    pub neo4j: Option<Memory>,
    /// Connections of a worker to Neo4j.
    pub neo4j_connections: u32,
    /// Uploaded files.
    pub objects: Store<ExternalS3>,
    /// What models allow, as the worker's configuration names it.
    pub budgets: Vec<ModelBudget>,
}

/// Times of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskTimes {
    /// How long an answer is remembered after its last use, in seconds.
    pub cache_ttl_s: u64,
    /// Of the model; absent where there is none.
    pub model: Option<ModelTimes>,
    /// How long the stand-in for it waits before each word, in milliseconds.
    pub mock_model_delay_ms: u64,
}

/// How long a model may take, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelTimes {
    /// Until there is a connection.
    pub connect_ms: u64,
    /// Until the first words of an answer.
    pub first_token_ms: u64,
    /// From some words to the next.
    pub idle_ms: u64,
    /// Until the end of an answer.
    pub total_ms: u64,
}

/// A store: made and kept by the operator, or somebody else's.
#[derive(Debug, Clone, PartialEq)]
pub enum Store<E> {
    /// One pod with a volume.
    Managed(ManagedStore),
    /// An address and a Secret.
    External(E),
}

/// One pod with a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedStore {
    /// Size of its volume, in MiB.
    pub storage_mib: u64,
    /// Storage class; absent for the cluster's default.
    pub storage_class: Option<String>,
    /// Of its container.
    pub bounds: Bounds,
}

impl<E> Store<E> {
    /// What is managed of it.
    pub fn managed(&self) -> Option<&ManagedStore> {
        match self {
            Self::Managed(managed) => Some(managed),
            Self::External(_) => None,
        }
    }
}

/// Keys of a Secret of an external bucket: the id's and the secret's.
pub fn bucket_keys(credentials: &Credentials) -> (&str, &str) {
    (
        credentials.access_key_id_key.as_deref().unwrap_or("accessKeyId"),
        credentials.secret_access_key_key.as_deref().unwrap_or("secretAccessKey"),
    )
}

/// Whether the graph is in Neo4j that the operator runs.
pub fn has_managed_neo4j(spec: &IngestionPipelineSpec) -> bool {
    let graph = &spec.stores.graph;
    match (&graph.neo4j, &graph.postgres) {
        (Some(neo4j), _) => neo4j.external.is_none(),
        (None, postgres) => postgres.is_none(),
    }
}
