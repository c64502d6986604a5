//! `docmill --server` as people use it: the real command, a real API and worker on a real Redis and PostgreSQL, and
//! killed in between.

// Helpers of tests panic as tests do; those of the API's tests are more than these need.
#![allow(clippy::unwrap_used, clippy::large_futures, dead_code)]

#[path = "submit/command.rs"]
mod command;
#[path = "submit/dead_letters.rs"]
mod dead_letters;
#[path = "api/house.rs"]
mod house;
#[path = "api/letters.rs"]
mod letters;

use std::collections::BTreeMap;
use std::time::Duration;

use command::{IMPATIENT, User, refusing};
use docmill_tests::contract::objects::{content, key as object};
use docmill_tests::services::http::Client;
use docmill_tests::services::process::{free_port, wait_until};
use docmill_tests::services::s3::S3Server;
use docmill_worker::objects::{Objects, ObjectsOptions};
use house::{House, Running};
use rustix::process::Signal;
use serde_json::{Value, json};

const DOCUMENTS: usize = 40;
/// What the command exits with, as its README says.
const ERROR: i32 = 1;
const USAGE: i32 = 2;
const DOCUMENTS_FAILED: i32 = 3;
const INTERRUPTED: i32 = 130;

/// Long enough to be a chunk.
fn prose(n: usize) -> String {
    format!("Letter {n}: the barometer fell all night, and in the morning the harbour lay in fog.")
}

fn write_documents(user: &User, count: usize) {
    for n in 0..count {
        user.write(&format!("{}/{n}.txt", n % 3), prose(n).as_bytes());
    }
}

/// A pipeline, somebody who may do all with it, and the API that they ask.
fn place() -> (House, Running, User, Client) {
    let house = House::new("");
    let key = house.key("default", "read,write,admin");
    let api = house.api();
    let client = api.client(Some(&key));
    let user = User::new(client.port, &key);
    (house, api, user, client)
}

fn documents(client: &Client) -> Vec<Value> {
    client.get("/v1/documents?limit=1000").json()["documents"].as_array().unwrap().clone()
}

