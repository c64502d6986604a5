//! The API of a pipeline: documents come in, and users and the operator see how far they are.
//!
//! Any number of these processes may run. Whatever was answered with 202 is in the ledger, and uploads are in the
//! object store; a process keeps nothing that a kill could lose. It reads no document and knows no Kubernetes.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::config::{ApiSettings, GraphStore, Settings};
use crate::http::{self, Limits};
use crate::objects::{self, Objects, ObjectsOptions};
use crate::postgres::{self, Database, PostgresLedger};
use crate::queue::Queue;
use crate::queue::redis::RedisQueue;
use crate::secret::Secret;
use crate::service;
use crate::upkeep::Upkeep;

mod admission;
mod audits;
pub mod auth;
mod batches;
mod dead_letters;
mod documents;
mod export;
mod first_key;
mod fleet;
mod graph_memory;
mod idempotency;
mod indexes;
pub mod keys;
mod load;
mod metrics;
pub mod oidc;
pub mod openapi;
pub mod operator;
mod prefixes;
mod problem;
mod problem_codes;
mod request;
mod router;
mod sources;
mod stores;
mod sweep;
mod upload;
mod waiting;

pub use metrics::ApiMetrics;
pub use problem::Problem;
pub use problem_codes::PROBLEM_CODES;

use admission::Door;
use auth::{Authenticator, ByKey, OnThisMachine};
use first_key::FirstKey;
use load::Load;
use oidc::{ByToken, ByTokenOrKey, Keeper};
use operator::OperatorTokens;

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

/// What every request is answered with.
pub struct Api {
    database: Database,
    queue: Arc<dyn Queue>,
    objects: Option<(Objects, ObjectsOptions)>,
    graph: GraphStore,
    file_root: Option<PathBuf>,
    settings: ApiSettings,
    authenticator: Arc<dyn Authenticator>,
    operator: Option<OperatorTokens>,
    seen: fleet::Seen,
    door: Door,
    load: Load,
    uploads: Semaphore,
    exports: Semaphore,
    audits: Arc<Semaphore>,
    metrics: ApiMetrics,
    graph_memory: graph_memory::Heard,
    ready: AtomicBool,
    stop: watch::Receiver<bool>,
}

type Shared = Arc<Api>;

/// Waits for the ledger's server, then answers until `stop` turns true; then it takes no more connections and ends
/// what it is answering.
///
/// # Errors
/// It cannot begin.
pub async fn run(settings: &Settings, stop: watch::Receiver<bool>) -> Result<(), Error> {
    let first_key = settings.api.first_key_file.as_deref().map(FirstKey::read).transpose()?;
    let internal = bind(settings.api.internal_listen).await?;
    // Probes come to where users will, so it is listened there at once; until the ledger says whether there are keys,
    // whoever comes learns no more than that.
    let mut public = bind(settings.api.listen).await?;
    let listeners = [&public, &internal];
    let ledger = Box::pin(waiting::ledger(&settings.postgres, first_key.as_ref(), listeners, stop.clone()));
    let Some((database, has_keys)) = ledger.await? else { return Ok(()) };
    let WhoMay { authenticator, listen, keeper } = who_may(&settings.api, &database, has_keys)?;
    if listen != settings.api.listen {
        drop(public);
        public = bind(listen).await?;
    }
    let queue: Arc<dyn Queue> = Arc::new(RedisQueue::new(settings.redis.clone()));
    let objects = match &settings.objects {
        Some(options) => Some((Objects::open(options)?, options.clone())),
        None => None,
    };
    let mut beside = JoinSet::new();
    let api = Arc::new(Api {
        door: Door::open(&mut beside, &database, queue.clone()),
        load: Load::new(database.clone(), &settings.api),
        database: database.clone(),
        queue: queue.clone(),
        objects: objects.clone(),
        graph: settings.graph.clone(),
        file_root: settings.file_root.clone(),
        settings: settings.api.clone(),
        authenticator,
        operator: settings.api.operator.as_ref().map(OperatorTokens::new),
        seen: fleet::Seen::default(),
        uploads: Semaphore::new(UPLOADS_MAX),
        exports: Semaphore::new(export::AT_ONCE),
        audits: Arc::new(Semaphore::new(audits::AT_ONCE)),
        metrics: ApiMetrics::new()?,
        graph_memory: graph_memory::Heard::default(),
        ready: AtomicBool::new(true),
        stop: stop.clone(),
    });
    if settings.upkeep {
        // Without it nothing wakes what is delayed where there is no worker.
        beside.spawn(Box::pin(upkeep(settings.clone(), database.clone(), queue)));
        beside.spawn(Box::pin(sweep::run(database.clone(), objects.map(|(objects, _)| objects))));
    }
    beside.spawn(watch_back_ends(api.clone()));
    beside.spawn(Box::pin(graph_memory::watch(api.clone())));
    if let Some(keeper) = keeper {
        beside.spawn(keeper.run());
    }
    tracing::info!(address = %listen, internal = %settings.api.internal_listen, "the API answers");
    let (users, operator) =
        (router::router(api.clone(), router::PUBLIC), router::router(api.clone(), router::INTERNAL));
    tokio::join!(
        http::serve(public, users, PUBLIC, stop.clone()),
        http::serve(internal, operator, INTERNAL, stop),
    );
    tracing::info!("the API ends");
    beside.shutdown().await;
    Ok(())
}

