//! What the API did, in Prometheus' terms. Labels are routes as they are written in the code, statuses and outcomes:
//! nothing of a tenant, a key or a document.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

use crate::embed::BatcherStats;

/// Bounds in seconds: from a look-up to the upload of a book.
const SECONDS: [f64; 12] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0, 60.0, 600.0];
/// Bounds in seconds of what people wait for: from a remembered answer to a slow model.
const WAITED: [f64; 14] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.02, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// See the module.
pub struct ApiMetrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    /// Bytes of uploads that were accepted.
    pub upload_bytes: IntCounter,
    /// Documents that were accepted, uploaded or named.
    pub documents: IntCounter,
    /// Answers that were remembered.
    pub memo_hits: IntCounter,
    /// Answers that were not.
    pub memo_misses: IntCounter,
    /// Answers that are remembered now.
    pub memo_entries: IntGauge,
    /// Answers that were forgotten as something was committed.
    pub memo_invalidated: IntCounter,
    /// Questions, by what became of them: `outcome`.
    pub asks: IntCounterVec,
    /// Time from a question to the first words of its answer.
    pub ask_first_token_seconds: Histogram,
    /// Time of a search that was not remembered.
    pub searches_seconds: Histogram,
    query_batches: IntCounter,
    query_texts: IntCounter,
    /// Held while counters follow counts that are kept elsewhere.
    following: Mutex<()>,
    /// How much later than it should a task goes on that only waits.
    pub loop_delay_seconds: Histogram,
}

/// Registers what is made.
fn kept<T: Collector + Clone + 'static>(registry: &Registry, made: T) -> Result<T, prometheus::Error> {
    registry.register(Box::new(made.clone()))?;
    Ok(made)
}

impl ApiMetrics {
    /// All of them at zero.
    ///
    /// # Errors
    /// Two have one name, which is a mistake in this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| kept(&registry, IntCounter::new(name, help)?);
        let waited = |name: &str, help: &str| {
            let options = HistogramOpts::new(name, help).buckets(WAITED.to_vec());
            kept(&registry, Histogram::with_opts(options)?)
        };
        let requests = IntCounterVec::new(
            Opts::new("docmill_api_requests_total", "Requests by route and status"),
            &["method", "route", "status"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new("docmill_api_request_seconds", "Time of a request until its answer begins")
                .buckets(SECONDS.to_vec()),
            &["method", "route"],
        )?;
        let entries = IntGauge::new("docmill_api_memo_entries", "Answers that are remembered")?;
        let asks =
            IntCounterVec::new(Opts::new("docmill_api_asks_total", "Questions by outcome"), &["outcome"])?;
        let metrics = Self {
            requests: kept(&registry, requests)?,
            seconds: kept(&registry, seconds)?,
            upload_bytes: counter("docmill_api_upload_bytes_total", "Bytes of uploads that were accepted")?,
            documents: counter("docmill_api_documents_total", "Documents that were accepted")?,
            memo_hits: counter("docmill_api_memo_hits_total", "Answers that were remembered")?,
            memo_misses: counter("docmill_api_memo_misses_total", "Answers that were not remembered")?,
            memo_entries: kept(&registry, entries)?,
            memo_invalidated: counter(
                "docmill_api_memo_invalidated_total",
                "Answers that were forgotten as something was committed",
            )?,
            asks: kept(&registry, asks)?,
            ask_first_token_seconds: waited(
                "docmill_api_ask_first_token_seconds",
                "Time from a question to the first words of its answer",
            )?,
            searches_seconds: waited(
                "docmill_api_search_seconds",
                "Time of a search that was not remembered",
            )?,
            query_batches: counter(
                "docmill_api_query_batches_total",
                "Calls of embedding models for queries",
            )?,
            query_texts: counter("docmill_api_query_texts_total", "Queries that were embedded")?,
            following: Mutex::default(),
            loop_delay_seconds: waited(
                "docmill_api_loop_delay_seconds",
                "How much later than it should a task goes on that only waits",
            )?,
            registry: registry.clone(),
        };
        Ok(metrics)
    }

    /// Counts an answer. `route` is the pattern, never the path.
    pub fn observe(&self, method: &str, route: &str, status: u16, took: Duration) {
        self.requests.with_label_values(&[method, route, &status.to_string()]).inc();
        self.seconds.with_label_values(&[method, route]).observe(took.as_secs_f64());
    }

    /// Takes over what the embedder of queries counted.
    pub fn queries(&self, stats: BatcherStats) {
        let _following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        for (counter, counted) in [(&self.query_batches, stats.calls), (&self.query_texts, stats.texts)] {
            counter.inc_by(counted.saturating_sub(counter.get()));
        }
    }

    /// The text that a scraper gets.
    ///
    /// # Errors
    /// They cannot be written, which is a mistake in this file.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_follow_the_embedder_and_never_fall() {
        let metrics = ApiMetrics::new().unwrap();
        for (calls, texts) in [(2, 9), (2, 9), (3, 40), (0, 0)] {
            metrics.queries(BatcherStats { calls, texts, failed_calls: 0 });
        }
        assert_eq!((metrics.query_batches.get(), metrics.query_texts.get()), (3, 40));
    }
}
