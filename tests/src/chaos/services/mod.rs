//! Kills of workers and servers of the shape with many processes, while documents come in and change. What
//! was submitted is counted by a list of the harness' own against what the servers hold in the end.

pub mod faults;
mod feeder;
mod fleet;
mod gather;
mod inventory;
mod judge;
pub(crate) mod look;
mod plan;
mod recovery;
pub(crate) mod servers;
mod settle;
mod uploads;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use docmill_core::id::TenantId;
use docmill_worker::delivery::PlantedFault;
use docmill_worker::embed::Mock;
use docmill_worker::ledger::Ledger;
use docmill_worker::neo4j;
use docmill_worker::objects::ObjectsOptions;
use docmill_worker::postgres::{Database, Options as PostgresOptions, PostgresLedger};
use docmill_worker::queue::redis::RedisQueue;
use docmill_worker::stages::models::{CONCEPTS_BUILTIN, spec};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::services::redis::options as redis_options;
use crate::services::worker::WorkerSetup;
use feeder::Feeder;
use fleet::Fleet;
use inventory::{Inventory, POISON};
pub use judge::Verdict;
use look::Look;
use plan::{Act, plan};
pub use recovery::Measured;
use recovery::Recovery;
use servers::Servers;
pub use servers::Service;
use uploads::Uploads;

/// Worker processes: more than the processors of a small machine, so that a kill leaves others.
const WORKERS: usize = 3;
/// Extractors of each.
const CONCURRENCY: usize = 1;
/// The test lease.
pub const LEASE_MS: u64 = 1_500;
/// Leases that a zombie stands still for.
const ZOMBIE_LEASES: u32 = 3;
/// Delay of removals, far below the shipped minute: else the end would wait for it.
const CLEANUP_DELAY_MS: u64 = 500;
/// How long a server stays away, before its own start.
const DOWN_MS: std::ops::Range<u64> = 0..600;
/// Documents that are settled before the first kill.
const BEFORE_KILLS: i64 = 20;
/// Longest wait for that, and for the end of all work.
const BEGIN_MAX: Duration = Duration::from_secs(60);
const SETTLE_MAX: Duration = Duration::from_secs(120);
/// And this many leases: a poison document dies thrice.
const SETTLE_LEASES: u32 = 6;
/// Between two looks at such things.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Between two looks at the processes.
const KEEP_UP_EVERY: Duration = Duration::from_millis(20);
/// What recoveries have to be at the test lease, in seconds.
const RECOVERY_P99_S: f64 = 5.0;
const RECOVERY_MAX_S: f64 = 10.0;
/// What they may take beyond a longer lease, such as the shipped one; of these only the p99 is judged.
const BEYOND_LEASE_S: f64 = 10.0;

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Processes to kill.
    pub kills: usize,
    /// Decides what is killed and submitted, and when; not how processes run.
    pub seed: u64,
    /// Time of a lease; kills are further apart where it is longer.
    pub lease_ms: u64,
    /// A mistake that the workers make, which must be found.
    pub planted: Option<PlantedFault>,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Kills of each kind.
    pub kills: BTreeMap<&'static str, usize>,
    /// Workers that stood still and went on.
    pub zombies: usize,
    /// Documents in the list.
    pub documents: usize,
    /// What was found.
    pub verdict: Verdict,
    /// Time of a lease.
    pub lease_ms: u64,
    /// How long work took to go on.
    pub recovery: Measured,
    /// Longest start of each server, in seconds.
    pub starts: BTreeMap<&'static str, f64>,
    /// All of it.
    pub seconds: f64,
}

