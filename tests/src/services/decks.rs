//! Ten presentations at once, as programs that know `/ingest/pptx` alone send them: the same case for every shape.

use super::http::{Client, form};
use super::process::wait_until;
use crate::corpus::pptx;

/// Presentations that are sent at once.
const DECKS: usize = 10;

/// Sends them, and waits until each is found by the word that it alone has.
///
/// # Panics
/// One is not taken or not found, or is found as something else.
pub fn ten_at_once(client: &Client) {
    std::thread::scope(|scope| {
        for n in 0..DECKS {
            scope.spawn(move || {
                let slides = [
                    ("Harbour dues".to_owned(), format!("Quarter number{n} of the harbour of Port Ellen.")),
                    ("Outlook".to_owned(), format!("The guillemot{n} returns to the cliffs in March.")),
                ];
                let (kind, body) = form(&[(&format!("deck {n}.pptx"), &pptx(&slides))]);
                let answer =
                    client.send("POST", "/ingest/pptx", &[("content-type", &kind)], &body).unwrap();
                assert_eq!(answer.status, 202, "{}", answer.text());
            });
        }
    });
    for n in 0..DECKS {
        let word = format!("guillemot{n}");
        wait_until(&format!("{word} is found"), || {
            let answer = client.get(&format!("/v1/search?q={word}&k=50"));
            let results = answer.json()["results"].as_array().cloned().unwrap_or_default();
            let by_word = |hit: &&serde_json::Value| {
                hit["text"].as_str().is_some_and(|text| text.contains(&format!("{word} returns")))
            };
            let Some(hit) = results.iter().find(by_word) else { return false };
            // The second slide is the second page, and the first line its heading.
            assert_eq!(hit["page"], 2, "{hit}");
            true
        });
    }
    let committed = client.get("/v1/documents?state=committed&limit=1000").json();
    let presentations = committed["documents"].as_array().unwrap().iter();
    let are_such = |one: &&serde_json::Value| {
        one["mediaType"].as_str().is_some_and(|kind| kind.ends_with("presentationml.presentation"))
    };
    assert_eq!(presentations.filter(are_such).count(), DECKS, "{committed}");
}
