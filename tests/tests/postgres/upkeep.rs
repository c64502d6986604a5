//! What the ledger offers beside its trait: upkeep, and giving back at the end of a process.

use std::sync::Arc;

use docmill_core::id::TextHash;
use docmill_core::manifest::Store;
use docmill_core::source::FileStat;
use docmill_tests::contract::{registration, rows, spec, tenant, worker};
use docmill_tests::services::postgres::{client, count, shared};
use docmill_worker::clock::SystemClock;
use docmill_worker::ledger::{
    Claim, Commit, Grant, Ledger, Move, Registered, Registration, Start, Summary,
};
use docmill_worker::postgres::{Database, GraphSink, Options, PostgresLedger, TextSink, VectorSink};
use docmill_worker::queue::memory::MemoryQueue;
use docmill_worker::sink::Sink;

async fn ledger(options: &Options) -> PostgresLedger {
    let ledger = PostgresLedger::new(Database::open(options).await.unwrap(), 0);
    ledger.begin_index(&tenant(), &spec(1)).await.unwrap();
    ledger.heartbeat(&worker("a"), 600_000).await.unwrap();
    ledger
}

async fn grant(ledger: &PostgresLedger, uri: &str) -> Grant {
    let told = ledger.register(vec![registration(uri, "A")]).await.unwrap();
    let Registered::New(message) = told[0] else { panic!("new") };
    match ledger.claim(&message, &worker("a")).await.unwrap() {
        Claim::Granted(grant) => *grant,
        Claim::Refused(why) => panic!("{why:?}"),
    }
}

/// Of old derived values those go whose text no manifest names; young ones stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_values_that_nothing_needs_go() {
    let options = shared().fresh();
    let ledger = ledger(&options).await;
    let grant = grant(&ledger, "u").await;
    let manifest = rows(&grant, spec(1).id(), &["named"]).1;
    let done = ledger.commit(&grant, vec![manifest], Summary::default(), 0).await.unwrap();
    assert!(matches!(done, Commit::Committed { .. }));
    let texts = ["named", "not named", "young"].map(|text| TextHash::of(text.as_bytes()));
    let values = texts.iter().map(|text| (*text, vec![1])).collect();
    ledger.keep_derived(&tenant(), "s", values).await.unwrap();
    assert_eq!(ledger.sweep_derived().await.unwrap(), 0);
    let admin = client(&options).await.unwrap();
    let age = "UPDATE derived SET kept_at_ms = kept_at_ms - 25 * 3600 * 1000 WHERE text_hash <> $1";
    admin.execute(age, &[&&texts[2].0[..]]).await.unwrap();
    assert_eq!(ledger.sweep_derived().await.unwrap(), 1);
    let kept = ledger.derived(&tenant(), "s", &texts).await.unwrap();
    assert_eq!(kept.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
}

/// A process that is told to stop gives all back, and its starts were none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_gives_all_back() {
    let options = shared().fresh();
    let ledger = ledger(&options).await;
    let first = grant(&ledger, "u").await;
    let second = grant(&ledger, "v").await;
    assert_eq!(ledger.start(&first).await.unwrap(), Start::Go);
    assert_eq!(ledger.hand_back_all(&worker("a")).await.unwrap(), 2);
    assert_eq!(ledger.hand_back_all(&worker("a")).await.unwrap(), 0);
    assert_eq!(ledger.start(&second).await.unwrap(), Start::Fenced);
    let waiting = ledger.unsettled(9).await.unwrap();
    assert_eq!(waiting.len(), 2);
    let Claim::Granted(again) = ledger.claim(&waiting[0], &worker("a")).await.unwrap() else {
        panic!("granted")
    };
    assert_eq!((again.document, again.history.starts), (first.document, 0));
}

