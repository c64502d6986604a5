//! Requests that are wrong, hostile or slow: each gets an exact code, no two kinds of "no" can be told apart, and
//! whoever asks beside them waits no longer. The same on an API with its servers and on one machine.

// Helpers of tests panic as tests do; those of the API's tests are more than these need.
#![allow(clippy::unwrap_used, clippy::large_futures, dead_code)]

#[path = "api/house.rs"]
mod house;
#[path = "bad_requests/shape.rs"]
mod shape;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use docmill_tests::services::http::{Answer, Client, form};
use docmill_tests::services::process::wait_until;
use serde_json::{Value, json};
use shape::Shape;

/// How often each of two answers is asked for whose times are compared.
const ASKS: usize = 200;
/// Slow clients of each kind.
const SLOW: usize = 40;
/// Uploads of them: fewer than the API reads at once.
const SLOW_UPLOADS: usize = 10;
/// Longest time until the API is done with one that is slow: more than each of its limits but that of uploads.
const DONE_WITH: Duration = Duration::from_secs(50);

macro_rules! on_both_shapes {
    ($($case:ident),+ $(,)?) => {
        mod on_an_api {
            $(#[test] fn $case() { super::$case(&super::shape::Pods::start()); })+
        }
        mod on_one_machine {
            $(#[test] fn $case() { super::$case(&super::shape::OneMachine::start()); })+
        }
    };
}

on_both_shapes!(
    who_is_not_known_learns_one_thing_only,
    not_there_and_not_yours_are_one_answer,
    what_is_too_much_or_misleading_is_refused,
    slow_clients_are_let_go_and_others_do_not_wait_for_them,
);

fn prose(n: usize) -> Vec<u8> {
    format!("Letter {n}: the barometer fell all night, and in the morning the harbour lay in fog.")
        .into_bytes()
}

fn upload(client: &Client, path: &str, files: &[(&str, &[u8])]) -> Answer {
    let (kind, body) = form(files);
    client.send("POST", path, &[("content-type", &kind)], &body).unwrap()
}

fn code(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned())
}

fn is(answer: &Answer, status: u16, expected: &str) {
    assert_eq!(code(answer), (status, expected.to_owned()), "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
}

/// The id of a document, and of a batch, of whoever this is.
fn belongings(client: &Client) -> (String, String) {
    let accepted = upload(client, "/v1/documents", &[("a.txt", &prose(1))]);
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let batch = client.post("/v1/batches", &json!({"name": "mine"})).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&accepted.json()["documents"][0]["id"]), text(&batch["id"]))
}

/// With another character somewhere: an id that is nobody's.
fn other_id(id: &str) -> String {
    let last = if id.ends_with('0') { '1' } else { '0' };
    format!("{}{last}", &id[..id.len() - 1])
}

