//! All servers, each on a disk of its own, with an API, workers, and somebody who uploads and somebody who reads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use docmill_core::id::TenantId;
use docmill_worker::embed::Mock;
use docmill_worker::ledger::Ledger;
use docmill_worker::neo4j;
use docmill_worker::postgres::{Database, Options, PostgresLedger};
use docmill_worker::queue::redis::{RedisOptions, RedisQueue};
use docmill_worker::stages::models::{CONCEPTS_BUILTIN, spec};
use tokio::task::{JoinSet, block_in_place};

use super::super::fleet::Fleet;
use super::super::gather;
use super::super::judge::{self, Verdict};
use super::super::look::Look;
use super::super::settle;
use super::disks::Disk;
use super::reader::Reader;
use super::uploader::Uploader;
use crate::services::api::ApiServer;
use crate::services::neo4j::Neo4jServer;
use crate::services::postgres::Server;
use crate::services::redis::{RedisServer, Setup, options as redis_options};
use crate::services::worker::WorkerSetup;

/// Worker processes.
const WORKERS: usize = 2;
/// The test lease.
const LEASE_MS: u64 = 1_500;
/// Delay of removals.
const CLEANUP_DELAY_MS: u64 = 500;
/// Longest wait for a condition.
const UNTIL_MAX: Duration = Duration::from_secs(90);
/// Longest wait for the end of all work.
const SETTLE_MAX: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What no URI begins with: all documents are uploads.
const NO_ROOT: &str = "none:";
/// Sizes of the disks, in MiB: enough for a run, little to fill.
const REDIS_MIB: u32 = 64;
const POSTGRES_MIB: u32 = 320;
const OBJECTS_MIB: u32 = 64;
const SCRATCH_MIB: u32 = 16;

/// See the module.
pub struct House {
    /// The queue, but while it is somewhere else.
    pub redis: Arc<RedisServer>,
    /// Ledger, texts, vectors.
    pub postgres: Server,
    /// The graph.
    pub neo4j: Neo4jServer,
    /// What takes uploads.
    pub api: ApiServer,
    /// A key that may do everything.
    pub key: String,
    /// Who uploads.
    pub uploader: Arc<Uploader>,
    /// Who reads.
    pub reader: Arc<Reader>,
    /// The harness' own look.
    pub look: Arc<Look>,
    /// Where each server's files are.
    pub disks: Disks,
    volume: PathBuf,
    options: Options,
    setup: WorkerSetup,
    queue: Mutex<(RedisOptions, Arc<RedisServer>)>,
    fleet: Mutex<Fleet>,
    fleets: Mutex<usize>,
    _beside: JoinSet<()>,
    // Last: what runs on the disks is gone by then.
    dir: tempfile::TempDir,
}

/// Disks that can be filled.
pub struct Disks {
    /// Of the queue.
    pub redis: Disk,
    /// Of the ledger.
    pub postgres: Disk,
    /// Of uploads.
    pub objects: Disk,
    /// Of the workers.
    pub scratch: Disk,
}

