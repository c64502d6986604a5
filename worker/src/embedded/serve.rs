//! `docmill serve`: the whole API on a data directory, and the worker that delivers what comes by it, in one process.
//!
//! What is uploaded lies below the directory, directories that are watched are taken in as a run takes them in. Documents
//! are worked on in a workshop of their own, which gives way to those that ask. It answers at once: models are loaded
//! beside, it is ready when they are, and until then documents wait for nothing but their vectors.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use docmill_core::id::TenantId;
use docmill_core::index::IndexSpec;
use futures::FutureExt;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::session::{self, Session, Setup, active_spec, fitting_spec, sinks};
use super::uploads::OBJECTS;
use super::watch::{Watched, directories, watch_until};
use super::workshop::Workshop;
use super::{Counters, Embeddings, Error, Metrics, RunOptions};
use crate::api::memo::MemoSettings;
use crate::api::{self, Drawer, Shape, SinksOf};
use crate::ask::{AskSettings, Asker};
use crate::clock::SystemClock;
use crate::concepts::SqliteConcepts;
use crate::config::{ApiSettings, GraphStore};
use crate::desk::{self, Desk};
use crate::embed::{MiniLm, Mock};
use crate::intake::Finished;
use crate::ledger::Ledger;
use crate::objects::{Objects, ObjectsOptions, Scratch, ScratchOptions};
use crate::search::{EmbeddedSearch, QueryEmbedder, Search, first_embedder};
use crate::sqlite::Database;
use crate::stages::Models;
use crate::stages::models::NONE;

/// Where pages are drawn from, below the data directory.
const SCRATCH: &str = "scratch";
/// Most that lies there, in MiB.
const SCRATCH_MIB: u32 = 512;
/// The file of the token that changes need while there are no keys.
const TOKEN: &str = "api-token";
/// Shortest time between two looks for what commits brought.
const KEEP_UP_EVERY: Duration = Duration::from_millis(250);
/// Time between two looks for uploads and answers that nobody needs.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// What is served, to whom.
pub struct ServeOptions {
    /// Where it listens; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// Directories whose files are taken in as they come and change.
    pub watch: Vec<PathBuf>,
    /// Whose documents these are, and whose index is begun.
    pub tenant: TenantId,
    /// How documents are read; its paths, its tenant and what it removes are not looked at.
    pub run: RunOptions,
    /// What answers questions.
    pub ask: AskSettings,
    /// A first index is made with vectors without meaning.
    pub mock_embeddings: bool,
    /// Answers that are kept.
    pub memo: MemoSettings,
}

/// Where it is served; told once it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The address.
    pub listen: SocketAddr,
    /// The file of the token for changes; none where there are keys.
    pub token_file: Option<PathBuf>,
}

