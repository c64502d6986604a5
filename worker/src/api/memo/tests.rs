use super::*;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn again(query: &str) -> Again {
    Again::Search(Box::new(SearchRequest::new(query, 10)))
}

/// What an answer of so many bytes takes, to this question.
fn bytes_of(tenant: &TenantId, answer: usize, again: &Again) -> usize {
    ENTRY_BYTES + tenant.as_str().len() + answer + again.bytes()
}

fn memo(entries: usize) -> Memo {
    Memo::new(MemoSettings { entries, ttl: Duration::from_secs(300) })
}

fn put(memo: &Memo, tenant: &TenantId, n: u128, body: &str) {
    memo.put(
        tenant,
        n,
        memo.epoch(tenant),
        Bytes::copy_from_slice(body.as_bytes()),
        again(&body[..body.len().min(9)]),
    );
}

fn commit_of(tenants: &[&TenantId], all: bool) -> Commits {
    Commits { newest: 1, tenants: tenants.iter().map(|tenant| (*tenant).clone()).collect(), all }
}

#[test]
fn an_answer_is_remembered_for_its_tenant() {
    let (memo, one, two) = (memo(10), tenant("one"), tenant("two"));
    assert_eq!(memo.get(&one, 1), None);
    put(&memo, &one, 1, "found");
    assert_eq!(memo.get(&one, 1).as_deref(), Some(&b"found"[..]));
    assert_eq!(memo.get(&two, 1), None, "even by the same key");
    let stats = memo.stats();
    let bytes = bytes_of(&one, 5, &again("found"));
    assert_eq!((stats.entries, stats.bytes, stats.hits, stats.misses), (1, bytes, 1, 2));
}

#[test]
fn a_commit_forgets_what_its_tenant_had() {
    let (memo, one, two) = (memo(10), tenant("one"), tenant("two"));
    put(&memo, &one, 1, "a");
    put(&memo, &two, 2, "b");
    memo.committed(&commit_of(&[&one], false));
    assert_eq!((memo.get(&one, 1), memo.get(&two, 2).is_some()), (None, true));
    memo.committed(&commit_of(&[], true));
    assert_eq!(memo.get(&two, 2), None);
    // What is to be asked again takes its place.
    let left = bytes_of(&one, 0, &again("a")) + bytes_of(&two, 0, &again("b"));
    assert_eq!((memo.stats().entries, memo.stats().bytes, memo.stats().invalidated), (0, left, 2));
}

#[test]
fn what_was_found_before_a_commit_is_not_kept_after_it() {
    for all in [false, true] {
        let (memo, one) = (memo(10), tenant("one"));
        // Once before, so that a sum of two counts could come back to what it was.
        memo.committed(&commit_of(&[&one], false));
        let epoch = memo.epoch(&one);
        memo.committed(&commit_of(&[&one], all));
        memo.put(&one, 1, epoch, Bytes::from_static(b"old"), again("old"));
        assert_eq!(memo.get(&one, 1), None, "{all}");
        memo.committed(&commit_of(&[&one], false));
        assert_ne!(memo.epoch(&one), epoch);
    }
}

#[test]
fn who_is_not_asked_for_longest_goes_first() {
    let (memo, one) = (memo(2), tenant("one"));
    put(&memo, &one, 1, "a");
    put(&memo, &one, 2, "b");
    assert!(memo.get(&one, 1).is_some());
    put(&memo, &one, 3, "c");
    let there = [1, 2, 3].map(|key| memo.get(&one, key).is_some());
    let bytes = 2 * bytes_of(&one, 1, &again("a"));
    assert_eq!((there, memo.stats().entries, memo.stats().bytes), ([true, false, true], 2, bytes));
    let none = Memo::new(MemoSettings { entries: 0, ..MemoSettings::default() });
    put(&none, &one, 1, "a");
    assert_eq!(none.get(&one, 1), None);
}

#[test]
fn bytes_are_bounded_as_answers_are() {
    let (memo, one) = (memo(1_000), tenant("one"));
    let large = "x".repeat(ANSWER_BYTES_MAX);
    let each = bytes_of(&one, ANSWER_BYTES_MAX, &again(&large[..9]));
    let most = BYTES_MAX / each;
    for n in 0..most as u128 + 3 {
        put(&memo, &one, n, &large);
    }
    assert_eq!((memo.stats().entries, memo.stats().bytes), (most, most * each));
    put(&memo, &one, 9_999, &"x".repeat(ANSWER_BYTES_MAX + 1));
    assert_eq!(memo.get(&one, 9_999), None);
}

#[test]
fn questions_count_as_answers_do() {
    let (memo, one) = (memo(1_000), tenant("one"));
    let put = |key, again| memo.put(&one, key, memo.epoch(&one), Bytes::from_static(b"a"), again);
    let mut request = SearchRequest::new("q".repeat(8_000), 10);
    request.filter.categories = vec!["c".repeat(100); 60];
    put(1, Again::Search(Box::new(request.clone())));
    let stats = memo.stats();
    assert!(stats.entries == 1 && stats.bytes > 15_000, "{stats:?}");
    request.filter.uri_prefix = Some("p".repeat(2_000));
    put(2, Again::Search(Box::new(request)));
    assert_eq!(memo.get(&one, 2), None, "it is too long to be kept");
    // Of an answer to a question nothing is kept once it is old.
    let before = memo.stats().bytes;
    put(3, Again::Nothing);
    assert_eq!(memo.stats().bytes, before + bytes_of(&one, 1, &Again::Nothing));
    memo.committed(&commit_of(&[&one], false));
    assert_eq!(memo.stats().bytes, before - 1);
    let kept = memo.lock();
    assert_eq!((kept.order.len(), kept.entries.len()), (1, 1));
}

