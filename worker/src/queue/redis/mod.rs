//! The queue in Redis Streams: a stream a lane, a consumer group, leases by idle time, delays in a
//! sorted set. Every change is one Lua script ([`scripts`]) over keys of one hash tag ([`keys`]).
//!
//! Time is the server's. Nothing blocks: a look gives what waits now, so that one connection serves all.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use docmill_core::lane::Lane;
use redis::{Script, ScriptInvocation};

use super::{DUE_WITHIN_MS, Delivery, Depth, Error, Message, Queue};

pub mod check;
mod connect;
mod keys;
mod link;
mod options;
mod scripts;

pub use keys::Keys;
pub use options::{
    CONNECT_TIMEOUT_MS, Credentials, Host, InvalidOption, KEY_PREFIX_BYTES_MAX, KeyPrefix,
    RESPONSE_TIMEOUT_MS, RedisOptions, RedisUrl, Topology,
};

pub(crate) use link::Link;
use link::Repeat;
use scripts::Scripts;

/// The consumer group of every stream.
const GROUP: &str = "workers";

/// Most messages in one call of a script: Redis does nothing else meanwhile.
const SCRIPT_MESSAGES_MAX: usize = 500;

/// Most calls of one [`Queue::promote`] for each kind; what is left is for the next one.
const PROMOTE_ROUNDS_MAX: usize = 200;

/// Leases of a lane that [`Queue::next_due_ms`] looks at, oldest entries first.
const DUE_LEASES_MAX: usize = 10_000;

/// A consumer that has no entry and did nothing for this long, in milliseconds, is forgotten.
const CONSUMER_IDLE_MAX_MS: u64 = 3_600_000;

/// How often a process looks for such consumers.
const CONSUMERS_EVERY: Duration = Duration::from_secs(600);

/// How often a process looks for entries that nobody can reach: a call or two where little is in work.
const UNREACHABLE_EVERY: Duration = Duration::from_secs(15);

/// Streams that `common.lua` knows as places.
const PLACES: usize = 4;

/// See the module.
pub struct RedisQueue {
    link: Link,
    keys: Keys,
    scripts: Scripts,
    consumers_seen: Seldom,
    unreachable_seen: Seldom,
}

