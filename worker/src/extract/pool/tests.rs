//! Children that were taken over: what they say, and that it ends them. The programs are shell scripts which another
//! process writes: a file that this one had open for writing could not be started while some other child still has it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use docmill_core::page::{Block, BlockKind, DocumentInfo, Page, PageSource};
use tempfile::{TempDir, tempdir};

use super::*;
use crate::extract::frame::{self, Reply};

fn program(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("program");
    let written = Command::new("/bin/sh")
        .args(["-c", r#"printf '%s' "$1" > "$2" && chmod 755 "$2""#, "sh"])
        .arg(format!("#!/bin/sh\n{script}\n"))
        .arg(&path)
        .status()
        .unwrap();
    assert!(written.success());
    path
}

/// A folder with what a child says: what holds it, and then these answers.
fn said(replies: &[Reply]) -> (TempDir, Vec<u8>) {
    let mut bytes = Vec::new();
    frame::write(&mut bytes, &SandboxReport::default()).unwrap();
    for reply in replies {
        frame::push(&mut bytes, reply).unwrap();
    }
    (tempdir().unwrap(), bytes)
}

/// What becomes of a document whose child says these bytes and then does what the script says.
async fn read(folder: &TempDir, bytes: &[u8], script: &str) -> (Vec<Event>, Result<(), Failure>) {
    let (path, words) = (folder.path().join("a.pdf"), folder.path().join("words"));
    fs::write(&path, "%PDF-1.4 of which nobody reads more").unwrap();
    fs::write(&words, bytes).unwrap();
    // It answers when it was asked, not before.
    let asked = "/bin/dd of=/dev/null bs=1 count=1 2>/dev/null";
    let script = format!("{asked}\n/bin/cat '{}'\n{script}", words.display());
    let mut options = ExtractOptions::default();
    options.limits.page_ms = 2_000;
    let pool = Pool::new(program(folder.path(), &script), 1, options);
    let (sink, mut events) = mpsc::channel(64);
    let outcome = pool.extract(&TenantId::default(), Input::new(&path), sink).await;
    assert_eq!(pool.child_pids(), [0u32; 0], "such a child is not kept");
    let mut heard = Vec::new();
    while let Ok(event) = events.try_recv() {
        heard.push(event);
    }
    (heard, outcome)
}

const STAYS: &str = "exec /bin/sleep 600";

fn info(page_count: u32) -> Reply {
    let info = DocumentInfo {
        title: None,
        media_type: "application/pdf".to_owned(),
        page_count: Some(page_count),
    };
    Reply::Event(Event::Info(info))
}

fn page(number: u32) -> Reply {
    let block = Block { kind: BlockKind::Paragraph, text: "words".to_owned() };
    Reply::Event(Event::Page(Page {
        number,
        source: PageSource::TextLayer,
        blocks: vec![block],
        note: None,
    }))
}

#[tokio::test]
async fn what_none_of_ours_would_say_ends_the_child_and_the_document() {
    let store_is_away = Reply::Failed(Failure::new(FailureCode::StoreFailed, "away"));
    let lies = [
        (vec![page(1)], "before"),
        (vec![info(9), page(1), page(3)], "page 3 in place of page 2"),
        (vec![info(2), page(1), page(2), page(3)], "page 3 of a document of 2"),
        (vec![info(9), store_is_away], "store_failed"),
    ];
    for (replies, why) in lies {
        let (folder, bytes) = said(&replies);
        let (heard, outcome) = read(&folder, &bytes, STAYS).await;
        let failure = outcome.unwrap_err();
        assert_eq!(failure.code, FailureCode::SandboxViolation, "{failure}");
        assert!(failure.detail.contains(why), "{failure}");
        assert!(heard.len() < replies.len(), "the lie itself is not sent on");
    }
}

#[tokio::test]
async fn what_is_no_answer_at_all_is_a_lie_too() {
    // No JSON, more than may be held, more than is held.
    for garbage in [&b"\x04\0\0\0nono"[..], &b"\xff\xff\xff\xff"[..], &b"\x10\0\0\x80"[..]] {
        let (folder, mut bytes) = said(&[info(2)]);
        bytes.extend(garbage);
        let (_, outcome) = read(&folder, &bytes, STAYS).await;
        assert_eq!(outcome.unwrap_err().code, FailureCode::SandboxViolation);
    }
}

#[tokio::test]
async fn a_flood_of_pages_ends_at_the_first_that_was_not_asked_for() {
    let (folder, bytes) = said(&[info(2), page(1)]);
    let (_, first) = said(&[]);
    fs::write(folder.path().join("again"), &bytes[first.len()..]).unwrap();
    let script = format!("while :; do /bin/cat '{}'; done", folder.path().join("again").display());
    let (heard, outcome) = read(&folder, &bytes, &script).await;
    assert_eq!(outcome.unwrap_err().code, FailureCode::SandboxViolation);
    assert_eq!(heard.len(), 2);
}

#[tokio::test]
async fn half_an_answer_is_a_death() {
    let (folder, bytes) = said(&[info(1), page(1)]);
    let (heard, outcome) = read(&folder, &bytes[..bytes.len() - 3], "exit 7").await;
    let failure = outcome.unwrap_err();
    assert_eq!((failure.code, failure.page), (FailureCode::ExtractorDied, Some(1)));
    assert!(failure.detail.contains("status 7"), "{failure}");
    assert_eq!(heard.len(), 1);
}

#[tokio::test]
async fn what_a_child_started_ends_with_it() {
    let (folder, bytes) = said(&[info(1)]);
    let told = folder.path().join("started");
    let script = format!("/bin/sleep 600 >/dev/null 2>&1 &\necho $! > '{}'\nexit 7", told.display());
    let (_, outcome) = read(&folder, &bytes, &script).await;
    // It was not killed for it: its own end is told.
    assert!(outcome.unwrap_err().detail.contains("status 7"));
    let started: u32 = fs::read_to_string(told).unwrap().trim().parse().unwrap();
    // One that was killed may wait a moment to be reaped.
    let lives = || {
        let stat = fs::read_to_string(format!("/proc/{started}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    let asked = Instant::now();
    while lives() && asked.elapsed() < Duration::from_secs(5) {
        tokio::task::yield_now().await;
    }
    assert!(!lives());
}

#[tokio::test]
async fn no_child_stays_on_the_list_where_a_shutdown_is_cut_off() {
    let folder = tempdir().unwrap();
    let pool = Pool::new(program(folder.path(), STAYS), 1, ExtractOptions::default());
    let tenant = TenantId::default();
    let guards = [pool.start(&tenant).await.unwrap(), pool.start(&tenant).await.unwrap()];
    guards.into_iter().for_each(Guard::give_back);
    assert_eq!(pool.child_pids().len(), 2);
    let mut shutdown = Box::pin(pool.shutdown());
    assert!(futures::poll!(shutdown.as_mut()).is_pending(), "the first is dying");
    drop(shutdown);
    assert_eq!(pool.child_pids(), [0u32; 0]);
}

#[tokio::test]
async fn more_than_the_document_is_not_taken_for_the_next_ones() {
    let (folder, bytes) = said(&[info(1), page(1), Reply::Event(Event::Done), info(1)]);
    let (heard, outcome) = read(&folder, &bytes, STAYS).await;
    assert_eq!((outcome, heard.len()), (Ok(()), 3));
}

/// A file of this name in the folder with these answers, without what holds who says them.
fn answers(folder: &TempDir, name: &str, replies: &[Reply]) -> PathBuf {
    let (path, mut bytes) = (folder.path().join(name), Vec::new());
    for reply in replies {
        frame::push(&mut bytes, reply).unwrap();
    }
    fs::write(&path, bytes).unwrap();
    path
}

#[tokio::test]
async fn what_a_child_did_not_call_for_is_heard_when_it_is_gone() {
    let (folder, bytes) = said(&[info(2), page(1)]);
    let held = answers(&folder, "held", &[page(2)]);
    let (heard, outcome) =
        read(&folder, &bytes, &format!("/bin/cat '{}' >&0\nexit 1", held.display())).await;
    assert_eq!((outcome, heard.len(), heard.last()), (Ok(()), 4, Some(&Event::Done)));
}

#[tokio::test]
async fn a_page_that_was_not_called_for_is_not_the_one_that_took_too_long() {
    let (folder, bytes) = said(&[info(3), page(1)]);
    // Whoever reads after this one says the same, in place of the third page.
    let held = answers(&folder, "held", &[page(2)]);
    let script = format!("/bin/cat '{}' >&0\n{STAYS}", held.display());
    let (heard, outcome) = read(&folder, &bytes, &script).await;
    assert!(outcome.unwrap_err().detail.contains("page 1 in place of page 3"));
    assert_eq!(heard.len(), 3);
}

#[tokio::test]
async fn what_nobody_called_for_is_not_taken_for_the_next_document() {
    let (folder, bytes) = said(&[]);
    let extra = answers(&folder, "extra", &[page(2)]);
    let all = answers(&folder, "all", &[info(1), page(1), Reply::Event(Event::Done)]);
    let script = format!("/bin/cat '{}' >&0\n/bin/cat '{}'\n{STAYS}", extra.display(), all.display());
    let (heard, outcome) = read(&folder, &bytes, &script).await;
    assert_eq!((outcome, heard.len()), (Ok(()), 3));
}

#[tokio::test]
async fn a_child_that_died_after_the_last_page_has_said_it_all() {
    let (folder, bytes) = said(&[info(2), page(1), page(2)]);
    let (heard, outcome) = read(&folder, &bytes, "exit 1").await;
    assert_eq!((outcome, heard.last()), (Ok(()), Some(&Event::Done)));
}
