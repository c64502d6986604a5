//! The API under what Schemathesis makes of its description: no request that fits it, or nearly does, is answered with
//! a failure of the server.

// Helpers of tests panic as tests do; those of the API's tests are more than these need.
#![allow(clippy::unwrap_used, clippy::large_futures, dead_code)]

#[path = "api/house.rs"]
mod house;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use docmill_tests::services::http::form;
use docmill_tests::services::process::{Process, wait_until};
use house::House;

/// Cases of each operation and phase.
const CASES: &str = "8";
/// Longest time of one request: more than any that is not a stream takes.
const REQUEST_S: &str = "30";
/// Longest time of all of them.
const LIMIT: Duration = Duration::from_secs(240);
/// What has no end, what is on another port, and what would end the key that asks.
const LEFT_OUT: &str = "^(/v1/events|/internal/.*|/v1/keys/.*)$";

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

#[test]
fn nothing_of_the_description_makes_the_server_fail() {
    let program = schemathesis();
    let house = House::new("");
    let key = house.key("default", "read,write,admin");
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
    let log = dir.path().join("log");
    let mut command = Command::new(program);
    command
        .current_dir(dir.path())
        .arg("run")
        .arg(format!("http://127.0.0.1:{}/openapi.json", client.port));
    command.args(["--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing"]);
    command.args(["--max-examples", CASES, "--seed", "1", "--generation-database", "none"]);
    command.args(["--request-timeout", REQUEST_S, "--suppress-health-check", "all", "--no-color"]);
    command
        .args(["--exclude-path-regex", LEFT_OUT, "--header"])
        .arg(format!("Authorization: Bearer {key}"));
    let ended = Process::start(&mut command, &log).wait(LIMIT);
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(ended.success(), "{said}");
    // It has to have asked, not only to have begun.
    assert!(said.contains("not_a_server_error") || said.contains("passed"), "{said}");
    assert_eq!(client.get("/readyz").status, 200);
    drop(worker);
    house.nothing_leaked(&[&key]);
}
