//! `docmill serve` as users run it: a process of its own on a data directory, asked over HTTP.

// Helpers of tests panic as tests do.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use docmill_core::limits::Limits;
use docmill_tests::command::{Docmill, locate};
use docmill_tests::services::decks;
use docmill_tests::services::http::{Answer, Client, form};
use docmill_tests::services::made_key::made_key;
use docmill_tests::services::process::{Process, free_port, wait_until};
use serde_json::{Value, json};

/// From the first answer to the hit of the first upload, on a machine that runs other tests: who waits for something that
/// is not needed waits longer.
const FIRST_HIT_MAX: Duration = Duration::from_secs(20);

/// A directory for data, and what lies beside it.
struct House {
    dir: tempfile::TempDir,
    port: u16,
}

/// The command at work; killed when it is dropped.
struct Served {
    process: Process,
    client: Client,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("docs")).unwrap();
        Self { dir, port: free_port() }
    }

    fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn docs(&self) -> PathBuf {
        self.dir.path().join("docs").canonicalize().unwrap()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.docs().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, listen: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(locate(None).unwrap());
        for name in ["DOCMILL_SERVER", "DOCMILL_API_KEY", "DOCMILL_DATA_DIR", "USE_MOCK_LLM"] {
            command.env_remove(name);
        }
        command.env("USE_MOCK_EMBEDDINGS", "1").arg("--json").arg("--data-dir").arg(self.data_dir());
        command.args(["serve", "--listen", listen]).args(arguments);
        command
    }

    /// Starts it, and waits until it answers.
    fn serve(&self, arguments: &[&str]) -> Served {
        let mut command = self.command(&format!("127.0.0.1:{}", self.port), arguments);
        let log = self.dir.path().join("log");
        let process = Process::start(&mut command, &log);
        let mut client = Client { port: self.port, key: None };
        let answers = || client.send("GET", "/healthz", &[], b"").is_ok_and(|answer| answer.status == 200);
        wait_until("docmill serve answers", answers);
        client.key = std::fs::read_to_string(self.data_dir().join("api-token")).ok();
        Served { process, client }
    }
}

/// What these tests ask for again and again.
trait Ask {
    fn upload(&self, path: &str, headers: &[(&str, &str)], files: &[(&str, &[u8])]) -> Answer;
    /// The id of a document that was accepted.
    fn uploaded(&self, name: &str, text: &str) -> String;
    /// URIs of what is found by this word: what was found by its meaning alone does not count.
    fn found(&self, word: &str) -> Vec<String>;
    fn documents(&self, filter: &str) -> Vec<Value>;
}

impl Ask for Client {
    fn upload(&self, path: &str, headers: &[(&str, &str)], files: &[(&str, &[u8])]) -> Answer {
        let (kind, body) = form(files);
        let headers = [&[("content-type", kind.as_str())], headers].concat();
        self.send("POST", path, &headers, &body).unwrap()
    }

    fn uploaded(&self, name: &str, text: &str) -> String {
        let answer = self.upload("/v1/documents", &[], &[(name, text.as_bytes())]);
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["documents"][0]["id"].as_str().unwrap().to_owned()
    }

    fn found(&self, word: &str) -> Vec<String> {
        let answer = self.get(&format!("/v1/search?q={word}&k=50"));
        if answer.status != 200 {
            return Vec::new();
        }
        let results = answer.json()["results"].as_array().cloned().unwrap_or_default();
        let by_word = |hit: &&Value| hit["text"].as_str().unwrap().to_lowercase().contains(word);
        let uri = |hit: &Value| hit["document"]["uri"].as_str().unwrap().to_owned();
        results.iter().filter(by_word).map(uri).collect()
    }

    fn documents(&self, filter: &str) -> Vec<Value> {
        self.get(&format!("/v1/documents{filter}")).json()["documents"].as_array().unwrap().clone()
    }
}

fn ends_with(found: &[String], name: &str) -> bool {
    found.iter().any(|uri| uri.ends_with(name))
}

