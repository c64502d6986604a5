//! Answers questions from the documents of a tenant: searches, has a model write from what was found or takes
//! sentences of it, and lets out only what an answer may hold. Knows no HTTP but the model's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::http::StatusCode;
use docmill_core::ask::{Sanitiser, Source, Stops, extractive, prompt, sources};
use docmill_core::id::TenantId;
use docmill_core::search::{Filter, QUERY_BYTES_MAX, SearchAnswer, SearchRequest, Wrong};
use docmill_core::segment::{is_stop_word, segment_query};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::mpsc;

use crate::api::{Problem, keys};
use crate::search::Search;

mod event;
#[cfg(any(test, feature = "testing"))]
mod found;
mod mock;
mod model;
mod openai;
mod settings;

pub use event::{AskEvent, FinalAnswer, SourceView};
#[cfg(any(test, feature = "testing"))]
pub use found::found_texts;
pub use mock::MockModel;
pub use model::{Chat, ChatModel, Delta, ModelError, Role, Turn};
pub use openai::OpenAi;
pub use settings::{AskSettings, ModelSettings};

/// What answers questions is called where models have names.
pub const ASK_MODEL: &str = "docmill";
/// What embeds texts is called there.
pub const EMBED_MODEL: &str = "docmill-embed";
/// Texts that a question may ask to be answered from.
pub const K_MAX: u16 = 32;
/// Texts that the settings may say.
const SOURCES_MAX: u16 = 50;
/// Bytes of a token, about, where nobody counts.
pub const TOKEN_BYTES: usize = 4;
/// Turns of what was said before that a model is told, the last ones.
const TURNS_MAX: usize = 20;
/// Bytes of them.
const TURNS_BYTES_MAX: usize = 16 * 1024;
/// A question with fewer telling words than this is searched for with the one before: "and when?"
const WORDS_ALONE: usize = 3;
/// Bytes of a random mark around sources.
const MARK_BYTES: usize = 12;
/// How freely a model chooses its words when it is to repeat what sources say.
const TEMPERATURE: f32 = 0.2;
/// Pieces of an answer that are told as they come; later ones are gathered.
const MESSAGES_WHOLE: usize = 512;
/// Bytes that are gathered then.
const GATHERED_BYTES: usize = 64;
/// Events that wait for whoever listens.
const EVENTS_WAITING: usize = 32;
/// Why an answer ends: all is said.
const STOP: &str = "stop";
/// Why an answer ends: it is as long as it may be.
const LENGTH: &str = "length";
/// Who wrote an answer that is made of the sources' sentences.
const EXTRACTIVE: &str = "extractive";

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// What is asked.
    pub text: String,
    /// What was said before, oldest first.
    pub history: Vec<Turn>,
    /// Which documents may answer.
    pub filter: Filter,
    /// Texts to answer from at most; 0: as many as the settings say.
    pub k: u16,
}

/// How an answer is wished to be, by who may say it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Style {
    /// Most tokens of it; none, and more than the settings say: as the settings say.
    pub max_tokens: Option<u32>,
    /// How freely words are chosen, 0 to 2.
    pub temperature: Option<f32>,
    /// Texts before which it is to end.
    pub stop: Vec<String>,
}

/// Answers questions.
pub struct Asker(Arc<Answering>);

struct Answering {
    search: Arc<dyn Search>,
    model: Option<Arc<dyn ChatModel>>,
    mock: bool,
    sources: usize,
    context_bytes: usize,
    max_tokens: u32,
}

impl Asker {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// What of the settings is of no use.
    pub fn new(search: Arc<dyn Search>, settings: &AskSettings) -> Result<Self, String> {
        let max_tokens = match (&settings.mock, &settings.model) {
            (None, Some(model)) => model.max_tokens,
            _ => u32::MAX,
        };
        let model: Option<Arc<dyn ChatModel>> = match (settings.mock, &settings.model) {
            (Some(delay), _) => Some(Arc::new(MockModel { delay })),
            (None, Some(model)) => Some(Arc::new(OpenAi::new(model.clone())?)),
            (None, None) => None,
        };
        let mock = settings.mock.is_some();
        let (sources, context_bytes) = (settings.sources, settings.context_bytes);
        Ok(Self(Arc::new(Answering { search, model, mock, sources, context_bytes, max_tokens })))
    }

