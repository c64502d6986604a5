//! What a search will ask of the stores: terms under the full-text index, neighbours under the vector index.

use std::collections::HashSet;
use std::sync::Arc;

use docmill_core::id::{Epoch, TenantId};
use docmill_tests::contract::{Backend, rows, spec};
use docmill_tests::services::postgres::{backend, client, count, shared};
use docmill_worker::ledger::{Grant, Ledger};
use docmill_worker::postgres::{
    Database, Hnsw, PostgresLedger, Terms, TextSink, VectorSink, build_hnsw, to_tsquery, vector_table,
};
use docmill_worker::sink::{ChunkRow, Sink};
use docmill_worker::upkeep::{VectorIndexes, Worth};

async fn grant() -> Grant {
    let backend: Backend = backend().await;
    backend.set_up().await;
    let message = backend.news("u", "A").await;
    backend.grant(&message, "a").await
}

/// Terms are found as they were segmented: bigrams, numbers with a point, quotes; texts come back whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terms_are_found_as_they_were_segmented() {
    let options = shared().fresh();
    let database = Database::open(&options).await.unwrap();
    let sink = TextSink::new(database);
    let grant = grant().await;
    let with = |text: &str, terms: &str| {
        let row = rows(&grant, spec(1).id(), &[text]).0.remove(0);
        Arc::new(ChunkRow { text: text.into(), terms: terms.into(), ..(*row).clone() })
    };
    let written = [
        with("東京都", "東京 京都 都"),
        with("京都", "京都 都"),
        with("pi is 3.14", "pi is 3.14"),
        with("it's a\\b\0c", "it's a\\b c"),
    ];
    assert_eq!(sink.write(&written, Epoch(1)).await.unwrap(), 4);
    let admin = client(&options).await.unwrap();
    let found = async |terms: &str, together: Terms| -> Vec<String> {
        let query = to_tsquery(terms, together).unwrap();
        let sql = "SELECT text FROM chunks WHERE terms @@ $1::text::tsquery
                   ORDER BY ts_rank(terms, $1::text::tsquery) DESC, text";
        admin.query(sql, &[&query]).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    assert_eq!(found("東京 京都", Terms::All).await, ["東京都"]);
    assert_eq!(found("京都 都", Terms::All).await.len(), 2);
    assert_eq!(found("3.14", Terms::All).await, ["pi is 3.14"]);
    assert!(found("14", Terms::Any).await.is_empty());
    // NUL, which the server does not take, is a space: offsets stay.
    assert_eq!(found("it's a\\b", Terms::All).await, ["it's a\\b c"]);
    assert_eq!(found("東京 pi", Terms::Any).await.len(), 2);
    admin.batch_execute("SET enable_seqscan = off").await.unwrap();
    let plan =
        admin.query("EXPLAIN SELECT 1 FROM chunks WHERE terms @@ '''pi'''::tsquery", &[]).await.unwrap();
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    assert!(plan.iter().any(|line| line.contains("chunk_terms")), "{plan:?}");
}

