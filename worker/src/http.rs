//! The HTTP server of our processes: a router behind limits on connections and on the time that a client takes
//! to say what it wants and to take what it gets. What is answered is the router's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

mod patient;

use patient::{Patience, Patient};

/// Longest time that a client takes to send the head of a request.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// A client that takes less of what is there for it has gone, or means to hold its place.
const PATIENCE: Patience = Patience { time: Duration::from_secs(30), bytes: 64 << 10 };
/// Bytes of answers that the kernel keeps of a connection. It lets us go on once a third is free, and that must be less than
/// a client is to take in its time.
const UNSENT_BYTES_MAX: usize = 64 << 10;
/// Wait after the system refused a connection: it has none to give for a while.
const REFUSED_WAIT: Duration = Duration::from_millis(100);

/// How a server treats its clients.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; others wait.
    pub connections_max: usize,
    /// Whether a connection may carry more than one request.
    pub keep_alive: bool,
    /// How long requests may go on once the server is to end.
    pub grace: Duration,
}

/// The ends of the connection that a request came by; each request has them among its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The client's.
    pub peer: SocketAddr,
    /// Ours.
    pub here: SocketAddr,
}

/// Listens on all addresses, both families where the machine has both.
///
/// # Errors
/// The port is taken.
pub async fn listen_everywhere(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => {
            TcpListener::bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), port)).await
        }
        bound => bound,
    }
}

/// Answers until `stop` turns true or its sender is gone; then it takes no more connections and lets what is
/// being answered go on for the grace.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: watch::Receiver<bool>) {
    let connections = accept(&listener, router, limits, stop).await;
    drop(listener);
    finish(connections, limits.grace).await;
}

/// The same on a listener that somebody else goes on with: who connects in between only waits.
pub async fn serve_meanwhile(
    listener: &TcpListener,
    router: Router,
    limits: Limits,
    stop: watch::Receiver<bool>,
) {
    let connections = accept(listener, router, limits, stop).await;
    finish(connections, limits.grace).await;
}

async fn accept(
    listener: &TcpListener,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) -> JoinSet<()> {
    let places = Arc::new(Semaphore::new(limits.connections_max));
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
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            let _place = place;
            // Answers are small and come whole: waiting for more to send only delays them.
            let _ = stream.set_nodelay(true);
            // A client is judged by what it takes: the kernel must not take much in its place.
            let _ = rustix::net::sockopt::set_socket_send_buffer_size(&stream, UNSENT_BYTES_MAX);
            let ends =
                stream.peer_addr().and_then(|peer| Ok(Ends { peer, here: stream.local_addr()? })).ok();
            answer(Patient::new(stream, PATIENCE), ends, router, limits.keep_alive, stop).await;
        });
    }
    connections
}

/// Lets connections end for so long.
async fn finish(mut connections: JoinSet<()>, grace: Duration) {
    let ending = async { while connections.join_next().await.is_some() {} };
    // What is left is cut off with the set.
    let _ = tokio::time::timeout(grace, ending).await;
}

/// One connection, to its end. A client that goes away early is its own affair.
async fn answer<I: AsyncRead + AsyncWrite + Unpin>(
    stream: Patient<I>,
    ends: Option<Ends>,
    router: Router,
    keep_alive: bool,
    mut stop: watch::Receiver<bool>,
) {
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX).keep_alive(keep_alive);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        if let Some(ends) = ends {
            request.extensions_mut().insert(ends);
        }
        router.call(request)
    });
    let serving = server.serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        _ = serving.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}

/// Metrics in Prometheus' text form.
pub fn metrics(rendered: Result<Vec<u8>, prometheus::Error>) -> Response {
    const KIND: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    match rendered {
        Ok(text) => ([(header::CONTENT_TYPE, KIND)], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "no metrics\n").into_response(),
    }
}

/// What `/readyz` says.
pub fn readiness(ready: bool) -> Response {
    match ready {
        true => "ready\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const ANSWER: usize = 1 << 20;
    /// Long enough for who reads.
    const LONG: Duration = Duration::from_secs(60);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    fn large() -> Router {
        Router::new().fallback(async || vec![b'x'; ANSWER])
    }

    #[tokio::test]
    async fn who_asks_and_does_not_read_is_let_go() {
        let (mut client, server) = duplex(1 << 10);
        let (_running, stop) = watch::channel(false);
        client.write_all(REQUEST).await.unwrap();
        let short = Patience { time: Duration::from_millis(50), bytes: 1 };
        let answering = answer(Patient::new(server, short), None, large(), true, stop);
        tokio::time::timeout(LONG, answering).await.expect("it ends by itself");
    }

    #[tokio::test]
    async fn who_reads_gets_all() {
        let (mut client, server) = duplex(1 << 10);
        let (_running, stop) = watch::channel(false);
        client.write_all(REQUEST).await.unwrap();
        let patient = Patient::new(server, Patience { time: LONG, bytes: 1 << 10 });
        let mut told = Vec::new();
        let reading = client.read_to_end(&mut told);
        let ((), read) = tokio::join!(answer(patient, None, large(), true, stop), reading);
        assert!(read.unwrap() > ANSWER && told.ends_with(b"xxxx"));
    }
}