impl Outcome {
    /// Names of what falls short.
    pub fn short(&self) -> Vec<&'static str> {
        let mut short = self.verdict.short();
        if self.recovery.open > 0 {
            short.push("recovery_open");
        }
        let (p99_max, max) = match self.lease_ms {
            LEASE_MS => (RECOVERY_P99_S, RECOVERY_MAX_S),
            longer => (longer as f64 / 1_000.0 + BEYOND_LEASE_S, f64::INFINITY),
        };
        if self.recovery.percentile(99.0) >= p99_max {
            short.push("recovery_p99_s");
        }
        if self.recovery.percentile(100.0) >= max {
            short.push("recovery_max_s");
        }
        short
    }

    /// The closing line.
    pub fn line(&self) -> String {
        let of = |kind: &str| self.kills.get(kind).copied().unwrap_or(0);
        let (verdict, recovery) = (&self.verdict, &self.recovery);
        format!(
            "chaos services: lease_ms={} kills={} worker_kills={} redis_kills={} postgres_kills={} neo4j_kills={} api_kills={} \
             zombies={} documents={} lost={} partial={} duplicate={} stale={} innocent_dead={} poison_wrong={} \
             verify={} recovery_p50_s={:.2} recovery_p99_s={:.2} recovery_max_s={:.2} seconds={:.1}",
            self.lease_ms,
            self.kills.values().sum::<usize>(),
            of("worker"),
            of("redis"),
            of("postgres"),
            of("neo4j"),
            of("api"),
            self.zombies,
            self.documents,
            verdict.lost,
            verdict.partial,
            verdict.duplicate,
            verdict.stale,
            verdict.innocent_dead,
            verdict.poison_wrong,
            verdict.verify,
            recovery.percentile(50.0),
            recovery.percentile(99.0),
            recovery.percentile(100.0),
            self.seconds,
        )
    }

    /// What the closing line does not say: how much the kills hit, and how long servers take to start.
    pub fn beside(&self) -> String {
        let starts: Vec<String> =
            self.starts.iter().map(|(name, seconds)| format!("{name}_start_max_s={seconds:.2}")).collect();
        let services: Vec<String> = Service::ALL
            .into_iter()
            .filter_map(|service| {
                let of = self.recovery.services.iter().filter(|(known, _)| *known == service);
                let longest = of.map(|(_, seconds)| *seconds).reduce(f64::max)?;
                Some(format!("{}_recovery_max_s={longest:.2}", service.name()))
            })
            .collect();
        format!(
            "effective_worker_kills={} documents_recovered={} {} {}",
            self.recovery.effective,
            self.recovery.documents.len(),
            services.join(" "),
            starts.join(" ")
        )
    }
}

/// Everything of a run.
struct Run {
    servers: Arc<Servers>,
    fleet: Arc<Fleet>,
    look: Arc<Look>,
    recovery: Arc<Recovery>,
    uploads: Arc<Uploads>,
    postgres: PostgresOptions,
    root: String,
    began: Instant,
}

/// Kills, lets everything come to its end, counts.
///
/// # Errors
/// The harness could not do its work; what the workers did wrong is in the outcome.
pub async fn run(options: &Options) -> Result<Outcome> {
    let began = Instant::now();
    let dir = tempfile::Builder::new().prefix("docmill-chaos-services-").tempdir()?;
    let servers = Arc::new(tokio::task::spawn_blocking(Servers::start).await??);
    let postgres = servers.postgres.fresh();
    let database = Database::open(&postgres).await?;
    let ledger = PostgresLedger::new(database, CLEANUP_DELAY_MS);
    let index = spec(Mock::FINGERPRINT, Mock::DIMENSIONS, CONCEPTS_BUILTIN);
    ledger.begin_index(&TenantId::default(), &index).await?;
    let volume = dir.path().join("volume");
    std::fs::create_dir(&volume)?;
    let look = Arc::new(Look::new(postgres.clone()));
    let setup = setup(&servers, &postgres, &volume, options);
    let (api, home) = (setup.clone(), dir.path().join("api"));
    let starting = servers.clone();
    let uploads = tokio::task::spawn_blocking(move || starting.start_api(api, &home)).await?;
    let fleet = Fleet::start(setup, dir.path().into(), WORKERS);
    let objects = ObjectsOptions::Volume(volume);
    let run = Run {
        fleet: Arc::new(fleet),
        recovery: Arc::new(Recovery::new(look.clone())),
        root: feeder::uri(&objects, "")?,
        uploads: uploads.clone(),
        look: look.clone(),
        servers: servers.clone(),
        postgres,
        began,
    };
    let mut beside = tokio::task::JoinSet::new();
    let fleet = run.fleet.clone();
    beside.spawn(async move {
        loop {
            fleet.keep_up();
            tokio::time::sleep(KEEP_UP_EVERY).await;
        }
    });
    let recovery = run.recovery.clone();
    beside.spawn(async move { recovery.watch().await });
    let stop = Arc::new(AtomicBool::new(false));
    let queue = RedisQueue::new(redis_options(&format!("redis://127.0.0.1:{}", servers.redis.port)));
    let feeder = Feeder { objects, ledger, queue, uploads, look, stop: stop.clone() };
    let feeding = tokio::spawn(feeder.run(options.seed));

    let committed = "SELECT count(*) FROM documents WHERE state = 'committed'";
    run.until("the first commits", BEGIN_MAX, async || {
        run.look.number(committed).await.is_ok_and(|count| count >= BEFORE_KILLS)
    })
    .await?;
    let mut outcome = Outcome { lease_ms: options.lease_ms, ..Outcome::default() };
    run.conduct(options, &mut outcome).await?;
    stop.store(true, Ordering::Relaxed);
    let inventory = feeding.await??;
    run.settle(&mut outcome, &inventory).await?;
    beside.shutdown().await;
    outcome.seconds = began.elapsed().as_secs_f64();
    let ended = run.fleet.ended_alone();
    eprintln!("{:.0} s: {ended} workers ended by themselves while a server was away", outcome.seconds);
    if !outcome.short().is_empty() {
        eprintln!("{}", run.fleet.last_words(2 * WORKERS));
    }
    Ok(outcome)
}

