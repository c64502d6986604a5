//! Children that end over a page: what of their document is lost, and when all of it is.

use std::path::Path;

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::TenantId;
use docmill_core::page::{Block, BlockKind, Page, PageSource};
use docmill_worker::extract::{Event, ExtractOptions, Input, Pool};
use tempfile::tempdir;

use crate::files::{archive, file, program, text_pdf};
use crate::{pool, read, read_input};

const FIVE: [&str; 5] = ["One", "Two", "Three", "Four", "Five"];

/// A pool whose children have this fault: see the hooks of `child.rs`.
fn faulty(folder: &Path, hook: &str, fault: &str, options: ExtractOptions) -> Pool {
    let worker = env!("CARGO_BIN_EXE_docmill-worker");
    let script = format!("export DOCMILL_TEST_{hook}='{fault}'\nexec '{worker}' \"$@\"");
    Pool::new(program(folder, "faulty", &script), 1, options)
}

/// The numbers and codes of lost pages, which have nothing but the name of what they lie in; all others are as in an
/// undisturbed read.
fn losses(disturbed: &[Page], whole: &[Page]) -> Vec<(u32, FailureCode)> {
    assert_eq!(disturbed.len(), whole.len());
    let mut lost = Vec::new();
    for (page, as_it_is) in disturbed.iter().zip(whole) {
        assert_eq!(page.number, as_it_is.number);
        if page.source == PageSource::Lost {
            let is_name = |block: &&Block| block.kind == BlockKind::Heading(1);
            assert!(page.blocks.iter().eq(as_it_is.blocks.iter().filter(is_name)));
            lost.push((page.number, page.lost_to().unwrap()));
        } else {
            assert_eq!(page, as_it_is);
        }
    }
    lost
}

#[tokio::test]
async fn one_bad_page_loses_one_page_however_it_ends_its_child() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), "five.pdf", text_pdf(&FIVE));
    let whole = read(&pool(1, ExtractOptions::default()), &path).await;
    let cases = [
        ("KILL", 3, FailureCode::ExtractorDied),
        ("KILL", 1, FailureCode::ExtractorDied),
        ("KILL", 5, FailureCode::ExtractorDied),
        // Without a word, as pdfium does when it gets no memory.
        ("ABORT", 2, FailureCode::LimitMemory),
        ("HANG", 4, FailureCode::LimitTime),
    ];
    for (hook, page, code) in cases {
        let mut options = ExtractOptions::default();
        if hook == "HANG" {
            options.limits.page_ms = 1_500;
        }
        let pool = faulty(folder.path(), hook, &format!("five:{page}"), options);
        let read = read(&pool, &path).await;
        assert_eq!(read.outcome, Ok(()), "{hook} {page}");
        assert_eq!(read.info, whole.info);
        assert_eq!(losses(&read.pages, &whole.pages), [(page, code)], "{hook}");
        pool.shutdown().await;
        assert_eq!(pool.child_pids(), [0u32; 0]);
    }
}

#[tokio::test]
async fn a_child_that_ends_once_at_a_page_loses_none() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), "five.pdf", text_pdf(&FIVE));
    let whole = read(&pool(1, ExtractOptions::default()), &path).await;
    // Each page takes its time, so that the child is at another one when the first is here.
    let pool = faulty(folder.path(), "WAIT", "five:200", ExtractOptions::default());
    let (sink, mut events) = tokio::sync::mpsc::channel(8);
    let tenant = TenantId::default();
    let collect = async {
        let (mut infos, mut pages) = (0, Vec::new());
        while let Some(event) = events.recv().await {
            match event {
                Event::Info(_) => infos += 1,
                Event::Page(page) => {
                    if pages.is_empty() {
                        let [pid] = pool.child_pids()[..] else { panic!("one child works") };
                        let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
                        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
                    }
                    pages.push(page);
                }
                Event::Done => {}
            }
        }
        (infos, pages)
    };
    let (outcome, (infos, pages)) = tokio::join!(pool.extract(&tenant, Input::new(&path), sink), collect);
    outcome.unwrap();
    assert_eq!((infos, pages), (1, whole.pages));
}

#[tokio::test]
async fn more_losses_than_allowed_are_the_documents_failure_with_the_first_ones_page() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), "five.pdf", text_pdf(&FIVE));
    let mut none_allowed = ExtractOptions::default();
    none_allowed.limits.pages_lost_max = 0;
    let died = Failure::new(FailureCode::ExtractorDied, "SIGKILL");
    let lost = vec![Page::lost(9, &died); ExtractOptions::default().limits.pages_lost_max as usize];
    let spent = Input { lost, ..Input::new(&path) };
    for (options, input) in [(none_allowed, Input::new(&path)), (ExtractOptions::default(), spent)] {
        let pool = faulty(folder.path(), "KILL", "five:3", options);
        let read = read_input(&pool, "t", input).await;
        assert_eq!((read.failure().code, read.failure().page), (FailureCode::ExtractorDied, Some(3)));
        assert!(read.failure().detail.contains("SIGKILL"), "{}", read.failure());
        assert_eq!(read.pages.len(), 2, "the pages before it were sent");
    }
}

#[tokio::test]
async fn what_has_no_pages_to_lose_fails() {
    let folder = tempdir().unwrap();
    let html = file(folder.path(), "one.html", "<html><body><p>Words enough</p></body></html>");
    let single = file(folder.path(), "one.pdf", text_pdf(&["Words"]));
    let empty_besides = file(folder.path(), "one-and-nothing.pdf", text_pdf(&["Words", ""]));
    let pool = faulty(folder.path(), "KILL", "one:1", ExtractOptions::default());
    for (path, sent) in [(html, 0), (single, 0), (empty_besides, 2)] {
        let read = read(&pool, &path).await;
        assert_eq!((read.failure().code, read.failure().page), (FailureCode::ExtractorDied, Some(1)));
        assert_eq!(read.pages.len(), sent, "{}", path.display());
    }
}

