//! Writers and removers at the same nodes at the same time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use docmill_core::id::Epoch;
use docmill_tests::services::neo4j::{Neo4jServer, count, shared};
use docmill_worker::neo4j::bolt::map;
use docmill_worker::neo4j::{Database, GraphSink};
use docmill_worker::sink::{ChunkRow, Sink};

use super::chunk;

/// Crossings of a claim and a clean-up of the same chunk, and of the same concept.
const CROSSINGS: u64 = 1_000;
/// Rounds of what more than two do.
const ROUNDS: u64 = 300;
/// Locks the chunk as the product does, and does not write at once. Some milliseconds, by the server's own work.
const PAUSED: &str = "MATCH (c:Chunk {id: $id}) SET c._lock = true
     WITH c UNWIND range(1, 20000) AS step WITH c, count(step) AS steps WHERE steps > 0 REMOVE c._lock";
/// Concepts that all chunks share.
const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
/// Two connections of the product, each with a pool of its own.
async fn two(server: &Neo4jServer) -> ([Arc<GraphSink>; 2], Database) {
    let first = Database::open(&server.options()).await.unwrap();
    let second = Database::connect(&server.options()).await.unwrap();
    ([first.clone(), second].map(|database| Arc::new(GraphSink::new(database))), first)
}

fn write(sink: &Arc<GraphSink>, rows: &[Arc<ChunkRow>], epoch: u64) -> tokio::task::JoinHandle<usize> {
    let (sink, rows) = (sink.clone(), rows.to_vec());
    tokio::spawn(async move { sink.write(&rows, Epoch(epoch)).await.unwrap() })
}

fn remove(sink: &Arc<GraphSink>, rows: &[Arc<ChunkRow>], below: u64) -> tokio::task::JoinHandle<usize> {
    let (sink, chunks) = (sink.clone(), rows.iter().map(|row| row.chunk).collect::<Vec<_>>());
    tokio::spawn(async move { sink.remove(&chunks, Epoch(below)).await.unwrap() })
}

/// Every mention that there should be, no other, and no concept without one.
async fn whole(database: &Database, sink: &GraphSink, held: &[&Arc<ChunkRow>]) {
    assert_eq!(sink.loose_ends().await.unwrap(), 0);
    let mentions: usize = held.iter().map(|row| row.mentions.len()).sum();
    assert_eq!(count(database, "()-[:MENTIONS]->()").await, mentions as i64);
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for mention in held.iter().flat_map(|row| row.mentions.iter()) {
        *names.entry(&mention.canonical_name).or_default() += 1;
    }
    assert_eq!(count(database, "(:CanonicalConcept)").await, names.len() as i64);
    assert_eq!(count(database, "(:Chunk)").await, held.len() as i64);
}

/// A clean-up and a claim of the same chunk: it is there afterwards, with the claim's epoch and its mentions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_and_clean_up() {
    let (server, _turn) = shared().await;
    let ([first, second], database) = two(server).await;
    the_same_chunk(&first, &second, &database).await;
    the_last_evidence(&first, &second, &database).await;
    two_clean_ups(&first, &second, &database).await;
}

async fn the_same_chunk(first: &Arc<GraphSink>, second: &Arc<GraphSink>, database: &Database) {
    let row = [chunk("t", "same", &NAMES[..2])];
    first.write(&row, Epoch(1)).await.unwrap();
    let mut removed = 0;
    for round in 0..CROSSINGS {
        let mine = round + 2;
        // Now both come while it is locked, now as they like.
        let id = map([("id", row[0].chunk.to_string().into())]);
        let pause = (round % 4 > 1).then(|| {
            let database = database.clone();
            tokio::spawn(async move { database.run(PAUSED, id).await.map(|_| ()) })
        });
        let (held, gone) = if round % 2 == 0 {
            let claim = write(first, &row, mine);
            (claim, remove(second, &row, mine))
        } else {
            let clean_up = remove(second, &row, mine);
            (write(first, &row, mine), clean_up)
        };
        assert_eq!(held.await.unwrap(), 1);
        removed += gone.await.unwrap() as u64;
        if let Some(pause) = pause {
            // It may find the chunk gone when its turn comes.
            let _ = pause.await.unwrap();
        }
        let now = first.look_up(&[row[0].chunk]).await.unwrap()[0];
        assert!(now.is_some_and(|now| now.epoch == Epoch(mine)), "round {round}: {now:?}");
        assert_eq!(count(database, "(:Chunk)-[:MENTIONS]->(:CanonicalConcept)").await, 2, "round {round}");
    }
    // Both orders came about, else this showed nothing.
    assert!((1..CROSSINGS).contains(&removed), "{removed} removals");
    first.remove(&[row[0].chunk], Epoch(u64::MAX)).await.unwrap();
}

