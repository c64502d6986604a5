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
use docmill_core::search::Mode;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::Shared;
use super::auth::Caller;
use super::memo::{self, Again};
use super::problem::Problem;
use super::request::Body;
use super::search::FilterBody;
use super::sse;
use crate::ask::{AskEvent, FinalAnswer, K_MAX, Question, SourceView, Turn};

mod runs;

pub use runs::Runs;
use runs::{Run, lost, place_of};

/// Longest history of a request, in turns; a model is told the last of them.
const HISTORY_MAX: usize = 200;
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
    if let Some(going_on) = resumed(&api, &caller, &headers)? {
        return Ok(going_on);
    }
    let Body(body) = body?;
    let accepts = headers.get(header::ACCEPT).and_then(|kinds| kinds.to_str().ok()).unwrap_or_default();
    let as_events = body.stream || accepts.contains("text/event-stream");
    let question = body.question()?;
    if as_events {
        return streamed(&api, caller.tenant, question, wants_new(&headers)).await;
    }
    let events = answering(&api, caller.tenant, question, wants_new(&headers));
    whole(events).await.map(|answer| Json(answer).into_response())
}

/// `POST /v1/ask/stream`.
pub async fn stream(
    State(api): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    body: Result<Body<AskBody>, Problem>,
) -> Result<Response, Problem> {
    if let Some(going_on) = resumed(&api, &caller, &headers)? {
        return Ok(going_on);
    }
    let Body(body) = body?;
    streamed(&api, caller.tenant, body.question()?, wants_new(&headers)).await
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

/// The rest of an answer, where the request names what of it was read.
fn resumed(api: &Shared, caller: &Caller, headers: &HeaderMap) -> Result<Option<Response>, Problem> {
    let Some((id, after)) = last_event(headers)? else { return Ok(None) };
    let run = api.runs.find(&caller.tenant, id)?;
    Ok(Some(sse::response(run.read(after), api.stop.clone())))
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
    tenant: TenantId,
    question: Question,
    new: bool,
) -> Result<Response, Problem> {
    let run = api.runs.begin(&tenant)?;
    // From here on, so that it is not taken for abandoned.
    let reader = run.read(0);
    let ending = Ending(api.clone(), run);
    let mut events = answering(api, tenant, question, new);
    let first = events.next().await;
    if let Some(AskEvent::Error(problem)) = first {
        return Err(problem);
    }
    tokio::spawn(work(ending, stream::iter(first).chain(events).boxed()));
    Ok(sse::response(reader, api.stop.clone()))
}

/// Ends an answer whatever ends its work, be it that who asked is gone before it began.
struct Ending(Shared, Arc<Run>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.runs.end(&self.1);
    }
}

async fn work(ending: Ending, mut events: BoxStream<'static, AskEvent>) {
    let run = &ending.1;
    let mut abandoned = std::pin::pin!(run.abandoned());
    loop {
        let event = tokio::select! {
            biased;
            event = events.next() => event,
            () = &mut abandoned => return,
        };
        let Some(event) = event else { return };
        let (name, data) = written(&event);
        run.push(name, data);
    }
}

/// An event's name and what it says, as it is sent.
fn written(event: &AskEvent) -> (&'static str, String) {
    let text = |value: serde_json::Result<String>| value.unwrap_or_default();
    match event {
        AskEvent::SearchResults { results, mode, reason } => {
            let mut data = json!({"results": results, "mode": mode});
            if let Some(reason) = reason {
                data["reason"] = reason.as_str().into();
            }
            ("search_results", data.to_string())
        }
        AskEvent::Message { delta } => ("message", json!({ "delta": delta }).to_string()),
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

/// Answers, from memory where the same was asked and nothing was committed since; counts, and remembers.
pub(super) fn answering(
    api: &Shared,
    tenant: TenantId,
    question: Question,
    new: bool,
) -> BoxStream<'static, AskEvent> {
    let began = Instant::now();
    let key = key_of(&tenant, &question);
    if !new && let Some(known) = api.memo.get(&tenant, key).and_then(|body| Remembered::read(&body)) {
        api.metrics.asks.with_label_values(&["remembered"]).inc();
        api.metrics.ask_first_token_seconds.observe(began.elapsed().as_secs_f64());
        return stream::iter(known.events()).boxed();
    }
    // Before the search: what is committed meanwhile makes the answer an old one.
    let epoch = api.memo.epoch(&tenant);
    let mut watch = Watch {
        api: api.clone(),
        tenant: tenant.clone(),
        question: question.clone(),
        key,
        epoch,
        began,
        begun: false,
        found: None,
        outcome: "abandoned",
    };
    api.asker.ask(tenant, question).inspect(move |event| watch.see(event)).boxed()
}

fn key_of(tenant: &TenantId, question: &Question) -> u128 {
    let Question { text, history, filter, k } = question;
    let history = serde_json::to_vec(history).unwrap_or_default();
    // Every field of it, in one order.
    let filter = format!("{filter:?}");
    memo::key(MEMO_KIND, &[tenant.as_str().as_bytes(), text.as_bytes(), &history, filter.as_bytes(), &k.to_le_bytes()])
}

/// Looks on while a question is answered.
struct Watch {
    api: Shared,
    tenant: TenantId,
    question: Question,
    key: u128,
    epoch: u64,
    began: Instant,
    begun: bool,
    found: Option<(Vec<SourceView>, Mode, Option<String>)>,
    outcome: &'static str,
}

impl Watch {
    fn see(&mut self, event: &AskEvent) {
        match event {
            AskEvent::SearchResults { results, mode, reason } => {
                self.found = Some((results.clone(), *mode, reason.clone()));
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
        let Some((results, mode, reason)) = self.found.take().filter(|_| !self.api.asker.is_mock()) else {
            return;
        };
        let remembered = Remembered { results, mode, reason, answer: answer.clone(), tokens: answer.tokens };
        if let Ok(body) = serde_json::to_vec(&remembered) {
            let again = Again::Ask(self.question.clone());
            self.api.memo.put(&self.tenant, self.key, self.epoch, Bytes::from(body), again);
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
    use super::*;

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
    }

    #[test]
    fn different_questions_are_remembered_apart() {
        let tenant = TenantId::default();
        let question = |text: &str, k| Question {
            text: text.to_owned(),
            history: vec![],
            filter: Default::default(),
            k,
        };
        assert_eq!(key_of(&tenant, &question("a", 0)), key_of(&tenant, &question("a", 0)));
        assert_ne!(key_of(&tenant, &question("a", 0)), key_of(&tenant, &question("a", 1)));
        let mut other = question("a", 0);
        other.filter.languages.push("en".to_owned());
        assert_ne!(key_of(&tenant, &question("a", 0)), key_of(&tenant, &other));
    }
}
