//! What an API asks of the books, and every back end must answer alike.

use std::sync::Arc;

use docmill_core::delivery::State;
use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::{ContentHash, DocumentId, TenantId};
use docmill_core::lane::Lane;
use docmill_worker::desk::{
    Admission, Admitted, Change, Content, Desk, DocumentFilter, LetterFilter, NewKey,
};
use docmill_worker::ledger::Failed;
use docmill_worker::queue::Message;
use docmill_worker::sqlite::uuid::Uuid;

use super::{Backend, spec, tenant, worker};

/// A back end with what an API asks of it.
pub struct Books {
    /// What is asked.
    pub desk: Arc<dyn Desk>,
    /// The ledger and stores that it is asked of.
    pub backend: Backend,
}

fn other() -> TenantId {
    TenantId::new("other").unwrap()
}

fn batch(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn upload(uri: &str, content: &str, object: &str) -> Admission {
    Admission {
        tenant: tenant(),
        uri: uri.to_owned(),
        content: Content::Uploaded { hash: ContentHash::of(content.as_bytes()), object: object.to_owned() },
        bytes: content.len() as u64,
        batch: None,
    }
}

/// What became of one document.
struct One {
    document: DocumentId,
    generation: u64,
    state: State,
    change: Change,
    object: Option<String>,
    message: Option<Message>,
}

impl Books {
    async fn admit(&self, admission: Admission) -> Option<One> {
        let admitted = self.desk.admit(&[admission]).await.unwrap();
        match admitted.into_iter().next().unwrap() {
            Admitted::Document { document, generation, state, change, object, message } => {
                let generation = generation.0;
                Some(One { document, generation, state, change, object, message })
            }
            Admitted::NoBatch => None,
        }
    }

    /// Takes in a document that is news.
    async fn news(&self, uri: &str, content: &str, batch: Option<Uuid>) -> Message {
        let object = format!("uploads/default/{uri}/{content}");
        let admission = Admission { batch, ..upload(uri, content, &object) };
        self.admit(admission).await.unwrap().message.unwrap()
    }

    /// Has it fail for good.
    async fn dead_letter(&self, message: &Message) {
        let grant = self.backend.grant(message, "a").await;
        let failure = Failure::new(FailureCode::NoText, "nothing");
        assert_eq!(self.backend.ledger.fail(&grant, failure, 0.0).await.unwrap(), Failed::DeadLettered);
    }

    async fn uris(&self, filter: DocumentFilter) -> Vec<String> {
        let filter = DocumentFilter { limit: 100, ..filter };
        let rows = self.desk.documents(&tenant(), &filter).await.unwrap();
        rows.into_iter().map(|row| row.uri).collect()
    }
}

/// New, the same, other content: the change, the generation and the message say so.
pub async fn an_admission_tells_what_it_changed(books: Books) {
    books.backend.set_up().await;
    let first = books.admit(upload("u", "A", "one")).await.unwrap();
    assert_eq!((first.change, first.generation, first.state), (Change::New, 1, State::Queued));
    assert_eq!(first.message.unwrap().document, first.document);
    let same = books.admit(upload("u", "A", "two")).await.unwrap();
    assert_eq!((same.change, same.generation, same.message), (Change::Unchanged, 1, None));
    let next = books.admit(upload("u", "B", "three")).await.unwrap();
    assert_eq!((next.change, next.generation, next.document), (Change::Changed, 2, first.document));
    // Two of one request, and one of another tenant: each is told for itself.
    let theirs = Admission { tenant: other(), ..upload("u", "A", "four") };
    let many = [upload("v", "A", "five"), upload("v", "A", "six"), theirs];
    let changes: Vec<Change> = books
        .desk
        .admit(&many)
        .await
        .unwrap()
        .into_iter()
        .map(|admitted| match admitted {
            Admitted::Document { change, .. } => change,
            Admitted::NoBatch => panic!("no batch was named"),
        })
        .collect();
    assert_eq!(changes, [Change::New, Change::Unchanged, Change::New]);
}

/// A worker may be reading it; it is replaced only where it is gone.
pub async fn the_first_object_of_a_content_stays(books: Books) {
    let (desk, content) = (&books.desk, ContentHash::of(b"A"));
    for (uri, object) in [("u", "one"), ("v", "two")] {
        let admitted = books.admit(upload(uri, "A", object)).await.unwrap();
        assert_eq!(admitted.object.as_deref(), Some("one"));
    }
    assert_eq!(desk.object_of(&tenant(), content).await.unwrap().as_deref(), Some("one"));
    assert_eq!(desk.object_of(&other(), content).await.unwrap(), None);
    assert!(!desk.replace_object(&tenant(), content, "two", "three").await.unwrap());
    assert!(desk.replace_object(&tenant(), content, "one", "three").await.unwrap());
    assert_eq!(desk.object_of(&tenant(), content).await.unwrap().as_deref(), Some("three"));
    let asked = ["one", "three"].map(str::to_owned);
    assert_eq!(desk.unknown_objects(&asked).await.unwrap(), ["one"]);
}

/// What a document has stays; what none has is doomed, and forgotten once it is removed.
pub async fn objects_go_when_no_document_has_their_content(books: Books) {
    books.backend.set_up().await;
    let desk = &books.desk;
    books.admit(upload("u", "A", "one")).await.unwrap();
    books.backend.time.pass(20).await;
    assert!(desk.doomed_objects(10, 9).await.unwrap().is_empty());
    books.admit(upload("u", "B", "two")).await.unwrap();
    books.backend.time.pass(20).await;
    assert_eq!(desk.doomed_objects(10, 9).await.unwrap(), ["one"]);
    // Who brings the content again is not given what is being removed.
    let again = books.admit(upload("v", "A", "three")).await.unwrap();
    assert_eq!(again.object.as_deref(), Some("three"));
    assert_eq!(desk.forget_objects(&["one".to_owned(), "two".to_owned()]).await.unwrap(), 0);
    assert!(desk.doomed_objects(0, 9).await.unwrap().is_empty());
}

/// From the first document to the last.
pub async fn a_batch_counts_its_documents(books: Books) {
    books.backend.set_up().await;
    let desk = &books.desk;
    for id in [batch(1), batch(2)] {
        desk.create_batch(id, &tenant(), Some("name")).await.unwrap();
        desk.create_batch(id, &tenant(), Some("another")).await.unwrap();
    }
    let first = books.news("u", "A", Some(batch(1))).await;
    let second = books.news("v", "A", Some(batch(1))).await;
    books.news("w", "A", Some(batch(1))).await;
    books.backend.settle(&first, &["text"]).await;
    books.dead_letter(&second).await;
    let row = desk.batch(&tenant(), batch(1)).await.unwrap().unwrap();
    assert_eq!((row.total, row.queued, row.committed, row.failed), (3, 1, 1, 1));
    assert_eq!((row.name.as_deref(), row.settled_lately), (Some("name"), 2));
    books.news("u", "B", None).await;
    let row = desk.batch(&tenant(), batch(1)).await.unwrap().unwrap();
    assert_eq!((row.superseded, row.committed), (1, 0));
    let rows = desk.batches(&tenant(), None, 1).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [batch(2)]);
    let rows = desk.batches(&tenant(), Some(rows[0].arrived), 9).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [batch(1)]);
    assert!(desk.batch(&other(), batch(1)).await.unwrap().is_none());
    assert!(desk.batches(&other(), None, 9).await.unwrap().is_empty());
    let theirs = Admission { tenant: other(), batch: Some(batch(1)), ..upload("u", "A", "one") };
    assert!(books.admit(theirs).await.is_none());
    let nowhere = Admission { batch: Some(batch(9)), ..upload("x", "A", "two") };
    assert!(books.admit(nowhere).await.is_none());
}

