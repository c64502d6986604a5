//! How a worker is, over HTTP: `/healthz` (it runs), `/readyz` (it takes work), `/metrics`.

use std::convert::Infallible;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::embedded::Metrics;

/// Longest time that a client takes to say what it wants.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// Connections at once; others wait.
const CONNECTIONS_MAX: usize = 64;
/// Wait after the system refused a connection: it has none to give for a while.
const REFUSED_WAIT: Duration = Duration::from_millis(100);

/// What is told.
pub(super) struct Told {
    /// It takes work.
    pub ready: AtomicBool,
    /// What it did.
    pub metrics: Arc<Metrics>,
}

/// Listens on all addresses, both families where the machine has both.
///
/// # Errors
/// The port is taken.
pub(super) async fn listen(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => {
            TcpListener::bind(("0.0.0.0", port)).await
        }
        bound => bound,
    }
}

/// Answers until it is dropped.
pub(super) async fn serve(listener: TcpListener, told: Arc<Told>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(REFUSED_WAIT).await;
            continue;
        };
        let told = told.clone();
        tokio::spawn(async move {
            let _place = place;
            let answer = service_fn(|request| {
                let answer = answer(&told, &request);
                async { Ok::<_, Infallible>(answer) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX).keep_alive(false);
            // A client that goes away early is its own affair.
            let _ = server.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

fn answer(told: &Told, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, path) => page(told, path),
        _ => (StatusCode::METHOD_NOT_ALLOWED, TEXT, Bytes::from_static(b"only GET\n")),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

fn page(told: &Told, path: &str) -> (StatusCode, &'static str, Bytes) {
    match path {
        "/healthz" => (StatusCode::OK, TEXT, Bytes::from_static(b"ok\n")),
        "/readyz" if told.ready.load(Ordering::Relaxed) => {
            (StatusCode::OK, TEXT, Bytes::from_static(b"ready\n"))
        }
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, TEXT, Bytes::from_static(b"not ready\n")),
        "/metrics" => match told.metrics.render() {
            Ok(text) => (StatusCode::OK, METRICS, Bytes::from(text)),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, Bytes::from_static(b"no metrics\n")),
        },
        _ => (StatusCode::NOT_FOUND, TEXT, Bytes::from_static(b"/healthz, /readyz, /metrics\n")),
    }
}
