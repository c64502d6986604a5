//! What every queue does: one entry a generation, owner-checked settlement, delays, leases, lanes.

use docmill_core::id::{DocumentId, Generation};
use docmill_core::lane::{LARGE_SHARE, Lane};
use docmill_worker::queue::{DUE_WITHIN_MS, Delivery, Depth, Message};

use super::{Backend, LEASE_MS, tenant};

fn message(n: u32, lane: Lane) -> Message {
    Message { document: DocumentId::born(&tenant(), "queue", n), generation: Generation(1), lane }
}

async fn one(backend: &Backend, consumer: &str) -> Delivery {
    let mut received = backend.queue.receive(consumer, 0, 1).await.unwrap();
    received.pop().expect("an entry waits")
}

async fn is_empty(backend: &Backend) -> bool {
    backend.queue.receive("nobody", 0, 1).await.unwrap().is_empty()
}

/// An entry waiting, leased or delayed is not added again; one that was acked is.
pub async fn enqueue_is_idempotent(backend: Backend) {
    let small = message(0, Lane::Small);
    backend.queue.enqueue(&[small, small]).await.unwrap();
    let delivery = one(&backend, "a").await;
    backend.queue.enqueue(&[small]).await.unwrap();
    assert!(is_empty(&backend).await);
    assert!(backend.queue.release(&delivery, 50).await.unwrap());
    backend.queue.enqueue(&[small]).await.unwrap();
    assert!(is_empty(&backend).await);
    backend.time.pass(50).await;
    backend.queue.promote().await.unwrap();
    let delivery = one(&backend, "a").await;
    assert!(backend.queue.ack(&delivery).await.unwrap());
    backend.queue.enqueue(&[small]).await.unwrap();
    assert!(!is_empty(&backend).await);
}

/// Only who has the entry settles or extends it.
pub async fn settlement_is_owner_checked(backend: Backend) {
    backend.queue.enqueue(&[message(0, Lane::Small)]).await.unwrap();
    let delivery = one(&backend, "a").await;
    let other = Delivery { consumer: "b".to_owned(), ..delivery.clone() };
    assert!(!backend.queue.ack(&other).await.unwrap());
    assert!(!backend.queue.release(&other, 0).await.unwrap());
    assert!(!backend.queue.extend(&other).await.unwrap());
    assert!(backend.queue.extend(&delivery).await.unwrap());
    assert!(backend.queue.ack(&delivery).await.unwrap());
    assert!(!backend.queue.ack(&delivery).await.unwrap());
}

/// Settled together, each entry is still settled for itself.
pub async fn many_are_settled_each_for_itself(backend: Backend) {
    let messages: Vec<Message> = (0..3).map(|n| message(n, Lane::Small)).collect();
    backend.queue.enqueue(&messages).await.unwrap();
    let mut deliveries = backend.queue.receive("a", 0, 3).await.unwrap();
    assert_eq!(deliveries.len(), 3);
    deliveries[1].consumer = "b".to_owned();
    assert_eq!(backend.queue.extend_many(&deliveries).await.unwrap(), [true, false, true]);
    assert_eq!(backend.queue.ack_many(&deliveries).await.unwrap(), [true, false, true]);
    deliveries[1].consumer = "a".to_owned();
    assert_eq!(backend.queue.ack_many(&deliveries).await.unwrap(), [false, true, false]);
    assert!(backend.queue.ack_many(&[]).await.unwrap().is_empty());
}

/// Each entry is counted in one place, and nothing is left when all are acked.
pub async fn depth_counts_each_entry_once(backend: Backend) {
    let messages: Vec<Message> = (0..6).map(|n| message(n, Lane::Large)).collect();
    backend.queue.enqueue(&messages).await.unwrap();
    let depth = async || {
        let depth = backend.queue.depth(Lane::Large).await.unwrap();
        [depth.waiting, depth.in_flight, depth.delayed]
    };
    assert_eq!(depth().await, [6, 0, 0]);
    let deliveries = backend.queue.receive("a", 0, 4).await.unwrap();
    assert_eq!(depth().await, [2, 4, 0]);
    assert!(backend.queue.release(&deliveries[0], 60_000).await.unwrap());
    assert!(backend.queue.release(&deliveries[1], 0).await.unwrap());
    assert_eq!(depth().await, [3, 2, 1]);
    assert_eq!(backend.queue.ack_many(&deliveries[2..]).await.unwrap(), [true, true]);
    assert_eq!(depth().await, [3, 0, 1]);
    assert_eq!(backend.queue.depth(Lane::Small).await.unwrap(), Depth::default());
}