/// What waits is never begun, who works on one finds its claim gone; what another batch wants too goes on, and
/// another submission takes it back.
pub async fn a_cancelled_batch_ends_what_nobody_else_wants(books: Books) {
    books.backend.set_up().await;
    let desk = &books.desk;
    for id in [batch(1), batch(2)] {
        desk.create_batch(id, &tenant(), None).await.unwrap();
    }
    let waiting = books.news("u", "A", Some(batch(1))).await;
    let working = books.news("v", "A", Some(batch(1))).await;
    let shared = books.news("w", "A", Some(batch(1))).await;
    books.admit(Admission { batch: Some(batch(2)), ..upload("w", "A", "x") }).await.unwrap();
    let grant = books.backend.grant(&working, "a").await;
    assert_eq!(desk.cancel_batch(&other(), batch(1)).await.unwrap(), None);
    assert_eq!(desk.cancel_batch(&tenant(), batch(1)).await.unwrap(), Some(2));
    assert_eq!(desk.cancel_batch(&tenant(), batch(1)).await.unwrap(), Some(0));
    assert!(!books.backend.ledger.hand_back(&grant).await.unwrap());
    assert_eq!(books.backend.ledger.unsettled(9).await.unwrap(), [shared]);
    let row = desk.batch(&tenant(), batch(1)).await.unwrap().unwrap();
    assert_eq!((row.cancelled, row.queued, row.cancelled_at_ms.is_some()), (2, 1, true));
    let more = Admission { batch: Some(batch(1)), ..upload("x", "A", "y") };
    assert!(books.admit(more).await.is_none());
    let again = books.admit(upload("u", "A", "z")).await.unwrap();
    assert_eq!((again.change, again.document), (Change::Changed, waiting.document));
}