#[test]
fn a_directory_is_submitted_waited_for_and_not_doubled() {
    let (house, _api, user, client) = place();
    let _worker = house.worker();
    write_documents(&user, DOCUMENTS);
    user.write(".hidden/x.txt", b"nobody submits this");
    let docs = user.docs();
    let docs = docs.to_str().unwrap();
    let (told, code) = user.json(&["submit", docs, "--wait", "--name", "letters", "--timeout", "80"]);
    assert_eq!(code, 0, "{told}");
    assert_eq!(
        (&told["documents"], &told["new"], &told["failed"]),
        (&json!(DOCUMENTS), &json!(DOCUMENTS), &json!(0))
    );
    assert_eq!(told["settled"]["documents"]["committed"], json!(DOCUMENTS));
    let found = documents(&client);
    assert_eq!(found.len(), DOCUMENTS);
    let uri = found[0]["uri"].as_str().unwrap().to_owned();
    assert!(uri.starts_with("upload:desk/") && uri.ends_with(".txt"), "{uri}");
    // Again: another batch of the same documents. A changed file is the next content of its document.
    user.write("0/0.txt", prose(1_000).as_bytes());
    let (again, code) = user.json(&["submit", docs, "--wait", "--timeout", "80"]);
    assert_eq!(
        (code, &again["unchanged"], &again["changed"]),
        (0, &json!(DOCUMENTS - 1), &json!(1)),
        "{again}"
    );
    assert_eq!(documents(&client).len(), DOCUMENTS);
    let batch = again["batch"].as_str().unwrap();
    // What the other commands say of it.
    let results = user.output(&["--json", "results", batch]);
    let results: Vec<Value> = String::from_utf8(results.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(results.len(), DOCUMENTS);
    assert!(
        results.iter().all(|result| result["state"] == "committed" && result["chunks"] == 1),
        "{results:?}"
    );
    let (status, code) = user.json(&["status"]);
    assert_eq!((code, status["batches"].as_array().unwrap().len()), (0, 2), "{status}");
    assert_eq!(status["workers"].as_array().unwrap().len(), 1);
    let (status, _) = user.json(&["status", batch]);
    assert_eq!((&status["state"], &status["progressPercent"]), (&json!("done"), &json!(100.0)));
    let (shown, _) = user.json(&["documents", "show", &uri]);
    assert_eq!(shown["uri"], json!(uri));
    let (audit, code) = user.json(&["verify", "--wait", "--timeout", "60"]);
    assert_eq!((code, &audit["clean"], &audit["missing"]), (0, &json!(true), &json!(0)), "{audit}");
    assert_eq!(audit["checkedManifests"], json!(DOCUMENTS));
    // Everything comes out, once, and in pages.
    let export = user.output(&["export", "--format", "jsonl"]);
    let lines: BTreeMap<String, Value> = String::from_utf8(export.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .map(|line: Value| (line["uri"].as_str().unwrap().to_owned(), line))
        .collect();
    assert_eq!(lines.len(), DOCUMENTS);
    let line = &lines[&uri];
    assert!(line["chunks"][0]["text"].as_str().unwrap().contains("the barometer fell"), "{line}");
    assert_eq!(line["media_type"], "text/plain");
    let page = client.get("/v1/export?limit=7").json();
    assert_eq!((page["documents"].as_array().unwrap().len(), page["next"].is_string()), (7, true));
    let (deleted, code) = user.json(&["documents", "delete", &uri]);
    assert_eq!((code, &deleted["deleted"]), (0, &json!(1)));
    wait_until("the deletion", || documents(&client).len() == DOCUMENTS - 1);
    for args in [
        vec!["status"],
        vec!["status", batch],
        vec!["results", batch],
        vec!["documents"],
        vec!["wait", batch],
    ] {
        let output = user.output(&args);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && !text.is_empty() && !text.contains('\u{1b}'),
            "{args:?}: {text}"
        );
    }
}

#[test]
fn a_submission_that_is_killed_goes_on_with_its_batch() {
    let (house, _api, user, client) = place();
    const MANY: usize = 300;
    write_documents(&user, MANY);
    let docs = user.docs();
    let args = ["submit", docs.to_str().unwrap(), "--concurrency", "2"];
    let log = user.home.path().join("log");
    for (some, killed) in [(30, true), (90, false)] {
        let mut process = user.begin(&args, &log);
        wait_until("some are there", || {
            assert!(documents(&client).len() < MANY, "all were there before it was killed");
            documents(&client).len() >= some
        });
        if killed {
            // Dropped is killed.
            drop(process);
        } else {
            process.signal(Signal::INT);
            assert_eq!(process.wait(Duration::from_secs(20)).code(), Some(INTERRUPTED));
        }
    }
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.starts_with("batch "), "its id is told at once: {said}");
    assert!(said.contains("interrupted: ") && said.contains("docmill wait "), "{said}");
    let (told, code) = user.json(&args);
    assert_eq!(code, 0, "{told}");
    assert_eq!(told["documents"], json!(MANY));
    assert!(told["earlier"].as_u64().unwrap() >= 80, "what was handed in is not sent again: {told}");
    assert_eq!(documents(&client).len(), MANY);
    let batches = client.get("/v1/batches").json();
    assert_eq!(batches["batches"].as_array().unwrap().len(), 1, "it went on with its batch");
    assert_eq!(batches["batches"][0]["documents"]["total"], json!(MANY));
    // It is done: the same command is another submission.
    let (again, _) = user.json(&args);
    assert_ne!(again["batch"], told["batch"]);
    assert_eq!((&again["unchanged"], &again["earlier"]), (&json!(MANY), &json!(0)));
    let _worker = house.worker();
    let (waited, code) = user.json(&["wait", told["batch"].as_str().unwrap(), "--timeout", "85"]);
    assert_eq!((code, &waited["batches"][0]["documents"]["committed"]), (0, &json!(MANY)), "{waited}");
}

