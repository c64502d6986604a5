//! What happens at the edges: quotas, work that is cancelled, objects elsewhere, objects that nobody needs, an
//! order that expires, a start without the ledger.

use std::time::{Duration, SystemTime};

use docmill_tests::corpus::{Writer, dense_pages, unmapped_pdf};
use docmill_tests::services::postgres::Server;
use docmill_tests::services::process::wait_until;
use docmill_tests::services::s3::S3Server;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::house::{CANARY, House};
use super::{first_id, prose, state_of, upload, wait_state};

/// Pages of a document that takes long on any machine: about a second of a core each, as they are recognised.
const PAGES: usize = 60;
/// Longer than objects stay that no document needs, and than those that no row names, in seconds.
const LONG_AGO_S: u64 = 100_000;

#[test]
fn quotas_are_each_tenants_own() {
    let limits = "  tenantDocumentsInFlight: 2\n  tenantBytesPerDay: 200\n";
    let house = House::new(limits);
    let [one, two] = ["one", "two"].map(|tenant| house.key(tenant, "read,write"));
    let api = house.api();
    let [one, two] = [one, two].map(|key| api.client(Some(&key)));
    let first = first_id(&upload(&one, "/v1/documents", "a.txt", &prose(1), &[]));
    first_id(&upload(&one, "/v1/documents", "a.txt", &prose(2), &[]));
    let full = upload(&one, "/v1/documents", "a.txt", &prose(3), &[]);
    assert_eq!((full.status, &full.json()["code"]), (429, &json!("documents_quota")), "{}", full.text());
    assert!(full.header("retry-after").is_some() && full.json()["allowed"] == "2 at once");
    first_id(&upload(&two, "/v1/documents", "a.txt", &prose(3), &[]));
    let _worker = house.worker();
    wait_state(&one, &first, "committed");
    // There is room again, but not for as many bytes: what is too much of the day is refused whole.
    let mut answer = upload(&one, "/v1/documents", "a.txt", &prose(4), &[]);
    wait_until("room for documents", || {
        answer = upload(&one, "/v1/documents", "a.txt", &prose(4), &[]);
        answer.json()["code"] != "documents_quota"
    });
    assert_eq!((answer.status, &answer.json()["code"]), (429, &json!("bytes_quota")), "{}", answer.text());
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds <= 86_400, "no later than tomorrow: {seconds}");
    wait_until("what was refused is removed", || house.objects() == 3);
    first_id(&upload(&two, "/v1/documents", "a.txt", &prose(5), &[]));
}

