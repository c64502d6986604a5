//! Pooled embedding of many documents against the bare model on the same threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use docmill_worker::embed::{Batcher, BatcherOptions, MiniLm};

use super::{Figures, Options};
use crate::corpus::Writer;

const THREADS: usize = 2;
const BATCH_TEXTS: usize = 8;
/// About 256 tokens of generated words.
const TEXT_BYTES: (usize, usize) = (600, 1_000);
/// Documents that embed at the same time, and the texts of each call.
const DOCUMENTS: usize = 8;
const CALL_TEXTS: usize = 25;

pub(super) fn embed(options: &Options, figures: &mut Figures) -> Result<()> {
    let count = if options.full { 2_000 } else { options.sized(400, 16) };
    let mut writer = Writer::new(17);
    let span = TEXT_BYTES.1 - TEXT_BYTES.0;
    let texts: Vec<String> =
        (0..count).map(|number| writer.prose(TEXT_BYTES.0 + number * 37 % span)).collect();
    let model = Arc::new(MiniLm::load_default()?);
    let (mut bare, mut pooled) = (Duration::ZERO, Duration::ZERO);
    // Halves in turn, so that a slow minute of the machine meets both.
    for half in texts.chunks(texts.len().div_ceil(2)) {
        bare += embed_bare(&model, half)?;
        pooled += embed_pooled(&model, half)?;
    }
    let rate = |time: Duration| count as f64 / time.as_secs_f64();
    figures.told("embed_bare_texts_per_s", rate(bare));
    figures.told("embed_pooled_texts_per_s", rate(pooled));
    figures.at_least("embed_ratio", rate(pooled) / rate(bare), 0.9);
    Ok(())
}

/// Batches of like length, taken by each thread as it comes.
fn embed_bare(model: &MiniLm, texts: &[String]) -> Result<Duration> {
    let mut sorted = texts.to_vec();
    sorted.sort_by_key(String::len);
    let batches: Vec<&[String]> = sorted.chunks(BATCH_TEXTS).collect();
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let work = || -> Result<()> {
            while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                ensure!(model.embed_blocking(batch)?.len() == batch.len(), "vectors are missing");
            }
            Ok(())
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("an embedding thread panicked"))
    })?;
    Ok(began.elapsed())
}

fn embed_pooled(model: &Arc<MiniLm>, texts: &[String]) -> Result<Duration> {
    let options =
        BatcherOptions { threads: THREADS, batch_texts_max: BATCH_TEXTS, ..BatcherOptions::default() };
    let batcher = Batcher::new(model.clone(), options)?;
    let calls: Vec<Vec<String>> = texts.chunks(CALL_TEXTS).map(<[String]>::to_vec).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let began = Instant::now();
    runtime.block_on(async {
        use futures::stream::{self, StreamExt, TryStreamExt};
        let calls = stream::iter(calls).map(|call| batcher.embed(call)).buffer_unordered(DOCUMENTS);
        calls.try_for_each(|_| futures::future::ready(Ok(()))).await
    })?;
    Ok(began.elapsed())
}
