//! Two connections at the same row at the same time, a thousand times each.

use std::sync::Arc;
use std::time::Duration;

use docmill_core::id::{ChunkId, Epoch};
use docmill_core::manifest::Store;
use docmill_tests::contract::{Backend, registration, rows, spec, tenant, worker};
use docmill_tests::services::postgres::{client, count, shared};
use docmill_worker::ledger::{Claim, Ledger, Registered};
use docmill_worker::postgres::tokio_postgres::Client;
use docmill_worker::postgres::{Database, GraphSink, Options, PostgresLedger, TextSink};
use docmill_worker::sink::{ChunkRow, Sink};

const TIMES: usize = 1_000;

async fn two_ledgers(options: &Options) -> [Arc<PostgresLedger>; 2] {
    let first = Database::open(options).await.unwrap();
    let second = Database::connect(options).await.unwrap();
    [first, second].map(|database| Arc::new(PostgresLedger::new(database, 0)))
}

/// Of two that claim a document at once, one gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_has_one_owner() {
    let options = shared().fresh();
    let ledgers = two_ledgers(&options).await;
    ledgers[0].begin_index(&tenant(), &spec(1)).await.unwrap();
    for name in ["a", "b"] {
        ledgers[0].heartbeat(&worker(name), 600_000).await.unwrap();
    }
    let registrations = (0..TIMES).map(|n| registration(&format!("u{n}"), "A")).collect();
    let registered = ledgers[0].register(registrations).await.unwrap();
    let mut epochs = std::collections::BTreeSet::new();
    for registered in registered {
        let Registered::New(message) = registered else { panic!("each is new") };
        let claims = ["a", "b"].into_iter().zip(&ledgers).map(|(name, ledger)| {
            let ledger = ledger.clone();
            tokio::spawn(async move { ledger.claim(&message, &worker(name)).await.unwrap() })
        });
        let mut granted = 0;
        for claim in claims.collect::<Vec<_>>() {
            if let Claim::Granted(grant) = claim.await.unwrap() {
                granted += 1;
                assert!(epochs.insert(grant.epoch), "an epoch was given twice");
            }
        }
        assert_eq!(granted, 1);
    }
    assert_eq!(epochs.len(), TIMES);
    assert!(ledgers[0].unsettled(9).await.unwrap().is_empty());
}

/// The same sources registered from two connections at once are one document each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_is_born_once() {
    let options = shared().fresh();
    let ledgers = two_ledgers(&options).await;
    for round in 0..50 {
        let batch = |reverse: bool| {
            let mut batch: Vec<_> = (0..20).map(|n| registration(&format!("{round}/{n}"), "A")).collect();
            if reverse {
                batch.reverse();
            }
            batch
        };
        let [first, second] = [(0, false), (1, true)].map(|(n, reverse)| {
            let (ledger, batch) = (ledgers[n].clone(), batch(reverse));
            tokio::spawn(async move { ledger.register(batch).await.unwrap() })
        });
        let told = [first.await.unwrap(), second.await.unwrap()].concat();
        let new = told.iter().filter(|told| matches!(told, Registered::New(_))).count();
        assert_eq!(new, 20);
    }
    let admin = client(&options).await.unwrap();
    assert_eq!(count(&admin, "documents").await, 50 * 20);
    assert_eq!(count(&admin, "sources").await, 50 * 20);
}

/// A batch may name a source twice: the later one counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_taken_in_order() {
    let [ledger, _] = two_ledgers(&shared().fresh()).await;
    let batch = ["A", "B", "B", "A"].map(|content| registration("u", content)).to_vec();
    let told = ledger.register(batch).await.unwrap();
    let Registered::New(first) = told[0] else { panic!("new") };
    let Registered::Changed(second) = told[1] else { panic!("changed") };
    let Registered::Unchanged(document, _) = told[2] else { panic!("unchanged") };
    let Registered::Changed(last) = told[3] else { panic!("changed") };
    assert_eq!([first.document, second.document, last.document], [document; 3]);
    assert_eq!([first.generation.0, second.generation.0, last.generation.0], [1, 2, 3]);
    assert_eq!(ledger.unsettled(9).await.unwrap(), [last]);
}

/// Two connections to a store, and a third that holds a row so that both meet behind it.
struct Crossing {
    write: Arc<dyn Sink>,
    remove: Arc<dyn Sink>,
    holder: Client,
    admin: Client,
    chunks: [Arc<ChunkRow>; 2],
}

