//! Search at a real PostgreSQL: as the embedded file answers, whole versions of the tenant's own documents alone, under
//! the indexes, and without holding up anybody.

// Helpers of tests panic as tests do.
#![allow(clippy::unwrap_used, clippy::large_futures)]

#[path = "api/house.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod house;
#[path = "search_server/memory.rs"]
mod memory;
#[path = "search_server/place.rs"]
mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use docmill_core::search::{
    Facet, Facts, Filter, Hit, Mode, OF_ONE_DOCUMENT_MAX, SearchAnswer, SearchRequest, offset_of,
};
use docmill_tests::contract::tenant;
use docmill_tests::corpus::Writer;
use docmill_tests::services::postgres::{client, count, shared};
use docmill_tests::services::process::wait_until;
use docmill_worker::postgres::{Database, Hnsw, PostgresSearch, build_hnsw};
use docmill_worker::search::{EmbeddedSearch, QueryEmbedder, Search};
use docmill_worker::sqlite::Readers;
use place::{Document, Place, index, tenant_named};

/// Documents of the corpus, and chunks of each.
const DOCUMENTS: usize = 40;
const CHUNKS: usize = 5;

fn embedder() -> Arc<QueryEmbedder> {
    Arc::new(QueryEmbedder::new(2))
}

/// Each chunk has a word that no other has.
fn corpus() -> Vec<Document> {
    let mut writer = Writer::new(7);
    let mut chunk = |n: usize, m: usize| format!("{} The marker is zz{n}q{m}.", writer.prose(300));
    let document = |n: usize| Document {
        uri: format!("s3://shelf{}/{n:03}.txt", n % 3),
        texts: (0..CHUNKS).map(|m| chunk(n, m)).collect(),
        media_type: ["text/plain", "application/pdf"][n % 2],
        language: ["en", "de", "fr"][n % 3],
        category: [None, Some("letter"), Some("invoice"), Some("letter")][n % 4],
    };
    (0..DOCUMENTS).map(document).collect()
}

/// A machine that is busy with other things refuses searches that wait for too long; they are asked again.
async fn asked(search: &dyn Search, request: &SearchRequest) -> SearchAnswer {
    loop {
        match search.search(&tenant(), request).await {
            Ok(answer) => return answer,
            Err(error) => assert!(error.to_string().contains("more searches wait"), "{error}"),
        }
    }
}

