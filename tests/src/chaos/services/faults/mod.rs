//! Faults of single servers and disks, one after the other, while documents come in: what was acknowledged is
//! there in the end, once, and nobody restarts our processes.

mod away;
pub mod disks;
mod full;
mod house;
mod reader;
mod redis;
mod uploader;
mod wiped;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::judge::Verdict;
use house::House;
use uploader::Noted;

/// Something that happens to the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Redis ends as it is asked to, and starts again.
    RedisRestarted,
    /// Redis loses all it has.
    RedisEmptied,
    /// Redis' master dies while its replica lags; sentinels make that the master.
    RedisFailedOver,
    /// Power is lost: the end of Redis' file is gone, in the middle of a command.
    RedisPowerLost,
    /// Redis' file is damaged, and mended as the runbook says.
    RedisFileDamaged,
    /// Redis dies with an ACL that makes it drop what it replays.
    RedisAclTrap,
    /// A disk is full, then has room again.
    DiskFull(Disk),
    /// A server is away, then back.
    Away(Store),
    /// Neo4j has a new volume and is filled again.
    Neo4jWiped,
}

/// Whose disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// The queue's.
    Redis,
    /// The ledger's.
    Postgres,
    /// That of uploads.
    Objects,
    /// The workers' scratch.
    Scratch,
}

/// Who is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// The queue.
    Redis,
    /// Ledger, texts, vectors.
    Postgres,
    /// The graph.
    Neo4j,
    /// Uploads.
    Objects,
}

impl Scenario {
    /// All of them, in the order in which they happen.
    pub const ALL: [Self; 15] = [
        Self::RedisRestarted,
        Self::RedisEmptied,
        Self::RedisPowerLost,
        Self::RedisFileDamaged,
        Self::RedisAclTrap,
        Self::RedisFailedOver,
        Self::DiskFull(Disk::Redis),
        Self::DiskFull(Disk::Postgres),
        Self::DiskFull(Disk::Objects),
        Self::DiskFull(Disk::Scratch),
        Self::Away(Store::Redis),
        Self::Away(Store::Postgres),
        Self::Away(Store::Neo4j),
        Self::Away(Store::Objects),
        Self::Neo4jWiped,
    ];

    /// As it is printed and chosen.
    pub fn name(self) -> &'static str {
        match self {
            Self::RedisRestarted => "redis-restarted",
            Self::RedisEmptied => "redis-emptied",
            Self::RedisFailedOver => "redis-failed-over",
            Self::RedisPowerLost => "redis-power-lost",
            Self::RedisFileDamaged => "redis-file-damaged",
            Self::RedisAclTrap => "redis-acl-trap",
            Self::DiskFull(Disk::Redis) => "disk-full-redis",
            Self::DiskFull(Disk::Postgres) => "disk-full-postgres",
            Self::DiskFull(Disk::Objects) => "disk-full-objects",
            Self::DiskFull(Disk::Scratch) => "disk-full-scratch",
            Self::Away(Store::Redis) => "away-redis",
            Self::Away(Store::Postgres) => "away-postgres",
            Self::Away(Store::Neo4j) => "away-neo4j",
            Self::Away(Store::Objects) => "away-objects",
            Self::Neo4jWiped => "neo4j-wiped",
        }
    }

    /// The scenario of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// What happens, in this order.
    pub scenarios: Vec<Scenario>,
    /// How long a server is away and a disk full.
    pub away: Duration,
    /// Decides what is uploaded.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Scenarios that came to their end.
    pub scenarios: usize,
    /// Documents that were acknowledged.
    pub documents: usize,
    /// Counts of all scenarios together.
    pub verdict: Verdict,
    /// Documents that were acknowledged and are not there as they were acknowledged.
    pub acknowledged_lost: usize,
    /// What the API answered.
    pub noted: Noted,
    /// Looks as a search has them.
    pub reads: u64,
    /// Of them, those that lacked something which was committed.
    pub read_gaps: u64,
    /// Processes of ours that ended by themselves.
    pub ended: usize,
    /// All of it.
    pub seconds: f64,
}

