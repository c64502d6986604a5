//! Every key of the file: its bounds, its variable and its meaning. Checks and reference are made of this.

use super::key::{Key, Kind, empty, flag, number, text};
use crate::extract::SandboxMode;

const ADDRESS: &str = "an address and a port: 0.0.0.0:8080, [::]:8080";
const BYTES_MAX: u64 = 1 << 50;
const FILE: &str = "an absolute path";
const VARIABLE: &str = "a name of A-Z, 0-9 and '_'";
const REDIS_URL: &str = "redis://HOST[:PORT][/DB], rediss://… for TLS, unix:///PATH, \
    redis-sentinel://HOST,HOST/MASTER[/DB] or redis-cluster://HOST,HOST, without a user or a password";
const POSTGRES_URL: &str = "postgresql://HOST[:PORT]/DATABASE, without a user, a password or options";
const NEO4J_URL: &str = "bolt://HOST[:PORT], or bolt+s://… for TLS; neo4j and neo4j+s mean the same; \
    without a user or a password";
const HTTP_URL: &str =
    "https://HOST[:PORT] or, with allowHttp, http://HOST[:PORT], without a user or a password";
const ISSUER_URL: &str =
    "https://HOST[:PORT][/PATH] or, with allowHttp, http://…, as tokens name it in `iss`";
const MODEL_URL: &str =
    "https://HOST[:PORT]/PATH up to `chat/completions` or, on this machine or with allowHttp, http://…";
const CLAIM: &str = "a name of up to 200 characters; dots lead nowhere deeper";
const PREFIX: &str = "parts of a name, joined by '/'";
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// One TiB: no limit of a document is meant to be larger.
const MIB_MAX: u64 = 1 << 20;

