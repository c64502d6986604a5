//! What every ledger does with documents: registration, claims, commits, removals, indexes.

use docmill_core::delivery::{ClaimDecision, State};
use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::{ChunkId, Generation, TextHash};
use docmill_core::index::IndexState;
use docmill_worker::ledger::{Claim, Commit, CommittedManifest, Failed, Grant, Registered, Summary};
use docmill_worker::queue::Message;

use super::{Backend, LEASE_MS, rows, spec, tenant, worker};

fn chunks(grant: &Grant, texts: &[&str]) -> Vec<ChunkId> {
    let mut chunks: Vec<_> = rows(grant, spec(1).id(), texts).1.entries.iter().map(|e| e.chunk).collect();
    chunks.sort_unstable();
    chunks
}

fn seq(commit: &Commit) -> u64 {
    match commit {
        Commit::Committed { seq } => seq.0,
        Commit::Fenced => panic!("the commit was fenced"),
    }
}

async fn refused(backend: &Backend, message: &Message, name: &str) -> ClaimDecision {
    match backend.ledger.claim(message, &worker(name)).await.unwrap() {
        Claim::Refused(why) => why,
        Claim::Granted(_) => panic!("the claim was granted"),
    }
}

/// New, unchanged, changed, and back to the first content: another generation each time it changes.
pub async fn registration_tells_news(backend: Backend) {
    backend.set_up().await;
    let Registered::New(first) = backend.register("u", "A").await else { panic!("new") };
    assert_eq!(first.generation, Generation(1));
    assert_eq!(backend.register("u", "A").await, Registered::Unchanged(first.document, State::Queued));
    for (generation, content) in [(2, "B"), (3, "A")] {
        let Registered::Changed(message) = backend.register("u", content).await else { panic!("changed") };
        assert_eq!((message.document, message.generation), (first.document, Generation(generation)));
        backend.settle(&message, &[content]).await;
    }
    assert_eq!(refused(&backend, &first, "a").await, ClaimDecision::NothingToDo);
    let shown = backend.ledger.manifests(None, 9).await.unwrap();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].manifest.generation, Generation(3));
}

/// A live owner keeps its claim, a dead one loses it, and what it does later is fenced.
pub async fn a_dead_owners_claim_is_taken_over(backend: Backend) {
    backend.set_up().await;
    let message = backend.news("u", "A").await;
    let zombie = backend.grant(&message, "a").await;
    assert_eq!(refused(&backend, &message, "b").await, ClaimDecision::HeldByLiveWorker);
    backend.time.pass(LEASE_MS).await;
    backend.beat("b").await;
    assert_eq!(backend.ledger.unsettled(9).await.unwrap(), [message]);
    let heir = backend.grant(&message, "b").await;
    assert!(heir.epoch > zombie.epoch);
    assert_eq!(backend.commit(&zombie, &["x"], 0).await, Commit::Fenced);
    assert!(!backend.ledger.hand_back(&zombie).await.unwrap());
    assert!(backend.ledger.unsettled(9).await.unwrap().is_empty());
    assert_eq!(seq(&backend.commit(&heir, &["x"], 0).await), 1);
    assert_eq!(backend.commit(&heir, &["x"], 0).await, Commit::Fenced);
}

/// Numbers of commits have no gap, whatever was fenced in between.
pub async fn commits_are_numbered_without_a_gap(backend: Backend) {
    backend.set_up().await;
    for n in 1..=4 {
        let message = backend.news(&format!("u{n}"), "A").await;
        let stale = backend.grant(&message, "a").await;
        let grant = backend.grant(&message, "a").await;
        assert_eq!(backend.commit(&stale, &["x"], 0).await, Commit::Fenced);
        assert_eq!(seq(&backend.commit(&grant, &["x"], 0).await), n);
    }
}

/// A removal names what only older manifests name, when it is due, and is forgotten when done.
pub async fn removals_name_what_only_older_manifests_name(backend: Backend) {
    backend.set_up().await;
    let first = backend.news("u", "A").await;
    let old = backend.settle(&first, &["x", "y"]).await;
    let second = backend.news("u", "B").await;
    let grant = backend.grant(&second, "a").await;
    seq(&backend.commit(&grant, &["y", "z"], 500).await);
    let gone = chunks(&old, &["x"]);
    assert!(backend.ledger.due_cleanups(9).await.unwrap().is_empty());
    assert!(backend.ledger.accounted_for(old.document, gone[0]).await.unwrap());
    assert_eq!(backend.ledger.self_audit(0).await.unwrap().cleanup_pending, 1);
    backend.time.pass(501).await;
    let audit = backend.ledger.self_audit(0).await.unwrap();
    assert_eq!((audit.cleanup_pending, audit.stale, audit.duplicate), (0, 1, 0));
    let due = backend.ledger.due_cleanups(9).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].document, due[0].below), (grant.document, grant.epoch));
    assert_eq!(due[0].chunks, gone);
    let asked = chunks(&old, &["x", "y", "z"]);
    let mut wanted = backend.ledger.wanted(&asked).await.unwrap();
    wanted.sort_unstable();
    assert_eq!(wanted, chunks(&old, &["y", "z"]));
    backend.ledger.cleanup_done(&due[0]).await.unwrap();
    assert!(backend.ledger.due_cleanups(9).await.unwrap().is_empty());
    assert!(!backend.ledger.accounted_for(old.document, gone[0]).await.unwrap());
}

