//! Documents through two workers into real servers: rates, what many cost against few, and texts that a model
//! was asked for twice.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use docmill_core::id::TenantId;
use docmill_worker::embed::Mock;
use docmill_worker::ledger::{Ledger, Registered, Registration};
use docmill_worker::postgres::{Database, PostgresLedger};
use docmill_worker::queue::Queue;
use docmill_worker::stages::models::{CONCEPTS_MOCK, NONE, spec};

use super::super::Figures;
use super::Options;
use super::cpu::Cpu;
use crate::chaos::services::look::Look;
use crate::chaos::services::servers::Servers;
use crate::contract::objects::hash;
use crate::corpus::Writer;
use crate::services::worker::{Worker, WorkerSetup};

const WORKERS: usize = 2;
/// As it ships with `WORKER_CONCURRENCY`.
const CONCURRENCY: usize = 4;
const DOCUMENT_BYTES: usize = 4_000;
/// Of the documents.
const SEED: u64 = 17;
/// Documents of one folder.
const FOLDER_MAX: usize = 500;
/// Documents before the clock begins: caches and compilers of the servers are warm in what runs for days.
const WARM_UP: usize = 300;
const DOCUMENTS: usize = 2_000;
const FEW: usize = 500;
const MANY: usize = 10_000;
/// Documents registered and queued by one call each.
const TOGETHER: usize = 500;
/// What is wanted.
const DOCS_PER_S: f64 = 100.0;
const DOCS_PER_S_VECTORS: f64 = 40.0;
const GROWTH_RATIO: f64 = 0.8;
const DUPLICATE_CALLS: f64 = 1.02;
/// Most chunks of a document on average, else they are other documents than those that are asked for.
const CHUNKS_MAX: f64 = 3.0;
/// Longest wait for one more commit.
const STANDSTILL_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Servers, workers and a corpus that grows.
struct Rig {
    servers: Servers,
    workers: Vec<Worker>,
    ledger: PostgresLedger,
    look: Arc<Look>,
    files: PathBuf,
    writer: Writer,
    submitted: usize,
    _dir: tempfile::TempDir,
}

impl Rig {
    async fn start(vectors: bool) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("docmill-bench-services-").tempdir()?;
        let servers = tokio::task::spawn_blocking(Servers::start).await??;
        let postgres = servers.postgres.fresh();
        let ledger = PostgresLedger::new(Database::open(&postgres).await?, 0);
        let index = match vectors {
            true => spec(Mock::FINGERPRINT, Mock::DIMENSIONS, CONCEPTS_MOCK),
            false => spec(NONE, 0, CONCEPTS_MOCK),
        };
        ledger.begin_index(&TenantId::default(), &index).await?;
        let files = dir.path().join("files");
        std::fs::create_dir(&files)?;
        let setup = WorkerSetup {
            neo4j: Some(servers.neo4j.options()),
            concurrency: CONCURRENCY,
            file_root: Some(files.clone()),
            ..WorkerSetup::new(servers.redis.port, postgres.clone())
        };
        let workers: Vec<Worker> = (0..WORKERS)
            .map(|number| setup.start(&dir.path().join(number.to_string()), &format!("worker-{number}")))
            .collect();
        workers.iter().for_each(Worker::wait_ready);
        Ok(Self {
            servers,
            workers,
            ledger,
            look: Arc::new(Look::new(postgres)),
            files,
            writer: Writer::new(SEED),
            submitted: 0,
            _dir: dir,
        })
    }

    /// Submits so many, waits until all are committed, and gives the rate. The clock includes registering.
    async fn rate_of(&mut self, documents: usize) -> Result<f64> {
        let mut registrations = Vec::with_capacity(documents);
        for _ in 0..documents {
            let (path, text) = write_one(&mut self.writer, &self.files, self.submitted)?;
            self.submitted += 1;
            registrations.push(Registration {
                tenant: TenantId::default(),
                uri: format!("file://{}", path.display()),
                content: hash(text.as_bytes()),
                bytes: text.len() as u64,
                stat: None,
                scanned_at_ns: 0,
                root: None,
            });
        }
        // The documents are there before the clock begins, also for the disk that the servers wait for.
        rustix::fs::sync();
        let queue = self.servers.redis.queue();
        let began = Instant::now();
        for some in registrations.chunks(TOGETHER) {
            let registered = self.ledger.register(some.to_vec()).await?;
            let messages: Vec<_> = registered
                .into_iter()
                .filter_map(|registered| match registered {
                    Registered::New(message) | Registered::Changed(message) => Some(message),
                    Registered::Unchanged(..) => None,
                })
                .collect();
            ensure!(messages.len() == some.len(), "every document is a new one");
            queue.enqueue(&messages).await?;
        }
        self.all_committed().await?;
        Ok(documents as f64 / began.elapsed().as_secs_f64())
    }

    async fn all_committed(&self) -> Result<()> {
        let (mut last, mut moved) = (0, Instant::now());
        loop {
            let committed = self.look.number("SELECT value FROM counters WHERE name = 'commit'").await?;
            if committed >= self.submitted as i64 {
                break;
            }
            if committed > last {
                (last, moved) = (committed, Instant::now());
            }
            ensure!(moved.elapsed() < STANDSTILL_MAX, "{committed} of {} are committed", self.submitted);
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let failed = self.look.number("SELECT count(*) FROM documents WHERE state <> 'committed'").await?;
        ensure!(failed == 0, "{failed} documents are not committed");
        Ok(())
    }

    /// The sum of a counter over the workers.
    fn counted(&self, name: &str) -> Result<f64> {
        let mut sum = 0.0;
        for worker in &self.workers {
            let (status, text) = worker.try_get("/metrics")?;
            ensure!(status == 200, "/metrics answers {status}");
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            sum += line.with_context(|| format!("no {name}"))?.trim().parse::<f64>()?;
        }
        Ok(sum)
    }

    /// What the documents are, as told figures: they have to be those that are asked for.
    async fn describe(&self, name: &str, figures: &mut Figures) -> Result<()> {
        let entries = self.look.number("SELECT count(*) FROM manifest_entries").await? as f64;
        let chunks = entries / self.submitted as f64;
        ensure!(chunks <= CHUNKS_MAX, "{chunks} chunks a document");
        figures.told(&format!("{name}_chunks_per_doc"), chunks);
        let graph = docmill_worker::neo4j::Database::connect(&self.servers.neo4j.options()).await?;
        let mentions = crate::services::neo4j::count(&graph, "(:Chunk)-[:MENTIONS]->()").await as f64;
        figures.told(&format!("{name}_concepts_per_chunk"), mentions / entries);
        Ok(())
    }
}

