//! Order, fairness and failure of the batcher; and, ignored by default, its speed against the model alone.

use super::super::{Double, MiniLm, Mock};
use super::*;

fn options(threads: usize) -> BatcherOptions {
    BatcherOptions { threads, flush_after: Duration::from_millis(2), ..BatcherOptions::default() }
}

/// Fails on "bad", panics on "panic", gives one vector too few on "short", else as the mock.
fn faulty() -> Arc<dyn EmbeddingModel> {
    Arc::new(Double::new(|texts: &mut Vec<String>| {
        if texts.iter().any(|text| text == "bad") {
            return Err(Error::Tokenize { detail: "bad".into() });
        }
        assert!(!texts.iter().any(|text| text == "panic"), "asked to panic");
        if texts.iter().any(|text| text == "short") {
            texts.pop();
        }
        Ok(())
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_is_kept_whatever_is_batched_together() {
    let mock = Mock::with_dimensions(13);
    for seed in 0..20usize {
        let batcher = Arc::new(Batcher::new(Arc::new(mock.clone()), options(1 + seed % 4)).unwrap());
        let documents: Vec<Vec<String>> = (0..10)
            .map(|d| {
                let count = (seed * 7 + d * d * 3) % 90;
                (0..count).map(|i| format!("{seed} {d} {i} {}", "x".repeat((i * 37 + d) % 900))).collect()
            })
            .collect();
        let tasks: Vec<_> = documents
            .iter()
            .cloned()
            .map(|texts| {
                let batcher = Arc::clone(&batcher);
                tokio::spawn(async move { batcher.embed(texts).await })
            })
            .collect();
        for (texts, task) in documents.iter().zip(tasks) {
            let vectors = task.await.unwrap().unwrap();
            let expected: Vec<Vec<f32>> = texts.iter().map(|text| mock.vector(text)).collect();
            assert_eq!(
                vectors.iter().map(|embedding| embedding.vector.clone()).collect::<Vec<_>>(),
                expected
            );
        }
        let stats = batcher.stats();
        assert_eq!(stats.texts, documents.iter().map(|texts| texts.len() as u64).sum::<u64>());
        assert!(stats.calls >= stats.texts.div_ceil(8) && stats.failed_calls == 0);
    }
}

#[tokio::test]
async fn a_failed_batch_fails_its_documents_and_no_later_ones() {
    let batcher = Batcher::new(faulty(), options(1)).unwrap();
    let embed = |text: &str| batcher.embed(vec![text.to_owned()]);
    assert!(matches!(embed("bad").await, Err(Error::Tokenize { .. })));
    assert!(matches!(embed("panic").await, Err(Error::Inference { .. })));
    assert!(matches!(embed("short").await, Err(Error::Inference { .. })));
    assert_eq!(embed("good").await.unwrap().len(), 1);
    assert_eq!(batcher.stats().failed_calls, 3);
    assert!(batcher.embed(Vec::new()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_dropped_call_leaves_the_pool() {
    let batcher = Batcher::new(
        Arc::new(Mock::new()),
        BatcherOptions { flush_after: Duration::from_secs(3600), ..options(1) },
    )
    .unwrap();
    let waiting = batcher.embed(vec!["alone".to_owned()]);
    assert!(tokio::time::timeout(Duration::from_millis(20), waiting).await.is_err());
    // Eight others fill a batch; the abandoned text is not among them.
    batcher.embed((0..8).map(|i| i.to_string()).collect()).await.unwrap();
    assert_eq!(batcher.stats().texts, 8);
}

#[test]
fn batches_are_short_while_somebody_searches() {
    let searched = Searched::default();
    let beside = BatcherOptions { beside: Some(searched.clone()), ..options(1) };
    let batcher = Batcher::new(Arc::new(Mock::new()), beside).unwrap();
    assert_eq!(batcher.shared.texts_max(), 8);
    searched.note();
    assert_eq!(batcher.shared.texts_max(), TEXTS_BESIDE_SEARCHES);
}

#[test]
fn batches_hold_the_oldest_and_keep_to_their_budget() {
    let room = Arc::new(Semaphore::new(100));
    let mut jobs: VecDeque<Job> = (0..40)
        .map(|i| Job {
            text: "x".repeat((i * 613) % 2_000),
            since: Instant::now(),
            reply: oneshot::channel().0,
            _room: Arc::clone(&room).try_acquire_owned().unwrap(),
        })
        .collect();
    let options = BatcherOptions { batch_tokens_max: 600, ..options(1) };
    while let Some(oldest) = jobs.front().map(|job| job.text.len()) {
        let batch = take_batch(&mut jobs, options.batch_texts_max, options.batch_tokens_max);
        assert!(batch.iter().any(|job| job.text.len() == oldest));
        let longest = batch.iter().map(|job| tokens_estimate(&job.text)).max().unwrap();
        assert!(batch.len() <= 8 && (batch.len() == 1 || longest * batch.len() <= 600));
    }
    assert_eq!(room.available_permits(), 100);
}

/// Run by hand: `cargo test -p docmill-worker batcher_keeps_pace -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a minute or two of both cores; a measurement, not a check"]
async fn batcher_keeps_pace_with_the_model_alone() {
    const WORDS: [&str; 8] = ["the", "package", "system", "is", "configured", "with", "a", "file"];
    let count: usize = std::env::var("TEXTS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000);
    let texts: Vec<String> = (0..count)
        .map(|i| (0..100 + i * 7 % 200).map(|w| WORDS[(i + w * w) % 8]).collect::<Vec<_>>().join(" "))
        .collect();
    let model = Arc::new(MiniLm::load_default().unwrap());

    // Alone: sorted by length, two threads, each taking the next eight.
    let mut sorted = texts.clone();
    sorted.sort_by_key(String::len);
    let batches: Vec<Vec<String>> = sorted.chunks(8).map(<[String]>::to_vec).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                    model.embed_blocking(batch).unwrap();
                }
            });
        }
    });
    let alone = started.elapsed();

    let batcher = Arc::new(Batcher::new(model, options(2)).unwrap());
    let started = Instant::now();
    let tasks: Vec<_> = texts
        .chunks(50)
        .map(|document| {
            let (batcher, document) = (Arc::clone(&batcher), document.to_vec());
            tokio::spawn(async move { batcher.embed(document).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let pooled = started.elapsed();
    let ratio = alone.as_secs_f64() / pooled.as_secs_f64();
    println!("alone {alone:?}, batcher {pooled:?}, ratio {ratio:.3}, {:?}", batcher.stats());
}
