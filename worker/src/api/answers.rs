//! What operations answer: with what status and content where it is done, and with which codes of problems where it is
//! not. The description says no more than this and no less; statuses come from the table of codes.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::problem_codes::PROBLEM_CODES;
use super::router::{Access, Operation};

/// What is in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    Nothing,
    /// JSON of this schema.
    Json(&'static str),
    /// Lines of JSON of this schema.
    Lines(&'static str),
    /// Server-sent events.
    Events,
    /// JSON of this schema, or events where the request wants them.
    JsonOrEvents(&'static str),
    /// JSON as OpenAI's clients read it, refusals too.
    OpenAi(&'static str),
    /// The same, or pieces of it as events.
    OpenAiOrEvents(&'static str),
    /// A picture.
    Picture,
    /// A page for browsers.
    Page,
    /// A part of such a page.
    PartOfPage,
    /// A word.
    Text,
    /// Whether it is ready, in a word.
    Readiness,
    /// Numbers for Prometheus, or that there are none.
    Metrics,
    /// This description.
    Description,
}

const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
/// Schema of what OpenAI's clients are told where something is refused.
pub const REFUSAL: &str = "OpenAiError";

/// Whatever needs a caller may answer these: who asks is found out first.
const BY_THE_GUARD: &[&str] = &[
    "internal",
    "issuer_unavailable",
    "key_needed",
    "ledger_unavailable",
    "not_this_machine",
    "restart_needed",
    "scope_needed",
    "tenant_needed",
    "token_needed",
    "token_refused",
];
/// The same at the operator's port.
const BY_ITS_GUARD: &[&str] = &["token_needed"];
/// Where a path has parts that are names: it may not be text.
const BY_PATH: &str = "no_such_path";
/// Where the ledger is asked without a caller.
const BY_LEDGER: &[&str] = &["internal", "ledger_unavailable"];

/// What a body of JSON may be refused with.
macro_rules! with_body {
    ($($code:literal),* $(,)?) => { &["body_too_large", "body_too_slow", "invalid", $($code),*] };
}
/// What comes in may be refused with.
macro_rules! with_admission {
    ($($code:literal),* $(,)?) => {
        &["documents_quota", "invalid", "not_found", "object_missing", "object_store_unavailable", "queue_full",
            "too_large", $($code),*]
    };
}
/// What an answer to a question may fail with.
macro_rules! with_answer {
    ($($code:literal),* $(,)?) => {
        with_body!("answer_incomplete", "model_timeout", "model_unavailable", "search_unavailable", $($code),*)
    };
}

/// Nothing but who asks.
pub const NONE: &[&str] = &[];
/// Parameters alone.
pub const INVALID: &[&str] = &["invalid"];
/// An id.
pub const NOT_FOUND: &[&str] = &["not_found"];
/// An id and a body.
pub const BODY: &[&str] = with_body!();
/// An upload.
pub const UPLOAD: &[&str] = with_admission!(
    "bytes_quota",
    "idempotency_key_reused",
    "no_object_store",
    "not_a_form",
    "upload_interrupted"
);
/// The same by its kind.
pub const INGEST: &[&str] = with_admission!(
    "bytes_quota",
    "idempotency_key_reused",
    "kind_unknown",
    "no_object_store",
    "not_a_form",
    "upload_interrupted",
);
/// Documents by their URIs.
pub const BATCH: &[&str] =
    with_admission!("body_too_large", "body_too_slow", "idempotency_key_reused", "source_refused");
/// More of them.
pub const MORE: &[&str] = with_admission!("body_too_large", "body_too_slow", "source_refused");
/// A search by its query string.
pub const SEARCH: &[&str] = &["invalid", "search_unavailable"];
/// The same by its body.
pub const SEARCH_BODY: &[&str] = with_body!("search_unavailable");
/// A question.
pub const ASK: &[&str] = with_answer!("busy", "stream_lost");
/// Going on with an answer.
pub const RESUME: &[&str] = &["stream_lost"];
/// A question of OpenAI's clients.
pub const CHAT: &[&str] = with_answer!("busy", "model_unknown");
/// Texts to embed.
pub const EMBEDDINGS: &[&str] = with_body!("busy", "model_unknown", "no_index", "search_unavailable");
/// Concepts.
pub const CONCEPTS: &[&str] = &["graph_unavailable", "invalid"];
/// One of them.
pub const CONCEPT: &[&str] = &["graph_unavailable", "invalid", "not_found"];
/// A way between two.
pub const WAY: &[&str] = &["graph_unavailable", "invalid", "not_found", "too_deep"];
/// A picture of a page.
pub const PICTURE: &[&str] =
    &["drawing_busy", "no_page_image", "not_found", "object_missing", "object_store_unavailable"];
/// A stream that many may want.
pub const STREAM: &[&str] = &["busy"];
/// An export.
pub const EXPORT: &[&str] = &["exports_busy", "invalid"];
/// An index that is to be built.
pub const INDEX: &[&str] = with_body!("no_index");
/// Stores that are filled again.
pub const FILLS: &[&str] = &["not_here"];
/// One that is to be.
pub const FILL: &[&str] = with_body!("not_here");
/// An audit.
pub const AUDIT: &[&str] = &["audit_busy", "graph_unavailable", "invalid"];
/// A part of the dashboard.
pub const ASSET: &[&str] = &["no_such_path"];
/// Watching, as the operator does.
pub const OBSERVED: &[&str] = &["invalid"];
/// An order to a worker.
pub const ORDER: &[&str] = &["internal", "ledger_unavailable", "not_found", "not_here"];
/// What the operator tells.
pub const TOLD: &[&str] = with_body!("internal", "ledger_unavailable");

/// Refused by whatever carries requests, before an operation has them; with a text or nothing.
const BY_HTTP: [(u16, &str); 3] = [
    (400, "The request is none of HTTP"),
    (414, "Path and query are longer than any that has a use"),
    (431, "The headers are longer than any that have a use"),
];

impl Content {
    /// Contents by their types.
    fn by_type(self) -> Vec<(&'static str, Value)> {
        let of = |name: &str| json!({ "schema": reference(name) });
        let text = || json!({"schema": {"type": "string"}});
        match self {
            Self::Nothing => Vec::new(),
            Self::Json(name) | Self::OpenAi(name) => vec![(JSON, of(name))],
            Self::Lines(name) => vec![("application/x-ndjson", of(name))],
            // A stream has no schema of its own; its events are in the description's words.
            Self::Events => vec![(EVENTS, json!({}))],
            Self::JsonOrEvents(name) | Self::OpenAiOrEvents(name) => {
                vec![(JSON, of(name)), (EVENTS, json!({}))]
            }
            Self::Picture => ["image/png", "image/jpeg", "image/webp"]
                .into_iter()
                .map(|kind| (kind, json!({})))
                .collect(),
            Self::Page => vec![("text/html", text())],
            Self::PartOfPage => ["image/svg+xml", "text/css", "text/javascript"]
                .into_iter()
                .map(|kind| (kind, text()))
                .collect(),
            Self::Text | Self::Readiness | Self::Metrics => vec![("text/plain", text())],
            Self::Description => vec![(JSON, json!({"schema": {"type": "object"}}))],
        }
    }

    /// Statuses beside the one of what is done that are no problems.
    fn others(self) -> Option<(u16, &'static str, bool)> {
        match self {
            Self::Readiness => Some((503, "It does not, yet", true)),
            Self::Metrics => Some((500, "They cannot be put together", true)),
            Self::Picture => Some((304, "It is what If-None-Match names", false)),
            _ => None,
        }
    }

    fn is_for_openai(self) -> bool {
        matches!(self, Self::OpenAi(_) | Self::OpenAiOrEvents(_))
    }
}

/// Codes that an operation may answer, its own and those of who asks.
pub fn codes(operation: &Operation) -> Vec<&'static str> {
    let guard = guards(operation);
    let by_path = operation.path.contains('{').then_some(BY_PATH);
    let mut codes: Vec<&str> = operation.problems.iter().chain(guard).copied().chain(by_path).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn guards(operation: &Operation) -> &'static [&'static str] {
    match operation.access {
        Access::Open => &[],
        Access::Scope(_) => BY_THE_GUARD,
        Access::Operator => BY_ITS_GUARD,
    }
}

/// The status of a code.
fn status_of(code: &str) -> Option<(StatusCode, &'static str)> {
    let known = PROBLEM_CODES.iter().find(|(known, ..)| *known == code);
    known.map(|(_, status, meaning)| (*status, *meaning))
}

/// Every answer of an operation, by status.
pub fn responses(operation: &Operation) -> Value {
    let (status, content) = operation.answer;
    let mut responses = Map::new();
    let mut done = json!({"description": operation.summary});
    with_content(&mut done, content.by_type());
    responses.insert(status.to_string(), done);
    if let Some((status, meaning, same_content)) = content.others() {
        let mut other = json!({ "description": meaning });
        with_content(&mut other, if same_content { content.by_type() } else { Vec::new() });
        responses.insert(status.to_string(), other);
    }
    for (status, meaning) in BY_HTTP {
        responses.insert(status.to_string(), json!({ "description": meaning }));
    }
    let mut by_status: BTreeMap<StatusCode, Vec<(&'static str, &'static str)>> = BTreeMap::new();
    for code in codes(operation) {
        if let Some((status, meaning)) = status_of(code) {
            by_status.entry(status).or_default().push((code, meaning));
        }
    }
    for (status, here) in by_status {
        let mut refused = refused(operation, status, &here);
        let name = status.as_u16().to_string();
        // One that is no problem may have the same status: numbers that cannot be put together.
        if let Some(Value::Object(other)) = responses.get(&name).map(|other| other["content"].clone()) {
            for (kind, content) in other {
                refused["content"][kind] = content;
            }
        }
        responses.insert(name, refused);
    }
    Value::Object(responses)
}

/// The answer of one status, where something is wrong.
fn refused(operation: &Operation, status: StatusCode, codes: &[(&'static str, &'static str)]) -> Value {
    let lines: Vec<String> = codes.iter().map(|(code, meaning)| format!("`{code}`: {meaning}")).collect();
    let mut refused = json!({ "description": lines.join("; ") });
    // What HTTP itself refuses so is no problem: neither content is promised.
    if BY_HTTP.iter().any(|(of, _)| *of == status.as_u16()) {
        return refused;
    }
    let as_openai = operation.answer.1.is_for_openai();
    let guard = guards(operation);
    let mut content = Vec::new();
    let own = |code: &&str| operation.problems.contains(code);
    let names: Vec<&str> = codes.iter().map(|(code, _)| *code).collect();
    if !as_openai || names.iter().any(|code| guard.contains(code)) {
        let schema = json!({"allOf": [
            reference("Problem"),
            {"properties": {"code": {"enum": names}, "status": {"const": status.as_u16()}}}
        ]});
        content.push((PROBLEM, json!({ "schema": schema })));
    }
    // Whatever the ledger says to who asks, it may also say to the question.
    if as_openai && names.iter().any(|code| own(code) || BY_LEDGER.contains(code)) {
        content.push((JSON, json!({ "schema": reference(REFUSAL) })));
    }
    with_content(&mut refused, content);
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        let seconds = json!({"type": "integer", "minimum": 1});
        let meaning = "Seconds after which to try again";
        refused["headers"] = json!({"Retry-After": {"description": meaning, "schema": seconds}});
    }
    refused
}

fn with_content(answer: &mut Value, by_type: Vec<(&'static str, Value)>) {
    if !by_type.is_empty() {
        let by_type = by_type.into_iter().map(|(kind, content)| (kind.to_owned(), content));
        answer["content"] = Value::Object(by_type.collect());
    }
}

/// Where a schema is.
pub fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

/// What OpenAI's clients are told where something is refused.
pub fn refusal() -> Value {
    json!({
        "type": "object", "description": "Why something was refused, as OpenAI's clients read it.", "required": ["error"],
        "properties": {"error": {
            "type": "object", "required": ["message", "type", "code", "param"],
            "properties": {
                "message": {"type": "string", "description": "What is wrong, and what is allowed or to be done."},
                "type": {"type": "string", "description": "What kind of mistake it is.", "enum":
                    ["authentication_error", "rate_limit_error", "invalid_request_error", "server_error"]},
                "code": {"type": "string", "description": "What programs go by: as a Problem has it."},
                "param": {"type": ["string", "null"], "description": "What of the request is wrong."}
            }
        }}
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::router::{INTERNAL, PUBLIC};
    use super::*;

    fn operations() -> impl Iterator<Item = &'static Operation> {
        PUBLIC.iter().chain(INTERNAL)
    }

    #[test]
    fn every_code_of_an_operation_is_one_of_the_table() {
        for operation in operations() {
            for code in codes(operation) {
                assert!(status_of(code).is_some(), "{} {}: {code}", operation.method, operation.path);
            }
        }
    }

    /// What only another path's fallback, or a line of a stream, says is answered by no operation.
    #[test]
    fn every_code_of_the_table_is_some_operations() {
        let told: BTreeSet<&str> = operations().flat_map(codes).collect();
        let elsewhere = BTreeSet::from(["audit_failed", "method_not_allowed", "queue_unavailable"]);
        let known: BTreeSet<&str> = PROBLEM_CODES.iter().map(|(code, ..)| *code).collect();
        let told: BTreeSet<&str> = told.union(&elsewhere).copied().collect();
        assert_eq!(told, known);
    }

    #[test]
    fn ids_may_lead_nowhere_and_bodies_may_be_wrong() {
        for operation in operations() {
            let (codes, path) = (codes(operation), operation.path);
            if path.contains("{id}") || path.contains("{page}") {
                assert!(codes.contains(&"not_found"), "{path}");
            }
            let takes_more = operation.parameters.iter().any(|one| one.place == "query");
            if operation.body.is_some() || takes_more {
                assert!(codes.contains(&"invalid"), "{} {path}", operation.method);
            }
        }
    }

    #[test]
    fn refusals_are_what_the_clients_of_a_path_read() {
        let of = |path: &str| {
            let operation = operations().find(|one| one.path == path && one.method == "post").unwrap();
            responses(operation)
        };
        let chat = of("/v1/chat/completions");
        assert!(chat["422"]["content"][JSON].is_object() && chat["422"]["content"][PROBLEM].is_null());
        assert!(chat["401"]["content"][PROBLEM].is_object() && chat["401"]["content"][JSON].is_null());
        assert!(chat["503"]["content"][PROBLEM].is_object() && chat["503"]["content"][JSON].is_object());
        let ask = of("/v1/ask");
        assert!(ask["422"]["content"][PROBLEM].is_object() && ask["200"]["content"][EVENTS].is_object());
        assert_eq!(
            ask["410"]["content"][PROBLEM]["schema"]["allOf"][1]["properties"]["code"]["enum"],
            json!(["stream_lost"])
        );
        assert!(of("/v1/documents")["400"]["content"].is_null());
    }
}
