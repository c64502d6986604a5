//! The API under what Schemathesis makes of its description: no request that fits it, or nearly does, is answered with
//! a failure of the server, with a status or a content that the description does not know, or with a body of another
//! form than it says.

// Helpers of tests panic as tests do; those of the API's tests are more than these need.
#![allow(clippy::unwrap_used, clippy::large_futures, dead_code)]

#[path = "api/house.rs"]
mod house;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use docmill_tests::services::http::form;
use docmill_tests::services::process::{Process, wait_until};
use house::House;

/// What every answer is held to.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// Cases of each operation and phase.
const CASES: &str = "8";
/// Longest time of one request: more than any that is not a stream takes.
const REQUEST_S: &str = "30";
/// Longest time of a stream that has no end: it is read for so long, then cut.
const STREAM_S: &str = "2";
/// Longest time of one run.
const LIMIT: Duration = Duration::from_secs(240);
/// What has no end.
const ENDLESS: &str = "^/v1/events$";
/// What may end the key that asks, so that it is asked with another.
const KEYS: &str = "^/v1/keys(/.*)?$";
/// What is on another port, and what the others ask for.
const LEFT_OUT: &str = "^(/v1/events|/internal/.*|/v1/keys(/.*)?)$";

/// Where setup puts it, beside the clients of other languages.
fn schemathesis() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("DOCMILL_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("docmill")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/docmill")))
        .unwrap();
    let folders = std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = folders
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("clients-")))
        .flat_map(|path| [path.join("bin/schemathesis"), path.join("python/bin/schemathesis")])
        .filter(|program| program.exists())
        .collect();
    found.sort_by_key(|program| std::fs::metadata(program).and_then(|found| found.modified()).ok());
    found.pop().unwrap_or_else(|| {
        panic!("no clients-*/bin/schemathesis is in {}: `make setup` installs it", cache.display())
    })
}

/// One run.
struct Run<'a> {
    program: &'a Path,
    dir: &'a Path,
    port: u16,
    key: &'a str,
}

impl Run<'_> {
    /// Asks what `which` says.
    fn asks(&self, name: &str, which: &[&str], request_s: &str, cases: &str) {
        let log = self.dir.join(name);
        let mut command = Command::new(self.program);
        command
            .current_dir(self.dir)
            .arg("run")
            .arg(format!("http://127.0.0.1:{}/openapi.json", self.port))
            .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing"])
            .args(["--max-examples", cases, "--seed", "1", "--generation-database", "none"])
            .args(["--request-timeout", request_s, "--suppress-health-check", "all", "--no-color"])
            .args(which)
            .arg("--header")
            .arg(format!("Authorization: Bearer {}", self.key));
        let ended = Process::start(&mut command, &log).wait(LIMIT);
        let said = std::fs::read_to_string(&log).unwrap();
        assert!(ended.success(), "{name}: {said}");
        // It has to have asked, not only to have begun.
        assert!(said.contains("passed"), "{name}: {said}");
    }
}

#[test]
fn what_the_api_answers_is_what_its_description_says() {
    let program = schemathesis();
    let house = House::new("");
    let [key, second] = ["", ""].map(|_| house.key("default", "read,write,admin"));
    let api = house.api();
    let client = api.client(Some(&key));
    let worker = house.worker();
    let text = b"Letter 1: the barometer fell all night, and in the morning the harbour lay in fog.";
    let (kind, body) = form(&[("a.txt", text)]);
    client.send("POST", "/v1/documents", &[("content-type", &kind)], &body).unwrap();
    wait_until("a document to ask for", || {
        client.get("/v1/documents?state=committed").json()["documents"][0].is_object()
    });
    let dir = tempfile::tempdir().unwrap();
    let run = Run { program: &program, dir: dir.path(), port: client.port, key: &key };
    run.asks("all", &["--exclude-path-regex", LEFT_OUT], REQUEST_S, CASES);
    run.asks("events", &["--include-path-regex", ENDLESS], STREAM_S, "2");
    // The last: keys that it comes to know are revoked as it likes, its own too.
    let run = Run { key: &second, ..run };
    run.asks("keys", &["--include-path-regex", KEYS], REQUEST_S, CASES);
    assert_eq!(client.get("/readyz").status, 200);
    drop(worker);
    house.nothing_leaked(&[&key, &second]);
}
