//! `docmill-worker run` as a pod runs it: real processes on a real Redis and PostgreSQL, ended and killed.

// Helpers of tests panic as tests do.
#![allow(clippy::unwrap_used, clippy::large_futures)]

#[path = "service/pipeline.rs"]
mod pipeline;

use std::time::{Duration, Instant};

use docmill_core::manifest::Store;
use docmill_tests::contract::objects::{content, hash, key};
use docmill_tests::services::neo4j::{Neo4jServer, count, told};
use docmill_tests::services::redis::{RedisServer, Setup};
use docmill_tests::services::s3::S3Server;
use docmill_tests::services::worker::Worker;
use docmill_worker::neo4j;
use docmill_worker::objects::{Objects, ObjectsOptions};
use pipeline::{Pipeline, Settings};
use rustix::process::Signal;

/// Longer than any test: what is done within it was not waited for.
const LONG_LEASE_MS: u64 = 300_000;
/// The shortest that is allowed.
const SHORT_LEASE_MS: u64 = 1_500;
const DOCUMENTS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_commit_each_document_once() {
    let pipeline = Pipeline::start().await;
    pipeline.register(&pipeline.write_files(DOCUMENTS, 4_000)).await;
    let settings = Settings::default();
    let [mut one, mut two] = [pipeline.worker(&settings), pipeline.worker(&settings)];
    one.wait_ready();
    assert_eq!(one.get("/healthz").0, 200);
    pipeline.wait_committed(DOCUMENTS).await;
    pipeline.verify_clean().await;
    assert_eq!(pipeline.commits().await, DOCUMENTS as i64);
    let metrics = |worker: &Worker| {
        let (status, text) = worker.get("/metrics");
        assert_eq!(status, 200);
        let line = "docmill_documents_total{outcome=\"committed\"} ";
        text.lines().find_map(|at| at.strip_prefix(line)).map_or(0, |count| count.parse::<usize>().unwrap())
    };
    assert_eq!(metrics(&one) + metrics(&two), DOCUMENTS);
    for worker in [&mut one, &mut two] {
        worker.signal(Signal::TERM);
        assert_eq!(worker.wait(Duration::from_secs(10)).code(), Some(0));
    }
    assert_eq!(pipeline.live_workers().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_asked_to_end_hands_back_at_once() {
    let pipeline = Pipeline::start().await;
    pipeline.register(&pipeline.write_files(DOCUMENTS, 60_000)).await;
    let settings = Settings { lease_ms: LONG_LEASE_MS, grace_ms: 0, ..Settings::default() };
    let mut one = pipeline.worker(&settings);
    pipeline.wait_committed(3).await;
    one.signal(Signal::TERM);
    let asked = Instant::now();
    assert_eq!(one.wait(Duration::from_secs(5)).code(), Some(0));
    println!("ended within {:?}", asked.elapsed());
    let done = pipeline.committed().await;
    assert!(done < DOCUMENTS, "it ended too late to say anything");
    assert_eq!((pipeline.in_flight().await, pipeline.live_workers().await), (0, 0));
    assert_eq!(pipeline.starts().await, 0, "what was handed back counts as not begun");
    let _two = pipeline.worker(&settings);
    pipeline.wait_committed(DOCUMENTS).await;
    pipeline.verify_clean().await;
    assert_eq!(pipeline.commits().await, DOCUMENTS as i64);
}

/// Contents of a document that were handed in one after the other come to a worker together: the newest is not put
/// off for as long as a lease because the others are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contents_that_come_together_do_not_wait_for_each_other() {
    let pipeline = Pipeline::start().await;
    for bytes in [1_000, 2_000, 3_000] {
        pipeline.register(&pipeline.write_files(DOCUMENTS, bytes)).await;
    }
    let _worker = pipeline.worker(&Settings { lease_ms: LONG_LEASE_MS, ..Settings::default() });
    pipeline.wait_committed(DOCUMENTS).await;
    pipeline.verify_clean().await;
    assert_eq!(pipeline.commits().await, DOCUMENTS as i64, "the newest content alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_costs_its_lease_and_nothing_else() {
    let pipeline = Pipeline::start().await;
    pipeline.register(&pipeline.write_files(DOCUMENTS, 60_000)).await;
    let settings = Settings { lease_ms: SHORT_LEASE_MS, ..Settings::default() };
    let [one, _two] = [pipeline.worker(&settings), pipeline.worker(&settings)];
    pipeline.wait_committed(5).await;
    // Dropped is killed.
    drop(one);
    let done = pipeline.committed().await;
    assert!(done < DOCUMENTS, "it was killed too late to say anything");
    pipeline.wait_committed(DOCUMENTS).await;
    pipeline.verify_clean().await;
    assert_eq!(pipeline.commits().await, DOCUMENTS as i64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_lost_its_queue_goes_on_when_it_is_back() {
    let pipeline = Pipeline::start().await;
    let worker = pipeline.worker(&Settings { lease_ms: SHORT_LEASE_MS, ..Settings::default() });
    worker.wait_ready();
    pipeline.redis.kill();
    // It stays ready: of pods that are to go those go first that are not, and it may be at a document.
    for _ in 0..20 {
        assert_eq!((worker.get("/healthz").0, worker.get("/readyz").0), (200, 200));
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    pipeline.redis.start_again();
    pipeline.redis.empty();
    // Not enqueued: the upkeep finds it in the ledger.
    pipeline.register_only(&pipeline.write_files(3, 1_000)).await;
    pipeline.wait_committed(3).await;
    worker.wait_ready();
    pipeline.verify_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vector_index_is_built_when_asked() {
    let pipeline = Pipeline::start().await;
    let ask = || pipeline.told(&["vector-index", "--json"]);
    let built = |told: &serde_json::Value| told["indexes"][0]["built"].as_bool().unwrap();
    assert!(!built(&ask()), "there are no vectors yet");
    pipeline.register(&pipeline.write_files(4, 4_000)).await;
    let _worker = pipeline.worker(&Settings::default());
    pipeline.wait_committed(4).await;
    assert!(built(&ask()));
    assert!(!built(&ask()), "it is there");
    assert_eq!(pipeline.vector_indexes().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_model_answered_outlives_the_ledger_it_was_paid_for() {
    let rights = "~extraction:* +get +set".to_owned();
    let cache = RedisServer::start(&Setup { tcp: true, rights, ..Setup::default() });
    let settings = Settings { cache: Some(cache.port), ..Settings::default() };
    let metric = |worker: &Worker, name: &str| {
        let text = worker.get("/metrics").1;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
        line.parse::<u64>().unwrap()
    };
    let mut texts = 0;
    for ledger in 0..2 {
        // A ledger of its own, with the same tenant and the same texts.
        let pipeline = Pipeline::start().await;
        pipeline.register(&pipeline.write_files(6, 4_000)).await;
        let worker = pipeline.worker(&settings);
        pipeline.wait_committed(6).await;
        pipeline.verify_clean().await;
        let asked = metric(&worker, "docmill_texts_embedded_total");
        let had = metric(&worker, "docmill_cache_hits_total");
        match ledger {
            0 => {
                assert!(asked > 0 && had == 0, "{asked} asked, {had} had");
                texts = asked;
            }
            _ => assert_eq!((asked, had), (0, texts)),
        }
    }
    // Without it, documents are worked on all the same.
    cache.kill();
    let pipeline = Pipeline::start().await;
    pipeline.register(&pipeline.write_files(6, 4_000)).await;
    let worker = pipeline.worker(&settings);
    pipeline.wait_committed(6).await;
    assert_eq!(metric(&worker, "docmill_texts_embedded_total"), texts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_fetched_and_files_outside_of_the_root_are_not() {
    let server = S3Server::start();
    let bucket = server.fresh();
    let objects = Objects::open(&ObjectsOptions::S3(bucket.clone())).unwrap();
    let pipeline = Pipeline::start().await;
    let text = b"A letter about barometers, kept in a bucket.".to_vec();
    objects.put(&key("in/letter.txt"), content(&text), 1_000).await.unwrap();
    let uri = |name: &str| format!("s3://{}/{name}", bucket.bucket);
    let secret = b"Nobody may read this through a worker.".to_vec();
    let outside = pipeline.outside_file(&secret);
    let sources = [
        (uri("in/letter.txt"), hash(&text), text.len()),
        (uri("in/none.txt"), hash(b"gone"), 4),
        (outside, hash(&secret), secret.len()),
    ];
    pipeline.register(&sources).await;
    let worker = pipeline.worker(&Settings { bucket: Some(bucket.clone()), ..Settings::default() });
    pipeline.wait_committed(1).await;
    assert_eq!(pipeline.wait_failures(2).await, ["unreadable", "vanished"]);
    // Another content under the same name is the next generation, whoever finds it.
    let other = b"A second letter, about hygrometers this time.".to_vec();
    objects.put(&key("in/letter.txt"), content(&other), 1_000).await.unwrap();
    pipeline.register(&[(uri("in/letter.txt"), hash(&other), other.len())]).await;
    pipeline.wait_text("hygrometers").await;
    pipeline.verify_clean().await;
    drop(worker);
}

/// Kills of the graph's server while workers write to it.
const GRAPH_KILLS: usize = 2;

/// Concepts and their evidence are in Neo4j and nowhere else, once, whoever was killed meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graph_in_neo4j_survives_kills_of_its_server_and_of_its_writers() {
    let server = Neo4jServer::start(false);
    let pipeline = Pipeline::start_with_neo4j(&server).await;
    pipeline.register(&pipeline.write_files(DOCUMENTS, 20_000)).await;
    let settings = Settings { lease_ms: SHORT_LEASE_MS, ..Settings::default() };
    let [one, two] = [pipeline.worker(&settings), pipeline.worker(&settings)];
    pipeline.wait_committed(3).await;
    drop(one);
    for _ in 0..GRAPH_KILLS {
        let before = pipeline.committed().await;
        server.kill();
        assert_eq!(two.get("/healthz").0, 200, "a store that is away does not end a worker");
        let late = pipeline.worker(&settings);
        late.wait_status("/healthz", 200);
        assert_eq!(late.get("/readyz").0, 503, "it waits for what is away when it starts");
        server.start_again();
        late.wait_ready();
        pipeline.wait_committed((before + 3).min(DOCUMENTS)).await;
    }
    let _three = pipeline.worker(&settings);
    drop(two);
    pipeline.wait_committed(DOCUMENTS).await;
    pipeline.verify_clean().await;
    assert_eq!(pipeline.commits().await, DOCUMENTS as i64);
    assert_eq!(pipeline.evidence_beside_the_ledger().await, 0);
    let graph = neo4j::Database::connect(&server.options()).await.unwrap();
    let chunks = count(&graph, "(:Chunk)").await;
    assert_eq!(chunks, pipeline.entries_of(Store::Graph).await);
    assert!(chunks > DOCUMENTS as i64, "{chunks}");
    assert!(count(&graph, "(:CanonicalConcept)").await > 0);
    for (what, twice) in [
        ("chunks", "MATCH (c:Chunk) WITH c.id AS id, count(*) AS n WHERE n > 1 RETURN id"),
        (
            "concepts",
            "MATCH (k:CanonicalConcept) WITH k.tenant_id AS tenant, k.canonical_name AS name, count(*) AS n \
             WHERE n > 1 RETURN name",
        ),
        (
            "mentions",
            "MATCH (c:Chunk)-[m:MENTIONS]->(k) WITH c, k, count(m) AS n WHERE n > 1 RETURN k.canonical_name",
        ),
    ] {
        assert_eq!(told(&graph, twice).await, Vec::<Vec<String>>::new(), "{what} that are there twice");
    }
    let bare = "MATCH (c:Chunk) WHERE NOT (c)-[:MENTIONS]->() RETURN c.id";
    assert_eq!(told(&graph, bare).await, Vec::<Vec<String>>::new(), "evidence of nothing");
}

/// Somebody else has the lock of the upkeep and stands still: what a dead worker had does not wait for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_of_a_dead_worker_do_not_wait_for_an_upkeep_that_stands_still() {
    let pipeline = Pipeline::start().await;
    let upkeep = pipeline.hold_the_upkeep().await;
    pipeline.register(&pipeline.write_files(DOCUMENTS, 60_000)).await;
    let settings = Settings { lease_ms: SHORT_LEASE_MS, ..Settings::default() };
    let [one, _two] = [pipeline.worker(&settings), pipeline.worker(&settings)];
    pipeline.wait_committed(5).await;
    drop(one);
    assert!(pipeline.committed().await < DOCUMENTS, "it was killed too late to say anything");
    pipeline.wait_committed(DOCUMENTS).await;
    drop(upkeep);
    pipeline.verify_clean().await;
}
