//! What is remembered of asks: sources that a model is given again until something is committed, and, over a restart, the
//! questions.

use docmill_tests::services::http::Client;
use docmill_tests::services::process::wait_until;
use docmill_tests::services::served::Served;
use serde_json::{Value, json};

use super::{MOCK_VECTORS, SHELL, ask, hand_in, with_documents};

/// A figure of the metrics.
fn figure(client: &Client, name: &str) -> f64 {
    let metrics = client.get("/metrics").text();
    let line = metrics.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap().to_owned();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Searches that a store answered.
fn searches(client: &Client) -> f64 {
    figure(client, "docmill_api_search_seconds_count")
}

#[test]
fn a_mock_writes_anew_and_searches_once() {
    let served = with_documents(&[("USE_MOCK_LLM", "1")]);
    let client = served.client();
    // What is committed while it is searched is not remembered: the first answers may be of before.
    wait_until("sources are remembered", || {
        let before = searches(&client);
        ask(&client, "Who wrote the zebra shell?");
        searches(&client) == before
    });
    let before = searches(&client);
    let question = json!({"question": "Who wrote the zebra shell?"});
    let streamed = client.post("/v1/ask/stream", &question).text();
    assert!(streamed.contains("zebra") && streamed.contains("event: final_answer"), "{streamed}");
    let chat = json!({"model": "docmill", "messages": [{"role": "user", "content": question["question"]}]});
    assert_eq!(client.post("/v1/chat/completions", &chat).status, 200);
    assert!(searches(&client) <= before, "they ask for the same sources");
    let headers = [("content-type", "application/json"), ("cache-control", "no-cache")];
    let anew = client.send("POST", "/v1/ask", &headers, question.to_string().as_bytes()).unwrap();
    assert_eq!((anew.status, searches(&client)), (200, before + 1.0));
    // Others' sources, and those of now.
    let narrow = json!({"question": question["question"], "k": 1});
    client.post("/v1/ask", &narrow);
    assert_eq!(searches(&client), before + 2.0);
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
    wait_until("what was asked most is found again", || figure(&client, "docmill_api_memo_entries") >= 1.0);
    let (before, hits) = (searches(&client), figure(&client, "docmill_api_memo_hits_total"));
    let found: Value = client.get("/v1/search?q=zebra+shell").json();
    assert_eq!(found["results"][0]["text"], SHELL);
    assert_eq!(searches(&client), before, "nobody was asked");
    wait_until("it is counted", || figure(&client, "docmill_api_memo_hits_total") > hits);
}
