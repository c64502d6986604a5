//! A searcher that stays open while another process writes: it sees what was committed before each search.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use docmill_core::id::TenantId;
use docmill_tests::command::{Docmill, locate};
use docmill_tests::corpus::write;
use docmill_worker::embed::Mock;
use docmill_worker::search::{Mode, Searcher};
use docmill_worker::sqlite::Readers;

const MOCK: [&str; 2] = ["--embeddings", "mock"];

fn text(n: usize) -> String {
    format!("Paragraph number {n} has word{n}a and word{n}b, which no other one has.")
}

/// Texts found, best first. By the mock's vectors a text is nearest to itself and to nothing else.
async fn found(searcher: &Searcher, query: &str, k: usize) -> Vec<String> {
    let answer = searcher.search(query, k).await.unwrap();
    assert_eq!(answer.mode, Mode::Hybrid);
    answer.results.into_iter().map(|hit| hit.text).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_searcher_follows_commits_and_removals() {
    let place = tempfile::tempdir().unwrap();
    let (documents, data) = (place.path().join("documents"), place.path().join("data"));
    let file = |n: usize| documents.join(format!("{n:02}.txt"));
    for n in 0..30 {
        write(&file(n), text(n).as_bytes()).unwrap();
    }
    let docmill = Docmill::new(&locate(None).unwrap(), &data);
    docmill.run_well(&documents, &MOCK).unwrap();
    let searcher =
        Searcher::open(Readers::open(&data).unwrap(), TenantId::default(), Some(Arc::new(Mock::default())));
    assert_eq!(found(&searcher, &text(7), 1).await, [text(7)]);

    // New, changed and removed documents, while the searcher holds what it loaded.
    write(&file(40), text(40).as_bytes()).unwrap();
    write(&file(7), text(41).as_bytes()).unwrap();
    for n in 10..24 {
        std::fs::remove_file(file(n)).unwrap();
    }
    docmill.run_well(&documents, &["--sync"]).unwrap();
    assert_eq!(found(&searcher, &text(40), 1).await, [text(40)]);
    assert_eq!(found(&searcher, &text(41), 1).await, [text(41)]);
    let all = found(&searcher, &text(12), 50).await;
    assert_eq!(all.len(), 17, "removed rows take no places: {all:?}");
    assert!(!all.contains(&text(12)) && !all.contains(&text(7)));

    // What another tenant has in the same file is neither shown nor in the way.
    let others = place.path().join("others");
    for n in 0..200 {
        write(&others.join(format!("{n}.txt")), format!("Paragraph number {n}, of another.").as_bytes())
            .unwrap();
    }
    let bin = locate(None).unwrap();
    let other = std::process::Command::new(bin)
        .arg("--data-dir")
        .arg(&data)
        .args(["--tenant", "other", "--json", "run"])
        .arg(&others)
        .args(MOCK)
        .output()
        .unwrap();
    assert!(other.status.success(), "{}", String::from_utf8_lossy(&other.stderr));
    let ours = found(&searcher, "Paragraph number", 10).await;
    assert_eq!(ours.len(), 10, "{ours:?}");
    assert!(ours.iter().all(|text| !text.contains("of another")), "{ours:?}");
}
