//! The file as types. Every key has its default here, and its meaning and bounds in [`super::keys`].

use docmill_core::delivery::LeaseConfig;
use docmill_core::limits::{DELETED_KEPT_DAYS, Limits};
use serde::{Deserialize, Serialize};

use super::ask::Ask;
use super::classify::Classify;
use crate::extract::SandboxMode;
use crate::neo4j;
use crate::postgres::Options;
use crate::queue::redis::{CONNECT_TIMEOUT_MS, RESPONSE_TIMEOUT_MS};

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

pub(super) use section;

section! {
    /// The whole file.
    WorkerConfig {
        /// The pipeline's name.
        pipeline: String = "default".to_owned(),
        /// Extractors that work at once; none: one a core.
        concurrency: Option<u16> = None,
        /// Delay before what a commit replaced is removed, in milliseconds.
        cleanup_delay_ms: u64 = LeaseConfig::default().cleanup_delay_ms,
        /// Longest time of a document without progress, in milliseconds.
        lease_stall_ms: u64 = LeaseConfig::default().lease_stall_ms,
        /// Longest time of one trial of a document, in milliseconds.
        document_max_ms: u64 = LeaseConfig::default().document_max_ms,
        /// How long documents in work may go on after SIGTERM, in milliseconds.
        grace_ms: u64 = 25_000,
        /// Whether it does the upkeep.
        upkeep: bool = true,
        /// Whether the upkeep builds the approximate index over vectors.
        vector_index: bool = true,
        /// How long the rows of deleted documents stay, in days.
        deleted_kept_days: u32 = DELETED_KEPT_DAYS,
        /// Where it says how it is.
        health: Health = Health::default(),
        /// Where documents are handed in.
        api: Api = Api::default(),
        /// How questions are answered.
        ask: Ask = Ask::default(),
        /// Below which documents may be files.
        file_root: Option<String> = None,
        /// Where work comes from.
        queue: Queue = Queue::default(),
        /// Where answers of models are kept.
        cache: Cache = Cache::default(),
        /// Where the truth is.
        ledger: Ledger = Ledger::default(),
        /// Where the concept graph is.
        graph: Graph = Graph::default(),
        /// Where uploaded documents are.
        objects: Objects = Objects::default(),
        /// Where files lie while they are worked on.
        scratch: Scratch = Scratch::default(),
        /// How documents are read.
        extract: Extract = Extract::default(),
        /// How documents get their categories.
        classify: Classify = Classify::default(),
        /// What the accounts of models may be asked.
        rate_limits: Vec<RateLimit> = Vec::new(),
    }
}

/// What one account of a model may be asked in a minute, all workers together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    /// Whose account.
    pub provider: String,
    /// Requests a minute.
    pub requests_per_minute: u32,
    /// Requests that a document makes.
    #[serde(default = "calls_per_document")]
    pub calls_per_document: u32,
}

/// The default of `callsPerDocument`, as the operator's sizing has it.
fn calls_per_document() -> u32 {
    10
}

section! {
    /// Where a worker says how it is.
    Health {
        /// The port.
        port: u16 = 8_081,
    }
}

section! {
    /// Where documents are handed in.
    Api {
        /// Address and port for users.
        listen: String = "0.0.0.0:8080".to_owned(),
        /// Address and port for the operator.
        internal_listen: String = "127.0.0.1:8082".to_owned(),
        /// File of the token that the operator shows.
        internal_token_file: Option<String> = None,
        /// Variable of the token that the operator shows.
        internal_token_env: Option<String> = None,
        /// Where the token for changes is written while there are no keys.
        token_file: Option<String> = None,
        /// Largest upload, in bytes.
        max_upload_bytes: u64 = Limits::default().file_mib << 20,
        /// Unsettled documents from which on no more are taken.
        high_water_documents: u64 = 200_000,
        /// Most that a tenant may upload a day, in bytes.
        tenant_bytes_per_day: Option<u64> = None,
        /// Most unsettled documents of a tenant.
        tenant_documents_in_flight: Option<u64> = None,
        /// Whether a tenant may name only what is in the folder of its name.
        tenant_folders: bool = true,
        /// Whose tokens are taken beside keys.
        oidc: Oidc = Oidc::default(),
        /// Whose tokens are taken at the operator's address.
        operator: Operator = Operator::default(),
        /// File of a key that is to be there from the start.
        first_key_file: Option<String> = None,
    }
}

section! {
    /// Tokens that the operator signs.
    Operator {
        /// What they are for: the pipeline's UID.
        audience: Option<String> = None,
        /// File of the operator's public keys.
        keys_file: Option<String> = None,
    }
}

