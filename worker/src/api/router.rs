//! Every operation of the API in one table: the routes, who may call them, and the description that
//! `/openapi.json` gives are made of it.

use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};

use super::auth::{self, Scope};
use super::problem::Problem;
use super::request::{BodyBytesMax, QUESTION_BYTES_MAX};
use super::{
    Shared, ask, audits, batches, chat, concepts, dashboard, dead_letters, documents, events, export,
    fleet, indexes, keys_api, openapi, pages, prefixes, scaling, search, stores, upload,
};
use crate::http;

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody who reaches it.
    Open,
    /// Whose key has the scope.
    Scope(Scope),
    /// The operator.
    Operator,
}

/// An operation.
pub struct Operation {
    /// In small letters, as descriptions have it.
    pub method: &'static str,
    /// With parameters in braces.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Parameters of the query and headers: name, place, meaning.
    pub parameters: &'static [(&'static str, &'static str, &'static str)],
    /// Schema of the body: a name of the components, or `form`.
    pub body: Option<&'static str>,
    /// Status and schema of the answer.
    pub answer: (u16, Option<&'static str>),
    handler: fn() -> MethodRouter<Shared>,
}

const PAGE: &[(&str, &str, &str)] = &[
    ("limit", "query", "Most of a page: 1 to 1000; 100"),
    ("cursor", "query", "`next` of an earlier page"),
];
const UPLOAD: &[(&str, &str, &str)] = &[
    ("batch", "query", "The batch that the documents belong to"),
    ("uri", "query", "Where the document belongs: another upload to it is its next content"),
    ("idempotency-key", "header", "The same request with the same key gets the first answer, for a day"),
];
const KEYED: &[(&str, &str, &str)] = &[UPLOAD[2]];

const SEARCH: &[(&str, &str, &str)] = &[
    ("q", "query", "What is looked for: 1 to 8192 bytes"),
    ("k", "query", "Most hits: 1 to 100; 10"),
    ("cursor", "query", "`next` of an earlier answer"),
    ("document", "query", "Only in these documents: ids, with commas"),
    ("category", "query", "Only of these categories, with commas"),
    ("mediaType", "query", "Only of these media types, with commas"),
    ("language", "query", "Only in these languages (ISO 639-1), with commas"),
    ("uriPrefix", "query", "Only documents whose URI begins so"),
    ("from", "query", "Only what was committed from then on (RFC 3339)"),
    ("before", "query", "Only what was committed before (RFC 3339)"),
    ("facets", "query", "What hits are counted by: category, mediaType, language, with commas"),
    ("explain", "query", "true: how each hit was scored; false"),
];
const KNOWN: &[(&str, &str, &str)] = &[("if-none-match", "header", "Tags of what is there already")];
const LAST_EVENT: &[(&str, &str, &str)] =
    &[("last-event-id", "header", "The last event that was seen of a stream: it goes on after it")];

const READ: Access = Access::Scope(Scope::Read);
const WRITE: Access = Access::Scope(Scope::Write);
const ADMIN: Access = Access::Scope(Scope::Admin);

macro_rules! operations {
    ($($name:ident: $(($method:literal $path:literal $access:ident, $summary:literal, $parameters:expr,
        $body:expr, $answer:expr, $handler:expr))+)+) => {
        $(
            /// See the module.
            pub const $name: &[Operation] = &[$(Operation {
                method: $method, path: $path, access: $access, summary: $summary, parameters: $parameters,
                body: $body, answer: $answer, handler: || $handler,
            }),+];
        )+
    };
}

const OPEN: Access = Access::Open;
const OPERATOR: Access = Access::Operator;

