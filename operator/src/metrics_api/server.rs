//! Answers requests for metrics over TLS. Who asks without a certificate of the front proxy learns only whether the
//! process lives. Connections are limited in number and end when they are idle, so that nobody can hold all of them.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Query;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use prometheus::{HistogramOpts, HistogramVec, Registry};
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::access::{Access, Question};
use super::answers::{self, Refusal, Route};
use super::{Values, accept};
use crate::certificates::front_proxy::{Distrust, FrontProxy};
use crate::certificates::identity::Identity;
use crate::certificates::server_tls::ServerTls;
use crate::certificates::{causes, now_ms};
use crate::names::METRIC;

/// Connections at once; others wait.
const CONNECTIONS_MAX: usize = 128;
/// Requests at once on one connection of HTTP/2.
const STREAMS_MAX: u32 = 64;
/// Longest time until a connection is secure.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Longest time that a client takes to send the head of a request.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// Largest head of a request, in bytes.
const HEAD_BYTES_MAX: u32 = 32 * 1024;
/// A connection without a request for so long ends.
const IDLE_MAX: Duration = Duration::from_secs(90);
/// How long requests may go on once a connection is to end.
const GRACE: Duration = Duration::from_secs(5);
/// Wait after the system refused a connection: it has none to give for a while.
const REFUSED_WAIT: Duration = Duration::from_millis(100);
/// Upper bounds of the histogram, in seconds.
const BUCKETS: [f64; 9] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0];

/// The metrics API.
pub struct MetricsApi {
    values: Arc<dyn Values>,
    access: Arc<dyn Access>,
    front_proxy: watch::Receiver<Option<Arc<FrontProxy>>>,
    answer_seconds: HistogramVec,
}

/// What is answered, before it is bytes.
enum Answer {
    Text(StatusCode, &'static str),
    Json(serde_json::Value),
    Refusal(Refusal, String),
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    #[serde(default)]
    label_selector: String,
}

impl MetricsApi {
    /// One that answers with these values whom `access` lets.
    ///
    /// # Errors
    /// The registry has such a metric already.
    pub fn new(
        values: Arc<dyn Values>,
        access: Arc<dyn Access>,
        front_proxy: watch::Receiver<Option<Arc<FrontProxy>>>,
        registry: &Registry,
    ) -> Result<Arc<Self>, prometheus::Error> {
        let name = "docmill_operator_metrics_api_answer_seconds";
        let options = HistogramOpts::new(name, "Time to answer a request for metrics, by status code");
        let answer_seconds = HistogramVec::new(options.buckets(BUCKETS.to_vec()), &["code"])?;
        registry.register(Box::new(answer_seconds.clone()))?;
        Ok(Arc::new(Self { values, access, front_proxy, answer_seconds }))
    }

