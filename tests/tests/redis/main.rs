//! The queue in a real Redis: every contract case, and what only a server can do to it.

// As in the harness itself: what tests share may panic too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::large_futures)]

use std::collections::BTreeSet;

use docmill_core::id::{DocumentId, Generation};
use docmill_core::lane::Lane;
use docmill_tests::contract::tenant;
use docmill_tests::services::redis::backend;
use docmill_worker::queue::redis::RedisQueue;
use docmill_worker::queue::{Delivery, Depth, Message, Queue};

mod cache;
mod check;
mod faults;
mod reach;
mod stress;
mod twin;

docmill_tests::queue_cases!(backend());

/// Small ones, and one large in four.
fn messages(count: u32) -> Vec<Message> {
    let lane = |n: u32| if n % 4 == 3 { Lane::Large } else { Lane::Small };
    let document = |n: u32| DocumentId::born(&tenant(), "redis", n);
    (0..count)
        .map(|n| Message { document: document(n), generation: Generation(1), lane: lane(n) })
        .collect()
}

async fn receive(queue: &RedisQueue, consumer: &str, count: usize) -> Vec<Delivery> {
    let deliveries = queue.receive(consumer, 0, count).await.unwrap();
    assert_eq!(deliveries.len(), count);
    deliveries
}

/// Both lanes together.
async fn depth(queue: &RedisQueue) -> [u64; 3] {
    let mut sum = [0; 3];
    for lane in Lane::ALL {
        let Depth { waiting, in_flight, delayed, .. } = queue.depth(lane).await.unwrap();
        sum = [sum[0] + waiting, sum[1] + in_flight, sum[2] + delayed];
    }
    sum
}

/// What enqueues, receives and acks everything, and leaves nothing behind.
async fn works(queue: &RedisQueue, count: u32) {
    let messages = messages(count);
    queue.enqueue(&messages).await.unwrap();
    let deliveries = receive(queue, "a", messages.len()).await;
    let received: BTreeSet<Message> = deliveries.iter().map(|delivery| delivery.message).collect();
    assert_eq!(received, messages.iter().copied().collect());
    assert!(queue.extend_many(&deliveries).await.unwrap().iter().all(|extended| *extended));
    assert!(queue.ack_many(&deliveries).await.unwrap().iter().all(|acked| *acked));
    assert_eq!(depth(queue).await, [0, 0, 0]);
}