operations! {
    PUBLIC:
    ("post" "/v1/documents" WRITE, "Upload files", UPLOAD, Some("form"), (202, Some("Accepted")), post(upload::documents))
    ("post" "/ingest/{kind}" WRITE, "Upload files of a kind", UPLOAD, Some("form"), (202, Some("Accepted")), post(upload::ingest))
    ("get" "/v1/documents" READ, "List documents, newest first",
        &[("state", "query", "queued, processing, committed, failed or cancelled"), ("batch", "query", "Only those of a batch"),
            ("uri", "query", "Only the one that is there"), PAGE[0], PAGE[1]],
        None, (200, Some("Documents")), get(documents::list))
    ("get" "/v1/documents/{id}" READ, "Show a document", &[], None, (200, Some("Document")), get(documents::get))
    ("delete" "/v1/documents/{id}" WRITE, "Delete a document", &[], None, (202, None), delete(documents::delete))
    ("post" "/v1/batches" WRITE, "Submit documents by their URIs", KEYED, Some("NewBatch"), (202, Some("AcceptedBatch")), post(batches::create))
    ("get" "/v1/batches" READ, "List batches, newest first", PAGE, None, (200, Some("Batches")), get(batches::list))
    ("get" "/v1/batches/{id}" READ, "Show how far a batch is", &[], None, (200, Some("Batch")), get(batches::get))
    ("post" "/v1/batches/{id}/documents" WRITE, "Add documents to a batch", &[], Some("MoreDocuments"), (202, Some("AcceptedBatch")), post(batches::add))
    ("post" "/v1/batches/{id}/prefixes" WRITE, "Add the objects of a folder to a batch, 1,000 a request", &[], Some("NewPrefix"), (202, Some("AcceptedPrefix")), post(prefixes::add))
    ("post" "/v1/batches/{id}/cancel" WRITE, "Cancel a batch: what waits is not begun, what is in work stops", &[], None, (200, Some("CancelledBatch")), post(batches::cancel))
    ("get" "/v1/dead-letters" READ, "List what was given up, the last first",
        &[("code", "query", "Only those that failed with this code"), PAGE[0], PAGE[1]], None, (200, Some("DeadLetters")), get(dead_letters::list))
    ("get" "/v1/dead-letters/{id}" READ, "Show what was given up", &[], None, (200, Some("DeadLetter")), get(dead_letters::get))
    ("post" "/v1/dead-letters/replay" WRITE, "Have what was given up done again, each once", &[], Some("ReplayRequest"), (200, Some("Replayed")), post(dead_letters::replay))
    ("get" "/v1/search" READ, "Search by words and by meaning", SEARCH, None, (200, Some("SearchAnswer")), get(search::get))
    ("post" "/v1/search" READ, "Search by words and by meaning", &[], Some("SearchBody"), (200, Some("SearchAnswer")), post(search::post))
    ("post" "/v1/ask" READ, "Answer a question with citations; as events where `stream` says so", LAST_EVENT, Some("AskBody"), (200, Some("FinalAnswer")), post(ask::ask))
    ("post" "/v1/ask/stream" READ, "Answer a question as server-sent events", LAST_EVENT, Some("AskBody"), (200, None), post(ask::stream))
    ("post" "/ask/stream" READ, "The same where other servers have it", LAST_EVENT, Some("AskBody"), (200, None), post(ask::stream))
    ("get" "/v1/ask/{run}" READ, "Go on with an answer that was cut off", LAST_EVENT, None, (200, None), get(ask::resume))
    ("post" "/v1/chat/completions" READ, "Answer as OpenAI's clients ask", &[], Some("ChatRequest"), (200, Some("ChatCompletion")), post(chat::completions))
    ("post" "/v1/embeddings" READ, "Embed texts as OpenAI's clients ask", &[], Some("EmbeddingsRequest"), (200, Some("EmbeddingsAnswer")), post(chat::embeddings))
    ("get" "/v1/models" READ, "List models as OpenAI's clients ask", &[], None, (200, Some("ModelsAnswer")), get(chat::models))
    ("get" "/v1/concepts" READ, "List concepts, those in most documents first",
        &[("prefix", "query", "Only those that begin so"), PAGE[0], PAGE[1]], None, (200, Some("ConceptPage")), get(concepts::list))
    ("get" "/v1/concepts/{name}" READ, "Show a concept: mentions, neighbours, documents", &[], None, (200, Some("ConceptDetail")), get(concepts::one))
    ("get" "/v1/concepts/{name}/path" READ, "Show a way from a concept to another",
        &[("to", "query", "The other concept")], None, (200, Some("PathAnswer")), get(concepts::path))
    ("get" "/v1/slow-queries" ADMIN, "Show what the stores take long for",
        &[("aboveMs", "query", "Only what takes longer, in milliseconds; 1000")], None, (200, Some("SlowQueries")), get(concepts::slow))
    ("get" "/v1/documents/{id}/manifest" READ, "Show what a document consists of", &[], None, (200, Some("ManifestView")), get(pages::manifest))
    ("get" "/v1/documents/{id}/pages/{page}" READ, "Show the text of a page", &[], None, (200, Some("PageText")), get(pages::text))
    ("get" "/v1/documents/{id}/pages/{page}/image" READ, "Show a page as a picture", KNOWN, None, (200, None), get(pages::image))
    ("get" "/v1/overview" READ, "Show what goes on", &[], None, (200, Some("Overview")), get(events::overview))
    ("get" "/v1/events" READ, "Follow what goes on, as server-sent events", &[], None, (200, None), get(events::stream))
    ("get" "/v1/work" ADMIN, "Show the documents that workers are at", &[], None, (200, Some("Work")), get(events::work))
    ("get" "/v1/scaling" READ, "Show what the operator decided last, and why", &[], None, (200, Some("Scaling")), get(scaling::get))
    ("get" "/v1/keys" ADMIN, "List keys", &[], None, (200, Some("Keys")), get(keys_api::list))
    ("post" "/v1/keys" ADMIN, "Make a key, which is shown this once", &[], Some("NewKeyBody"), (201, Some("KeyMade")), post(keys_api::create))
    ("delete" "/v1/keys/{id}" ADMIN, "Revoke a key", &[], None, (204, None), delete(keys_api::revoke))
    ("get" "/v1/export" READ, "Documents with their chunks, oldest first", PAGE, None, (200, Some("Export")), get(export::page))
    ("get" "/v1/indexes" READ, "Show the active index, and the one that is being built beside it", &[], None, (200, Some("Indexes")), get(indexes::list))
    ("post" "/v1/indexes" ADMIN, "Build another index beside the active one; it takes its place when every document is in it", &[], Some("NewIndex"), (202, Some("Indexes")), post(indexes::create))
    ("get" "/v1/indexes/stores" READ, "Show how far stores are that lost rows and are filled again", &[], None, (200, Some("Fills")), get(stores::list))
    ("post" "/v1/indexes/stores" ADMIN, "Fill a store that lost rows: documents that lack some are done again, from what is kept of them", &[], Some("NewFill"), (202, Some("Fills")), post(stores::create))
    ("post" "/v1/audits" ADMIN, "Audit the ledger against every store, of all tenants: lines of JSON, the findings in the last",
        &[("repair", "query", "true: then do again exactly what was found wrong; false")], None, (200, Some("AuditLine")), post(audits::create))
    ("get" "/v1/queues" ADMIN, "Show what waits, of all tenants", &[], None, (200, Some("Queues")), get(fleet::queues))
    ("get" "/v1/workers" ADMIN, "Show the workers that live", &[], None, (200, Some("Workers")), get(fleet::workers))
    ("get" "/" OPEN, "The dashboard", &[], None, (200, None), get(dashboard::page))
    ("get" "/assets/{name}" OPEN, "A part of the dashboard", &[], None, (200, None), get(dashboard::asset))
    ("get" "/metrics" ADMIN, "Metrics in Prometheus' text form", &[], None, (200, None), get(metrics))
    ("get" "/healthz" OPEN, "It runs", &[], None, (200, None), get(async || "ok\n"))
    ("get" "/readyz" OPEN, "It takes documents and answers questions", &[], None, (200, None), get(ready))
    ("get" "/openapi.json" OPEN, "This description", &[], None, (200, None), get(describe))

    INTERNAL:
    ("get" "/internal/v1/observations" OPERATOR, "What an operator needs to know, a line of JSON each interval",
        &[("intervalMs", "query", "Time between two lines: 100 to 60000; 1000")], None, (200, Some("Observation")), get(fleet::observations))
    ("post" "/internal/v1/workers/{name}/drain" OPERATOR, "Order a worker to take no new work for 60 s", &[], None, (204, None), post(fleet::drain))
    ("post" "/internal/v1/workers/{name}/resume" OPERATOR, "Let a worker take work again", &[], None, (204, None), post(fleet::resume))
    ("post" "/internal/v1/scaling" OPERATOR, "Tell what was decided, and why", &[], Some("Scaling"), (204, None), post(scaling::tell))
    ("get" "/healthz" OPEN, "It runs", &[], None, (200, None), get(async || "ok\n"))
    ("get" "/readyz" OPEN, "It takes documents and answers questions", &[], None, (200, None), get(ready))
    ("get" "/metrics" OPEN, "Metrics in Prometheus' text form", &[], None, (200, None), get(metrics))
}

