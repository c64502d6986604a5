//! What clients of OpenAI's API ask, in its words: answers from the documents as a model called `docmill`, embeddings
//! as one called `docmill-embed`. Fields that mean nothing here are passed over, as those clients send many.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use docmill_core::ask::Sanitiser;
use futures::StreamExt;
use futures::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::ask::{HISTORY_BYTES_MAX, answering, wants_new, whole};
use super::auth::Caller;
use super::problem::Problem;
use super::request::Body;
use super::sse::{self, Event};
use super::{Shared, keys};
use crate::ask::{ASK_MODEL, AskEvent, FinalAnswer, Question, Role, SourceView, TOKEN_BYTES, Turn};

mod embeddings;
mod style;

pub use embeddings::{EMBEDDINGS_AT_ONCE, EmbeddingsAnswer, EmbeddingsRequest, embeddings};
use style::Stop;

/// Messages of a conversation at most; a model is told the last of them.
const MESSAGES_MAX: usize = 1_000;
/// Bytes of an answer's name.
const ID_BYTES: usize = 12;

/// A conversation that is to go on.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChatRequest {
    /// `docmill`.
    model: String,
    /// What was said; the question is the last that a user said.
    #[schema(inline)]
    messages: Vec<ChatMessage>,
    /// Whether to answer piece by piece.
    stream: Option<bool>,
    /// What else to send then.
    #[schema(inline)]
    stream_options: Option<StreamOptions>,
    /// Most tokens of the answer, 1 or more; the model's own limit holds, too. Without a model a token is 4 bytes.
    max_tokens: Option<i64>,
    /// The same by its newer name; of two the smaller holds.
    max_completion_tokens: Option<i64>,
    /// How freely a model chooses its words, 0 to 2; 0.2.
    temperature: Option<f64>,
    /// A text, or up to 4, before which the answer ends; each of 1 to 256 bytes.
    #[schema(value_type = Option<Value>)]
    stop: Option<Stop>,
}

/// Something that was said.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChatMessage {
    /// `user` or `assistant`; what others said is passed over.
    role: String,
    /// A text, or a list of parts of which those with text are taken.
    #[schema(value_type = Option<Value>)]
    content: Option<Content>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    text: Option<String>,
}

/// What to send with the pieces of an answer.
#[derive(Debug, Deserialize, ToSchema)]
pub struct StreamOptions {
    /// Whether to count tokens at the end.
    include_usage: Option<bool>,
}

/// An answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatCompletion {
    /// Its name.
    id: String,
    /// `chat.completion`.
    object: &'static str,
    /// When (seconds since 1970).
    created: u64,
    /// `docmill`.
    model: &'static str,
    /// The answer alone.
    #[schema(inline)]
    choices: Vec<ChatChoice>,
    /// Tokens, about where no model counted.
    #[schema(inline)]
    usage: ChatUsage,
}

/// The answer itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatChoice {
    index: u32,
    #[schema(inline)]
    message: ChatAnswer,
    finish_reason: String,
}

/// What is said.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatAnswer {
    role: &'static str,
    /// The text, and below it the sources that it cites.
    content: String,
    /// The sources that it cites.
    citations: Vec<SourceView>,
}

/// Tokens.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct ChatUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

/// What can be asked here.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelsAnswer {
    /// `list`.
    object: &'static str,
    /// The models.
    #[schema(inline)]
    data: Vec<ModelRow>,
}

/// A model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelRow {
    /// Its name.
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

/// A problem as these clients read it.
pub struct Refusal(Problem);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl Refusal {
    fn body(&self) -> Value {
        let problem = serde_json::to_value(&self.0).unwrap_or_default();
        let kind = match self.0.status() {
            401 | 403 => "authentication_error",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        };
        let said = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
        let message = match problem["allowed"].as_str() {
            Some(allowed) => format!("{} {}; allowed is {allowed}", said("field"), said("detail")),
            None => format!("{}; {}", said("detail"), said("whatToDo")),
        };
        json!({"error": {"message": message, "type": kind, "code": problem["code"], "param": problem["field"]}})
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = self.body();
        // Status and headers as a problem has them.
        let (mut parts, _) = self.0.into_response().into_parts();
        parts.headers.remove(axum::http::header::CONTENT_TYPE);
        parts.headers.remove(axum::http::header::CONTENT_LENGTH);
        (parts, Json(body)).into_response()
    }
}