impl Crossing {
    async fn of(store: Store) -> Self {
        let options = shared().fresh();
        let first = Database::open(&options).await.unwrap();
        let second = Database::connect(&options).await.unwrap();
        let ledger = PostgresLedger::new(first.clone(), 0);
        ledger.begin_index(&tenant(), &spec(1)).await.unwrap();
        ledger.heartbeat(&worker("a"), 600_000).await.unwrap();
        let told = ledger.register(vec![registration("u", "A")]).await.unwrap();
        let Registered::New(message) = told[0] else { panic!("new") };
        let Claim::Granted(grant) = ledger.claim(&message, &worker("a")).await.unwrap() else {
            panic!("granted")
        };
        let mut chunks = rows(&grant, spec(1).id(), &["x", "y"]).0;
        // Both mention the one concept there is.
        chunks[1] = Arc::new(ChunkRow { mentions: chunks[0].mentions.clone(), ..(*chunks[1]).clone() });
        let sink = |database: Database| -> Arc<dyn Sink> {
            match store {
                Store::Graph => Arc::new(GraphSink::new(database)),
                _ => Arc::new(TextSink::new(database)),
            }
        };
        let chunks = [chunks[0].clone(), chunks[1].clone()];
        let (holder, admin) = (client(&options).await.unwrap(), client(&options).await.unwrap());
        Self { write: sink(first), remove: sink(second), holder, admin, chunks }
    }

    /// Runs both at once; every other time behind a lock on what the statement selects, so that both
    /// wait between lock and write and are let go together.
    async fn cross(
        &self,
        round: usize,
        hold: &str,
        first: impl Future<Output = usize> + Send + 'static,
        second: impl Future<Output = usize> + Send + 'static,
    ) -> (usize, usize) {
        let pause = Duration::from_micros((round as u64 * 37) % 1_500);
        let held = round.is_multiple_of(2);
        if held {
            self.holder.batch_execute(&format!("BEGIN; SELECT 1 FROM {hold} FOR UPDATE")).await.unwrap();
        }
        let first = tokio::spawn(first);
        tokio::time::sleep(pause).await;
        let second = tokio::spawn(second);
        if held {
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.holder.batch_execute("COMMIT").await.unwrap();
        }
        (first.await.unwrap(), second.await.unwrap())
    }
}

fn write(sink: &Arc<dyn Sink>, row: &Arc<ChunkRow>, epoch: u64) -> impl Future<Output = usize> + use<> {
    let (sink, rows) = (sink.clone(), vec![row.clone()]);
    async move { sink.write(&rows, Epoch(epoch)).await.unwrap() }
}

fn remove(sink: &Arc<dyn Sink>, chunk: ChunkId, below: u64) -> impl Future<Output = usize> + use<> {
    let sink = sink.clone();
    async move { sink.remove(&[chunk], Epoch(below)).await.unwrap() }
}

