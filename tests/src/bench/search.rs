//! Latency of full-sentence queries at 100,000 chunks, with the index loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use docmill_core::id::TenantId;
use docmill_worker::embed::Mock;
use docmill_worker::search::{Mode, Searcher, Timings};
use docmill_worker::sqlite::Readers;
use serde::{Deserialize, Serialize};

use super::{Figures, Options, remove};
use crate::command::Docmill;
use crate::corpus::write_texts;
use crate::services::cache;

const CHUNKS: usize = 100_000;
const DOCUMENT_BYTES: usize = 40_000;
/// Documents whose chunks tell how many documents are needed.
const SAMPLE: usize = 20;
const SEED: u64 = 18;
/// Queries of each client.
const QUERIES: usize = 400;
/// Queries of each client before the first that counts.
const LOADING_QUERIES: usize = 50;
const RESULTS: usize = 10;

/// What is kept beside the data directory once it is complete.
#[derive(Debug, Serialize, Deserialize)]
struct Prepared {
    chunks: usize,
    /// One sentence of each document.
    sentences: Vec<String>,
}

pub(super) fn search(options: &Options, figures: &mut Figures) -> Result<()> {
    let (data, prepared) = prepare(options)?;
    figures.told("search_chunks", prepared.chunks as f64);
    load(&data)?;
    let searcher =
        Searcher::open(Readers::open(&data)?, TenantId::default(), Some(Arc::new(Mock::default())));
    let queries = options.sized(QUERIES, 20);
    for (clients, bound, prefix) in [(4, 50.0, "search"), (8, 100.0, "search8")] {
        // The first queries open connections and load the codes: not counted.
        closed_loop(&searcher, &prepared.sentences, clients, options.sized(LOADING_QUERIES, 5))?;
        let measured = closed_loop(&searcher, &prepared.sentences, clients, queries)?;
        figures.told(&format!("{prefix}_p50_ms"), measured.percentile(0.5));
        figures.below(&format!("{prefix}_p99_ms"), measured.percentile(0.99), bound);
        figures.told(&format!("{prefix}_queries_per_s"), measured.rate());
        for (name, share) in measured.shares() {
            figures.told(&format!("{prefix}_share_{name}"), share);
        }
    }
    Ok(())
}

/// Reads the whole index once: the measurement is of one that is loaded, not of the disk.
fn load(data: &Path) -> Result<()> {
    for file in std::fs::read_dir(data)? {
        std::io::copy(&mut std::fs::File::open(file?.path())?, &mut std::io::sink())?;
    }
    Ok(())
}

/// The data directory, from the cache where it is complete.
fn prepare(options: &Options) -> Result<(PathBuf, Prepared)> {
    let wanted = options.sized(CHUNKS, 1_000);
    let name = if wanted == CHUNKS { "search-v3".to_owned() } else { format!("search-v3-{wanted}") };
    let folder = cache()?.join("bench").join(name);
    let (data, complete) = (folder.join("data"), folder.join("complete.json"));
    if !options.fresh && complete.is_file() {
        eprintln!("index of {}", folder.display());
        return Ok((data, serde_json::from_slice(&std::fs::read(&complete)?)?));
    }
    remove(&folder)?;
    std::fs::create_dir_all(&folder)?;
    let documents = folder.join("documents");
    let docmill = Docmill::new(&options.bin, &data);
    let sample = ingest(&docmill, &documents, SAMPLE)?.max(1);
    let count = (wanted * SAMPLE).div_ceil(sample) * 102 / 100 + 1;
    eprintln!("ingesting {count} documents");
    ingest(&docmill, &documents, count)?;
    let chunks = docmill.export()?.len();
    ensure!(chunks >= wanted, "{count} documents gave {chunks} chunks, fewer than {wanted}");
    let sentences = write_texts(&documents, count, DOCUMENT_BYTES, false, SEED)?
        .iter()
        .map(|path| Ok(middle_sentence(&std::fs::read_to_string(path)?)))
        .collect::<Result<Vec<_>>>()?;
    let prepared = Prepared { chunks, sentences };
    remove(&documents)?;
    // Last: what has this file is complete.
    std::fs::write(&complete, serde_json::to_vec(&prepared)?)?;
    Ok((data, prepared))
}

/// Chunks of the documents that were not there yet.
fn ingest(docmill: &Docmill, documents: &Path, count: usize) -> Result<usize> {
    // The same seed: documents that are there are written again as they were, and cost nothing new.
    write_texts(documents, count, DOCUMENT_BYTES, false, SEED)?;
    let run = docmill.run_well(documents, &["--embeddings", "mock", "--concepts", "none"])?;
    Ok(run.number("chunks")? as usize)
}

fn middle_sentence(text: &str) -> String {
    let sentences: Vec<&str> = text
        .split("\n\n")
        .flat_map(|paragraph| paragraph.split_inclusive(". "))
        .map(str::trim)
        .filter(|sentence| sentence.ends_with('.'))
        .collect();
    sentences.get(sentences.len() / 2).copied().unwrap_or(text).to_owned()
}

struct Measured {
    /// Sorted.
    latencies: Vec<Duration>,
    timings: Vec<Timings>,
    wall: Duration,
}

impl Measured {
    /// Milliseconds.
    fn percentile(&self, share: f64) -> f64 {
        let rank = (self.latencies.len() as f64 * share).ceil() as usize;
        let at = rank.clamp(1, self.latencies.len().max(1)) - 1;
        self.latencies.get(at).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }

    fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.wall.as_secs_f64()
    }

    /// Of the whole latency; what is left is waiting for a connection and the transaction.
    fn shares(&self) -> [(&'static str, f64); 4] {
        let whole: Duration = self.latencies.iter().sum();
        let share = |part: fn(&Timings) -> Duration| {
            let sum: Duration = self.timings.iter().map(part).sum();
            sum.as_secs_f64() / whole.as_secs_f64()
        };
        [
            ("embedding", share(|timings| timings.embedding)),
            ("vectors", share(|timings| timings.vectors)),
            ("full_text", share(|timings| timings.full_text)),
            ("rows", share(|timings| timings.rows)),
        ]
    }
}

/// Each client asks its next query when the last is answered.
fn closed_loop(
    searcher: &Searcher,
    sentences: &[String],
    clients: usize,
    queries: usize,
) -> Result<Measured> {
    ensure!(!sentences.is_empty(), "there are no queries");
    let began = Instant::now();
    let one_client = |client: usize| -> Result<Vec<(Duration, Timings)>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        (0..queries)
            .map(|number| {
                // Distinct among clients and scattered over the index.
                let at = (number * clients + client).wrapping_mul(7_919) % sentences.len();
                let began = Instant::now();
                let found = runtime.block_on(searcher.search(&sentences[at], RESULTS))?;
                let latency = began.elapsed();
                ensure!(found.mode == Mode::Hybrid, "searched by words alone: {:?}", found.reason);
                ensure!(!found.results.is_empty(), "nothing found for {}", sentences[at]);
                Ok((latency, found.timings))
            })
            .collect()
    };
    let answers = std::thread::scope(|scope| {
        let one_client = &one_client;
        let threads: Vec<_> = (0..clients).map(|client| scope.spawn(move || one_client(client))).collect();
        let joined = threads.into_iter().map(|thread| thread.join().expect("a client panicked"));
        joined.collect::<Result<Vec<_>>>()
    })
    .context("searching")?;
    let wall = began.elapsed();
    let (mut latencies, timings): (Vec<_>, Vec<_>) = answers.into_iter().flatten().unzip();
    latencies.sort();
    Ok(Measured { latencies, timings, wall })
}
