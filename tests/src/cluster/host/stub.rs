//! Stands in for the APIs of all pipelines: says how much there is to do, and takes every order.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::stream;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

/// Time between two lines where nothing is said, in milliseconds: the worker's own.
const INTERVAL_MS: u64 = 1_000;

/// See the module. It ends with its handle.
pub struct Stub {
    port: u16,
    shared: Arc<Shared>,
    serving: AbortHandle,
}

#[derive(Default)]
struct Shared {
    /// Documents that wait, by namespace and pipeline; none where nothing is said.
    waiting: Mutex<HashMap<(String, String), u64>>,
    lines: AtomicU64,
    orders: AtomicU64,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    interval_ms: Option<u64>,
}

impl Stub {
    /// Answers from now on.
    ///
    /// # Errors
    /// There is no port.
    pub async fn start() -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let router = Router::new()
            .route("/{namespace}/{pipeline}/internal/v1/observations", get(observations))
            .route("/{namespace}/{pipeline}/internal/v1/workers/{worker}/{order}", post(order))
            .with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let serving = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Ok(Self { port, shared, serving })
    }

    /// What the operator is told of where pipelines are.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/{{namespace}}/{{pipeline}}", self.port)
    }

    /// So many documents wait from the next line on.
    pub fn set_waiting(&self, namespace: &str, pipeline: &str, documents: u64) {
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert((namespace.to_owned(), pipeline.to_owned()), documents);
    }

    /// Lines that were sent so far.
    pub fn lines(&self) -> u64 {
        self.shared.lines.load(Ordering::Relaxed)
    }

    /// Orders that were taken so far.
    pub fn orders(&self) -> u64 {
        self.shared.orders.load(Ordering::Relaxed)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn observations(
    State(shared): State<Arc<Shared>>,
    Path(place): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let mut timer = interval(Duration::from_millis(wanted.interval_ms.unwrap_or(INTERVAL_MS).max(1)));
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let lines = stream::unfold((shared, place, timer), |(shared, place, mut timer)| async move {
        timer.tick().await;
        let waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).get(&place).copied();
        shared.lines.fetch_add(1, Ordering::Relaxed);
        Some((Ok::<_, Infallible>(line(waiting.unwrap_or(0))), (shared, place, timer)))
    });
    let head = [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")];
    (head, Body::from_stream(lines)).into_response()
}

async fn order(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.orders.fetch_add(1, Ordering::Relaxed);
    StatusCode::NO_CONTENT
}

/// A line as `worker/src/api/fleet.rs` writes it. No worker lives: pods that never started have nobody to order.
fn line(waiting: u64) -> Bytes {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let lane = |lane: &str, waiting: u64| {
        json!({
            "lane": lane, "waiting": waiting, "inFlight": 0, "delayed": 0, "due": 0,
            "unsettled": waiting, "dead": 0,
        })
    };
    let line = json!({
        "atMs": u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
        "queueReachable": true,
        "lanes": [lane("small", waiting), lane("large", 0)],
        "ratePerS": 0.0,
        "workers": [],
    });
    Bytes::from(format!("{line}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_what_the_operator_reads() {
        let text = line(250);
        assert!(text.ends_with(b"\n"));
        let said: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(said["queueReachable"], true);
        assert_eq!(said["lanes"][0]["waiting"], 250);
        assert_eq!(said["lanes"][1]["due"], 0);
    }
}