fn who_is_not_known_learns_one_thing_only(shape: &impl Shape) {
    let [good, revoked] = [(); 2].map(|()| shape.key("default", &["read"]));
    let expired = shape.expired();
    shape.revoke(&revoked);
    // A known name with another secret, an unknown name, no form of a key, no key.
    let forged = other_id(&good);
    let unknown = good.replace(good.split('_').nth(1).unwrap(), "0123456789ab");
    let shown = [Some(&*revoked), Some(&*expired), Some(&*forged), Some(&*unknown), Some("x"), None];
    let mut bodies: Vec<String> = Vec::new();
    for key in shown {
        for path in ["/v1/documents", "/v1/search?q=fog", "/v1/concepts", "/v1/keys", "/v1/events"] {
            let answer = shape.client(key).get(path);
            is(&answer, 401, "key_needed");
            bodies.push(answer.text());
        }
        let answer = shape.client(key).post("/v1/ask", &json!({"question": "why?"}));
        is(&answer, 401, "key_needed");
        bodies.push(answer.text());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    let reader = shape.client(Some(&good));
    is(&reader.get("/v1/keys"), 403, "scope_needed");
    is(&upload(&reader, "/v1/documents", &[("a.txt", &prose(1))]), 403, "scope_needed");
    assert_eq!(reader.get("/v1/search?q=fog").status, 200);
    let log = shape.log();
    assert!([good, revoked, expired].iter().all(|key| !log.contains(key)), "a key is in the log");
}

fn not_there_and_not_yours_are_one_answer(shape: &impl Shape) {
    let key = |tenant| shape.key(tenant, &["read", "write"]);
    let [one, two] = ["one", "two"].map(|tenant| shape.client(Some(&key(tenant))));
    let (document, batch) = belongings(&one);
    let (no_document, no_batch) = (other_id(&document), other_id(&batch));
    for (path, yours, nobodys) in [
        ("/v1/documents/ID", &document, &no_document),
        ("/v1/documents/ID/manifest", &document, &no_document),
        ("/v1/documents/ID/pages/1", &document, &no_document),
        ("/v1/documents/ID/pages/1/image", &document, &no_document),
        ("/v1/dead-letters/ID", &document, &no_document),
        ("/v1/batches/ID", &batch, &no_batch),
    ] {
        let ask = |id: &str| two.get(&path.replace("ID", id));
        let (foreign, missing) = (ask(yours), ask(nobodys));
        assert_eq!((foreign.status, missing.status), (404, 404), "{path}: {}", foreign.text());
        assert_eq!(foreign.text().replace(yours.as_str(), nobodys), missing.text(), "{path}");
        let (mut foreign, mut missing) = (Vec::new(), Vec::new());
        for n in 0..ASKS {
            let mut turns = [(yours, &mut foreign), (nobodys, &mut missing)];
            // Nobody is always the second, who finds all at hand.
            turns.rotate_left(n % 2);
            for (id, times) in turns {
                let began = Instant::now();
                ask(id);
                times.push(began.elapsed());
            }
        }
        let (foreign, missing) = (quantile(foreign, 50), quantile(missing, 50));
        let ratio = foreign.as_secs_f64() / missing.as_secs_f64();
        let is_small = foreign.abs_diff(missing) < Duration::from_millis(1);
        assert!(is_small || (0.8..1.25).contains(&ratio), "{path}: {foreign:?} and {missing:?}");
    }
    let search = json!({"query": "barometer", "filter": {"documents": [document]}});
    assert_eq!(two.post("/v1/search", &search).json()["results"], json!([]));
    for method in [("DELETE", "/v1/documents/ID", &document), ("POST", "/v1/batches/ID/cancel", &batch)] {
        let (method, path, id) = method;
        let answer = two.send(method, &path.replace("ID", id), &[], b"{}").unwrap();
        is(&answer, 404, "not_found");
    }
}

fn quantile(mut times: Vec<Duration>, percent: usize) -> Duration {
    times.sort();
    times[(times.len() - 1) * percent / 100]
}

fn what_is_too_much_or_misleading_is_refused(shape: &impl Shape) {
    let client = shape.client(Some(shape.admin()));
    // Parts of a form: files, and places of files.
    let text = prose(1);
    let files: Vec<(&str, &[u8])> = (0..10_000).map(|_| ("a.txt", text.as_slice())).collect();
    is(&upload(&client, "/v1/documents", &files), 422, "invalid");
    let boundary = "as-many-places";
    let place = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"uri\"\r\n\r\na.txt\r\n");
    let places = format!("{}--{boundary}--\r\n", place.repeat(10_000));
    let kind = format!("multipart/form-data; boundary={boundary}");
    let answer = client.send("POST", "/v1/documents", &[("content-type", &kind)], places.as_bytes());
    let answer = answer.unwrap();
    is(&answer, 422, "invalid");
    assert_eq!(answer.json()["detail"], "has too many parts");
    wait_until("what was refused is removed", || shape.objects() == 0);
    // Depth, in each place that reads JSON.
    let (deep, objects) = ("[".repeat(100_000), "{\"a\":".repeat(100_000));
    for path in ["/v1/batches", "/v1/search", "/v1/ask", "/v1/dead-letters/replay", "/v1/keys"] {
        for body in [&deep, &objects] {
            let answer =
                client.send("POST", path, &[("content-type", "application/json")], body.as_bytes());
            is(&answer.unwrap(), 422, "invalid");
        }
    }
    let answer = client.send(
        "POST",
        "/v1/chat/completions",
        &[("content-type", "application/json")],
        deep.as_bytes(),
    );
    assert!((400..500).contains(&answer.unwrap().status));
    // As many bytes as such a body may have, and one more: a question is shorter than a list of documents.
    for (path, bytes_max) in
        [("/v1/search", 1 << 20), ("/v1/chat/completions", 1 << 20), ("/v1/batches", 4 << 20)]
    {
        let send = |bytes: usize| {
            let body = vec![b' '; bytes];
            client.send("POST", path, &[("content-type", "application/json")], &body).unwrap()
        };
        assert_ne!(send(bytes_max).status, 413, "{path}");
        assert_eq!(send(bytes_max + 1).status, 413, "{path}");
    }
    let long = vec![b' '; (1 << 20) + 1];
    let answer = client.send("POST", "/v1/search", &[("content-type", "application/json")], &long);
    is(&answer.unwrap(), 413, "body_too_large");
    // Names that would show as others.
    for name in ["a\u{202e}fdp.exe", "\u{2066}a.txt"] {
        let file = upload(&client, "/v1/documents", &[(name, &prose(2))]);
        is(&file, 422, "invalid");
        let escaped: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        is(
            &upload(&client, &format!("/v1/documents?uri={escaped}"), &[("a.txt", &prose(2))]),
            422,
            "invalid",
        );
        is(&client.post("/v1/batches", &json!({"name": name})), 422, "invalid");
        is(&client.post("/v1/keys", &json!({"label": name, "scopes": ["read"]})), 422, "invalid");
    }
    let bell = upload(&client, "/v1/documents", &[("a\u{7}.txt", &prose(2))]);
    assert!((400..500).contains(&bell.status), "{}", bell.text());
    is(&upload(&client, "/v1/documents?uri=a%07b", &[("a.txt", &prose(2))]), 422, "invalid");
    is(&client.post("/v1/batches", &json!({"name": "a\nb"})), 422, "invalid");
    // Questions that are none.
    for path in ["/v1/search", "/v1/search?q=", "/v1/search?q=fog&k=0", "/v1/search?q=fog&k=101"] {
        is(&client.get(path), 422, "invalid");
    }
    for path in
        ["/v1/search?q=fog&cursor=zz", "/v1/search?q=fog&facets=owner", "/v1/search?q=fog&tenant=two"]
    {
        is(&client.get(path), 422, "invalid");
    }
    let long = "a".repeat(8_193);
    is(&client.post("/v1/search", &json!({"query": long})), 422, "invalid");
    is(&client.post("/v1/search", &json!({"query": "fog", "tenant": "two"})), 422, "invalid");
    is(&client.post("/v1/ask", &json!({"question": long})), 422, "invalid");
    assert_eq!(client.get("/readyz").status, 200);
}

