//! Servers that die, are emptied, hold what is not ours.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use docmill_core::lane::Lane;
use docmill_tests::contract::LEASE_MS;
use docmill_tests::services::process::wait_until;
use docmill_tests::services::redis::{RedisServer, Setup, prefix};
use docmill_worker::queue::redis::{Keys, RedisQueue};
use docmill_worker::queue::{Message, Queue};

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

/// What the callers were told while servers died under them.
#[derive(Default)]
struct Told {
    enqueued: BTreeSet<Message>,
    acked: BTreeSet<Message>,
    /// Acked again: added by an enqueue whose answer was lost, and which was made again.
    came_back: usize,
}

const KILLS: usize = 4;
const PRODUCED_TOGETHER: usize = 10;
const CONSUMED_TOGETHER: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_at_work_keeps_its_word() {
    let server = RedisServer::start(&Setup::default());
    let all = messages(4_000);
    let told: Arc<Mutex<Told>> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let (queue, words) = (server.queue(), told.clone());
    let batches: Vec<Vec<Message>> = all.chunks(PRODUCED_TOGETHER).map(<[Message]>::to_vec).collect();
    let producer = tokio::spawn(async move {
        for batch in batches {
            while queue.enqueue(&batch).await.is_err() {}
            words.lock().unwrap().enqueued.extend(batch);
        }
    });
    let (queue, words, stopped) = (server.queue(), told.clone(), stop.clone());
    let consumer = tokio::spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            let Ok(deliveries) = queue.receive("a", 0, CONSUMED_TOGETHER).await else { continue };
            let Ok(acked) = queue.ack_many(&deliveries).await else { continue };
            let mut words = words.lock().unwrap();
            for (delivery, acked) in deliveries.iter().zip(acked) {
                assert!(acked, "nobody else takes entries");
                words.came_back += usize::from(!words.acked.insert(delivery.message));
            }
        }
    });
    for kill in 0..KILLS {
        let (before, told) = (told.lock().unwrap().enqueued.len(), told.clone());
        wait_until("some work", move || {
            let now = told.lock().unwrap().enqueued.len();
            now >= before + 200 + 70 * kill || now == 4_000
        });
        server.kill();
        server.start_again();
    }
    producer.await.unwrap();
    stop.store(true, Ordering::Relaxed);
    consumer.await.unwrap();
    // What is left is waiting, or leased by calls whose answer was lost; of those some were acked.
    let queue = server.queue();
    let left: BTreeSet<Message> = drain(&queue).await;
    let told = told.lock().unwrap();
    assert_eq!(told.enqueued.len(), all.len());
    let back = told.came_back + told.acked.intersection(&left).count();
    assert!(back <= KILLS * PRODUCED_TOGETHER, "{back} entries were acked and came back");
    let gone = all.len() - told.acked.union(&left).count();
    assert!(gone <= KILLS * CONSUMED_TOGETHER, "{gone} entries are gone: more than acks without an answer");
}

/// Everything that is there, once the leases ran out.
async fn drain(queue: &RedisQueue) -> BTreeSet<Message> {
    let mut left = BTreeSet::new();
    tokio::time::sleep(Duration::from_millis(LEASE_MS)).await;
    while depth(queue).await != [0, 0, 0] {
        queue.promote().await.unwrap();
        let deliveries = queue.receive("drain", 0, 500).await.unwrap();
        assert!(queue.ack_many(&deliveries).await.unwrap().iter().all(|acked| *acked));
        left.extend(deliveries.iter().map(|delivery| delivery.message));
    }
    left
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_keeps_nobody_waiting() {
    let server = RedisServer::start(&Setup::default());
    let mut options = server.options();
    (options.connect_timeout_ms, options.response_timeout_ms) = (300, 300);
    let queue = RedisQueue::new(options);
    works(&queue, 4).await;
    server.pause();
    let began = Instant::now();
    let calls = futures::future::join_all((0..32).map(|_| queue.depth(Lane::Small))).await;
    assert!(calls.iter().all(Result::is_err));
    // Three trials for all of them together, not one after the other.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    server.resume();
    works(&queue, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_memory_what_adds_is_refused_whole_and_the_rest_works() {
    let server = RedisServer::start(&Setup::default());
    let mut options = server.options();
    options.lease_ms = 1;
    let queue = RedisQueue::new(options);
    queue.enqueue(&messages(8)).await.unwrap();
    let deliveries = receive(&queue, "a", 4).await;
    let mut admin = server.admin();
    let mut memory_max = |bytes: &str| {
        redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(bytes).exec(&mut admin).unwrap();
    };
    memory_max("1");
    let error = queue.enqueue(&messages(9)).await.unwrap_err();
    assert!(error.to_string().contains("no memory left"), "{error}");
    assert!(queue.release(&deliveries[0], 0).await.is_err());
    assert!(queue.release(&deliveries[0], 60_000).await.is_err());
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(queue.promote().await.is_err(), "leases ran out, and there is no room for new entries");
    assert_eq!(depth(&queue).await, [4, 4, 0]);
    // Workers still drain it.
    assert!(queue.extend(&deliveries[1]).await.unwrap());
    assert!(queue.ack(&deliveries[1]).await.unwrap());
    assert_eq!(receive(&queue, "b", 1).await.len(), 1);
    assert_eq!(depth(&queue).await, [3, 4, 0]);
    memory_max("256mb");
    assert!(queue.release(&deliveries[0], 60_000).await.unwrap());
    assert_eq!(depth(&queue).await, [3, 3, 1]);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_the_group_went_past_come_back() {
    let server = RedisServer::start(&Setup::default());
    let mut options = server.options();
    options.lease_ms = 600_000;
    let queue = RedisQueue::new(options);
    assert_eq!(queue.bring_back_unreachable().await.unwrap(), 0, "nobody read yet");
    // More than one call looks at.
    let small: Vec<Message> =
        messages(2_000).into_iter().filter(|message| message.lane == Lane::Small).collect();
    queue.enqueue(&small).await.unwrap();
    let mut taken = Vec::new();
    while taken.len() < 1_200 {
        taken.extend(queue.receive("a", 0, 400).await.unwrap());
    }
    assert_eq!(queue.bring_back_unreachable().await.unwrap(), 0, "what is leased is somebody's");
    // As a start does that has the entry and not who had it.
    let mut admin = server.admin();
    let keys = Keys::new(&prefix());
    let lost: Vec<_> = taken.iter().step_by(7).collect();
    for delivery in &lost {
        let mut forget = redis::cmd("XACK");
        forget.arg(keys.stream(Lane::Small)).arg("workers").arg(delivery.entry.as_str());
        assert_eq!(forget.query::<u64>(&mut admin).unwrap(), 1);
    }
    let lost: BTreeSet<Message> = lost.iter().map(|delivery| delivery.message).collect();
    let count = lost.len() as u64;
    let expected = [300 + count, 1_200 - count, 0];
    assert_eq!(depth(&queue).await, expected);
    assert_eq!(queue.bring_back_unreachable().await.unwrap(), count);
    queue.enqueue(&small).await.unwrap();
    assert_eq!(depth(&queue).await, expected, "they have their entries");
    // They come first, as what was handed out before.
    let again = receive(&queue, "b", lost.len()).await;
    let again: BTreeSet<Message> = again.iter().map(|delivery| delivery.message).collect();
    assert_eq!(again, lost);
    assert_eq!(queue.bring_back_unreachable().await.unwrap(), 0);
}