/// Newest first, page by page, by state, batch and place; deleted ones only when they are asked for by name.
pub async fn lists_show_a_tenants_own(books: Books) {
    books.backend.set_up().await;
    let desk = &books.desk;
    desk.create_batch(batch(1), &tenant(), None).await.unwrap();
    let first = books.news("u", "A", None).await;
    books.news("v", "A", Some(batch(1))).await;
    books.admit(Admission { tenant: other(), ..upload("t", "A", "o") }).await.unwrap();
    books.backend.settle(&first, &["text"]).await;
    assert_eq!(books.uris(DocumentFilter::default()).await, ["v", "u"]);
    let state = |state: &str| DocumentFilter { state: Some(state.to_owned()), ..Default::default() };
    assert_eq!(books.uris(state("committed")).await, ["u"]);
    assert_eq!(books.uris(state("cancelled")).await, [""; 0]);
    assert_eq!(books.uris(DocumentFilter { batch: Some(batch(1)), ..Default::default() }).await, ["v"]);
    let uri = Some("u".to_owned());
    assert_eq!(books.uris(DocumentFilter { uri, ..Default::default() }).await, ["u"]);
    let newest = DocumentFilter { limit: 1, ..Default::default() };
    let newest = desk.documents(&tenant(), &newest).await.unwrap();
    let before = Some(newest[0].arrived);
    assert_eq!(books.uris(DocumentFilter { before, ..Default::default() }).await, ["u"]);

    let row = desk.document(&tenant(), first.document).await.unwrap().unwrap();
    assert_eq!((row.state.as_str(), row.generation, row.deleted), ("committed", 1, false));
    assert!(row.committed_at_ms.is_some() && row.summary.is_some());
    assert!(desk.document(&other(), first.document).await.unwrap().is_none());
    assert!(desk.delete_document(&other(), first.document).await.unwrap().is_none());
    assert!(desk.delete_document(&tenant(), first.document).await.unwrap().is_some());
    assert!(desk.delete_document(&tenant(), first.document).await.unwrap().is_none());
    assert!(desk.document(&tenant(), first.document).await.unwrap().unwrap().deleted);
    assert_eq!(books.uris(DocumentFilter::default()).await, ["v"]);
}

