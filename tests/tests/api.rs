//! `docmill-worker api` as users meet it: real processes on a real Redis, PostgreSQL and volume, and killed.

// Helpers of tests panic as tests do.
#![allow(clippy::unwrap_used, clippy::large_futures)]

#[path = "api/decks.rs"]
mod decks;
#[path = "api/delays.rs"]
mod delays;
#[path = "api/edges.rs"]
mod edges;
#[path = "api/first_key.rs"]
mod first_key;
#[path = "api/house.rs"]
mod house;
#[path = "api/letters.rs"]
mod letters;
#[path = "api/operator.rs"]
mod operator;
#[path = "api/replays.rs"]
mod replays;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use docmill_tests::services::http::{Answer, Client, form};
use docmill_tests::services::neo4j::Neo4jServer;
use docmill_tests::services::postgres::Server;
use docmill_tests::services::process::wait_until;
use house::{CANARY, House};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Long enough to be a chunk.
fn prose(n: usize) -> Vec<u8> {
    format!("Letter {n}: the barometer fell all night, and in the morning the harbour lay in fog.")
        .into_bytes()
}

fn upload(client: &Client, path: &str, name: &str, bytes: &[u8], headers: &[(&str, &str)]) -> Answer {
    let (kind, body) = form(&[(name, bytes)]);
    let mut headers = headers.to_vec();
    headers.push(("content-type", &kind));
    client.send("POST", path, &headers, &body).unwrap()
}

fn first_id(answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["documents"][0]["id"].as_str().unwrap().to_owned()
}

fn state_of(client: &Client, id: &str) -> String {
    client.get(&format!("/v1/documents/{id}")).json()["state"].as_str().unwrap_or("none").to_owned()
}

fn wait_state(client: &Client, id: &str, state: &str) {
    wait_until(&format!("{id} {state}"), || state_of(client, id) == state);
}

#[test]
fn an_upload_is_found_repeated_changed_and_deleted() {
    let house = House::new("");
    let key = house.key("default", "read,write");
    let api = house.api();
    let client = api.client(Some(&key));
    let first = upload(&client, "/ingest/txt", "a.txt", &prose(1), &[("idempotency-key", "k1")]);
    let id = first_id(&first);
    assert_eq!(first.json()["documents"][0]["change"], "new");
    // The same request has the first answer, another one under its key is refused.
    let again = upload(&client, "/ingest/txt", "a.txt", &prose(1), &[("idempotency-key", "k1")]);
    assert_eq!((again.status, again.text()), (202, first.text()));
    let other = upload(&client, "/ingest/txt", "a.txt", &prose(2), &[("idempotency-key", "k1")]);
    assert_eq!((other.status, &other.json()["code"]), (422, &json!("idempotency_key_reused")));
    // Without a key, the same content is the same document.
    let same = upload(&client, "/v1/documents", "a.txt", &prose(1), &[]);
    assert_eq!(
        (first_id(&same), &same.json()["documents"][0]["change"]),
        (id.clone(), &json!("unchanged"))
    );
    wait_until("what nobody relies on is removed", || house.objects() == 1);
    let _worker = house.worker();
    wait_state(&client, &id, "committed");
    // A place has one document: A, B, A are its generations, and each is read from its own object.
    let mut place = String::new();
    for (generation, n) in [(1, 10), (2, 11), (3, 10)] {
        let answer = upload(&client, "/v1/documents?uri=letters/b.txt", "x.txt", &prose(n), &[]);
        place = first_id(&answer);
        assert_eq!(answer.json()["documents"][0]["generation"], generation);
        wait_state(&client, &place, "committed");
    }
    let listed = client.get("/v1/documents?state=committed&limit=1").json();
    assert_eq!(listed["documents"][0]["id"], json!(place));
    let rest =
        client.get(&format!("/v1/documents?limit=5&cursor={}", listed["next"].as_str().unwrap())).json();
    assert_eq!(rest["documents"][0]["id"], json!(id));
    let answer = client.send("DELETE", &format!("/v1/documents/{id}"), &[], b"").unwrap();
    assert_eq!(answer.status, 202);
    wait_until("the deletion", || {
        let shown = client.get(&format!("/v1/documents/{id}")).json();
        shown["deleted"] == true && shown["state"] == "committed"
    });
    assert_eq!(client.get("/v1/documents").json()["documents"].as_array().unwrap().len(), 1);
    api.ends_well();
}