#[tokio::test]
async fn a_resumed_document_loses_its_page_and_no_other() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), "five.pdf", text_pdf(&FIVE));
    let whole = read(&pool(1, ExtractOptions::default()), &path).await;
    let pool = faulty(folder.path(), "KILL", "five:3", ExtractOptions::default());
    let read = read_input(&pool, "t", Input { resume_from_page: 3, ..Input::new(&path) }).await;
    assert_eq!(read.outcome, Ok(()));
    assert_eq!(losses(&read.pages, &whole.pages[2..]), [(3, FailureCode::ExtractorDied)]);
}

/// A mail with this file attached, and a text after it.
fn mail_with(name: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!(
        "From: a@example.org\nMessage-ID: <1>\nSubject: Five pages\nContent-Type: multipart/mixed; boundary=b\n\n\
         --b\nContent-Type: text/plain\n\nSee below.\n\
         --b\nContent-Type: application/octet-stream; name={name}\nContent-Disposition: attachment\n\n"
    );
    let after = "\n--b\nContent-Type: text/html; name=after.html\nContent-Disposition: attachment\n\n<p>After\n--b--\n";
    // A document is what it begins with, and a PDF may begin late.
    let head = head.replace("See below.\n", &"See below.\n".repeat(200));
    [head.as_bytes(), bytes, after.as_bytes()].concat()
}

#[tokio::test]
async fn a_bad_page_of_a_document_in_others_loses_that_page_alone() {
    let folder = tempdir().unwrap();
    let pdf = text_pdf(&FIVE);
    let inner = archive(&[("before.html", b"<p>Before"), ("five.pdf", &pdf), ("after.html", b"<p>After")]);
    let in_mail = file(folder.path(), "mail.eml", mail_with("five.pdf", &pdf));
    let in_archive = file(folder.path(), "archive.zip", &inner);
    let in_both =
        file(folder.path(), "both.zip", archive(&[("in.zip", &inner), ("last.html", b"<p>Last")]));
    for (path, part) in [(in_mail, "mail"), (in_archive, "archive"), (in_both, "both")] {
        let whole = read(&pool(1, ExtractOptions::default()), &path).await;
        assert!(whole.pages.len() >= 7 && whole.text().contains("|Five|"), "{}", whole.text());
        // The first of the PDF, with its name; one in the middle; the last of the PDF.
        for page in [2, 4, 6] {
            let pool = faulty(folder.path(), "KILL", &format!("{part}:{page}"), ExtractOptions::default());
            let read = read(&pool, &path).await;
            assert_eq!(read.outcome, Ok(()), "{part} {page}");
            let lost = losses(&read.pages, &whole.pages);
            assert_eq!(lost, [(page, FailureCode::ExtractorDied)], "{part}");
            assert!(!read.pages[page as usize - 1].is_lost_part());
        }
    }
}

#[tokio::test]
async fn a_bad_document_in_others_loses_itself_alone() {
    let folder = tempdir().unwrap();
    let members: &[(&str, &[u8])] =
        &[("one.html", b"<p>One"), ("two.html", b"<p>Two"), ("last.html", b"<p>Last")];
    let zipped = file(folder.path(), "archive.zip", archive(members));
    let mails = "From a@example.org Mon Jan  1 10:00:00 2024\nFrom: a\nMessage-ID: <1>\nSubject: one\n\nFirst.\n\n\
        From b@example.org Mon Jan  1 11:00:00 2024\nFrom: b\nMessage-ID: <2>\nSubject: two\n\nSecond.\n\n\
        From c@example.org Mon Jan  1 12:00:00 2024\nFrom: c\nMessage-ID: <3>\nSubject: three\n\nThird.\n";
    let mailbox = file(folder.path(), "archive.mbox", mails);
    // What has no pages of its own is left out as a page; a mail, which may hold others, only when that was in vain.
    for (path, is_part) in [(zipped, false), (mailbox, true)] {
        let whole = read(&pool(1, ExtractOptions::default()), &path).await;
        assert_eq!(whole.pages.len(), 3);
        let pool = faulty(folder.path(), "KILL", "archive:2", ExtractOptions::default());
        let read = read(&pool, &path).await;
        assert_eq!(read.outcome, Ok(()), "{}", path.display());
        assert_eq!(losses(&read.pages, &whole.pages), [(2, FailureCode::ExtractorDied)]);
        assert_eq!(read.pages[1].is_lost_part(), is_part, "{}", path.display());
    }
}

#[tokio::test]
async fn what_cannot_be_left_out_is_the_documents_failure() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), "mail.eml", mail_with("five.pdf", &text_pdf(&FIVE)));
    let pool = faulty(folder.path(), "KILL", "mail:1", ExtractOptions::default());
    let read = read(&pool, &path).await;
    assert_eq!((read.failure().code, read.failure().page), (FailureCode::ExtractorDied, Some(1)));
    assert!(read.pages.is_empty(), "{:?}", read.pages);
}

#[tokio::test]
async fn an_archive_of_nothing_but_a_bad_document_fails_as_that_did() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), "archive.zip", archive(&[("five.pdf", &text_pdf(&["Words"]))]));
    let pool = faulty(folder.path(), "KILL", "archive:1", ExtractOptions::default());
    let read = read(&pool, &path).await;
    assert_eq!((read.failure().code, read.failure().page), (FailureCode::ExtractorDied, Some(1)));
    assert_eq!(read.pages.len(), 1);
}