#[test]
fn the_first_upload_is_found_at_once() {
    let house = House::new();
    let served = house.serve(&[]);
    let began = Instant::now();
    served.client.uploaded("heron.txt", "A heron stands in shallow water.");
    wait_until("it is found", || ends_with(&served.client.found("heron"), "heron.txt"));
    assert!(began.elapsed() < FIRST_HIT_MAX, "{:?}", began.elapsed());
    wait_until("it is ready", || served.client.get("/readyz").status == 200);

    // Reading needs no token, changing does.
    let stranger = Client { port: house.port, key: None };
    assert!(ends_with(&stranger.found("heron"), "heron.txt"));
    assert_eq!(stranger.upload("/v1/documents", &[], &[("a.txt", b"a")]).status, 401);
    // Nobody else works on the directory meanwhile.
    let busy = Docmill::new(&locate(None).unwrap(), &house.data_dir());
    let (_, said) = busy.json(&["run", house.docs().to_str().unwrap()]).unwrap();
    assert_eq!(said["error"]["code"], "data_dir_busy");
}

#[test]
fn ten_come_at_once() {
    let house = House::new();
    let served = house.serve(&[]);
    std::thread::scope(|scope| {
        for n in 0..10 {
            let client = &served.client;
            scope.spawn(move || {
                let (name, text) = (format!("at-once-{n}.txt"), format!("Kingfisher number{n} dives."));
                let answer = client.upload("/ingest/txt", &[], &[(&name, text.as_bytes())]);
                assert_eq!(answer.status, 202, "{}", answer.text());
            });
        }
    });
    wait_until("all are found", || served.client.found("kingfisher").len() == 10);
    assert_eq!(served.client.documents("?state=committed").len(), 10);
}

#[test]
fn ten_presentations_come_at_once() {
    let house = House::new();
    let served = house.serve(&[]);
    decks::ten_at_once(&served.client);
}

#[test]
fn the_same_request_is_answered_once() {
    let house = House::new();
    let served = house.serve(&[]);
    let send = |text: &str| {
        let headers = [("idempotency-key", "one")];
        served.client.upload("/v1/documents", &headers, &[("a.txt", text.as_bytes())])
    };
    let (first, second) = (send("A first text."), send("A first text."));
    assert_eq!((first.status, second.status, first.text()), (202, 202, second.text()));
    assert_eq!(send("Another text.").status, 422);
    assert_eq!(served.client.documents("").len(), 1);
}

#[test]
fn a_cancelled_batch_takes_no_more() {
    let house = House::new();
    let served = house.serve(&[]);
    let client = &served.client;
    let made = client.post("/v1/batches", &json!({"name": "birds"})).json();
    let batch = made["id"].as_str().unwrap();
    let into = format!("/v1/documents?batch={batch}");
    for n in 0..20 {
        let text = format!("Text number {n}.");
        assert_eq!(client.upload(&into, &[], &[("a.txt", text.as_bytes())]).status, 202);
    }
    assert_eq!(client.post(&format!("/v1/batches/{batch}/cancel"), &json!({})).status, 200);
    let row = client.get(&format!("/v1/batches/{batch}")).json();
    let count = |state: &str| row["documents"][state].as_u64().unwrap();
    assert_eq!((row["state"].as_str(), count("total")), (Some("cancelled"), 20));
    assert_eq!((count("queued") + count("processing"), count("committed") + count("cancelled")), (0, 20));
    assert_eq!(client.upload(&into, &[], &[("b.txt", b"late")]).status, 404);
}

#[test]
fn what_was_accepted_survives_a_kill() {
    let house = House::new();
    let served = house.serve(&[]);
    for n in 0..30 {
        served.client.uploaded(&format!("{n}.txt"), &format!("Cormorant number{n} dries its wings."));
    }
    drop(served);
    let served = house.serve(&[]);
    wait_until("all are found", || served.client.found("cormorant").len() == 30);
    drop(served);
    let findings = Docmill::new(&locate(None).unwrap(), &house.data_dir()).verify().unwrap();
    assert!(findings.values().all(|count| *count == 0), "{findings:?}");
}

#[test]
fn a_key_leads_to_its_tenant_alone() {
    let house = House::new();
    let scopes = ["read", "write", "admin"];
    let [one, two] = ["one", "two"].map(|tenant| made_key(&house.data_dir(), tenant, &scopes, None));
    let served = house.serve(&[]);
    let [one, two] = [one, two].map(|key| Client { port: house.port, key: Some(key) });
    let document = one.uploaded("egret.txt", "An egret of the first tenant.");
    wait_until("its tenant finds it", || ends_with(&one.found("egret"), "egret.txt"));
    assert!(two.found("egret").is_empty() && two.documents("").is_empty());
    let [theirs, nobodys] = [document.as_str(), "00000000000000000000000000000000"]
        .map(|id| two.get(&format!("/v1/documents/{id}")));
    assert_eq!((theirs.status, nobodys.status), (404, 404));
    assert_eq!(one.get(&format!("/v1/documents/{document}")).status, 200);
    assert_eq!(Client { port: house.port, key: None }.get("/v1/documents").status, 401);
    drop(served);
}