    /// Searches, and answers from what is found. The last event is the answer or an error; nothing goes on once the
    /// stream is dropped.
    pub fn ask(&self, tenant: TenantId, question: Question) -> BoxStream<'static, AskEvent> {
        let request = match self.request(&question) {
            Ok(request) => request,
            Err(problem) => return stream::iter([AskEvent::Error(problem)]).boxed(),
        };
        let search = self.0.search.clone();
        let found = async move { search.search(&tenant, &request).await.map_err(Problem::from) };
        self.answer(question, Style::default(), found)
    }

    /// What to search for, to answer a question.
    ///
    /// # Errors
    /// It may not be asked.
    pub fn request(&self, question: &Question) -> Result<SearchRequest, Problem> {
        let most = u16::try_from(self.0.most(question)).unwrap_or(K_MAX).clamp(1, SOURCES_MAX);
        let request = SearchRequest::sources(searched(question), most, question.filter.clone());
        request.check().map_err(wrong)?;
        Ok(request)
    }

    /// Answers from what somebody finds by [`Asker::request`]; as [`Asker::ask`] does.
    pub fn answer(
        &self,
        question: Question,
        style: Style,
        found: impl Future<Output = Result<SearchAnswer, Problem>> + Send + 'static,
    ) -> BoxStream<'static, AskEvent> {
        let (events, told) = mpsc::channel(EVENTS_WAITING);
        let answering = self.0.clone();
        let work = async move {
            let mut telling = Telling { events, messages: 0, gathered: String::new() };
            let answered = async {
                let found = found.await?;
                answering.answer(&question, &style, found, &mut telling).await
            };
            if let Err(problem) = answered.await {
                telling.tell(AskEvent::Error(problem)).await;
            }
        };
        // Worked on while it is listened to, without a task of its own: dropping the stream drops all of it.
        let told =
            stream::unfold(told, |mut told| async move { told.recv().await.map(|event| (event, told)) });
        let work = stream::once(work).filter_map(|()| std::future::ready(None));
        stream::select(told, work).boxed()
    }

    /// Names of what can be asked here.
    pub fn models(&self) -> Vec<String> {
        vec![ASK_MODEL.to_owned(), EMBED_MODEL.to_owned()]
    }

    /// Whether answers are a mock's, which is not worth remembering.
    pub fn is_mock(&self) -> bool {
        self.0.mock
    }
}

impl Answering {
    /// Texts that the question is answered from at most.
    fn most(&self, question: &Question) -> usize {
        if question.k == 0 { self.sources } else { usize::from(question.k.min(K_MAX)) }
    }

    async fn answer(
        &self,
        question: &Question,
        style: &Style,
        found: SearchAnswer,
        telling: &mut Telling,
    ) -> Result<(), Problem> {
        let sources = sources(&found.results, self.most(question), self.context_bytes);
        let results = sources.iter().map(SourceView::from).collect();
        telling.tell(AskEvent::SearchResults { results, mode: found.mode, reason: found.reason }).await;
        let answer = match &self.model {
            Some(model) if self.mock || !sources.is_empty() => {
                self.by_model(model.as_ref(), question, style, sources, telling).await?
            }
            model => by_sentences(question, style, sources, model.is_some(), telling).await?,
        };
        let answer = FinalAnswer { passing: found.passing, ..answer };
        telling.tell(AskEvent::FinalAnswer(answer)).await;
        Ok(())
    }

