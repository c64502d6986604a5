//! Uploads onto a volume at a rate that does not wait for answers: latency from the moment at which each was
//! due, and whether all that was accepted is there after a kill of the API and of the ledger's server.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use docmill_core::id::TenantId;
use docmill_worker::ledger::Ledger;
use docmill_worker::postgres::{Database, PostgresLedger};
use docmill_worker::stages::models::{CONCEPTS_BUILTIN, NONE, spec};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Client;
use tokio::task::JoinSet;

use super::super::Figures;
use super::Options;
use super::cpu::Cpu;
use crate::chaos::services::look::Look;
use crate::contract::objects::hash;
use crate::corpus::Writer;
use crate::services::api::ApiServer;
use crate::services::http::form;
use crate::services::postgres::Server;
use crate::services::redis::{RedisServer, Setup};
use crate::services::worker::WorkerSetup;

/// How long the rate is held.
const SECONDS: usize = 60;
/// Before that, connections are made and pages of the server's caches are touched.
const WARM_UP_SECONDS: usize = 5;
/// Uploads that are begun each second: a little above what is wanted, as the figure counts answers.
const OFFERED_PER_S: usize = 505;
/// Largest file.
const BYTES_MAX: usize = 64 << 10;
/// Uploads on their way: at a latency of a second more than these would wait, and the run has failed.
const OPEN_MAX: usize = 1_000;
/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// What is wanted.
const UPLOADS_PER_S: f64 = 500.0;
const P99_MS: f64 = 250.0;

/// What became of one upload.
struct Answered {
    /// From the moment at which it was due.
    took: Duration,
    /// SHA-256 of what was accepted; the status or the error of what was not.
    outcome: Result<[u8; 32], String>,
}

/// A volume, a ledger, a queue and an API; nobody works on what comes in.
struct Rig {
    api: ApiServer,
    postgres: Server,
    look: Look,
    volume: PathBuf,
    client: Client,
    url: String,
    key: String,
    _redis: RedisServer,
    dir: tempfile::TempDir,
}

impl Rig {
    async fn start() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("docmill-bench-uploads-").tempdir()?;
        let volume = dir.path().join("objects");
        std::fs::create_dir(&volume)?;
        let redis = RedisServer::start(&Setup { tcp: true, ..Setup::default() });
        let postgres = tokio::task::spawn_blocking(Server::start).await??;
        let schema = postgres.fresh();
        let ledger = PostgresLedger::new(Database::open(&schema).await?, 0);
        ledger.begin_index(&TenantId::default(), &spec(NONE, 0, CONCEPTS_BUILTIN)).await?;
        let setup = WorkerSetup {
            objects: format!("objects: {{volume: {{path: {}}}}}\n", volume.display()),
            ..WorkerSetup::new(redis.port, schema.clone())
        };
        let api = ApiServer::new(setup, &dir.path().join("api"));
        let key = api.key("default");
        api.start();
        let url = format!("http://127.0.0.1:{}/v1/documents", api.port());
        let client = Client::builder().pool_max_idle_per_host(OPEN_MAX).timeout(ANSWER_MAX).build()?;
        Ok(Self { api, postgres, look: Look::new(schema), volume, client, url, key, _redis: redis, dir })
    }

    /// Offers uploads for so many seconds, each at its moment, whatever became of those before.
    async fn offer(
        &self,
        seconds: usize,
        random: &mut StdRng,
        prose: &Arc<String>,
    ) -> Result<Vec<Answered>> {
        let began = Instant::now();
        let mut open = JoinSet::new();
        let mut answered = Vec::with_capacity(seconds * OFFERED_PER_S);
        for number in 0..seconds * OFFERED_PER_S {
            let due = began + Duration::from_secs_f64(number as f64 / OFFERED_PER_S as f64);
            tokio::time::sleep_until(due.into()).await;
            while let Some(one) = open.try_join_next() {
                answered.push(one?);
            }
            ensure!(
                open.len() < OPEN_MAX,
                "{OPEN_MAX} uploads wait for their answers: the rate is not held"
            );
            let text = document(random, prose);
            let (client, url, key) = (self.client.clone(), self.url.clone(), self.key.clone());
            open.spawn(async move {
                let outcome = upload(&client, &url, &key, &text).await;
                Answered { took: due.elapsed(), outcome }
            });
        }
        while let Some(one) = open.join_next().await {
            answered.push(one?);
        }
        Ok(answered)
    }

    /// Kills the API and the ledger's server, and counts what was accepted and is not there afterwards: no row
    /// that is to be worked on, or no object with this very content.
    async fn lost(&self, accepted: &[[u8; 32]]) -> Result<usize> {
        self.api.kill();
        self.postgres.kill()?;
        self.postgres.restart()?;
        let sql = "SELECT o.content, o.object_key FROM objects o \
                   JOIN documents d ON d.tenant = o.tenant AND d.content = o.content WHERE d.state = 'queued'";
        let rows = self.look.rows(sql, &[]).await?;
        let places: HashMap<Vec<u8>, String> =
            rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_>>()?;
        let is_there = |sha: &[u8; 32]| {
            let key = places.get(sha.as_slice())?;
            let bytes = std::fs::read(self.volume.join(key)).ok()?;
            (hash(&bytes).0 == *sha).then_some(())
        };
        Ok(accepted.iter().filter(|sha| is_there(sha).is_none()).count())
    }
}

