//! `docmill-worker check-config` as an operator runs it, against real servers.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Stdio};

use docmill_tests::services::certificates;
use docmill_tests::services::issuer::{Issuer, Manner, SigningKey};
use docmill_tests::services::neo4j::{self, Neo4jServer};
use docmill_tests::services::postgres::shared;
use docmill_tests::services::redis::{ADMIN, ADMIN_PASSWORD, RedisServer, Setup};
use docmill_tests::services::tls_front::TlsFront;
use docmill_tests::services::worker::program;
use docmill_worker::postgres::Options;
use serde_json::Value;
use tempfile::TempDir;

const WRONG: &str = "Wr0ng-and-secret";

/// Exit code and answer of a check of these servers; no secret may be seen anywhere.
fn check(
    redis_url: &str,
    redis_password: &str,
    postgres_password: Option<&str>,
    more: &str,
) -> (i32, Value) {
    check_of(&shared().fresh(), redis_url, redis_password, postgres_password, more, "")
}

/// The same of a ledger at this place, with further sections.
fn check_of(
    postgres: &Options,
    redis_url: &str,
    redis_password: &str,
    postgres_password: Option<&str>,
    more: &str,
    sections: &str,
) -> (i32, Value) {
    let right = postgres.password.as_ref().unwrap().expose().to_owned();
    let postgres_password = postgres_password.unwrap_or(&right);
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("redis-password");
    std::fs::write(&secret, format!("{redis_password}\n")).unwrap();
    let file = dir.path().join("worker.yaml");
    let authority =
        postgres.tls_ca_file.as_ref().map(|file| format!("    tlsCaFile: {}\n", file.display()));
    let text = format!(
        "queue:\n  redis:\n    url: {redis_url}\n    username: {ADMIN}\n    passwordFile: {}\n{more}\
         ledger:\n  postgres:\n    url: {}\n    user: {}\n    schema: {}\n    passwordEnv: PG_PASSWORD\n\
         {}{sections}",
        secret.display(),
        postgres.url,
        postgres.user,
        postgres.schema.as_str(),
        authority.unwrap_or_default(),
    );
    std::fs::write(&file, text).unwrap();
    let secrets = [redis_password, postgres_password];
    let mut last = None;
    for json in [false, true] {
        let mut command = Command::new(program());
        command.args(["check-config", "--config"]).arg(&file).args(json.then_some("--json"));
        command.env("PG_PASSWORD", postgres_password).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It stays readable until the child is waited for; empty once it has ended.
        let line = std::fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
        let output = child.wait_with_output().unwrap();
        for said in [&line, &output.stdout, &output.stderr] {
            let said = String::from_utf8_lossy(said);
            assert!(!secrets.iter().any(|secret| said.contains(secret)), "{said}");
        }
        last = Some(output);
    }
    let output = last.unwrap();
    let said = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), said)
}

/// Exactly one finding that is an error, of this back end, with this word.
fn one_error((code, said): (i32, Value), back_end: &str, word: &str) {
    assert_eq!(code, 1, "{said}");
    let findings = said["findings"].as_array().unwrap();
    let errors: Vec<&Value> = findings.iter().filter(|finding| finding["severity"] == "error").collect();
    let [error] = errors[..] else { panic!("{said}") };
    assert_eq!(error["backEnd"], back_end, "{said}");
    assert!(error["what"].as_str().unwrap().contains(word), "{said}");
    assert!(
        !error["whatToDo"].as_str().unwrap().is_empty() && !error["address"].as_str().unwrap().is_empty()
    );
}

fn url(server: &RedisServer) -> String {
    format!("redis://127.0.0.1:{}", server.port)
}

#[test]
fn good_servers_pass_and_wrong_passwords_are_findings() {
    let server = RedisServer::start(&Setup { tcp: true, tls: true, ..Setup::default() });
    let (code, said) = check(&url(&server), ADMIN_PASSWORD, None, "");
    assert_eq!((code, &said["ok"]), (0, &Value::Bool(true)), "{said}");
    one_error(check(&url(&server), WRONG, None, ""), "queue.redis", "refused");
    one_error(check(&url(&server), ADMIN_PASSWORD, Some(WRONG), ""), "ledger.postgres", "refused");
    let tls = format!("rediss://localhost:{}", server.tls_port);
    let ca = format!("    tlsCaFile: {}\n", server.ca_file().display());
    assert_eq!(check(&tls, ADMIN_PASSWORD, None, &ca).0, 0);
    one_error(check(&tls, ADMIN_PASSWORD, None, ""), "queue.redis", "certificate");
    let gone = url(&server);
    drop(server);
    one_error(check(&gone, ADMIN_PASSWORD, None, ""), "queue.redis", "refused");
}