/// A clean-up and a claim of the same chunk: the chunk is there afterwards, with the claim's epoch.
async fn the_same_chunk(store: Store) {
    let crossing = Crossing::of(store).await;
    let chunk = crossing.chunks[0].chunk;
    let table = if store == Store::Graph { "evidence" } else { "chunks" };
    let (mut lost, mut removed_in_all) = (0, 0);
    crossing.write.write(&crossing.chunks[..1], Epoch(1)).await.unwrap();
    for round in 0..TIMES {
        let mine = round as u64 + 2;
        let claim = write(&crossing.write, &crossing.chunks[0], mine);
        let clean_up = remove(&crossing.remove, chunk, mine);
        let (held, removed) = if round % 4 < 2 {
            crossing.cross(round, table, claim, clean_up).await
        } else {
            let (removed, held) = crossing.cross(round, table, clean_up, claim).await;
            (held, removed)
        };
        assert_eq!(held, 1);
        removed_in_all += removed;
        let now = crossing.write.look_up(&[chunk]).await.unwrap()[0];
        lost += usize::from(now.is_none_or(|row| row.epoch != Epoch(mine)));
        if store == Store::Graph {
            assert_eq!(count(&crossing.admin, "mentions").await, 1, "round {round}");
        }
    }
    assert_eq!(lost, 0);
    assert_eq!(crossing.write.loose_ends().await.unwrap(), 0);
    // Both orders came about, else this showed nothing.
    assert!((1..TIMES).contains(&removed_in_all), "{removed_in_all} removals");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_and_clean_up_of_a_text() {
    the_same_chunk(Store::Text).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_and_clean_up_of_an_evidence() {
    the_same_chunk(Store::Graph).await;
}

/// A concept's last evidence goes while other evidence for it comes: the concept is there afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_and_clean_up_of_a_concept() {
    let crossing = Crossing::of(Store::Graph).await;
    let [x, y] = [crossing.chunks[0].chunk, crossing.chunks[1].chunk];
    crossing.write.write(&crossing.chunks[1..], Epoch(1)).await.unwrap();
    for round in 0..TIMES {
        let mine = round as u64 + 2;
        let (comes, goes) = if round % 2 == 0 { (0, y) } else { (1, x) };
        let claim = write(&crossing.write, &crossing.chunks[comes], mine);
        let clean_up = remove(&crossing.remove, goes, mine);
        let (held, removed) = if round % 4 < 2 {
            crossing.cross(round / 2, "concepts", claim, clean_up).await
        } else {
            let (removed, held) = crossing.cross(round / 2, "concepts", clean_up, claim).await;
            (held, removed)
        };
        assert_eq!((held, removed), (1, 1));
        assert_eq!(count(&crossing.admin, "concepts").await, 1, "round {round}");
        assert_eq!(count(&crossing.admin, "mentions").await, 1, "round {round}");
    }
    assert_eq!(crossing.write.loose_ends().await.unwrap(), 0);
}

/// The last two evidences of a concept go at once: it goes with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clean_ups_of_a_concept() {
    let crossing = Crossing::of(Store::Graph).await;
    for round in 0..TIMES {
        let mine = round as u64 + 1;
        crossing.write.write(&crossing.chunks, Epoch(mine)).await.unwrap();
        let first = remove(&crossing.write, crossing.chunks[0].chunk, mine + 1);
        let second = remove(&crossing.remove, crossing.chunks[1].chunk, mine + 1);
        assert_eq!(crossing.cross(round, "concepts", first, second).await, (1, 1));
        assert_eq!(count(&crossing.admin, "concepts").await, 0, "round {round}");
    }
}

/// A switch of the index and commits that were prepared for the old one: no document goes missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_meets_commits() {
    for _ in 0..40 {
        let backend: Backend = docmill_tests::services::postgres::backend().await;
        backend.set_up().await;
        let message = backend.news("u", "A").await;
        let grant = backend.grant(&message, "a").await;
        backend.ledger.begin_index(&tenant(), &spec(2)).await.unwrap();
        let (ledger, to) = (backend.ledger.clone(), spec(2).id());
        let switch = tokio::spawn(async move { ledger.switch_index(&tenant(), to).await.unwrap() });
        let ledger = backend.ledger.clone();
        let manifest = rows(&grant, spec(1).id(), &["x"]).1;
        let commit = tokio::spawn(async move {
            ledger.commit(&grant, vec![manifest], Default::default(), 0).await.unwrap()
        });
        let (lacking, commit) = (switch.await.unwrap(), commit.await.unwrap());
        match commit {
            docmill_worker::ledger::Commit::Committed { .. } => assert_eq!(lacking, 1),
            docmill_worker::ledger::Commit::Fenced => {
                assert_eq!(lacking, 0);
                assert_eq!(backend.ledger.unsettled(9).await.unwrap(), [message]);
            }
        }
    }
}

/// A session that the server ends in the middle of a transaction, as it does where a client stands still, is no
/// failure of what it was for: nothing of it was asked to be durable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_ended_in_the_middle_is_done_again() {
    let options = shared().fresh();
    let ledger = Arc::new(PostgresLedger::new(Database::open(&options).await.unwrap(), 0));
    let registered = ledger.register(vec![registration("u", "A")]).await.unwrap();
    let [Registered::New(message)] = registered[..] else { panic!("{registered:?}") };
    let mut holder = client(&options).await.unwrap();
    let held = holder.transaction().await.unwrap();
    held.execute("SELECT 1 FROM documents FOR UPDATE", &[]).await.unwrap();
    let deleting = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.delete(message.document).await }
    });
    let admin = client(&options).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
               AND $1::int = ANY(pg_blocking_pids(pid))";
    let holds: i32 = held.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let mut ended = 0;
    while ended < 3 && !deleting.is_finished() {
        ended += admin.execute(end, &[&holds]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    held.rollback().await.unwrap();
    assert!(deleting.await.unwrap().unwrap().is_some());
}
