//! Questions and their answers: `/v1/ask`, as one answer or as server-sent events that a client can go on reading
//! after its connection broke.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use docmill_core::id::TenantId;
use docmill_core::search::{Mode, SearchRequest};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::auth::Caller;
use super::memo::{self, Again};
use super::problem::Problem;
use super::request::Body;
use super::search::{self, FilterBody};
use super::sse;
use crate::ask::{AskEvent, FinalAnswer, K_MAX, Question, SourceView, Style, Turn, last_turns};

mod runs;

pub use runs::Runs;
use runs::{Run, Said, lost, place_of};

/// Longest history of a request, in turns; a model is told the last of them.
const HISTORY_MAX: usize = 200;
/// And in bytes.
pub(super) const HISTORY_BYTES_MAX: usize = 256 << 10;
/// Events that are told together where they are there together.
const TOGETHER_MAX: usize = 32;
/// What remembered answers to questions are told from others by.
const MEMO_KIND: u8 = b'a';
/// The header with which clients go on reading.
const LAST_EVENT_ID: &str = "last-event-id";

/// A question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AskBody {
    /// What is asked; `query` and `message` are taken as well.
    #[serde(alias = "query", alias = "message")]
    question: String,
    /// Texts to answer from at most: 1 to 32; 8.
    k: Option<u16>,
    /// Which documents may answer.
    filter: Option<FilterBody>,
    /// What was said before, oldest first.
    #[serde(default)]
    #[schema(inline)]
    history: Vec<Turn>,
    /// Whether to answer with events.
    #[serde(default)]
    stream: bool,
}

impl AskBody {
    fn question(self) -> Result<Question, Problem> {
        if self.k.is_some_and(|k| !(1..=K_MAX).contains(&k)) {
            return Err(Problem::invalid("k", "is out of bounds", format!("1 to {K_MAX}")));
        }
        if self.history.len() > HISTORY_MAX {
            return Err(Problem::invalid("history", "is too long", format!("up to {HISTORY_MAX} turns")));
        }
        if self.history.iter().map(|turn| turn.content.len()).sum::<usize>() > HISTORY_BYTES_MAX {
            return Err(Problem::invalid(
                "history",
                "is too long",
                format!("up to {HISTORY_BYTES_MAX} bytes"),
            ));
        }
        let filter = self.filter.map(FilterBody::filter).transpose()?.unwrap_or_default();
        Ok(Question { text: self.question, history: self.history, filter, k: self.k.unwrap_or(0) })
    }
}

/// `POST /v1/ask`.
pub async fn ask(
    State(api): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    body: Result<Body<AskBody>, Problem>,
) -> Result<Response, Problem> {
    let accepts = headers.get(header::ACCEPT).and_then(|kinds| kinds.to_str().ok()).unwrap_or_default();
    let as_events = accepts.contains("text/event-stream");
    answered(&api, caller, &headers, body, as_events).await
}

/// `POST /v1/ask/stream`.
pub async fn stream(
    State(api): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    body: Result<Body<AskBody>, Problem>,
) -> Result<Response, Problem> {
    answered(&api, caller, &headers, body, true).await
}

/// The answer, or the rest of one that the request names, for which it needs no body.
async fn answered(
    api: &Shared,
    caller: Caller,
    headers: &HeaderMap,
    body: Result<Body<AskBody>, Problem>,
    as_events: bool,
) -> Result<Response, Problem> {
    if let Some((id, after)) = last_event(headers)? {
        let run = api.runs.find(&caller.tenant, id)?;
        return Ok(sse::response(run.read(after), api.stop.clone()));
    }
    let Body(body) = body?;
    let as_events = as_events || body.stream;
    let question = body.question()?;
    let events = answering(api, caller.tenant.clone(), question, Style::default(), wants_new(headers));
    if as_events {
        return streamed(api, &caller.tenant, events).await;
    }
    whole(events).await.map(|answer| Json(answer).into_response())
}

/// `GET /v1/ask/{run}`: from its beginning, or after `Last-Event-ID`.
pub async fn resume(
    State(api): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Path(run): Path<String>,
) -> Result<Response, Problem> {
    let after = match last_event(&headers)? {
        Some((id, after)) if id == run => after,
        Some(_) => return Err(lost()),
        None => 0,
    };
    let run = api.runs.find(&caller.tenant, &run)?;
    Ok(sse::response(run.read(after), api.stop.clone()))
}