#[test]
fn a_ledger_with_tls_is_asked_with_it() {
    let server = RedisServer::start(&Setup { tcp: true, ..Setup::default() });
    let [own, stranger] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for dir in [&own, &stranger] {
        certificates::write(dir.path());
    }
    let front = TlsFront::start(shared().port(), own.path());
    let asked = |authority: &TempDir| {
        let tls_ca_file = Some(authority.path().join("ca.pem"));
        let ledger = Options { url: front.url("localhost"), tls_ca_file, ..shared().fresh() };
        let answer = check_of(&ledger, &url(&server), ADMIN_PASSWORD, None, "", "");
        assert!(front.heard_bytes() > 0 && !front.heard(&ledger.user), "nothing in the clear");
        answer
    };
    let (code, said) = asked(&own);
    assert_eq!((code, &said["ok"]), (0, &Value::Bool(true)), "{said}");
    one_error(asked(&stranger), "ledger.postgres", "certificate");
}

#[test]
fn a_server_that_would_lose_entries_is_a_finding() {
    let config = |config: &str| Setup { config: config.to_owned(), ..Setup::default() };
    let bad = [
        (config("appendonly no\n"), "append-only"),
        (config("maxmemory-policy allkeys-lru\n"), "allkeys-lru"),
        (Setup { default_user: "user default off".to_owned(), ..Setup::default() }, "replays"),
    ];
    for (setup, word) in bad {
        let server = RedisServer::start(&Setup { tcp: true, ..setup });
        one_error(check(&url(&server), ADMIN_PASSWORD, None, ""), "queue.redis", word);
    }
}

#[test]
fn a_secret_in_the_file_is_a_problem_that_does_not_repeat_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("worker.yaml");
    std::fs::write(&file, format!("password: {WRONG}\nqueue: {{redis: {{url: 'redis://u:{WRONG}@h'}}}}\n"))
        .unwrap();
    for json in [false, true] {
        let mut command = Command::new(program());
        command.args(["check-config", "--config"]).arg(&file).args(json.then_some("--json"));
        let output = command.output().unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains("passwordFile") && !said.contains(WRONG), "{said}");
    }
}

#[test]
fn neo4j_is_asked_where_it_is_named() {
    let server = RedisServer::start(&Setup { tcp: true, ..Setup::default() });
    let graph = Neo4jServer::start(false);
    let section = |password: &str| {
        format!(
            "graph:\n  neo4j:\n    url: {}\n    username: {}\n    passwordFile: {password}\n",
            graph.options().url,
            neo4j::USER
        )
    };
    let dir = tempfile::tempdir().unwrap();
    let (right, wrong) = (dir.path().join("right"), dir.path().join("wrong"));
    std::fs::write(&right, neo4j::PASSWORD).unwrap();
    std::fs::write(&wrong, WRONG).unwrap();
    let asked = |password: &std::path::Path| {
        check_of(
            &shared().fresh(),
            &url(&server),
            ADMIN_PASSWORD,
            None,
            "",
            &section(password.to_str().unwrap()),
        )
    };
    let (code, said) = asked(&right);
    assert_eq!((code, &said["ok"]), (0, &Value::Bool(true)), "{said}");
    one_error(asked(&wrong), "graph.neo4j", "refused");
    graph.kill();
    one_error(asked(&right), "graph.neo4j", "reached");
}

#[test]
fn an_issuer_is_asked_where_it_is_named() {
    let server = RedisServer::start(&Setup { tcp: true, ..Setup::default() });
    let issuer = Issuer::start();
    issuer.publish(&SigningKey::generate("k", jsonwebtoken::Algorithm::ES256));
    let section = format!("api:\n{}", issuer.section());
    let asked = || check_of(&shared().fresh(), &url(&server), ADMIN_PASSWORD, None, "", &section);
    let (code, said) = asked();
    assert_eq!((code, &said["ok"]), (0, &Value::Bool(true)), "{said}");
    let is_told = |finding: &Value| finding["backEnd"] == "api.oidc" && finding["severity"] == "warning";
    assert!(said["findings"].as_array().unwrap().iter().any(is_told), "it is without TLS: {said}");
    issuer.behave(Manner::Another);
    one_error(asked(), "api.oidc", "calls itself");
    issuer.behave(Manner::Keyless);
    one_error(asked(), "api.oidc", "no key");
    issuer.go_away();
    one_error(asked(), "api.oidc", "reached");
}