/// All of them, in the order of the reference.
pub const KEYS: &[Key] = &[
    text(
        "pipeline",
        true,
        "1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit",
        "Name of the pipeline",
    ),
    number("concurrency", 1, 512, "Extractors that work at once; without it, one a core")
        .env("WORKER_CONCURRENCY"),
    number(
        "cleanupDelayMs",
        0,
        DAY_MS,
        "Delay before what a commit replaced is removed: longer than any search takes",
    ),
    number(
        "leaseStallMs",
        10_000,
        DAY_MS,
        "Longest time of a document without progress; then its work is cancelled and tried again",
    ),
    number(
        "documentMaxMs",
        10_000,
        DAY_MS,
        "Longest trial of one document, all stages together; `extract.limits.documentMs` where that is longer",
    ),
    number(
        "graceMs",
        0,
        HOUR_MS,
        "How long documents in work may go on after SIGTERM; what is then left is handed back",
    ),
    flag("upkeep", "Whether this worker does the upkeep; of several one does it at a time"),
    flag(
        "vectorIndex",
        "Whether the upkeep builds the approximate index over vectors: from 5,000 of an index on once no more come, from 50,000 on beside those that do; without it searches compare every vector, unless `docmill-worker vector-index` built it",
    ),
    number(
        "deletedKeptDays",
        1,
        3_650,
        "How long the ledger keeps the rows of deleted documents, in days; then the upkeep forgets them",
    ),
    number("health.port", 1, 65_535, "Port of /healthz, /readyz and /metrics"),
    text(
        "api.listen",
        true,
        ADDRESS,
        "Where users reach the API; with neither keys, `api.firstKeyFile` nor `api.oidc`, only its port on loopback",
    ),
    text(
        "api.internalListen",
        true,
        ADDRESS,
        "Where the operator reaches the API; beyond loopback only with a token, or with `api.operator`",
    ),
    text(
        "api.operator.audience",
        true,
        "1 to 200 letters, digits, '.', '_', ':' and '-'",
        "What tokens that the operator signs have to be for (`aud`): the pipeline's UID",
    ),
    text(
        "api.operator.keysFile",
        false,
        FILE,
        "File of the operator's public keys: Ed25519, PEM, the current one and the previous; read again when it changes; \
         without keys in it no signed token is good",
    ),
    text("api.internalTokenFile", false, FILE, "File that holds the token that the operator shows"),
    text("api.internalTokenEnv", false, VARIABLE, "Variable that holds it"),
    text(
        "api.tokenFile",
        false,
        FILE,
        "Where the token for changes is written with neither keys nor `api.oidc`; without it, `api-token` in `scratch.path`",
    ),
    text(
        "api.firstKeyFile",
        false,
        FILE,
        "File of a key that the API makes known at its start, with all scopes in the tenant `default`: `docmill_`, 12 \
         and, after another `_`, 64 digits of 0-9 and a-f; once it is revoked it stays so",
    ),
    number("api.maxUploadBytes", 1, BYTES_MAX, "Largest uploaded file"),
    number(
        "api.highWaterDocuments",
        1,
        100_000_000,
        "Unsettled documents of all tenants from which on no more are taken",
    ),
    number(
        "api.tenantBytesPerDay",
        1,
        BYTES_MAX,
        "Most bytes that a tenant uploads in a day of UTC; without it, any",
    ),
    number(
        "api.tenantDocumentsInFlight",
        1,
        100_000_000,
        "Most unsettled documents of a tenant; without it, any",
    ),
    flag(
        "api.tenantFolders",
        "Whether a tenant other than `default` names only objects and files in the folder of its name",
    ),
    text(
        "api.oidc.issuer",
        false,
        ISSUER_URL,
        "Issuer (OpenID Connect) whose tokens are taken beside keys; without it, none are",
    )
    .env("OIDC_ISSUER"),
    text(
        "api.oidc.audience",
        true,
        "a text that tokens name in `aud`",
        "What tokens must be for: a name of this API alone",
    )
    .env("OIDC_AUDIENCE"),
    text("api.oidc.tenantClaim", true, CLAIM, "Claim that names the tenant; a token without it is refused"),
    text(
        "api.oidc.scopeClaim",
        true,
        CLAIM,
        "Claim that names scopes, a text with spaces or a list: `docmill:read`, `docmill:write`, `docmill:admin`",
    ),
    text(
        "api.oidc.tlsCaFile",
        false,
        FILE,
        "Authorities to trust in place of the system's for the issuer, in PEM",
    ),
    flag("api.oidc.allowHttp", "Whether the issuer may be asked without TLS"),
    number("api.oidc.leewayS", 0, 300, "How far the issuer's clock may be from this one, in seconds"),
    number("api.oidc.timeoutMs", 100, 60_000, "Longest wait until the issuer's keys are there"),
    number(
        "api.oidc.keysMaxAgeS",
        10,
        86_400,
        "Age of the issuer's keys at which they are fetched again, in seconds: a withdrawn one works so long",
    ),
    text(
        "ask.model.url",
        false,
        MODEL_URL,
        "The model that writes answers, as OpenAI's clients find one; without it, answers are sentences of the documents",
    )
    .env("DOCMILL_ASK_URL"),
    text("ask.model.name", true, "a name that the model's server knows", "Which model there")
        .env("DOCMILL_ASK_MODEL"),
    text("ask.model.apiKeyFile", false, FILE, "File that holds the key of the model's server")
        .env("DOCMILL_ASK_API_KEY_FILE"),
    text("ask.model.apiKeyEnv", false, VARIABLE, "Variable that holds it"),
    flag("ask.model.allowHttp", "Whether a model beyond this machine may be asked without TLS"),
    number("ask.model.connectTimeoutMs", 100, 60_000, "Longest wait for a connection to the model"),
    number("ask.model.firstTokenMs", 100, HOUR_MS, "Longest wait for the first words of an answer"),
    number("ask.model.idleMs", 100, HOUR_MS, "Longest silence within an answer"),
    number("ask.model.totalMs", 100, HOUR_MS, "Longest time of an answer"),
    number("ask.model.maxTokens", 1, 32_768, "Longest answer that the model is asked for, in tokens"),
    flag("ask.mockModel", "Answers come from a stand-in of 20 words, to measure the rest").env("USE_MOCK_LLM"),
    number("ask.mockDelayMs", 0, 60_000, "How long the stand-in waits before each word")
        .env("MOCK_LLM_DELAY_MS"),
    flag("ask.mockEmbeddings", "A tenant's first index is begun with a stand-in for the embedding model")
        .env("USE_MOCK_EMBEDDINGS"),
    number("ask.sources", 1, 50, "Most passages that an answer rests on"),
    number("ask.contextBytes", 1_000, 1_000_000, "Most text of them, in bytes"),
    number("ask.cacheEntries", 1, 20_000, "Answers to searches and questions that each process remembers")
        .env("OPTIMIZATION_CACHE_SIZE"),
    number("ask.cacheTtlS", 1, 3_600, "How long one is remembered after its last use, in seconds"),
    text("fileRoot", false, FILE, "Directory below which documents may be files; without it, none may"),
    text("queue.redis.url", false, REDIS_URL, "Where Redis is").env("CELERY_BROKER_URL").required(),
    text("queue.redis.username", false, "a user of Redis' ACL", "The user; without it, `default`"),
    text("queue.redis.passwordFile", false, FILE, "File that holds the user's password"),
    text("queue.redis.passwordEnv", false, VARIABLE, "Variable that holds the user's password"),
    text(
        "queue.redis.sentinelUsername",
        false,
        "a user of the sentinels' ACL",
        "The user at the sentinels",
    ),
    text("queue.redis.sentinelPasswordFile", false, FILE, "File that holds the sentinels' password"),
    text("queue.redis.sentinelPasswordEnv", false, VARIABLE, "Variable that holds the sentinels' password"),
    text(
        "queue.redis.tlsCaFile",
        false,
        FILE,
        "Authorities to trust in place of the system's, in PEM; only with rediss",
    ),
    text(
        "queue.redis.keyPrefix",
        true,
        "1 to 128 of a-z, A-Z, 0-9, '.', '_', '-' and ':'",
        "Prefix of all keys; without it, `docmill:` and the pipeline",
    ),
    number(
        "queue.redis.leaseMs",
        1_500,
        HOUR_MS,
        "How long a delivery stays with a worker that says nothing",
    ),
    number(
        "queue.redis.connectTimeoutMs",
        100,
        60_000,
        "Longest wait for a connection, TLS and log-in included",
    ),
    number(
        "queue.redis.responseTimeoutMs",
        100,
        60_000,
        "Longest wait for an answer; at most a third of `leaseMs`",
    ),
    text(
        "cache.redis.url",
        false,
        REDIS_URL,
        "Redis that keeps answers of models, in a database or on a server of its own; without it, the ledger alone does",
    ),
    text("cache.redis.username", false, "a user of Redis' ACL", "The user; without it, `default`"),
    text("cache.redis.passwordFile", false, FILE, "File that holds the user's password"),
    text("cache.redis.passwordEnv", false, VARIABLE, "Variable that holds the user's password"),
    text(
        "cache.redis.sentinelUsername",
        false,
        "a user of the sentinels' ACL",
        "The user at the sentinels",
    ),
    text("cache.redis.sentinelPasswordFile", false, FILE, "File that holds the sentinels' password"),
    text("cache.redis.sentinelPasswordEnv", false, VARIABLE, "Variable that holds the sentinels' password"),
    text(
        "cache.redis.tlsCaFile",
        false,
        FILE,
        "Authorities to trust in place of the system's, in PEM; only with rediss",
    ),
    number("cache.redis.ttlS", 1, 30 * 86_400, "How long an answer is kept"),
    number("cache.redis.connectTimeoutMs", 10, 60_000, "Longest wait for a connection"),
    number("cache.redis.responseTimeoutMs", 10, 60_000, "Longest wait for an answer"),
    text("ledger.postgres.url", false, POSTGRES_URL, "Where PostgreSQL is").required(),
    text("ledger.postgres.user", false, "a role", "The role"),
    text("ledger.postgres.passwordFile", false, FILE, "File that holds the role's password"),
    text("ledger.postgres.passwordEnv", false, VARIABLE, "Variable that holds the role's password"),
    text(
        "ledger.postgres.tlsCaFile",
        false,
        FILE,
        "Authority of the server's certificate, in PEM; with it TLS is required, without it nothing is encrypted",
    ),
    number("ledger.postgres.poolSize", 1, 1_000, "Most connections of a worker"),
    number("ledger.postgres.connectTimeoutMs", 100, 60_000, "Longest wait for a connection"),
    number("ledger.postgres.statementTimeoutMs", 1_000, HOUR_MS, "Longest time of a statement"),
    number(
        "ledger.postgres.lockTimeoutMs",
        100,
        HOUR_MS,
        "Longest wait for a lock; less than `statementTimeoutMs`",
    ),
    text(
        "ledger.postgres.schema",
        true,
        "1 to 63 of a-z, 0-9 and '_', not beginning with a digit or 'pg_'",
        "Schema of the tables; made where it lacks",
    ),
    empty("graph.postgres", "Keeps the concept graph in the ledger's server, as without `graph`"),
    text("graph.neo4j.url", false, NEO4J_URL, "Where Neo4j is; with it the concept graph is there"),
    text("graph.neo4j.username", false, "a user", "The user"),
    text("graph.neo4j.passwordFile", false, FILE, "File that holds the user's password"),
    text("graph.neo4j.passwordEnv", false, VARIABLE, "Variable that holds the user's password"),
    text(
        "graph.neo4j.tlsCaFile",
        false,
        FILE,
        "Authorities to trust in place of the system's, in PEM; only with TLS",
    ),
    text("graph.neo4j.database", true, "a database", "The database; without it, the user's home database"),
    number("graph.neo4j.maxConnectionPoolSize", 1, 1_000, "Most connections of a worker")
        .env("NEO4J_MAX_CONNECTION_POOL_SIZE"),
    number("graph.neo4j.connectTimeoutMs", 100, 60_000, "Longest wait for a connection, log-in included"),
    number(
        "graph.neo4j.transactionTimeoutMs",
        1_000,
        HOUR_MS,
        "Longest time of a transaction, which the server ends then",
    ),
    text(
        "objects.s3.bucket",
        true,
        "the name of a bucket",
        "Bucket of S3, or of a server compatible with it",
    )
    .env("S3_BUCKET"),
    text("objects.s3.endpoint", false, HTTP_URL, "The server; without it, Amazon's"),
    text("objects.s3.region", true, "the name of a region", "Region of the bucket"),
    text("objects.s3.prefix", true, PREFIX, "What all names of objects begin with"),
    text(
        "objects.s3.accessKeyIdFile",
        false,
        FILE,
        "File that holds the key's id; without keys, the pod's identity",
    ),
    text("objects.s3.accessKeyIdEnv", false, VARIABLE, "Variable that holds the key's id"),
    text("objects.s3.secretAccessKeyFile", false, FILE, "File that holds the key's secret"),
    text("objects.s3.secretAccessKeyEnv", false, VARIABLE, "Variable that holds the key's secret"),
    text("objects.s3.tlsCaFile", false, FILE, "Authorities to trust beside the system's, in PEM"),
    flag("objects.s3.allowHttp", "Whether the endpoint may be without TLS"),
    text("objects.gcs.bucket", true, "the name of a bucket", "Bucket of Google Cloud Storage"),
    text("objects.gcs.prefix", true, PREFIX, "What all names of objects begin with"),
    text(
        "objects.gcs.serviceAccountFile",
        false,
        FILE,
        "File that holds a service account's key as JSON; without one, the pod's identity",
    ),
    text("objects.gcs.serviceAccountEnv", false, VARIABLE, "Variable that holds it"),
    text("objects.azure.account", true, "the name of a storage account", "Storage account of Azure"),
    text("objects.azure.container", true, "the name of a container", "Container of Azure Blob Storage"),
    text("objects.azure.endpoint", false, HTTP_URL, "The server; without it, the public cloud's"),
    text("objects.azure.prefix", true, PREFIX, "What all names of objects begin with"),
    text(
        "objects.azure.accessKeyFile",
        false,
        FILE,
        "File that holds the account's key; without one, the pod's identity",
    ),
    text("objects.azure.accessKeyEnv", false, VARIABLE, "Variable that holds it"),
    flag("objects.azure.allowHttp", "Whether the endpoint may be without TLS"),
    text(
        "objects.volume.path",
        false,
        FILE,
        "Directory of a volume that all pods mount, in place of a bucket",
    ),
    text("scratch.path", false, FILE, "Directory for files while they are worked on: memory, in a pod")
        .env("TEMP_DIR"),
    number(
        "scratch.limitMib",
        1,
        MIB_MAX,
        "Most that a worker holds there, in MiB; no larger object is read",
    ),
    text("extract.ocrLanguages", false, "auto, or as Tesseract names them: jpn+eng", "Languages of scans")
        .env("OCR_LANGUAGE"),
    text(
        "extract.passwordsFile",
        false,
        FILE,
        "File of passwords that encrypted documents are tried with, one a line, up to 64; an API that does not have \
         the file draws no pages of such documents",
    ),
    text("extract.passwordsEnv", false, VARIABLE, "Variable that holds these passwords"),
    Key {
        path: "extract.sandbox",
        kind: Kind::Choice(SandboxMode::NAMES),
        environment: Some("DOCMILL_SANDBOX"),
        required: false,
        meaning: "What happens where kernel or container lack a piece of what holds extractors: no work, work without \
                  that piece, or none of it anywhere; `check-sandbox` says what there is",
    },
    number("extract.limits.fileMib", 1, MIB_MAX, "Largest file").env("MAX_FILE_SIZE_MB"),
    number("extract.limits.pdfMib", 1, MIB_MAX, "Largest PDF").env("MAX_PDF_SIZE_MB"),
    number("extract.limits.pdfPages", 1, 1_000_000, "Most pages of a PDF").env("MAX_PDF_PAGES"),
    number(
        "extract.limits.pagesLostMax",
        0,
        1_000_000,
        "Most pages of a document over which extractors may end; one more and the document fails",
    ),
    number("extract.limits.textMib", 1, MIB_MAX, "Most text of one document"),
    number(
        "extract.limits.pageMs",
        1_000,
        HOUR_MS,
        "Longest time without a finished page; at most `documentMs` and half of `leaseStallMs`",
    ),
    number("extract.limits.documentMs", 1_000, DAY_MS, "Longest extraction of one document"),
    number(
        "extract.limits.extractorMib",
        512,
        MIB_MAX,
        "Most address space of one extractor; less where there is not as much memory for each",
    ),
    number("extract.limits.ocrDpi", 50, 1_200, "Resolution at which pages are recognised").env("PDF_DPI"),
    number("extract.limits.extractorDocuments", 1, 1_000_000, "Documents until an extractor is replaced"),
    Key {
        path: "classify.categories",
        kind: Kind::Categories,
        environment: None,
        required: false,
        meaning: "What documents are told apart by: `name` (1 to 64 characters, without quotes, backslashes, commas and \
                  `=`), `description` and `examples`, texts of up to 2048 bytes. A document has the category that its \
                  title, its headings or its beginning are nearest to by the embedding model. After a change all \
                  documents are classified again, from what is kept of them; the same for workers and API",
    },
    number(
        "classify.minPercent",
        0,
        100,
        "Least likeness of a document to its category; one that is like none so much has none",
    ),
    Key {
        path: "rateLimits",
        kind: Kind::RateLimits,
        environment: None,
        required: false,
        meaning: "What the account of each model provider may be asked, all workers together: `provider` (`OpenAI`, \
                  `Anthropic`, …), `requestsPerMinute` and `callsPerDocument` (1 to 10000; 10). Only for models of \
                  providers: the built-in model, so far the only one, asks nobody",
    },
];

/// The key at a path.
pub(super) fn at(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Names of the keys and sections directly below a section.
pub(super) fn below(section: &str) -> Vec<&'static str> {
    let mut names: Vec<&str> = Vec::new();
    for key in KEYS {
        let rest = match section {
            "" => Some(key.path),
            section => key.path.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')),
        };
        let name = rest.and_then(|rest| rest.split('.').next());
        if let Some(name) = name.filter(|name| !names.contains(name)) {
            names.push(name);
        }
    }
    names
}
