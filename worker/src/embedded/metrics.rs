//! What a run did, in Prometheus' terms, as a file that a node exporter's textfile collector reads.
//!
//! No label holds anything of a document or a tenant: outcomes, codes and stages are fixed sets.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

use super::{Counters, Error};
use crate::delivery::Outcome;
use crate::intake::Finished;
use crate::whole_file;

/// Time between two writes of the file.
const EVERY: Duration = Duration::from_secs(5);
/// Bounds in seconds: from a text file of some kilobytes to a scanned book.
const SECONDS: [f64; 14] =
    [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0];

type Source = fn(&Counters) -> &AtomicU64;

/// Metrics of one run.
pub struct Metrics {
    registry: Registry,
    counters: Arc<Counters>,
    documents: IntCounterVec,
    failures: IntCounterVec,
    document_seconds: Histogram,
    stage_seconds: HistogramVec,
    unsettled: IntGauge,
    counted: Vec<(IntCounter, Source)>,
}

impl Metrics {
    /// Metrics that also show these counters.
    ///
    /// # Errors
    /// Two have one name, which is a mistake in this file.
    pub fn new(counters: Arc<Counters>) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let documents = IntCounterVec::new(
            Opts::new("docmill_documents_total", "Deliveries of documents by how they ended"),
            &["outcome"],
        )?;
        let failures = IntCounterVec::new(
            Opts::new(
                "docmill_failures_total",
                "Failed deliveries of documents by the code of the failure",
            ),
            &["code"],
        )?;
        let document_seconds = Histogram::with_opts(
            HistogramOpts::new("docmill_document_seconds", "Time of a document from claim to ack")
                .buckets(SECONDS.to_vec()),
        )?;
        let stage_seconds = HistogramVec::new(
            HistogramOpts::new("docmill_stage_seconds", "Time of a committed document in a stage")
                .buckets(SECONDS.to_vec()),
            &["stage"],
        )?;
        let unsettled = IntGauge::new(
            "docmill_documents_unsettled",
            "Documents that are known to this run and not finished",
        )?;
        registry.register(Box::new(documents.clone()))?;
        registry.register(Box::new(failures.clone()))?;
        registry.register(Box::new(document_seconds.clone()))?;
        registry.register(Box::new(stage_seconds.clone()))?;
        registry.register(Box::new(unsettled.clone()))?;
        let sources: [(&str, &str, Source); 8] = [
            ("docmill_files_seen_total", "Files that the scan saw", |counters| &counters.files_seen),
            ("docmill_documents_unchanged_total", "Files that are what they were", |counters| {
                &counters.documents_unchanged
            }),
            ("docmill_bytes_total", "Bytes of finished documents", |counters| &counters.bytes_done),
            ("docmill_pages_total", "Pages extracted", |counters| &counters.pages),
            ("docmill_ocr_pages_total", "Pages recognised", |counters| &counters.ocr_pages),
            ("docmill_chunks_total", "Chunks made", |counters| &counters.chunks),
            ("docmill_texts_embedded_total", "Texts that the embedding model was asked for", |counters| {
                &counters.embedded
            }),
            ("docmill_cache_hits_total", "Answers of models that the cache had", |counters| {
                &counters.cache_hits
            }),
        ];
        let mut counted = Vec::with_capacity(sources.len());
        for (name, help, source) in sources {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            counted.push((counter, source));
        }
        Ok(Self {
            registry,
            counters,
            documents,
            failures,
            document_seconds,
            stage_seconds,
            unsettled,
            counted,
        })
    }

    /// Counts how a delivery ended.
    pub fn observe(&self, finished: &Finished) {
        let outcome = match &finished.outcome {
            Outcome::Committed { summary, .. } => {
                for (stage, ms) in &summary.stage_ms {
                    self.stage_seconds.with_label_values(&[stage]).observe(ms / 1e3);
                }
                "committed"
            }
            Outcome::Deleted => "deleted",
            Outcome::DeadLettered(_) => "dead_lettered",
            Outcome::Retried(_) => "retried",
            Outcome::NothingToDo | Outcome::Elsewhere => "elsewhere",
        };
        if let Outcome::DeadLettered(failure) | Outcome::Retried(failure) = &finished.outcome {
            self.failures.with_label_values(&[failure.code.as_str()]).inc();
        }
        self.documents.with_label_values(&[outcome]).inc();
        self.document_seconds.observe(finished.seconds);
    }

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// The encoder's, which has none for these.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        for (counter, source) in &self.counted {
            let now = Counters::get(source(&self.counters));
            counter.inc_by(now.saturating_sub(counter.get()));
        }
        let total = Counters::get(&self.counters.documents_total);
        let done = Counters::get(&self.counters.documents_done);
        self.unsettled.set(i64::try_from(total.saturating_sub(done)).unwrap_or(i64::MAX));
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// Writes the file; a collector never reads half of it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Metrics {
            path: path.to_owned(),
            detail: error.to_string(),
        };
        let text = self.render().map_err(|error| failed(&error))?;
        let written: std::io::Result<()> = whole_file::write(path, |file| file.write_all(&text));
        written.map_err(|error| failed(&error))
    }

    /// Writes the file now and then until it is dropped.
    pub async fn keep_written(self: Arc<Self>, path: PathBuf) {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Err(error) = self.write(&path) {
                tracing::warn!(%error, "metrics were not written");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_show_what_they_are_now() {
        let counters: Arc<Counters> = Arc::default();
        let metrics = Metrics::new(counters.clone()).expect("names are distinct");
        Counters::add(&counters.pages, 3);
        Counters::add(&counters.documents_total, 2);
        metrics.observe(&Finished {
            outcome: Outcome::NothingToDo,
            uri: "file:///secret".to_owned(),
            bytes: 1,
            seconds: 0.002,
        });
        let render = || String::from_utf8(metrics.render().expect("it encodes")).expect("text");
        assert!(render().contains("\ndocmill_pages_total 3\n"));
        Counters::add(&counters.pages, 4);
        let text = render();
        assert!(text.contains("\ndocmill_pages_total 7\n"));
        assert!(text.contains("docmill_documents_unsettled 2\n"));
        assert!(text.contains("docmill_documents_total{outcome=\"elsewhere\"} 1\n"));
        assert!(text.contains("docmill_document_seconds_bucket{le=\"0.003\"} 1\n"));
        assert!(!text.contains("secret"));
    }
}