/// `POST /v1/chat/completions`.
pub async fn completions(
    State(api): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    body: Result<Body<ChatRequest>, Problem>,
) -> Result<Response, Refusal> {
    let Body(request) = body?;
    known(&request.model, ASK_MODEL)?;
    let as_pieces = request.stream.unwrap_or(false);
    let counted =
        request.stream_options.as_ref().and_then(|options| options.include_usage).unwrap_or(false);
    let style = style::of(&request)?;
    let question = question_of(request.messages)?;
    let asked = question.text.len();
    let mut events = answering(&api, caller.tenant, question, style, wants_new(&headers));
    let head = Head::new()?;
    if !as_pieces {
        return Ok(Json(head.completion(whole(events).await?, asked)).into_response());
    }
    // Until there is a piece of the answer, what goes wrong has a status of its own.
    let first = loop {
        match events.next().await {
            Some(AskEvent::SearchResults { .. } | AskEvent::Citation(_)) => {}
            Some(AskEvent::Error(problem)) => return Err(problem.into()),
            other => break other,
        }
    };
    let begin = head.chunk(json!({"role": "assistant", "content": ""}), None);
    let rest = stream::iter(first).chain(events);
    let pieces = rest.flat_map(move |event| stream::iter(head.chunks(event, asked, counted)));
    let done = stream::iter(["[DONE]".to_owned()]);
    let data = stream::iter([begin.to_string()]).chain(pieces).chain(done);
    let events = data.map(|data| Event { id: None, name: "", data });
    Ok(sse::response(events, api.stop.clone()))
}

/// `GET /v1/models`.
pub async fn models(State(api): State<Shared>) -> Json<ModelsAnswer> {
    let row = |id| ModelRow { id, object: "model", created: 0, owned_by: "docmill" };
    Json(ModelsAnswer { object: "list", data: api.asker.models().into_iter().map(row).collect() })
}

fn known(asked: &str, name: &'static str) -> Result<(), Problem> {
    if asked == name {
        return Ok(());
    }
    let what_to_do = "see /v1/models";
    Err(Problem::new(StatusCode::NOT_FOUND, "model_unknown", "no such model does this", what_to_do)
        .at("model", name)
        .given(asked))
}

fn question_of(messages: Vec<ChatMessage>) -> Result<Question, Problem> {
    let wrong =
        |what| Err(Problem::invalid("messages", what, "up to 1000, one of them with text of a user"));
    if messages.len() > MESSAGES_MAX {
        return wrong("are too many");
    }
    let mut turns: Vec<Turn> = messages.into_iter().filter_map(turn_of).collect();
    let Some(last) = turns.iter().rposition(|turn| turn.role == Role::User) else {
        return wrong("ask nothing");
    };
    let text = turns.swap_remove(last).content;
    turns.truncate(last);
    // What is further back nobody is told.
    let mut bytes = 0;
    let far = turns.iter().rposition(|turn| {
        bytes += turn.content.len();
        bytes > HISTORY_BYTES_MAX
    });
    turns.drain(..far.map_or(0, |far| far + 1));
    Ok(Question { text, history: turns, filter: Default::default(), k: 0 })
}

fn turn_of(message: ChatMessage) -> Option<Turn> {
    let role = match message.role.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return None,
    };
    let content = match message.content? {
        Content::Text(text) => text,
        Content::Parts(parts) => {
            parts.into_iter().filter_map(|part| part.text).collect::<Vec<_>>().join("\n")
        }
    };
    (!content.trim().is_empty()).then_some(Turn { role, content })
}

fn tokens_of(bytes: usize) -> u64 {
    bytes.div_ceil(TOKEN_BYTES) as u64
}

/// What every piece of an answer says.
struct Head {
    id: String,
    created: u64,
}

impl Head {
    fn new() -> Result<Self, Problem> {
        // An answer needs no name that cannot be guessed, only one of its own.
        let drawn = keys::random_hex(ID_BYTES).map_err(|error| {
            tracing::error!(%error, "there are no random numbers");
            Problem::ledger_away()
        })?;
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Ok(Self { id: format!("chatcmpl-{drawn}"), created })
    }

    fn completion(self, answer: FinalAnswer, asked: usize) -> ChatCompletion {
        let usage = usage_of(&answer, asked);
        let content = format!("{}{}", answer.answer, listed(&answer.citations));
        let message = ChatAnswer { role: "assistant", content, citations: answer.citations };
        ChatCompletion {
            id: self.id,
            object: "chat.completion",
            created: self.created,
            model: ASK_MODEL,
            choices: vec![ChatChoice { index: 0, message, finish_reason: answer.finish }],
            usage,
        }
    }