    async fn by_model(
        &self,
        model: &dyn ChatModel,
        question: &Question,
        style: &Style,
        sources: Vec<Source>,
        telling: &mut Telling,
    ) -> Result<FinalAnswer, Problem> {
        let mark = keys::random_hex(MARK_BYTES).map_err(|error| {
            tracing::error!(%error, "there are no random numbers");
            internal("the system has no random numbers")
        })?;
        let told = prompt(&question.text, &sources, &mark);
        let mut turns = last_turns(&question.history);
        turns.push(Turn { role: Role::User, content: told.user });
        let chat = Chat {
            question: question.text.clone(),
            system: told.system,
            turns,
            max_tokens: style.max_tokens.unwrap_or(self.max_tokens).min(self.max_tokens),
            temperature: Some(style.temperature.unwrap_or(TEMPERATURE)),
            stop: style.stop.clone(),
        };
        let mut pieces = model.stream(chat).await.map_err(|error| failed(&error))?;
        let mut answer = Answer::new(&sources);
        // Not every model knows what to stop at.
        let mut stops = Stops::new(&style.stop);
        let ended = loop {
            match pieces.next().await {
                Some(Ok(Delta::Text(text))) => {
                    let shown = answer.sanitiser.push(&stops.push(&text));
                    answer.show(shown, telling).await;
                    if stops.is_over() {
                        break Ok((STOP.to_owned(), (None, None)));
                    }
                    if answer.sanitiser.is_full() {
                        break Err(ModelError::TooLong);
                    }
                }
                Some(Ok(Delta::End { finish, input_tokens, output_tokens })) => {
                    break Ok((finish, (input_tokens, output_tokens)));
                }
                Some(Err(error)) => break Err(error),
                None => break Err(ModelError::Cut),
            }
        };
        // It is to stop now, not when whoever asked has read the rest.
        drop(pieces);
        let rest = answer.sanitiser.push(&stops.finish()) + &answer.sanitiser.finish();
        answer.show(rest, telling).await;
        telling.flush().await;
        let (finish, tokens) = ended.map_err(|error| failed(&error))?;
        // Who said how long it may be expects that it ends there.
        let is_wished = finish == LENGTH && style.max_tokens.is_some();
        if finish != STOP && !is_wished {
            return Err(incomplete(format!(
                "the model ended its answer before it had said all ({})",
                plain(&finish)
            )));
        }
        if answer.text.trim().is_empty() && !stops.is_over() && !is_wished {
            return Err(incomplete("the model gave no answer".to_owned()));
        }
        let citations = answer.citations();
        let note = citations
            .is_empty()
            .then(|| "The model named no source: check it against what was found.".to_owned());
        Ok(FinalAnswer {
            answer: answer.text,
            citations,
            model: model.name().to_owned(),
            extractive: false,
            note,
            finish,
            tokens,
            passing: false,
        })
    }
}

/// Answers with sentences of the sources.
async fn by_sentences(
    question: &Question,
    style: &Style,
    sources: Vec<Source>,
    has_model: bool,
    telling: &mut Telling,
) -> Result<FinalAnswer, Problem> {
    let text = question.text.clone();
    let tokens_max = style.max_tokens.and_then(|most| usize::try_from(most).ok());
    let bytes_max = tokens_max.map_or(usize::MAX, |most| most.saturating_mul(TOKEN_BYTES));
    // Thousands of words are looked at: too long to keep others waiting.
    let taken = tokio::task::spawn_blocking(move || (extractive(&text, &sources, bytes_max), sources));
    let (extract, sources) = taken.await.map_err(|error| {
        tracing::error!(%error, "sentences were not taken");
        internal("the answer could not be put together")
    })?;
    let mut stops = Stops::new(&style.stop);
    let said = stops.push(&extract.text) + &stops.finish();
    let mut answer = Answer::new(&sources);
    let shown = answer.sanitiser.push(&said) + &answer.sanitiser.finish();
    answer.show(shown, telling).await;
    telling.flush().await;
    let note = match (sources.is_empty(), has_model) {
        (true, true) => "No document fits the question, so no model was asked.",
        (true, false) => "No document fits the question.",
        (false, _) => "No model is configured: these are sentences of the documents.",
    };
    let citations = answer.citations();
    let finish = if extract.cut && !stops.is_over() { LENGTH } else { STOP };
    Ok(FinalAnswer {
        answer: answer.text,
        citations,
        model: EXTRACTIVE.to_owned(),
        extractive: true,
        note: Some(note.to_owned()),
        finish: finish.to_owned(),
        tokens: (None, None),
        passing: false,
    })
}

/// An answer that grows.
struct Answer {
    sanitiser: Sanitiser,
    sources: BTreeMap<u32, SourceView>,
    cited: BTreeSet<u32>,
    text: String,
}

impl Answer {
    fn new(sources: &[Source]) -> Self {
        let views = sources.iter().map(|source| (source.n, source.into())).collect();
        Self {
            sanitiser: Sanitiser::new(sources),
            sources: views,
            cited: BTreeSet::new(),
            text: String::new(),
        }
    }