/// A request that is begun and not ended.
fn begin(port: u16, key: &str, head: &str, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(DONE_WITH)).unwrap();
    stream
        .write_all(format!("{head}host: localhost\r\nauthorization: Bearer {key}\r\n").as_bytes())
        .unwrap();
    stream.write_all(body).unwrap();
    stream
}

/// What it is told in the end; nothing where the connection is only closed.
fn told(mut stream: TcpStream) -> String {
    let mut told = Vec::new();
    match stream.read_to_end(&mut told) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("it is still waited for: {error}"),
    }
    String::from_utf8_lossy(&told).into_owned()
}

fn slow_clients_are_let_go_and_others_do_not_wait_for_them(shape: &impl Shape) {
    let key = shape.key("default", &["read", "write"]);
    let client = shape.client(Some(&key));
    let port = client.port;
    upload(&client, "/v1/documents", &[("a.txt", &prose(1))]);
    let look = || {
        let times = (0..ASKS).map(|_| {
            let began = Instant::now();
            assert_eq!(client.get("/v1/documents").status, 200);
            began.elapsed()
        });
        quantile(times.collect(), 90)
    };
    let alone = look();
    let heads: Vec<TcpStream> =
        (0..SLOW).map(|_| begin(port, &key, "GET /v1/documents HTTP/1.1\r\n", b"")).collect();
    let json = "POST /v1/search HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 100\r\n";
    let bodies: Vec<TcpStream> = (0..SLOW).map(|_| begin(port, &key, json, b"\r\n{\"query\"")).collect();
    let form = "POST /v1/documents HTTP/1.1\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: 9999\r\n";
    let uploads: Vec<TcpStream> =
        (0..SLOW_UPLOADS).map(|_| begin(port, &key, form, b"\r\n--b\r\nContent-D")).collect();
    let beside = look();
    // Something for the machine, which does other tests meanwhile: who waited for them would wait for seconds.
    assert!(beside < alone * 2 + Duration::from_millis(200), "p90 {beside:?} beside them, {alone:?} alone");
    assert_eq!(upload(&client, "/v1/documents", &[("b.txt", &prose(2))]).status, 202);
    for head in heads {
        let told = told(head);
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 408"), "{told}");
    }
    for body in bodies {
        let told = told(body);
        assert!(told.starts_with("HTTP/1.1 408") && told.contains("body_too_slow"), "{told}");
    }
    drop(uploads);
    assert_eq!(client.get("/readyz").status, 200);
}
