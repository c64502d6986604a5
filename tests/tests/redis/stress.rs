//! Many consumers at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use docmill_tests::services::redis::{RedisServer, Setup};
use docmill_worker::queue::redis::{RedisOptions, RedisQueue};
use docmill_worker::queue::{Delivery, Message, Queue};

use super::{depth, messages};

/// Who has what, by what they say themselves.
#[derive(Default)]
struct Hands {
    held: BTreeMap<Message, String>,
    acked: BTreeMap<Message, u32>,
}

const STRESS_MESSAGES: u32 = 2_000;
const STRESS_CONSUMERS: u32 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_two_consumers_hold_one_entry() {
    let server = RedisServer::start(&Setup::default());
    let mut options = server.options();
    // Longer than a busy machine keeps a consumer from its turn, short enough to run out in the test.
    options.lease_ms = 3_000;
    let hands: Arc<Mutex<Hands>> = Arc::default();
    RedisQueue::new(options.clone()).enqueue(&messages(STRESS_MESSAGES)).await.unwrap();
    let consumers = (0..STRESS_CONSUMERS).map(|n| tokio::spawn(consume(n, options.clone(), hands.clone())));
    for consumer in consumers.collect::<Vec<_>>() {
        consumer.await.unwrap();
    }
    assert_eq!(depth(&RedisQueue::new(options)).await, [0, 0, 0]);
    let hands = hands.lock().unwrap();
    assert_eq!(hands.acked.len(), STRESS_MESSAGES as usize);
    assert!(hands.acked.values().all(|times| *times == 1));
}

/// Takes and settles entries until all are acked; now and then gives some back, or forgets them as a
/// consumer does that dies.
async fn consume(n: u32, options: RedisOptions, hands: Arc<Mutex<Hands>>) {
    let queue = RedisQueue::new(options);
    for look in 0_u64.. {
        if hands.lock().unwrap().acked.len() == STRESS_MESSAGES as usize {
            return;
        }
        // A consumer's life ends every few looks; the next has another name, as a new process has.
        let consumer = format!("{n}-{}", look / 5);
        let deliveries = queue.receive(&consumer, look, 16).await.unwrap();
        take(&hands, &consumer, &deliveries);
        if deliveries.is_empty() {
            queue.promote().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        assert!(queue.extend_many(&deliveries).await.unwrap().iter().all(|extended| *extended));
        let (back, rest) = deliveries.split_at(if look % 3 == 0 { 2.min(deliveries.len()) } else { 0 });
        let (dropped, done) = rest.split_at(usize::from(look % 7 == 0).min(rest.len()));
        // Out of hand before the call: from its effect on, another may have it.
        put_down(&hands, dropped);
        for delivery in back {
            put_down(&hands, std::slice::from_ref(delivery));
            assert!(queue.release(delivery, look % 2 * 30).await.unwrap());
        }
        put_down(&hands, done);
        let acked = queue.ack_many(done).await.unwrap();
        let mut hands = hands.lock().unwrap();
        for (delivery, acked) in done.iter().zip(acked) {
            assert!(acked);
            *hands.acked.entry(delivery.message).or_default() += 1;
        }
    }
}

fn take(hands: &Mutex<Hands>, consumer: &str, deliveries: &[Delivery]) {
    let mut hands = hands.lock().unwrap();
    for delivery in deliveries {
        let other = hands.held.insert(delivery.message, consumer.to_owned());
        assert_eq!(other, None, "{consumer} was given what another has");
    }
}

fn put_down(hands: &Mutex<Hands>, deliveries: &[Delivery]) {
    let mut hands = hands.lock().unwrap();
    for delivery in deliveries {
        hands.held.remove(&delivery.message);
    }
}