/// A concept's last evidence goes while other evidence for it comes: the concept stays.
async fn the_last_evidence(first: &Arc<GraphSink>, second: &Arc<GraphSink>, database: &Database) {
    let rows = [[chunk("t", "x", &NAMES[..1])], [chunk("t", "y", &NAMES[..1])]];
    first.write(&rows[1], Epoch(1)).await.unwrap();
    for round in 0..CROSSINGS {
        let mine = round + 2;
        let (comes, goes) = if round % 2 == 0 { (0, 1) } else { (1, 0) };
        let claim = write(first, &rows[comes], mine);
        let clean_up = remove(second, &rows[goes], mine);
        assert_eq!((claim.await.unwrap(), clean_up.await.unwrap()), (1, 1));
        assert_eq!(count(database, "(:Chunk)-[:MENTIONS]->(:CanonicalConcept)").await, 1, "round {round}");
        assert_eq!(count(database, "(:CanonicalConcept)").await, 1, "round {round}");
    }
    let all = [rows[0][0].chunk, rows[1][0].chunk];
    first.remove(&all, Epoch(u64::MAX)).await.unwrap();
}

/// The last two evidences of a concept go at once: it goes with them.
async fn two_clean_ups(first: &Arc<GraphSink>, second: &Arc<GraphSink>, database: &Database) {
    let rows = [chunk("t", "x", &NAMES[..1]), chunk("t", "y", &NAMES[..1])];
    for round in 0..ROUNDS {
        first.write(&rows, Epoch(round + 1)).await.unwrap();
        let gone = [remove(first, &rows[..1], round + 2), remove(second, &rows[1..], round + 2)];
        for gone in gone {
            assert_eq!(gone.await.unwrap(), 1);
        }
        assert_eq!(count(database, "(:CanonicalConcept)").await, 0, "round {round}");
    }
}

/// Eight at once, over the same concepts, with rows and mentions in opposite orders: nobody is told of a
/// deadlock, and after each round the graph is what it should be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_and_removers() {
    let (server, _turn) = shared().await;
    let (sinks, database) = two(server).await;
    let groups: Vec<Vec<Arc<ChunkRow>>> = (0..8)
        .map(|group| {
            let mut names = NAMES.to_vec();
            if group % 2 == 1 {
                names.reverse();
            }
            let text = |n: usize| format!("group {group} text {n}");
            let mut rows: Vec<_> = (0..4).map(|n| chunk("t", &text(n), &names[n..n + 8])).collect();
            if group % 4 > 1 {
                rows.reverse();
            }
            rows
        })
        .collect();
    for round in 0..ROUNDS / 2 {
        // A group is written in one round and removed in the next, four of them against the other four.
        let writes = |group: usize| (group as u64 / 4 + round).is_multiple_of(2);
        let at_work = groups.iter().enumerate().map(|(n, rows)| {
            let sink = &sinks[n % 2];
            let task = if writes(n) { write(sink, rows, round + 2) } else { remove(sink, rows, round + 2) };
            (n, task)
        });
        for (n, done) in at_work.collect::<Vec<_>>() {
            // The first round removes what never was.
            let expected = if round == 0 && !writes(n) { 0 } else { 4 };
            assert_eq!(done.await.unwrap(), expected, "round {round}, group {n}");
        }
        if round % 10 == 9 || round + 1 == ROUNDS / 2 {
            let held: Vec<_> = (0..8).filter(|n| writes(*n)).flat_map(|n| &groups[n]).collect();
            whole(&database, &sinks[0], &held).await;
        }
    }
}

/// An audit while chunks go: what is found and then removed is not taken for damage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_meets_removals() {
    let (server, _turn) = shared().await;
    let ([first, second], database) = two(server).await;
    let rows: Vec<_> = (0..100).map(|n| chunk("t", &format!("text {n}"), &NAMES[..2])).collect();
    let chunks: Vec<_> = rows.iter().map(|row| row.chunk).collect();
    let ended = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (ended, chunks) = (ended.clone(), chunks.clone());
        async move {
            let mut looks = 0;
            while !ended.load(Ordering::Relaxed) {
                assert!(second.list(None, 1_000).await.unwrap().len() <= chunks.len());
                second.look_up(&chunks).await.unwrap();
                looks += 1;
            }
            looks
        }
    });
    for round in 0..ROUNDS / 20 {
        first.write(&rows, Epoch(round + 1)).await.unwrap();
        assert_eq!(first.remove(&chunks, Epoch(round + 2)).await.unwrap(), rows.len());
    }
    ended.store(true, Ordering::Relaxed);
    assert!(reader.await.unwrap() > 1);
    whole(&database, &first, &[]).await;
}