/// A deletion is the next generation, without content; afterwards nothing is wanted.
pub async fn a_deletion_is_the_next_generation(backend: Backend) {
    backend.set_up().await;
    let first = backend.news("u", "A").await;
    let old = backend.settle(&first, &["x"]).await;
    let deletion = backend.ledger.delete(first.document).await.unwrap().unwrap();
    assert_eq!(deletion.generation, Generation(2));
    assert_eq!(backend.ledger.delete(first.document).await.unwrap(), None);
    let grant = backend.settle(&deletion, &[]).await;
    assert_eq!(grant.content, None);
    assert!(backend.ledger.wanted(&chunks(&old, &["x"])).await.unwrap().is_empty());
    assert!(matches!(backend.register("u", "A").await, Registered::Changed(_)));
}

/// Old deletions go, at most so many at once; what is young, on its way, or still to be removed stays.
pub async fn deletions_are_forgotten_when_they_are_old(backend: Backend) {
    const OLD_MS: u64 = 300;
    backend.set_up().await;
    let forget = async |limit| backend.ledger.forget_deleted(OLD_MS, limit).await.unwrap();
    let mut deleted = Vec::new();
    for uri in ["a", "b", "c", "kept", "removed later", "on its way"] {
        let message = backend.news(uri, uri).await;
        backend.settle(&message, &[uri]).await;
        deleted.push(message.document);
    }
    for (at, document) in deleted.iter().enumerate().filter(|(at, _)| *at != 3) {
        let deletion = backend.ledger.delete(*document).await.unwrap().unwrap();
        let delay_ms = if at == 4 { 600_000 } else { 0 };
        if at < 5 {
            let grant = backend.grant(&deletion, "a").await;
            seq(&backend.commit(&grant, &[], delay_ms).await);
        }
    }
    for cleanup in backend.ledger.due_cleanups(9).await.unwrap() {
        backend.ledger.cleanup_done(&cleanup).await.unwrap();
    }
    assert_eq!(backend.ledger.forget_deleted(3_600_000, 9).await.unwrap(), 0, "all are young");
    backend.time.pass(OLD_MS).await;
    assert_eq!((forget(2).await, forget(9).await, forget(9).await), (2, 1, 0));
    let named = backend.ledger.manifests(None, 9).await.unwrap();
    let named: Vec<_> = named.iter().map(|committed| committed.manifest.document).collect();
    assert!(!named.iter().any(|document| deleted[..3].contains(document)), "their manifests are gone");
    assert!(named.contains(&deleted[3]));
    // It may come again, and is what it would have been without its past.
    let again = backend.news("a", "a").await;
    assert_eq!((again.document, again.generation), (deleted[0], Generation(1)));
    backend.settle(&again, &["a"]).await;
    assert!(matches!(backend.register("removed later", "x").await, Registered::Changed(_)));
    assert_eq!(backend.ledger.self_audit(0).await.unwrap().duplicate, 0);
}

/// A final document is queued again; work on its way is left alone.
pub async fn requeueing_starts_final_documents_again(backend: Backend) {
    backend.set_up().await;
    let message = backend.news("u", "A").await;
    let grant = backend.settle(&message, &["x"]).await;
    assert!(!grant.committed_before);
    assert_eq!(backend.ledger.requeue(message.document).await.unwrap(), Some(message));
    assert_eq!(backend.ledger.unsettled(9).await.unwrap(), [message]);
    let again = backend.grant(&message, "a").await;
    assert!(again.committed_before);
    assert_eq!(backend.ledger.requeue(message.document).await.unwrap(), Some(message));
    assert!(backend.ledger.accounted_for(message.document, chunks(&grant, &["x"])[0]).await.unwrap());
    seq(&backend.commit(&again, &["x"], 0).await);
}