impl House {
    /// Starts everything.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn start(seed: u64) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("docmill-faults-").tempdir()?;
        // PostgreSQL's account enters it.
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let disk = |name: &str, mib| Disk::new(&dir.path().join(name), mib);
        let disks = Disks {
            redis: disk("redis", REDIS_MIB)?,
            postgres: disk("postgres", POSTGRES_MIB)?,
            objects: disk("objects", OBJECTS_MIB)?,
            scratch: disk("scratch", SCRATCH_MIB)?,
        };
        let home = Some(disks.redis.path().to_owned());
        let redis = block_in_place(|| RedisServer::start(&Setup { tcp: true, home, ..Setup::default() }));
        let redis = Arc::new(redis);
        let postgres = block_in_place(|| Server::start_in(disks.postgres.path()))?;
        let neo4j = block_in_place(|| Neo4jServer::start(false));
        let options = postgres.fresh();
        let ledger = PostgresLedger::new(Database::open(&options).await?, CLEANUP_DELAY_MS);
        let index = spec(Mock::FINGERPRINT, Mock::DIMENSIONS, CONCEPTS_BUILTIN);
        ledger.begin_index(&TenantId::default(), &index).await?;
        let volume = disks.objects.path().join("volume");
        std::fs::create_dir(&volume)?;
        let setup = WorkerSetup {
            neo4j: Some(neo4j.options()),
            objects: format!("objects: {{volume: {{path: {}}}}}\n", volume.display()),
            concurrency: 1,
            lease_ms: LEASE_MS,
            cleanup_delay_ms: CLEANUP_DELAY_MS,
            scratch: Some(disks.scratch.path().to_owned()),
            ..WorkerSetup::new(redis.port, options.clone())
        };
        let api = ApiServer::new(setup.clone(), &dir.path().join("api"));
        let key = block_in_place(|| {
            let key = api.key_with("default", "read,write,admin");
            api.start();
            key
        });
        let look = Arc::new(Look::new(options.clone()));
        let uploader = Arc::new(Uploader::new(api.client(Some(key.clone())), look.clone(), seed));
        let reader = Arc::new(Reader::default());
        let mut beside = JoinSet::new();
        beside.spawn(uploader.clone().run(seed));
        beside.spawn(reader.clone().run(Look::new(options.clone())));
        let queue = (redis_options(&setup.redis_url), redis.clone());
        let fleet = Fleet::start(setup.clone(), dir.path().join("workers-0"), WORKERS);
        Ok(Self {
            redis,
            postgres,
            neo4j,
            api,
            key,
            uploader,
            reader,
            look,
            disks,
            volume,
            options,
            setup,
            queue: Mutex::new(queue),
            fleet: Mutex::new(fleet),
            fleets: Mutex::new(1),
            _beside: beside,
            dir,
        })
    }

    /// The volume of uploads.
    pub fn volume(&self) -> &std::path::Path {
        &self.volume
    }

    /// A place for what a scenario needs for itself.
    pub fn home(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Where the queue is where no scenario says otherwise.
    pub fn queue_url(&self) -> &str {
        &self.setup.redis_url
    }

    /// Lets API and workers use another queue, which is in `server`. They begin anew.
    ///
    /// # Errors
    /// Uploads do not come to an end.
    pub async fn move_queue(&self, url: &str, server: Arc<RedisServer>) -> Result<()> {
        self.uploader.rest().await?;
        *lock(&self.queue) = (redis_options(url), server);
        let setup = WorkerSetup { redis_url: url.to_owned(), ..self.setup.clone() };
        let number = {
            let mut fleets = lock(&self.fleets);
            *fleets += 1;
            *fleets
        };
        block_in_place(|| {
            self.api.kill();
            self.api.configure(&setup);
            self.api.start();
            *lock(&self.fleet) =
                Fleet::start(setup, self.dir.path().join(format!("workers-{number}")), WORKERS);
        });
        Ok(())
    }

    /// Waits for a condition.
    ///
    /// # Errors
    /// It does not come.
    pub async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) -> Result<()> {
        let began = Instant::now();
        while !condition().await {
            ensure!(
                began.elapsed() < UNTIL_MAX,
                "{what}: not within {UNTIL_MAX:?}; {:?}\n{}",
                self.uploader.noted(),
                self.last_words()
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Commits so far; none while the ledger is away.
    pub async fn commits(&self) -> Option<i64> {
        self.look.number("SELECT value FROM counters WHERE name = 'commit'").await.ok()
    }

    /// Waits until documents come in and are committed.
    ///
    /// # Errors
    /// They are not.
    pub async fn flows(&self) -> Result<()> {
        let accepted = self.uploader.noted().accepted;
        let before = self.commits().await.unwrap_or(0);
        self.until("documents that come in", async || {
            self.uploader.noted().accepted > accepted + 3
                && self.commits().await.is_some_and(|commits| commits > before + 2)
        })
        .await
    }

    /// Processes of ours that ended by themselves.
    pub fn ended(&self) -> usize {
        let running = lock(&self.fleet).running();
        WORKERS - running + usize::from(self.api.ended())
    }

    /// The end of what workers and API said.
    pub fn last_words(&self) -> String {
        let api = self.api.log();
        let lines: Vec<&str> = api.lines().collect();
        let last = &lines[lines.len().saturating_sub(12)..];
        format!("{}--- api\n{}", lock(&self.fleet).last_words(WORKERS), last.join("\n"))
    }

    /// Lets uploads come to their end, waits until nothing moves, audits, and counts against the list.
    ///
    /// # Errors
    /// A server does not answer.
    pub async fn settle(&self) -> Result<(Verdict, usize)> {
        self.uploader.rest().await?;
        let (options, server) = lock(&self.queue).clone();
        let mut admin = server.admin();
        let began = Instant::now();
        while !settle::is_settled(&self.look, &mut admin).await? {
            if began.elapsed() > SETTLE_MAX {
                let open = settle::open(&self.look).await;
                eprintln!("not settled within {SETTLE_MAX:?}: {open} rows\n{}", self.last_words());
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let graph = neo4j::Database::connect(&self.neo4j.options()).await?;
        let queue = RedisQueue::new(options);
        let found = settle::audit(&self.options, &graph, &queue, CLEANUP_DELAY_MS).await?;
        let seen = gather::gather(&self.look, &graph, &mut admin, NO_ROOT).await?;
        ensure!(!seen.texts.is_empty(), "nothing was written");
        let mut verdict = judge::judge(&self.uploader.inventory(), &seen);
        verdict.verify += found.wrong();
        let mut lost = 0;
        for (name, hash) in self.uploader.acknowledged() {
            let there = seen.documents.iter().any(|document| {
                document.key == name && document.content == hash && document.state == "committed"
            });
            lost += usize::from(!there);
        }
        Ok((verdict, lost))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while holding it")
}
