//! What every store does: writes raise epochs, removals look at them, audits page through rows.

use std::sync::Arc;

use docmill_core::id::{Epoch, IndexId};
use docmill_core::manifest::Store;
use docmill_worker::ledger::Grant;
use docmill_worker::sink::{ChunkRow, StoredChunk, Write};

use super::{Backend, rows, spec};

async fn grant(backend: &Backend) -> Grant {
    backend.set_up().await;
    let message = backend.news("sink", "content").await;
    backend.grant(&message, "a").await
}

fn of(grant: &Grant, texts: &[&str]) -> Vec<Arc<ChunkRow>> {
    rows(grant, spec(1).id(), texts).0
}

/// Written twice is written once; an epoch only rises; the count says what is held.
pub async fn a_write_is_idempotent_and_never_lowers_an_epoch(backend: Backend) {
    let grant = grant(&backend).await;
    let rows = of(&grant, &["x", "y"]);
    for sink in backend.sinks.values() {
        for (epoch, held) in [(5, 5), (5, 5), (3, 5), (7, 7)] {
            assert_eq!(sink.write(&rows, Epoch(epoch)).await.unwrap(), 2);
            let listed = sink.list(None, 10).await.unwrap();
            assert_eq!(listed.iter().map(|row| row.epoch.0).collect::<Vec<_>>(), [held, held]);
        }
    }
}

/// A row that a store cannot hold is not counted.
pub async fn a_write_counts_what_is_held(backend: Backend) {
    let grant = grant(&backend).await;
    let mut rows = of(&grant, &["x", "y"]);
    rows[1] = Arc::new(ChunkRow { embedding: None, ..(*rows[1]).clone() });
    assert_eq!(backend.sinks[&Store::Text].write(&rows, Epoch(1)).await.unwrap(), 2);
    assert_eq!(backend.sinks[&Store::Vector].write(&rows, Epoch(1)).await.unwrap(), 1);
}

/// Put together or one by one, each row gets the epoch of its claim, and the higher one where two claims share it.
pub async fn writes_of_several_claims_keep_their_epochs(backend: Backend) {
    let grant = grant(&backend).await;
    let rows = of(&grant, &["x", "y", "z"]);
    let chunks: Vec<_> = rows.iter().map(|row| row.chunk).collect();
    let write = |rows: &[Arc<ChunkRow>], epoch| Write { rows: rows.to_vec(), epoch: Epoch(epoch) };
    for sink in backend.sinks.values() {
        let together = [write(&rows[..2], 8), write(&rows[1..], 5)];
        assert_eq!(sink.write_many(&together).await.unwrap(), [2, 2]);
        let epochs = async || {
            let held = sink.look_up(&chunks).await.unwrap();
            held.iter().map(|row| row.unwrap().epoch.0).collect::<Vec<_>>()
        };
        assert_eq!(epochs().await, [8, 8, 5]);
        assert_eq!(sink.write_many(&[write(&rows, 6)]).await.unwrap(), [3]);
        assert_eq!(epochs().await, [8, 8, 6]);
        assert_eq!(sink.write_many(&[]).await.unwrap(), Vec::<usize>::new());
    }
}

/// Only rows below the epoch go, once.
pub async fn a_removal_looks_at_the_epoch(backend: Backend) {
    let grant = grant(&backend).await;
    let rows = of(&grant, &["x", "y"]);
    let chunks: Vec<_> = rows.iter().map(|row| row.chunk).collect();
    for sink in backend.sinks.values() {
        sink.write(&rows, Epoch(4)).await.unwrap();
        sink.write(&rows[..1], Epoch(6)).await.unwrap();
        assert_eq!(sink.remove(&chunks, Epoch(4)).await.unwrap(), 0);
        assert_eq!(sink.remove(&chunks, Epoch(6)).await.unwrap(), 1);
        assert_eq!(sink.remove(&chunks, Epoch(6)).await.unwrap(), 0);
        let held = sink.look_up(&chunks).await.unwrap();
        assert!(held[0].is_some() && held[1].is_none());
    }
}

/// Rows are answered in the order asked, with all that was written.
pub async fn a_look_up_answers_in_order(backend: Backend) {
    let grant = grant(&backend).await;
    let rows = of(&grant, &["x", "y", "z"]);
    for sink in backend.sinks.values() {
        sink.write(&rows[..2], Epoch(4)).await.unwrap();
        let asked = [rows[2].chunk, rows[1].chunk, rows[0].chunk];
        let stored = |row: &ChunkRow| StoredChunk {
            chunk: row.chunk,
            document: grant.document,
            index: IndexId(spec(1).id().0),
            text_hash: row.text_hash,
            epoch: Epoch(4),
        };
        let expected = [None, Some(stored(&rows[1])), Some(stored(&rows[0]))];
        assert_eq!(sink.look_up(&asked).await.unwrap(), expected);
    }
}

/// Pages ascend and leave nothing out.
pub async fn pages_ascend(backend: Backend) {
    let grant = grant(&backend).await;
    let rows = of(&grant, &["a", "b", "c", "d", "e", "f", "g"]);
    let mut expected: Vec<_> = rows.iter().map(|row| row.chunk).collect();
    expected.sort_unstable();
    for sink in backend.sinks.values() {
        sink.write(&rows, Epoch(1)).await.unwrap();
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = sink.list(after, 3).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.chunk);
            seen.extend(page.iter().map(|row| row.chunk));
        }
        assert_eq!(seen, expected);
    }
}

/// A concept stays while one chunk mentions it.
pub async fn a_concept_goes_with_its_last_evidence(backend: Backend) {
    let grant = grant(&backend).await;
    let graph = &backend.sinks[&Store::Graph];
    let mut rows = of(&grant, &["x", "y"]);
    rows[1] = Arc::new(ChunkRow { mentions: rows[0].mentions.clone(), ..(*rows[1]).clone() });
    graph.write(&rows, Epoch(1)).await.unwrap();
    assert_eq!((backend.concepts)(), 1);
    graph.remove(&[rows[0].chunk], Epoch(2)).await.unwrap();
    assert_eq!((backend.concepts)(), 1);
    graph.remove(&[rows[1].chunk], Epoch(2)).await.unwrap();
    assert_eq!((backend.concepts)(), 0);
    assert_eq!(graph.loose_ends().await.unwrap(), 0);
}

/// What nothing holds up is counted and removed, and nothing else.
pub async fn loose_ends_are_found_and_removed(backend: Backend) {
    let grant = grant(&backend).await;
    let graph = &backend.sinks[&Store::Graph];
    graph.write(&of(&grant, &["x"]), Epoch(1)).await.unwrap();
    (backend.leave_loose_end)();
    assert_eq!(graph.loose_ends().await.unwrap(), 1);
    assert_eq!(graph.remove_loose_ends().await.unwrap(), 1);
    assert_eq!(graph.loose_ends().await.unwrap(), 0);
    assert_eq!((backend.concepts)(), 1);
}
