//! Workers in network namespaces of their own, as pods have them: whether more workers do more where the work is
//! waiting, whether a document is ever with two of them, whether large documents get their turn among many small
//! ones, and what becomes of a worker that is cut off for longer than its lease.

mod net;
mod record;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use docmill_core::id::TenantId;
use docmill_worker::embed::Mock;
use docmill_worker::ledger::{Ledger, Registered, Registration};
use docmill_worker::postgres::{Database, Options as PostgresOptions, PostgresLedger};
use docmill_worker::queue::Queue;
use docmill_worker::queue::redis::RedisQueue;
use docmill_worker::stages::models::{CONCEPTS_BUILTIN, spec};

use crate::chaos::services::look::Look;
use crate::contract::objects::hash;
use crate::services::postgres::Server;
use crate::services::process::Process;
use crate::services::redis::{RedisServer, Setup, options as redis_options};
use crate::services::worker::WorkerSetup;
pub use net::lacking;
use net::{Namespace, Net};
use record::Record;

/// Numbers of workers whose rates are measured, one after the other.
const FLEETS: [usize; 3] = [1, 2, 4];
/// Extractors of each.
const CONCURRENCY: usize = 2;
/// Documents that a worker has in work at most, with so many extractors.
const HELD_MAX: usize = 8;
/// Time that an extractor waits for a document: far more than it works, so that two processors are enough for all.
const WAIT_MS: u64 = 400;
/// A lease short enough to wait for, and long enough for a busy machine.
const LEASE_MS: u64 = 3_000;
/// Leases that a worker is cut off for.
const CUT_LEASES: u32 = 3;
/// Bytes of a large document: beyond the bound of its lane.
const LARGE_BYTES: usize = 1_050_000;
/// Large documents that come behind a flood of small ones.
const LARGE: usize = 8;
/// What the rates have to be, as a multiple of one worker's.
const RATIO_2: f64 = 1.6;
const RATIO_4: f64 = 2.8;
/// How many of the large ones have to be done in the first three quarters; a quarter of the looks is theirs, and what
/// is already in hand when they come is small.
const LARGE_SHARE: f64 = 0.5;
/// Longest wait for whatever is waited for.
const WAIT_MAX: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Documents for each worker in each measurement.
    pub documents: usize,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Documents a second of each fleet.
    pub rates: [f64; FLEETS.len()],
    /// Documents in all.
    pub documents: usize,
    /// Documents that were with two workers at once, begun again without a cause, or committed twice.
    pub twice: i64,
    /// The share of large documents that is done in the first three quarters.
    pub large_share: f64,
    /// Documents that the worker had that was cut off.
    pub held: usize,
    /// Of these, those that others did.
    pub done_elsewhere: i64,
    /// Of these, those that it committed all the same.
    pub late: i64,
    /// Whether it takes documents again.
    pub back: bool,
    /// All of it.
    pub seconds: f64,
}

impl Outcome {
    fn ratio(&self, at: usize) -> f64 {
        if self.rates[0] > 0.0 { self.rates[at] / self.rates[0] } else { 0.0 }
    }

    /// Names of what must not be, however slow the machine is.
    pub fn wrong(&self) -> Vec<&'static str> {
        let checks = [
            (self.twice > 0, "twice"),
            (self.held == 0, "held"),
            (self.late > 0, "late"),
            (self.done_elsewhere != self.held as i64, "done_elsewhere"),
            (!self.back, "back"),
        ];
        checks.into_iter().filter(|(wrong, _)| *wrong).map(|(_, name)| name).collect()
    }

    /// Names of all that falls short.
    pub fn short(&self) -> Vec<&'static str> {
        let checks = [
            (self.ratio(1) < RATIO_2, "rate_2"),
            (self.ratio(2) < RATIO_4, "rate_4"),
            (self.large_share < LARGE_SHARE, "large_share"),
        ];
        let slow = checks.into_iter().filter(|(short, _)| *short).map(|(_, name)| name);
        self.wrong().into_iter().chain(slow).collect()
    }

    /// The closing line.
    pub fn line(&self) -> String {
        let [one, two, four] = self.rates;
        format!(
            "namespaces: workers=4 documents={} rate_1={one:.2} rate_2={two:.2} rate_4={four:.2} ratio_2={:.2} \
             ratio_4={:.2} twice={} large_share={:.2} cut_held={} done_elsewhere={} late_commits={} back={} seconds={:.1}",
            self.documents,
            self.ratio(1),
            self.ratio(2),
            self.twice,
            self.large_share,
            self.held,
            self.done_elsewhere,
            self.late,
            self.back,
            self.seconds,
        )
    }
}