#[test]
fn cancelling_stops_what_is_in_work() {
    let house = House::new("").with_languages("eng");
    let key = house.key("default", "read,write,admin");
    let api = house.api();
    let client = api.client(Some(&key));
    let batch =
        client.post("/v1/batches", &json!({"name": "long"})).json()["id"].as_str().unwrap().to_owned();
    let long = unmapped_pdf(&dense_pages(&mut Writer::new(33), PAGES, None, None));
    let path = format!("/v1/documents?batch={batch}");
    let id = first_id(&upload(&client, &path, "long.pdf", &long, &[]));
    let worker = house.worker();
    let pages = || {
        let text = worker.client(None).get("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix("docmill_pages_total "));
        line.map_or(0, |count| count.parse::<u64>().unwrap())
    };
    wait_until("pages of it are kept", || house.count("kept_pages") > 0);
    // What a worker says of itself is a moment old: that it is free must not be from before it took the document.
    let busy = || client.get("/v1/workers").json()["workers"][0]["busy"].as_u64();
    wait_until("the worker says that it is at work", || busy() == Some(1));
    assert_eq!(state_of(&client, &id), "processing", "it is done before it could be cancelled");
    let told = client.post(&format!("/v1/batches/{batch}/cancel"), &json!({})).json();
    assert_eq!(told["cancelled"], 1, "{told}");
    wait_until("the worker is free", || busy() == Some(0));
    let read = pages();
    assert_eq!(state_of(&client, &id), "cancelled");
    assert_eq!(house.count("kept_pages"), 0);
    // It ended before its texts were embedded, not at the commit that it may not do.
    assert_eq!((house.count("derived"), house.count("manifests")), (0, 0));
    // The worker does other work, and this no more.
    let other = first_id(&upload(&client, "/v1/documents", "a.txt", &prose(1), &[]));
    wait_state(&client, &other, "committed");
    assert_eq!(pages(), read + 1);
}

#[test]
fn uploads_go_to_a_bucket_and_wait_while_it_is_away() {
    let server = S3Server::start();
    let bucket = server.fresh();
    let house = House::new("").with_bucket(&bucket);
    let key = house.key("default", "read,write");
    let api = house.api();
    let client = api.client(Some(&key));
    let worker = house.worker();
    let id = first_id(&upload(&client, "/v1/documents?uri=letter.txt", "a.txt", &prose(1), &[]));
    wait_state(&client, &id, "committed");
    let objects = || house.objects_in(&server.folder(&bucket.bucket).join("uploads"));
    assert_eq!((objects(), house.objects()), (1, 0));
    // Larger than a part: it goes in several.
    let large: String = (0..150_000)
        .map(|n| format!("Line {n} of a very long letter about the weather at sea.\n\n"))
        .collect();
    let big = first_id(&upload(&client, "/v1/documents?uri=large.txt", "large.txt", large.as_bytes(), &[]));
    assert_eq!(objects(), 2);
    let waiting = first_id(&upload(&client, "/v1/documents?uri=waits.txt", "a.txt", &prose(2), &[]));
    server.kill();
    let away = upload(&client, "/v1/documents", "a.txt", &prose(3), &[]);
    assert_eq!(
        (away.status, &away.json()["code"]),
        (503, &json!("object_store_unavailable")),
        "{}",
        away.text()
    );
    assert!(away.header("retry-after").is_some());
    assert_eq!(client.get("/readyz").status, 200, "what is not about objects is answered");
    server.start_again();
    for id in [&waiting, &big] {
        wait_state(&client, id, "committed");
    }
    let after = first_id(&upload(&client, "/v1/documents", "a.txt", &prose(3), &[]));
    wait_state(&client, &after, "committed");
    assert_eq!(client.get("/v1/dead-letters").json()["deadLetters"], json!([]));
    drop(worker);
    house.nothing_leaked(&[]);
}

#[test]
fn objects_that_nobody_needs_are_swept() {
    let house = House::new("");
    let key = house.key("default", "read,write");
    let api = house.api();
    let client = api.client(Some(&key));
    let worker = house.worker();
    let [gone, stays] =
        [1, 2].map(|n| first_id(&upload(&client, "/v1/documents", "a.txt", &prose(n), &[])));
    for id in [&gone, &stays] {
        wait_state(&client, id, "committed");
    }
    assert_eq!(client.send("DELETE", &format!("/v1/documents/{gone}"), &[], b"").unwrap().status, 202);
    wait_until("the deletion", || {
        let shown = client.get(&format!("/v1/documents/{gone}")).json();
        shown["deleted"] == true && shown["state"] == "committed"
    });
    // What a process left that was killed between an object and its row, long ago and now.
    let unnamed = |name: &str, age_s: u64| {
        let path = house.volume().join("uploads/default/ff").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "nobody knows it").unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age_s)).unwrap();
        path
    };
    let (old, young) = (unnamed("old", LONG_AGO_S), unnamed("young", 0));
    house.sql(&format!("UPDATE objects SET used_at_ms = used_at_ms - {}", LONG_AGO_S * 1_000));
    assert_eq!(house.objects(), 4);
    // A process sweeps when it starts.
    drop(client);
    api.ends_well();
    let api = house.api();
    let client = api.client(Some(&key));
    wait_until("the sweep", || house.objects() == 2 && !old.exists());
    assert!(young.exists());
    // What a document needs is there, however old it is.
    assert_eq!(house.count("objects"), 1);
    house.sql("UPDATE documents SET state = 'queued' WHERE content IS NOT NULL; DELETE FROM chunks");
    wait_state(&client, &stays, "committed");
    let again = first_id(&upload(&client, "/v1/documents", "a.txt", &prose(1), &[]));
    wait_state(&client, &again, "committed");
    drop(worker);
}

