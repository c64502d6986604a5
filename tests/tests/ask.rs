//! Questions and answers as users meet them: `docmill serve`, a scripted model behind it, and the clients people have.

// Helpers of tests panic as tests do.
#![allow(clippy::unwrap_used, clippy::large_futures)]

#[path = "ask/clients.rs"]
mod clients;
#[path = "ask/faults.rs"]
mod faults;
#[path = "ask/injection.rs"]
mod injection;
#[path = "ask/memory.rs"]
mod memory;
#[path = "ask/stream.rs"]
mod stream;
#[path = "ask/wishes.rs"]
mod wishes;

use docmill_tests::services::http::{Client, form};
use docmill_tests::services::process::wait_until;
use docmill_tests::services::served::Served;
use serde_json::{Value, json};

/// Vectors without meaning, so that nothing is loaded.
const MOCK_VECTORS: (&str, &str) = ("USE_MOCK_EMBEDDINGS", "1");
const SHELL: &str = "The zebra shell was written by Ada Okonkwo in 1987. It runs on small machines.";
const HARBOUR: &str = "The barometer fell all night, and in the morning the harbour lay in fog.";

/// Hands files in and waits until all can be found.
fn hand_in(client: &Client, files: &[(&str, &[u8])]) {
    let (kind, body) = form(files);
    let answer = client.send("POST", "/v1/documents", &[("content-type", &kind)], &body).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    wait_until("documents can be found", || {
        let listed = client.get("/v1/documents?limit=1000").json();
        let states: Vec<&str> = listed["documents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["state"].as_str().unwrap())
            .collect();
        assert!(!states.contains(&"failed"), "{listed}");
        states.len() >= files.len() && states.iter().all(|state| *state == "committed")
    });
}

/// A server with two documents.
fn with_documents(variables: &[(&str, &str)]) -> Served {
    let served = Served::start_with(&[], &[&[MOCK_VECTORS], variables].concat());
    hand_in(&served.client(), &[("shell.txt", SHELL.as_bytes()), ("harbour.txt", HARBOUR.as_bytes())]);
    served
}

fn ask(client: &Client, question: &str) -> Value {
    let answer = client.post("/v1/ask", &json!({ "question": question }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn without_a_model_sentences_answer_and_say_so() {
    let served = with_documents(&[]);
    let client = served.client();
    let answer = ask(&client, "Who wrote the zebra shell?");
    let text = answer["answer"].as_str().unwrap();
    assert!(text.starts_with("The zebra shell was written by Ada Okonkwo in 1987. ["), "{answer}");
    assert_eq!((&answer["extractive"], &answer["model"]), (&json!(true), &json!("extractive")));
    assert!(answer["note"].as_str().unwrap().starts_with("No model is configured"));
    let cited = &answer["citations"][0];
    assert!(text.contains(&format!("[{}]", cited["n"])), "{answer}");
    assert_eq!(cited["page"], 1, "{answer}");
    let document = client.get(&format!("/v1/documents/{}", cited["document"].as_str().unwrap()));
    assert_eq!(document.status, 200, "a citation leads to its document");
    assert_eq!(document.json()["uri"], cited["uri"]);
    // The names that other servers have for it.
    for name in ["query", "message"] {
        let same = client.post("/v1/ask", &json!({name: "Who wrote the zebra shell?"})).json();
        assert_eq!(same["answer"], answer["answer"]);
    }
    // Reading needs no token on this machine.
    let stranger = served.client_with(None);
    assert_eq!(ask(&stranger, "Who wrote the zebra shell?")["answer"], answer["answer"]);
    // What is new is in the next answer.
    hand_in(
        &client,
        &[("later.txt", b"The yak shell was written by Grace Lindqvist in 1991. It is small.")],
    );
    let later = ask(&client, "Who wrote the yak shell?");
    assert!(later["answer"].as_str().unwrap().contains("Grace Lindqvist"), "{later}");
}

#[test]
fn what_is_no_question_is_refused() {
    let served = Served::start_with(&[], &[MOCK_VECTORS]);
    let client = served.client();
    let long = "x".repeat(8_193);
    let cases = [
        (json!({}), "body"),
        (json!({"question": ""}), "question"),
        (json!({"question": long}), "question"),
        (json!({"question": "a", "k": 0}), "k"),
        (json!({"question": "a", "k": 33}), "k"),
        (json!({"question": "a", "tools": []}), "body"),
        (json!({"question": "a", "filter": {"documents": ["x"]}}), "documents"),
        (json!({"question": "a", "history": [{"role": "system", "content": "obey"}]}), "body"),
    ];
    for (body, field) in &cases {
        for path in ["/v1/ask", "/v1/ask/stream", "/ask/stream"] {
            let answer = client.post(path, body);
            assert_eq!(answer.status, 422, "{path} {body}: {}", answer.text());
            assert_eq!(answer.json()["field"], *field, "{path} {body}");
        }
    }
    let empty = ask(&client, "Who wrote the zebra shell?");
    assert_eq!(empty["answer"], "Nothing was found that answers this.");
    assert_eq!(empty["citations"], json!([]));
    // Streams that nobody knows are all the same.
    let lost = |event: &str| {
        let headers = [("content-type", "application/json"), ("last-event-id", event)];
        let answer = client.send("POST", "/v1/ask/stream", &headers, b"{\"question\":\"a\"}").unwrap();
        (answer.status, answer.text())
    };
    let unknown = lost("00000000000000000000000000000000-3");
    assert_eq!(unknown.0, 410);
    assert_eq!(lost("x"), unknown);
    let named = client.get("/v1/ask/00000000000000000000000000000000");
    assert_eq!((named.status, named.text()), unknown);
}

#[test]
fn errors_are_said_as_openai_says_them() {
    let served = Served::start_with(&[], &[MOCK_VECTORS]);
    let client = served.client();
    let ask = |path: &str, body: Value| {
        let answer = client.post(path, &body);
        let code = answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned();
        (answer.status, code)
    };
    let hello = json!([{"role": "user", "content": "hello"}]);
    let cases = [
        ("/v1/chat/completions", json!({"model": "gpt", "messages": hello}), 404, "model_unknown"),
        ("/v1/chat/completions", json!({"model": "docmill", "messages": []}), 422, "invalid"),
        ("/v1/chat/completions", json!({"model": "docmill"}), 422, "invalid"),
        ("/v1/embeddings", json!({"model": "docmill", "input": "a"}), 404, "model_unknown"),
        ("/v1/embeddings", json!({"model": "docmill-embed", "input": [1, 2]}), 422, "invalid"),
    ];
    for (path, body, status, code) in cases {
        assert_eq!(ask(path, body.clone()), (status, code.to_owned()), "{path} {body}");
    }
}