#[test]
fn tenants_and_scopes_are_kept_apart() {
    let house = House::new("");
    let [one, two] = ["one", "two"].map(|tenant| house.key(tenant, "read,write"));
    let (reader, admin) = (house.key("one", "read"), house.key("one", "admin"));
    let api = house.api();
    let [one, two] = [one, two].map(|key| api.client(Some(&key)));
    let ids: Vec<String> = [&one, &two]
        .iter()
        .map(|client| first_id(&upload(client, "/v1/documents?uri=same.txt", "a.txt", &prose(1), &[])))
        .collect();
    assert_ne!(ids[0], ids[1]);
    let batch = one.post("/v1/batches", &json!({"name": "mine"})).json()["id"].as_str().unwrap().to_owned();
    assert_eq!(one.get(&format!("/v1/batches/{batch}")).status, 200);
    for path in [
        format!("/v1/documents/{}", ids[0]),
        format!("/v1/batches/{batch}"),
        format!("/v1/dead-letters/{}", ids[0]),
    ] {
        assert_eq!(two.get(&path).status, 404, "{path}");
    }
    assert_eq!(two.post(&format!("/v1/batches/{batch}/cancel"), &json!({})).status, 404);
    assert_eq!(two.send("DELETE", &format!("/v1/documents/{}", ids[0]), &[], b"").unwrap().status, 404);
    for body in [json!({"uris": []}), json!({"uris": ["file:///x"]})] {
        assert_ne!(two.post(&format!("/v1/batches/{batch}/documents"), &body).status, 202, "{body}");
    }
    let into = upload(&two, &format!("/v1/documents?batch={batch}"), "a.txt", &prose(3), &[]);
    assert_eq!(into.status, 404);
    for client in [&one, &two] {
        assert_eq!(client.get("/v1/documents").json()["documents"].as_array().unwrap().len(), 1);
    }
    assert_eq!(two.get("/v1/batches").json()["batches"], json!([]));
    // Scopes, and what is no key.
    let answer = upload(&api.client(Some(&reader)), "/v1/documents", "a.txt", &prose(1), &[]);
    assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("scope_needed")));
    assert_eq!(one.get("/v1/queues").status, 403);
    let admin_client = api.client(Some(&admin));
    assert_eq!(admin_client.get("/v1/queues").json()["lanes"][0]["unsettled"], 2);
    for client in [api.client(None), api.client(Some("docmill_x_y"))] {
        let answer = client.get("/v1/documents");
        assert_eq!((answer.status, answer.header("content-type")), (401, Some("application/problem+json")));
    }
    house.revoke(&reader);
    wait_until("the revocation", || api.client(Some(&reader)).get("/v1/documents").status == 401);
    // The operator's port, and labels without names.
    assert_eq!(api.internal(None).get("/internal/v1/observations").status, 401);
    let metrics = admin_client.get("/metrics").text();
    assert!(metrics.contains("route=\"/v1/documents/{id}\"") && !metrics.contains(&ids[0]), "{metrics}");
    house.nothing_leaked(&[&admin, &reader]);
}

#[test]
fn a_killed_api_loses_nothing_that_it_accepted() {
    let house = House::new("");
    let key = house.key("default", "read,write");
    let mut accepted = BTreeSet::new();
    for round in 0..3usize {
        let api = house.api();
        let client = api.client(Some(&key));
        let (ids, stop) = (Mutex::new(BTreeSet::new()), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for thread in 0..4usize {
                let (ids, stop, client) = (&ids, &stop, client.clone());
                scope.spawn(move || {
                    for n in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let (kind, body) =
                            form(&[("a.txt", &prose(round * 1_000_000 + thread * 10_000 + n))]);
                        match client.send("POST", "/v1/documents", &[("content-type", &kind)], &body) {
                            Ok(answer) if answer.status == 202 => {
                                ids.lock().unwrap().insert(first_id(&answer));
                            }
                            Ok(answer) => panic!("{}: {}", answer.status, answer.text()),
                            // It was killed.
                            Err(_) => return,
                        }
                    }
                });
            }
            wait_until("uploads", || ids.lock().unwrap().len() >= 20 * (round + 1));
            drop(api);
            stop.store(true, Ordering::Relaxed);
        });
        accepted.extend(ids.into_inner().unwrap());
    }
    let api = house.api();
    let client = api.client(Some(&key));
    for id in &accepted {
        assert_ne!(state_of(&client, id), "none", "{id} was accepted and is lost");
    }
    let _worker = house.worker();
    for id in &accepted {
        wait_state(&client, id, "committed");
    }
    println!("{} accepted, none lost", accepted.len());
}