    fn chunk(&self, delta: Value, finish: Option<&str>) -> Value {
        let Self { id, created } = self;
        let choices = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        json!({"id": id, "object": "chat.completion.chunk", "created": created, "model": ASK_MODEL, "choices": choices})
    }

    /// An event as these clients are told it.
    fn chunks(&self, event: AskEvent, asked: usize, counted: bool) -> Vec<String> {
        let chunks = match event {
            AskEvent::SearchResults { .. } | AskEvent::Citation(_) => Vec::new(),
            AskEvent::Message { delta } => vec![self.chunk(json!({ "content": delta }), None)],
            AskEvent::Error(problem) => vec![Refusal(problem).body()],
            AskEvent::FinalAnswer(answer) => {
                let listed = listed(&answer.citations);
                let mut chunks = Vec::new();
                if !listed.is_empty() {
                    chunks.push(self.chunk(json!({ "content": listed }), None));
                }
                chunks.push(self.chunk(json!({"citations": answer.citations}), Some(&answer.finish)));
                if counted {
                    let mut last = self.chunk(json!({}), None);
                    last["choices"] = json!([]);
                    last["usage"] = json!(usage_of(&answer, asked));
                    chunks.push(last);
                }
                chunks
            }
        };
        chunks.iter().map(Value::to_string).collect()
    }
}

/// The sources below an answer: these clients show its text alone.
fn listed(citations: &[SourceView]) -> String {
    let mut listed = String::new();
    for source in citations {
        // Titles are as much the documents' own words as their texts.
        let mut sanitiser = Sanitiser::new(&[]);
        let title = sanitiser.push(&source.title.replace('\n', " ")) + &sanitiser.finish();
        listed.push_str(if listed.is_empty() { "\n\n" } else { "\n" });
        listed.push_str(&format!("[{}] {}, page {}", source.n, title.trim(), source.page));
    }
    listed
}

fn usage_of(answer: &FinalAnswer, asked: usize) -> ChatUsage {
    let (told, said) = answer.tokens;
    let prompt_tokens = told.unwrap_or_else(|| tokens_of(asked));
    let completion_tokens = said.unwrap_or_else(|| tokens_of(answer.answer.len()));
    ChatUsage { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(messages: Value) -> Result<Question, Problem> {
        question_of(serde_json::from_value(messages).unwrap())
    }

    #[test]
    fn the_last_that_a_user_said_is_the_question() {
        let question = asked(json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Who?"},
            {"role": "assistant", "content": null, "tool_calls": []},
            {"role": "assistant", "content": "Nobody."},
            {"role": "user", "content": [{"type": "text", "text": "And"}, {"type": "image_url"}, {"type": "text", "text": "when?"}]},
            {"role": "assistant", "content": "Well,"},
        ]));
        let question = question.unwrap();
        assert_eq!(question.text, "And\nwhen?");
        let history: Vec<&str> = question.history.iter().map(|turn| turn.content.as_str()).collect();
        assert_eq!(history, ["Who?", "Nobody."]);
        assert_eq!(asked(json!([{"role": "system", "content": "x"}])).unwrap_err().status(), 422);
    }

    #[test]
    fn only_the_last_of_a_long_conversation_is_kept() {
        let said = |bytes: usize| json!({"role": "user", "content": "x".repeat(bytes)});
        let kept = |turns: Value| {
            let question = asked(turns).unwrap();
            question.history.iter().map(|turn| turn.content.len()).collect::<Vec<_>>()
        };
        let half = HISTORY_BYTES_MAX / 2;
        assert_eq!(kept(json!([said(7), said(half), said(half), said(1)])), [half, half]);
        assert_eq!(kept(json!([said(7), said(HISTORY_BYTES_MAX + 1), said(5), said(1)])), [5]);
        assert_eq!(kept(json!([said(7), said(5), said(1)])), [7, 5]);
    }

    #[test]
    fn a_refusal_says_what_is_allowed() {
        let body = Refusal(known("gpt", ASK_MODEL).unwrap_err()).body();
        assert_eq!(body["error"]["code"], "model_unknown");
        assert_eq!(body["error"]["param"], "model");
        assert!(body["error"]["message"].as_str().unwrap().contains("allowed is docmill"));
    }

    #[test]
    fn sources_are_listed_below_without_what_their_titles_smuggle() {
        let source = SourceView {
            n: 2,
            document: String::new(),
            uri: String::new(),
            title: "Report [x](https://evil.example)\nof 2020".to_owned(),
            page: 3,
            heading: None,
            snippet: String::new(),
        };
        assert_eq!(listed(&[source]), "\n\n[2] Report x of 2020, page 3");
        assert_eq!(listed(&[]), "");
    }
}