#[test]
fn what_was_asked_before_a_start_is_asked_again() {
    let (memo, one) = (memo(2), tenant("one"));
    memo.expect(&one, 1, SearchRequest::new("often", 10), 9);
    memo.expect(&one, 2, SearchRequest::new("once", 10), 1);
    memo.expect(&one, 3, SearchRequest::new("no room", 10), 5);
    assert_eq!((memo.stats().entries, memo.lacking()), (0, BTreeSet::from([one.clone()])));
    assert_eq!(memo.hottest(&one, 9), [SearchRequest::new("often", 10)]);
    assert_eq!(memo.get(&one, 1), None, "no answer is older than the start");
    memo.renew(&one, 1, memo.epoch(&one), Bytes::from_static(b"found"));
    assert!(memo.get(&one, 1).is_some());
    // What is known is not expected anew, and what is asked most is kept for the next start.
    memo.expect(&one, 1, SearchRequest::new("often", 10), 90);
    assert_eq!(memo.asked_most(9), [(one.clone(), SearchRequest::new("often", 10), 10)]);
    let none = Memo::new(MemoSettings { entries: 0, ..MemoSettings::default() });
    none.expect(&one, 1, SearchRequest::new("often", 10), 9);
    assert!(none.lacking().is_empty());
}

#[test]
fn a_life_is_as_long_as_it_is_used_and_ends() {
    let (memo, one, began) = (memo(10), tenant("one"), Instant::now());
    let at = |seconds| began + Duration::from_secs(seconds);
    let put = |key| memo.put_at(began, &one, key, memo.epoch(&one), Bytes::from_static(b"a"), again("a"));
    put(1);
    put(2);
    for seconds in (200..3_600).step_by(200) {
        assert!(memo.get_at(at(seconds), &one, 1).is_some(), "{seconds}");
    }
    assert!(memo.get_at(at(3_600), &one, 1).is_none(), "an hour in all");
    assert!(memo.get_at(at(3_600), &one, 2).is_none());
    assert_eq!((memo.stats().entries, memo.stats().bytes), (0, 0));
}

#[test]
fn another_name_finds_the_same_answer() {
    let (memo, one, two) = (memo(2), tenant("one"), tenant("two"));
    assert_eq!(memo.named(&one, 7), None);
    put(&memo, &one, 1, "found");
    memo.name(7, 1);
    assert!(memo.named(&one, 7).is_some() && memo.named(&two, 7).is_none());
    memo.committed(&commit_of(&[&one], false));
    assert_eq!(memo.named(&one, 7), None);
    put(&memo, &one, 1, "new");
    assert_eq!(memo.named(&one, 7).as_deref(), Some(&b"new"[..]));
    for name in 100..200 {
        memo.name(name, 1);
    }
    assert!(memo.lock().names.len() <= 2 * NAMES_EACH);
}

#[test]
fn what_is_asked_most_is_asked_again() {
    let (memo, one) = (memo(10), tenant("one"));
    for (key, uses) in [(1, 3), (2, 5), (3, 1)] {
        put(&memo, &one, key, &format!("q{key}"));
        (1..uses).for_each(|_| drop(memo.get(&one, key)));
    }
    assert!(memo.lacking().is_empty(), "nothing is forgotten yet");
    memo.committed(&commit_of(&[&one], false));
    assert_eq!(memo.lacking(), BTreeSet::from([one.clone()]));
    let hottest = |n| memo.hottest(&one, n).into_iter().map(|request| request.query).collect::<Vec<_>>();
    assert_eq!(hottest(9), ["q2", "q1"], "what was asked once is not worth it");
    assert_eq!(hottest(1), ["q2"]);
    memo.renew(&one, 2, memo.epoch(&one), Bytes::from_static(b"again"));
    assert_eq!(memo.get(&one, 2).as_deref(), Some(&b"again"[..]));
    assert_eq!(hottest(9), ["q1"]);
    let epoch = memo.epoch(&one);
    memo.committed(&commit_of(&[], true));
    memo.renew(&one, 1, epoch, Bytes::from_static(b"old"));
    assert_eq!(memo.get(&one, 1), None);
    memo.renew(&tenant("two"), 1, memo.epoch(&tenant("two")), Bytes::from_static(b"other"));
    assert_eq!(memo.get(&one, 1), None);
}

#[test]
fn keys_of_different_questions_differ() {
    let keys: BTreeSet<u128> = [
        key(1, &[b"ab", b"c"]),
        key(1, &[b"a", b"bc"]),
        key(2, &[b"ab", b"c"]),
        key(1, &[b"ab", b"c", b""]),
    ]
    .into();
    assert_eq!(keys.len(), 4);
    assert_eq!(key(1, &[b"a"]), key(1, &[b"a"]));
}
