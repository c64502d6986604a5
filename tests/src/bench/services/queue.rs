//! The queue alone: consumers, each with a connection as processes have, receive and settle in batches, with every
//! write on disk before its answer.

use std::time::Instant;

use anyhow::{Result, ensure};
use docmill_core::id::{DocumentId, Generation, TenantId};
use docmill_core::lane::Lane;
use docmill_worker::queue::redis::RedisQueue;
use docmill_worker::queue::{Message, Queue};
use tokio::task::JoinSet;

use super::super::Figures;
use super::Options;
use super::cpu::Cpu;
use crate::services::redis::{RedisServer, Setup};

const MESSAGES: usize = 60_000;
/// As many as there are workers in the other measurements, twice: the disk's wait for one is another's work.
const CONSUMERS: usize = 4;
/// Received and settled by one call each.
const BATCH: usize = 50;
/// Messages of one call that adds them.
const ADDED_TOGETHER: usize = 1_000;
/// What is wanted, a second.
const SETTLE_PER_S: f64 = 15_000.0;

/// Receives and settles until nothing comes; how many it were.
async fn work_off(queue: &RedisQueue, consumer: &str) -> Result<usize> {
    let (mut settled, mut look) = (0, 0);
    loop {
        let deliveries = queue.receive(consumer, look, BATCH).await?;
        if deliveries.is_empty() {
            return Ok(settled);
        }
        look += deliveries.len() as u64;
        let acked = queue.ack_many(&deliveries).await?;
        ensure!(acked.iter().all(|acked| *acked), "an entry was not ours");
        settled += deliveries.len();
    }
}

pub(super) async fn settle(options: &Options, figures: &mut Figures) -> Result<()> {
    let server = RedisServer::start(&Setup::default());
    let mut queue_options = server.options();
    queue_options.lease_ms = 600_000;
    let queue = RedisQueue::new(queue_options.clone());
    let count = options.sized(MESSAGES, 1_000);
    let message = |number: usize| Message {
        document: DocumentId::born(&TenantId::default(), &format!("file:///{number}"), 0),
        generation: Generation(1),
        lane: Lane::Small,
    };
    let messages: Vec<Message> = (0..count).map(message).collect();
    for some in messages.chunks(ADDED_TOGETHER) {
        queue.enqueue(some).await?;
    }
    let (cpu, began) = (Cpu::now()?, Instant::now());
    let mut consumers = JoinSet::new();
    for consumer in 0..CONSUMERS {
        let queue = RedisQueue::new(queue_options.clone());
        consumers.spawn(async move { work_off(&queue, &format!("bench-{consumer}")).await });
    }
    let mut settled = 0;
    while let Some(by_one) = consumers.join_next().await {
        settled += by_one??;
    }
    ensure!(settled == count, "{settled} of {count} messages came");
    figures.above("settle_per_s", settled as f64 / began.elapsed().as_secs_f64(), SETTLE_PER_S);
    cpu.tell_shares("queue", figures)
}
