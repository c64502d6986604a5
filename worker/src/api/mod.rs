//! The API of a pipeline: documents come in, users and the operator see how far they are, and questions are answered.
//!
//! Any number of these processes may run. Whatever was answered with 202 is in the ledger, and uploads are in the
//! object store; a process keeps nothing that a kill could lose. It reads no document, but has an
//! extractor draw pages of what was read, and knows no Kubernetes.
//!
//! Every shape runs the same operations: [`Parts`] says what differs. [`run`] puts the cluster's together.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use docmill_core::manifest::Store;
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::ask::Asker;
use crate::concepts::ConceptReader;
use crate::config::{ApiSettings, GraphStore};
use crate::desk::Desk;
use crate::http::{self, Limits};
use crate::ledger::Ledger;
use crate::objects::{self, Objects, ObjectsOptions, Scratch};
use crate::postgres;
use crate::queue::Queue;
use crate::search::{QueryEmbedder, Search};
use crate::secret::Secret;
use crate::service;
use crate::sink::Sink;
use crate::stages::Kept;

mod admission;
mod answers;
mod ask;
mod audits;
pub mod auth;
mod batches;
mod chat;
mod cluster;
mod concepts;
mod content;
mod dashboard;
mod dead_letters;
mod documents;
mod drawing;
mod events;
mod export;
mod first_key;
mod fleet;
mod form;
mod graph_memory;
mod idempotency;
mod indexes;
pub mod keys;
mod keys_api;
mod load;
pub mod memo;
mod metrics;
pub mod oidc;
pub mod openapi;
pub mod operator;
mod pages;
mod parameters;
mod peer;
mod plain;
mod prefixes;
mod problem;
mod problem_codes;
mod request;
mod router;
mod scaling;
mod search;
mod shares;
mod sources;
mod sse;
mod stores;
pub(crate) mod sweep;
mod upload;
mod waiting;
mod who;

pub use cluster::run;
pub use drawing::Drawer;
pub use metrics::ApiMetrics;
pub use problem::Problem;
pub use problem_codes::PROBLEM_CODES;
pub use who::{WhoMay, who_may};

use admission::Door;
use auth::Authenticator;
use load::Load;
use memo::{Memo, MemoSettings};
use operator::OperatorTokens;
use shares::Shares;

