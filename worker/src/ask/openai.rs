//! A model behind an OpenAI-compatible address. Its answer has an end in time and in size, whatever it sends.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use reqwest::{Client, Response, StatusCode, Url, header, redirect};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::STOP;
use super::model::{Chat, ChatModel, Delta, ModelError};
use super::settings::{ModelSettings, is_loopback};

/// Where answers are below the base URL.
const COMPLETIONS: &str = "chat/completions";
/// Longest line of an answer, in bytes: a piece of text with what goes around it.
const LINE_BYTES_MAX: usize = 64 << 10;
/// What is read at most for each byte of text: pieces of a letter come in some hundred bytes of JSON.
const READ_PER_TEXT: usize = 512;
/// Wait before a question is asked for the second and last time.
const AGAIN_AFTER: Duration = Duration::from_millis(250);
/// Longest wait that a model may ask for before the second time.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(2);

/// See the module.
pub struct OpenAi {
    http: Client,
    url: Url,
    settings: ModelSettings,
}

impl OpenAi {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// What of the settings is of no use.
    pub fn new(settings: ModelSettings) -> Result<Self, String> {
        let url = completions(&settings.url).ok_or("the model's url is not a URL: use https://HOST/v1")?;
        let mut http = Client::builder()
            // Whoever could redirect would get the question, its sources and the key.
            .redirect(redirect::Policy::none())
            .connect_timeout(Duration::from_millis(settings.connect_ms))
            .user_agent(concat!("docmill/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&url) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| format!("no client for the model can be made: {error}"))?;
        Ok(Self { http, url, settings })
    }

    /// Asks, and again once where it did not come to an answer that anybody paid for.
    async fn begin(&self, body: &str) -> Result<Response, ModelError> {
        let first = self.ask(body).await;
        let wait = match &first {
            Err(ModelError::Unreachable(_) | ModelError::Refused { status: 502 | 503 }) => AGAIN_AFTER,
            Err(ModelError::Throttled { after }) => after.unwrap_or(AGAIN_AFTER),
            _ => return first,
        };
        if wait > AGAIN_AFTER_MAX {
            return first;
        }
        tokio::time::sleep(wait).await;
        self.ask(body).await
    }

    async fn ask(&self, body: &str) -> Result<Response, ModelError> {
        let mut request = self
            .http
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "text/event-stream")
            .body(body.to_owned());
        if let Some(key) = &self.settings.key {
            request = request.bearer_auth(key.expose());
        }
        let answer = request.send().await.map_err(|error| ModelError::Unreachable(error.to_string()))?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            StatusCode::TOO_MANY_REQUESTS => Err(ModelError::Throttled { after: retry_after(&answer) }),
            other => Err(ModelError::Refused { status: other.as_u16() }),
        }
    }

    fn body(&self, chat: &Chat) -> String {
        let system = [json!({"role": "system", "content": chat.system})];
        let turns = chat.turns.iter().map(|turn| json!({"role": turn.role, "content": turn.content}));
        let mut body = json!({
            "model": self.settings.name,
            "messages": system.into_iter().chain(turns).collect::<Vec<Value>>(),
            "stream": true,
            "stream_options": {"include_usage": true},
            "max_tokens": chat.max_tokens.min(self.settings.max_tokens),
        });
        if let Some(temperature) = chat.temperature {
            body["temperature"] = temperature.into();
        }
        if !chat.stop.is_empty() {
            body["stop"] = json!(chat.stop);
        }
        body.to_string()
    }
}

#[async_trait]
impl ChatModel for OpenAi {
    fn name(&self) -> &str {
        &self.settings.name
    }

    async fn stream(
        &self,
        chat: Chat,
    ) -> Result<BoxStream<'static, Result<Delta, ModelError>>, ModelError> {
        let body = self.body(&chat);
        let limits = Limits::of(&self.settings);
        let answer = timeout(limits.first_token, self.begin(&body)).await;
        let answer = answer.map_err(|_| ModelError::FirstToken)??;
        let reading = Reading {
            answer,
            limits,
            lines: Lines::default(),
            read: 0,
            text: 0,
            ready: VecDeque::new(),
            over: false,
        };
        Ok(stream::unfold(reading, |mut reading| async move {
            reading.next().await.map(|next| (next, reading))
        })
        .boxed())
    }
}