/// When something was last done that is done seldom.
#[derive(Default)]
struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    /// Whether it was not done within this time; it counts as done now.
    fn is_due(&self, every: Duration) -> bool {
        let mut last = self.0.lock().expect("no code panics while holding this lock");
        let due = last.is_none_or(|last| last.elapsed() >= every);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

impl RedisQueue {
    /// A queue that connects when it is first used.
    pub fn new(options: RedisOptions) -> Self {
        let keys = Keys::new(&options.key_prefix);
        Self {
            link: Link::new(options),
            keys,
            scripts: Scripts::new(),
            consumers_seen: Seldom::default(),
            unreachable_seen: Seldom::default(),
        }
    }

    /// A script with what all of them begin with.
    fn call<'a>(&self, script: &'a Script) -> ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        call.key(self.keys.of_scripts()).arg(GROUP);
        call
    }

    /// Calls a script that moves up to a batch of entries until it finds no full one.
    async fn until_done(&self, call: &ScriptInvocation<'_>) -> Result<u64, Error> {
        let mut moved = 0;
        for _ in 0..PROMOTE_ROUNDS_MAX {
            let round: u64 = self.link.invoke(call, Repeat::Harmless).await?;
            moved += round;
            if round < SCRIPT_MESSAGES_MAX as u64 {
                break;
            }
        }
        Ok(moved)
    }

    /// Forgets consumers of processes that ended, now and then. Failing at it harms nothing.
    async fn forget_consumers(&self) {
        if !self.consumers_seen.is_due(CONSUMERS_EVERY) {
            return;
        }
        match self.forget_consumers_idle_for(CONSUMER_IDLE_MAX_MS).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, "forgot consumers that ended"),
            Err(error) => tracing::warn!(%error, "cannot forget consumers that ended"),
        }
    }

    /// Forgets consumers without an entry that did nothing for longer than this. Returns how many lanes
    /// forgot one.
    ///
    /// # Errors
    ///
    /// Redis did not answer, or the user lacks a right.
    pub async fn forget_consumers_idle_for(&self, idle_ms: u64) -> Result<u64, Error> {
        let mut call = self.call(&self.scripts.consumers);
        call.arg(idle_ms);
        self.link.invoke(&call, Repeat::Harmless).await
    }

    /// Brings back entries that were handed out and that nobody has, which a start of Redis can leave that
    /// dropped a part of its file. Returns how many.
    ///
    /// # Errors
    ///
    /// Redis did not answer, or the user lacks a right.
    pub async fn bring_back_unreachable(&self) -> Result<u64, Error> {
        let mut moved = 0;
        for place in 1..=PLACES {
            let mut from = "-".to_owned();
            for _ in 0..PROMOTE_ROUNDS_MAX {
                let mut call = self.call(&self.scripts.unreachable);
                call.arg(place).arg(&from).arg(SCRIPT_MESSAGES_MAX);
                let (round, next): (u64, String) = self.link.invoke(&call, Repeat::Harmless).await?;
                moved += round;
                if next.is_empty() {
                    break;
                }
                from = next;
            }
        }
        if moved > 0 {
            tracing::warn!(
                entries = moved,
                "brought back entries that nobody had: Redis lost a part of its file"
            );
        }
        Ok(moved)
    }

    async fn ack_raw(&self, entries: &[[&str; 4]], repeat: Repeat) -> Result<Vec<bool>, Error> {
        let mut call = self.call(&self.scripts.ack);
        for part in entries.iter().flatten() {
            call.arg(*part);
        }
        self.link.invoke(&call, repeat).await
    }
}

/// How many of the next `max` looks begin at the small lane, and how many at the large one.
fn slots(look: u64, max: usize) -> [usize; 2] {
    let looks = (0..max as u64).map(|slot| Lane::order_of_look(look.wrapping_add(slot))[0]);
    let small = looks.filter(|first| *first == Lane::Small).count();
    [small, max - small]
}

#[async_trait]
impl Queue for RedisQueue {
    async fn enqueue(&self, messages: &[Message]) -> Result<(), Error> {
        for batch in messages.chunks(SCRIPT_MESSAGES_MAX) {
            let mut call = self.call(&self.scripts.enqueue);
            for message in batch {
                call.arg(keys::encode(message)).arg(message.lane.as_str());
            }
            self.link.invoke::<u64>(&call, Repeat::Harmless).await?;
        }
        Ok(())
    }

    async fn receive(&self, consumer: &str, look: u64, max: usize) -> Result<Vec<Delivery>, Error> {
        let [small, large] = slots(look, max.min(SCRIPT_MESSAGES_MAX));
        let mut call = self.call(&self.scripts.receive);
        call.arg(consumer).arg(small).arg(large);
        // Entries of a lost answer wait for their lease either way.
        let received: Vec<String> = self.link.invoke(&call, Repeat::Harmless).await?;
        let mut deliveries = Vec::with_capacity(received.len() / 3);
        let mut foreign = Vec::new();
        for [lane, entry, text] in received.as_chunks::<3>().0 {
            match keys::decode(text, lane) {
                Some(message) => deliveries.push(Delivery {
                    message,
                    entry: entry.clone().into(),
                    consumer: consumer.to_owned(),
                }),
                None => foreign.push([lane.as_str(), entry, consumer, text]),
            }
        }
        if !foreign.is_empty() {
            // Nobody could ever settle them, and the ledger knows what is really to be done.
            tracing::warn!(entries = foreign.len(), "removing entries that are none of ours");
            self.ack_raw(&foreign, Repeat::Harmless).await?;
        }
        Ok(deliveries)
    }

