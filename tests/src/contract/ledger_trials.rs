//! What every ledger does with trials: starts, progress, failures, pages that are kept.

use docmill_core::delivery::{Progress, STARTS_MAX, Stage};
use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::{Page, PageSource};
use docmill_worker::ledger::{Failed, Start};

use super::Backend;

fn page(number: u32) -> Page {
    Page { number, source: PageSource::TextLayer, blocks: Vec::new(), note: None }
}

/// A claim by the worker that has it already is a new one and takes its start back.
pub async fn the_own_worker_claims_anew(backend: Backend) {
    backend.set_up().await;
    let message = backend.news("u", "A").await;
    let first = backend.grant(&message, "a").await;
    assert_eq!(backend.ledger.start(&first).await.unwrap(), Start::Go);
    let second = backend.grant(&message, "a").await;
    assert!(second.epoch > first.epoch);
    assert_eq!(backend.ledger.start(&first).await.unwrap(), Start::Fenced);
    assert_eq!(backend.ledger.start(&second).await.unwrap(), Start::Go);
    assert!(backend.ledger.hand_back(&second).await.unwrap());
    assert_eq!(backend.grant(&message, "a").await.history.starts, 0);
}

/// Starts that end without a trace are counted; the one after the last allowed gives up.
pub async fn starts_without_an_end_lead_to_a_dead_letter(backend: Backend) {
    backend.set_up().await;
    let message = backend.news("u", "A").await;
    for starts in 0..STARTS_MAX {
        let grant = backend.grant(&message, "a").await;
        assert_eq!(grant.history.starts, starts);
        assert_eq!(backend.ledger.start(&grant).await.unwrap(), Start::Go);
        backend.ledger.retire_worker(&super::worker("a")).await.unwrap();
        // Another worker's claim takes no start back.
        let other = backend.grant(&message, "b").await;
        assert_eq!(other.history.starts, starts + 1);
        assert!(backend.ledger.hand_back(&other).await.unwrap());
        backend.beat("a").await;
    }
    let grant = backend.grant(&message, "a").await;
    let Start::GaveUp(failure) = backend.ledger.start(&grant).await.unwrap() else { panic!("gives up") };
    assert_eq!(failure.code, FailureCode::WorkerDiedRepeatedly);
    assert!(backend.ledger.unsettled(9).await.unwrap().is_empty());
    backend.ledger.requeue(message.document).await.unwrap();
    assert_eq!(backend.grant(&message, "a").await.history.starts, 0);
}

/// Getting further than ever forgives earlier starts; getting as far does not.
pub async fn progress_forgives(backend: Backend) {
    backend.set_up().await;
    let message = backend.news("u", "A").await;
    let reached = Progress { stage: Stage::Extract, units: 1 };
    for starts_before_next in [0, 1] {
        let grant = backend.grant(&message, "a").await;
        backend.ledger.start(&grant).await.unwrap();
        assert!(backend.ledger.progress(&grant, reached, Vec::new()).await.unwrap());
        backend.ledger.retire_worker(&super::worker("a")).await.unwrap();
        let next = backend.grant(&message, "b").await;
        assert_eq!(next.history.starts, starts_before_next);
        assert!(!backend.ledger.progress(&grant, reached, Vec::new()).await.unwrap());
        backend.ledger.hand_back(&next).await.unwrap();
    }
}

/// The third child crash puts a document away.
pub async fn child_crashes_lead_to_a_dead_letter(backend: Backend) {
    backend.set_up().await;
    let message = backend.news("u", "A").await;
    let crash = || Failure::new(FailureCode::ExtractorDied, "signal 11");
    let retry = Failed::Retry { after_ms: 0 };
    for expected in [retry, retry, Failed::DeadLettered] {
        let grant = backend.grant(&message, "a").await;
        backend.ledger.start(&grant).await.unwrap();
        assert_eq!(backend.ledger.fail(&grant, crash(), 0.0).await.unwrap(), expected);
        assert_eq!(backend.ledger.fail(&grant, crash(), 0.0).await.unwrap(), Failed::Fenced);
    }
    assert!(backend.ledger.unsettled(9).await.unwrap().is_empty());
}

/// What may pass by itself is tried again after a delay that grows.
pub async fn transient_failures_are_retried(backend: Backend) {
    backend.set_up().await;
    let message = backend.news("u", "A").await;
    let mut delays = Vec::new();
    for _ in 0..2 {
        let grant = backend.grant(&message, "a").await;
        let failure = Failure::new(FailureCode::StoreFailed, "x");
        match backend.ledger.fail(&grant, failure, 0.0).await.unwrap() {
            Failed::Retry { after_ms } => delays.push(after_ms),
            other => panic!("not retried: {other:?}"),
        }
        assert_eq!(backend.ledger.unsettled(9).await.unwrap(), [message]);
    }
    assert!(delays[0] > 0 && delays[1] > delays[0]);
}

/// Kept pages begin with the first and end before a gap; another content begins without any.
pub async fn kept_pages_have_no_gap(backend: Backend) {
    backend.set_up().await;
    let message = backend.news("u", "A").await;
    let grant = backend.grant(&message, "a").await;
    let reached = Progress { stage: Stage::Extract, units: 4 };
    assert!(backend.ledger.progress(&grant, reached, vec![page(1), page(2), page(4)]).await.unwrap());
    assert!(backend.ledger.hand_back(&grant).await.unwrap());
    let again = backend.grant(&message, "a").await;
    assert_eq!(backend.ledger.kept_pages(&again).await.unwrap(), [page(1), page(2)]);
    let changed = backend.news("u", "B").await;
    let fresh = backend.grant(&changed, "a").await;
    assert!(backend.ledger.kept_pages(&fresh).await.unwrap().is_empty());
}
