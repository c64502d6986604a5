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

use super::answers as why;
use super::answers::Content::{
    self, Description, Events, Json, JsonOrEvents, Lines, Metrics, Nothing, OpenAi, OpenAiOrEvents, Page,
    PartOfPage, Picture, Readiness, Text,
};
use super::auth::{self, Scope};
use super::parameters::{self as told, Parameter};
use super::problem::Problem;
use super::request::{BodyBytesMax, QUESTION_BYTES_MAX};
use super::{
    Shared, ask, audits, batches, chat, concepts, dashboard, dead_letters, documents, events, export,
    fleet, indexes, keys_api, openapi, pages, prefixes, scaling, search, stores, upload,
};
use crate::{http, percent};

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
    /// What it is told in the query and in headers.
    pub parameters: &'static [Parameter],
    /// Schema of the body: a name of the components, or `form`.
    pub body: Option<&'static str>,
    /// Status and content of the answer.
    pub answer: (u16, Content),
    /// Codes that it may answer instead, beside those of [`guard`].
    pub problems: &'static [&'static str],
    handler: fn() -> MethodRouter<Shared>,
}

const READ: Access = Access::Scope(Scope::Read);
const WRITE: Access = Access::Scope(Scope::Write);
const ADMIN: Access = Access::Scope(Scope::Admin);

macro_rules! operations {
    ($($name:ident: $(($method:literal $path:literal $access:ident, $summary:literal, $parameters:expr,
        $body:expr, $answer:expr, $problems:expr, $handler:expr))+)+) => {
        $(
            /// See the module.
            pub const $name: &[Operation] = &[$(Operation {
                method: $method, path: $path, access: $access, summary: $summary, parameters: $parameters,
                body: $body, answer: $answer, problems: $problems, handler: || $handler,
            }),+];
        )+
    };
}

const OPEN: Access = Access::Open;
const OPERATOR: Access = Access::Operator;