/// Servers on the bridge, and workers behind it.
struct Rig {
    workers: Vec<(String, Namespace, Process)>,
    setup: WorkerSetup,
    ledger: PostgresLedger,
    queue: RedisQueue,
    look: Look,
    options: PostgresOptions,
    files: PathBuf,
    submitted: usize,
    dir: tempfile::TempDir,
    _redis: RedisServer,
    _postgres: Server,
    /// The last to go: a namespace stays while a process is in it.
    net: Net,
}

/// Measures, cuts, counts.
///
/// # Errors
/// The harness could not do its work; what the workers did wrong is in the outcome.
pub async fn run(options: &Options) -> Result<Outcome> {
    let began = Instant::now();
    let mut rig = Box::pin(Rig::start()).await?;
    // Of its own, as the rig changes while it is kept.
    let look = Look::new(rig.options.clone());
    let record = Record::begin(&look, rig.options.schema.as_str()).await?;
    let mut outcome = Outcome::default();
    for (at, workers) in FLEETS.into_iter().enumerate() {
        rig.grow_to(workers).await?;
        outcome.rates[at] = rig.measure(&record, options.documents * workers).await?;
        eprintln!(
            "{:.0} s: {workers} workers do {:.2} documents a second",
            began.elapsed().as_secs_f64(),
            outcome.rates[at]
        );
    }
    let before = record.commits().await?;
    rig.submit(options.documents * FLEETS[2], 0).await?;
    rig.submit(LARGE, LARGE_BYTES).await?;
    rig.settle().await?;
    outcome.large_share = record.share_of_large(before).await?;
    rig.cut_one(&record, options.documents * 2, &mut outcome).await?;
    outcome.documents = rig.submitted;
    outcome.twice = record.taken_from_the_living().await?
        + record.begun_again(&rig.workers[0].0).await?
        + record.committed_again().await?;
    outcome.seconds = began.elapsed().as_secs_f64();
    Ok(outcome)
}

impl Rig {
    async fn start() -> Result<Self> {
        let net = Net::new()?;
        let dir = tempfile::Builder::new().prefix("docmill-namespaces-").tempdir()?;
        let (address, network) = (net.address(), net.network());
        let reached = format!("bind 127.0.0.1 {address}\n");
        let (redis, postgres) = tokio::task::spawn_blocking(move || {
            let redis = RedisServer::start(&Setup { tcp: true, config: reached, ..Setup::default() });
            let postgres = Server::start()?;
            postgres.open_to(&address, &network)?;
            anyhow::Ok((redis, postgres))
        })
        .await??;
        let options = postgres.fresh();
        let ledger = PostgresLedger::new(Database::open(&options).await?, 0);
        let index = spec(Mock::FINGERPRINT, Mock::DIMENSIONS, CONCEPTS_BUILTIN);
        ledger.begin_index(&TenantId::default(), &index).await?;
        let files = dir.path().join("files");
        std::fs::create_dir(&files)?;
        let setup = WorkerSetup {
            file_root: Some(files.clone()),
            concurrency: CONCURRENCY,
            lease_ms: LEASE_MS,
            variables: vec![("DOCMILL_TEST_WAIT".to_owned(), format!(".html:{WAIT_MS}"))],
            ..WorkerSetup::new(redis.port, options.clone())
        };
        Ok(Self {
            net,
            workers: Vec::new(),
            setup,
            ledger,
            queue: RedisQueue::new(redis_options(&format!("redis://127.0.0.1:{}", redis.port))),
            look: Look::new(options.clone()),
            options,
            files,
            submitted: 0,
            dir,
            _redis: redis,
            _postgres: postgres,
        })
    }

    /// So many workers, each in a namespace; returns when they live.
    async fn grow_to(&mut self, workers: usize) -> Result<()> {
        while self.workers.len() < workers {
            let namespace = self.net.add()?;
            let name = format!("behind-{}", self.workers.len());
            let home = self.dir.path().join(&name);
            std::fs::create_dir(&home)?;
            let file = home.join("worker.yaml");
            let config = self.setup.config(8_081, &home.join("scratch"));
            // In there this machine's loopback is another.
            std::fs::write(&file, config.replace("127.0.0.1", &self.net.address()))?;
            let mut command = self.setup.command(&["run", "--config"], &name);
            command.arg(&file);
            let process = Process::start(&mut namespace.inside(&command), &home.join("log"));
            self.workers.push((name, namespace, process));
        }
        let live = "SELECT count(*) FROM workers WHERE lease_until_ms > now_ms()";
        self.until("workers", async || {
            self.look.number(live).await.is_ok_and(|live| live >= workers as i64)
        })
        .await
    }