#[test]
fn an_order_to_drain_expires() {
    let house = House::new("");
    let key = house.key("default", "read,write,admin");
    let api = house.api();
    let (client, internal) = (api.client(Some(&key)), api.internal(Some(CANARY)));
    let worker = house.worker();
    let first = || -> Value { client.get("/v1/workers").json()["workers"][0].clone() };
    wait_until("the worker", || first()["name"].is_string());
    let name = first()["name"].as_str().unwrap().to_owned();
    let order = internal.send("POST", &format!("/internal/v1/workers/{name}/drain"), &[], b"").unwrap();
    assert_eq!(order.status, 204);
    worker.wait_status("/readyz", 503);
    let id = first_id(&upload(&client, "/v1/documents", "a.txt", &prose(1), &[]));
    wait_until("it is drained", || first()["drained"] == true);
    assert_eq!(state_of(&client, &id), "queued");
    // Nobody renews it: its time is made shorter here, as nobody wants to wait for a minute.
    assert_eq!(house.count("workers WHERE drain_until_ms BETWEEN now_ms() AND now_ms() + 60000"), 1);
    house.sql("UPDATE workers SET drain_until_ms = now_ms() + 500");
    worker.wait_status("/readyz", 200);
    wait_state(&client, &id, "committed");
    assert_eq!((&first()["draining"], &first()["drained"]), (&json!(false), &json!(false)));
    api.signal(Signal::TERM);
}

#[test]
fn a_worker_that_is_to_drain_stays_ready_until_it_is_empty() {
    let house = House::new("");
    let key = house.key("default", "read,write,admin");
    let api = house.api();
    let (client, internal) = (api.client(Some(&key)), api.internal(Some(CANARY)));
    let worker = house.worker();
    let first = || -> Value { client.get("/v1/workers").json()["workers"][0].clone() };
    wait_until("the worker", || first()["name"].is_string());
    // The document is in work as long as nobody may write its chunks.
    let held = house.hold("LOCK TABLE chunks IN EXCLUSIVE MODE");
    let id = first_id(&upload(&client, "/v1/documents", "a.txt", &prose(1), &[]));
    wait_until("it is at the document", || first()["busy"] == 1 && house.waiting_for(&held) > 0);
    let path = format!("/internal/v1/workers/{}/drain", first()["name"].as_str().unwrap());
    assert_eq!(internal.send("POST", &path, &[], b"").unwrap().status, 204);
    // It looks at orders once a second.
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(worker.client(None).get("/readyz").status, 200);
    assert_eq!((&first()["draining"], &first()["drained"]), (&json!(true), &json!(false)));
    drop(held);
    wait_state(&client, &id, "committed");
    wait_until("it is drained", || first()["drained"] == true);
    worker.wait_status("/readyz", 503);
    api.signal(Signal::TERM);
}

#[test]
fn an_api_that_starts_without_the_ledger_waits_for_it() {
    let server = Server::start().unwrap();
    let house = House::on(&server.fresh(), "");
    let key = house.key("default", "read,write");
    server.kill().unwrap();
    let given_up = house.begin("api");
    given_up.wait_status("/readyz", 503);
    given_up.ends_well();
    let api = house.begin("api");
    api.wait_status("/readyz", 503);
    for way_in in [api.client(None), api.internal(None)] {
        assert_eq!((way_in.get("/healthz").status, way_in.get("/readyz").status), (200, 503));
    }
    let client = api.client(Some(&key));
    let answer = client.get("/v1/documents");
    assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("ledger_unavailable")));
    assert!(answer.header("retry-after").is_some());
    wait_until("it says what it waits for", || api.log().contains("waits for a back end"));
    server.restart().unwrap();
    api.wait_status("/readyz", 200);
    first_id(&upload(&client, "/v1/documents", "a.txt", &prose(1), &[]));
    api.ends_well();
}
