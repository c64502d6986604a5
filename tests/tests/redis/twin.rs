//! The memory queue and the one in Redis, driven by the same random calls: the simulation may trust the twin.

use std::collections::BTreeSet;
use std::sync::Arc;

use docmill_core::lane::Lane;
use docmill_tests::services::redis::{RedisServer, Setup};
use docmill_worker::clock::SystemClock;
use docmill_worker::queue::memory::MemoryQueue;
use docmill_worker::queue::redis::RedisQueue;
use docmill_worker::queue::{Delivery, Message, Queue};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::messages;

/// No lease and no delay ends in the test, so that the clocks do not matter.
const NEVER_MS: u64 = 600_000;

const SEEDS: u64 = 20;
const CALLS: usize = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_give_the_same_answers() {
    let server = RedisServer::start(&Setup::default());
    let mut options = server.options();
    options.lease_ms = NEVER_MS;
    let redis = RedisQueue::new(options);
    for seed in 0..SEEDS {
        server.empty();
        let twin = MemoryQueue::new(Arc::new(SystemClock), NEVER_MS);
        let mut pair = Pair { twin, redis: &redis, handed: Vec::new() };
        let mut random = StdRng::seed_from_u64(seed);
        for call in 0..CALLS {
            pair.call(&mut random).await;
            for lane in Lane::ALL {
                let depths = (pair.twin.depth(lane).await.unwrap(), pair.redis.depth(lane).await.unwrap());
                assert_eq!(depths.0, depths.1, "seed {seed}, call {call}");
            }
        }
    }
}

struct Pair<'a> {
    twin: MemoryQueue,
    redis: &'a RedisQueue,
    /// What was ever handed out, by either.
    handed: Vec<(Delivery, Delivery)>,
}

impl Pair<'_> {
    async fn call(&mut self, random: &mut StdRng) {
        match random.random_range(0..10) {
            0..=2 => {
                let all = messages(40);
                let from = random.random_range(0..all.len());
                let some = &all[from..random.random_range(from..=all.len())];
                self.twin.enqueue(some).await.unwrap();
                self.redis.enqueue(some).await.unwrap();
            }
            3..=5 => {
                let consumer = ["a", "b", "c"][random.random_range(0..3)];
                let (look, max) = (random.random_range(0..8), random.random_range(0..12));
                self.receive(consumer, look, max).await;
            }
            kind => {
                for (twin, redis) in self.some(random) {
                    let delay = if kind == 9 { NEVER_MS } else { 0 };
                    let answers = match kind {
                        6 => (self.twin.ack(&twin).await, self.redis.ack(&redis).await),
                        7 => (self.twin.extend(&twin).await, self.redis.extend(&redis).await),
                        _ => {
                            (self.twin.release(&twin, delay).await, self.redis.release(&redis, delay).await)
                        }
                    };
                    assert_eq!(answers.0.unwrap(), answers.1.unwrap());
                }
                assert_eq!(self.twin.promote().await.unwrap(), self.redis.promote().await.unwrap());
            }
        }
    }

    async fn receive(&mut self, consumer: &str, look: u64, max: usize) {
        let mut twin = self.twin.receive(consumer, look, max).await.unwrap();
        let mut redis = self.redis.receive(consumer, look, max).await.unwrap();
        let set = |deliveries: &[Delivery]| -> BTreeSet<Message> {
            deliveries.iter().map(|delivery| delivery.message).collect()
        };
        assert_eq!(set(&twin), set(&redis));
        twin.sort_by_key(|delivery| delivery.message);
        redis.sort_by_key(|delivery| delivery.message);
        self.handed.extend(twin.into_iter().zip(redis));
    }

    /// A few deliveries of all that were, settled or not; some under a false name.
    fn some(&self, random: &mut StdRng) -> Vec<(Delivery, Delivery)> {
        let mut some = Vec::new();
        for _ in 0..4.min(self.handed.len()) {
            let newest_first = self.handed.len() - 1 - random.random_range(0..self.handed.len().min(20));
            let (mut twin, mut redis) = self.handed[newest_first].clone();
            if random.random_range(0..8) == 0 {
                twin.consumer = "nobody".to_owned();
                redis.consumer = "nobody".to_owned();
            }
            some.push((twin, redis));
        }
        some
    }
}
