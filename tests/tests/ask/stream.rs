//! Answers as server-sent events: their order, one a word from a mock, and going on after a broken connection.

use std::collections::BTreeSet;

use docmill_tests::services::served::Served;
use serde_json::{Value, json};

use super::{MOCK_VECTORS, with_documents};

/// An event as a client reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// What to go on after.
    pub id: String,
    /// What kind of thing it is.
    pub name: String,
    /// What it says.
    pub data: Value,
}

/// Events that come.
pub struct Events {
    answer: reqwest::Response,
    text: String,
}

impl Events {
    /// Asks.
    pub async fn ask(served: &Served, path: &str, body: &Value, after: Option<&str>) -> Self {
        let mut request = reqwest::Client::new()
            .post(format!("{}{path}", served.base))
            .header("content-type", "application/json")
            .body(body.to_string());
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        Self::of(request).await
    }

    /// Of this request.
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, text: String::new() }
    }

    /// The next event; none at the end.
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let field =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let Some(data) = field("data: ") else { continue };
                let data = serde_json::from_str(&data).unwrap_or(Value::String(data));
                let (id, name) = (field("id: ").unwrap_or_default(), field("event: ").unwrap_or_default());
                return Some(Told { id, name, data });
            }
            let more = self.answer.chunk().await.unwrap()?;
            // Text of these tests is ASCII, so no letter is cut.
            self.text.push_str(std::str::from_utf8(&more).unwrap());
        }
    }

    /// All that are left.
    pub async fn rest(mut self) -> Vec<Told> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

fn names(events: &[Told]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

#[tokio::test]
async fn events_come_in_order_and_a_mock_says_a_word_an_event() {
    let served = with_documents(&[("USE_MOCK_LLM", "1")]);
    let question = json!({"question": "Who wrote the zebra shell?"});
    for path in ["/v1/ask/stream", "/ask/stream"] {
        let events = Events::ask(&served, path, &question, None).await.rest().await;
        let messages: Vec<&str> = events
            .iter()
            .filter(|event| event.name == "message")
            .map(|event| event.data["delta"].as_str().unwrap())
            .collect();
        assert_eq!(messages.len(), 20, "{events:?}");
        assert!(messages.concat().starts_with("Mock response to: Who wrote the zebra shell? "));
        assert_eq!(names(&events)[..2], ["search_results", "message"]);
        let last = events.last().unwrap();
        assert_eq!((last.name.as_str(), &last.data["answer"]), ("final_answer", &json!(messages.concat())));
        assert_eq!(last.data["model"], "mock");
        let found = events[0].data["results"].as_array().unwrap();
        let shown = |source: &Value| source["snippet"].as_str().unwrap().contains("zebra");
        assert!(found.iter().any(shown), "{found:?}");
        let ids: BTreeSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids.len(), events.len(), "every event has a name of its own");
    }
    // Asked for in other ways.
    let streamed = json!({"question": "Who wrote the zebra shell?", "stream": true});
    let events = Events::ask(&served, "/v1/ask", &streamed, None).await.rest().await;
    assert_eq!(names(&events).last(), Some(&"final_answer"));
}

#[tokio::test]
async fn citations_are_told_where_they_come_up() {
    let served = with_documents(&[]);
    let question = json!({"question": "Who wrote the zebra shell?"});
    let events = Events::ask(&served, "/v1/ask/stream", &question, None).await.rest().await;
    assert_eq!(names(&events)[..3], ["search_results", "message", "citation"], "{events:?}");
    assert_eq!(names(&events).last(), Some(&"final_answer"));
    assert_eq!(events[2].data, events.last().unwrap().data["citations"][0]);
    // From memory it says the same.
    let again = Events::ask(&served, "/v1/ask/stream", &question, None).await.rest().await;
    assert_eq!(again.last().unwrap().data, events.last().unwrap().data);
}

#[tokio::test]
async fn a_broken_connection_is_gone_on_with() {
    let served =
        Served::start_with(&[], &[MOCK_VECTORS, ("USE_MOCK_LLM", "1"), ("MOCK_LLM_DELAY_MS", "40")]);
    let question = json!({"question": "Who wrote the zebra shell?"});
    let mut broken = Events::ask(&served, "/v1/ask/stream", &question, None).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(broken.next().await.unwrap());
    }
    drop(broken);
    let last = seen.last().unwrap().id.clone();
    seen.extend(Events::ask(&served, "/v1/ask/stream", &question, Some(&last)).await.rest().await);
    let run = last.rsplit_once('-').unwrap().0.to_owned();
    let numbers: Vec<String> = (1..=seen.len()).map(|n| format!("{run}-{n}")).collect();
    assert_eq!(
        seen.iter().map(|event| event.id.clone()).collect::<Vec<_>>(),
        numbers,
        "nothing twice, nothing left out"
    );
    assert_eq!(names(&seen).last(), Some(&"final_answer"));
    assert_eq!(names(&seen).iter().filter(|name| **name == "message").count(), 20);
    // By name, from the beginning, after its end.
    let whole =
        Events::of(reqwest::Client::new().get(format!("{}/v1/ask/{run}", served.base))).await.rest().await;
    assert_eq!(whole, seen);
}

#[tokio::test]
async fn what_nobody_reads_any_more_ends_with_the_server() {
    let slow = [MOCK_VECTORS, ("USE_MOCK_LLM", "1"), ("MOCK_LLM_DELAY_MS", "30000")];
    let served = Served::start_with(&[], &slow);
    let mut waiting = Events::ask(&served, "/v1/ask/stream", &json!({"question": "Why?"}), None).await;
    assert_eq!(waiting.next().await.unwrap().name, "search_results");
    let ending = tokio::task::spawn_blocking(move || served.end());
    assert_eq!(waiting.next().await, None, "a stream ends with the server that writes it");
    ending.await.unwrap();
}