fn write_one(writer: &mut Writer, files: &Path, number: usize) -> Result<(PathBuf, String)> {
    let text = writer.document(DOCUMENT_BYTES);
    let folder = files.join(format!("{:03}", number / FOLDER_MAX));
    std::fs::create_dir_all(&folder)?;
    // The order of names is that of numbers, for others that read them.
    let path = folder.join(format!("{number:06}.txt"));
    std::fs::write(&path, &text)?;
    Ok((path, text))
}

/// Writes the documents that rates are measured with, so that others can be measured with them.
///
/// # Errors
/// The folder is there already, or cannot be written.
pub fn write_corpus(files: &Path, documents: usize) -> Result<()> {
    std::fs::create_dir(files).with_context(|| format!("{} cannot be made", files.display()))?;
    let mut writer = Writer::new(SEED);
    (0..documents).try_for_each(|number| write_one(&mut writer, files, number).map(|_| ()))
}

/// Documents a second, without or with vectors.
pub(super) async fn rate(options: &Options, vectors: bool, figures: &mut Figures) -> Result<()> {
    let mut rig = Rig::start(vectors).await?;
    rig.rate_of(options.sized(WARM_UP, 20)).await?;
    let cpu = Cpu::now()?;
    let rate = rig.rate_of(options.sized(DOCUMENTS, 40)).await?;
    let name = if vectors { "vectors" } else { "graph" };
    match vectors {
        false => figures.at_least("docs_per_s", rate, DOCS_PER_S),
        true => {
            figures.at_least("docs_per_s_vectors", rate, DOCS_PER_S_VECTORS);
            let asked = rig.counted("docmill_texts_embedded_total")?;
            let texts = rig.look.number("SELECT count(DISTINCT text_hash) FROM manifest_entries").await?;
            figures.at_most("duplicate_model_calls", asked / texts as f64, DUPLICATE_CALLS);
        }
    }
    cpu.tell_shares(name, figures)?;
    rig.describe(name, figures).await
}

/// The rate over many documents against that over few, in a server of its own each, without a vector index.
pub(super) async fn growth(options: &Options, figures: &mut Figures) -> Result<()> {
    let mut rates = Vec::new();
    for count in [options.sized(FEW, 40), options.sized(MANY, 200)] {
        let mut rig = Rig::start(true).await?;
        rig.rate_of(options.sized(WARM_UP, 20)).await?;
        let cpu = Cpu::now()?;
        rates.push(rig.rate_of(count).await?);
        cpu.tell_shares(&format!("growth_{count}"), figures)?;
    }
    figures.told("growth_docs_per_s_500", rates[0]);
    figures.told("growth_docs_per_s_10000", rates[1]);
    figures.at_least("growth_ratio", rates[1] / rates[0], GROWTH_RATIO);
    Ok(())
}
