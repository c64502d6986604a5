//! Replays of some dead letters, and of so many that a replay is interrupted and goes on.

use std::time::{Duration, Instant};

use docmill_core::failure::FailureCode;
use docmill_tests::services::process::wait_until;
use serde_json::{Value, json};

use super::house::House;
use super::letters::{LETTERS, Letters, TOGETHER};
use super::{first_id, prose, state_of, upload, wait_state};

const REPLAY: &str = "/v1/dead-letters/replay";
/// Longer than one request replays before it answers.
const LONG: Duration = Duration::from_millis(10_500);
/// Dead letters that fail again while others are still to be replayed.
const AGAIN: usize = 10;

fn counts(answer: &Value) -> [Option<u64>; 2] {
    ["replayed", "remaining"].map(|name| answer[name].as_u64())
}

#[test]
fn what_failed_with_a_code_is_replayed_and_nothing_else() {
    let house = House::new("");
    let key = house.key("default", "read,write");
    let api = house.api();
    let client = api.client(Some(&key));
    let broken =
        |n: u8| first_id(&upload(&client, "/v1/documents", "broken.pdf", &[0, 1, 2, 255, 0, n], &[]));
    let broken = [broken(1), broken(2)];
    let uri = house.file("gone.txt", &prose(1));
    let gone = first_id(&client.post("/v1/batches", &json!({"uris": [uri]})));
    std::fs::remove_file(uri.strip_prefix("file://").unwrap()).unwrap();
    let worker = house.worker();
    let letters = |query: &str| -> Vec<Value> {
        let page = client.get(&format!("/v1/dead-letters{query}")).json();
        page["deadLetters"].as_array().unwrap().clone()
    };
    wait_until("dead letters", || letters("").len() == 3);
    // Nobody works on what is replayed: it stays as the replay leaves it.
    drop(worker);
    let code = |id: &str| {
        let letter = client.get(&format!("/v1/dead-letters/{id}")).json();
        letter["reason"]["code"].as_str().unwrap().to_owned()
    };
    let damaged = code(&broken[0]);
    let vanished = FailureCode::Vanished.as_str();
    assert_eq!((code(&broken[1]), code(&gone)), (damaged.clone(), vanished.to_owned()));
    assert_ne!(damaged, vanished);
    assert_eq!(letters(&format!("?code={damaged}")).len(), 2);
    let replay = |wanted: Value| counts(&client.post(REPLAY, &wanted).json());
    // Nothing failed with this one.
    assert_eq!(replay(json!({"code": FailureCode::DiskFull.as_str()})), [Some(0), Some(0)]);
    assert_eq!(letters("").len(), 3);
    assert_eq!(replay(json!({"code": damaged})), [Some(2), Some(0)]);
    for id in &broken {
        assert_eq!(state_of(&client, id), "queued");
    }
    assert_eq!(state_of(&client, &gone), "failed");
    let left = letters("");
    assert_eq!((left.len(), &left[0]["id"]), (1, &json!(gone)));
    assert_eq!(replay(json!({"code": damaged})), [Some(0), Some(0)]);
    // What somebody cancelled is none of all, and is begun again where its code is named.
    let stopped = client.post("/v1/batches", &json!({"uris": [house.file("stopped.txt", &prose(2))]}));
    let batch = stopped.json()["id"].as_str().unwrap().to_owned();
    let stopped = first_id(&stopped);
    assert_eq!(client.post(&format!("/v1/batches/{batch}/cancel"), &json!({})).json()["cancelled"], 1);
    assert_eq!(replay(json!({"all": true})), [Some(1), Some(0)]);
    assert_eq!([&gone, &stopped].map(|id| state_of(&client, id)), ["queued", "cancelled"]);
    assert_eq!(replay(json!({"code": FailureCode::Cancelled.as_str()})), [Some(1), Some(0)]);
    let _worker = house.worker();
    wait_state(&client, &stopped, "committed");
    wait_until("the others failed again", || letters("").len() == 3);
}

#[test]
fn a_replay_whose_api_is_killed_goes_on_where_it_was() {
    let house = House::new("");
    let key = house.key("default", "read,write,admin");
    let letters = Letters::write(&house);
    let held = letters.hold_one_of_the_second();
    let api = house.api();
    let client = api.client(Some(&key));
    let all = json!({"all": true});
    let body = all.to_string();
    std::thread::scope(|scope| {
        let head = [("content-type", "application/json")];
        let (client, body) = (&client, body.as_bytes());
        let asked = scope.spawn(move || client.send("POST", REPLAY, &head, body));
        wait_until("the second transaction", || house.waiting_for(&held) > 0);
        // Dropped is killed.
        drop(api);
        assert!(asked.join().unwrap().is_err(), "it was answered before it was killed");
    });
    letters.replayed_once(TOGETHER);
    drop(held);
    let api = house.api();
    let client = api.client(Some(&key));
    let rest = client.post(REPLAY, &all).json();
    assert_eq!(counts(&rest), [Some((LETTERS - TOGETHER) as u64), Some(0)], "{rest}");
    letters.replayed_once(LETTERS);
    wait_until("each has its entry", || {
        client.get("/v1/queues").json()["lanes"][0]["waiting"] == json!(LETTERS)
    });
}

#[test]
fn a_replay_that_takes_long_says_how_to_go_on() {
    let house = House::new("");
    let key = house.key("default", "read,write");
    let letters = Letters::write(&house);
    let held = letters.hold_one_of_the_second();
    let api = house.api();
    let client = api.client(Some(&key));
    let some = std::thread::scope(|scope| {
        let client = &client;
        let asked = scope.spawn(move || client.post(REPLAY, &json!({"all": true})));
        wait_until("the second transaction", || house.waiting_for(&held) > 0);
        let since = Instant::now();
        wait_until("longer than one request replays", || since.elapsed() > LONG);
        letters.fail_again(AGAIN);
        drop(held);
        asked.join().unwrap().json()
    });
    let (many, rest) = (2 * TOGETHER, LETTERS - 2 * TOGETHER);
    assert_eq!(counts(&some), [Some(many as u64), Some(rest as u64)], "{some}");
    letters.replayed_once(many);
    // What failed again since the first request is not meant.
    let go_on = json!({"all": true, "untilMs": some["untilMs"]});
    assert_eq!(counts(&client.post(REPLAY, &go_on).json()), [Some(rest as u64), Some(0)]);
    assert_eq!(counts(&client.post(REPLAY, &go_on).json()), [Some(0), Some(0)]);
    letters.replayed_once(LETTERS);
    assert_eq!(house.count("documents WHERE state = 'failed'"), AGAIN as i64);
}