/// The address of answers. A base URL without a path means the usual one.
fn completions(base: &str) -> Option<Url> {
    let base = base.trim_end_matches('/');
    let mut url = Url::parse(base).ok()?;
    let path = url.path().trim_end_matches('/').to_owned();
    let path = match path.as_str() {
        "" => format!("/v1/{COMPLETIONS}"),
        whole if whole.ends_with(COMPLETIONS) => whole.to_owned(),
        base => format!("{base}/{COMPLETIONS}"),
    };
    url.set_path(&path);
    Some(url)
}

fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// What an answer may take.
struct Limits {
    /// When it began.
    began: Instant,
    first_token: Duration,
    idle: Duration,
    total: Duration,
    text_bytes: usize,
}

impl Limits {
    fn of(settings: &ModelSettings) -> Self {
        Self {
            began: Instant::now(),
            first_token: Duration::from_millis(settings.first_token_ms),
            idle: Duration::from_millis(settings.idle_ms),
            total: Duration::from_millis(settings.total_ms),
            text_bytes: settings.bytes_max,
        }
    }

    /// How long to wait for more, and what it is if none comes.
    fn wait(&self, has_text: bool) -> (Duration, ModelError) {
        let gone = self.began.elapsed();
        let next = match has_text {
            true => (self.idle, ModelError::Idle),
            false => (self.first_token.saturating_sub(gone), ModelError::FirstToken),
        };
        let total = self.total.saturating_sub(gone);
        if total < next.0 { (total, ModelError::Total) } else { next }
    }
}

/// An answer that is being read.
struct Reading {
    answer: Response,
    limits: Limits,
    lines: Lines,
    read: usize,
    text: usize,
    ready: VecDeque<Delta>,
    over: bool,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Delta, ModelError>> {
        loop {
            if let Some(delta) = self.ready.pop_front() {
                self.over |= matches!(delta, Delta::End { .. });
                return Some(Ok(delta));
            }
            if self.over {
                return None;
            }
            if let Err(error) = self.more().await {
                self.over = true;
                return Some(Err(error));
            }
        }
    }

    async fn more(&mut self) -> Result<(), ModelError> {
        let (wait, late) = self.limits.wait(self.text > 0);
        let Ok(came) = timeout(wait, self.answer.chunk()).await else { return Err(late) };
        let Some(bytes) = came.map_err(|_| ModelError::Cut)? else {
            // Some end without their last line, after they said why.
            self.ready.push_back(self.lines.end().ok_or(ModelError::Cut)?);
            return Ok(());
        };
        self.read += bytes.len();
        if self.read > self.limits.text_bytes.saturating_mul(READ_PER_TEXT) {
            return Err(ModelError::TooLong);
        }
        for delta in self.lines.push(&bytes)? {
            if let Delta::Text(text) = &delta {
                self.text += text.len();
                if self.text > self.limits.text_bytes {
                    return Err(ModelError::TooLong);
                }
            }
            self.ready.push_back(delta);
        }
        Ok(())
    }
}

