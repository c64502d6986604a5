//! What stands in the graph after writes of all kinds.

use std::sync::Arc;

use docmill_core::id::Epoch;
use docmill_tests::services::neo4j::{count, shared, told};
use docmill_worker::neo4j::bolt::{list, map};
use docmill_worker::neo4j::{Database, GraphSink};
use docmill_worker::sink::{ChunkRow, MentionRow, Sink};

use super::chunk;

const ODD: &[&str] = &[
    "it's",
    "\"quoted\"",
    "back\\slash",
    "`tick` {a: 1}",
    "$rows",
    "données 日本語 \u{1f600}",
    "nul\0in it",
    "line\nfeed",
    " ",
    "a\u{301}",
    "\u{e1}",
];

/// Equal names of two tenants are two concepts; odd names are kept as they are; batches of any size are
/// written; a name mentioned twice is one mention; what a chunk does not mention is no reason to lack it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_is_in_the_graph() {
    let (server, _turn) = shared().await;
    let database = Database::open(&server.options()).await.unwrap();
    let sink = GraphSink::new(database.clone());
    tenants_stay_apart(&database, &sink).await;
    odd_names_are_kept(&database, &sink).await;
    large_writes_are_whole(&database, &sink).await;
    an_index_serves(&database).await;
}

async fn tenants_stay_apart(database: &Database, sink: &GraphSink) {
    let rows = [chunk("a", "x", &["same", "own"]), chunk("b", "x", &["same"]), chunk("b", "none", &[])];
    assert_eq!(sink.write(&rows, Epoch(1)).await.unwrap(), 3);
    let concepts = "MATCH (k:CanonicalConcept) RETURN k.tenant_id, k.canonical_name ORDER BY k.tenant_id, k.canonical_name";
    assert_eq!(told(database, concepts).await, [["a", "own"], ["a", "same"], ["b", "same"]]);
    let crossed = "(c:Chunk)-[:MENTIONS]->(k) WHERE c.tenant_id <> k.tenant_id";
    assert_eq!(count(database, crossed).await, 0);
    assert_eq!(sink.remove(&[rows[0].chunk], Epoch(2)).await.unwrap(), 1);
    assert_eq!(told(database, concepts).await, [["b", "same"]]);
    let chunks = rows.map(|row| row.chunk);
    assert_eq!(sink.remove(&chunks, Epoch(2)).await.unwrap(), 2);
    assert_eq!((count(database, "(:Chunk)").await, count(database, "(:CanonicalConcept)").await), (0, 0));
}

async fn odd_names_are_kept(database: &Database, sink: &GraphSink) {
    let row = chunk("odd", "odd", ODD);
    for epoch in [1, 2] {
        sink.write(std::slice::from_ref(&row), Epoch(epoch)).await.unwrap();
        let mut kept = told(database, "MATCH (k:CanonicalConcept) RETURN k.canonical_name").await.concat();
        kept.sort();
        let mut odd = ODD.to_vec();
        odd.sort_unstable();
        assert_eq!(kept, odd);
    }
    assert_eq!(sink.loose_ends().await.unwrap(), 0);
    sink.remove(&[row.chunk], Epoch(3)).await.unwrap();
    assert_eq!(count(database, "(:CanonicalConcept)").await, 0);
}

async fn large_writes_are_whole(database: &Database, sink: &GraphSink) {
    let names: Vec<String> = (0..16).map(|n| format!("name {n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut rows: Vec<Arc<ChunkRow>> = Vec::new();
    for n in 0..1_001 {
        let own = format!("own {n}");
        rows.push(chunk("big", &format!("text {n}"), &[&[own.as_str()], &names[..n % 16]].concat()));
    }
    // One name twice in one chunk is one mention, with the last count.
    let twice = [1, 7].map(|count| MentionRow {
        canonical_name: "twice".into(),
        display: "Twice".into(),
        kind: "name",
        count,
    });
    rows[0] = Arc::new(ChunkRow { mentions: twice.into(), ..(*rows[0]).clone() });
    // A row twice in a call is one row, and counted as often as it was given.
    rows.push(rows[5].clone());
    assert_eq!(sink.write(&rows, Epoch(4)).await.unwrap(), 1_002);
    assert_eq!(count(database, "(:Chunk)").await, 1_001);
    let mentions: usize = (1..1_001).map(|n| 1 + n % 16).sum::<usize>() + 1;
    assert_eq!(count(database, "()-[:MENTIONS]->()").await, mentions as i64);
    let twice = "MATCH ()-[m:MENTIONS]->(k {canonical_name: 'twice'}) RETURN m.count, k.display, k.kind";
    assert_eq!(told(database, twice).await, [["7", "Twice", "name"]]);
    let chunks: Vec<_> = rows.iter().map(|row| row.chunk).collect();
    let held = sink.look_up(&chunks).await.unwrap();
    assert!(held.iter().all(|held| held.is_some_and(|held| held.epoch == Epoch(4))));
    assert_eq!(sink.list(None, 5_000).await.unwrap().len(), 1_001);
    for n in 0..1_234 {
        if n % 617 == 0 {
            let loose = map([("names", list((0..617).map(|m| format!("loose {n} {m}"))))]);
            let create =
                "UNWIND $names AS n CREATE (:CanonicalConcept {tenant_id: 'big', canonical_name: n})";
            database.run(create, loose).await.unwrap();
        }
    }
    assert_eq!(sink.loose_ends().await.unwrap(), 1_234);
    assert_eq!(sink.remove_loose_ends().await.unwrap(), 1_234);
    assert_eq!(sink.remove(&chunks, Epoch(5)).await.unwrap(), 1_001);
    assert_eq!(count(database, "(n) WHERE NOT n:DocmillSchema").await, 0);
    assert_eq!(sink.write(&[], Epoch(1)).await.unwrap(), 0);
    assert_eq!(sink.remove(&[], Epoch(1)).await.unwrap(), 0);
}

/// Merging goes by the constraints' indexes, not by looking at all nodes.
async fn an_index_serves(database: &Database) {
    let made =
        "SHOW INDEXES YIELD name, state WHERE name STARTS WITH 'docmill' RETURN name, state ORDER BY name";
    let names = ["docmill_chunk", "docmill_concept", "docmill_concept_tenant", "docmill_schema"];
    assert_eq!(told(database, made).await, names.map(|name| [name, "ONLINE"]));
}