operations! {
    PUBLIC:
    ("post" "/v1/documents" WRITE, "Upload files",
        told::UPLOAD, Some("form"), (202, Json("Accepted")), why::UPLOAD, post(upload::documents))
    ("post" "/ingest/{kind}" WRITE, "Upload files of a kind",
        told::UPLOAD, Some("form"), (202, Json("Accepted")), why::INGEST, post(upload::ingest))
    ("get" "/v1/documents" READ, "List documents, newest first",
        told::DOCUMENTS, None, (200, Json("Documents")), why::INVALID, get(documents::list))
    ("get" "/v1/documents/{id}" READ, "Show a document",
        &[], None, (200, Json("Document")), why::NOT_FOUND, get(documents::get))
    ("delete" "/v1/documents/{id}" WRITE, "Delete a document",
        &[], None, (202, Nothing), why::NOT_FOUND, delete(documents::delete))
    ("post" "/v1/batches" WRITE, "Submit documents by their URIs",
        told::KEYED, Some("NewBatch"), (202, Json("AcceptedBatch")), why::BATCH, post(batches::create))
    ("get" "/v1/batches" READ, "List batches, newest first",
        told::PAGED, None, (200, Json("Batches")), why::INVALID, get(batches::list))
    ("get" "/v1/batches/{id}" READ, "Show how far a batch is",
        &[], None, (200, Json("Batch")), why::NOT_FOUND, get(batches::get))
    ("post" "/v1/batches/{id}/documents" WRITE, "Add documents to a batch",
        &[], Some("MoreDocuments"), (202, Json("AcceptedBatch")), why::MORE, post(batches::add))
    ("post" "/v1/batches/{id}/prefixes" WRITE, "Add the objects of a folder to a batch, 1,000 a request",
        &[], Some("NewPrefix"), (202, Json("AcceptedPrefix")), why::MORE, post(prefixes::add))
    ("post" "/v1/batches/{id}/cancel" WRITE, "Cancel a batch: what waits is not begun, what is in work stops",
        &[], None, (200, Json("CancelledBatch")), why::NOT_FOUND, post(batches::cancel))
    ("get" "/v1/dead-letters" READ, "List what was given up, the last first",
        told::LETTERS, None, (200, Json("DeadLetters")), why::INVALID, get(dead_letters::list))
    ("get" "/v1/dead-letters/{id}" READ, "Show what was given up",
        &[], None, (200, Json("DeadLetter")), why::NOT_FOUND, get(dead_letters::get))
    ("post" "/v1/dead-letters/replay" WRITE, "Have what was given up done again, each once",
        &[], Some("ReplayRequest"), (200, Json("Replayed")), why::BODY, post(dead_letters::replay))
    ("get" "/v1/search" READ, "Search by words and by meaning",
        told::SEARCH, None, (200, Json("SearchAnswer")), why::SEARCH, get(search::get))
    ("post" "/v1/search" READ, "Search by words and by meaning",
        &[], Some("SearchBody"), (200, Json("SearchAnswer")), why::SEARCH_BODY, post(search::post))
    ("post" "/v1/ask" READ, "Answer a question with citations; as events where `stream` says so",
        told::LAST_EVENT, Some("AskBody"), (200, JsonOrEvents("FinalAnswer")), why::ASK, post(ask::ask))
    ("post" "/v1/ask/stream" READ, "Answer a question as server-sent events",
        told::LAST_EVENT, Some("AskBody"), (200, Events), why::ASK, post(ask::stream))
    ("post" "/ask/stream" READ, "The same where other servers have it",
        told::LAST_EVENT, Some("AskBody"), (200, Events), why::ASK, post(ask::stream))
    ("get" "/v1/ask/{run}" READ, "Go on with an answer that was cut off",
        told::LAST_EVENT, None, (200, Events), why::RESUME, get(ask::resume))
    ("post" "/v1/chat/completions" READ, "Answer as OpenAI's clients ask",
        &[], Some("ChatRequest"), (200, OpenAiOrEvents("ChatCompletion")), why::CHAT, post(chat::completions))
    ("post" "/v1/embeddings" READ, "Embed texts as OpenAI's clients ask",
        &[], Some("EmbeddingsRequest"), (200, OpenAi("EmbeddingsAnswer")), why::EMBEDDINGS, post(chat::embeddings))
    ("get" "/v1/models" READ, "List models as OpenAI's clients ask",
        &[], None, (200, Json("ModelsAnswer")), why::NONE, get(chat::models))
    ("get" "/v1/concepts" READ, "List concepts, those in most documents first",
        told::CONCEPTS, None, (200, Json("ConceptPage")), why::CONCEPTS, get(concepts::list))
    ("get" "/v1/concepts/{name}" READ, "Show a concept: mentions, neighbours, documents",
        &[], None, (200, Json("ConceptDetail")), why::CONCEPT, get(concepts::one))
    ("get" "/v1/concepts/{name}/path" READ, "Show a way from a concept to another",
        told::WAY, None, (200, Json("PathAnswer")), why::WAY, get(concepts::path))
    ("get" "/v1/slow-queries" ADMIN, "Show what the stores take long for",
        told::SLOW, None, (200, Json("SlowQueries")), why::CONCEPTS, get(concepts::slow))
    ("get" "/v1/documents/{id}/manifest" READ, "Show what a document consists of",
        &[], None, (200, Json("ManifestView")), why::NOT_FOUND, get(pages::manifest))
    ("get" "/v1/documents/{id}/pages/{page}" READ, "Show the text of a page",
        &[], None, (200, Json("PageText")), why::NOT_FOUND, get(pages::text))
    ("get" "/v1/documents/{id}/pages/{page}/image" READ, "Show a page as a picture",
        told::KNOWN, None, (200, Picture), why::PICTURE, get(pages::image))
    ("get" "/v1/overview" READ, "Show what goes on",
        &[], None, (200, Json("Overview")), why::NONE, get(events::overview))
    ("get" "/v1/events" READ, "Follow what goes on, as server-sent events",
        &[], None, (200, Events), why::STREAM, get(events::stream))
    ("get" "/v1/work" ADMIN, "Show the documents that workers are at",
        &[], None, (200, Json("Work")), why::NONE, get(events::work))
    ("get" "/v1/scaling" READ, "Show what the operator decided last, and why",
        &[], None, (200, Json("Scaling")), why::NOT_FOUND, get(scaling::get))
    ("get" "/v1/keys" ADMIN, "List keys",
        &[], None, (200, Json("Keys")), why::NONE, get(keys_api::list))
    ("post" "/v1/keys" ADMIN, "Make a key, which is shown this once",
        &[], Some("NewKeyBody"), (201, Json("KeyMade")), why::BODY, post(keys_api::create))
    ("delete" "/v1/keys/{id}" ADMIN, "Revoke a key",
        &[], None, (204, Nothing), why::NOT_FOUND, delete(keys_api::revoke))
    ("get" "/v1/export" READ, "Documents with their chunks, oldest first",
        told::PAGED, None, (200, Json("Export")), why::EXPORT, get(export::page))
    ("get" "/v1/indexes" READ, "Show the active index, and the one that is being built beside it",
        &[], None, (200, Json("Indexes")), why::NONE, get(indexes::list))
    ("post" "/v1/indexes" ADMIN, "Build another index beside the active one; it takes its place when every document is in it",
        &[], Some("NewIndex"), (202, Json("Indexes")), why::INDEX, post(indexes::create))
    ("get" "/v1/indexes/stores" READ, "Show how far stores are that lost rows and are filled again",
        &[], None, (200, Json("Fills")), why::FILLS, get(stores::list))
    ("post" "/v1/indexes/stores" ADMIN, "Fill a store that lost rows: documents that lack some are done again, from what is kept of them",
        &[], Some("NewFill"), (202, Json("Fills")), why::FILL, post(stores::create))
    ("post" "/v1/audits" ADMIN, "Audit the ledger against every store, of all tenants: lines of JSON, the findings in the last",
        told::AUDIT, None, (200, Lines("AuditLine")), why::AUDIT, post(audits::create))
    ("get" "/v1/queues" ADMIN, "Show what waits, of all tenants",
        &[], None, (200, Json("Queues")), why::NONE, get(fleet::queues))
    ("get" "/v1/workers" ADMIN, "Show the workers that live",
        &[], None, (200, Json("Workers")), why::NONE, get(fleet::workers))
    ("get" "/" OPEN, "The dashboard",
        &[], None, (200, Page), why::NONE, get(dashboard::page))
    ("get" "/assets/{name}" OPEN, "A part of the dashboard",
        &[], None, (200, PartOfPage), why::ASSET, get(dashboard::asset))
    ("get" "/metrics" ADMIN, "Metrics in Prometheus' text form",
        &[], None, (200, Metrics), why::NONE, get(metrics))
    ("get" "/healthz" OPEN, "It runs",
        &[], None, (200, Text), why::NONE, get(async || "ok\n"))
    ("get" "/readyz" OPEN, "It takes documents and answers questions",
        &[], None, (200, Readiness), why::NONE, get(ready))
    ("get" "/openapi.json" OPEN, "This description",
        &[], None, (200, Description), why::NONE, get(describe))

    INTERNAL:
    ("get" "/internal/v1/observations" OPERATOR, "What an operator needs to know, a line of JSON each interval",
        told::OBSERVED, None, (200, Lines("Observation")), why::OBSERVED, get(fleet::observations))
    ("post" "/internal/v1/workers/{name}/drain" OPERATOR, "Order a worker to take no new work for 60 s",
        &[], None, (204, Nothing), why::ORDER, post(fleet::drain))
    ("post" "/internal/v1/workers/{name}/resume" OPERATOR, "Let a worker take work again",
        &[], None, (204, Nothing), why::ORDER, post(fleet::resume))
    ("post" "/internal/v1/scaling" OPERATOR, "Tell what was decided, and why",
        &[], Some("Scaling"), (204, Nothing), why::TOLD, post(scaling::tell))
    ("get" "/healthz" OPEN, "It runs",
        &[], None, (200, Text), why::NONE, get(async || "ok\n"))
    ("get" "/readyz" OPEN, "It takes documents and answers questions",
        &[], None, (200, Readiness), why::NONE, get(ready))
    ("get" "/metrics" OPEN, "Metrics in Prometheus' text form",
        &[], None, (200, Metrics), why::NONE, get(metrics))
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
    if !is_text(parts.uri.path()) {
        return Err(nothing_here().await);
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// Whether a path is text once it is decoded. Only then its parts can be names of anything.
fn is_text(path: &str) -> bool {
    std::str::from_utf8(&percent::decoded(path)).is_ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_names_anything() {
        for good in ["/v1/concepts/a%20b", "/v1/concepts/%E6%97%A5", "/v1/concepts/100%", "/%zz", "/"] {
            assert!(is_text(good), "{good}");
        }
        for bad in ["/v1/concepts/%FF", "/v1/concepts/%e6%97", "/%C0%80"] {
            assert!(!is_text(bad), "{bad}");
        }
    }
}