/// By code, by name, the first to fail first; a page ends where the next begins.
pub async fn dead_letters_are_replayed_once(books: Books) {
    books.backend.set_up().await;
    let desk = &books.desk;
    let mut documents = Vec::new();
    for uri in ["u", "v", "w"] {
        let message = books.news(uri, "A", None).await;
        books.dead_letter(&message).await;
        documents.push(message.document);
        books.backend.time.pass(2).await;
    }
    let all = LetterFilter::default();
    let none = LetterFilter { code: Some("encrypted".to_owned()), ..all.clone() };
    let no_text = LetterFilter { code: Some("no_text".to_owned()), ..all.clone() };
    assert_eq!(desk.count_letters(&tenant(), &all).await.unwrap(), 3);
    assert_eq!(desk.count_letters(&tenant(), &none).await.unwrap(), 0);
    assert_eq!(desk.count_letters(&other(), &all).await.unwrap(), 0);
    let page = desk.dead_letters(&tenant(), &no_text, None, 2).await.unwrap();
    assert_eq!(page.iter().map(|row| row.uri.as_str()).collect::<Vec<_>>(), ["w", "v"]);
    let last = page.last().unwrap();
    let before = Some((last.failed_at_ms.unwrap(), last.id));
    let rest = desk.dead_letters(&tenant(), &no_text, before, 2).await.unwrap();
    assert_eq!(rest.iter().map(|row| row.id).collect::<Vec<_>>(), [documents[0]]);
    let until = LetterFilter { until_ms: rest[0].failed_at_ms, ..all.clone() };
    assert_eq!(desk.count_letters(&tenant(), &until).await.unwrap(), 1);

    let named = LetterFilter { documents: Some(vec![documents[2]]), ..all.clone() };
    assert!(desk.replay(&other(), &named, 9).await.unwrap().is_empty());
    let replayed = |messages: Vec<Message>| -> Vec<DocumentId> {
        messages.into_iter().map(|message| message.document).collect()
    };
    assert_eq!(replayed(desk.replay(&tenant(), &named, 9).await.unwrap()), [documents[2]]);
    assert_eq!(replayed(desk.replay(&tenant(), &all, 1).await.unwrap()), [documents[0]]);
    assert_eq!(replayed(desk.replay(&tenant(), &all, 9).await.unwrap()), [documents[1]]);
    assert!(desk.replay(&tenant(), &all, 9).await.unwrap().is_empty());

    // What was cancelled is no dead letter, unless it is asked for.
    desk.create_batch(batch(1), &tenant(), None).await.unwrap();
    let cancelled = books.news("x", "A", Some(batch(1))).await;
    desk.cancel_batch(&tenant(), batch(1)).await.unwrap();
    assert_eq!(desk.count_letters(&tenant(), &all).await.unwrap(), 0);
    let named = LetterFilter { documents: Some(vec![cancelled.document]), ..all };
    assert_eq!(desk.count_letters(&tenant(), &named).await.unwrap(), 1);
}

/// By lane, with the age of the oldest, and by tenant.
pub async fn lanes_count_what_is_unsettled(books: Books) {
    books.backend.set_up().await;
    let small = books.news("u", "A", None).await;
    let failed = books.news("v", "A", None).await;
    let large = Admission { tenant: other(), bytes: 5_000_000, ..upload("w", "A", "o") };
    let large = books.admit(large).await.unwrap().message.unwrap();
    assert_eq!((small.lane, large.lane), (Lane::Small, Lane::Large));
    books.backend.grant(&small, "a").await;
    books.dead_letter(&failed).await;
    let [small, large] = books.desk.lane_counts().await.unwrap();
    assert_eq!((small.queued, small.processing, small.dead), (0, 1, 1));
    assert_eq!((large.queued, large.processing, large.dead), (1, 0, 0));
    assert!(small.oldest_ms.is_some() && large.oldest_ms.is_some());
    let unsettled = books.desk.unsettled_by_tenant().await.unwrap();
    assert_eq!(
        unsettled.into_iter().collect::<Vec<_>>(),
        [("default".to_owned(), 1), ("other".to_owned(), 1)]
    );
}

