//! Faults of the machine under a run: a disk that fills up, a kill in the middle of a long document.
#![allow(clippy::unwrap_used)]

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use docmill_tests::command::{Docmill, locate};
use docmill_tests::corpus::{Writer, dense_pages, pdf, write, write_texts};
use docmill_worker::sqlite::rusqlite;
use serde_json::Value;

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}: {text}", path.display()))
}

/// The data directory is on a disk of its own, seen by this script and its children alone.
#[test]
fn a_disk_low_or_full_stops_the_run_and_the_next_goes_on() {
    let bin = locate(None).unwrap();
    let place = tempfile::tempdir().unwrap();
    let (documents, disk) = (place.path().join("documents"), place.path().join("disk"));
    std::fs::create_dir(&disk).unwrap();
    write_texts(&documents, 400, 4_000, false, 31).unwrap();
    let script = r#"
        set -u
        mount -t tmpfs -o size=6m tmpfs "$DISK" || exit 99
        run() { "$BIN" --data-dir "$DISK/data" --json "$@"; }
        run run "$DOCUMENTS" --embeddings mock > "$OUT/low.json"; echo $? > "$OUT/low.rc"
        run run "$DOCUMENTS" --min-free-disk-mib 0 > "$OUT/full.json"; echo $? > "$OUT/full.rc"
        mount -o remount,size=200m "$DISK" || exit 99
        run run "$DOCUMENTS" --min-free-disk-mib 0 > "$OUT/free.json"; echo $? > "$OUT/free.rc"
        run verify > "$OUT/verify.json"; echo $? > "$OUT/verify.rc"
        run status > "$OUT/status.json"
    "#;
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .env("BIN", &bin)
        .env("DISK", &disk)
        .env("DOCUMENTS", &documents)
        .env("OUT", place.path())
        .status()
        .unwrap();
    assert!(status.success(), "a file system of its own could not be had: {status}");
    let at = |name: &str| place.path().join(name);
    let exit = |name: &str| std::fs::read_to_string(at(name)).unwrap().trim().to_owned();
    let low = read(&at("low.json"));
    assert_eq!(
        (low["error"]["code"].as_str(), exit("low.rc").as_str()),
        (Some("disk_full"), "1"),
        "{low:#}"
    );
    assert!(low["error"]["advice"].as_str().unwrap().contains("--min-free-disk-mib"), "{low:#}");
    let full = read(&at("full.json"));
    assert_eq!((full["error"]["code"].as_str(), exit("full.rc").as_str()), (Some("disk_full"), "1"));
    assert!(full["error"]["advice"].as_str().unwrap().contains("run again"), "{full:#}");
    assert_eq!(exit("free.rc"), "0", "{:#}", read(&at("free.json")));
    assert_eq!(exit("verify.rc"), "0", "{:#}", read(&at("verify.json")));
    let status = read(&at("status.json"));
    assert_eq!(status["documents"]["committed"], 400, "{status:#}");
}

/// Pages that were recognised before the kill are not recognised again.
#[test]
fn a_long_document_goes_on_where_it_was_killed() {
    const PAGES: usize = 10;
    let bin = locate(None).unwrap();
    let place = tempfile::tempdir().unwrap();
    let (documents, data) = (place.path().join("documents"), place.path().join("data"));
    let mut writer = Writer::new(32);
    write(&documents.join("long.pdf"), &pdf(&dense_pages(&mut writer, PAGES, None, None))).unwrap();
    let run = || {
        let mut command = Command::new(&bin);
        command.arg("--data-dir").arg(&data).args(["--json", "run"]).arg(&documents);
        command.args(["--embeddings", "mock", "--ocr", "always", "--languages", "eng", "-w", "1"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let mut first = run().spawn().unwrap();
    let began = Instant::now();
    let kept = loop {
        assert!(first.try_wait().unwrap().is_none(), "it ended before a checkpoint was seen");
        assert!(began.elapsed() < Duration::from_secs(120), "no checkpoint");
        let kept = kept_pages(&data);
        if kept >= 2 {
            break kept;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    first.kill().unwrap();
    assert_eq!(first.wait().unwrap().signal(), Some(9));

    let report = place.path().join("report.json");
    assert!(run().arg("--report").arg(&report).status().unwrap().success());
    let report = read(&report);
    assert_eq!(report["succeeded"], 1, "{report:#}");
    let again = report["ocr_pages"].as_u64().unwrap();
    assert!(
        again <= (PAGES - kept) as u64,
        "{again} of {PAGES} pages were recognised again, {kept} were kept"
    );
    let docmill = Docmill::new(&bin, &data);
    let pages: std::collections::BTreeSet<u64> =
        docmill.export().unwrap().iter().map(|chunk| chunk.page).collect();
    assert_eq!(pages.len(), PAGES, "no page is missing: {pages:?}");
}

/// Pages that the ledger kept; 0 while there is no ledger yet.
fn kept_pages(data: &Path) -> usize {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let Ok(connection) = rusqlite::Connection::open_with_flags(data.join("docmill.db"), flags) else {
        return 0;
    };
    connection.query_row("SELECT count(*) FROM kept_pages", [], |row| row.get(0)).unwrap_or(0)
}