/// The routes of a table.
pub fn router(api: Shared, operations: &[Operation]) -> Router {
    let mut router = Router::new();
    for operation in operations {
        let guarded = middleware::from_fn_with_state((api.clone(), operation.access), guard);
        router = router.route(operation.path, (operation.handler)().layer(guarded));
    }
    router
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_so)
        // Uploads have limits of their own, and other bodies theirs.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(api.clone(), observe))
        .with_state(api)
}

async fn nothing_here() -> Problem {
    let detail = "there is no such path";
    Problem::new(StatusCode::NOT_FOUND, "no_such_path", detail, "see /openapi.json")
}

async fn not_so() -> Problem {
    let detail = "this path is not asked with this method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail, "see /openapi.json")
}

async fn metrics(State(api): State<Shared>) -> Response {
    api.metrics.queries(api.embedder.stats());
    http::metrics(api.metrics.render())
}

async fn ready(State(api): State<Shared>) -> Response {
    http::readiness(api.ready.load(Ordering::Relaxed))
}

async fn describe() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::text()).into_response()
}

/// Lets through who may, with who they are.
async fn guard(
    State((api, access)): State<(Shared, Access)>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    match access {
        Access::Open => {}
        Access::Operator => is_operator(&api, &parts.headers)?,
        Access::Scope(scope) => {
            let caller = api.authenticator.authenticate(&parts, scope).await?;
            if !caller.may(scope) {
                return Err(auth::forbidden(scope));
            }
            parts.extensions.insert(caller);
            if scope == Scope::Read {
                parts.extensions.insert(BodyBytesMax(QUESTION_BYTES_MAX));
            }
        }
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
}

fn is_operator(api: &Shared, headers: &axum::http::HeaderMap) -> Result<(), Problem> {
    let (token, signed) = (&api.settings.internal_token, &api.operator);
    if token.is_none() && signed.is_none() {
        return Ok(());
    }
    let is_good = |shown: &str| {
        token.as_ref().is_some_and(|token| auth::same(shown, token.expose()))
            || signed.as_ref().is_some_and(|signed| signed.accepts(shown))
    };
    if auth::bearer(headers).is_some_and(is_good) {
        return Ok(());
    }
    let what_to_do = "send Authorization: Bearer with the token of api.internalTokenFile, or one that the operator \
                      signed; the log says at debug why one is not good";
    Err(Problem::new(StatusCode::UNAUTHORIZED, "token_needed", "this port is the operator's", what_to_do))
}

/// Counts, and adds what every answer has.
async fn observe(State(api): State<Shared>, request: Request, next: Next) -> Response {
    const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let mut response = next.run(request).await;
    let method = match method.as_str() {
        known @ ("GET" | "POST" | "DELETE" | "HEAD") => known,
        _ => "other",
    };
    let status = response.status().as_u16();
    api.metrics.observe(method, route.as_deref().unwrap_or("none"), status, began.elapsed());
    tracing::debug!(method, route, status, "answered");
    response.headers_mut().insert(HeaderName::from_static("x-content-type-options"), NO_SNIFF);
    response
}
