//! The queue and the stores: each is managed (one pod with a volume) or external (an address and a Secret).

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::units::Quantity;
use super::workers::Resources;

/// The queue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// In Redis.
    #[serde(default)]
    pub redis: QueueStore,
}

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stores {
    /// What happens to every document, texts and vectors.
    #[serde(default)]
    pub ledger: Ledger,
    /// Concepts and how they belong together.
    #[serde(default)]
    pub graph: Graph,
    /// What was uploaded.
    #[serde(default)]
    pub objects: Objects,
}

/// What happens to every document, texts and vectors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// In PostgreSQL with pgvector.
    #[serde(default)]
    pub postgres: LedgerStore,
}

/// Concepts and how they belong together. Without either: a managed Neo4j.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.neo4j) && has(self.postgres))")
        .message("IP-06: the graph is in neo4j or in postgres, not in both"),
    validation = Rule::new("has(self.postgres) == has(oldSelf.postgres) && \
        (has(self.neo4j) && has(self.neo4j.external)) == (has(oldSelf.neo4j) && has(oldSelf.neo4j.external))")
        .message("IP-19: the graph stays where it is: concepts would be left behind; make another pipeline"),
)]
pub struct Graph {
    /// In Neo4j.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neo4j: Option<GraphStore>,
    /// In the ledger's PostgreSQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<Nothing>,
}

/// Nothing more to say: `{}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Nothing {}

/// What was uploaded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Objects {
    /// In a bucket.
    #[serde(default)]
    pub s3: ObjectStore,
}

macro_rules! one_of {
    ($(#[$doc:meta])* $name:ident, $managed:ty, $external:ty, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
        #[serde(rename_all = "camelCase")]
        #[x_kube(
            validation = Rule::new("!(has(self.managed) && has(self.external))").message($rule),
            validation = Rule::new("has(self.external) == has(oldSelf.external)").message(
                "IP-07: what is managed stays managed, and what is external stays external: data would be left behind; make another pipeline"
            ),
        )]
        pub struct $name {
            /// A pod with a volume, made and kept by the operator; the default.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub managed: Option<$managed>,
            /// A server of your own.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub external: Option<$external>,
        }
    };
}

one_of!(
    /// Redis: managed or external.
    QueueStore, Managed, ExternalRedis,
    "IP-04: queue.redis is managed or external, not both"
);
one_of!(
    /// PostgreSQL: managed or external.
    LedgerStore, Managed, ExternalPostgres,
    "IP-05: stores.ledger.postgres is managed or external, not both"
);
one_of!(
    /// Neo4j: managed or external.
    GraphStore, ManagedNeo4j, ExternalNeo4j,
    "IP-08: stores.graph.neo4j is managed or external, not both"
);
one_of!(
    /// S3: managed or external.
    ObjectStore, Managed, ExternalS3,
    "IP-09: stores.objects.s3 is managed or external, not both"
);

/// A server that the operator runs: one pod, one volume that may grow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.storage) || !has(oldSelf.storage) || \
        quantity(self.storage).compareTo(quantity(oldSelf.storage)) >= 0")
        .message("IP-16: a volume grows and never shrinks; give at least what it has").field_path(".storage"),
    validation = Rule::new("has(self.storageClassName) == has(oldSelf.storageClassName) && \
        (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)")
        .message("IP-17: the storage class of a volume does not change"),
)]
pub struct Managed {
    /// Size of its volume; without it 10Gi for Redis, 20Gi for PostgreSQL, 50Gi for S3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Quantity>,
    /// Storage class of its volume; without it, the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// What it asks for and may take.
    #[serde(default)]
    pub resources: Resources,
}

/// A Neo4j that the operator runs: one pod, one volume that may grow. Its memory is `memory.neo4j`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.storage) || !has(oldSelf.storage) || \
        quantity(self.storage).compareTo(quantity(oldSelf.storage)) >= 0")
        .message("IP-16: a volume grows and never shrinks; give at least what it has").field_path(".storage"),
    validation = Rule::new("has(self.storageClassName) == has(oldSelf.storageClassName) && \
        (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)")
        .message("IP-17: the storage class of a volume does not change"),
)]
pub struct ManagedNeo4j {
    /// Size of its volume; without it 20Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Quantity>,
    /// Storage class of its volume; without it, the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// Connections of a worker; without it, what is published for the size of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_connection_pool_size: Option<u32>,
    /// Cores it asks for; without it 500m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
}

/// A key of a Secret in the pipeline's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// The Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its key; without it `password`, of an authority `ca.crt`, of passwords of documents `passwords`, of a model `apiKey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}

/// Redis 6.2 or later, of your own. Persistence and rights it needs: docs/many-machines.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalRedis {
    /// Where it is: `redis://HOST[:PORT][/DB]`, `rediss://` for TLS; never with a password.
    #[schemars(length(min = 9, max = 1024))]
    #[x_kube(validation = Rule::new("!self.contains('@')").message(
        "IP-18: a user and a password do not stand in the address; take username and secretRef"))]
    pub url: String,
    /// The user; without it, `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub username: Option<String>,
    /// The user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKey>,
    /// Authorities to trust in place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKey>,
}

/// PostgreSQL 15 or later with pgvector, of your own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalPostgres {
    /// Where it is: `postgresql://HOST[:PORT]/DATABASE`; never with a password.
    #[schemars(length(min = 14, max = 1024))]
    #[x_kube(validation = Rule::new("!self.contains('@')").message(
        "IP-18: a user and a password do not stand in the address; take username and secretRef"))]
    pub url: String,
    /// The role; without it `docmill`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub username: Option<String>,
    /// The role's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKey>,
    /// Authority of the server's certificate; with it TLS is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKey>,
}

/// Neo4j 5, of your own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalNeo4j {
    /// Where it is: `bolt://HOST[:PORT]`, `bolt+s://` for TLS; never with a password.
    #[schemars(length(min = 8, max = 1024))]
    #[x_kube(validation = Rule::new("!self.contains('@')").message(
        "IP-18: a user and a password do not stand in the address; take username and secretRef"))]
    pub url: String,
    /// The user; without it `neo4j`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub username: Option<String>,
    /// The user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKey>,
    /// Authorities to trust in place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKey>,
    /// The database; without it, the user's home database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub database: Option<String>,
    /// Connections of a worker; without it, what is published for the size of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_connection_pool_size: Option<u32>,
}

/// A bucket of Amazon's S3, or of a server that speaks as it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalS3 {
    /// The bucket.
    #[schemars(length(min = 3, max = 63))]
    pub bucket: String,
    /// The server; without it, Amazon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 1024))]
    pub endpoint: Option<String>,
    /// Region of the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub region: Option<String>,
    /// What all names of objects begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub prefix: Option<String>,
    /// The keys; without them, the identity of the pipeline's service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<Credentials>,
    /// Authorities to trust beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKey>,
    /// Whether the endpoint may be without TLS.
    #[serde(default)]
    pub allow_http: bool,
}

/// Keys of a bucket in a Secret of the pipeline's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// The Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key's id; without it `accessKeyId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub access_key_id_key: Option<String>,
    /// The key's secret; without it `secretAccessKey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_access_key_key: Option<String>,
}
