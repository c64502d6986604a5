//! The kills among many processes find what they must find.
#![allow(clippy::unwrap_used, clippy::large_futures)]

use docmill_tests::chaos::services::{LEASE_MS, Options, Outcome, run};
use docmill_worker::delivery::PlantedFault;

async fn with(planted: PlantedFault, kills: usize) -> Outcome {
    let options = Options { kills, seed: 1, lease_ms: LEASE_MS, planted: Some(planted) };
    let outcome = run(&options).await.unwrap();
    println!("{}\n{}", outcome.beside(), outcome.line());
    outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_before_the_writes_is_found() {
    // Enough that one comes between a commit and the writes that the mistake puts behind it.
    let outcome = with(PlantedFault::CommitBeforeWrite, 12).await;
    let verdict = &outcome.verdict;
    assert!(verdict.lost + verdict.partial > 0, "{verdict:?}");
    assert!(verdict.verify > 0, "{verdict:?}");
    assert!(outcome.short().contains(&"verify"), "what is found fails the run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_a_look_at_the_epoch_is_found() {
    // Enough that some stand still for three leases with a document, which is another's when they go on.
    let outcome = with(PlantedFault::CommitWithoutEpoch, 20).await;
    let verdict = &outcome.verdict;
    assert!(verdict.stale + verdict.partial > 0, "{verdict:?}");
    assert!(!verdict.short().is_empty(), "what is found fails the run");
}
