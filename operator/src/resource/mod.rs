//! The resource `IngestionPipeline`: what a person declares, and what is told back.
//!
//! Every field that is absent has a default: a fixed one in the schema, or one that sizing derives from the node.
//! Rules that need nothing but the resource are CEL in the schema (`IP-…`); what needs the catalogue or the cluster
//! is [`crate::plan::make()`]'s (`VP-…`). Both are listed in `docs/reference/validation.md`.

mod ask;
mod autoscaling;
mod classify;
mod condition;
mod memory;
#[doc(hidden)]
pub mod rules;
mod schema;
mod spec;
mod status;
mod stores;
mod units;
mod workers;

pub use ask::{Ask, AskBenchmark, AskModel};
pub use autoscaling::{Autoscaling, MetricsProvider, Provider, RateLimit};
pub use classify::{Category, Classify};
pub use condition::{Condition, ConditionKind};
pub use memory::{Memory, Neo4jMemory};
pub use schema::{crd, crd_yaml};
pub use spec::{
    Capacity, Concepts, DeletionPolicy, Embeddings, Extract, ExtractLimits, IngestionPipeline,
    IngestionPipelineSpec, ModelProvider, Ocr, Sandbox, ServiceAccount,
};
pub use status::{
    DepthStatus, IngestionPipelineStatus, LastGood, Neo4jStatus, PlanStatus, ReasonStatus, ScalingStatus,
    WorkersStatus,
};
pub use stores::{
    Credentials, ExternalNeo4j, ExternalPostgres, ExternalRedis, ExternalS3, Graph, GraphStore, Ledger,
    LedgerStore, Managed, ManagedNeo4j, Nothing, ObjectStore, Objects, Queue, QueueStore, SecretKey,
    Stores,
};
pub use units::{Duration, Quantity};
pub use workers::{Api, PodTemplate, Replicas, ResourceAmounts, Resources, Scratch, Workers};