/// Serves until `stop` turns true; then it takes no more, ends what it is answering, and gives back what is in work.
///
/// # Errors
/// It cannot begin, or the ledger stopped.
pub async fn serve(
    data_dir: &Path,
    options: ServeOptions,
    told: impl FnOnce(&Served) + Send,
    stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let database = Arc::new(Database::open(data_dir, Arc::new(SystemClock))?);
    database.checkpoint_often().await?;
    let watched = Watched {
        tenant: options.tenant.clone(),
        directories: directories(&options.watch, data_dir)?,
        bytes_max: options.run.limits.file_mib << 20,
    };
    let has_keys = Desk::has_keys(&*database).await.map_err(books)?;
    let (public, listen) = bind(options.listen, has_keys).await?;
    let setup = setup(&options, database.as_ref()).await?;
    if let Some(lacks) = setup.sandbox().await? {
        tracing::warn!(lacks, "extractors are held by what there is");
    }
    let counters: Arc<Counters> = Arc::default();
    let metrics = Metrics::new(counters.clone()).map(Arc::new);
    let metrics = metrics.map_err(|error| Error::Api(error.to_string()))?;
    let place = Place::make(data_dir)?;
    let spec = fitting_spec(database.as_ref(), &setup).await?;
    let embedder = Arc::new(QueryEmbedder::new(cores()));
    // What is taken in leaves searches a core.
    let models = Models::beside(cores().saturating_sub(1).max(1), embedder.searched().clone());
    let parts = session::Parts { database: database.clone(), models: Arc::new(models), spec: spec.clone() };
    let workshop = Workshop::open(cores())?;
    let data_dir = data_dir.to_owned();
    let opening = async move { Session::of(&data_dir, &setup, counters, parts).await };
    let session = workshop.begin(opening).done().await?;

    let mut settings = ApiSettings::here(listen, place.token_file.clone());
    // What no extractor would take is refused as it comes.
    settings.max_upload_bytes = watched.bytes_max;
    let desk: Arc<dyn Desk> = database.clone();
    let who = api::who_may(&settings, &desk, has_keys).map_err(unusable)?;
    let metrics_file = options.run.metrics.clone();
    let search = Arc::new(EmbeddedSearch::new(database.readers().clone(), embedder.clone()));
    let parts = answering(&session, options, &watched, &place, (search.clone(), embedder))?;
    let objects = place.open()?;
    let token_file = (!has_keys).then(|| place.token_file.clone());
    told(&Served { listen, token_file });

    let (halt, halting) = watch::channel(false);
    let mut working = workshop.begin(work(session, watched, spec, metrics.clone(), halting));
    let (stopping, changes) = (stop.clone(), database.changes());
    let mut answering =
        Box::pin(async { api::serve(parts, &settings, who, public, None, stop).await.map_err(unusable) });
    let beside = futures::future::join4(
        sweep(desk.as_ref(), &objects),
        written(&metrics, metrics_file.as_deref()),
        pass_on(stopping, &halt),
        keep_up(&search, changes),
    );
    let ended = tokio::select! {
        answered = &mut answering => {
            halt.send_replace(true);
            let worked = working.done().await;
            answered.and(worked)
        }
        // Asked to end, or it cannot go on.
        worked = working.done() => match worked {
            Ok(()) => answering.await,
            failed => failed,
        },
        (never, ..) = beside => match never {},
    };
    workshop.close().await;
    ended?;
    if let Some(path) = &metrics_file {
        metrics.write(path)?;
    }
    Ok(())
}

/// Delivers what comes and looks for it, until it is to stop; then tidies up.
async fn work(
    session: Session,
    watched: Watched,
    spec: IndexSpec,
    metrics: Arc<Metrics>,
    stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let mut finished = |finished: &Finished| metrics.observe(finished);
    let ended = {
        // Without it nothing could be delivered, so it is said before the first document comes.
        let loading = async { session.models.embedder(&spec).await.map(drop).map_err(Error::Model) };
        let delivering = session.serve_until(stop.clone(), &mut finished);
        let watching = watch_until(&session, &watched, stop);
        tokio::try_join!(Box::pin(delivering), Box::pin(watching), Box::pin(loading)).map(drop)
    };
    let closed = session.close().await;
    ended?;
    closed
}

/// Says that it is to stop once this is said, until it is dropped.
async fn pass_on(mut stop: watch::Receiver<bool>, halt: &watch::Sender<bool>) -> Infallible {
    // Who could say it is gone: that is to end, too.
    let _ = stop.wait_for(|stop| *stop).await;
    halt.send_replace(true);
    std::future::pending().await
}

/// Loads what commits bring for those who search, before they ask, until it is dropped.
async fn keep_up(search: &EmbeddedSearch, changes: Option<watch::Receiver<u64>>) -> Infallible {
    let Some(mut changes) = changes else { return std::future::pending().await };
    while changes.changed().await.is_ok() {
        search.keep_up().await;
        tokio::time::sleep(KEEP_UP_EVERY).await;
    }
    std::future::pending().await
}

/// Where things are, below the data directory.
struct Place {
    objects: PathBuf,
    scratch: PathBuf,
    token_file: PathBuf,
}

impl Place {
    fn make(data_dir: &Path) -> Result<Self, Error> {
        // Users are told of paths, and workers of files: neither depends on where this was started.
        let data_dir = data_dir.canonicalize().map_err(|error| unusable_dir(data_dir, &error))?;
        let place = Self {
            objects: data_dir.join(OBJECTS),
            scratch: data_dir.join(SCRATCH),
            token_file: data_dir.join(TOKEN),
        };
        std::fs::create_dir_all(&place.objects).map_err(|error| unusable_dir(&place.objects, &error))?;
        Ok(place)
    }

    fn options(&self) -> ObjectsOptions {
        ObjectsOptions::Volume(self.objects.clone())
    }

    fn open(&self) -> Result<Objects, Error> {
        Objects::open(&self.options()).map_err(unusable)
    }
}