/// A moved document stays itself; what is put where it was is another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_document_stays_itself() {
    let options = shared().fresh();
    let ledger = ledger(&options).await;
    let stat = FileStat { dev: u64::MAX, inode: 7, bytes: 1, mtime_ns: 2, ctime_ns: 3 };
    let seen = |uri: &str, content: &str| Registration { stat: Some(stat), ..registration(uri, content) };
    let Registered::New(moving) = ledger.register(vec![seen("old", "A")]).await.unwrap()[0] else {
        panic!("new")
    };
    let to = |from: &str, to: &str| Move {
        from: from.to_owned(),
        to: to.to_owned(),
        stat,
        scanned_at_ns: 1,
        root: None,
    };
    assert!(ledger.move_sources(&tenant(), &[to("old", "new")]).await.unwrap().is_empty());
    let told = ledger.register(vec![seen("new", "A"), seen("old", "B")]).await.unwrap();
    let Registered::Unchanged(document, _) = told[0] else { panic!("it moved") };
    assert_eq!(document, moving.document);
    let Registered::New(other) = told[1] else { panic!("another was born") };
    assert_ne!(other.document, moving.document);
    let waiting = ledger.unsettled(9).await.unwrap();
    let Claim::Granted(grant) = ledger.claim(&waiting[0], &worker("a")).await.unwrap() else {
        panic!("granted")
    };
    assert_eq!((grant.document, grant.uri.as_str()), (document, "new"));
    // What is not there any more cannot move, and nothing of the batch took effect.
    let moves = [to("new", "newer"), to("nowhere", "x")];
    assert!(ledger.move_sources(&tenant(), &moves).await.is_err());
    assert!(matches!(ledger.register(vec![seen("new", "A")]).await.unwrap()[0], Registered::Unchanged(..)));
}

/// Documents are done again for another index while a tenant brings new ones without end, and only so many at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_documents_do_not_keep_an_index_from_being_built() {
    let options = shared().fresh();
    let ledger = ledger(&options).await;
    let database = Database::open(&options).await.unwrap();
    let mut committed = Vec::new();
    for uri in ["a", "b", "c"] {
        let grant = grant(&ledger, uri).await;
        let manifest = rows(&grant, spec(1).id(), &[uri]).1;
        ledger.commit(&grant, vec![manifest], Summary::default(), 0).await.unwrap();
        committed.push(grant.document);
    }
    committed.sort();
    ledger.begin_index(&tenant(), &spec(2)).await.unwrap();
    for uri in ["new", "newer"] {
        ledger.register(vec![registration(uri, uri)]).await.unwrap();
    }
    let lacking =
        async |limit, again_max| database.lacking(&tenant(), spec(2).id(), limit, again_max).await.unwrap();
    assert_eq!(lacking(9, 1).await, Some(committed.clone()));
    assert_eq!(lacking(2, 1).await, Some(committed[..2].to_vec()));
    ledger.requeue(committed[0]).await.unwrap();
    assert_eq!(lacking(9, 1).await, None, "one is on its way again");
    assert_eq!(lacking(9, 2).await, Some(committed[1..].to_vec()));
}

/// A store that lost its rows is filled while a tenant brings new documents without end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_documents_do_not_keep_a_store_from_being_filled() {
    let options = shared().fresh();
    let ledger = ledger(&options).await;
    let database = Database::open(&options).await.unwrap();
    let grant = grant(&ledger, "old").await;
    let manifest = rows(&grant, spec(1).id(), &["never written"]).1;
    ledger.commit(&grant, vec![manifest], Summary::default(), 0).await.unwrap();
    let new: Vec<_> = (0..1_100).map(|n| registration(&format!("new {n}"), "B")).collect();
    ledger.register(new).await.unwrap();
    database.begin_fill(&tenant(), Store::Text).await.unwrap();
    let queue = MemoryQueue::new(Arc::new(SystemClock), 60_000);
    let sink = TextSink::new(database.clone());
    let look = async || {
        let going = database.fills_going().await.unwrap().remove(0);
        docmill_worker::fill::look(&database, &ledger, &queue, &sink, going).await.unwrap();
        database.fills(&tenant()).await.unwrap().0.remove(0)
    };
    assert_eq!((look().await.again, database.done_again(&tenant()).await.unwrap()), (1, 1));
    // On its way already.
    assert_eq!((look().await.again, database.done_again(&tenant()).await.unwrap()), (1, 1));
}

