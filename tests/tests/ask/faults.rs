//! A model that is away, slow, broken or without an end: every question ends with an answer or an error that says
//! what to do, and nothing goes on behind it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use docmill_core::id::TenantId;
use docmill_core::search::{Filter, SearchAnswer, SearchRequest};
use docmill_tests::services::model::{Manner, Model};
use docmill_tests::services::process::{free_port, wait_until};
use docmill_worker::ask::{AskEvent, AskSettings, Asker, ModelSettings, Question, found_texts};
use docmill_worker::search::{Error, Search};
use futures::StreamExt;
use serde_json::Value;

use super::{SHELL, with_documents};

/// Longer than any of the limits below, shorter than a test should take.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// Finds the same in every store.
struct Found;

#[async_trait]
impl Search for Found {
    async fn search(&self, tenant: &TenantId, _: &SearchRequest) -> Result<SearchAnswer, Error> {
        Ok(found_texts(tenant, &[SHELL]))
    }

    async fn warm(&self, _: &[TenantId]) {}
}

fn asker(base: String) -> Asker {
    let limits = ModelSettings {
        first_token_ms: 5_000,
        idle_ms: 3_000,
        total_ms: 20_000,
        ..ModelSettings::new(base, "small")
    };
    let settings = AskSettings { model: Some(limits), ..AskSettings::default() };
    Asker::new(Arc::new(Found), &settings).unwrap()
}

/// On a runtime of its own: the model has another.
fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

async fn events(asker: &Asker) -> Vec<AskEvent> {
    let question = Question {
        text: "Who wrote the zebra shell?".to_owned(),
        history: Vec::new(),
        filter: Filter::default(),
        k: 0,
    };
    let answer = asker.ask(TenantId::default(), question);
    tokio::time::timeout(ENDS_WITHIN, answer.collect()).await.expect("every question ends")
}

fn said(events: &[AskEvent]) -> String {
    let delta = |event: &AskEvent| match event {
        AskEvent::Message { delta } => Some(delta.clone()),
        _ => None,
    };
    events.iter().filter_map(delta).collect()
}