#[test]
fn others_are_answered_only_where_there_are_keys() {
    let house = House::new();
    let refused = house.command(&format!("0.0.0.0:{}", house.port), &[]).output().unwrap();
    assert!(!refused.status.success());
    let said: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(said["error"]["code"], "keys_needed");
}

#[test]
fn a_watched_directory_is_kept_up_with() {
    let house = House::new();
    house.write("stork.txt", "A stork on the roof.");
    let docs = house.docs();
    let served = house.serve(&["--watch", docs.to_str().unwrap()]);
    let client = &served.client;
    wait_until("what was there is found", || ends_with(&client.found("stork"), "stork.txt"));
    let crane = house.write("crane.txt", "A crane in the field.");
    wait_until("what is new is found", || ends_with(&client.found("crane"), "crane.txt"));
    house.write("stork.txt", "A pelican on the roof, by now.");
    wait_until("what changed is found", || ends_with(&client.found("pelican"), "stork.txt"));
    wait_until("what it was is not", || !ends_with(&client.found("stork"), "stork.txt"));
    std::fs::remove_file(&crane).unwrap();
    // Seen in one look, so the other was not missed when this one is found.
    house.write("ibis.txt", "An ibis by the river.");
    wait_until("the look after is through", || ends_with(&client.found("ibis"), "ibis.txt"));
    assert!(ends_with(&client.found("crane"), "crane.txt"), "a file that is gone takes nothing with it");

    // A file below it may be named, and is known already; one beside it may not.
    let uri = |path: &Path| format!("file://{}", path.display());
    let named = json!({"uris": [uri(&docs.join("stork.txt"))]});
    let accepted = client.post("/v1/batches", &named).json();
    assert_eq!(accepted["documents"][0]["change"], "unchanged", "{accepted}");
    let beside = house.dir.path().join("log");
    assert_eq!(client.post("/v1/batches", &json!({"uris": [uri(&beside)]})).status, 422);
    // Nor may one that no extractor would take: it is not even read.
    let huge = docs.join("huge.txt");
    std::fs::File::create(&huge).unwrap().set_len((Limits::default().file_mib << 20) + 1).unwrap();
    let refused = client.post("/v1/batches", &json!({"uris": [uri(&huge)]}));
    assert_eq!((refused.status, refused.json()["code"].as_str()), (413, Some("too_large")));

    // Cancelling a batch that names a file takes nothing away that is watched.
    std::fs::remove_file(&huge).unwrap();
    let file = house.write("bustard.txt", "A bustard on the plain.");
    let made = client.post("/v1/batches", &json!({"uris": [uri(&file)]})).json();
    let cancel = format!("/v1/batches/{}/cancel", made["id"].as_str().unwrap());
    assert_eq!(client.post(&cancel, &json!({})).status, 200);
    wait_until("it is found all the same", || ends_with(&client.found("bustard"), "bustard.txt"));
    let slow = client.get("/v1/slow-queries?aboveMs=0");
    assert!(slow.status == 200 && slow.json()["queries"].is_array(), "{}", slow.text());
}

#[test]
fn what_a_run_ingested_is_served() {
    let house = House::new();
    house.write("bittern.txt", "A bittern booms in the reeds.");
    let run = Docmill::new(&locate(None).unwrap(), &house.data_dir());
    run.run_well(&house.docs(), &["--embeddings", "mock"]).unwrap();
    let served = house.serve(&[]);
    wait_until("it is found", || ends_with(&served.client.found("bittern"), "bittern.txt"));
    let document = served.client.documents("")[0]["id"].as_str().unwrap().to_owned();
    let deleted = served.client.send("DELETE", &format!("/v1/documents/{document}"), &[], b"").unwrap();
    assert_eq!(deleted.status, 202);
    wait_until("it is gone", || served.client.found("bittern").is_empty());

    // Asked to end, it ends well, and leaves nothing for the next start.
    let Served { mut process, .. } = served;
    process.signal(rustix::process::Signal::TERM);
    assert!(process.wait(Duration::from_secs(90)).success());
    assert_eq!(run.verify().unwrap().values().sum::<u64>(), 0);
}