#[test]
fn a_cancelled_batch_is_not_begun_and_may_be_submitted_again() {
    let house = House::new("");
    let key = house.key("default", "read,write");
    let api = house.api();
    let client = api.client(Some(&key));
    let uris: Vec<String> = (0..20).map(|n| house.file(&format!("{n}.txt"), &prose(n))).collect();
    let answer = client.post("/v1/batches", &json!({"name": "files", "uris": uris}));
    assert_eq!(answer.status, 202, "{}", answer.text());
    let batch = answer.json()["id"].as_str().unwrap().to_owned();
    let shown = client.get(&format!("/v1/batches/{batch}")).json();
    assert_eq!((&shown["documents"]["queued"], &shown["progressPercent"]), (&json!(20), &json!(0.0)));
    // What another batch wants too goes on.
    let other = client.post("/v1/batches", &json!({"uris": uris[..2]})).json();
    assert_eq!(other["documents"][0]["change"], "unchanged");
    assert_eq!(client.post(&format!("/v1/batches/{batch}/cancel"), &json!({})).json()["cancelled"], 18);
    assert_eq!(client.post(&format!("/v1/batches/{batch}/cancel"), &json!({})).json()["cancelled"], 0);
    let more = client.post(&format!("/v1/batches/{batch}/documents"), &json!({"uris": uris}));
    assert_eq!(more.status, 404);
    let _worker = house.worker();
    let shown = |batch: &str| client.get(&format!("/v1/batches/{batch}")).json();
    let other = other["id"].as_str().unwrap();
    wait_until("the other batch", || shown(other)["documents"]["committed"] == 2);
    assert_eq!(shown(other)["state"], "done");
    let cancelled = shown(&batch);
    assert_eq!(
        (&cancelled["state"], &cancelled["documents"]["cancelled"]),
        (&json!("cancelled"), &json!(18))
    );
    assert_eq!(client.get("/v1/dead-letters").json()["deadLetters"], json!([]), "cancelled is not dead");
    assert_eq!(
        client.get("/v1/documents?state=cancelled").json()["documents"].as_array().unwrap().len(),
        18
    );
    let again = client.post("/v1/batches", &json!({"uris": uris})).json();
    let again = again["id"].as_str().unwrap();
    wait_until("the batch again", || shown(again)["documents"]["committed"] == 20);
    // What was only looked at is known now: nothing is done twice.
    let known = client.post("/v1/batches", &json!({"uris": uris})).json();
    assert!(
        known["documents"].as_array().unwrap().iter().all(|document| document["change"] == "unchanged")
    );
    // Nothing outside of the root, and nothing of uploads.
    for (uri, code) in [
        ("file:///etc/passwd".to_owned(), "source_refused"),
        (house.file("../outside.txt", b"x"), "source_refused"),
        (format!("file://{}/uploads/default/aa/bb", house.volume().display()), "source_refused"),
        ("s3://other/x".to_owned(), "source_refused"),
        (format!("s3://me:{CANARY}@other/x"), "source_refused"),
        (format!("https://other/x?X-Amz-Signature={CANARY}"), "source_refused"),
    ] {
        let answer = client.post("/v1/batches", &json!({"uris": [uri]}));
        assert_eq!((answer.status, answer.json()["code"].as_str()), (422, Some(code)), "{}", answer.text());
        assert_eq!(answer.json()["field"], "uris[0]");
        assert!(!answer.text().contains(CANARY), "what may be secret in a URI is not repeated");
    }
    let place = format!("/v1/documents?uri=https://me:{CANARY}@other/x.txt");
    let answer = upload(&client, &place, "x.txt", &prose(1), &[]);
    assert_eq!((answer.status, answer.text().contains(CANARY)), (422, false), "{}", answer.text());
}