/// A wide document goes in batches, its index is built once and used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_are_found_under_the_index() {
    const ROWS: usize = 1_000;
    let options = shared().fresh();
    let database = Database::open(&options).await.unwrap();
    let sink = VectorSink::new(database.clone());
    let index = spec(1).id();
    assert!(!build_hnsw(&database, index, Hnsw::default()).await.unwrap(), "there are no vectors yet");
    let grant = grant().await;
    let texts: Vec<String> = (0..ROWS).map(|n| n.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let written: Vec<_> = rows(&grant, index, &texts)
        .0
        .into_iter()
        .enumerate()
        .map(|(n, row)| {
            let angle = n as f32 / ROWS as f32 * std::f32::consts::PI;
            let embedding = Some(Arc::new(vec![angle.cos(), angle.sin()].into()));
            Arc::new(ChunkRow { embedding, ..(*row).clone() })
        })
        .collect();
    assert_eq!(sink.write(&written, Epoch(1)).await.unwrap(), ROWS);
    assert!(build_hnsw(&database, index, Hnsw { memory_mib: 64, ..Hnsw::default() }).await.unwrap());
    assert!(!build_hnsw(&database, index, Hnsw::default()).await.unwrap(), "there is one already");
    let admin = client(&options).await.unwrap();
    let table = vector_table(index);
    let nearest = format!("SELECT chunk::text FROM {table} ORDER BY value <=> '[-1,0.0001]' LIMIT 3");
    // A thousand rows are as well scanned; whether the index can serve the query is the question.
    admin.batch_execute("SET enable_seqscan = off").await.unwrap();
    let plan: Vec<String> = admin
        .query(&format!("EXPLAIN {nearest}"), &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(plan.iter().any(|line| line.contains("_hnsw")), "{plan:?}");
    let found: Vec<String> =
        admin.query(&nearest, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(found[0], written[ROWS - 1].chunk.to_string());
    // Raising epochs writes the rows, not the index.
    assert_eq!(sink.write(&written, Epoch(2)).await.unwrap(), ROWS);
    let raised = format!("{table} WHERE epoch = 2");
    assert_eq!(count(&admin, &raised).await, ROWS as i64);
    let chunks: Vec<_> = written.iter().map(|row| row.chunk).collect();
    assert_eq!(sink.remove(&chunks[..10], Epoch(3)).await.unwrap(), 10);
    assert_eq!(count(&admin, "vectors").await, ROWS as i64 - 10);
}

/// The upkeep builds it by itself, once there are many vectors and no more come, or once there are too many to wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vector_index_comes_by_itself() {
    let options = shared().fresh();
    let database = Database::open(&options).await.unwrap();
    let ledger = PostgresLedger::new(database.clone(), 0);
    for index in [1, 2] {
        ledger.begin_index(&TenantId::default(), &spec(index)).await.unwrap();
    }
    let (grant, sink) = (grant().await, VectorSink::new(database.clone()));
    let mut looks = VectorIndexes::new(database, Worth { settled: 5, growing: 12 });
    let write = async |spec_of: u32, count: usize| {
        let texts: Vec<String> = (0..count).map(|n| format!("text {n}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        sink.write(&rows(&grant, spec(spec_of).id(), &texts).0, Epoch(1)).await.unwrap();
    };
    let mut built = async || {
        let looked = looks.look().await.unwrap();
        assert!(looked.failed.is_none(), "{looked:?}");
        looked.built
    };
    assert_eq!(built().await, [], "there are no vectors yet");
    write(1, 4).await;
    assert_eq!(built().await, []);
    assert_eq!(built().await, [], "no more came, but they are few");
    write(1, 8).await;
    assert_eq!(built().await, [], "more may come");
    write(2, 12).await;
    let both: HashSet<_> = [1, 2].map(|of| spec(of).id()).into();
    let found: HashSet<_> = built().await.into_iter().collect();
    assert_eq!(found, both, "no more came here; there they are many");
    write(1, 20).await;
    assert_eq!(built().await, [], "each has its own");
}

/// Vectors of two indexes lie in two tables; audits see both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_index_has_its_dimensions() {
    let options = shared().fresh();
    let sink = VectorSink::new(Database::open(&options).await.unwrap());
    let grant = grant().await;
    let narrow = rows(&grant, spec(1).id(), &["x", "y"]).0;
    let wide: Vec<_> = rows(&grant, spec(2).id(), &["x", "y"])
        .0
        .iter()
        .map(|row| {
            Arc::new(ChunkRow { embedding: Some(Arc::new(vec![0.0; 2_500].into())), ..(**row).clone() })
        })
        .collect();
    let both = [narrow.clone(), wide.clone()].concat();
    assert_eq!(sink.write(&both, Epoch(1)).await.unwrap(), 4);
    assert_eq!(sink.list(None, 9).await.unwrap().len(), 4);
    let mixed = Arc::new(ChunkRow {
        embedding: wide[0].embedding.clone(),
        ..(*rows(&grant, spec(1).id(), &["z"]).0[0]).clone()
    });
    assert!(sink.write(&[mixed], Epoch(1)).await.is_err(), "another width is another index");
    let database = Database::connect(&options).await.unwrap();
    assert!(build_hnsw(&database, spec(2).id(), Hnsw { memory_mib: 64, ..Hnsw::default() }).await.unwrap());
    assert_eq!(sink.remove(&[narrow[0].chunk, wide[0].chunk], Epoch(2)).await.unwrap(), 2);
    assert_eq!(sink.list(None, 9).await.unwrap().len(), 2);
}