    /// Tells a piece that may be shown, and what it is the first to cite.
    async fn show(&mut self, piece: String, telling: &mut Telling) {
        self.text.push_str(&piece);
        telling.message(piece).await;
        let new: Vec<u32> = self.sanitiser.cited().difference(&self.cited).copied().collect();
        for number in new {
            self.cited.insert(number);
            if let Some(view) = self.sources.get(&number) {
                telling.flush().await;
                telling.tell(AskEvent::Citation(view.clone())).await;
            }
        }
    }

    fn citations(&self) -> Vec<SourceView> {
        self.cited.iter().filter_map(|number| self.sources.get(number)).cloned().collect()
    }
}

/// Whom events are told.
struct Telling {
    events: mpsc::Sender<AskEvent>,
    messages: usize,
    gathered: String,
}

impl Telling {
    async fn tell(&self, event: AskEvent) {
        // Whoever listened may be gone; then this is dropped with the stream.
        let _ = self.events.send(event).await;
    }

    async fn message(&mut self, piece: String) {
        self.gathered.push_str(&piece);
        if self.messages < MESSAGES_WHOLE || self.gathered.len() >= GATHERED_BYTES {
            self.flush().await;
        }
    }

    async fn flush(&mut self) {
        if !self.gathered.is_empty() {
            self.messages += 1;
            let delta = std::mem::take(&mut self.gathered);
            self.tell(AskEvent::Message { delta }).await;
        }
    }
}

/// What to search for: the question, with the one before where it says too little by itself.
fn searched(question: &Question) -> String {
    let telling = |text: &str| {
        let terms = segment_query(text);
        terms.iter().filter(|term| !term.alternatives.iter().all(|form| is_stop_word(form))).count()
    };
    let before = question.history.iter().rev().find(|turn| turn.role == Role::User);
    match before {
        Some(before)
            if telling(&question.text) < WORDS_ALONE
                && before.content.len() + question.text.len() < QUERY_BYTES_MAX =>
        {
            format!("{}\n{}", before.content, question.text)
        }
        _ => question.text.clone(),
    }
}

/// The last of what was said, beginning with whoever asked, as models want it.
pub(crate) fn last_turns(history: &[Turn]) -> Vec<Turn> {
    let mut bytes = 0;
    let fitting = history.iter().rev().take(TURNS_MAX).take_while(|turn| {
        bytes += turn.content.len();
        bytes <= TURNS_BYTES_MAX
    });
    let mut turns: Vec<Turn> = fitting.cloned().collect();
    turns.reverse();
    let first = turns.iter().position(|turn| turn.role == Role::User).unwrap_or(turns.len());
    turns.split_off(first)
}

fn wrong(wrong: Wrong) -> Problem {
    let field = if wrong.field == "query" { "question" } else { wrong.field };
    Problem::invalid(field, wrong.what, wrong.allowed)
}

fn internal(detail: &str) -> Problem {
    let what_to_do = "report it with the log of the API";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail, what_to_do)
}

fn incomplete(detail: String) -> Problem {
    let what_to_do = "ask again, or for less at once; what came so far may be wrong without its end";
    Problem::new(StatusCode::BAD_GATEWAY, "answer_incomplete", detail, what_to_do)
}

/// A model's own word, as far as it can be one.
fn plain(word: &str) -> String {
    word.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(32).collect()
}

/// The model's own words are for the log: they may name hosts.
fn failed(error: &ModelError) -> Problem {
    tracing::warn!(%error, "the model failed");
    let unavailable = |detail: String| {
        let what_to_do = "ask again later; `/v1/search` answers without the model";
        Problem::new(StatusCode::BAD_GATEWAY, "model_unavailable", detail, what_to_do)
    };
    match error {
        ModelError::Unreachable(_) => unavailable("the model cannot be reached".to_owned()),
        ModelError::Throttled { after } => {
            unavailable(error.to_string()).retry_after(after.map_or(1, |after| after.as_secs()))
        }
        ModelError::Refused { .. } | ModelError::Malformed => unavailable(error.to_string()),
        ModelError::FirstToken | ModelError::Idle | ModelError::Total => {
            let what_to_do = "ask again later; `/v1/search` answers without the model";
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "model_timeout", error.to_string(), what_to_do)
        }
        ModelError::Cut | ModelError::TooLong => incomplete(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