impl Outcome {
    /// Names of what falls short.
    pub fn short(&self) -> Vec<&'static str> {
        let mut short = self.verdict.short();
        let counts = [
            ("acknowledged_lost", self.acknowledged_lost),
            ("api_500", self.noted.api_500),
            ("api_other", self.noted.api_other),
            ("api_silent", self.noted.api_silent),
            ("read_gaps", usize::try_from(self.read_gaps).unwrap_or(usize::MAX)),
            ("ended", self.ended),
        ];
        short.extend(counts.iter().filter(|(_, count)| *count > 0).map(|(name, _)| *name));
        short
    }

    /// The closing line.
    pub fn line(&self) -> String {
        let (verdict, noted) = (&self.verdict, &self.noted);
        format!(
            "faults services: scenarios={} documents={} lost={} partial={} duplicate={} stale={} innocent_dead={} \
             verify={} accepted={} api_later={} api_500={} api_other={} api_silent={} api_max_s={:.2} \
             acknowledged_lost={} reads={} read_gaps={} ended={} seconds={:.1}",
            self.scenarios,
            self.documents,
            verdict.lost,
            verdict.partial,
            verdict.duplicate,
            verdict.stale,
            verdict.innocent_dead,
            verdict.verify,
            noted.accepted,
            noted.later,
            noted.api_500,
            noted.api_other,
            noted.api_silent,
            noted.slowest_s,
            self.acknowledged_lost,
            self.reads,
            self.read_gaps,
            self.ended,
            self.seconds,
        )
    }

    fn add(&mut self, verdict: &Verdict, acknowledged_lost: usize) {
        let all = &mut self.verdict;
        all.lost += verdict.lost;
        all.partial += verdict.partial;
        all.duplicate += verdict.duplicate;
        all.stale += verdict.stale;
        all.innocent_dead += verdict.innocent_dead;
        all.verify += verdict.verify;
        self.acknowledged_lost += acknowledged_lost;
        self.scenarios += 1;
    }
}

/// Lets the scenarios happen; after each everything comes to its end and is counted.
///
/// # Errors
/// The harness could not do its work, or something did not heal; what was done wrong is in the outcome.
pub async fn run(options: &Options) -> Result<Outcome> {
    let began = Instant::now();
    let house = Box::pin(House::start(options.seed)).await?;
    let mut outcome = Outcome::default();
    eprintln!("{:.0} s: the servers run", began.elapsed().as_secs_f64());
    for &scenario in &options.scenarios {
        let since = Instant::now();
        house.uploader.go();
        house.flows().await.with_context(|| format!("before {}", scenario.name()))?;
        let (verdict, lost) =
            Box::pin(happen(&house, scenario, options.away)).await.with_context(|| scenario.name())?;
        outcome.add(&verdict, lost);
        let noted = house.uploader.noted();
        eprintln!(
            "{:.0} s: {} took {:.1} s; {} documents, {} uploads accepted, {} to come later; falls short: {:?}",
            began.elapsed().as_secs_f64(),
            scenario.name(),
            since.elapsed().as_secs_f64(),
            house.uploader.inventory().entries.len(),
            noted.accepted,
            noted.later,
            verdict.short(),
        );
    }
    outcome.documents = house.uploader.inventory().entries.len();
    outcome.noted = house.uploader.noted();
    (outcome.reads, outcome.read_gaps) = (house.reader.looks(), house.reader.gaps());
    outcome.ended = house.ended();
    if !outcome.short().is_empty() {
        eprintln!("{}", house.last_words());
    }
    outcome.seconds = began.elapsed().as_secs_f64();
    Ok(outcome)
}

/// One scenario, and what is there after it.
async fn happen(house: &House, scenario: Scenario, away: Duration) -> Result<(Verdict, usize)> {
    match scenario {
        Scenario::RedisRestarted => redis::restarted(house),
        Scenario::RedisEmptied => house.redis.empty(),
        Scenario::RedisPowerLost => redis::power_lost(house)?,
        Scenario::RedisFileDamaged => redis::file_damaged(house)?,
        Scenario::RedisAclTrap => redis::acl_trap(house).await?,
        // It has an end of its own: the queue moves there and back.
        Scenario::RedisFailedOver => return redis::failed_over(house).await,
        Scenario::DiskFull(disk) => full::full(house, disk, away).await?,
        Scenario::Away(store) => away::away(house, store, away).await?,
        Scenario::Neo4jWiped => wiped::wiped(house).await?,
    }
    // It goes on before anything is asked to end.
    house.flows().await?;
    house.settle().await
}
