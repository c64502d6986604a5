//! A model behind an OpenAI-compatible address that says what it is told to, and behaves as badly as it is told to.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::process::free_port;

/// Longer than whatever anybody should read.
const HUGE_BYTES: usize = 1 << 30;
/// Bytes of a piece of it.
const PIECE_BYTES: usize = 1 << 20;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// With what it was told to say.
    Good,
    /// With that, and with the whole of what it was asked before it: it repeats whatever stands in the sources.
    Obedient,
    /// It takes the question and never answers.
    Silent,
    /// It begins, and falls silent.
    Stuck,
    /// It begins, and ends the connection.
    Half,
    /// It says that its tokens are used up.
    Short,
    /// It never comes to an end.
    Endless,
    /// With one line of a gigabyte.
    Huge,
    /// It has no time.
    Throttled,
    /// With a failure of its own.
    Failing,
    /// With what is no answer.
    Garbage,
    /// It sends elsewhere.
    Redirecting,
}

/// A running model, gone with its handle.
pub struct Model {
    port: u16,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

struct Shared {
    told: Mutex<Told>,
    /// Answers that are being written.
    open: AtomicUsize,
}

struct Told {
    manner: Manner,
    pieces: Vec<String>,
    asked: Vec<Value>,
}

impl Model {
    /// Starts one that says `Yes [1].`
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start() -> Self {
        let port = free_port();
        let pieces = vec!["Yes ".to_owned(), "[1].".to_owned()];
        let told = Mutex::new(Told { manner: Manner::Good, pieces, asked: Vec::new() });
        let shared = Arc::new(Shared { told, open: AtomicUsize::new(0) });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", port))).unwrap();
        let router = Router::new().route("/v1/chat/completions", post(complete)).with_state(shared.clone());
        drop(runtime.spawn(async { axum::serve(listener, router).await }));
        Self { port, shared, runtime: Some(runtime) }
    }

    /// Its base URL, as clients are told it.
    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// From now on it answers so.
    ///
    /// # Panics
    /// Another thread panicked while it held what it was told.
    pub fn behave(&self, manner: Manner) {
        self.shared.told.lock().unwrap().manner = manner;
    }

    /// From now on it says this, piece by piece.
    ///
    /// # Panics
    /// Another thread panicked while it held what it was told.
    pub fn say(&self, pieces: &[&str]) {
        self.shared.told.lock().unwrap().pieces = pieces.iter().map(|piece| (*piece).to_owned()).collect();
    }

    /// Bodies of what it was asked.
    ///
    /// # Panics
    /// Another thread panicked while it held what it was told.
    pub fn asked(&self) -> Vec<Value> {
        self.shared.told.lock().unwrap().asked.clone()
    }

    /// Answers that are being written.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

/// Counts an answer until it is written or nobody reads it.
struct Open(Arc<Shared>);

impl Open {
    fn of(shared: &Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::SeqCst);
        Self(shared.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn complete(State(shared): State<Arc<Shared>>, Json(asked): Json<Value>) -> Response {
    let open = Open::of(&shared);
    let (manner, mut pieces) = {
        let mut told = shared.told.lock().unwrap();
        told.asked.push(asked.clone());
        (told.manner, told.pieces.clone())
    };
    let usage = data(&json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}));
    let end = |finish: &str| {
        let last = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]});
        [data(&last), usage.clone(), "data: [DONE]\n\n".to_owned()]
    };
    if manner == Manner::Obedient {
        let repeated =
            asked["messages"].as_array().and_then(|messages| messages.last()).map(|last| &last["content"]);
        pieces.insert(0, repeated.and_then(Value::as_str).unwrap_or_default().to_owned());
    }
    let said: Vec<String> = pieces.iter().map(|piece| text(piece)).collect();
    match manner {
        Manner::Good | Manner::Obedient => events(open, stream::iter(said.into_iter().chain(end("stop")))),
        Manner::Short => events(open, stream::iter(said.into_iter().chain(end("length")))),
        Manner::Silent => {
            let _open = open;
            std::future::pending().await
        }
        Manner::Stuck => events(open, stream::iter(said).chain(stream::pending())),
        Manner::Half => events(open, stream::iter(said)),
        Manner::Endless => events(open, stream::iter(said.into_iter().cycle())),
        Manner::Huge => {
            let pieces = (0..HUGE_BYTES / PIECE_BYTES).map(|_| "x".repeat(PIECE_BYTES));
            events(open, stream::iter(["data: {\"choices\": \"".to_owned()].into_iter().chain(pieces)))
        }
        Manner::Throttled => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "7")]).into_response(),
        Manner::Failing => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Manner::Garbage => "<html>It works!</html>\n".into_response(),
        Manner::Redirecting => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/v1/elsewhere")]).into_response()
        }
    }
}

fn text(piece: &str) -> String {
    data(&json!({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": null}]}))
}

fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn events(open: Open, pieces: impl Stream<Item = String> + Send + 'static) -> Response {
    let pieces = pieces.map(move |piece| {
        let _open = &open;
        Ok::<Bytes, Infallible>(Bytes::from(piece))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(pieces)).into_response()
}