/// A second one under the same key is given what is kept.
pub async fn the_first_answer_stays(books: Books) {
    let desk = &books.desk;
    assert!(desk.answer(&tenant(), [1; 32]).await.unwrap().is_none());
    for text in ["first", "second"] {
        let kept = desk.keep_answer(&tenant(), [1; 32], [2; 32], text).await.unwrap();
        assert_eq!(kept, (vec![2; 32], "first".to_owned()));
    }
    assert!(desk.answer(&tenant(), [1; 32]).await.unwrap().is_some());
    assert!(desk.answer(&other(), [1; 32]).await.unwrap().is_none());
    assert_eq!(desk.forget_answers().await.unwrap(), 0);
}

/// It adds up over a day and a tenant.
pub async fn usage_is_a_days(books: Books) {
    let desk = &books.desk;
    for spread in 0..3 {
        desk.add_usage(&tenant(), 20_000, 5, spread).await.unwrap();
    }
    assert_eq!(desk.usage(&tenant(), 20_000).await.unwrap(), 15);
    assert_eq!(desk.usage(&tenant(), 20_001).await.unwrap(), 0);
    assert_eq!(desk.usage(&other(), 20_000).await.unwrap(), 0);
}

/// Until it is revoked, or its time is over.
pub async fn keys_are_good_until_they_are_not(books: Books) {
    let desk = &books.desk;
    assert!(!desk.has_keys().await.unwrap());
    let of = other();
    let made = async |id: &'static str, hash: u8, lasts_ms: Option<u64>| {
        let key = NewKey {
            id,
            secret_hash: [hash; 32],
            label: "mine",
            tenant: &of,
            scopes: &["read", "write"],
            lasts_ms,
        };
        desk.create_key(&key).await.unwrap()
    };
    let one = made("one", 1, None).await;
    made("two", 2, Some(50)).await;
    assert!(desk.has_keys().await.unwrap());
    assert_eq!(desk.valid_key([1; 32]).await.unwrap(), Some(one.clone()));
    assert_eq!((one.tenant, one.scopes), (other(), vec!["read".to_owned(), "write".to_owned()]));
    assert!(desk.valid_key([9; 32]).await.unwrap().is_none());
    books.backend.time.pass(100).await;
    assert!(desk.valid_key([2; 32]).await.unwrap().is_none());
    assert!(desk.revoke_key("one").await.unwrap());
    assert!(!desk.revoke_key("three").await.unwrap());
    assert!(desk.valid_key([1; 32]).await.unwrap().is_none());
    // Revoking the last must not open the API.
    assert!(desk.has_keys().await.unwrap());
    assert_eq!(desk.keys().await.unwrap().len(), 2);
}

/// Whose answers may be others from now on.
pub async fn commits_are_told_with_their_tenants(books: Books) {
    books.backend.set_up().await;
    let desk = &books.desk;
    let (before, _) = desk.commits().await.unwrap();
    let nothing = desk.commits_since(before).await.unwrap();
    assert_eq!((nothing.newest, nothing.tenants.len(), nothing.all), (before, 0, false));
    let first = books.news("u", "A", None).await;
    books.backend.settle(&first, &["text"]).await;
    books.backend.time.pass(2).await;
    let second = books.news("v", "A", None).await;
    books.backend.settle(&second, &["other text"]).await;
    let since = desk.commits_since(before).await.unwrap();
    assert_eq!((since.newest, since.all), (desk.commits().await.unwrap().0, false));
    assert_eq!(since.tenants, [tenant()]);
    assert_eq!(since.newest, before + 2);
    if let Some(changes) = desk.changes() {
        assert_eq!(*changes.borrow(), since.newest);
    }
    let shown = desk.lately(None, 1).await.unwrap();
    assert_eq!(shown.iter().map(|row| row.uri.as_str()).collect::<Vec<_>>(), ["v"]);
    assert_eq!(desk.lately(Some(&tenant()), 9).await.unwrap().len(), 2);
    assert!(desk.lately(Some(&other()), 9).await.unwrap().is_empty());
    assert_eq!(desk.tenants().await.unwrap(), [tenant()]);

    // Another index is another answer to everything.
    books.backend.ledger.begin_index(&tenant(), &spec(2)).await.unwrap();
    for message in [first, second] {
        let message = books.backend.ledger.requeue(message.document).await.unwrap().unwrap();
        books.backend.settle(&message, &["text"]).await;
    }
    let newest = desk.commits_since(since.newest).await.unwrap().newest;
    assert_eq!(books.backend.ledger.switch_index(&tenant(), spec(2).id()).await.unwrap(), 0);
    assert!(desk.commits_since(newest).await.unwrap().all);
    let rows = desk.indexes(&tenant()).await.unwrap();
    assert_eq!(
        rows.iter().map(|row| (row.spec.id(), row.documents)).collect::<Vec<_>>(),
        [(spec(2).id(), 2)]
    );
}