/// A released entry waits for its delay, then comes back under another name.
pub async fn a_release_waits_for_its_delay(backend: Backend) {
    backend.queue.enqueue(&[message(0, Lane::Small)]).await.unwrap();
    let delivery = one(&backend, "a").await;
    assert!(backend.queue.release(&delivery, 500).await.unwrap());
    assert_eq!(backend.queue.depth(Lane::Small).await.unwrap().delayed, 1);
    assert_eq!(backend.queue.promote().await.unwrap(), 0);
    backend.time.pass(500).await;
    assert_eq!(backend.queue.promote().await.unwrap(), 1);
    let again = one(&backend, "a").await;
    assert_ne!(again.entry, delivery.entry);
    assert!(backend.queue.release(&again, 0).await.unwrap());
    assert!(!is_empty(&backend).await);
}

/// What waits for its time is due when that comes within a minute, and stays so until it is promoted.
pub async fn what_comes_within_a_minute_is_due(backend: Backend) {
    let messages: Vec<Message> = (0..3).map(|n| message(n, Lane::Small)).collect();
    backend.queue.enqueue(&messages).await.unwrap();
    let deliveries = backend.queue.receive("a", 0, 3).await.unwrap();
    for (delivery, after_ms) in deliveries.iter().zip([500, DUE_WITHIN_MS / 2, 60 * DUE_WITHIN_MS]) {
        assert!(backend.queue.release(delivery, after_ms).await.unwrap());
    }
    let depth = async || {
        let depth = backend.queue.depth(Lane::Small).await.unwrap();
        [depth.waiting, depth.in_flight, depth.delayed, depth.due]
    };
    assert_eq!(depth().await, [0, 0, 3, 2]);
    backend.time.pass(500).await;
    assert_eq!(depth().await, [0, 0, 3, 2]);
    assert_eq!(backend.queue.promote().await.unwrap(), 1);
    assert_eq!(depth().await, [1, 0, 2, 1]);
    assert_eq!(backend.queue.depth(Lane::Large).await.unwrap(), Depth::default());
}

/// An entry whose lease ran out goes to somebody else; extending it keeps it.
pub async fn an_expired_lease_is_promoted(backend: Backend) {
    backend.queue.enqueue(&[message(0, Lane::Small)]).await.unwrap();
    let delivery = one(&backend, "a").await;
    backend.time.pass(LEASE_MS / 2).await;
    assert!(backend.queue.extend(&delivery).await.unwrap());
    backend.time.pass(LEASE_MS * 6 / 10).await;
    assert_eq!(backend.queue.promote().await.unwrap(), 0);
    backend.time.pass(LEASE_MS / 2).await;
    assert_eq!(backend.queue.promote().await.unwrap(), 1);
    one(&backend, "b").await;
    assert!(!backend.queue.ack(&delivery).await.unwrap());
}

/// What was handed out before goes out before what waits for the first time: released, due, or left by who
/// is gone.
pub async fn what_comes_back_goes_first(backend: Backend) {
    let messages: Vec<Message> = (0..6).map(|n| message(n, Lane::Small)).collect();
    backend.queue.enqueue(&messages).await.unwrap();
    let taken = backend.queue.receive("a", 0, 3).await.unwrap();
    assert!(backend.queue.release(&taken[1], LEASE_MS).await.unwrap());
    assert!(backend.queue.release(&taken[2], 0).await.unwrap());
    let first = one(&backend, "b").await;
    assert_eq!(first.message, taken[2].message);
    assert!(backend.queue.ack(&first).await.unwrap());
    backend.time.pass(LEASE_MS).await;
    assert_eq!(backend.queue.promote().await.unwrap(), 2);
    let received = backend.queue.receive("b", 0, 3).await.unwrap();
    let received: Vec<Message> = received.iter().map(|delivery| delivery.message).collect();
    // Both that came back, in whatever order, and then the next new one.
    let mut back = received[..2].to_vec();
    back.sort();
    let mut wanted = vec![taken[0].message, taken[1].message];
    wanted.sort();
    assert_eq!((back, received[2]), (wanted, messages[3]));
    assert_eq!(backend.queue.depth(Lane::Small).await.unwrap().waiting, 2);
}

/// Of every share of looks one goes to the large lane first.
pub async fn large_files_have_their_share(backend: Backend) {
    let share = LARGE_SHARE as u32;
    let small: Vec<Message> = (0..2 * share).map(|n| message(n, Lane::Small)).collect();
    let large: Vec<Message> = (0..2).map(|n| message(100 + n, Lane::Large)).collect();
    backend.queue.enqueue(&small).await.unwrap();
    backend.queue.enqueue(&large).await.unwrap();
    let received = backend.queue.receive("a", 0, 2 * LARGE_SHARE as usize).await.unwrap();
    let count = received.iter().filter(|delivery| delivery.message.lane == Lane::Large).count();
    assert_eq!(count, 2);
}
