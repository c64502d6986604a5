//! The embedded queue: in memory, rebuilt from the ledger at every start. Also the simulation's queue.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use docmill_core::id::{DocumentId, Generation};
use docmill_core::lane::Lane;
use tokio::sync::Notify;

use super::{DUE_WITHIN_MS, Delivery, Depth, Error, Message, Queue};
use crate::clock::Clock;
#[cfg(feature = "planted-faults")]
use crate::delivery::PlantedFault;

/// See the module.
pub struct MemoryQueue {
    clock: Arc<dyn Clock>,
    lease_ms: u64,
    #[cfg(feature = "planted-faults")]
    planted: Option<PlantedFault>,
    state: Mutex<State>,
    more: Notify,
}

#[derive(Default)]
struct State {
    next_entry: u64,
    waiting: HashMap<Lane, VecDeque<(u64, Message)>>,
    /// Handed out before; they come before those that wait for the first time.
    again: HashMap<Lane, VecDeque<(u64, Message)>>,
    leased: HashMap<u64, Leased>,
    /// (due time, entry) → message.
    delayed: BTreeMap<(u64, u64), Message>,
    known: BTreeSet<(DocumentId, Generation)>,
}

struct Leased {
    message: Message,
    consumer: String,
    until_ms: u64,
}

impl State {
    fn add_waiting(&mut self, message: Message) {
        let entry = self.fresh_entry();
        self.waiting.entry(message.lane).or_default().push_back((entry, message));
    }

    fn add_again(&mut self, message: Message) {
        let entry = self.fresh_entry();
        self.again.entry(message.lane).or_default().push_back((entry, message));
    }

    fn fresh_entry(&mut self) -> u64 {
        self.next_entry += 1;
        self.next_entry
    }

    /// The number of the delivery's entry, where its consumer still has it.
    fn owned(&self, delivery: &Delivery) -> Option<u64> {
        let entry = delivery.entry.as_str().parse().ok()?;
        self.leased.get(&entry).is_some_and(|leased| leased.consumer == delivery.consumer).then_some(entry)
    }

    /// Gives the message's entry to this consumer, whoever has it.
    #[cfg(feature = "planted-faults")]
    fn take_back(&mut self, delivery: &Delivery, until_ms: u64) -> bool {
        let found = self.leased.values_mut().find(|leased| leased.message == delivery.message);
        let Some(leased) = found else { return false };
        (leased.consumer, leased.until_ms) = (delivery.consumer.clone(), until_ms);
        true
    }

    fn pop_waiting(&mut self, order: [Lane; 2]) -> Option<(u64, Message)> {
        let pop = |place: &mut HashMap<Lane, VecDeque<_>>, lane| place.get_mut(&lane)?.pop_front();
        order
            .into_iter()
            .find_map(|lane| pop(&mut self.again, lane).or_else(|| pop(&mut self.waiting, lane)))
    }
}

impl MemoryQueue {
    /// An empty queue whose leases last `lease_ms`.
    pub fn new(clock: Arc<dyn Clock>, lease_ms: u64) -> Self {
        Self {
            clock,
            lease_ms,
            #[cfg(feature = "planted-faults")]
            planted: None,
            state: Mutex::default(),
            more: Notify::new(),
        }
    }

    /// Returns once an entry waits that did not since the last time, or at once where one does. For one that listens.
    pub async fn more(&self) {
        self.more.notified().await;
    }

    /// With a known mistake.
    #[cfg(feature = "planted-faults")]
    pub fn with_planted(self, planted: Option<PlantedFault>) -> Self {
        Self { planted, ..self }
    }

    /// Forgets everything, as a lost queue does.
    #[cfg(feature = "testing")]
    pub fn wipe(&self) {
        let next_entry = self.lock().next_entry;
        *self.lock() = State { next_entry, ..State::default() };
    }

