//! How long, how freely and until where an answer is wished for by clients of OpenAI's API.

use docmill_tests::services::http::Client;
use docmill_tests::services::model::{Manner, Model};
use serde_json::{Value, json};

use super::with_documents;

fn chat(client: &Client, wishes: Value) -> (u16, Value) {
    let mut body = json!({
        "model": "docmill",
        "messages": [{"role": "user", "content": "Who wrote the zebra shell?"}],
    });
    body.as_object_mut().unwrap().extend(wishes.as_object().unwrap().clone());
    let answer = client.post("/v1/chat/completions", &body);
    (answer.status, answer.json())
}

#[test]
fn a_model_is_told_what_is_wished_within_its_limits() {
    let model = Model::start();
    model.say(&["Ada wrote it [1].\n", "\nAnd more."]);
    let base = model.base();
    let served = with_documents(&[("DOCMILL_ASK_URL", &base), ("DOCMILL_ASK_MODEL", "small")]);
    let client = served.client();
    let wishes =
        json!({"max_completion_tokens": 7, "temperature": 0.5, "stop": "\n\n", "top_p": 1, "n": 1});
    let (status, answer) = chat(&client, wishes);
    assert_eq!((status, &answer["choices"][0]["finish_reason"]), (200, &json!("stop")), "{answer}");
    let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(content.starts_with("Ada wrote it [1].") && !content.contains("more"), "{content}");
    let asked = model.asked().pop().unwrap();
    assert_eq!((&asked["max_tokens"], &asked["temperature"]), (&json!(7), &json!(0.5)), "{asked}");
    assert_eq!(asked["stop"], json!(["\n\n"]));
    // Nothing is wished, and more than there may be.
    chat(&client, json!({}));
    let plain = model.asked().pop().unwrap();
    assert!(plain.get("stop").is_none() && plain["max_tokens"] == 512, "{plain}");
    chat(&client, json!({"max_tokens": 100_000}));
    assert_eq!(model.asked().pop().unwrap()["max_tokens"], 512);
    // Who asked for a short answer takes it for one.
    model.behave(Manner::Short);
    let (status, answer) = chat(&client, json!({"max_tokens": 5}));
    assert_eq!((status, &answer["choices"][0]["finish_reason"]), (200, &json!("length")), "{answer}");
    assert_eq!(chat(&client, json!({"stop": "x"})).0, 502, "who did not, does not");
}

#[test]
fn sentences_keep_to_it_and_what_cannot_be_meant_is_refused() {
    let served = with_documents(&[]);
    let client = served.client();
    let (status, answer) = chat(&client, json!({"max_tokens": 5, "temperature": 0}));
    assert_eq!((status, &answer["choices"][0]["finish_reason"]), (200, &json!("length")), "{answer}");
    assert_eq!(answer["choices"][0]["message"]["content"], "The zebra shell was");
    // Another wish has another answer.
    let (_, whole) = chat(&client, json!({"stop": ["1987"]}));
    let content = whole["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(content.starts_with("The zebra shell was written by Ada Okonkwo in"), "{whole}");
    assert!(!content.contains("1987") && whole["choices"][0]["finish_reason"] == "stop", "{whole}");
    for (wishes, field) in [
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_completion_tokens": -5}), "max_completion_tokens"),
        (json!({"temperature": 3}), "temperature"),
        (json!({"stop": ["a", "b", "c", "d", "e"]}), "stop"),
        (json!({"stop": {"at": "once"}}), "stop"),
        (json!({"max_tokens": "many"}), "body"),
    ] {
        let (status, answer) = chat(&client, wishes.clone());
        assert_eq!((status, &answer["error"]["param"]), (422, &json!(field)), "{wishes}: {answer}");
        assert_eq!(answer["error"]["type"], "invalid_request_error", "{wishes}");
    }
}
