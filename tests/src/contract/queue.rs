//! What every queue does: one entry a generation, owner-checked settlement, delays, leases, lanes.

use docmill_core::id::{DocumentId, Generation};
use docmill_core::lane::{LARGE_SHARE, Lane};
use docmill_worker::queue::{Delivery, Message};

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