#[test]
fn limits_and_outages_say_when_to_come_back() {
    let server = Server::start().unwrap();
    let house = House::on(&server.fresh(), "  maxUploadBytes: 1000\n  highWaterDocuments: 3\n");
    let key = house.key("default", "read,write,admin");
    let api = house.api();
    let client = api.client(Some(&key));
    let large = upload(&client, "/v1/documents", "a.txt", &[b'x'; 2_000], &[]);
    assert_eq!((large.status, &large.json()["code"]), (413, &json!("too_large")));
    wait_until("what was refused is removed", || house.objects() == 0);
    // Without the queue documents are taken, and the ledger keeps them.
    house.redis.kill();
    let id = first_id(&upload(&client, "/v1/documents", "a.txt", &prose(1), &[]));
    assert_eq!(client.get("/v1/queues").json()["queueReachable"], false);
    house.redis.start_again();
    let worker = house.worker();
    wait_state(&client, &id, "committed");
    drop(worker);
    let full = |client: &Client| {
        for n in 0..20 {
            let answer = upload(client, "/v1/documents", "a.txt", &prose(100 + n), &[]);
            if answer.status != 202 {
                return answer;
            }
        }
        panic!("twenty of three were taken");
    };
    let answer = full(&client);
    assert_eq!((answer.status, &answer.json()["code"]), (429, &json!("queue_full")));
    assert!(answer.header("retry-after").is_some());
    // Without the ledger nothing is.
    server.kill().unwrap();
    let answer = client.get("/v1/documents");
    assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("ledger_unavailable")));
    assert!(answer.header("retry-after").is_some());
    wait_until("not ready", || client.get("/readyz").status == 503);
    server.restart().unwrap();
    wait_until("the ledger again", || client.get("/v1/documents").status == 200);
}