/// Up to 64 KB of text that no other upload has.
fn document(random: &mut StdRng, prose: &str) -> Vec<u8> {
    let bytes = random.random_range(1_024..=BYTES_MAX);
    let mut text = format!("{:032x}\n", random.random::<u128>()).into_bytes();
    let from = random.random_range(0..prose.len() - bytes);
    text.extend_from_slice(&prose.as_bytes()[from..from + bytes - text.len()]);
    text
}

async fn upload(client: &Client, url: &str, key: &str, text: &[u8]) -> Result<[u8; 32], String> {
    let (kind, body) = form(&[("a.txt", text)]);
    let request = client.post(url).bearer_auth(key).header("content-type", kind).body(body);
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let status = answer.status().as_u16();
    let body = answer.bytes().await.map_err(|error| error.to_string())?;
    match status {
        202 => Ok(hash(text).0),
        other => Err(format!("{other} {}", String::from_utf8_lossy(&body))),
    }
}

/// Text in memory that uploads are cut from: making it must not be what is measured.
fn prose() -> Arc<String> {
    let mut text = Writer::new(23).prose(4 * BYTES_MAX);
    // Cut anywhere.
    text.retain(|c| c.is_ascii());
    Arc::new(text)
}

fn is_on_disk(dir: &Path) -> Result<()> {
    const TMPFS: i64 = 0x0102_1994;
    let kind = rustix::fs::statfs(dir)?.f_type;
    ensure!(kind as i64 != TMPFS, "{} is memory, not a disk: set TMPDIR", dir.display());
    Ok(())
}

/// The rate held, its latency, and that every acknowledged upload is durable.
pub(super) async fn held(options: &Options, figures: &mut Figures) -> Result<()> {
    let rig = Rig::start().await?;
    is_on_disk(rig.dir.path())?;
    let (mut random, prose) = (StdRng::seed_from_u64(23), prose());
    let mut accepted = Vec::new();
    let warm = rig.offer(options.sized(WARM_UP_SECONDS, 1), &mut random, &prose).await?;
    accepted.extend(warm.into_iter().filter_map(|one| one.outcome.ok()));
    let (cpu, began) = (Cpu::now()?, Instant::now());
    let answered = rig.offer(options.sized(SECONDS, 2), &mut random, &prose).await?;
    let seconds = began.elapsed().as_secs_f64();
    cpu.tell_shares("uploads", figures)?;
    let mut times: Vec<f64> = answered.iter().map(|one| one.took.as_secs_f64() * 1_000.0).collect();
    times.sort_by(f64::total_cmp);
    let refused: Vec<&String> = answered.iter().filter_map(|one| one.outcome.as_ref().err()).collect();
    if let Some(first) = refused.first() {
        eprintln!("not accepted, for example: {first}");
    }
    let good = answered.len() - refused.len();
    figures.at_most("uploads_refused", refused.len() as f64, 0.0);
    figures.at_least("uploads_per_s", good as f64 / seconds, UPLOADS_PER_S);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().context("some uploads");
    figures.told("upload_p50_ms", at(0.5)?);
    figures.below("upload_p99_ms", at(0.99)?, P99_MS);
    accepted.extend(answered.into_iter().filter_map(|one| one.outcome.ok()));
    figures.at_most("uploads_lost", rig.lost(&accepted).await? as f64, 0.0);
    Ok(())
}