fn setup(servers: &Servers, postgres: &PostgresOptions, volume: &Path, options: &Options) -> WorkerSetup {
    // Its first page kills the extractor that reads it.
    let mut variables = vec![("DOCMILL_TEST_KILL".to_owned(), format!("{POISON}:1"))];
    if let Some(planted) = options.planted {
        variables.push((PlantedFault::VARIABLE.to_owned(), planted.as_str().to_owned()));
    }
    WorkerSetup {
        neo4j: Some(servers.neo4j.options()),
        objects: format!("objects: {{volume: {{path: {}}}}}\n", volume.display()),
        concurrency: CONCURRENCY,
        lease_ms: options.lease_ms,
        cleanup_delay_ms: CLEANUP_DELAY_MS,
        variables,
        ..WorkerSetup::new(servers.redis.port, postgres.clone())
    }
}

impl Run {
    /// Waits for a condition, or says which it was.
    async fn until(&self, what: &str, limit: Duration, condition: impl AsyncFn() -> bool) -> Result<()> {
        let began = Instant::now();
        while !condition().await {
            ensure!(
                began.elapsed() < limit,
                "{what}: not within {limit:?}\n{}",
                self.fleet.last_words(2 * WORKERS)
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Carries out the plan. One server is away at a time; workers are killed meanwhile as at any time.
    async fn conduct(&self, options: &Options, outcome: &mut Outcome) -> Result<()> {
        let mut random = StdRng::seed_from_u64(options.seed ^ 0x00c0_ffee);
        let mut away: Option<tokio::task::JoinHandle<Result<(Service, Duration)>>> = None;
        let mut zombies = tokio::task::JoinSet::new();
        // Half as much further apart as the lease is longer: documents get through, and are met again.
        let apart = (options.lease_ms / LEASE_MS / 2).max(1) as u32;
        for (number, step) in plan(options.kills, options.seed).into_iter().enumerate() {
            tokio::time::sleep(step.wait * apart).await;
            match step.act {
                Act::Worker => {
                    let killed = loop {
                        // At most one wait for a process to be started.
                        match self.fleet.kill_one(&mut random) {
                            Some(name) => break name,
                            None => tokio::time::sleep(KEEP_UP_EVERY).await,
                        }
                    };
                    self.recovery.worker_killed(killed);
                    *outcome.kills.entry("worker").or_default() += 1;
                }
                Act::Zombie => {
                    let Some(stopped) = self.fleet.stop_one(&mut random) else { continue };
                    let (fleet, lease_ms) = (self.fleet.clone(), options.lease_ms);
                    zombies.spawn(async move {
                        tokio::time::sleep(Duration::from_millis(lease_ms) * ZOMBIE_LEASES).await;
                        fleet.resume(stopped);
                    });
                    outcome.zombies += 1;
                }
                Act::Redis => self.take_away(Service::Redis, &mut away, &mut random, outcome).await?,
                Act::Postgres => self.take_away(Service::Postgres, &mut away, &mut random, outcome).await?,
                Act::Neo4j => self.take_away(Service::Neo4j, &mut away, &mut random, outcome).await?,
                Act::Api => self.take_away(Service::Api, &mut away, &mut random, outcome).await?,
            }
            if (number + 1) % 10 == 0 {
                let measured = self.recovery.measured();
                let commits = self.look.number("SELECT value FROM counters WHERE name = 'commit'").await;
                eprintln!(
                    "{:.0} s: {} kills, {} of them took documents from a worker; {} commits, {} unsettled; \
                     recovery p99 {:.2} s, max {:.2} s",
                    self.began.elapsed().as_secs_f64(),
                    outcome.kills.values().sum::<usize>(),
                    measured.effective,
                    commits.unwrap_or(-1),
                    self.look.unsettled().await.unwrap_or(-1),
                    measured.percentile(99.0),
                    measured.percentile(100.0)
                );
            }
        }
        self.back(&mut away, outcome).await?;
        while zombies.join_next().await.is_some() {}
        Ok(())
    }

    /// Kills a server; another task starts it again.
    async fn take_away(
        &self,
        service: Service,
        away: &mut Option<tokio::task::JoinHandle<Result<(Service, Duration)>>>,
        random: &mut StdRng,
        outcome: &mut Outcome,
    ) -> Result<()> {
        self.back(away, outcome).await?;
        let down = Duration::from_millis(random.random_range(DOWN_MS));
        let (servers, recovery) = (self.servers.clone(), self.recovery.clone());
        *outcome.kills.entry(service.name()).or_default() += 1;
        let began = self.began;
        *away = Some(tokio::task::spawn_blocking(move || {
            let at = || began.elapsed().as_secs_f64();
            recovery.service_away(service);
            eprintln!("{:.1} s: {} is killed", at(), service.name());
            servers.kill(service)?;
            std::thread::sleep(down);
            let took = servers.start_again(service)?;
            recovery.service_back(service);
            eprintln!("{:.1} s: {} answers again", at(), service.name());
            Ok((service, took))
        }));
        Ok(())
    }

    async fn back(
        &self,
        away: &mut Option<tokio::task::JoinHandle<Result<(Service, Duration)>>>,
        outcome: &mut Outcome,
    ) -> Result<()> {
        if let Some(away) = away.take() {
            let (service, took) = away.await??;
            let longest = outcome.starts.entry(service.name()).or_default();
            *longest = longest.max(took.as_secs_f64());
        }
        Ok(())
    }

    /// Waits until nothing moves, audits without repair, and counts.
    async fn settle(&self, outcome: &mut Outcome, inventory: &Inventory) -> Result<()> {
        let mut admin = self.servers.redis.admin();
        let began = Instant::now();
        let settle_max = SETTLE_MAX + Duration::from_millis(outcome.lease_ms) * SETTLE_LEASES;
        while !settle::is_settled(&self.look, &mut admin).await? || !self.recovery.is_quiet() {
            if began.elapsed() > settle_max {
                // What is not settled is counted as lost, or as an entry that nobody needs.
                eprintln!("not settled within {settle_max:?}: {} rows", settle::open(&self.look).await);
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        eprintln!("{:.0} s: settled", self.began.elapsed().as_secs_f64());
        let graph = neo4j::Database::connect(&self.servers.neo4j.options()).await?;
        let queue = self.servers.redis.queue();
        let found = settle::audit(&self.postgres, &graph, &queue, CLEANUP_DELAY_MS).await?;
        let seen = gather::gather(&self.look, &graph, &mut admin, &self.root).await?;
        ensure!(!seen.texts.is_empty(), "nothing was written");
        outcome.documents = inventory.entries.len() + inventory.poison.len();
        outcome.recovery = self.recovery.measured();
        outcome.verdict = judge::judge(inventory, &seen);
        outcome.verdict.verify += found.wrong();
        let uploads = self.uploads.clone();
        let clean = tokio::task::spawn_blocking(move || settle::is_clean_to_a_user(uploads.client()));
        outcome.verdict.verify += u64::from(!clean.await??);
        let alive: BTreeSet<u32> = self.fleet.ids().into_iter().collect();
        ensure!(alive.len() == WORKERS, "{} of {WORKERS} workers run in the end", alive.len());
        Ok(())
    }
}
