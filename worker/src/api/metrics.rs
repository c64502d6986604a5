//! What the API did, in Prometheus' terms. Labels are routes as they are written in the code and statuses:
//! nothing of a tenant, a key or a document.

use std::time::Duration;

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
};

/// Bounds in seconds: from a look-up to the upload of a book.
const SECONDS: [f64; 12] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0, 60.0, 600.0];

/// See the module.
pub struct ApiMetrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    /// Bytes of uploads that were accepted.
    pub upload_bytes: IntCounter,
    /// Documents that were accepted, uploaded or named.
    pub documents: IntCounter,
}

impl ApiMetrics {
    /// All of them at zero.
    ///
    /// # Errors
    /// Two have one name, which is a mistake in this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("docmill_api_requests_total", "Requests by route and status"),
            &["method", "route", "status"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new("docmill_api_request_seconds", "Time of a request until its answer begins")
                .buckets(SECONDS.to_vec()),
            &["method", "route"],
        )?;
        let upload_bytes =
            IntCounter::new("docmill_api_upload_bytes_total", "Bytes of uploads that were accepted")?;
        let documents = IntCounter::new("docmill_api_documents_total", "Documents that were accepted")?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(upload_bytes.clone()))?;
        registry.register(Box::new(documents.clone()))?;
        Ok(Self { registry, requests, seconds, upload_bytes, documents })
    }

    /// Counts an answer. `route` is the pattern, never the path.
    pub fn observe(&self, method: &str, route: &str, status: u16, took: Duration) {
        self.requests.with_label_values(&[method, route, &status.to_string()]).inc();
        self.seconds.with_label_values(&[method, route]).observe(took.as_secs_f64());
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
