//! The queue alone: one consumer receives and settles in batches, with every write on disk before its answer.

use std::time::Instant;

use anyhow::{Result, ensure};
use docmill_core::id::{DocumentId, Generation, TenantId};
use docmill_core::lane::Lane;
use docmill_worker::queue::{Message, Queue};

use super::super::Figures;
use super::Options;
use crate::services::redis::{RedisServer, Setup};

const MESSAGES: usize = 60_000;
/// Received and settled by one call each.
const BATCH: usize = 50;
/// Messages of one call that adds them.
const ADDED_TOGETHER: usize = 1_000;
/// What is wanted, a second.
const SETTLE_PER_S: f64 = 15_000.0;

pub(super) async fn settle(options: &Options, figures: &mut Figures) -> Result<()> {
    let server = RedisServer::start(&Setup::default());
    let mut queue_options = server.options();
    queue_options.lease_ms = 600_000;
    let queue = docmill_worker::queue::redis::RedisQueue::new(queue_options);
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
    let (began, mut settled, mut look) = (Instant::now(), 0, 0);
    while settled < count {
        let deliveries = queue.receive("bench", look, BATCH).await?;
        ensure!(!deliveries.is_empty(), "{settled} of {count} messages came");
        look += deliveries.len() as u64;
        let acked = queue.ack_many(&deliveries).await?;
        ensure!(acked.iter().all(|acked| *acked), "an entry was not ours");
        settled += deliveries.len();
    }
    figures.above("settle_per_s", settled as f64 / began.elapsed().as_secs_f64(), SETTLE_PER_S);
    Ok(())
}
