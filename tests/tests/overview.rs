//! What the dashboard asks of a server on one machine: the overview and its stream, manifests and pages.

// Helpers of tests panic as tests do.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use docmill_tests::corpus::{damaged_pdf, pdf};
use docmill_tests::services::http::{Client, form};
use docmill_tests::services::process::wait_until;
use docmill_tests::services::served::Served;
use serde_json::Value;

/// An event of a stream: its name and its data.
type Told = (String, Value);

fn upload(client: &Client, name: &str, bytes: &[u8]) -> String {
    let (kind, body) = form(&[(name, bytes)]);
    let accepted = client.send("POST", "/v1/documents", &[("content-type", &kind)], &body).unwrap();
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    accepted.json()["documents"][0]["id"].as_str().unwrap().to_owned()
}

fn committed(client: &Client, document: &str) -> Value {
    let path = format!("/v1/documents/{document}");
    wait_until("a commit", || client.get(&path).json()["state"] == "committed");
    client.get(&path).json()
}

/// Opens the stream of events.
fn events(served: &Served) -> BufReader<TcpStream> {
    let address = served.base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let token = served.token();
    let head = format!(
        "GET /v1/events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    BufReader::new(stream)
}

/// The next event; none at the end of the stream.
fn next(stream: &mut BufReader<TcpStream>) -> Option<Told> {
    let (mut name, mut line) = (None, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        if let Some(said) = line.strip_prefix("event: ") {
            name = Some(said.trim().to_owned());
        } else if let (Some(data), Some(name)) = (line.strip_prefix("data: "), name.clone()) {
            return Some((name, serde_json::from_str(data.trim()).unwrap()));
        }
    }
}

/// What is handed in shows in the overview and in its stream, which ends with the server.
#[test]
fn what_goes_on_is_told() {
    let served = Served::start();
    let client = served.client();
    let empty = client.get("/v1/overview").json();
    assert_eq!(
        (empty["queueReachable"].as_bool(), empty["batchesRunning"].as_u64()),
        (Some(true), Some(0))
    );
    assert_eq!(empty["lanes"].as_array().map(Vec::len), Some(2), "{empty}");
    assert_eq!(empty["etaS"], 0);

    let document = upload(&client, "rust.txt", b"Rust is a language. Tokio is a runtime.");
    committed(&client, &document);
    upload(&client, "broken.pdf", &damaged_pdf(1));
    wait_until("a dead letter", || client.get("/v1/overview").json()["failures"][0]["documents"] == 1);
    let overview = client.get("/v1/overview").json();
    assert_eq!(
        (&overview["documents"]["committed"], &overview["documents"]["failed"]),
        (&1.into(), &1.into())
    );
    let stages = overview["stages"].as_array().unwrap();
    assert!(
        stages.iter().any(|stage| stage["stage"] == "extract" && stage["p95Ms"].is_number()),
        "{overview}"
    );

    let mut stream = events(&served);
    let mut names = std::collections::BTreeSet::new();
    while names.len() < 3 {
        let (name, data) = next(&mut stream).unwrap();
        match name.as_str() {
            "overview" => assert_eq!(data["documents"]["committed"], 1),
            "batches" => assert!(data["batches"].is_array()),
            "workers" => assert!(data["workers"].is_array()),
            other => panic!("{other}: {data}"),
        }
        names.insert(name);
    }
    served.end();
    while next(&mut stream).is_some() {}
}

/// The text of a page is what was extracted, page by page; what is not there is told apart from what is empty.
#[test]
fn pages_are_shown() {
    let served = Served::start();
    let client = served.client();
    let long: String = (0..300).map(|n| format!("Sentence number {n} of a long page. ")).collect();
    let document = upload(&client, "long.txt", long.as_bytes());
    committed(&client, &document);
    let manifest = client.get(&format!("/v1/documents/{document}/manifest")).json();
    let chunks = manifest["chunks"].as_array().unwrap();
    assert!(chunks.len() > 1 && manifest["chunksInAll"] == chunks.len(), "{manifest}");
    let page = client.get(&format!("/v1/documents/{document}/pages/1")).json();
    assert_eq!(page["text"], long.trim());
    assert_eq!(page["hasImage"], false);
    assert!(page["noImage"].as_str().unwrap().contains("text alone"), "{page}");
    let image = client.get(&format!("/v1/documents/{document}/pages/1/image"));
    assert_eq!((image.status, image.json()["code"].as_str()), (404, Some("no_page_image")));
    let text = page["text"].as_str().unwrap();
    let mut covered = 0;
    for chunk in page["chunks"].as_array().unwrap() {
        let (start, end) =
            (chunk["start"].as_u64().unwrap() as usize, chunk["end"].as_u64().unwrap() as usize);
        assert!(start <= covered + 1 && end <= text.len(), "{chunk}");
        covered = end;
    }
    assert_eq!(covered, text.len());

    let document = upload(
        &client,
        "two.pdf",
        &pdf(&["The first page", "The second page"].map(|line| vec![line.to_owned()])),
    );
    committed(&client, &document);
    for (n, expected) in [(1, "The first page"), (2, "The second page")] {
        let page = client.get(&format!("/v1/documents/{document}/pages/{n}")).json();
        assert!(page["text"].as_str().unwrap().contains(expected), "{page}");
        assert_eq!((&page["pages"], &page["hasImage"]), (&2.into(), &true.into()));
    }
    for path in ["pages/3", "pages/0", "pages/x", "pages/-1"] {
        assert_eq!(client.get(&format!("/v1/documents/{document}/{path}")).status, 404, "{path}");
    }
    let nobodys = "00000000-0000-5000-8000-000000000000";
    for path in ["manifest", "pages/1", "pages/1/image"] {
        let missing = client.get(&format!("/v1/documents/{nobodys}/{path}"));
        assert_eq!((missing.status, missing.json()["code"].as_str()), (404, Some("not_found")), "{path}");
    }
    assert_eq!(client.get("/v1/scaling").status, 404);
    assert_eq!(client.get("/v1/work").json()["items"].as_array().map(Vec::len), Some(0));
}