    /// Hands an entry to nobody in particular a second time, as at-least-once queues may.
    #[cfg(feature = "testing")]
    pub fn duplicate(&self, message: Message) {
        let mut state = self.lock();
        state.known.insert((message.document, message.generation));
        state.add_waiting(message);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding the queue's lock")
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn enqueue(&self, messages: &[Message]) -> Result<(), Error> {
        let mut state = self.lock();
        for message in messages {
            if state.known.insert((message.document, message.generation)) {
                state.add_waiting(*message);
                self.more.notify_one();
            }
        }
        Ok(())
    }

    async fn receive(&self, consumer: &str, look: u64, max: usize) -> Result<Vec<Delivery>, Error> {
        let until_ms = self.clock.now_ms() + self.lease_ms;
        let mut state = self.lock();
        let mut deliveries = Vec::new();
        while deliveries.len() < max {
            let order = Lane::order_of_look(look + deliveries.len() as u64);
            let Some((entry, message)) = state.pop_waiting(order) else { break };
            state.leased.insert(entry, Leased { message, consumer: consumer.to_owned(), until_ms });
            deliveries.push(Delivery { message, entry: entry.into(), consumer: consumer.to_owned() });
        }
        Ok(deliveries)
    }

    async fn extend(&self, delivery: &Delivery) -> Result<bool, Error> {
        let until_ms = self.clock.now_ms() + self.lease_ms;
        let mut state = self.lock();
        #[cfg(feature = "planted-faults")]
        if self.planted == Some(PlantedFault::HeartbeatWithoutOwner) {
            return Ok(state.take_back(delivery, until_ms));
        }
        let Some(entry) = state.owned(delivery) else { return Ok(false) };
        if let Some(leased) = state.leased.get_mut(&entry) {
            leased.until_ms = until_ms;
        }
        Ok(true)
    }

    async fn ack(&self, delivery: &Delivery) -> Result<bool, Error> {
        let mut state = self.lock();
        let Some(entry) = state.owned(delivery) else { return Ok(false) };
        state.leased.remove(&entry);
        state.known.remove(&(delivery.message.document, delivery.message.generation));
        Ok(true)
    }

    async fn release(&self, delivery: &Delivery, after_ms: u64) -> Result<bool, Error> {
        let now = self.clock.now_ms();
        let mut state = self.lock();
        let Some(entry) = state.owned(delivery) else { return Ok(false) };
        state.leased.remove(&entry);
        if after_ms == 0 {
            state.add_again(delivery.message);
            self.more.notify_one();
        } else {
            let entry = state.fresh_entry();
            state.delayed.insert((now + after_ms, entry), delivery.message);
        }
        Ok(true)
    }

    async fn promote(&self) -> Result<u64, Error> {
        let now = self.clock.now_ms();
        let mut state = self.lock();
        let mut promoted = 0;
        while let Some(first) = state.delayed.first_entry().filter(|first| first.key().0 <= now) {
            let message = first.remove();
            state.add_again(message);
            promoted += 1;
        }
        let mut expired: Vec<u64> = state
            .leased
            .iter()
            .filter(|(_, leased)| leased.until_ms <= now)
            .map(|(entry, _)| *entry)
            .collect();
        expired.sort_unstable();
        for entry in expired {
            if let Some(leased) = state.leased.remove(&entry) {
                state.add_again(leased.message);
                promoted += 1;
            }
        }
        if promoted > 0 {
            self.more.notify_one();
        }
        Ok(promoted)
    }

    async fn depth(&self, lane: Lane) -> Result<Depth, Error> {
        let due_until = (self.clock.now_ms() + DUE_WITHIN_MS, u64::MAX);
        let state = self.lock();
        let in_lane = |place: &HashMap<Lane, VecDeque<_>>| place.get(&lane).map_or(0, VecDeque::len) as u64;
        let waiting = in_lane(&state.waiting) + in_lane(&state.again);
        let in_flight = state.leased.values().filter(|leased| leased.message.lane == lane).count() as u64;
        let delayed = state.delayed.values().filter(|message| message.lane == lane).count() as u64;
        let due = state.delayed.range(..=due_until).filter(|(_, message)| message.lane == lane);
        Ok(Depth { waiting, in_flight, delayed, due: due.count() as u64 })
    }

    #[cfg(feature = "planted-faults")]
    async fn delete_consumer(&self, consumer: &str) -> Result<(), Error> {
        // As a stream's group does: the entry stays where nobody reads it again, and counts as there.
        self.lock().leased.retain(|_, leased| leased.consumer != consumer);
        Ok(())
    }

    async fn next_due_ms(&self) -> Result<Option<u64>, Error> {
        let state = self.lock();
        let delayed = state.delayed.first_key_value().map(|((due, _), _)| *due);
        let lease = state.leased.values().map(|leased| leased.until_ms).min();
        Ok([delayed, lease].into_iter().flatten().min())
    }
}