    /// Documents a second.
    async fn measure(&mut self, record: &Record<'_>, documents: usize) -> Result<f64> {
        let before = record.commits().await?;
        self.submit(documents, 0).await?;
        self.settle().await?;
        Ok(documents as f64 / record.seconds_since(before).await?)
    }

    /// Hands in pages that an extractor takes its time for, at least so large.
    async fn submit(&mut self, documents: usize, bytes: usize) -> Result<()> {
        let mut registrations = Vec::with_capacity(documents);
        for _ in 0..documents {
            let number = self.submitted;
            self.submitted += 1;
            let padding = " ".repeat(bytes);
            let page = format!(
                "<html><title>Letter {number}</title><!--{padding}--><p>Letter {number}: the barometer fell all \
                 night, and in the morning the harbour lay in fog.</p></html>"
            );
            let path = self.files.join(format!("letter-{number}.html"));
            std::fs::write(&path, &page)?;
            registrations.push(Registration {
                tenant: TenantId::default(),
                uri: format!("file://{}", path.display()),
                content: hash(page.as_bytes()),
                bytes: page.len() as u64,
                stat: None,
                scanned_at_ns: 0,
                root: None,
            });
        }
        let mut messages = Vec::with_capacity(documents);
        for registered in self.ledger.register(registrations).await? {
            let (Registered::New(message) | Registered::Changed(message)) = registered else {
                anyhow::bail!("a document was there before");
            };
            messages.push(message);
        }
        Ok(self.queue.enqueue(&messages).await?)
    }

    /// Waits until nothing is to be done.
    async fn settle(&mut self) -> Result<()> {
        self.until("all documents", async || self.look.unsettled().await.is_ok_and(|open| open == 0)).await
    }

    /// Cuts the first worker off while it has documents, and lets it in again when its lease is long over.
    async fn cut_one(
        &mut self,
        record: &Record<'_>,
        documents: usize,
        outcome: &mut Outcome,
    ) -> Result<()> {
        // More than the others take at once, so that something is left for it.
        self.submit(documents.max(FLEETS[2] * HELD_MAX * 2), 0).await?;
        let name = self.workers[0].0.clone();
        self.until("documents at the first worker", async || {
            record.held_by(&name).await.is_ok_and(|held| held.len() >= CONCURRENCY)
        })
        .await?;
        self.workers[0].1.cut()?;
        let cut = Instant::now();
        // What it has now it cannot tell anybody about.
        let held = record.held_by(&name).await?;
        let away = Duration::from_millis(LEASE_MS) * CUT_LEASES;
        self.until("its documents done elsewhere", async || {
            let done = record.done(&held, &name).await;
            cut.elapsed() >= away && done.is_ok_and(|(elsewhere, _)| elsewhere == held.len() as i64)
        })
        .await?;
        self.workers[0].1.join()?;
        let before = record.claims_of(&name).await?;
        // It is in again once it takes a document; there is always one to take.
        let back = Instant::now();
        while record.claims_of(&name).await? == before && back.elapsed() < WAIT_MAX {
            if self.look.unsettled().await? == 0 {
                self.submit(FLEETS[2] * CONCURRENCY, 0).await?;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        outcome.back = record.claims_of(&name).await? > before;
        self.settle().await?;
        outcome.held = held.len();
        (outcome.done_elsewhere, outcome.late) = record.done(&held, &name).await?;
        Ok(())
    }

    async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) -> Result<()> {
        let began = Instant::now();
        while !condition().await {
            ensure!(began.elapsed() < WAIT_MAX, "{what}: not within {WAIT_MAX:?}\n{}", self.last_words());
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let said = self.workers.iter().map(|(name, ..)| {
            let text = std::fs::read_to_string(self.dir.path().join(name).join("log")).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            format!("--- {name}\n{}\n", lines[lines.len().saturating_sub(8)..].join("\n"))
        });
        said.collect()
    }
}
