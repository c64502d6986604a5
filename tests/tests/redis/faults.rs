//! Servers that die, are emptied, hold what is not ours.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use docmill_core::lane::Lane;
use docmill_tests::contract::LEASE_MS;
use docmill_tests::services::redis::{RedisServer, Setup, prefix};
use docmill_worker::queue::Queue;
use docmill_worker::queue::redis::{Keys, RedisQueue};

use super::{depth, messages, receive, works};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_no_entry_lease_or_delay() {
    let server = RedisServer::start(&Setup::default());
    let mut options = server.options();
    options.lease_ms = 600_000;
    let queue = RedisQueue::new(options);
    for _ in 0..3 {
        queue.enqueue(&messages(300)).await.unwrap();
        let deliveries = receive(&queue, "a", 100).await;
        let acked = queue.ack_many(&deliveries[..30]).await.unwrap();
        assert_eq!(acked, [true; 30]);
        for delivery in &deliveries[30..50] {
            assert!(queue.release(delivery, 600_000).await.unwrap());
        }
        let before = depth(&queue).await;
        assert_eq!(before, [200, 50, 20]);
        server.kill();
        server.start_again();
        assert_eq!(depth(&queue).await, before);
        // What is there is what was there: the leases have their owners, and nothing is added twice.
        queue.enqueue(&messages(300)).await.unwrap();
        assert_eq!(depth(&queue).await, [230, 50, 20]);
        let held = queue.extend_many(&deliveries[50..]).await.unwrap();
        assert_eq!(held, [true; 50]);
        let settled = queue.ack_many(&deliveries[..50]).await.unwrap();
        assert_eq!(settled, [false; 50]);
        server.empty();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_server_heals() {
    let server = RedisServer::start(&Setup::default());
    let queue = server.queue();
    let all = messages(40);
    queue.enqueue(&all).await.unwrap();
    let old = receive(&queue, "a", 20).await;
    assert!(queue.release(&old[0], 60_000).await.unwrap());
    server.empty();
    assert_eq!(queue.promote().await.unwrap(), 0);
    assert_eq!(queue.next_due_ms().await.unwrap(), None);
    assert_eq!(depth(&queue).await, [0, 0, 0]);
    assert!(!queue.extend(&old[1]).await.unwrap());
    assert!(!queue.ack(&old[1]).await.unwrap());
    queue.enqueue(&all).await.unwrap();
    let new = receive(&queue, "a", all.len()).await;
    assert_eq!(queue.ack_many(&old).await.unwrap(), [false; 20]);
    assert!(!queue.release(&old[2], 0).await.unwrap());
    assert_eq!(queue.ack_many(&new).await.unwrap(), [true; 40]);
    assert_eq!(depth(&queue).await, [0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_an_error_and_comes_back() {
    let server = RedisServer::start(&Setup::default());
    let queue = server.queue();
    works(&queue, 4).await;
    server.kill();
    let began = Instant::now();
    let error = queue.enqueue(&messages(1)).await.unwrap_err();
    assert!(error.to_string().contains("redis.sock"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(10));
    server.start_again();
    works(&queue, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_falls_due_next_is_known() {
    let server = RedisServer::start(&Setup::default());
    let queue = server.queue();
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    assert_eq!(queue.next_due_ms().await.unwrap(), None);
    queue.enqueue(&messages(2)).await.unwrap();
    assert_eq!(queue.next_due_ms().await.unwrap(), None);
    let before = now();
    let deliveries = receive(&queue, "a", 2).await;
    let lease = queue.next_due_ms().await.unwrap().unwrap();
    assert!((before + LEASE_MS..=now() + LEASE_MS + 1).contains(&lease));
    let before = now();
    assert!(queue.release(&deliveries[0], 100).await.unwrap());
    let delay = queue.next_due_ms().await.unwrap().unwrap();
    assert!((before + 100..=now() + 101).contains(&delay) || delay == lease);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_others_are_removed() {
    let server = RedisServer::start(&Setup::default());
    let queue = server.queue();
    let keys = Keys::new(&prefix());
    let mut admin = server.admin();
    for field in ["m", "other"] {
        let add = redis::cmd("XADD")
            .arg(keys.stream(Lane::Small))
            .arg("*")
            .arg(field)
            .arg("not ours")
            .exec(&mut admin);
        add.unwrap();
    }
    queue.enqueue(&messages(1)).await.unwrap();
    let deliveries = queue.receive("a", 0, 10).await.unwrap();
    assert_eq!(deliveries.len(), 1);
    assert_eq!(depth(&queue).await, [0, 1, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_that_ended_are_forgotten() {
    let server = RedisServer::start(&Setup::default());
    let queue = server.queue();
    queue.enqueue(&messages(2)).await.unwrap();
    let held = receive(&queue, "holds", 1).await;
    let done = receive(&queue, "done", 1).await;
    assert!(queue.ack(&done[0]).await.unwrap());
    let stream = Keys::new(&prefix()).stream(Lane::Small).to_owned();
    let mut admin = server.admin();
    // As if an hour had passed: the script is told how long is long, the queue says one hour.
    let names = |admin: &mut redis::Connection| -> Vec<String> {
        let consumers: Vec<HashMap<String, redis::Value>> =
            redis::cmd("XINFO").arg("CONSUMERS").arg(&stream).arg("workers").query(admin).unwrap();
        consumers.iter().map(|fields| redis::from_redis_value(fields["name"].clone()).unwrap()).collect()
    };
    assert_eq!(names(&mut admin), ["done", "holds"]);
    queue.promote().await.unwrap();
    assert_eq!(names(&mut admin), ["done", "holds"], "an hour has not passed");
    assert_eq!(queue.forget_consumers_idle_for(0).await.unwrap(), 1);
    assert_eq!(names(&mut admin), ["holds"], "only who has nothing is forgotten");
    assert!(queue.ack(&held[0]).await.unwrap());
}