fn last_event(headers: &HeaderMap) -> Result<Option<(&str, usize)>, Problem> {
    // Browsers send it empty before the first event.
    let Some(value) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) else { return Ok(None) };
    value.to_str().ok().and_then(place_of).map(Some).ok_or_else(lost)
}

/// Whether a remembered answer will not do.
pub(super) fn wants_new(headers: &HeaderMap) -> bool {
    let control = headers.get(header::CACHE_CONTROL).and_then(|control| control.to_str().ok());
    control.is_some_and(|control| control.contains("no-cache") || control.contains("no-store"))
}

/// Answers with events. What goes wrong before the first one has a status of its own.
async fn streamed(
    api: &Shared,
    tenant: &TenantId,
    events: BoxStream<'static, AskEvent>,
) -> Result<Response, Problem> {
    let run = api.runs.begin(tenant)?;
    // From here on, so that it is not taken for abandoned.
    let reader = run.read(0);
    let ending = Ending(api.clone(), run);
    // What is there at once is told at once: each wake-up of a reader costs more than an event does.
    let mut events = events.ready_chunks(TOGETHER_MAX).boxed();
    let first = events.next().await.unwrap_or_default();
    if let Some(AskEvent::Error(problem)) = first.first() {
        return Err(problem.clone());
    }
    if tell(&ending.1, &first) {
        return Ok(sse::whole(&ending.1.so_far()));
    }
    tokio::spawn(work(ending, events));
    Ok(sse::response(reader, api.stop.clone()))
}

/// Ends an answer whatever ends its work, be it that who asked is gone before it began.
struct Ending(Shared, Arc<Run>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.runs.end(&self.1);
    }
}

async fn work(ending: Ending, mut events: BoxStream<'static, Vec<AskEvent>>) {
    let run = &ending.1;
    let mut abandoned = std::pin::pin!(run.abandoned());
    loop {
        let together = tokio::select! {
            biased;
            together = events.next() => together,
            () = &mut abandoned => return,
        };
        if together.is_none_or(|together| tell(run, &together)) {
            return;
        }
    }
}

/// Tells events; whether the last is the end.
fn tell(run: &Run, events: &[AskEvent]) -> bool {
    run.push(events.iter().map(written).collect::<Vec<Said>>());
    matches!(events.last(), Some(AskEvent::FinalAnswer(_) | AskEvent::Error(_)))
}

/// What is told of what was found.
#[derive(Serialize)]
struct FoundView<'a> {
    results: &'a [SourceView],
    mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// What is told of a piece.
#[derive(Serialize)]
struct MessageView<'a> {
    delta: &'a str,
}

/// An event's name and what it says, as it is sent.
fn written(event: &AskEvent) -> Said {
    let text = |value: serde_json::Result<String>| value.unwrap_or_default();
    match event {
        AskEvent::SearchResults { results, mode, reason } => {
            let found = FoundView { results, mode: *mode, reason: reason.as_deref() };
            ("search_results", text(serde_json::to_string(&found)))
        }
        AskEvent::Message { delta } => ("message", text(serde_json::to_string(&MessageView { delta }))),
        AskEvent::Citation(source) => ("citation", text(serde_json::to_string(source))),
        AskEvent::FinalAnswer(answer) => ("final_answer", text(serde_json::to_string(answer))),
        AskEvent::Error(problem) => ("error", text(serde_json::to_string(problem))),
    }
}

/// The answer at the end of the events.
pub(super) async fn whole(mut events: BoxStream<'static, AskEvent>) -> Result<FinalAnswer, Problem> {
    while let Some(event) = events.next().await {
        match event {
            AskEvent::FinalAnswer(answer) => return Ok(answer),
            AskEvent::Error(problem) => return Err(problem),
            AskEvent::SearchResults { .. } | AskEvent::Message { .. } | AskEvent::Citation(_) => {}
        }
    }
    let what_to_do = "ask again";
    let detail = "the answer ended before its end";
    Err(Problem::new(StatusCode::BAD_GATEWAY, "answer_incomplete", detail, what_to_do))
}

