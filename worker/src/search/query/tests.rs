//! Queries that come together are embedded together; a model that cannot be had leaves the words.

use std::sync::Condvar;
use std::sync::Mutex as Lock;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::future::join_all;

use super::*;
use crate::embed::{Embedding, Error as EmbeddingError};
use crate::stages::models::spec;

/// Computes once it is let.
#[derive(Default)]
struct Gated {
    mock: Mock,
    open: Lock<bool>,
    opened: Condvar,
}

impl Gated {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn wait(&self) {
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_while(open, |open| !*open).unwrap());
    }
}

#[async_trait]
impl EmbeddingModel for Gated {
    fn fingerprint(&self) -> &str {
        self.mock.fingerprint()
    }
    fn dimensions(&self) -> usize {
        self.mock.dimensions()
    }
    fn declares(&self, language: &str) -> bool {
        language != "ja"
    }
    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Embedding>, EmbeddingError> {
        self.wait();
        self.mock.embed(texts).await
    }
}

fn mock_index() -> IndexSpec {
    spec(Mock::FINGERPRINT, Mock::DIMENSIONS, NONE)
}

fn with(model: Arc<dyn EmbeddingModel>) -> QueryEmbedder {
    let embedder = QueryEmbedder::new(2);
    let batcher = batcher_of(model, 2).unwrap();
    embedder.kept.loaded.write().unwrap().insert(Mock::FINGERPRINT.to_owned(), batcher);
    embedder
}

#[tokio::test]
async fn queries_that_wait_are_embedded_together() {
    let model = Arc::new(Gated::default());
    let embedder = with(model.clone());
    let index = mock_index();
    let queries: Vec<String> = (0..QUERIES_TOGETHER).map(|n| format!("query {n}")).collect();
    let mut all = Box::pin(join_all(queries.iter().map(|query| embedder.query(&index, query))));
    assert!(futures::poll!(&mut all).is_pending());
    model.open();
    for (query, vector) in queries.iter().zip(all.await) {
        assert_eq!(vector.unwrap().unwrap(), model.mock.vector(query));
    }
    let stats = embedder.stats();
    assert_eq!(stats.texts, QUERIES_TOGETHER as u64);
    assert!(stats.calls <= 4, "{stats:?}");
}

#[tokio::test]
async fn what_the_model_does_not_know_is_said() {
    let model = Arc::new(Gated::default());
    model.open();
    let embedder = with(model);
    let index = mock_index();
    let japanese = "これは日本語で書かれた文章です。とても短いですが、言語は分かります。";
    let why = embedder.query(&index, japanese).await.unwrap().unwrap_err();
    assert!(why.contains("(ja)"), "{why}");
    assert_eq!(embedder.query(&index, "shell").await.unwrap().unwrap().len(), Mock::DIMENSIONS);
    let words_alone = spec(NONE, 0, NONE);
    assert_eq!(embedder.query(&words_alone, "shell").await.unwrap(), Err(no_embeddings()));
    assert!(embedder.texts(NONE, vec!["shell".to_owned()]).await.is_err());
}

#[tokio::test]
async fn models_are_loaded_once_and_those_that_lack_are_told() {
    let embedder = QueryEmbedder::new(1);
    let first = embedder.load(Mock::FINGERPRINT).await.unwrap().unwrap();
    let again = embedder.load(Mock::FINGERPRINT).await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    assert!(embedder.load(NONE).await.unwrap().is_none());
    let texts = vec!["one".to_owned(), "two".to_owned()];
    let expected: Vec<Vec<f32>> = texts.iter().map(|text| Mock::new().vector(text)).collect();
    assert_eq!(embedder.texts(Mock::FINGERPRINT, texts).await.unwrap(), expected);

    let unknown = spec("of-another-version", 3, NONE);
    for _ in 0..2 {
        let why = embedder.query(&unknown, "shell").await.unwrap().unwrap_err();
        assert!(why.contains("of-another-version"), "{why}");
    }
    assert!(matches!(embedder.texts("of-another-version", Vec::new()).await, Err(Error::Model(_))));
}

#[tokio::test]
async fn a_load_that_nobody_waits_for_any_more_is_not_begun_again() {
    let begun = Arc::new(AtomicUsize::new(0));
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let (gate, count) = (Lock::new(gate), begun.clone());
    let find: Find = Box::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        // Until the other end is gone.
        let _ = gate.lock().unwrap().recv();
        let model: Arc<dyn EmbeddingModel> = Arc::new(Mock::new());
        Ok(Some(model))
    });
    let embedder = QueryEmbedder::finding(1, find);
    let mut impatient = Box::pin(embedder.load(Mock::FINGERPRINT));
    assert!(futures::poll!(&mut impatient).is_pending());
    drop(impatient);
    let mut patient = Box::pin(embedder.load(Mock::FINGERPRINT));
    assert!(futures::poll!(&mut patient).is_pending());
    drop(open);
    assert!(patient.await.unwrap().is_some());
    assert_eq!(begun.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn each_query_is_noted_for_what_gives_way() {
    let embedder = QueryEmbedder::new(1);
    assert!(!embedder.searched().within(Duration::MAX));
    embedder.query(&mock_index(), "shell").await.unwrap().unwrap();
    assert!(embedder.searched().within(Duration::MAX));
}

#[test]
fn short_latin_queries_count_as_english() {
    for (query, language) in [("shell alias", "en"), ("日本語の文書はどこにありますか", "ja"), ("?", "und")]
    {
        assert_eq!(language_of(query).code(), language, "{query}");
    }
}

#[test]
fn a_first_index_is_begun_with_the_mock_where_that_is_wanted() {
    assert_eq!(first_embedder(true), (Mock::FINGERPRINT, Mock::DIMENSIONS));
    assert_eq!(first_embedder(false), (MiniLm::FINGERPRINT, MiniLm::DIMENSIONS));
}
