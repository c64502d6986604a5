//! The operator's command line. Each option has a variable of the same name with `DOCMILL_` before it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Turns IngestionPipelines into running pipelines that scale on queue depth.
#[derive(Debug, Parser)]
#[command(name = "docmill-operator", version)]
pub struct Args {
    /// What to do in place of running
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Namespace of the operator itself
    #[arg(long, env = "DOCMILL_NAMESPACE", default_value = "docmill-system")]
    pub namespace: String,
    /// Only namespace whose pipelines are looked after; all without it
    #[arg(long, env = "DOCMILL_WATCH_NAMESPACE")]
    pub watch_namespace: Option<String>,
    /// Name of this pod
    #[arg(long, env = "POD_NAME", default_value = "docmill-operator")]
    pub pod_name: String,
    /// Image of workers and API
    #[arg(long, env = "DOCMILL_WORKER_IMAGE", default_value = concat!("docmill/worker:", env!("CARGO_PKG_VERSION")))]
    pub worker_image: String,
    /// Image of the managed queue
    #[arg(long, env = "DOCMILL_REDIS_IMAGE", default_value = "redis:7.4")]
    pub redis_image: String,
    /// Image of the managed ledger
    #[arg(long, env = "DOCMILL_POSTGRES_IMAGE", default_value = "pgvector/pgvector:pg16")]
    pub postgres_image: String,
    /// Image of the managed graph
    #[arg(long, env = "DOCMILL_NEO4J_IMAGE", default_value = "neo4j:5.26-community")]
    pub neo4j_image: String,
    /// Image of the managed store of objects
    #[arg(long, env = "DOCMILL_S3_IMAGE", default_value = "versity/versitygw:v1.8.0")]
    pub s3_image: String,
    /// When images are fetched: Always, IfNotPresent or Never; Kubernetes' default without it
    #[arg(long, env = "DOCMILL_IMAGE_PULL_POLICY")]
    pub image_pull_policy: Option<String>,
    /// Secret of the pipeline's namespace that images are fetched with; may be repeated
    #[arg(long = "image-pull-secret", env = "DOCMILL_IMAGE_PULL_SECRETS", value_delimiter = ',')]
    pub image_pull_secrets: Vec<String>,
    /// Where the Secret docmill-operator-certificates is mounted
    #[arg(long, env = "DOCMILL_CERTIFICATES_DIR", default_value = "/run/secrets/docmill-operator")]
    pub certificates_dir: PathBuf,
    /// Service that the metrics API is reached by; without it there is no metrics API
    #[arg(long, env = "DOCMILL_METRICS_API_SERVICE")]
    pub metrics_api_service: Option<String>,
    /// ClusterRole that owns the APIService, so that it goes when the chart goes
    #[arg(long, env = "DOCMILL_OWNER_CLUSTER_ROLE", requires = "metrics_api_service")]
    pub owner_cluster_role: Option<String>,
    /// Where health and metrics of the operator itself are answered
    #[arg(long, env = "DOCMILL_HEALTH_LISTEN", default_value = "0.0.0.0:8080")]
    pub health_listen: SocketAddr,
    /// Where the metrics API listens
    #[arg(long, env = "DOCMILL_METRICS_API_LISTEN", default_value = "0.0.0.0:6443")]
    pub metrics_api_listen: SocketAddr,
    /// Where pipelines are asked, `{pipeline}` and `{namespace}` being filled in
    #[arg(
        long,
        env = "DOCMILL_PIPELINE_URL",
        default_value = "http://{pipeline}-api-internal.{namespace}.svc:8082"
    )]
    pub pipeline_url: String,
    /// Time between two observations of a pipeline, in milliseconds
    #[arg(long, env = "DOCMILL_OBSERVE_EVERY_MS", default_value_t = 250, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub observe_every_ms: u64,
    /// Looks at pipelines at once
    #[arg(long, env = "DOCMILL_CONCURRENCY", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
    /// Time between two looks at all pipelines, in milliseconds; for tests, as everything is looked at when it changes
    #[arg(long, env = "DOCMILL_RESYNC_MS", hide = true, value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    pub resync_ms: Option<u64>,
    /// What is logged, such as info or docmill_operator=debug
    #[arg(long, env = "DOCMILL_LOG", default_value = "info")]
    pub log: String,
}

/// What to do in place of running.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the CustomResourceDefinition as YAML
    Crd,
}
