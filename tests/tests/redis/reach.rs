//! Ways to a server: TLS, log-in, cluster, sentinels.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use docmill_core::lane::Lane;
use docmill_tests::services::process::wait_until;
use docmill_tests::services::redis::{
    ADMIN, ADMIN_PASSWORD, RedisServer, Sentinel, Setup, USER, credentials, options, prefix,
};
use docmill_worker::queue::Queue;
use docmill_worker::queue::redis::check::{Severity, check};
use docmill_worker::queue::redis::{Keys, RedisQueue};

use super::{messages, receive, works};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_works_and_a_strange_ca_is_refused() {
    let server = RedisServer::start(&Setup { tls: true, ..Setup::default() });
    let stranger = RedisServer::start(&Setup { tls: true, ..Setup::default() });
    for host in ["localhost", "127.0.0.1"] {
        let mut options = options(&format!("rediss://{host}:{}", server.tls_port));
        options.tls_ca_file = Some(server.ca_file());
        works(&RedisQueue::new(options), 8).await;
    }
    let mut options = options(&format!("rediss://localhost:{}", server.tls_port));
    // The machine's own list does not know our CA either.
    for ca in [None, Some(stranger.ca_file())] {
        options.tls_ca_file = ca;
        let began = Instant::now();
        let error = RedisQueue::new(options.clone()).depth(Lane::Small).await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(2));
    }
    options.tls_ca_file = Some(server.dir_file("no-such.pem"));
    let error = RedisQueue::new(options.clone()).depth(Lane::Small).await.unwrap_err();
    assert!(error.to_string().contains("no-such.pem"), "{error}");
    options.url = server.options().url;
    let error = RedisQueue::new(options).depth(Lane::Small).await.unwrap_err();
    assert!(error.to_string().contains("does not ask for TLS"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_said_at_once() {
    let server = RedisServer::start(&Setup::default());
    let mut options = server.options();
    for (user, password, words) in [
        (Some(USER), "wrong-password", "refused the user name or the password"),
        (None, "", "none were given"),
    ] {
        options.credentials = user.map(|user| credentials(user, password)).unwrap_or_default();
        let began = Instant::now();
        let error = RedisQueue::new(options.clone()).enqueue(&messages(1)).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.to_string().contains("wrong-password"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_keeps_all_keys_in_one_slot() {
    let server = RedisServer::start(&Setup { cluster: true, ..Setup::default() });
    let mut admin = server.admin();
    let keys = Keys::new(&prefix());
    let slots: BTreeSet<u32> = keys
        .of_scripts()
        .iter()
        .chain([&keys.probe()])
        .map(|key| redis::cmd("CLUSTER").arg("KEYSLOT").arg(key).query(&mut admin).unwrap())
        .collect();
    assert_eq!(slots.len(), 1);
    let options = options(&format!("redis-cluster://127.0.0.1:{}", server.port));
    let queue = RedisQueue::new(options.clone());
    works(&queue, 40).await;
    // The server refuses a script that touches a key of another slot: every script is called here.
    queue.enqueue(&messages(1)).await.unwrap();
    let delivery = receive(&queue, "a", 1).await.remove(0);
    assert!(queue.release(&delivery, 1).await.unwrap());
    assert!(queue.next_due_ms().await.unwrap().is_some());
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(queue.promote().await.unwrap(), 1);
    let findings = check(&options).await.unwrap();
    assert!(findings.iter().all(|finding| finding.severity == Severity::Unknown), "{findings:?}");
    server.empty();
    works(&queue, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_lead_to_the_new_master() {
    let tcp = Setup { tcp: true, ..Setup::default() };
    let master = RedisServer::start(&tcp);
    let follow = format!(
        "replicaof 127.0.0.1 {}\nmasteruser {ADMIN}\nmasterauth {ADMIN_PASSWORD}\nrepl-diskless-sync-delay 0\n",
        master.port
    );
    let replica = RedisServer::start(&Setup { config: follow, ..tcp });
    for server in [&master, &replica] {
        for (name, value) in [("masteruser", ADMIN), ("masterauth", ADMIN_PASSWORD)] {
            redis::cmd("CONFIG").arg("SET").arg(name).arg(value).exec(&mut server.admin()).unwrap();
        }
    }
    let sentinel = Sentinel::start(&master, 1);
    let queue = RedisQueue::new(options(&format!("redis-sentinel://127.0.0.1:{}/main", sentinel.port)));
    works(&queue, 8).await;
    sentinel.fail_over();
    wait_until("the new master", || sentinel.master_port() == replica.port);
    // Calls may fail while the roles change; then they go to the new master, by the same queue.
    let began = Instant::now();
    while queue.enqueue(&messages(1)).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    let delivery = receive(&queue, "a", 1).await.remove(0);
    assert!(queue.ack(&delivery).await.unwrap());
    let role: Vec<redis::Value> = redis::cmd("ROLE").query(&mut replica.admin()).unwrap();
    assert_eq!(redis::from_redis_value::<String>(role[0].clone()).unwrap(), "master");
}