#[test]
fn a_cancelled_batch_ends_and_leaves_the_queue_empty() {
    let (house, _api, user, client) = place();
    for n in 0..DOCUMENTS {
        // Long enough that a worker is still at them when they are cancelled.
        let text: Vec<String> = (0..300).map(|line| prose(n * 1_000 + line)).collect();
        user.write(&format!("{n}.txt"), text.join("\n").as_bytes());
    }
    let docs = user.docs();
    let (told, _) = user.json(&["submit", docs.to_str().unwrap()]);
    let batch = told["batch"].as_str().unwrap();
    // Nobody works on it yet, and waiting has an end.
    let (late, code) = user.json(&["wait", batch, "--timeout", "1"]);
    assert_eq!((code, &late["error"]["code"]), (ERROR, &json!("not_in_time")), "{late}");
    let worker = house.worker();
    wait_until("something is in work", || {
        client.get(&format!("/v1/batches/{batch}")).json()["documents"]["processing"].as_u64() > Some(0)
    });
    let (cancelled, code) = user.json(&["cancel", batch]);
    assert_eq!(code, 0, "{cancelled}");
    let counts = cancelled["batches"][0]["batch"]["documents"].clone();
    let stopped = cancelled["batches"][0]["cancelled"].as_u64().unwrap();
    assert_eq!((&counts["queued"], &counts["processing"]), (&json!(0), &json!(0)), "{cancelled}");
    assert_eq!((counts["cancelled"].as_u64(), stopped > 0), (Some(stopped), true), "{cancelled}");
    wait_until("the queue is empty", || {
        let lanes = client.get("/v1/queues").json()["lanes"].clone();
        let sum = |name: &str| {
            lanes.as_array().unwrap().iter().map(|lane| lane[name].as_u64().unwrap_or(9)).sum::<u64>()
        };
        sum("waiting") + sum("inFlight") + sum("delayed") + sum("unsettled") == 0
    });
    let committed = client.get("/v1/documents?state=committed&limit=1000").json();
    assert_eq!(committed["documents"].as_array().unwrap().len() as u64 + stopped, DOCUMENTS as u64);
    let (waited, code) = user.json(&["wait", batch]);
    assert_eq!((code, &waited["batches"][0]["state"]), (DOCUMENTS_FAILED, &json!("cancelled")));
    // Submitted again, it is another batch and all is done.
    let (again, code) = user.json(&["submit", docs.to_str().unwrap(), "--wait", "--timeout", "85"]);
    assert_eq!((code, &again["settled"]["documents"]["committed"]), (0, &json!(DOCUMENTS)), "{again}");
    drop(worker);
}

#[test]
fn folders_of_the_store_are_listed_by_the_server() {
    let (house, api, user, client) = place();
    let folder = house.volume().join("in/letters");
    std::fs::create_dir_all(&folder).unwrap();
    for n in 0..5 {
        std::fs::write(folder.join(format!("{n}.txt")), prose(n)).unwrap();
    }
    let _worker = house.worker();
    let prefix = format!("file://{}/in", house.volume().display());
    let (told, code) = user.json(&["submit", &prefix, "--wait", "--timeout", "80"]);
    assert_eq!(
        (code, &told["new"], &told["settled"]["documents"]["committed"]),
        (0, &json!(5), &json!(5)),
        "{told}"
    );
    let (again, _) = user.json(&["submit", &prefix]);
    assert_eq!(again["unchanged"], json!(5));
    // A single object is one, too; uploads, other places and what is not there are none.
    let (one, code) = user.json(&["submit", &format!("{prefix}/letters/3.txt")]);
    assert_eq!((code, &one["unchanged"]), (0, &json!(1)), "{one}");
    for (prefix, said) in [
        (format!("file://{}/uploads", house.volume().display()), "source_refused"),
        ("s3://other/in".to_owned(), "source_refused"),
        (format!("{prefix}/none"), "object_missing"),
    ] {
        let (told, code) = user.json(&["submit", &prefix]);
        assert_eq!((code, &told["error"]["code"]), (ERROR, &json!(said)), "{told}");
    }
    // A tenant names only what is in the folder of its name.
    let foreign = User::new(client.port, &house.key("one", "read,write"));
    let (told, code) = foreign.json(&["submit", &prefix]);
    assert_eq!((code, &told["error"]["code"]), (ERROR, &json!("source_refused")), "{told}");
    api.ends_well();
}