/// Who works on what; what waits is not shown.
pub async fn what_is_in_work_is_shown(books: Books) {
    books.backend.set_up().await;
    let message = books.news("u", "A", None).await;
    books.news("v", "A", None).await;
    assert!(books.desk.in_work(9).await.unwrap().is_empty());
    let grant = books.backend.grant(&message, "a").await;
    for name in ["a", "b"] {
        books.backend.beat(name).await;
    }
    // Durable, so that whoever reads beside the writer sees the claim.
    books.backend.ledger.start(&grant).await.unwrap();
    let (live, _) = books.desk.live_workers().await.unwrap();
    assert_eq!(live.iter().map(|live| live.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let at_work = books.desk.in_work(9).await.unwrap();
    let [one] = &at_work[..] else { panic!("one is in work: {}", at_work.len()) };
    assert_eq!((one.owner.as_str(), one.document, one.uri.as_str()), ("a", message.document, "u"));
    assert_eq!((&one.tenant, one.starts, one.bytes), (&tenant(), 1, 1));
    books.backend.ledger.retire_worker(&worker("b")).await.unwrap();
    books.news("w", "A", None).await;
    let (live, _) = books.desk.live_workers().await.unwrap();
    assert!(live.iter().all(|live| live.name != "b"));
}

/// Oldest first, with the texts, however it is cut into pages.
pub async fn an_export_goes_on_where_it_ended(books: Books) {
    books.backend.set_up().await;
    for (uri, text) in [("u", "one"), ("v", "two"), ("w", "three")] {
        let message = books.news(uri, "A", None).await;
        let grant = books.backend.grant(&message, "a").await;
        let index = spec(1).id();
        let (rows, _) = super::rows(&grant, index, &[text]);
        for sink in books.backend.sinks.values() {
            sink.write(&rows, grant.epoch).await.unwrap();
        }
        books.backend.commit(&grant, &[text], 0).await;
    }
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let (rows, more) = books.desk.export(&tenant(), after, 2, 1 << 20).await.unwrap();
        after = rows.last().map(|row| row.arrived);
        found.extend(rows.into_iter().map(|row| (row.uri, row.chunks[0].text.clone())));
        if !more {
            break;
        }
    }
    let expected = [("u", "one"), ("v", "two"), ("w", "three")];
    assert_eq!(found, expected.map(|(uri, text)| (uri.to_owned(), text.to_owned())));
    assert!(books.desk.export(&other(), None, 9, 1 << 20).await.unwrap().0.is_empty());
}

/// One row a name.
pub async fn what_was_told_last_is_told(books: Books) {
    let desk = &books.desk;
    assert!(desk.told("scaling").await.unwrap().is_none());
    desk.tell("scaling", "{\"n\":1}").await.unwrap();
    desk.tell("scaling", "{\"n\":2}").await.unwrap();
    desk.ping().await.unwrap();
    // What may be lost with the power is seen by readers a moment later.
    books.backend.set_up().await;
    books.news("u", "A", None).await;
    let (value, _) = desk.told("scaling").await.unwrap().unwrap();
    assert_eq!(value, "{\"n\":2}");
}
