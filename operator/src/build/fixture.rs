//! Two pipelines for tests: one whose stores are all managed, one whose stores are all somebody else's.

use std::collections::BTreeMap;

use docmill_core::scale::Policy;
use docmill_core::sizing::neo4j::Memory;
use docmill_core::sizing::{Documents, Fit, Node, Resources};

use super::{Images, Input, Volume};
use crate::names::Part;
use crate::plan::{AskTimes, Bounds, ManagedStore, Plan, Store};
use crate::resource::{
    AskModel, Credentials, ExternalPostgres, ExternalRedis, ExternalS3, IngestionPipeline,
    IngestionPipelineSpec, SecretKey,
};

/// UID of both pipelines.
pub(crate) const UID: &str = "0a1b2c3d-0000-4000-8000-000000000001";

/// What an [`Input`] borrows.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) pipeline: IngestionPipeline,
    pub(crate) plan: Plan,
    pub(crate) images: Images,
    pub(crate) volumes: BTreeMap<Part, Volume>,
}

impl World {
    /// With an autoscaler and with monitors.
    pub(crate) fn input(&self) -> Input<'_> {
        Input {
            pipeline: &self.pipeline,
            plan: &self.plan,
            images: &self.images,
            volumes: &self.volumes,
            hpa: true,
            workers_there: 0,
            has_service_monitors: true,
            operator_namespace: "docmill-system",
            operator_keys_pem: "-----BEGIN PUBLIC KEY-----\n",
        }
    }
}

/// All stores are managed, and all volumes known: their uids are `redis-uid` and so on.
pub(crate) fn managed() -> World {
    let volumes = [(Part::Redis, 10), (Part::Postgres, 20), (Part::Neo4j, 20), (Part::S3, 50)];
    let volume = |(part, gib): (Part, u64)| {
        (part, Volume { uid: format!("{part}-uid"), storage_mib: gib * 1_024, has_secret: false })
    };
    World {
        pipeline: pipeline("knowbase"),
        plan: plan(),
        images: images(),
        volumes: volumes.into_iter().map(volume).collect(),
    }
}

/// All stores are external, and the graph is in the ledger's server.
pub(crate) fn external() -> World {
    let key = |name: &str, key: Option<&str>| SecretKey { name: name.into(), key: key.map(Into::into) };
    let queue = ExternalRedis {
        url: "rediss://queue.example:6379".into(),
        username: None,
        secret_ref: Some(key("queue", None)),
        ca_secret_ref: Some(key("queue", None)),
    };
    let ledger = ExternalPostgres {
        url: "postgresql://ledger.example/docmill".into(),
        username: Some("mill".into()),
        secret_ref: Some(key("ledger", Some("word"))),
        ca_secret_ref: None,
    };
    let objects = ExternalS3 {
        bucket: "letters".into(),
        endpoint: None,
        region: Some("eu-west-1".into()),
        prefix: None,
        secret_ref: Some(Credentials {
            name: "bucket".into(),
            access_key_id_key: Some("id".into()),
            secret_access_key_key: None,
        }),
        ca_secret_ref: None,
        allow_http: false,
    };
    World {
        pipeline: pipeline("letters"),
        plan: Plan {
            queue: Store::External(queue),
            ledger: Store::External(ledger),
            graph: None,
            neo4j: None,
            objects: Store::External(objects),
            ..plan()
        },
        images: images(),
        volumes: BTreeMap::new(),
    }
}

/// A model that writes answers, without a key.
pub(crate) fn model() -> AskModel {
    serde_json::from_str(r#"{"url": "https://models.example/v1", "name": "small"}"#).unwrap()
}

fn pipeline(name: &str) -> IngestionPipeline {
    let mut pipeline = IngestionPipeline::new(name, IngestionPipelineSpec::default());
    pipeline.metadata.namespace = Some("archive".into());
    pipeline.metadata.uid = Some(UID.into());
    pipeline
}

fn images() -> Images {
    Images {
        worker: "example.test/docmill-worker:1".into(),
        redis: "redis:7".into(),
        postgres: "pgvector/pgvector:pg16".into(),
        neo4j: "neo4j:5.26-community".into(),
        s3: "versity/versitygw:v1".into(),
        pull_policy: Some("IfNotPresent".into()),
        pull_secrets: vec!["registry".into()],
    }
}

/// As of a c5.4xlarge.
fn plan() -> Plan {
    let capacity = Resources { cpu_milli: 16_000, memory_mib: 32_768 };
    Plan {
        node: Node::of_capacity(capacity),
        node_name: "c5.4xlarge".into(),
        fit: Fit::OneNode,
        workers_sized: 8,
        policy: Policy::default(),
        worker: bounds((1_000, 2_048), (1_500, 3_072)),
        slots: 4,
        extractor_mib: 640,
        scratch_mib: 2_048,
        api: bounds((1_000, 1_024), (8_000, 8_192)),
        api_replicas: 2,
        api_workers: 12,
        documents: Documents { file_mib: 500, pages: 1_000 },
        page_ms: 60_000,
        document_ms: 7_200_000,
        ask: AskTimes { cache_ttl_s: 300, model: None, mock_model_delay_ms: 0 },
        queue: Store::Managed(store(10, bounds((50, 128), (2_000, 1_024)))),
        ledger: Store::Managed(store(20, bounds((50, 128), (2_000, 1_024)))),
        graph: Some(Store::Managed(store(20, bounds((500, 8_192), (4_000, 8_192))))),
        neo4j: Some(Memory {
            total_mib: 8_192,
            heap_initial_mib: 2_048,
            heap_max_mib: 2_048,
            page_cache_mib: 4_096,
        }),
        neo4j_connections: 100,
        objects: Store::Managed(store(50, bounds((50, 128), (2_000, 1_024)))),
        budgets: Vec::new(),
    }
}

fn bounds(requests: (u64, u64), limits: (u64, u64)) -> Bounds {
    let resources = |(cpu_milli, memory_mib)| Resources { cpu_milli, memory_mib };
    Bounds { requests: resources(requests), limits: resources(limits) }
}

fn store(storage_gib: u64, bounds: Bounds) -> ManagedStore {
    ManagedStore { storage_mib: storage_gib * 1_024, storage_class: None, bounds }
}