async fn texts(search: &dyn Search, query: &str, k: u16) -> Vec<String> {
    let answer = asked(search, &SearchRequest::new(query, k)).await;
    answer.results.into_iter().map(|hit| hit.text).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_answers_as_a_file_does() {
    let options = shared().fresh();
    let database = Database::open(&options).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (server, file) = (Place::postgres(&database), Place::sqlite(dir.path()));
    let corpus = corpus();
    for place in [&server, &file] {
        place.begin(&tenant()).await;
        for document in &corpus {
            place.commit(&tenant(), document).await;
        }
    }
    let at_server = PostgresSearch::new(database, embedder());
    let in_file = EmbeddedSearch::new(Readers::open(dir.path()).unwrap(), embedder());
    let mut same = 0;
    for n in 0..20 {
        // Words from the middle of a chunk: some rare, some common.
        let text = &corpus[n * 2].texts[n % CHUNKS];
        let query = text.split_whitespace().skip(4).take(6).collect::<Vec<_>>().join(" ");
        let server: BTreeSet<String> = texts(&at_server, &query, 10).await.into_iter().collect();
        let file = texts(&in_file, &query, 10).await;
        assert_eq!((server.len(), file.len()), (10, 10), "{query}");
        same += file.iter().filter(|text| server.contains(*text)).count();
        // By the mock's vectors a text is nearest to itself.
        for search in [&at_server as &dyn Search, &in_file] {
            assert_eq!(&texts(search, text, 3).await[0], text);
        }
    }
    assert!(same >= 20 * 8, "of 200 hits {same} are the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_whole_current_versions_of_the_tenant_are_shown() {
    let database = Database::open(&shared().fresh()).await.unwrap();
    let place = Place::postgres(&database);
    let other = tenant_named("other");
    for tenant in [&tenant(), &other] {
        place.begin(tenant).await;
    }
    let search = PostgresSearch::new(database, embedder());
    let nobody = search.search(&tenant_named("nobody"), &SearchRequest::new("barometer", 5)).await.unwrap();
    assert!(nobody.results.is_empty() && nobody.mode == Mode::FullText && nobody.reason.is_some());
    let texts_of = |name: &str| -> Vec<String> {
        (0..4).map(|n| format!("The barometer of {name} fell in part {n} of the night.")).collect()
    };
    let document = |uri: &str, name: &str| Document::plain(uri, texts_of(name));
    // Written, and not committed: nothing of it is there.
    let half = place.prepare(&tenant(), &document("s3://a/half.txt", "half")).await;
    place.commit(&tenant(), &document("s3://a/one.txt", "first")).await;
    place.commit(&other, &document("s3://a/one.txt", "stranger")).await;
    let shown = async || -> BTreeSet<String> {
        texts(&search, "barometer fell night", 50).await.into_iter().collect()
    };
    let expected =
        |names: &[&str]| -> BTreeSet<String> { names.iter().flat_map(|name| texts_of(name)).collect() };
    assert_eq!(shown().await, expected(&["first"]));
    // Another generation takes the place of the first, whose rows are still there.
    place.commit(&tenant(), &document("s3://a/one.txt", "second")).await;
    assert_eq!(shown().await, expected(&["second"]));
    place.finish(half).await;
    assert_eq!(shown().await, expected(&["second", "half"]));
    // Equal texts are one hit, which names the other documents that have it; a stranger's is none of them.
    place.commit(&tenant(), &document("s3://a/copy.txt", "second")).await;
    place.commit(&other, &document("s3://a/theirs.txt", "second")).await;
    let answer = asked(&search, &SearchRequest::new("barometer of second fell", 50)).await;
    assert_eq!(answer.results.len(), 8);
    let twins = |hit: &&Hit| hit.text.contains("second");
    for hit in answer.results.iter().filter(twins) {
        let uris: BTreeSet<&str> =
            hit.also_at.iter().chain([&hit.document.uri]).map(String::as_str).collect();
        assert_eq!(uris, BTreeSet::from(["s3://a/copy.txt", "s3://a/one.txt"]));
    }
    let theirs = search.search(&other, &SearchRequest::new("barometer", 50)).await.unwrap();
    assert!(theirs.results.iter().all(|hit| hit.text.contains("stranger") || hit.text.contains("second")));
    assert_eq!(theirs.results.len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_admits_what_the_core_admits() {
    let database = Database::open(&shared().fresh()).await.unwrap();
    let place = Place::postgres(&database);
    place.begin(&tenant()).await;
    // One chunk a document: with `k` of 100 all are candidates.
    let corpus: Vec<Document> = corpus()
        .into_iter()
        .map(|document| Document { texts: document.texts[..1].to_vec(), ..document })
        .collect();
    for document in &corpus {
        place.commit(&tenant(), document).await;
    }
    let search = PostgresSearch::new(database, embedder());
    let all = asked(&search, &SearchRequest::new("the marker", 100)).await.results;
    assert_eq!(all.len(), DOCUMENTS);
    let mut times: Vec<u64> = all.iter().filter_map(|hit| hit.document.committed_at_ms).collect();
    times.sort_unstable();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    let open = Filter::default;
    let filters = [
        Filter { documents: vec![all[3].document.id, all[5].document.id], ..open() },
        Filter { categories: words(&["letter"]), ..open() },
        Filter { media_types: words(&["application/pdf"]), languages: words(&["de", "fr"]), ..open() },
        Filter { uri_prefix: Some("s3://shelf1/0".to_owned()), ..open() },
        Filter { uri_prefix: Some("s3://shelf_/".to_owned()), ..open() },
        Filter { committed_from_ms: Some(times[10]), committed_before_ms: Some(times[30]), ..open() },
        Filter { languages: words(&["en\0", "it", "' OR true --"]), ..open() },
    ];
    for filter in filters {
        let facts = |hit: &Hit| {
            let document = &hit.document;
            filter.admits(&Facts {
                id: document.id,
                uri: &document.uri,
                category: document.category.as_deref(),
                media_type: &document.media_type,
                language: &document.language,
                committed_at_ms: document.committed_at_ms,
            })
        };
        let expected: BTreeSet<String> =
            all.iter().filter(|hit| facts(hit)).map(|hit| hit.document.uri.clone()).collect();
        let request = SearchRequest { filter: filter.clone(), ..SearchRequest::new("the marker", 100) };
        let found = asked(&search, &request).await.results;
        let found: BTreeSet<String> = found.into_iter().map(|hit| hit.document.uri).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_are_of_several_documents() {
    let database = Database::open(&shared().fresh()).await.unwrap();
    let place = Place::postgres(&database);
    place.begin(&tenant()).await;
    for document in &corpus() {
        place.commit(&tenant(), document).await;
    }
    let search = PostgresSearch::new(database, embedder());
    let only = Filter { uri_prefix: Some("s3://shelf0/000".into()), ..Filter::default() };
    let answer = asked(&search, &SearchRequest::sources("the marker", 8, only)).await;
    assert_eq!(answer.results.len(), CHUNKS.min(OF_ONE_DOCUMENT_MAX), "one document fits");
    let all = asked(&search, &SearchRequest::new("the marker", 8)).await;
    let sources = asked(&search, &SearchRequest::sources("the marker", 8, Filter::default())).await;
    assert_eq!(sources.results.len(), 8);
    assert_eq!(sources.results[0].text, all.results[0].text);
    assert!(sources.next.is_none() && sources.results.iter().all(|hit| hit.also_at.is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn facets_pages_and_explanations_fit_together() {
    let database = Database::open(&shared().fresh()).await.unwrap();
    let place = Place::postgres(&database);
    place.begin(&tenant()).await;
    let corpus = corpus();
    for document in &corpus {
        place.commit(&tenant(), document).await;
    }
    let search = PostgresSearch::new(database, embedder());
    let known = &corpus[3].texts[1];
    let asked_for = SearchRequest::new(known, 7);
    let first = SearchRequest { facets: Facet::ALL.to_vec(), explain: true, ..asked_for.clone() };
    let answer = asked(&search, &first).await;
    assert_eq!(answer.facets_over, Some((DOCUMENTS * CHUNKS) as u32));
    let mut languages: BTreeMap<&str, u32> = BTreeMap::new();
    corpus.iter().for_each(|document| *languages.entry(document.language).or_default() += 1);
    let counted: BTreeMap<&str, u32> =
        answer.facets["language"].iter().map(|count| (count.value.as_str(), count.documents)).collect();
    assert_eq!(counted, languages);
    assert_eq!(answer.facets["category"][0].value, "letter");
    for hit in &answer.results {
        let explain = hit.explain.as_ref().unwrap();
        assert!((explain.score() - hit.score).abs() < 1e-9, "{explain:?}");
    }
    assert_eq!(&answer.results[0].text, known);
    let best = answer.results[0].explain.as_ref().unwrap();
    assert!(best.terms.iter().any(|term| term.term == "zz3q1" && term.chunks == 1), "{best:?}");
    // Pages neither repeat nor skip.
    let (mut request, mut seen) = (asked_for, Vec::new());
    loop {
        let answer = asked(&search, &request).await;
        seen.extend(answer.results.iter().map(|hit| hit.chunk));
        assert!(answer.results.is_sorted_by(|a, b| a.score >= b.score));
        let Some(next) = answer.next else { break };
        request.offset = offset_of(&next).unwrap();
        assert_eq!(request.offset as usize, seen.len());
    }
    assert!(seen.len() >= 96, "{}", seen.len());
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
}

/// More chunks than are looked at one by one: the indexes find them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_chunks_are_found_under_the_indexes() {
    const WIDE: usize = 30;
    const REPLACED: usize = 10;
    const CURRENT: usize = 12;
    /// Chunks that are asked for by their words where ten hits are wanted.
    const WITH_WORDS: usize = 48;
    let options = shared().fresh();
    let database = Database::open(&options).await.unwrap();
    let place = Place::postgres(&database);
    place.begin(&tenant()).await;
    for n in 0..75 {
        // What is replaced says it most often.
        let heron = match n {
            0..REPLACED => " Heron, heron, heron, heron.",
            REPLACED..CURRENT => " A heron.",
            _ => "",
        };
        let texts = (0..WIDE)
            .map(|m| format!("Part {m} of log {n} mentions mark{n}x{m} and the harbour.{heron}"))
            .collect();
        place.commit(&tenant(), &Document::plain(&format!("s3://logs/{n}.txt"), texts)).await;
    }
    // Replaced, whose rows are still there: by their words they come first, and are more than are looked at.
    for n in 0..REPLACED {
        let texts = (0..WIDE).map(|m| format!("Part {m} of log {n} was lost.")).collect();
        place.commit(&tenant(), &Document::plain(&format!("s3://logs/{n}.txt"), texts)).await;
    }
    let admin = client(&options).await.unwrap();
    admin.batch_execute("ANALYZE").await.unwrap();
    let search = PostgresSearch::new(database.clone(), embedder());
    let only_current = async || {
        let (mut request, mut found) = (SearchRequest::new("heron", 10), 0);
        loop {
            let answer = asked(&search, &request).await;
            found += answer.results.iter().filter(|hit| hit.text.ends_with(" A heron.")).count();
            let Some(next) = answer.next else { break };
            request.offset = offset_of(&next).unwrap();
        }
        assert!(found >= WITH_WORDS, "{found}");
    };
    only_current().await;
    assert!(build_hnsw(&database, index().id(), Hnsw { memory_mib: 64, ..Hnsw::default() }).await.unwrap());
    only_current().await;
    let wanted = "Part 7 of log 40 mentions mark40x7 and the harbour.";
    // By the mock's vectors a text is nearest to itself.
    assert_eq!(texts(&search, wanted, 5).await[0], wanted);
    let used = async |name: &str| {
        count(&admin, &format!("pg_stat_user_indexes WHERE schemaname = current_schema() AND idx_scan > 0 AND indexrelname LIKE '{name}'")).await > 0
    };
    wait_until("both indexes are used", || {
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                texts(&search, wanted, 5).await;
                used("chunk_terms").await && used("vectors%hnsw").await
            })
        })
    });
}

/// What the dashboard and whoever keeps answers ask of the ledger.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_is_told_since_a_commit() {
    let database = Database::open(&shared().fresh()).await.unwrap();
    let place = Place::postgres(&database);
    let other = tenant_named("other");
    for tenant in [&tenant(), &other] {
        place.begin(tenant).await;
    }
    let (before, _) = database.commits().await.unwrap();
    let document =
        |n: usize| Document::plain(&format!("s3://a/{n}.txt"), vec![format!("Text {n} of many.")]);
    place.commit(&tenant(), &document(1)).await;
    let told = database.commits_since(before).await.unwrap();
    assert_eq!((told.newest, told.tenants, told.all), (before + 1, vec![tenant()], false));
    let told = database.commits_since(before + 1).await.unwrap();
    assert_eq!((told.tenants, told.all), (Vec::new(), false));
    place.commit(&other, &document(2)).await;
    place.commit(&tenant(), &document(3)).await;
    let told = database.commits_since(before).await.unwrap();
    assert_eq!((told.newest, told.tenants, told.all), (before + 3, vec![tenant(), other.clone()], false));
    assert!(database.commits_since(before + 9).await.unwrap().all, "a ledger that went back");
    let lately = database.lately(Some(&tenant()), 9).await.unwrap();
    let uris: Vec<&str> = lately.iter().map(|row| row.uri.as_str()).collect();
    assert_eq!(uris, ["s3://a/3.txt", "s3://a/1.txt"]);
    assert_eq!(database.lately(None, 1).await.unwrap()[0].uri, "s3://a/3.txt");
    let half = place.prepare(&tenant(), &document(4)).await;
    let work = database.in_work(9).await.unwrap();
    assert_eq!((work.len(), work[0].uri.as_str(), work[0].starts), (1, "s3://a/4.txt", 0));
    place.finish(half).await;
    assert!(database.in_work(9).await.unwrap().is_empty());
    assert_eq!(database.told("scaling").await.unwrap(), None);
    for value in ["{}", "{\"replicas\":2}"] {
        database.tell("scaling", value).await.unwrap();
        assert_eq!(database.told("scaling").await.unwrap().map(|(value, _)| value).as_deref(), Some(value));
    }
    assert_eq!(database.tenants().await.unwrap(), [tenant(), other]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_hold_up_nobody() {
    const TOGETHER: usize = 50;
    const EACH: usize = 6;
    const TICK: Duration = Duration::from_millis(10);
    let database = Database::open(&shared().fresh()).await.unwrap();
    let place = Arc::new(Place::postgres(&database));
    place.begin(&tenant()).await;
    for document in corpus() {
        place.commit(&tenant(), &document).await;
    }
    let search = Arc::new(PostgresSearch::new(database, embedder()));
    search.warm(&[tenant()]).await;
    let ended = Arc::new(AtomicBool::new(false));
    let ticking = tokio::spawn({
        let ended = ended.clone();
        async move {
            let mut late = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                let began = Instant::now();
                tokio::time::sleep(TICK).await;
                late.push(began.elapsed().saturating_sub(TICK));
            }
            late
        }
    });
    let ingesting = tokio::spawn({
        let (place, ended) = (place.clone(), ended.clone());
        async move {
            for n in 0.. {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let text = format!("While others search, document {n} comes.");
                place.commit(&tenant(), &Document::plain(&format!("s3://new/{n}.txt"), vec![text])).await;
            }
        }
    });
    let searching: Vec<_> = (0..TOGETHER)
        .map(|n| {
            let search = search.clone();
            tokio::spawn(async move {
                for m in 0..EACH {
                    let query = format!("the marker zz{}q{}", (n + m) % DOCUMENTS, m % CHUNKS);
                    assert!(!texts(search.as_ref(), &query, 10).await.is_empty());
                }
            })
        })
        .collect();
    for one in searching {
        one.await.unwrap();
    }
    ended.store(true, Ordering::Relaxed);
    ingesting.await.unwrap();
    let mut late = ticking.await.unwrap();
    late.sort_unstable();
    // What blocks the loop is there at every search; what the machine does beside is there now and then.
    let (median, p99) = (late[late.len() / 2], late[(late.len() * 99).div_ceil(100) - 1]);
    let count = late.len();
    assert!(median < Duration::from_millis(20), "{median:?} of {count} ticks");
    assert!(p99 < Duration::from_millis(500), "{p99:?} of {count} ticks");
}
