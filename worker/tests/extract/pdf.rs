//! PDF: damage and passwords.

use docmill_core::failure::FailureCode;
use docmill_worker::extract::{ExtractOptions, passwords};
use tempfile::tempdir;

use crate::files::{file, text_pdf};
use crate::{Read, pool, read};

/// What comes out of these bytes.
async fn read_bytes(bytes: &[u8], options: ExtractOptions) -> Read {
    let folder = tempdir().unwrap();
    read(&pool(1, options), &file(folder.path(), "a.pdf", bytes)).await
}

fn position(bytes: &[u8], needle: &str) -> usize {
    bytes.windows(needle.len()).position(|window| window == needle.as_bytes()).unwrap()
}

fn note(read: &Read, page: usize) -> &str {
    read.pages[page].note.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn damaged_files_are_repaired_and_their_pages_say_so() {
    let whole = text_pdf(&["First page", "Second page"]);
    let table = position(&whole, "xref\n");
    let second = position(&whole, "Second page");
    // The catalog and the tree of pages are the first objects.
    let pages = position(&whole, "4 0 obj");
    let junk = [&[b'\x01'; 5_000][..], whole.as_slice()].concat();
    for (what, bytes, text, says) in [
        ("the table is missing", whole[..table].to_vec(), "First page|Second page", "repaired copy"),
        (
            "it is cut in the last page",
            whole[..second + 15].to_vec(),
            "First page|Second page",
            "repaired copy",
        ),
        ("much stands before the header", junk, "First page|Second page", "repaired copy"),
        (
            "catalog and tree are missing",
            [&b"%PDF-1.4\n"[..], &whole[pages..table]].concat(),
            "First page|Second page",
            "may lack or be out of order",
        ),
    ] {
        let read = read_bytes(&bytes, ExtractOptions::default()).await;
        assert_eq!(read.text(), text, "{what}");
        for page in 0..read.pages.len() {
            assert!(note(&read, page).contains(says), "{what}: {}", note(&read, page));
        }
    }
    // These pdfium sees through by itself.
    let start = format!("startxref\n{table}");
    let wrong = String::from_utf8(whole).unwrap().replace(&start, "startxref\n7");
    let read = read_bytes(wrong.as_bytes(), ExtractOptions::default()).await;
    assert_eq!(read.text(), "First page|Second page");
    assert_eq!(note(&read, 0), "");
}

#[tokio::test]
async fn what_cannot_be_repaired_is_said_in_plain_words() {
    let whole = text_pdf(&["First page"]);
    for bytes in [&whole[..120], b"%PDF-1.7\n", b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj"] {
        let read = read_bytes(bytes, ExtractOptions::default()).await;
        let failure = read.failure();
        assert_eq!(failure.code, FailureCode::Damaged);
        assert!(!failure.detail.contains("Pdfium") && !failure.detail.contains("Error"), "{failure}");
    }
}

#[tokio::test]
async fn passwords_are_tried_in_order() {
    let locked = include_bytes!("../fixtures/locked.pdf");
    let with =
        |text: &str| ExtractOptions { passwords: passwords::parse(text).unwrap(), ..Default::default() };
    let read = read_bytes(locked, with("wrong\nuser\n")).await;
    assert_eq!(read.text(), "Read without a password");
    for (given, says) in [("", "none is given"), ("wrong\nhunter2\n", "not among those given (2)")] {
        let read = read_bytes(locked, with(given)).await;
        let failure = read.failure();
        assert_eq!(failure.code, FailureCode::Encrypted);
        assert!(failure.detail.contains(says) && !failure.detail.contains("hunter2"), "{failure}");
    }
}
