//! The commands of the runbook, run against real servers: they fit the tables and keys there are.
#![allow(clippy::unwrap_used)]

use docmill_tests::page;
use docmill_tests::services::postgres::{client, shared};
use docmill_tests::services::process::free_port;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_of_a_configuration_is_as_it_says() {
    let redis = RedisServer::start(&Setup { tcp: true, ..Setup::default() });
    let postgres = shared().fresh();
    Database::open(&postgres).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let setup = WorkerSetup::new(redis.port, postgres.clone());
    std::fs::write(dir.path().join("worker.yaml"), setup.config(18_081, &dir.path().join("scratch")))
        .unwrap();
    let line =
        blocks("sh").into_iter().flat_map(str::lines).find(|line| line.starts_with("docmill-worker "));
    let mut command = std::process::Command::new(docmill_tests::services::worker::program());
    command.args(line.unwrap().split(' ').skip(1)).current_dir(dir.path());
    command.env("REDIS_PASSWORD", docmill_tests::services::redis::PASSWORD);
    command.env("PG_PASSWORD", postgres.password.as_ref().unwrap().expose());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    drop(redis);
}