    async fn extend(&self, delivery: &Delivery) -> Result<bool, Error> {
        Ok(self.extend_many(std::slice::from_ref(delivery)).await? == [true])
    }

    async fn extend_many(&self, deliveries: &[Delivery]) -> Result<Vec<bool>, Error> {
        let mut extended = Vec::with_capacity(deliveries.len());
        for batch in deliveries.chunks(SCRIPT_MESSAGES_MAX) {
            let mut call = self.call(&self.scripts.extend);
            for Delivery { message, entry, consumer } in batch {
                call.arg(message.lane.as_str()).arg(entry.as_str()).arg(consumer);
            }
            extended.extend(self.link.invoke::<Vec<bool>>(&call, Repeat::Harmless).await?);
        }
        Ok(extended)
    }

    async fn ack(&self, delivery: &Delivery) -> Result<bool, Error> {
        Ok(self.ack_many(std::slice::from_ref(delivery)).await? == [true])
    }

    async fn ack_many(&self, deliveries: &[Delivery]) -> Result<Vec<bool>, Error> {
        let mut acked = Vec::with_capacity(deliveries.len());
        for batch in deliveries.chunks(SCRIPT_MESSAGES_MAX) {
            let texts: Vec<String> = batch.iter().map(|delivery| keys::encode(&delivery.message)).collect();
            let entries: Vec<[&str; 4]> = batch
                .iter()
                .zip(&texts)
                .map(|(Delivery { message, entry, consumer }, text)| {
                    [message.lane.as_str(), entry.as_str(), consumer.as_str(), text.as_str()]
                })
                .collect();
            acked.extend(self.ack_raw(&entries, Repeat::Never).await?);
        }
        Ok(acked)
    }

    async fn release(&self, delivery: &Delivery, after_ms: u64) -> Result<bool, Error> {
        let Delivery { message, entry, consumer } = delivery;
        let mut call = self.call(&self.scripts.release);
        call.arg(message.lane.as_str())
            .arg(entry.as_str())
            .arg(consumer)
            .arg(keys::encode(message))
            .arg(after_ms);
        self.link.invoke(&call, Repeat::Never).await
    }

    async fn promote(&self) -> Result<u64, Error> {
        let mut due = self.call(&self.scripts.promote);
        due.arg(SCRIPT_MESSAGES_MAX);
        let mut expired = self.call(&self.scripts.sweep);
        expired.arg(self.link.options().lease_ms).arg(SCRIPT_MESSAGES_MAX);
        let mut promoted = self.until_done(&due).await? + self.until_done(&expired).await?;
        if self.unreachable_seen.is_due(UNREACHABLE_EVERY) {
            promoted += self.bring_back_unreachable().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "cannot look for entries that nobody has");
                0
            });
        }
        self.forget_consumers().await;
        Ok(promoted)
    }

    async fn depth(&self, lane: Lane) -> Result<Depth, Error> {
        let mut call = self.call(&self.scripts.depth);
        call.arg(lane.as_str()).arg(DUE_WITHIN_MS);
        let (waiting, in_flight, delayed, due) = self.link.invoke(&call, Repeat::Harmless).await?;
        Ok(Depth { waiting, in_flight, delayed, due })
    }

    async fn next_due_ms(&self) -> Result<Option<u64>, Error> {
        let mut call = self.call(&self.scripts.next_due);
        call.arg(self.link.options().lease_ms).arg(DUE_LEASES_MAX);
        self.link.invoke(&call, Repeat::Harmless).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_the_order_of_looks() {
        assert_eq!(slots(0, 0), [0, 0]);
        assert_eq!(slots(0, 1), [1, 0]);
        assert_eq!(slots(3, 1), [0, 1]);
        assert_eq!(slots(0, 8), [6, 2]);
        assert_eq!(slots(u64::MAX, 4), [3, 1]);
    }
}