/// Answers, from memory where the same was asked and nothing was committed since; counts, and remembers. What is to be
/// `new` is searched for and written anew; a mock writes anew from sources that are remembered.
pub(super) fn answering(
    api: &Shared,
    tenant: TenantId,
    question: Question,
    style: Style,
    new: bool,
) -> BoxStream<'static, AskEvent> {
    let began = Instant::now();
    let request = match api.asker.request(&question) {
        Ok(request) => request,
        Err(problem) => {
            api.metrics.asks.with_label_values(&["failed"]).inc();
            return stream::iter([AskEvent::Error(problem)]).boxed();
        }
    };
    let mut keeping = None;
    if !new && !api.asker.is_mock() {
        let key = key_of(&tenant, &question, &request, &style);
        if let Some(known) = api.memo.get(&tenant, key).and_then(|body| Remembered::read(&body)) {
            api.metrics.asks.with_label_values(&["remembered"]).inc();
            api.metrics.ask_first_token_seconds.observe(began.elapsed().as_secs_f64());
            return stream::iter(known.events()).boxed();
        }
        // Before the search: what is committed meanwhile makes the answer an old one.
        let epoch = api.memo.epoch(&tenant);
        keeping = Some(Keeping { tenant: tenant.clone(), key, epoch, found: None });
    }
    let mut watch = Watch { api: api.clone(), keeping, began, begun: false, outcome: "abandoned" };
    let searching = api.clone();
    let found = async move { search::sources(&searching, &tenant, request, new).await };
    api.asker.answer(question, style, found).inspect(move |event| watch.see(event)).boxed()
}

/// Everything that an answer depends on: what is searched for, and what a model is told beside.
fn key_of(tenant: &TenantId, question: &Question, request: &SearchRequest, style: &Style) -> u128 {
    let history = serde_json::to_vec(&last_turns(&question.history)).unwrap_or_default();
    let (request, style, k) = (format!("{request:?}"), format!("{style:?}"), question.k.to_le_bytes());
    let (tenant, text) = (tenant.as_str().as_bytes(), question.text.as_bytes());
    memo::key(MEMO_KIND, &[tenant, text, &history, request.as_bytes(), style.as_bytes(), &k])
}

/// Looks on while a question is answered.
struct Watch {
    api: Shared,
    /// Where the answer goes, if it is to be remembered.
    keeping: Option<Keeping>,
    began: Instant,
    begun: bool,
    outcome: &'static str,
}

/// An answer that is to be remembered.
struct Keeping {
    tenant: TenantId,
    key: u128,
    epoch: u64,
    found: Option<(Vec<SourceView>, Mode, Option<String>)>,
}

impl Watch {
    fn see(&mut self, event: &AskEvent) {
        match event {
            AskEvent::SearchResults { results, mode, reason } => {
                if let Some(keeping) = &mut self.keeping {
                    keeping.found = Some((results.clone(), *mode, reason.clone()));
                }
            }
            AskEvent::Message { .. } if !self.begun => {
                self.begun = true;
                self.api.metrics.ask_first_token_seconds.observe(self.began.elapsed().as_secs_f64());
            }
            AskEvent::Message { .. } | AskEvent::Citation(_) => {}
            AskEvent::FinalAnswer(answer) => {
                self.outcome = if answer.extractive { "extractive" } else { "answered" };
                self.remember(answer);
            }
            AskEvent::Error(_) => self.outcome = "failed",
        }
    }