/// A second index is filled beside the first; the switch waits for every document.
pub async fn an_index_is_switched_when_it_is_whole(backend: Backend) {
    backend.set_up().await;
    let message = backend.news("u", "A").await;
    let early = backend.news("late", "A").await;
    backend.settle(&message, &["x"]).await;
    let of_old = backend.grant(&early, "b").await;
    assert_eq!(backend.ledger.begin_index(&tenant(), &spec(2)).await.unwrap(), IndexState::Building);
    assert_eq!(backend.ledger.begin_index(&tenant(), &spec(1)).await.unwrap(), IndexState::Active);
    assert_eq!(backend.ledger.switch_index(&tenant(), spec(2).id()).await.unwrap(), 1);
    backend.ledger.requeue(message.document).await.unwrap();
    let both = backend.grant(&message, "a").await;
    assert_eq!(both.indexes.len(), 2);
    seq(&backend.commit(&both, &["x"], 0).await);
    assert_eq!(backend.ledger.switch_index(&tenant(), spec(2).id()).await.unwrap(), 0);
    let shown = backend.ledger.manifests(None, 9).await.unwrap();
    assert_eq!(shown.iter().map(|c| c.manifest.index).collect::<Vec<_>>(), [spec(2).id()]);
    // Prepared for the old index alone: no search would find it, so it is done again.
    assert_eq!(backend.commit(&of_old, &["x"], 0).await, Commit::Fenced);
    assert_eq!(backend.ledger.unsettled(9).await.unwrap(), [early]);
    let grant = backend.grant(&early, "b").await;
    let manifests = [1, 2].map(|n| rows(&grant, spec(n).id(), &["x"]).1).to_vec();
    let done = backend.ledger.commit(&grant, manifests, Summary::default(), 0).await.unwrap();
    seq(&done);
    let retired = chunks(&grant, &["x"]);
    assert!(backend.ledger.wanted(&retired).await.unwrap().is_empty());
    let due = backend.ledger.due_cleanups(9).await.unwrap();
    assert!(due.iter().any(|cleanup| cleanup.chunks == retired && cleanup.below > grant.epoch));
}

/// A dead letter whose older content is shown is tried once for a new index, into which that is carried.
pub async fn a_failed_document_keeps_what_search_shows_in_the_next_index(backend: Backend) {
    backend.set_up().await;
    let ledger = &backend.ledger;
    let damaged = || Failure::new(FailureCode::Damaged, "no pages");
    let first = backend.news("u", "A").await;
    let of_first = backend.settle(&first, &["x"]).await;
    let Registered::Changed(message) = backend.register("u", "B").await else { panic!("changed") };
    let early = backend.grant(&message, "a").await;
    assert_eq!(ledger.fail(&early, damaged(), 0.0).await.unwrap(), Failed::DeadLettered);
    ledger.begin_index(&tenant(), &spec(2)).await.unwrap();
    // It failed before the index was begun: nobody has tried to carry it yet.
    assert_eq!(ledger.switch_index(&tenant(), spec(2).id()).await.unwrap(), 1);
    ledger.requeue(message.document).await.unwrap();
    let grant = backend.grant(&message, "a").await;
    let older = Grant { generation: first.generation, ..grant.clone() };
    let carried = vec![rows(&older, spec(2).id(), &["x"]).1];
    assert!(!ledger.carry(&early, carried.clone(), 0).await.unwrap(), "an older claim is fenced");
    assert!(ledger.carry(&grant, carried.clone(), 0).await.unwrap());
    assert!(ledger.carry(&grant, carried, 0).await.unwrap(), "again: it has one already");
    assert_eq!(ledger.fail(&grant, damaged(), 0.0).await.unwrap(), Failed::DeadLettered);
    assert_eq!(ledger.switch_index(&tenant(), spec(2).id()).await.unwrap(), 0);
    let shown = ledger.manifests(None, 9).await.unwrap();
    let which = |c: &CommittedManifest| (c.manifest.index, c.manifest.generation);
    assert_eq!(shown.iter().map(which).collect::<Vec<_>>(), [(spec(2).id(), first.generation)]);
    let new = shown[0].manifest.entries[0].chunk;
    assert_eq!(ledger.wanted(&[new, chunks(&of_first, &["x"])[0]]).await.unwrap(), [new]);
    // Its next content replaces what was carried.
    let Registered::Changed(mended) = backend.register("u", "C").await else { panic!("changed") };
    let grant = backend.grant(&mended, "a").await;
    let manifests = vec![rows(&grant, spec(2).id(), &["y"]).1];
    seq(&ledger.commit(&grant, manifests, Summary::default(), 0).await.unwrap());
    assert!(ledger.wanted(&[new]).await.unwrap().is_empty());
    assert_eq!(ledger.manifests(None, 9).await.unwrap().len(), 1);
}

/// The first value of a text at a stage is kept for all.
pub async fn the_first_derived_value_wins(backend: Backend) {
    let (x, y) = (TextHash::of(b"x"), TextHash::of(b"y"));
    let ledger = &backend.ledger;
    assert_eq!(ledger.keep_derived(&tenant(), "s", vec![(x, vec![1])]).await.unwrap(), [vec![1]]);
    let kept = ledger.keep_derived(&tenant(), "s", vec![(y, vec![2]), (x, vec![3])]).await.unwrap();
    assert_eq!(kept, [vec![2], vec![1]]);
    assert_eq!(ledger.derived(&tenant(), "s", &[y, x]).await.unwrap(), [Some(vec![2]), Some(vec![1])]);
    assert_eq!(ledger.derived(&tenant(), "other", &[x]).await.unwrap(), [None]);
}