/// Listens, where it may: by keys or this machine alone.
async fn bind(asked: SocketAddr, has_keys: bool) -> Result<(TcpListener, SocketAddr), Error> {
    if !has_keys && !asked.ip().is_loopback() {
        return Err(Error::KeysNeeded(asked));
    }
    let unusable = |error: std::io::Error| Error::Listen { address: asked, detail: error.to_string() };
    let listener = TcpListener::bind(asked).await.map_err(unusable)?;
    let address = listener.local_addr().map_err(unusable)?;
    Ok((listener, address))
}

/// How documents are read: as a run with the same flags reads them.
async fn setup(options: &ServeOptions, ledger: &dyn Ledger) -> Result<Setup, Error> {
    let run = &options.run;
    let embeddings = match run.embeddings {
        // The first index: from then on it is the index that says.
        None if options.mock_embeddings && active_spec(ledger, &options.tenant).await?.is_none() => {
            Some(Embeddings::Mock)
        }
        asked => asked,
    };
    Ok(Setup { tenant: options.tenant.clone(), embeddings, ..Setup::of(run) })
}

/// What the API answers with.
fn answering(
    session: &Session,
    options: ServeOptions,
    watched: &Watched,
    place: &Place,
    (search, embedder): (Arc<dyn Search>, Arc<QueryEmbedder>),
) -> Result<api::Parts, Error> {
    let database = session.database.clone();
    let readers = database.readers().clone();
    let scratch = ScratchOptions { path: place.scratch.clone(), limit_mib: SCRATCH_MIB };
    let scratch = Scratch::open(&scratch).map_err(|error| unusable_dir(&place.scratch, &error))?;
    let asker = Asker::new(search.clone(), &options.ask).map_err(Error::Api)?;
    let stores = sinks(&database);
    let sinks: SinksOf = Arc::new(move || {
        let stores = stores.clone();
        async move { Ok(stores) }.boxed()
    });
    let first_embedder = match options.run.embeddings {
        Some(Embeddings::None) => (NONE, 0),
        Some(Embeddings::Mock) => (Mock::FINGERPRINT, Mock::DIMENSIONS),
        Some(Embeddings::Builtin) => (MiniLm::FINGERPRINT, MiniLm::DIMENSIONS),
        None => first_embedder(options.mock_embeddings),
    };
    Ok(api::Parts {
        desk: database.clone(),
        ledger: database,
        kept: Arc::new(readers.clone()),
        queue: session.queue.clone(),
        objects: Some((place.open()?, place.options())),
        scratch: Some(scratch),
        drawer: drawer(&options.run),
        // Files are named below what is watched, where that is one place.
        file_root: match &watched.directories[..] {
            [only] => Some(only.clone()),
            _ => None,
        },
        sinks,
        graph: GraphStore::Postgres,
        search,
        embedder,
        asker: Arc::new(asker),
        concepts: Arc::new(SqliteConcepts(readers)),
        first_embedder,
        shape: Shape::Embedded,
        memo: options.memo,
    })
}

/// What draws pages, beside the extractors that read; with too little memory nobody does.
fn drawer(run: &RunOptions) -> Option<Drawer> {
    let drawer = Drawer::new(run.extractor.binary.clone(), &run.extract_options());
    drawer.inspect_err(|why| tracing::warn!(why, "pages are not drawn")).ok()
}

/// Removes what nobody needs any more, until it is dropped.
async fn sweep(desk: &dyn Desk, objects: &Objects) -> Infallible {
    let mut after = None;
    loop {
        if let Err(error) = api::sweep::round(desk, Some(objects), &mut after).await {
            tracing::warn!(%error, "sweeping is behind");
        }
        tokio::time::sleep(SWEEP_EVERY).await;
    }
}

/// Keeps the file of metrics written, where there is one, until it is dropped.
async fn written(metrics: &Arc<Metrics>, path: Option<&Path>) {
    match path {
        Some(path) => metrics.clone().keep_written(path.to_owned()).await,
        None => std::future::pending().await,
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn books(error: desk::Error) -> Error {
    match error {
        desk::Error::DiskFull => crate::sqlite::Error::DiskFull.into(),
        other => Error::Api(other.to_string()),
    }
}

fn unusable(error: impl std::fmt::Display) -> Error {
    Error::Api(error.to_string())
}

fn unusable_dir(dir: &Path, error: &std::io::Error) -> Error {
    let (dir, detail) = (dir.to_owned(), error.to_string());
    crate::sqlite::Error::Unusable { dir, detail }.into()
}