#[test]
fn a_folder_of_a_bucket_is_submitted_a_thousand_at_a_time() {
    const MANY: usize = 1_003;
    let server = S3Server::start();
    let bucket = server.fresh();
    let house = House::new("").with_bucket(&bucket);
    let key = house.key("default", "read,write");
    let api = house.api();
    let (client, user) = (api.client(Some(&key)), User::new(api.client(None).port, &key));
    let objects = Objects::open(&ObjectsOptions::S3(bucket.clone())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for n in 0..3 {
            let text = prose(n).into_bytes();
            objects.put(&object(&format!("few/{n}.txt")), content(&text), 1_000).await.unwrap();
        }
    });
    let folder = server.folder(&bucket.bucket).join("many");
    std::fs::create_dir(&folder).unwrap();
    for n in 0..MANY {
        std::fs::write(folder.join(format!("{n:04}.txt")), prose(n)).unwrap();
    }
    let uri = |name: &str| format!("s3://{}/{name}", bucket.bucket);
    let (told, code) = user.json(&["submit", &uri("many")]);
    assert_eq!((code, &told["new"]), (0, &json!(MANY)), "{told}");
    let (again, _) = user.json(&["submit", &uri("many")]);
    assert_eq!(again["unchanged"], json!(MANY), "{again}");
    // The whole bucket, without what was uploaded; a single reference means the same document.
    let (all, _) = user.json(&["submit", &uri("")]);
    assert_eq!((&all["unchanged"], &all["new"]), (&json!(MANY), &json!(3)), "{all}");
    let named = client.post("/v1/batches", &json!({"uris": [uri("few/1.txt")]})).json();
    assert_eq!(named["documents"][0]["change"], "unchanged", "{named}");
    let (cancelled, _) = user.json(&["cancel", told["batch"].as_str().unwrap()]);
    assert_eq!(cancelled["batches"][0]["cancelled"], json!(0), "other batches want them too");
    for batch in [&again, &all] {
        user.json(&["cancel", batch["batch"].as_str().unwrap()]);
    }
    let _worker = house.worker();
    let (few, code) = user.json(&["submit", &uri("few"), "--wait", "--timeout", "80"]);
    assert_eq!((code, &few["settled"]["documents"]["committed"]), (0, &json!(3)), "{few}");
}

#[test]
fn another_index_is_built_beside_the_active_one() {
    let (house, _api, user, client) = place();
    let worker = house.worker();
    write_documents(&user, DOCUMENTS);
    let docs = user.docs();
    let docs = docs.to_str().unwrap();
    let other = User::new(client.port, &house.key("one", "read,write"));
    other.write("a.txt", prose(1).as_bytes());
    other.json(&["submit", other.docs().to_str().unwrap(), "--wait", "--timeout", "80"]);
    let (told, code) = user.json(&["submit", docs, "--wait", "--timeout", "80"]);
    assert_eq!(code, 0, "{told}");
    let (same, code) = user.json(&["rebuild"]);
    assert_eq!((code, same["indexes"].as_array().unwrap().len()), (0, 1), "{same}");
    // It waits for workers, and what comes meanwhile is in both.
    drop(worker);
    let (begun, code) = user.json(&["rebuild", "--embeddings", "none"]);
    assert_eq!((code, &begun["indexes"][1]["state"]), (0, &json!("building")), "{begun}");
    let (late, code) = user.json(&["rebuild", "--embeddings", "none", "--wait", "--timeout", "1"]);
    assert_eq!((code, &late["error"]["code"]), (ERROR, &json!("not_in_time")), "{late}");
    user.write("new.txt", prose(2_000).as_bytes());
    user.json(&["submit", docs]);
    let _worker = house.worker();
    let (done, code) = user.json(&["rebuild", "--embeddings", "none", "--wait", "--timeout", "85"]);
    assert_eq!(code, 0, "{done}");
    let index = &done["indexes"][0];
    assert_eq!((&index["state"], &index["embeddings"]), (&json!("active"), &json!("none")), "{done}");
    assert_eq!(
        (done["indexes"].as_array().unwrap().len(), &index["documents"]),
        (1, &json!(DOCUMENTS + 1))
    );
    wait_until("all is settled", || {
        let settled = |document: &Value| document["state"] == "committed";
        documents(&client).iter().all(settled) && documents(&client).len() == DOCUMENTS + 1
    });
    let (audit, code) = user.json(&["verify", "--wait", "--timeout", "80"]);
    assert_eq!((code, &audit["clean"]), (0, &json!(true)), "{audit}");
    let exported = String::from_utf8(user.output(&["export"]).stdout).unwrap();
    assert_eq!(exported.lines().count(), DOCUMENTS + 1);
    // Another tenant's index is its own.
    let (theirs, _) = other.json(&["documents"]);
    assert_eq!(theirs["documents"][0]["state"], "committed", "{theirs}");
    assert_eq!(other.json(&["rebuild"]).0["error"]["code"], "scope_needed");
}