/// Uploads that are read at once; each holds at most a part of an object in memory.
const UPLOADS_MAX: usize = 64;
/// How users' clients are treated.
const PUBLIC: Limits = Limits { connections_max: 2_048, keep_alive: true, grace: Duration::from_secs(25) };
/// How the operator is treated.
const INTERNAL: Limits = Limits { connections_max: 64, keep_alive: true, grace: Duration::from_secs(1) };
/// Time between two looks whether the back ends answer.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why an API cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The worker's parts that it uses.
    #[error(transparent)]
    Service(#[from] service::Error),
    /// The ledger's server.
    #[error("the ledger: {0}")]
    Postgres(#[from] postgres::Error),
    /// The place of objects.
    #[error(transparent)]
    Objects(#[from] objects::Error),
    /// An address.
    #[error("{address} cannot be used: {error}")]
    Address {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file of the token.
    #[error("{} cannot be written: {error}; set api.tokenFile", path.display())]
    TokenFile {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file of the first key.
    #[error("api.firstKeyFile {}: {what}", path.display())]
    FirstKey {
        /// Which.
        path: PathBuf,
        /// What is wrong with it, without what is in it.
        what: String,
    },
    /// What answers questions.
    #[error("ask: {0}")]
    Ask(String),
    /// The issuer of tokens.
    #[error("api.oidc: {0}")]
    Oidc(#[from] oidc::Error),
    /// There are no random numbers.
    #[error("the system has no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// Two metrics have one name, which is a mistake in this program.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// The stores, to be audited.
pub type SinksOf =
    Arc<dyn Fn() -> BoxFuture<'static, Result<BTreeMap<Store, Arc<dyn Sink>>, Problem>> + Send + Sync>;

/// Where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// On one machine, beside the work.
    Embedded,
    /// In pods of its own.
    Cluster,
}

/// All that differs between the shapes.
pub struct Parts {
    /// The books beside the ledger.
    pub desk: Arc<dyn Desk>,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// What of documents is kept as it was read.
    pub kept: Arc<dyn Kept>,
    /// The queue.
    pub queue: Arc<dyn Queue>,
    /// Where uploads go; none: there are none.
    pub objects: Option<(Objects, ObjectsOptions)>,
    /// Where an object lies while it is shown.
    pub scratch: Option<Scratch>,
    /// Draws pages; none: they are shown as text alone.
    pub drawer: Option<Drawer>,
    /// Below which documents may be files.
    pub file_root: Option<PathBuf>,
    /// The stores.
    pub sinks: SinksOf,
    /// Where the concept graph is; on one machine it is beside the ledger, as with PostgreSQL.
    pub graph: GraphStore,
    /// Searches.
    pub search: Arc<dyn Search>,
    /// What embeds queries.
    pub embedder: Arc<QueryEmbedder>,
    /// Answers questions.
    pub asker: Arc<Asker>,
    /// Reads the concept graph.
    pub concepts: Arc<dyn ConceptReader>,
    /// Fingerprint and dimensions of the embedder of a tenant's first index.
    pub first_embedder: (&'static str, usize),
    /// Where it runs.
    pub shape: Shape,
    /// How answers are remembered.
    pub memo: MemoSettings,
}

/// What every request is answered with.
pub struct Api {
    desk: Arc<dyn Desk>,
    ledger: Arc<dyn Ledger>,
    kept: Arc<dyn Kept>,
    queue: Arc<dyn Queue>,
    objects: Option<(Objects, ObjectsOptions)>,
    scratch: Option<Scratch>,
    drawer: Option<Drawer>,
    file_root: Option<PathBuf>,
    sinks: SinksOf,
    graph: GraphStore,
    search: Arc<dyn Search>,
    embedder: Arc<QueryEmbedder>,
    asker: Arc<Asker>,
    concepts: Arc<dyn ConceptReader>,
    shape: Shape,
    memo: Memo,
    runs: ask::Runs,
    settings: ApiSettings,
    authenticator: Arc<dyn Authenticator>,
    /// What changes need while there are no keys.
    token: Option<Secret>,
    operator: Option<OperatorTokens>,
    seen: fleet::Seen,
    door: Door,
    load: Load,
    uploads: Semaphore,
    exports: Semaphore,
    audits: Arc<Semaphore>,
    streams: Arc<Shares>,
    embeddings: Semaphore,
    metrics: ApiMetrics,
    graph_memory: graph_memory::Heard,
    ready: AtomicBool,
    stop: watch::Receiver<bool>,
}

/// What handlers have; clones share it.
pub type Shared = Arc<Api>;

/// Answers until `stop` turns true; then it takes no more connections and ends what it is answering. It is ready once
/// the models of all tenants' indexes are loaded. Without `internal` nobody is the operator.
///
/// # Errors
/// It cannot begin.
pub async fn serve(
    parts: Parts,
    settings: &ApiSettings,
    who: WhoMay,
    public: TcpListener,
    internal: Option<TcpListener>,
    stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let Parts { desk, ledger, queue, first_embedder, .. } = &parts;
    let mut beside = JoinSet::new();
    let door = Door::open(&mut beside, desk.clone(), queue.clone());
    let load = Load::new(desk.clone(), ledger.clone(), *first_embedder, settings);
    let api = Arc::new(Api {
        desk: parts.desk,
        ledger: parts.ledger,
        kept: parts.kept,
        queue: parts.queue,
        objects: parts.objects,
        scratch: parts.scratch,
        drawer: parts.drawer,
        file_root: parts.file_root,
        sinks: parts.sinks,
        graph: parts.graph,
        search: parts.search,
        embedder: parts.embedder,
        asker: parts.asker,
        concepts: parts.concepts,
        shape: parts.shape,
        memo: Memo::new(parts.memo),
        runs: ask::Runs::default(),
        settings: settings.clone(),
        authenticator: who.authenticator,
        token: who.token,
        operator: settings.operator.as_ref().map(OperatorTokens::new),
        seen: fleet::Seen::default(),
        door,
        load,
        uploads: Semaphore::new(UPLOADS_MAX),
        exports: Semaphore::new(export::AT_ONCE),
        audits: Arc::new(Semaphore::new(audits::AT_ONCE)),
        streams: Shares::new(events::STREAMS_MAX),
        embeddings: Semaphore::new(chat::EMBEDDINGS_AT_ONCE),
        metrics: ApiMetrics::new()?,
        graph_memory: graph_memory::Heard::default(),
        ready: AtomicBool::new(false),
        stop: stop.clone(),
    });
    beside.spawn(Box::pin(watch_back_ends(api.clone())));
    beside.spawn(Box::pin(graph_memory::watch(api.clone())));
    beside.spawn(Box::pin(memo::follow(api.clone())));
    beside.spawn(Box::pin(memo::measure_loop(api.clone())));
    if let Some(keeper) = who.keeper {
        beside.spawn(keeper.run());
    }
    let users = http::serve(public, router::router(api.clone(), router::PUBLIC), PUBLIC, stop.clone());
    let operator = async {
        if let Some(internal) = internal {
            http::serve(internal, router::router(api.clone(), router::INTERNAL), INTERNAL, stop).await;
        }
    };
    tokio::join!(users, operator);
    memo::save(&api).await;
    tracing::info!("the API ends");
    beside.shutdown().await;
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|error| Error::Address { address, error })
}

/// Ready is who can take documents and answer questions at once: models are loaded, and the ledger answers. The object
/// store says so with each upload.
async fn watch_back_ends(api: Shared) {
    loop {
        match api.desk.tenants().await {
            Ok(tenants) => break api.search.warm(&tenants).await,
            Err(error) => tracing::warn!(%error, "not ready before the ledger answers"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    loop {
        let answers = tokio::time::timeout(LOOK_EVERY, api.desk.ping()).await;
        api.ready.store(matches!(answers, Ok(Ok(()))), Ordering::Relaxed);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