    /// Answers one request of a client that showed these certificates.
    async fn answer(&self, chain: &[CertificateDer<'_>], parts: &Parts) -> Response<Body> {
        let start = Instant::now();
        let answer =
            self.decide(chain, parts).await.unwrap_or_else(|(kind, why)| Answer::Refusal(kind, why));
        let response = response(answer);
        let seconds = start.elapsed().as_secs_f64();
        self.answer_seconds.with_label_values(&[response.status().as_str()]).observe(seconds);
        response
    }

    async fn decide(
        &self,
        chain: &[CertificateDer<'_>],
        parts: &Parts,
    ) -> Result<Answer, (Refusal, String)> {
        let route = answers::route(parts.uri.path());
        match route {
            Route::Alive => return Ok(Answer::Text(StatusCode::OK, "ok")),
            Route::Ready if self.front_proxy.borrow().is_some() => {
                return Ok(Answer::Text(StatusCode::OK, "ok"));
            }
            Route::Ready => {
                let why = "not ready: nobody can be believed yet\n";
                return Ok(Answer::Text(StatusCode::SERVICE_UNAVAILABLE, why));
            }
            _ => {}
        }
        let identity = self.identity(chain, &parts.headers)?;
        if parts.method != Method::GET {
            return Err((Refusal::MethodNotAllowed, "only GET is supported".to_owned()));
        }
        if !accept::takes_json(&joined(&parts.headers)) {
            return Err((Refusal::NotAcceptable, "only application/json is served".to_owned()));
        }
        match route {
            Route::Document(document) => Ok(Answer::Json(answers::document(document))),
            Route::Metric { namespace, metric } => {
                let (namespace, metric) = (namespace.to_owned(), metric.to_owned());
                self.metric(Question { identity, namespace, metric }, &parts.uri).await
            }
            _ => Err((Refusal::NotFound, "there is nothing at this path".to_owned())),
        }
    }

    /// Who asks, as somebody tells it whom we believe.
    fn identity(
        &self,
        chain: &[CertificateDer<'_>],
        headers: &HeaderMap,
    ) -> Result<Identity, (Refusal, String)> {
        let unauthorized = |why: &dyn std::fmt::Display| (Refusal::Unauthorized, why.to_string());
        let front_proxy = self.front_proxy.borrow().clone();
        let front_proxy = front_proxy.ok_or_else(|| unauthorized(&Distrust::OtherAuthority))?;
        front_proxy.believe(chain, now_ms()).map_err(|distrust| unauthorized(&distrust))?;
        let identity = front_proxy.headers().identity(headers);
        identity.ok_or_else(|| unauthorized(&"the request does not say who asks"))
    }

    async fn metric(&self, question: Question, uri: &Uri) -> Result<Answer, (Refusal, String)> {
        let Question { identity, namespace, metric } = &question;
        let allowed = self.access.may_read(&question).await.map_err(|error| {
            tracing::warn!(error = causes(&error), "cannot decide who may read metrics");
            (Refusal::Unavailable, error.to_string())
        })?;
        if !allowed {
            let user = &identity.user;
            let why = format!("{user:?} cannot list the external metric {metric} in namespace {namespace}");
            return Err((Refusal::Forbidden, why));
        }
        let parameters = Query::<Parameters>::try_from_uri(uri);
        let Query(parameters) = parameters.map_err(|error| (Refusal::BadRequest, error.to_string()))?;
        let not_found = |what: &str| (Refusal::NotFound, format!("{what} in namespace {namespace}"));
        if metric != METRIC {
            return Err(not_found(&format!("there is no external metric {metric}, only {METRIC},")));
        }
        let pipeline = answers::pipeline_of(&parameters.label_selector)
            .map_err(|problem| (Refusal::BadRequest, problem.to_string()))?
            .ok_or_else(|| not_found("no pipeline has all these labels"))?;
        let value = self.values.desired_metric(namespace, &pipeline);
        let value =
            value.ok_or_else(|| not_found(&format!("{METRIC} is not known of pipeline {pipeline}")))?;
        Ok(Answer::Json(answers::value_list(&pipeline, value)))
    }
}

/// Answers until `stop` turns true or its sender is gone, and then ends what is open. A connection before there is a
/// certificate is closed at once.
pub async fn serve(
    listener: TcpListener,
    api: Arc<MetricsApi>,
    tls: Arc<ServerTls>,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepting = async {
            let place = places.clone().acquire_owned().await.ok()?;
            Some((listener.accept().await, place))
        };
        let accepted = tokio::select! {
            accepted = accepting => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Some((accepted, place)) = accepted else { break };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(REFUSED_WAIT).await;
            continue;
        };
        let Some(config) = tls.current() else { continue };
        let (api, stop) = (api.clone(), stop.clone());
        connections.spawn(async move {
            let _place = place;
            connection(stream, TlsAcceptor::from(config), api, stop).await;
        });
    }
    drop(listener);
    let ending = async { while connections.join_next().await.is_some() {} };
    // What is left is cut off with the set.
    let _ = tokio::time::timeout(GRACE + Duration::from_secs(1), ending).await;
}

/// One connection, to its end. A client that goes away early is its own affair.
async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    api: Arc<MetricsApi>,
    mut stop: watch::Receiver<bool>,
) {
    // Answers are small and come whole: waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await else { return };
    let chain: Arc<[CertificateDer<'static>]> =
        stream.get_ref().1.peer_certificates().unwrap_or(&[]).into();
    let asked = Arc::new(AtomicBool::new(false));
    let asks = asked.clone();
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (api, chain) = (api.clone(), chain.clone());
        asks.store(true, Ordering::Relaxed);
        async move {
            // Nobody needs to say more than the head: a body is not read.
            let (parts, _) = request.into_parts();
            Ok::<_, Infallible>(api.answer(&chain, &parts).await)
        }
    });
    let builder = protocols();
    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    loop {
        tokio::select! {
            _ = serving.as_mut() => return,
            _ = stop.wait_for(|stop| *stop) => break,
            () = tokio::time::sleep(IDLE_MAX) => if !asked.swap(false, Ordering::Relaxed) { break },
        }
    }
    serving.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(GRACE, serving).await;
}

fn protocols() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(HEAD_BYTES_MAX as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX);
    builder
}

/// All `Accept` headers as one.
fn joined(headers: &HeaderMap) -> String {
    let texts: Vec<&str> =
        headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok()).collect();
    texts.join(",")
}

fn response(answer: Answer) -> Response<Body> {
    let (status, kind, body) = match answer {
        Answer::Text(status, text) => (status, "text/plain; charset=utf-8", text.to_owned()),
        Answer::Json(json) => (StatusCode::OK, "application/json", json.to_string()),
        Answer::Refusal(refusal, why) => {
            let status = StatusCode::from_u16(refusal.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, "application/json", answers::status(refusal, &why).to_string())
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
    }
    response
}

#[cfg(test)]
mod tests;