/// Each store in its turn loses all it has, its tables included, and is filled while a worker runs. What was
/// computed of a text is not computed again.
#[test]
fn a_store_that_lost_rows_is_filled_again() {
    let (house, _api, user, client) = place();
    let _worker = house.worker();
    write_documents(&user, DOCUMENTS);
    let docs = user.docs();
    let docs = docs.to_str().unwrap();
    let (told, code) = user.json(&["submit", docs, "--wait", "--timeout", "80"]);
    assert_eq!(code, 0, "{told}");
    let other = User::new(client.port, &house.key("one", "read,write"));
    other.write("a.txt", prose(1).as_bytes());
    other.json(&["submit", other.docs().to_str().unwrap(), "--wait", "--timeout", "80"]);
    let derived = house.count("derived");
    for (store, lost) in [
        ("graph", "DROP TABLE mentions, evidence, concepts"),
        ("vectors", "DROP TABLE vectors CASCADE"),
        ("text", "DELETE FROM chunks WHERE tenant = 'default'"),
    ] {
        house.sql(lost);
        let (done, code) = user.json(&["rebuild", "--store", store, "--wait", "--timeout", "80"]);
        assert_eq!(code, 0, "{done}");
        let stores = done["stores"].as_array().unwrap();
        let fill = stores.iter().find(|fill| fill["store"] == store).unwrap();
        assert_eq!(
            (&fill["state"], &fill["again"], &fill["givenUp"]),
            (&json!("filled"), &json!(DOCUMENTS), &json!(0)),
            "{done}"
        );
    }
    assert_eq!(house.count("derived"), derived, "what was computed is taken from where it is kept");
    let (begun, code) = user.json(&["rebuild", "--store", "graph"]);
    assert_eq!((code, &begun["stores"][0]["state"]), (0, &json!("filling")), "{begun}");
    // The other tenant's rows of two stores are as lost as they were.
    let (audit, code) = user.json(&["verify"]);
    assert_eq!((code, &audit["clean"]), (4, &json!(false)), "{audit}");
    assert_eq!(audit["missing"], json!(2), "{audit}");
    // A repair does again what is wrong, of all tenants.
    let (repaired, code) = user.json(&["verify", "--repair"]);
    assert_eq!((code, &repaired["repaired"]["requeued"]), (4, &json!(1)), "{repaired}");
    let (audit, code) = user.json(&["verify", "--repair", "--wait", "--timeout", "80"]);
    assert_eq!((code, &audit["clean"]), (0, &json!(true)), "{audit}");
    assert_eq!(other.json(&["rebuild", "--store", "graph"]).0["error"]["code"], "scope_needed");
    let wrong = client.post("/v1/indexes/stores", &json!({"store": "tapes"}));
    assert_eq!((wrong.status, &wrong.json()["field"]), (422, &json!("store")), "{}", wrong.text());
}

