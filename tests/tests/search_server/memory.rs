//! Answers of the API are remembered, and forgotten with the commit of another document, in whatever process that is.

use docmill_tests::services::http::{Client, form};
use docmill_tests::services::process::wait_until;
use serde_json::{Value, json};

use super::house::House;

const ASKED: &str = "/v1/search?q=barometer+harbour&k=5";

fn upload(client: &Client, n: usize) {
    let text =
        format!("Letter {n}: the barometer fell all night, and in the morning the harbour lay in fog.");
    let (kind, body) = form(&[("a.txt", text.as_bytes())]);
    let answer = client.send("POST", "/v1/documents", &[("content-type", &kind)], &body).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
}

fn found(client: &Client) -> usize {
    let answer = client.get(ASKED);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["results"].as_array().unwrap().len()
}

#[test]
fn answers_are_remembered_until_a_commit() {
    let house = House::new("");
    let (one, two) = (house.key("one", "read,write,admin"), house.key("two", "read,write"));
    let (api, _worker) = (house.api(), house.worker());
    let (client, other) = (api.client(Some(&one)), api.client(Some(&two)));
    for n in 0..4 {
        assert_eq!(found(&client), 0, "{n}");
    }
    wait_until("hits are counted", || client.figure("docmill_api_memo_hits_total") >= 3.0);
    upload(&client, 1);
    wait_until("the first document", || found(&client) == 1);
    upload(&client, 2);
    wait_until("the second document", || found(&client) == 2);
    assert_eq!(found(&other), 0, "by the same words");
    // The same question in a body, and in words of another order of parts.
    let posted = client.post("/v1/search", &json!({"query": "barometer harbour", "k": 5})).json();
    assert_eq!(posted, client.get("/v1/search?k=5&q=barometer%20harbour").json());
    let fresh = client.send("GET", ASKED, &[("cache-control", "no-cache")], b"").unwrap();
    assert_eq!(fresh.json()["results"], posted["results"]);
    // They are counted every half second.
    wait_until("what is remembered is counted", || client.figure("docmill_api_memo_entries") >= 1.0);
    wait_until("what is forgotten is counted", || {
        client.figure("docmill_api_memo_invalidated_total") >= 1.0
    });
    // How often all tenants were answered from memory is for administrators.
    let cache = |client: &Client| client.get("/v1/overview").json()["cache"].clone();
    assert!(cache(&client)["hits"].as_u64().unwrap() >= 3);
    assert_eq!(cache(&other), json!({"hits": 0, "misses": 0, "entries": 0}));
    // What is not allowed is said, and a tenant cannot be named.
    for (path, field) in [
        ("/v1/search", "query"),
        ("/v1/search?q=a&k=101", "k"),
        ("/v1/search?q=a&cursor=x", "cursor"),
        ("/v1/search?q=a&from=yesterday", "committedFrom"),
        ("/v1/search?q=a&tenant=two", "query"),
    ] {
        let answer = client.get(path);
        assert_eq!((answer.status, &answer.json()["field"]), (422, &Value::from(field)), "{path}");
    }
    api.ends_well();
}
