//! What happens to the children: reuse, replacement, deadlines, death, cancellation.

use std::time::{Duration, Instant};

use docmill_core::failure::FailureCode;
use docmill_core::id::TenantId;
use docmill_worker::extract::{ExtractOptions, Input};
use tempfile::tempdir;

use crate::files::{file, pdf, text_pdf};
use crate::{pool, read, read_input};

/// A first page that is read at once and a second one that takes minutes: operators by the million.
fn slow_pdf() -> Vec<u8> {
    let first = b"BT /F 14 Tf 60 780 Td (The first page is fine) Tj ET".to_vec();
    let second =
        [b"BT /F 14 Tf ".to_vec(), b"1 0 0 1 9 9 Tm (word) Tj ".repeat(1_500_000), b"ET".to_vec()].concat();
    pdf(&[first, second], "", &[])
}

fn is_alive(pid: u32) -> bool {
    // A killed child may wait a moment to be reaped.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn is_gone(pid: u32) -> bool {
    let started = Instant::now();
    while is_alive(pid) && started.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    !is_alive(pid)
}

#[tokio::test]
async fn a_child_is_kept_for_its_tenant_and_replaced_for_another_or_when_spent() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), "a.pdf", text_pdf(&["Some words on a page"]));
    let mut options = ExtractOptions::default();
    options.limits.extractor_documents = 4;
    let pool = pool(1, options);
    let mut pids = Vec::new();
    for tenant in ["a", "a", "a", "b", "b", "b", "b"] {
        let read = read_input(&pool, tenant, Input::new(&path)).await;
        assert_eq!(read.text(), "Some words on a page");
        pids.extend(pool.child_pids());
    }
    assert_eq!(pids[0], pids[2], "three documents, one child");
    assert_ne!(pids[2], pids[3], "another tenant, another child");
    assert_eq!(pids.len(), 6, "after its fourth document a child is not kept");
    assert!(is_gone(pids[0]).await);
    pool.shutdown().await;
    assert_eq!(pool.child_pids(), [0u32; 0]);
    assert!(is_gone(pids[3]).await);
    assert_eq!(read(&pool, &path).await.failure().code, FailureCode::Internal);
}

#[tokio::test]
async fn a_slow_page_is_lost_at_its_deadline_and_the_next_document_is_read() {
    let folder = tempdir().unwrap();
    let slow = file(folder.path(), "slow.pdf", slow_pdf());
    let good = file(folder.path(), "good.pdf", text_pdf(&["Good"]));
    let mut options = ExtractOptions::default();
    options.limits.page_ms = 700;
    let pool = pool(1, options);
    let read_slow = read(&pool, &slow).await;
    assert_eq!(read_slow.text(), "The first page is fine");
    assert_eq!(read_slow.pages.len(), 2);
    assert_eq!(read_slow.pages[1].lost_to(), Some(FailureCode::LimitTime), "{:?}", read_slow.pages);
    assert_eq!(read(&pool, &good).await.text(), "Good");
}

#[tokio::test]
async fn the_documents_deadline_holds_over_all_its_children() {
    let folder = tempdir().unwrap();
    let slow = file(folder.path(), "slow.pdf", slow_pdf());
    let mut options = ExtractOptions::default();
    (options.limits.page_ms, options.limits.document_ms) = (700, 1_000);
    let read_slow = read(&pool(1, options), &slow).await;
    assert_eq!(read_slow.failure().code, FailureCode::LimitTime);
    assert_eq!(read_slow.failure().page, Some(2));
    assert!(read_slow.failure().detail.contains("longer than 1000 ms"), "{}", read_slow.failure());
    assert_eq!(read_slow.pages.len(), 1, "the page before it was sent");
}

#[tokio::test]
async fn a_child_that_died_while_idle_is_replaced_without_a_failure() {
    let folder = tempdir().unwrap();
    let good = file(folder.path(), "good.pdf", text_pdf(&["Good"]));
    let pool = pool(1, ExtractOptions::default());
    read(&pool, &good).await;
    let pid = pool.child_pids()[0];
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid as i32).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    assert!(is_gone(pid).await);
    assert_eq!(read(&pool, &good).await.text(), "Good");
}

#[tokio::test]
async fn dropping_the_future_kills_the_child() {
    let folder = tempdir().unwrap();
    let slow = file(folder.path(), "slow.pdf", slow_pdf());
    let pool = pool(1, ExtractOptions::default());
    let (sink, _events) = tokio::sync::mpsc::channel(8);
    let tenant = TenantId::default();
    let work = pool.extract(&tenant, Input::new(&slow), sink);
    assert!(tokio::time::timeout(Duration::from_millis(400), work).await.is_err());
    assert_eq!(pool.child_pids(), [0u32; 0], "the dropped future gave its child up");
    let good = file(folder.path(), "good.pdf", text_pdf(&["Good"]));
    assert_eq!(read(&pool, &good).await.text(), "Good");
}

#[tokio::test]
async fn a_page_that_needs_too_much_memory_is_lost() {
    let folder = tempdir().unwrap();
    let slow = file(folder.path(), "slow.pdf", slow_pdf());
    let mut options = ExtractOptions::default();
    options.limits.extractor_mib = 200;
    let read = read(&pool(1, options), &slow).await;
    assert_eq!(read.text(), "The first page is fine");
    assert_eq!(read.pages[1].lost_to(), Some(FailureCode::LimitMemory), "{:?}", read.pages);
}

#[tokio::test]
async fn a_resumed_document_starts_at_its_page() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), "a.pdf", text_pdf(&["One", "Two", "Three"]));
    let pool = pool(1, ExtractOptions::default());
    let read = read_input(&pool, "t", Input { resume_from_page: 2, ..Input::new(&path) }).await;
    assert_eq!(read.text(), "Two|Three");
    assert_eq!(read.info.unwrap().page_count, Some(3));
}
