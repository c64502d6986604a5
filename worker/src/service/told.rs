//! How a worker is, over HTTP: `/healthz` (it runs), `/readyz` (it began and is not drained), `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::embedded::Metrics;
use crate::http::{self, Limits};

/// Probes and scrapers are few.
pub(super) const LIMITS: Limits = Limits { connections_max: 64, keep_alive: false, grace: Duration::ZERO };

/// What is told.
pub(super) struct Told {
    /// Its back ends answered once, and it was not asked to end.
    pub began: AtomicBool,
    /// It is ordered to take no new work, and has none left.
    pub drained: AtomicBool,
    /// What it did.
    pub metrics: Arc<Metrics>,
}

impl Told {
    /// It did not begin yet.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { began: AtomicBool::new(false), drained: AtomicBool::new(false), metrics }
    }

    fn is_ready(&self) -> bool {
        self.began.load(Ordering::Relaxed) && !self.drained.load(Ordering::Relaxed)
    }
}

/// Answers with what is told.
pub(super) fn router(told: Arc<Told>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async |State(told): State<Arc<Told>>| http::readiness(told.is_ready())))
        .route("/metrics", get(async |State(told): State<Arc<Told>>| http::metrics(told.metrics.render())))
        .fallback((StatusCode::NOT_FOUND, "/healthz, /readyz, /metrics\n"))
        .with_state(told)
}