#[test]
fn without_keys_only_this_machine_is_answered() {
    let house = House::new("  listen: 0.0.0.0:PORT\n");
    let api = house.api();
    let client = api.client(None);
    assert_eq!(client.get("/v1/documents").status, 200);
    let evil = client.send("GET", "/v1/documents", &[("host", "evil.example")], b"").unwrap();
    assert_eq!((evil.status, &evil.json()["code"]), (403, &json!("not_this_machine")));
    let evil = client.send("GET", "/v1/documents", &[("origin", "https://evil.example")], b"").unwrap();
    assert_eq!(evil.status, 403);
    let refused = upload(&client, "/v1/documents", "a.txt", &prose(1), &[]);
    assert_eq!((refused.status, &refused.json()["code"]), (401, &json!("token_needed")));
    let token = std::fs::read_to_string(house.token_file()).unwrap();
    let mode = std::fs::metadata(house.token_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    first_id(&upload(&client, "/v1/documents", "a.txt", &prose(1), &[("x-docmill-token", &token)]));
    // Once there is a key, nobody is let in without.
    house.key("default", "read");
    // Whether there are keys is asked of the ledger every two seconds.
    wait_until("nobody is let in", || client.get("/v1/documents").status == 401);
    house.nothing_leaked(&[&token]);
}

#[test]
fn dead_letters_are_replayed_each_once() {
    let house = House::new("");
    let key = house.key("default", "read,write");
    let api = house.api();
    let client = api.client(Some(&key));
    let _worker = house.worker();
    for n in 0..3u8 {
        first_id(&upload(&client, "/v1/documents", "broken.pdf", &[0, 1, 2, 255, 0, n], &[]));
    }
    let letters = || client.get("/v1/dead-letters").json()["deadLetters"].as_array().unwrap().clone();
    wait_until("dead letters", || letters().len() == 3);
    let letter = &letters()[0];
    let id = letter["id"].as_str().unwrap();
    let reason = &client.get(&format!("/v1/dead-letters/{id}")).json()["reason"];
    assert!(reason["code"].is_string() && !reason["whatToDo"].as_str().unwrap().is_empty(), "{reason}");
    assert_eq!(reason["stage"], "extract");
    for bad in [json!({}), json!({"all": true, "code": "damaged"}), json!({"code": "nonsense"})] {
        assert_eq!(client.post("/v1/dead-letters/replay", &bad).status, 422, "{bad}");
    }
    let replayed = client.post("/v1/dead-letters/replay", &json!({"documents": [id]})).json();
    assert_eq!((&replayed["replayed"], &replayed["remaining"]), (&json!(1), &json!(0)));
    wait_until("it failed again", || letters().len() == 3);
    let replayed = client.post("/v1/dead-letters/replay", &json!({"all": true})).json();
    assert_eq!(replayed["replayed"], 3);
    wait_until("they failed again", || letters().len() == 3);
    // The same again, resumed: what failed since is not meant.
    let until = replayed["untilMs"].clone();
    let resumed = client.post("/v1/dead-letters/replay", &json!({"all": true, "untilMs": until})).json();
    assert_eq!((&resumed["replayed"], &resumed["remaining"]), (&json!(0), &json!(0)));
}

#[test]
fn a_drained_worker_takes_nothing_until_it_is_resumed() {
    let house = House::new("");
    let key = house.key("default", "read,write,admin");
    let api = house.api();
    let (client, internal) = (api.client(Some(&key)), api.internal(Some(CANARY)));
    let worker = house.worker();
    let observe = || -> Value {
        let line = internal.first_line("/internal/v1/observations?intervalMs=100").unwrap();
        serde_json::from_str(&line).unwrap()
    };
    wait_until("the worker", || observe()["workers"].as_array().unwrap().len() == 1);
    let name = observe()["workers"][0]["name"].as_str().unwrap().to_owned();
    let order = |order: &str| {
        internal.send("POST", &format!("/internal/v1/workers/{name}/{order}"), &[], b"").unwrap().status
    };
    assert_eq!(order("drain"), 204);
    wait_until("drained", || observe()["workers"][0]["drained"] == true);
    worker.wait_status("/readyz", 503);
    let id = first_id(&upload(&client, "/v1/documents", "a.txt", &prose(1), &[]));
    wait_until("it waits", || observe()["lanes"][0]["waiting"] == 1);
    assert_eq!(state_of(&client, &id), "queued");
    assert_eq!(client.get("/v1/workers").json()["workers"][0]["draining"], true);
    let resumed = Instant::now();
    assert_eq!(order("resume"), 204);
    worker.wait_status("/readyz", 200);
    // A look a second; the rest is for a busy machine.
    assert!(resumed.elapsed() < Duration::from_secs(3), "{:?}", resumed.elapsed());
    wait_state(&client, &id, "committed");
    let nobody = internal.send("POST", "/internal/v1/workers/nobody/drain", &[], b"").unwrap();
    assert_eq!(nobody.status, 404);
    api.signal(Signal::TERM);
    drop(worker);
}

#[test]
fn the_operator_sees_the_memory_that_neo4j_has_in_force() {
    let server = Neo4jServer::start(false);
    let house = House::new("").with_neo4j(&server);
    let api = house.api();
    let observe = || -> Value {
        let line = api.internal(Some(CANARY)).first_line("/internal/v1/observations").unwrap();
        serde_json::from_str(&line).unwrap()
    };
    wait_until("the memory", || observe()["neo4jMemory"]["heapBytes"].is_number());
    let memory = observe()["neo4jMemory"].clone();
    let mib = |name: &str| memory[name].as_u64().unwrap_or_else(|| panic!("{name}: {memory}")) >> 20;
    assert!(mib("heapSetBytes") / 4 * 3 <= mib("heapBytes") && mib("pageCacheBytes") > 0, "{memory}");
    server.kill();
    // Unknown, and not what it was.
    wait_until("it is away", || observe()["neo4jMemory"].is_null());
    server.start_again();
    wait_until("it is back", || observe()["neo4jMemory"] == memory);
}