/// Server-sent events of an answer, in whatever pieces they come.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    finish: Option<String>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Content>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<Delta>, ModelError> {
        let mut deltas = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + part.len() > LINE_BYTES_MAX {
                return Err(ModelError::Malformed);
            }
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                self.read(&line, &mut deltas)?;
            }
        }
        Ok(deltas)
    }

    fn read(&mut self, line: &[u8], deltas: &mut Vec<Delta>) -> Result<(), ModelError> {
        let line = std::str::from_utf8(line).map_err(|_| ModelError::Malformed)?.trim_end();
        let Some(data) = line.strip_prefix("data:").map(str::trim) else {
            // Comments and other fields are allowed; a page of an error is not.
            let known = line.is_empty()
                || [":", "event:", "id:", "retry:"].iter().any(|field| line.starts_with(field));
            return if known { Ok(()) } else { Err(ModelError::Malformed) };
        };
        if data == "[DONE]" {
            self.finish.get_or_insert_with(|| STOP.to_owned());
            deltas.extend(self.end());
            return Ok(());
        }
        let chunk: Chunk = serde_json::from_str(data).map_err(|_| ModelError::Malformed)?;
        if chunk.error.is_some_and(|error| !error.is_null()) {
            return Err(ModelError::Cut);
        }
        self.usage = chunk.usage.or(self.usage.take());
        let Some(choice) = chunk.choices.into_iter().next() else { return Ok(()) };
        let text = choice.delta.and_then(|delta| delta.content).filter(|text| !text.is_empty());
        deltas.extend(text.map(Delta::Text));
        self.finish = choice.finish_reason.or(self.finish.take());
        Ok(())
    }

    /// The end, where it was told.
    fn end(&mut self) -> Option<Delta> {
        let finish = self.finish.take()?;
        let usage = self.usage.take();
        Some(Delta::End {
            finish,
            input_tokens: usage.as_ref().and_then(|usage| usage.prompt_tokens),
            output_tokens: usage.as_ref().and_then(|usage| usage.completion_tokens),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_answers_is_below_the_base() {
        let cases = [
            ("http://localhost:11434", "http://localhost:11434/v1/chat/completions"),
            ("http://localhost:8081/v1/", "http://localhost:8081/v1/chat/completions"),
            ("https://a.example/openai/v1", "https://a.example/openai/v1/chat/completions"),
            ("https://a.example/v1/chat/completions", "https://a.example/v1/chat/completions"),
        ];
        for (base, expected) in cases {
            assert_eq!(completions(base).map(|url| url.to_string()).as_deref(), Some(expected));
        }
        assert_eq!(completions("models"), None);
    }

    #[test]
    fn wishes_are_passed_on_within_the_limits() {
        let settings = ModelSettings { max_tokens: 100, ..ModelSettings::new("http://localhost", "small") };
        let model = OpenAi::new(settings).unwrap();
        let chat = Chat {
            question: String::new(),
            system: String::new(),
            turns: Vec::new(),
            max_tokens: 7,
            temperature: Some(0.5),
            stop: vec!["END".to_owned()],
        };
        let body = |chat: &Chat| serde_json::from_str::<Value>(&model.body(chat)).unwrap();
        let asked = body(&chat);
        assert_eq!((&asked["max_tokens"], &asked["temperature"]), (&json!(7), &json!(0.5)));
        assert_eq!(asked["stop"], json!(["END"]));
        let asked = body(&Chat { max_tokens: 7_000, temperature: None, stop: Vec::new(), ..chat });
        assert_eq!(asked["max_tokens"], 100);
        assert!(asked.get("stop").is_none() && asked.get("temperature").is_none());
    }

    #[test]
    fn pieces_of_an_answer_are_read_wherever_they_are_cut() {
        let whole = ": hello\r\n\r\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
            data: {\"choices\":[{\"delta\":{\"content\":\"Gr\u{fc}n\"},\"finish_reason\":null}]}\n\n\
            data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
            data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
        let end = Delta::End { finish: "stop".to_owned(), input_tokens: Some(7), output_tokens: Some(2) };
        for size in [1, 7, 1_000] {
            let mut lines = Lines::default();
            let read = whole.as_bytes().chunks(size).flat_map(|piece| lines.push(piece).unwrap());
            assert_eq!(read.collect::<Vec<_>>(), [Delta::Text("Grün".to_owned()), end.clone()]);
        }
    }

    #[test]
    fn what_is_no_answer_is_said_to_be_none() {
        let read = |text: &str| Lines::default().push(text.as_bytes());
        assert_eq!(read("<html>Bad gateway</html>\n"), Err(ModelError::Malformed));
        assert_eq!(read("data: {\"choices\": 7}\n"), Err(ModelError::Malformed));
        assert_eq!(read("data: {\"error\": {\"message\": \"out of memory\"}}\n"), Err(ModelError::Cut));
        assert_eq!(read(&"x".repeat(LINE_BYTES_MAX + 1)), Err(ModelError::Malformed));
        assert_eq!(Lines::default().end(), None, "an end that nobody told is none");
    }
}