/// Tables of stores that somebody dropped are made again by whoever meets their absence, and are filled by
/// the same writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_tables_of_stores_are_made_again() {
    let options = shared().fresh();
    let ledger = ledger(&options).await;
    let grant = grant(&ledger, "u").await;
    let (rows, _) = rows(&grant, spec(1).id(), &["one", "two"]);
    let chunks: Vec<_> = rows.iter().map(|row| row.chunk).collect();
    let database = Database::open(&options).await.unwrap();
    let sinks: [Box<dyn Sink>; 3] = [
        Box::new(TextSink::new(database.clone())),
        Box::new(VectorSink::new(database.clone())),
        Box::new(GraphSink::new(database)),
    ];
    let admin = client(&options).await.unwrap();
    for (sink, dropped) in
        sinks.iter().zip(["chunks", "vectors CASCADE", "mentions, evidence, concepts CASCADE"])
    {
        let store = sink.store();
        assert_eq!(sink.write(&rows, grant.epoch).await.unwrap(), 2, "{store:?}");
        for look_first in [true, false] {
            admin.batch_execute(&format!("DROP TABLE {dropped}")).await.unwrap();
            if look_first {
                let held = sink.look_up(&chunks).await.unwrap();
                assert!(held.iter().all(Option::is_none), "{store:?}");
            }
            assert_eq!(sink.write(&rows, grant.epoch).await.unwrap(), 2, "{store:?}");
            assert_eq!(sink.list(None, 9).await.unwrap().len(), 2, "{store:?}");
        }
    }
    assert_eq!(count(&admin, "pg_indexes WHERE indexname IN ('chunk_terms', 'mentions_of_concept') AND schemaname = current_schema()").await, 2);
}

/// Documents are told by the recipe that found their category, whatever their titles say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_classified_by_other_rules_is_known() {
    let options = shared().fresh();
    let database = Database::open(&options).await.unwrap();
    let ledger = ledger(&options).await;
    let forged = Some("\"classifier\":\"new\"".to_owned());
    let mut documents = Vec::new();
    for (uri, title, recipe) in [("u", forged, None), ("v", None, Some("old")), ("w", None, Some("new"))] {
        let grant = grant(&ledger, uri).await;
        let manifest = rows(&grant, spec(1).id(), &["text"]).1;
        let summary = Summary { title, classifier: recipe.map(str::to_owned), ..Summary::default() };
        ledger.commit(&grant, vec![manifest], summary, 0).await.unwrap();
        documents.push(grant.document);
    }
    let otherwise = async |recipe: Option<&str>| {
        let looked = database.classified_otherwise(recipe, None).await.unwrap();
        assert_eq!(looked.last, None, "all were looked at");
        let mut found = looked.found;
        found.sort();
        found
    };
    let sorted = |mut some: Vec<_>| {
        some.sort();
        some
    };
    assert_eq!(otherwise(Some("new")).await, sorted(vec![documents[0], documents[1]]));
    assert_eq!(otherwise(None).await, sorted(vec![documents[1], documents[2]]));
    let first = sorted(vec![documents[0], documents[1]])[0];
    let after = database.classified_otherwise(Some("new"), Some(first)).await.unwrap();
    assert_eq!(after.found.len(), 1, "what was looked at is not looked at again");
    // What is on its way again is not asked for twice.
    ledger.requeue(documents[1]).await.unwrap();
    assert_eq!(otherwise(Some("new")).await, [documents[0]]);
}