/// The code of the error that the events end with.
fn code(events: &[AskEvent]) -> String {
    match events.last() {
        Some(AskEvent::Error(problem)) => {
            let problem: Value = serde_json::to_value(problem).unwrap();
            assert!(!problem["whatToDo"].as_str().unwrap().is_empty());
            problem["code"].as_str().unwrap().to_owned()
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn every_fault_ends_with_an_error_that_says_which() {
    let model = Model::start();
    model.say(&["The zebra shell was ", "written [1]. "]);
    let (asker, runtime) = (asker(model.base()), tokio::runtime::Runtime::new().unwrap());
    let cases = [
        (Manner::Silent, "model_timeout", false),
        (Manner::Stuck, "model_timeout", true),
        (Manner::Half, "answer_incomplete", true),
        (Manner::Short, "answer_incomplete", true),
        (Manner::Endless, "answer_incomplete", true),
        (Manner::Huge, "model_unavailable", false),
        (Manner::Throttled, "model_unavailable", false),
        (Manner::Failing, "model_unavailable", false),
        (Manner::Garbage, "model_unavailable", false),
        (Manner::Redirecting, "model_unavailable", false),
    ];
    for (manner, expected, has_text) in cases {
        model.behave(manner);
        let began = Instant::now();
        let events = runtime.block_on(events(&asker));
        assert_eq!(code(&events), expected, "{manner:?}");
        assert!(matches!(events[0], AskEvent::SearchResults { .. }), "{manner:?}");
        assert_eq!(!said(&events).is_empty(), has_text, "{manner:?}: what came is told");
        assert!(said(&events).len() <= 16 * 1024, "{manner:?}");
        wait_until(&format!("{manner:?} is not read any more"), || model.open() == 0);
        println!("{manner:?}: {:?}", began.elapsed());
    }
    model.behave(Manner::Good);
    let events = runtime.block_on(events(&asker));
    let Some(AskEvent::FinalAnswer(answer)) = events.last() else { panic!("{events:?}") };
    assert_eq!(answer.answer, "The zebra shell was written [1]. ");
    assert_eq!((answer.citations.len(), answer.extractive, answer.model.as_str()), (1, false, "small"));
    assert_eq!(answer.tokens, (Some(7), Some(3)));
}

#[test]
#[ignore = "tests/clients/real_model.sh starts the model that it needs"]
fn a_real_small_model_answers_or_says_why_not() {
    let base = std::env::var("DOCMILL_REAL_MODEL").expect("DOCMILL_REAL_MODEL says where the model is");
    let limits = ModelSettings {
        max_tokens: 40,
        first_token_ms: 120_000,
        idle_ms: 60_000,
        total_ms: 300_000,
        ..ModelSettings::new(base, "smollm2")
    };
    let settings = AskSettings { model: Some(limits), ..AskSettings::default() };
    let asker = Asker::new(Arc::new(Found), &settings).unwrap();
    let question = Question {
        text: "Who wrote the zebra shell?".to_owned(),
        history: Vec::new(),
        filter: Filter::default(),
        k: 0,
    };
    let events: Vec<AskEvent> = run(asker.ask(TenantId::default(), question).collect());
    println!("{}", said(&events));
    assert!(!said(&events).trim().is_empty(), "{events:?}");
    // So small a model may talk on until its tokens are used up.
    let whole = matches!(events.last(), Some(AskEvent::FinalAnswer(answer)) if answer.model == "smollm2");
    assert!(whole || code(&events) == "answer_incomplete", "{events:?}");
}

#[test]
fn a_model_that_is_away_is_said_to_be() {
    let asker = asker(format!("http://127.0.0.1:{}/v1", free_port()));
    let events = run(events(&asker));
    assert_eq!(code(&events), "model_unavailable");
    let Some(AskEvent::Error(problem)) = events.last() else { panic!("{events:?}") };
    assert!(
        !serde_json::to_string(problem).unwrap().contains("127.0.0.1"),
        "its address is nobody's business"
    );
}

#[test]
fn who_goes_away_ends_the_models_work() {
    let model = Model::start();
    model.behave(Manner::Stuck);
    let asker = asker(model.base());
    let question =
        Question { text: "Why?".to_owned(), history: Vec::new(), filter: Filter::default(), k: 0 };
    run(async {
        let mut answer = asker.ask(TenantId::default(), question);
        while !matches!(answer.next().await, Some(AskEvent::Message { .. })) {}
        assert_eq!(model.open(), 1);
        drop(answer);
        wait_until("the model is left alone", || model.open() == 0);
    });
}

#[test]
fn faults_have_a_status_where_there_is_no_answer_yet() {
    let model = Model::start();
    let base = model.base();
    let served = with_documents(&[("DOCMILL_ASK_URL", &base), ("DOCMILL_ASK_MODEL", "small")]);
    let client = served.client();
    model.behave(Manner::Failing);
    let question = serde_json::json!({"question": "Who wrote the zebra shell?"});
    let answer = client.post("/v1/ask", &question);
    assert_eq!((answer.status, answer.json()["code"].as_str()), (502, Some("model_unavailable")));
    let chat = serde_json::json!({"model": "docmill", "stream": true,
        "messages": [{"role": "user", "content": "Who wrote the zebra shell?"}]});
    let answer = client.post("/v1/chat/completions", &chat);
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (502, Some("model_unavailable")));
    // After the head there is an event instead.
    let text = client.post("/v1/ask/stream", &question).text();
    assert!(text.contains("event: search_results") && text.contains("event: error"), "{text}");
    assert!(!text.contains("event: final_answer"), "{text}");
    model.behave(Manner::Half);
    let text = client.post("/v1/ask/stream", &question).text();
    assert!(text.contains("event: message") && text.contains("answer_incomplete"), "{text}");
    model.behave(Manner::Good);
    let answer = client.post("/v1/ask", &question);
    assert_eq!((answer.status, &answer.json()["answer"]), (200, &serde_json::json!("Yes [1].")));
    // Others go on while one waits.
    assert_eq!(client.get("/v1/documents").status, 200);
}