/// A document whose newest content nobody can read is found by the one before; a store that is filled has that too.
#[test]
fn what_is_shown_of_a_dead_letter_is_filled_too() {
    let (house, _api, user, client) = place();
    let _worker = house.worker();
    write_documents(&user, 3);
    let docs = user.docs();
    let submit = ["submit", docs.to_str().unwrap(), "--wait", "--timeout", "80"];
    let (told, code) = user.json(&submit);
    assert_eq!(code, 0, "{told}");
    user.write("0/0.txt", &[0, 1, 2, 255, 0]);
    let (told, code) = user.json(&submit);
    assert_eq!(code, DOCUMENTS_FAILED, "{told}");
    let rows = house.count("evidence");
    house.sql("DROP TABLE mentions, evidence, concepts");
    let (done, code) = user.json(&["rebuild", "--store", "graph", "--wait", "--timeout", "80"]);
    assert_eq!(code, 0, "{done}");
    let fill = &done["stores"][0];
    assert_eq!(
        (&fill["state"], &fill["again"], &fill["givenUp"]),
        (&json!("filled"), &json!(3), &json!(0)),
        "{done}"
    );
    assert_eq!(house.count("evidence"), rows);
    let (audit, code) = user.json(&["verify", "--wait", "--timeout", "80"]);
    assert_eq!((code, &audit["clean"]), (0, &json!(true)), "{audit}");
    let failed: Vec<Value> =
        documents(&client).into_iter().filter(|known| known["state"] == "failed").collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
}

#[test]
fn who_is_refused_or_meets_nobody_is_told_what_to_do() {
    let (house, _api, user, client) = place();
    write_documents(&user, 1);
    let docs = user.docs();
    let docs = docs.to_str().unwrap();
    let said = |user: &User, args: &[&str]| {
        let (told, code) = user.json(args);
        assert!(!told["error"]["advice"].as_str().unwrap_or_default().is_empty(), "{told}");
        (code, told["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    let expected = |code: &str| (ERROR, code.to_owned());
    assert_eq!(said(&User::new(client.port, "docmill_x_y"), &["submit", docs]), expected("key_needed"));
    let reader = User::new(client.port, &house.key("default", "read"));
    assert_eq!(said(&reader, &["submit", docs]), expected("scope_needed"));
    assert_eq!(said(&reader, &["verify"]), expected("scope_needed"));
    assert_eq!(said(&user, &["wait", "no-batch"]), expected("not_found"));
    assert_eq!(said(&user, &["documents", "show", "upload:none"]), expected("unknown_document"));
    assert_eq!(said(&user, &["submit", "/nonexistent/documents"]), expected("no_such_path"));
    // Nobody is there.
    let nobody = User::new(free_port(), "docmill_x_y");
    let began = std::time::Instant::now();
    assert_eq!(said(&nobody, &["status"]), expected("server_unreachable"));
    assert!(began.elapsed() < Duration::from_secs(20), "a wrong address is told soon");
    // It is full, or away, and stays so.
    const FULL: &str =
        r#"{"code":"queue_full","detail":"as many wait as may","whatToDo":"wait","retryAfterS":1}"#;
    let full = User::new(refusing("429 Too Many Requests", "retry-after: 1\r\n", FULL), "docmill_x_y");
    assert_eq!(said(&full, &["--retry-seconds", IMPATIENT, "submit", docs]), expected("queue_full"));
    const AWAY: &str =
        r#"{"code":"ledger_unavailable","detail":"the ledger does not answer","whatToDo":"later"}"#;
    let away = User::new(refusing("503 Service Unavailable", "", AWAY), "docmill_x_y");
    assert_eq!(said(&away, &["--retry-seconds", IMPATIENT, "status"]), expected("ledger_unavailable"));
    let other = User::new(refusing("200 OK", "", "<html>"), "docmill_x_y");
    assert_eq!(said(&other, &["status"]), expected("not_docmill"));
    let moved = User::new(
        refusing("308 Permanent Redirect", "location: https://x.example/\r\n", ""),
        "docmill_x_y",
    );
    assert_eq!(said(&moved, &["status"]), expected("http_308"));
    // Usage.
    let usage = user.output(&["status", "--server", &user.server, "--data-dir", "/x"]);
    assert_eq!(usage.status.code(), Some(USAGE), "{}", String::from_utf8_lossy(&usage.stderr));
    house.nothing_leaked(&[]);
}
