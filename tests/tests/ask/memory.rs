//! What is remembered of asks: sources that a model is given again until something is committed, and, over a restart, the
//! questions.

use docmill_tests::services::http::Client;
use docmill_tests::services::process::wait_until;
use docmill_tests::services::served::Served;
use serde_json::{Value, json};

use super::{MOCK_VECTORS, SHELL, ask, hand_in, with_documents};

/// Searches that a store answered.
fn searches(client: &Client) -> f64 {
    client.figure("docmill_api_search_seconds_count")
}

#[test]
fn a_mock_writes_anew_and_searches_once() {
    let served = with_documents(&[("USE_MOCK_LLM", "1")]);
    let client = served.client();
    let question = json!({"question": "Who wrote the zebra shell?"});
    let chat = json!({"model": "docmill", "messages": [{"role": "user", "content": question["question"]}]});
    // What was found while something was committed is not remembered: the first may search again.
    wait_until("the sources are remembered", || {
        let before = searches(&client);
        ask(&client, "Who wrote the zebra shell?");
        let streamed = client.post("/v1/ask/stream", &question).text();
        assert!(streamed.contains("zebra") && streamed.contains("event: final_answer"), "{streamed}");
        assert_eq!(client.post("/v1/chat/completions", &chat).status, 200);
        searches(&client) == before
    });
    let before = searches(&client);
    let headers = [("content-type", "application/json"), ("cache-control", "no-cache")];
    let anew = client.send("POST", "/v1/ask", &headers, question.to_string().as_bytes()).unwrap();
    assert_eq!(anew.status, 200);
    assert!(searches(&client) > before, "it was to be of now");
    let before = searches(&client);
    let narrow = json!({"question": question["question"], "k": 1});
    assert_eq!(client.post("/v1/ask", &narrow).status, 200);
    assert!(searches(&client) > before, "these are other sources");
    hand_in(&client, &[("later.txt", b"The zebra shell was written again by Grace Lindqvist.")]);
    wait_until("what is new is a source", || {
        client.post("/v1/ask/stream", &question).text().contains("Grace Lindqvist")
    });
}

#[test]
fn the_questions_are_known_after_a_restart() {
    let served = Served::start_with(&[], &[MOCK_VECTORS]);
    hand_in(&served.client(), &[("shell.txt", SHELL.as_bytes())]);
    for _ in 0..4 {
        assert_eq!(served.client().get("/v1/search?q=zebra+shell").status, 200);
    }
    assert_eq!(served.client().get("/v1/search?q=asked+once").status, 200);
    served.end();
    served.start_again();
    let client = served.client();
    wait_until("what was asked most is found again", || client.figure("docmill_api_memo_entries") >= 1.0);
    let (before, hits) = (searches(&client), client.figure("docmill_api_memo_hits_total"));
    let found: Value = client.get("/v1/search?q=zebra+shell").json();
    assert_eq!(found["results"][0]["text"], SHELL);
    assert_eq!(searches(&client), before, "nobody was asked");
    wait_until("it is counted", || client.figure("docmill_api_memo_hits_total") > hits);
}
