//! What a person declares.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ask::Ask;
use super::autoscaling::{Autoscaling, RateLimit};
use super::classify::Classify;
use super::memory::Memory;
use super::status::IngestionPipelineStatus;
use super::stores::{Queue, SecretKey, Stores};
use super::units::{Duration, Quantity};
use super::workers::{Api, Workers};

/// A pipeline that turns piles of documents into a searchable knowledge base.
#[derive(Debug, Clone, Default, PartialEq, CustomResource, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "docmill.dev",
    version = "v1alpha1",
    kind = "IngestionPipeline",
    plural = "ingestionpipelines",
    singular = "ingestionpipeline",
    shortname = "ingp",
    category = "docmill",
    namespaced,
    status = "IngestionPipelineStatus",
    derive = "PartialEq",
    derive = "Default",
    cel,
    doc = "A pipeline that turns piles of documents into a searchable knowledge base.",
    scale(
        spec_replicas_path = ".spec.workers.replicas.min",
        status_replicas_path = ".status.workers.replicas",
        label_selector_path = ".status.workers.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Workers", type_ = "integer", json_path = ".status.workers.replicas"),
    printcolumn(name = "Depth", type_ = "integer", json_path = ".status.depth.total"),
    printcolumn(name = "Rate", type_ = "string", json_path = ".status.rate", description = "Documents a minute"),
    printcolumn(name = "Reason", type_ = "string", priority = 1, json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z][a-z0-9-]*[a-z0-9]$')")
        .message("IP-01: the name is 2 to 40 of a-z, 0-9 and '-', beginning with a letter: names of parts are made of it")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.instanceType) && has(self.capacity))")
    .message("IP-02: give instanceType or capacity, not both"))]
pub struct IngestionPipelineSpec {
    /// Type of the nodes, such as `c5.4xlarge`: everything below has a default from it. Without it and without
    /// `capacity`, the smallest node of the cluster is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub instance_type: Option<String>,
    /// What a node has, in place of `instanceType`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// While true, no worker runs and nothing is scaled; uploads are taken.
    #[serde(default)]
    pub paused: bool,
    /// What becomes of the volumes of managed stores when the pipeline is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Pods that do the work.
    #[serde(default)]
    pub workers: Workers,
    /// How memory is split.
    #[serde(default)]
    pub memory: Memory,
    /// How the number of workers follows the queue.
    #[serde(default)]
    pub autoscaling: Autoscaling,
    /// The queue.
    #[serde(default)]
    pub queue: Queue,
    /// What is kept.
    #[serde(default)]
    pub stores: Stores,
    /// How documents are read.
    #[serde(default)]
    pub extract: Extract,
    /// Who makes vectors.
    #[serde(default)]
    pub embeddings: Embeddings,
    /// Who finds concepts.
    #[serde(default)]
    pub concepts: Concepts,
    /// How documents get their categories.
    #[serde(default)]
    pub classify: Classify,
    /// How questions are answered.
    #[serde(default)]
    pub ask: Ask,
    /// What accounts of models may be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 16, "x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["provider"]))]
    pub rate_limits: Vec<RateLimit>,
    /// Pods that people and programs ask.
    #[serde(default)]
    pub api: Api,
    /// The account that workers and API run as.
    #[serde(default)]
    pub service_account: ServiceAccount,
}

/// What a node has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// Cores.
    pub cpu: Quantity,
    /// Memory.
    pub memory: Quantity,
}

/// What becomes of the volumes of managed stores when the pipeline is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They stay: the same pipeline applied again finds its data.
    #[default]
    Retain,
    /// They go with it.
    Delete,
}

/// How documents are read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Extract {
    /// How pages without text are read.
    #[serde(default)]
    pub ocr: Ocr,
    /// What is refused.
    #[serde(default)]
    pub limits: ExtractLimits,
    /// How much of their sandbox extractors need.
    #[serde(default)]
    pub sandbox: Sandbox,
    /// Passwords that encrypted documents are tried with: one a line, up to 64. Workers, and API pods, which draw
    /// pages, read them at their start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passwords_secret_ref: Option<SecretKey>,
}

/// How much of their sandbox extractors need. (`Off` would be a truth value where YAML is read as it was.)
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Sandbox {
    /// All of it: on a node that lacks a piece no worker works.
    #[default]
    Required,
    /// What the node has.
    BestEffort,
    /// None: limits alone.
    Disabled,
}

/// How pages without text are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ocr {
    /// Languages by Tesseract's names, such as `jpn` and `eng`; none: found out for each document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 8, "x-kubernetes-list-type" = "set"), inner(length(min = 3, max = 16), pattern("^[a-z_]+$")))]
    pub languages: Vec<String>,
    /// Resolution at which pages are recognised, in dots an inch.
    #[serde(default = "two_hundred")]
    #[schemars(range(min = 50, max = 1200))]
    pub dpi: u32,
}

fn two_hundred() -> u32 {
    200
}

impl Default for Ocr {
    fn default() -> Self {
        Self { languages: Vec::new(), dpi: two_hundred() }
    }
}

/// What is refused or given up. Without `maxFileMib` and `maxPages`: 500 MiB and 1,000 pages from 8 cores on, else 200
/// MiB and 500 pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("duration(self.pageTimeout) >= duration('1s') && \
        duration(self.pageTimeout) <= duration('150s')")
        .message("IP-23: pageTimeout is 1s to 150s").field_path(".pageTimeout"),
    validation = Rule::new("duration(self.documentTimeout) >= duration(self.pageTimeout) && \
        duration(self.documentTimeout) <= duration('24h')")
        .message("IP-24: documentTimeout is pageTimeout to 24h").field_path(".documentTimeout"),
)]
pub struct ExtractLimits {
    /// Largest file, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1048576))]
    pub max_file_mib: Option<u32>,
    /// Most pages of a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000))]
    pub max_pages: Option<u32>,
    /// Most text of a document, in MiB.
    #[serde(default = "sixty_four")]
    #[schemars(range(min = 1, max = 1048576))]
    pub max_text_mib: u32,
    /// Most pages of a document over which extractors may end; one more and the document fails.
    #[serde(default = "three")]
    #[schemars(range(min = 0, max = 1000000))]
    pub max_lost_pages: u32,
    /// Longest time without a finished page.
    #[serde(default = "one_minute")]
    pub page_timeout: Duration,
    /// Longest extraction of a document.
    #[serde(default = "two_hours")]
    pub document_timeout: Duration,
}

fn sixty_four() -> u32 {
    64
}

fn three() -> u32 {
    3
}

fn one_minute() -> Duration {
    Duration("60s".into())
}

fn two_hours() -> Duration {
    Duration("2h".into())
}

impl Default for ExtractLimits {
    fn default() -> Self {
        Self {
            max_file_mib: None,
            max_pages: None,
            max_text_mib: sixty_four(),
            max_lost_pages: three(),
            page_timeout: one_minute(),
            document_timeout: two_hours(),
        }
    }
}

/// Who makes vectors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Embeddings {
    /// Whose model.
    #[serde(default)]
    pub provider: ModelProvider,
}

/// Who finds concepts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Concepts {
    /// Whose model.
    #[serde(default)]
    pub provider: ModelProvider,
}

/// Whose model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ModelProvider {
    /// The one that comes with a worker; it asks nobody.
    #[default]
    Builtin,
}

/// The account that workers and API run as. No token of it is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccount {
    /// Annotations, such as the role of a cloud that the account stands for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub annotations: BTreeMap<String, String>,
}
