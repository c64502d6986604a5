//! The commands of the runbook, run against real servers: they fit the tables and keys there are.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use docmill_tests::page;
use docmill_tests::services::api::ApiServer;
use docmill_tests::services::http::form;
use docmill_tests::services::postgres::{client, shared};
use docmill_tests::services::process::{free_port, wait_until};
use docmill_tests::services::redis::{RedisServer, Setup, command};
use docmill_tests::services::{neo4j, worker::WorkerSetup};
use docmill_worker::postgres::Database;

const RUNBOOK: &str = include_str!("../../docs/runbook.md");

fn blocks(kind: &str) -> Vec<&'static str> {
    page::blocks(RUNBOOK, kind)
}

#[tokio::test]
async fn statements_fit_the_ledgers_tables() {
    let options = shared().fresh();
    Database::open(&options).await.unwrap();
    let client = client(&options).await.unwrap();
    for block in blocks("sql") {
        client.batch_execute(block).await.unwrap_or_else(|error| panic!("{error:?}: {block}"));
    }
}

#[test]
fn commands_are_known_to_redis() {
    let server = RedisServer::start(&Setup::default());
    let mut admin = server.admin();
    // XINFO wants a stream that is there.
    for lane in ["small", "large"] {
        redis::cmd("XADD")
            .arg(format!("{{docmill:test}}:{lane}"))
            .arg("*")
            .arg("m")
            .arg("x")
            .exec(&mut admin)
            .unwrap();
    }
    for line in blocks("redis").into_iter().flat_map(str::lines) {
        command(line).exec(&mut admin).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_are_known_to_neo4j() {
    let (server, _turn) = neo4j::shared().await;
    let database = docmill_worker::neo4j::Database::open(&server.options()).await.unwrap();
    for statement in blocks("cypher").into_iter().flat_map(|block| block.split(';')) {
        if !statement.trim().is_empty() {
            neo4j::told(&database, statement.trim()).await;
        }
    }
    assert!(RUNBOOK.contains("STARTS WITH 'docmill'"));
}

#[test]
fn commands_are_known_to_docmill() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    for line in blocks("docmill").into_iter().flat_map(str::lines) {
        let mut command = std::process::Command::new(docmill_tests::command::locate(None).unwrap());
        command.args(line.split(' ').skip(1)).args(["--server", &nobody, "--retry-seconds", "1"]);
        let output = command.env("DOCMILL_API_KEY", "docmill_x_y").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // Understood, and nobody is there; what is not understood is 2.
        assert_eq!(output.status.code(), Some(1), "{line}: {said}");
        assert!(said.contains("unreachable") || said.contains("cannot be reached"), "{line}: {said}");
    }
}

/// What it says in a directory with a configuration of its own.
fn told_by_worker(line: &str, setup: &WorkerSetup, dir: &Path) -> String {
    std::fs::write(dir.join("worker.yaml"), setup.config(18_081, &dir.join("scratch"))).unwrap();
    let args: Vec<&str> = line.split(' ').skip(1).collect();
    let output = setup.command(&args, "pod").current_dir(dir).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{line}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_of_a_configuration_is_as_it_says() {
    let redis = RedisServer::start(&Setup { tcp: true, ..Setup::default() });
    let postgres = shared().fresh();
    Database::open(&postgres).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let line =
        blocks("sh").into_iter().flat_map(str::lines).find(|line| line.starts_with("docmill-worker "));
    told_by_worker(line.unwrap(), &WorkerSetup::new(redis.port, postgres), dir.path());
}

/// Without Redis and without an API: the ledger is enough.
#[test]
fn keys_are_listed_made_and_revoked_as_it_says() {
    let setup = WorkerSetup::new(free_port(), shared().fresh());
    let dir = tempfile::tempdir().unwrap();
    let [list, create, revoke] = blocks("worker").into_iter().flat_map(str::lines).collect::<Vec<_>>()[..]
    else {
        panic!("three commands");
    };
    let key = told_by_worker(create, &setup, dir.path());
    let id = key.split('_').nth(1).unwrap();
    let listed = || told_by_worker(list, &setup, dir.path());
    let line_of_key = |listed: String| listed.lines().find(|line| line.contains(id)).unwrap().to_owned();
    let before = line_of_key(listed());
    told_by_worker(&revoke.replace("KEY-ID", id), &setup, dir.path());
    assert_ne!(before, line_of_key(listed()), "it says when it was revoked");
}

/// By its name, with others of its code, with all: each time it is done once more, and fails again.
#[test]
fn dead_letters_are_replayed_as_it_says() {
    let redis = RedisServer::start(&Setup { tcp: true, ..Setup::default() });
    let dir = tempfile::tempdir().unwrap();
    let volume = dir.path().join("volume");
    std::fs::create_dir(&volume).unwrap();
    let objects = format!("objects:\n  volume: {{path: {}}}\n", volume.display());
    let setup = WorkerSetup { objects, ..WorkerSetup::new(redis.port, shared().fresh()) };
    let api = ApiServer::new(setup.clone(), &dir.path().join("api"));
    let key = api.key("default");
    api.start();
    let client = api.client(Some(key.clone()));
    let _worker = setup.start(&dir.path().join("worker"), "pod");
    let broken: &[u8] = &[0, 1, 2, 255, 0];
    let (kind, body) = form(&[("broken.pdf", broken)]);
    let taken = client.send("POST", "/v1/documents", &[("content-type", &kind)], &body).unwrap();
    assert_eq!(taken.status, 202, "{}", taken.text());
    let letters = || client.get("/v1/dead-letters").json()["deadLetters"].as_array().unwrap().clone();
    wait_until("a dead letter", || letters().len() == 1);
    let letter = letters().remove(0);
    let (id, code) = (letter["id"].as_str().unwrap(), letter["reason"]["code"].as_str().unwrap());
    let program = docmill_tests::command::locate(None).unwrap();
    let path = std::env::join_paths([program.parent().unwrap(), Path::new("/usr/bin"), Path::new("/bin")]);
    let path = path.unwrap();
    let replays = blocks("docmill").into_iter().flat_map(str::lines);
    let replays: Vec<&str> = replays.filter(|line| line.contains("dead-letters replay")).collect();
    assert_eq!(replays.len(), 3, "{replays:?}");
    for line in replays {
        let line = line.replace("s3://bucket/name.pdf", id).replace("limit_pages", code);
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &line]).env("PATH", &path).env("DOCMILL_API_KEY", &key);
        command.env("DOCMILL_SERVER", format!("http://127.0.0.1:{}", api.port()));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.trim(), "1 queued again", "{line}: {errors}");
        wait_until("it failed again", || letters().len() == 1);
    }
}