section! {
    /// An issuer of tokens.
    Oidc {
        /// Its URL.
        issuer: Option<String> = None,
        /// The audience of tokens for this API.
        audience: Option<String> = None,
        /// The claim that names the tenant.
        tenant_claim: String = "tenant".to_owned(),
        /// The claim that names the scopes.
        scope_claim: String = "scope".to_owned(),
        /// Authorities to trust.
        tls_ca_file: Option<String> = None,
        /// Without TLS.
        allow_http: bool = false,
        /// How far clocks may be apart, in seconds.
        leeway_s: u64 = 30,
        /// Longest wait for the issuer's keys, in milliseconds.
        timeout_ms: u64 = 5_000,
        /// Age of keys at which they are fetched again, in seconds.
        keys_max_age_s: u64 = 600,
    }
}

section! {
    /// The queue.
    Queue {
        /// Redis.
        redis: Redis = Redis::default(),
    }
}

section! {
    /// The queue in Redis.
    Redis {
        /// Where it is.
        url: Option<String> = None,
        /// The user.
        username: Option<String> = None,
        /// File of its password.
        password_file: Option<String> = None,
        /// Variable of its password.
        password_env: Option<String> = None,
        /// The user at the sentinels.
        sentinel_username: Option<String> = None,
        /// File of its password.
        sentinel_password_file: Option<String> = None,
        /// Variable of its password.
        sentinel_password_env: Option<String> = None,
        /// Authorities to trust.
        tls_ca_file: Option<String> = None,
        /// Prefix of all keys.
        key_prefix: Option<String> = None,
        /// Time of a lease, in milliseconds.
        lease_ms: u64 = LeaseConfig::default().lease_ms,
        /// Longest wait for a connection, in milliseconds.
        connect_timeout_ms: u64 = CONNECT_TIMEOUT_MS,
        /// Longest wait for an answer, in milliseconds.
        response_timeout_ms: u64 = RESPONSE_TIMEOUT_MS,
    }
}

section! {
    /// Answers of models.
    Cache {
        /// In Redis.
        redis: CacheRedis = CacheRedis::default(),
    }
}

section! {
    /// Answers of models in Redis.
    CacheRedis {
        /// Where it is.
        url: Option<String> = None,
        /// The user.
        username: Option<String> = None,
        /// File of its password.
        password_file: Option<String> = None,
        /// Variable of its password.
        password_env: Option<String> = None,
        /// The user at the sentinels.
        sentinel_username: Option<String> = None,
        /// File of its password.
        sentinel_password_file: Option<String> = None,
        /// Variable of its password.
        sentinel_password_env: Option<String> = None,
        /// Authorities to trust.
        tls_ca_file: Option<String> = None,
        /// How long an answer is kept, in seconds.
        ttl_s: u64 = crate::cache::TTL_S,
        /// Longest wait for a connection, in milliseconds.
        connect_timeout_ms: u64 = 500,
        /// Longest wait for an answer, in milliseconds.
        response_timeout_ms: u64 = 250,
    }
}

section! {
    /// The ledger.
    Ledger {
        /// PostgreSQL.
        postgres: Postgres = Postgres::default(),
    }
}

section! {
    /// The ledger in PostgreSQL.
    Postgres {
        /// Where it is.
        url: Option<String> = None,
        /// The role.
        user: String = Options::default().user,
        /// File of its password.
        password_file: Option<String> = None,
        /// Variable of its password.
        password_env: Option<String> = None,
        /// Authorities to trust.
        tls_ca_file: Option<String> = None,
        /// Most connections.
        pool_size: u32 = Options::default().pool_size,
        /// Longest wait for a connection, in milliseconds.
        connect_timeout_ms: u64 = Options::default().connect_timeout_ms,
        /// Longest time of a statement, in milliseconds.
        statement_timeout_ms: u64 = Options::default().statement_timeout_ms,
        /// Longest wait for a lock, in milliseconds.
        lock_timeout_ms: u64 = Options::default().lock_timeout_ms,
        /// The schema of the tables.
        schema: String = Options::default().schema.as_str().to_owned(),
    }
}

section! {
    /// The concept graph.
    Graph {
        /// In the ledger's server; the same as nothing.
        postgres: Option<GraphInPostgres> = None,
        /// In Neo4j.
        neo4j: Neo4j = Neo4j::default(),
    }
}

section! {
    /// Where uploaded documents are: one of them, or none where all documents are files.
    Objects {
        /// S3.
        s3: S3 = S3::default(),
        /// Google Cloud Storage.
        gcs: Gcs = Gcs::default(),
        /// Azure Blob Storage.
        azure: Azure = Azure::default(),
        /// A volume.
        volume: Volume = Volume::default(),
    }
}

section! {
    /// The graph beside the ledger: has no keys of its own.
    GraphInPostgres {}
}

