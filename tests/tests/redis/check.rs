//! What the start-up check finds in real servers.

use docmill_tests::services::redis::{ADMIN, ADMIN_PASSWORD, RedisServer, Setup, credentials};
use docmill_worker::queue::redis::check::{Finding, Severity, check};

/// The findings of a server that is set up like this, as the user with all rights.
async fn findings(setup: &Setup) -> Vec<Finding> {
    let server = RedisServer::start(setup);
    let mut options = server.options();
    options.credentials = credentials(ADMIN, ADMIN_PASSWORD);
    let findings = check(&options).await.unwrap();
    let left: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut server.admin()).unwrap();
    assert_eq!(left, Vec::<String>::new(), "a check leaves nothing behind");
    findings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_server_passes_the_check() {
    assert_eq!(findings(&Setup::default()).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_rights_are_enough_and_hide_two_facts() {
    let server = RedisServer::start(&Setup::default());
    let findings = check(&server.options()).await.unwrap();
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings.iter().all(|finding| finding.severity == Severity::Unknown), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_server_does_not_pass_the_check() {
    let config = |config: &str| Setup { config: config.to_owned(), ..Setup::default() };
    let user = |default: &str| Setup { default_user: default.to_owned(), ..Setup::default() };
    let bad = [
        (user("user default off"), Severity::Error, "replays"),
        (user("user default on nopass ~other:* +@read"), Severity::Error, "replays"),
        (config("appendonly no\n"), Severity::Error, "append-only"),
        (config("appendfsync everysec\n"), Severity::Warning, "everysec"),
        (config("maxmemory-policy allkeys-lru\n"), Severity::Error, "allkeys-lru"),
    ];
    for (setup, severity, word) in bad {
        let [finding] = findings(&setup).await.try_into().expect("one finding");
        assert_eq!(finding.severity, severity, "{finding:?}");
        assert!(finding.what.contains(word), "{finding:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_right_is_named() {
    let rights = "-xclaim -script|load".to_owned();
    let server = RedisServer::start(&Setup { rights, ..Setup::default() });
    let findings = check(&server.options()).await.unwrap();
    assert_eq!(findings[0].severity, Severity::Error);
    assert!(findings[0].what.ends_with("xclaim, script|load"), "{findings:?}");
    let mut options = server.options();
    options.credentials.password = None;
    assert!(check(&options).await.is_err(), "without a log-in nothing can be said");
}
