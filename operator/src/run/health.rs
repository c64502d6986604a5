//! Health and metrics of the operator itself.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use prometheus::{Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::meters::Meters;

/// Answers until `stop` turns true.
pub async fn answer(
    listener: TcpListener,
    registry: Registry,
    meters: Meters,
    ready: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
) {
    let is_ready = async move || match *ready.borrow() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready: no keys yet\n"),
    };
    let render = async move || {
        let mut text = String::new();
        let encoded = TextEncoder::new().encode_utf8(&registry.gather(), &mut text);
        meters.write_pipelines(&mut text);
        let status = if encoded.is_ok() { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
        (status, [("content-type", "text/plain; version=0.0.4")], text)
    };
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(is_ready))
        .route("/metrics", get(render));
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        let _ = stop.wait_for(|stop| *stop).await;
    });
    if let Err(error) = serving.await {
        tracing::warn!(%error, "health is answered no more");
    }
}