section! {
    /// The graph in Neo4j.
    Neo4j {
        /// Where it is.
        url: Option<String> = None,
        /// The user.
        username: String = neo4j::Options::default().username,
        /// File of its password.
        password_file: Option<String> = None,
        /// Variable of its password.
        password_env: Option<String> = None,
        /// Authorities to trust.
        tls_ca_file: Option<String> = None,
        /// The database.
        database: Option<String> = None,
        /// Most connections.
        max_connection_pool_size: u32 = neo4j::Options::default().pool_size,
        /// Longest wait for a connection, in milliseconds.
        connect_timeout_ms: u64 = neo4j::Options::default().connect_timeout_ms,
        /// Longest time of a transaction, in milliseconds.
        transaction_timeout_ms: u64 = neo4j::Options::default().transaction_timeout_ms,
    }
}

section! {
    /// Objects in S3.
    S3 {
        /// The bucket.
        bucket: Option<String> = None,
        /// The server.
        endpoint: Option<String> = None,
        /// The region.
        region: Option<String> = None,
        /// Before every name.
        prefix: Option<String> = None,
        /// File of the key's id.
        access_key_id_file: Option<String> = None,
        /// Variable of the key's id.
        access_key_id_env: Option<String> = None,
        /// File of the key's secret.
        secret_access_key_file: Option<String> = None,
        /// Variable of the key's secret.
        secret_access_key_env: Option<String> = None,
        /// Authorities to trust.
        tls_ca_file: Option<String> = None,
        /// Without TLS.
        allow_http: bool = false,
    }
}

section! {
    /// Objects in Google Cloud Storage.
    Gcs {
        /// The bucket.
        bucket: Option<String> = None,
        /// Before every name.
        prefix: Option<String> = None,
        /// File of the service account's key.
        service_account_file: Option<String> = None,
        /// Variable of the service account's key.
        service_account_env: Option<String> = None,
    }
}

section! {
    /// Objects in Azure Blob Storage.
    Azure {
        /// The storage account.
        account: Option<String> = None,
        /// The container.
        container: Option<String> = None,
        /// The server.
        endpoint: Option<String> = None,
        /// Before every name.
        prefix: Option<String> = None,
        /// File of the account's key.
        access_key_file: Option<String> = None,
        /// Variable of the account's key.
        access_key_env: Option<String> = None,
        /// Without TLS.
        allow_http: bool = false,
    }
}

section! {
    /// Objects on a volume.
    Volume {
        /// Its directory.
        path: Option<String> = None,
    }
}

section! {
    /// Files while they are worked on.
    Scratch {
        /// Its directory.
        path: String = "/tmp/docmill-scratch".to_owned(),
        /// Most that a process holds there, in MiB.
        limit_mib: u32 = 1_024,
    }
}

section! {
    /// How documents are read.
    Extract {
        /// Languages of scans.
        ocr_languages: String = "auto".to_owned(),
        /// File of the passwords that encrypted documents are tried with.
        passwords_file: Option<String> = None,
        /// Variable of the passwords that encrypted documents are tried with.
        passwords_env: Option<String> = None,
        /// What may lack of what holds extractors.
        sandbox: SandboxMode = SandboxMode::default(),
        /// Limits of a document.
        limits: ExtractLimits = ExtractLimits::default(),
    }
}

section! {
    /// See [`Limits`].
    ExtractLimits {
        /// Largest file, in MiB.
        file_mib: u64 = Limits::default().file_mib,
        /// Largest PDF, in MiB.
        pdf_mib: u64 = Limits::default().pdf_mib,
        /// Most pages of a PDF.
        pdf_pages: u32 = Limits::default().pdf_pages,
        /// Most pages that may be lost to extractors.
        pages_lost_max: u32 = Limits::default().pages_lost_max,
        /// Most text, in MiB.
        text_mib: u64 = Limits::default().text_mib,
        /// Longest time of a page, in milliseconds.
        page_ms: u64 = Limits::default().page_ms,
        /// Longest time of a document, in milliseconds.
        document_ms: u64 = Limits::default().document_ms,
        /// Address space of an extractor, in MiB.
        extractor_mib: u64 = Limits::default().extractor_mib,
        /// Resolution for recognition.
        ocr_dpi: u32 = Limits::default().ocr_dpi,
        /// Documents until an extractor is replaced.
        extractor_documents: u32 = Limits::default().extractor_documents,
    }
}

impl From<&ExtractLimits> for Limits {
    fn from(limits: &ExtractLimits) -> Self {
        Self {
            file_mib: limits.file_mib,
            pdf_mib: limits.pdf_mib,
            pdf_pages: limits.pdf_pages,
            pages_lost_max: limits.pages_lost_max,
            text_mib: limits.text_mib,
            page_ms: limits.page_ms,
            document_ms: limits.document_ms,
            extractor_mib: limits.extractor_mib,
            ocr_dpi: limits.ocr_dpi,
            extractor_documents: limits.extractor_documents,
            ..Self::default()
        }
    }
}