/// Keeps up, once the graph's server answers: documents are taken without it.
async fn upkeep(settings: Settings, database: Database, queue: Arc<dyn Queue>) {
    let sinks = loop {
        match service::sinks(&database, &settings.graph).await {
            Ok(sinks) => break sinks,
            Err(error) => tracing::warn!(%error, "no upkeep before the graph answers"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let ledger = Arc::new(PostgresLedger::new(database.clone(), settings.lease.cleanup_delay_ms));
    let promote_every = Duration::from_millis(settings.lease.beat_ms());
    let deleted_kept = settings.deleted_kept;
    Upkeep { database, ledger, queue, sinks, promote_every, deleted_kept }.run().await;
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|error| Error::Address { address, error })
}

/// Who is answered, and where.
struct WhoMay {
    authenticator: Arc<dyn Authenticator>,
    listen: SocketAddr,
    /// What has to run beside.
    keeper: Option<Keeper>,
}

/// Tokens and keys where there is an issuer, keys where there are any; else this machine alone.
fn who_may(settings: &ApiSettings, database: &Database, has_keys: bool) -> Result<WhoMay, Error> {
    let (keys, listen) = (ByKey::new(database.clone()), settings.listen);
    if let Some(oidc) = &settings.oidc {
        let (tokens, keeper) = ByToken::new(oidc)?;
        let authenticator = Arc::new(ByTokenOrKey { tokens, keys });
        return Ok(WhoMay { authenticator, listen, keeper: Some(keeper) });
    }
    if has_keys {
        return Ok(WhoMay { authenticator: Arc::new(keys), listen, keeper: None });
    }
    let token = Secret::new(keys::random_hex(32)?);
    let path = &settings.token_file;
    write_token(path, &token).map_err(|error| Error::TokenFile { path: path.clone(), error })?;
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, settings.listen.port()));
    tracing::warn!(
        address = %listen,
        token_file = %path.display(),
        "there are no keys, so only this machine is answered; `docmill-worker keys create` makes one"
    );
    let authenticator = Arc::new(OnThisMachine::new(token, database.clone()));
    Ok(WhoMay { authenticator, listen, keeper: None })
}

/// Only its owner may read it, from its first byte on.
fn write_token(path: &Path, token: &Secret) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    std::io::Write::write_all(&mut file, token.expose().as_bytes())
}

/// Ready is who can take documents: a ledger that answers. The object store says so with each upload.
async fn watch_back_ends(api: Shared) {
    loop {
        let answers = tokio::time::timeout(LOOK_EVERY, api.database.ping()).await;
        api.ready.store(matches!(answers, Ok(Ok(()))), Ordering::Relaxed);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
