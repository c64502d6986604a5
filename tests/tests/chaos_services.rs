//! The kills among many processes find what they must find.
#![allow(clippy::unwrap_used, clippy::large_futures)]

use docmill_tests::chaos::services::{LEASE_MS, Options, run};
use docmill_worker::delivery::PlantedFault;

/// Enough that one comes between a commit and the writes that a mistake puts behind it.
const KILLS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_before_the_writes_is_found() {
    let planted = Some(PlantedFault::CommitBeforeWrite);
    let outcome = run(&Options { kills: KILLS, seed: 1, lease_ms: LEASE_MS, planted }).await.unwrap();
    println!("{}\n{}", outcome.beside(), outcome.line());
    let verdict = &outcome.verdict;
    assert!(verdict.lost + verdict.partial > 0, "{verdict:?}");
    assert!(verdict.verify > 0, "{verdict:?}");
    assert!(outcome.short().contains(&"verify"), "what is found fails the run");
}