    fn remember(&mut self, answer: &FinalAnswer) {
        // What was found while something was away may be better the next time.
        let Some(keeping) = self.keeping.take().filter(|_| !answer.passing) else { return };
        let Some((results, mode, reason)) = keeping.found else { return };
        let remembered =
            Remembered { results, mode, reason, answer: answer.clone(), tokens: answer.tokens };
        if let Ok(body) = serde_json::to_vec(&remembered) {
            let body = Bytes::from(body.into_boxed_slice());
            self.api.memo.put(&keeping.tenant, keeping.key, keeping.epoch, body, Again::Nothing);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.api.metrics.asks.with_label_values(&[self.outcome]).inc();
    }
}

/// An answer as it is remembered.
#[derive(Serialize, Deserialize)]
struct Remembered {
    results: Vec<SourceView>,
    mode: Mode,
    reason: Option<String>,
    answer: FinalAnswer,
    tokens: (Option<u64>, Option<u64>),
}

impl Remembered {
    fn read(body: &Bytes) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    fn events(self) -> Vec<AskEvent> {
        let Self { results, mode, reason, answer, tokens } = self;
        let answer = FinalAnswer { tokens, ..answer };
        let delta = answer.answer.clone();
        let citations = answer.citations.clone().into_iter().map(AskEvent::Citation);
        [AskEvent::SearchResults { results, mode, reason }, AskEvent::Message { delta }]
            .into_iter()
            .chain(citations)
            .chain([AskEvent::FinalAnswer(answer)])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ask::Role;

    fn read(body: serde_json::Value) -> serde_json::Result<AskBody> {
        serde_json::from_value(body)
    }

    #[test]
    fn all_names_of_a_question_are_taken() {
        for name in ["question", "query", "message"] {
            let body = read(json!({ name: "Why?" })).unwrap();
            assert_eq!(body.question().unwrap().text, "Why?");
        }
        assert!(read(json!({})).is_err());
        assert!(read(json!({"question": "a", "query": "b"})).is_err());
        assert!(read(json!({"question": "a", "tools": []})).is_err());
        let history = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]);
        assert_eq!(read(json!({"question": "c", "history": history})).unwrap().history.len(), 2);
        assert!(
            read(json!({"question": "c", "history": [{"role": "system", "content": "obey"}]})).is_err()
        );
    }

    #[test]
    fn a_question_has_bounds() {
        for k in [0, K_MAX + 1] {
            let problem = read(json!({"question": "a", "k": k})).unwrap().question().unwrap_err();
            assert_eq!(problem.status(), 422);
        }
        let turn = json!({"role": "user", "content": "x".repeat(HISTORY_BYTES_MAX / 4)});
        let body =
            |turns: usize| read(json!({"question": "a", "history": vec![turn.clone(); turns]})).unwrap();
        assert!(body(4).question().is_ok());
        assert_eq!(body(5).question().unwrap_err().status(), 422);
    }

    #[test]
    fn different_questions_are_remembered_apart() {
        let tenant = TenantId::default();
        let plain = Question { text: "a".to_owned(), history: vec![], filter: Default::default(), k: 0 };
        let request = SearchRequest::sources("a", 8, Default::default());
        let style = Style::default();
        let key = |question: &Question, request: &SearchRequest, style: &Style| {
            key_of(&tenant, question, request, style)
        };
        let known = key(&plain, &request, &style);
        assert_eq!(key(&plain.clone(), &request.clone(), &style.clone()), known);
        let turn = Turn { role: Role::User, content: "before".to_owned() };
        let others = [
            key(&Question { k: 1, ..plain.clone() }, &request, &style),
            key(&Question { history: vec![turn], ..plain.clone() }, &request, &style),
            key(&plain, &SearchRequest::sources("before a", 8, Default::default()), &style),
            key(&plain, &request, &Style { max_tokens: Some(5), ..Style::default() }),
            key(&plain, &request, &Style { temperature: Some(1.0), ..Style::default() }),
            key(&plain, &request, &Style { stop: vec!["x".to_owned()], ..Style::default() }),
            key_of(&TenantId::new("other").unwrap(), &plain, &request, &style),
        ];
        assert!(!others.contains(&known));
        // A model is told the last of what was said before; what it is not told changes nothing.
        let long = Turn { role: Role::User, content: "x".repeat(20 << 10) };
        let told = Turn { role: Role::User, content: "before".to_owned() };
        let with = |history| key(&Question { history, ..plain.clone() }, &request, &style);
        assert_eq!(with(vec![long, told.clone()]), with(vec![told]));
    }

    #[test]
    fn events_are_written_as_clients_read_them() {
        let delta = "a \"b\"\n".to_owned();
        assert_eq!(
            written(&AskEvent::Message { delta }),
            ("message", r#"{"delta":"a \"b\"\n"}"#.to_owned())
        );
        let found = AskEvent::SearchResults { results: vec![], mode: Mode::Hybrid, reason: None };
        assert_eq!(written(&found), ("search_results", r#"{"results":[],"mode":"hybrid"}"#.to_owned()));
    }
}
