//! The API of the cluster's shape: PostgreSQL, Redis, an object store and maybe Neo4j, put together.

use std::path::PathBuf;
use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::first_key::FirstKey;
use super::{
    Drawer, Error, LOOK_EVERY, Parts, Problem, Shape, SinksOf, bind, serve, sweep, waiting, who_may,
};
use crate::ask::Asker;
use crate::concepts;
use crate::config::{GraphStore, Settings};
use crate::desk::Desk;
use crate::objects::{Objects, Scratch};
use crate::postgres::{Database, PostgresLedger, PostgresSearch};
use crate::queue::Queue;
use crate::queue::redis::RedisQueue;
use crate::search::{QueryEmbedder, Search, first_embedder};
use crate::service;
use crate::upkeep::Upkeep;

/// Seconds after which it is worth asking again for a graph that is away.
const AWAY_RETRY_S: u64 = 5;

/// Waits for the ledger's server, then answers until `stop` turns true; then it takes no more connections and ends
/// what it is answering. `extractor` is the program that draws pages: the worker's own.
///
/// # Errors
/// It cannot begin.
pub async fn run(
    settings: &Settings,
    extractor: PathBuf,
    stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let first_key = settings.api.first_key_file.as_deref().map(FirstKey::read).transpose()?;
    let internal = bind(settings.api.internal_listen).await?;
    // Probes come to where users will, so it is listened there at once; until the ledger says whether there are keys,
    // whoever comes learns no more than that.
    let mut public = bind(settings.api.listen).await?;
    let listeners = [&public, &internal];
    let ledger = Box::pin(waiting::ledger(&settings.postgres, first_key.as_ref(), listeners, stop.clone()));
    let Some((database, has_keys)) = ledger.await? else { return Ok(()) };
    let desk: Arc<dyn Desk> = Arc::new(database.clone());
    let who = who_may(&settings.api, &desk, has_keys)?;
    if who.listen != settings.api.listen {
        drop(public);
        public = bind(who.listen).await?;
    }
    if who.token.is_some() {
        tracing::warn!(
            address = %who.listen,
            token_file = %settings.api.token_file.display(),
            "there are no keys, so only this machine is answered; `docmill-worker keys create` makes one"
        );
    }
    let parts = Box::pin(parts(settings, extractor, &database, desk)).await?;
    let mut beside = JoinSet::new();
    if settings.upkeep {
        // Without it nothing wakes what is delayed where there is no worker.
        beside.spawn(Box::pin(upkeep(settings.clone(), database.clone(), parts.queue.clone())));
        let objects = parts.objects.as_ref().map(|(objects, _)| objects.clone());
        beside.spawn(Box::pin(sweep::run(database, objects)));
    }
    tracing::info!(address = %who.listen, internal = %settings.api.internal_listen, "the API answers");
    Box::pin(serve(parts, &settings.api, who, public, Some(internal), stop)).await?;
    beside.shutdown().await;
    Ok(())
}

async fn parts(
    settings: &Settings,
    extractor: PathBuf,
    database: &Database,
    desk: Arc<dyn Desk>,
) -> Result<Parts, Error> {
    let objects = match &settings.objects {
        Some(options) => Some((Objects::open(options)?, options.clone())),
        None => None,
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let embedder = Arc::new(QueryEmbedder::new(cores));
    let search: Arc<dyn Search> = Arc::new(PostgresSearch::new(database.clone(), embedder.clone()));
    let asker = Asker::new(search.clone(), &settings.ask).map_err(Error::Ask)?;
    let scratch = Scratch::open(&settings.scratch)
        .inspect_err(|error| tracing::info!(%error, "no object is shown as a picture: there is no scratch"))
        .ok();
    Ok(Parts {
        desk,
        // It begins indexes and switches none.
        ledger: Arc::new(PostgresLedger::new(database.clone(), 0)),
        kept: Arc::new(database.clone()),
        queue: Arc::new(RedisQueue::new(settings.redis.clone())),
        objects,
        scratch,
        drawer: drawer(settings, extractor).await,
        file_root: settings.file_root.clone(),
        sinks: sinks_of(database.clone(), settings.graph.clone()),
        graph: settings.graph.clone(),
        search,
        embedder,
        asker: Arc::new(asker),
        concepts: concepts::of(&settings.graph, database).await,
        first_embedder: first_embedder(settings.mock_embeddings),
        shape: Shape::Cluster,
        memo: settings.memo.clone(),
    })
}

/// What draws pages, where extractors are held here as is asked and there is memory for one. It answers without, too.
async fn drawer(settings: &Settings, extractor: PathBuf) -> Option<Drawer> {
    let open = async {
        let drawer = Drawer::new(extractor, &settings.extract)?;
        drawer.check(&settings.extract).await.map(|()| drawer)
    };
    Box::pin(open).await.inspect_err(|why| tracing::warn!(why, "pages are not drawn")).ok()
}

/// The stores, opened when they are asked for: documents are taken without the graph's server.
fn sinks_of(database: Database, graph: GraphStore) -> SinksOf {
    Arc::new(move || {
        let (database, graph) = (database.clone(), graph.clone());
        Box::pin(async move {
            service::sinks(&database, &graph).await.map_err(|error| {
                tracing::warn!(%error, "the graph's server failed");
                let detail = "the concept graph's server does not answer";
                Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "graph_unavailable",
                    detail,
                    "ask again later",
                )
                .retry_after(AWAY_RETRY_S)
            })
        })
    })
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
    Upkeep::new(&settings, database, ledger, queue, sinks).run().await;
}
