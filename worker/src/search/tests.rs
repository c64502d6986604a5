//! Pages, filters, facets and explanations over a small file, by words and by the mock's vectors.

use std::collections::BTreeSet;
use std::sync::Mutex;

use docmill_core::id::{ChunkId, DocumentId, TextHash};
use docmill_core::language::Language;
use docmill_core::search::{Facet, FacetCount, Filter, Hit, cursor_of, offset_of};
use docmill_core::segment::segment;
use rusqlite::{Connection, params};

use super::*;
use crate::clock::SystemClock;
use crate::embed::{Double, Error as EmbeddingError, Mock, vector_to_bytes};
use crate::ledger::Summary;
use crate::sqlite::{Database, Readers};
use crate::stages::models::{NONE, spec};
use crate::vector::quantize;

const DOCUMENTS: usize = 60;

/// A data directory and a connection that writes to it.
struct Town {
    dir: tempfile::TempDir,
    file: Connection,
    index: IndexSpec,
}

impl Town {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        drop(Database::open(dir.path(), Arc::new(SystemClock)).unwrap());
        let file = Connection::open(dir.path().join("docmill.db")).unwrap();
        file.execute_batch("PRAGMA synchronous=OFF").unwrap();
        Self { dir, file, index: spec(Mock::FINGERPRINT, Mock::DIMENSIONS, NONE) }
    }

    /// With sixty documents: every third in German, every second HTML.
    fn with_documents(tenant: &str) -> Self {
        let town = Self::new();
        town.activate(tenant, &town.index);
        for n in 0..DOCUMENTS {
            town.put(tenant, n, &format!("Paragraph number {n} about the shell has word{n}."));
        }
        town
    }

    fn activate(&self, tenant: &str, index: &IndexSpec) {
        self.file.execute("UPDATE indexes SET state = 'retired' WHERE tenant = ?", [tenant]).unwrap();
        self.file
            .execute(
                "INSERT OR REPLACE INTO indexes(tenant, index_id, spec, state) VALUES(?, ?, ?, 'active')",
                params![tenant, index.id().0, serde_json::to_string(index).unwrap()],
            )
            .unwrap();
    }

    fn put(&self, tenant: &str, n: usize, text: &str) {
        self.put_all(tenant, n, &[text]);
    }

    /// A document of several chunks.
    fn put_all(&self, tenant: &str, n: usize, texts: &[&str]) {
        let tenant = TenantId::new(tenant).unwrap();
        let (uri, index) = (uri_of(n), self.index.id());
        let document = DocumentId::born(&tenant, &uri, 0);
        let summary = Summary {
            title: Some(format!("Document {n}")),
            language: if n.is_multiple_of(3) { "de" } else { "en" }.to_owned(),
            media_type: if n.is_multiple_of(2) { "text/html" } else { "text/plain" }.to_owned(),
            category: (n == 5).then(|| "report".to_owned()),
            ..Summary::default()
        };
        let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
            self.file.execute(sql, values).unwrap();
            self.file.last_insert_rowid()
        };
        let summary = serde_json::to_string(&summary).unwrap();
        run(
            "INSERT INTO documents(document, tenant, uri, birth_uri, generation, state, bytes, summary,
               committed_at_ms, changed_at_ms) VALUES(?1, ?2, ?3, ?3, 1, 'committed', 1, ?4, ?5, 1)",
            &[&&document.as_bytes()[..], &tenant.as_str(), &uri, &summary, &(1_000 + n as i64)],
        );
        let manifest = run(
            "INSERT INTO manifests(document, index_id, generation, seq, language) VALUES(?, ?, 1, 1, 'en')",
            &[&&document.as_bytes()[..], &index.0],
        );
        for (place, text) in texts.iter().enumerate() {
            self.put_chunk(document, manifest, place, text);
        }
    }

    fn put_chunk(&self, document: DocumentId, manifest: i64, place: usize, text: &str) {
        let (hash, index) = (TextHash::of(text.as_bytes()), self.index.id());
        let chunk = ChunkId::of(document, hash, 0, index);
        let (document, chunk, hash) = (&document.as_bytes()[..], &chunk.as_bytes()[..], &hash.0[..]);
        let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
            self.file.execute(sql, values).unwrap();
            self.file.last_insert_rowid()
        };
        run(
            "INSERT INTO manifest_entries VALUES(?, ?, ?, ?, 0, 1, 7, ?, NULL, 3)",
            &[&manifest, &(place as i64), &chunk, &hash, &(7 + text.len() as i64)],
        );
        let row = run(
            "INSERT INTO chunks(chunk, document, index_id, text_hash, epoch, text) VALUES(?, ?, ?, ?, 1, ?)",
            &[&chunk, &document, &index.0, &hash, &text],
        );
        run("INSERT INTO chunk_terms(rowid, terms) VALUES(?, ?)", &[&row, &segment(text, Language::EN)]);
        let vector = Mock::default().vector(text);
        let (code, scale) = quantize(&vector);
        let code: Vec<u8> = code.into_iter().map(|value| value as u8).collect();
        let row = run(
            "INSERT INTO vectors(chunk, document, index_id, text_hash, epoch, scale, code)
             VALUES(?, ?, ?, ?, 1, ?, ?)",
            &[&chunk, &document, &index.0, &hash, &scale, &code],
        );
        run("INSERT INTO vector_values VALUES(?, ?, x'')", &[&row, &vector_to_bytes(&vector)]);
    }

    fn readers(&self) -> Readers {
        Readers::open(self.dir.path()).unwrap()
    }

    /// By words alone, and by both.
    fn searchers(&self) -> [Searcher; 2] {
        [None, Some(Arc::new(Mock::default()) as Arc<dyn EmbeddingModel>)]
            .map(|model| Searcher::open(self.readers(), TenantId::default(), model))
    }
}

fn uri_of(n: usize) -> String {
    format!("file:///{}/{n:02}", if n < 30 { "a" } else { "b" })
}

fn asking(k: u16) -> SearchRequest {
    SearchRequest::new("paragraph about the shell", k)
}

fn uris(hits: &[Hit]) -> BTreeSet<String> {
    hits.iter().map(|hit| hit.document.uri.clone()).collect()
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip() {
    let town = Town::with_documents("default");
    for searcher in town.searchers() {
        for k in [1, 7, 20, 60, 100] {
            let mut hits: Vec<Hit> = Vec::new();
            let mut request = asking(k);
            loop {
                let answer = searcher.answer(&request).await.unwrap();
                assert!(answer.results.len() == usize::from(k) || answer.next.is_none());
                hits.extend(answer.results);
                let Some(next) = answer.next else { break };
                assert_eq!(next, cursor_of(hits.len() as u32));
                request.offset = offset_of(&next).unwrap();
            }
            assert_eq!((hits.len(), uris(&hits).len()), (DOCUMENTS, DOCUMENTS), "pages of {k}");
            let first = searcher.search(&asking(k).query, usize::from(k)).await.unwrap();
            let texts = |count: usize| hits[..count].iter().map(|hit| &hit.text).collect::<Vec<_>>();
            let shown: Vec<&String> = first.results.iter().map(|found| &found.text).collect();
            assert_eq!(shown, texts(shown.len()));
        }
        let beyond = SearchRequest { offset: 500, ..asking(10) };
        let answer = searcher.answer(&beyond).await.unwrap();
        assert!(answer.results.is_empty() && answer.next.is_none());
    }
}

#[tokio::test]
async fn words_answer_for_now_where_the_model_is_away() {
    let town = Town::with_documents("default");
    let search = EmbeddedSearch::new(town.readers(), Arc::new(QueryEmbedder::new(1)));
    let tenant = TenantId::default();
    let answer = search.search(&tenant, &asking(5)).await.unwrap();
    assert_eq!((answer.mode, answer.passing), (Mode::Hybrid, false));
    // Its index has the same chunks.
    town.file.execute("UPDATE indexes SET spec = replace(spec, ?, 'away')", [Mock::FINGERPRINT]).unwrap();
    let answer = search.search(&tenant, &asking(5)).await.unwrap();
    assert_eq!((answer.mode, answer.passing, answer.results.len()), (Mode::FullText, true, 5));
}

#[tokio::test]
async fn sources_are_of_several_documents_and_say_nothing_of_twins() {
    let town = Town::with_documents("default");
    let texts: Vec<String> = (0..20)
        .map(|n| format!("The shell of the long document, about the shell, part part{n}."))
        .collect();
    town.put_all("default", 70, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    // Twins.
    town.put("default", 71, &texts[0]);
    for searcher in town.searchers() {
        let query = "the shell of the long document";
        let request = SearchRequest::sources(query, 12, Filter::default());
        let answer = searcher.answer(&request).await.unwrap();
        let of_long = |hits: &[Hit]| hits.iter().filter(|hit| hit.document.uri == uri_of(70)).count();
        assert!(of_long(&answer.results) <= 3, "{:?}", uris(&answer.results));
        if answer.mode == Mode::FullText {
            assert_eq!(of_long(&answer.results), 3, "it has the words");
        }
        assert!(answer.next.is_none() && answer.results.iter().all(|hit| hit.also_at.is_empty()));
        // Sources are the order's hits but for those that are passed over.
        let page = searcher.answer(&SearchRequest::new(query, 100)).await.unwrap();
        assert!(of_long(&page.results) > 3 && page.results.iter().any(|hit| !hit.also_at.is_empty()));
        assert_eq!(page.results[0].text, answer.results[0].text);
    }
}

#[tokio::test]
async fn a_hit_says_where_it_is_and_how_it_was_scored() {
    let town = Town::with_documents("default");
    let text = "Paragraph number 9 about the shell has word9.";
    for (searcher, mode) in town.searchers().into_iter().zip([Mode::FullText, Mode::Hybrid]) {
        let request = SearchRequest { explain: true, ..SearchRequest::new(text, 20) };
        let answer = searcher.answer(&request).await.unwrap();
        assert_eq!((answer.mode, answer.reason.is_some()), (mode, mode == Mode::FullText));
        // By words alone, the two that only one document has leave no other.
        assert_eq!(answer.results.len(), if mode == Mode::Hybrid { 20 } else { 1 });
        for hit in &answer.results {
            let explain = hit.explain.as_ref().unwrap();
            assert!((explain.score() - hit.score).abs() < 1e-9, "{hit:?}");
            assert_eq!(explain.meaning.is_some(), mode == Mode::Hybrid);
            assert!(explain.question.contains("\"word9\""), "{explain:?}");
        }
        let best = &answer.results[0];
        let terms = &best.explain.as_ref().unwrap().terms;
        let rare = terms.iter().find(|term| term.term == "word9").unwrap();
        assert_eq!(rare.chunks, 1);
        let there = terms.iter().filter(|term| term.chunks > 0);
        assert!(there.fold(0.0, |most, term| term.rarity.max(most)) <= rare.rarity, "{terms:?}");
        assert_eq!((&best.text[..], best.page, best.start), (text, 1, 7));
        assert_eq!(best.end as usize, 7 + text.len());
        assert_eq!(best.document.title.as_deref(), Some("Document 9"));
        assert_eq!(best.document.committed_at_ms, Some(1_009));
        let plain = searcher.answer(&SearchRequest::new(text, 20)).await.unwrap();
        assert!(plain.results.iter().all(|hit| hit.explain.is_none()));
    }
}

#[tokio::test]
async fn only_what_the_filter_admits_is_found() {
    let town = Town::with_documents("default");
    let document = DocumentId::born(&TenantId::default(), &uri_of(5), 0);
    let all = |admits: &dyn Fn(usize) -> bool| {
        (0..DOCUMENTS).filter(|n| admits(*n)).map(uri_of).collect::<BTreeSet<String>>()
    };
    let german = Filter { languages: vec!["de".into()], ..Filter::default() };
    let both = Filter { media_types: vec!["text/html".into()], ..german.clone() };
    let one = Filter { documents: vec![document], ..Filter::default() };
    let reports = Filter { categories: vec!["report".into()], ..Filter::default() };
    let below = Filter { uri_prefix: Some("file:///b/".into()), ..Filter::default() };
    let late =
        Filter { committed_from_ms: Some(1_010), committed_before_ms: Some(1_020), ..Filter::default() };
    let nothing = Filter { languages: vec!["fr".into()], ..Filter::default() };
    for searcher in town.searchers() {
        let found = async |filter: &Filter| {
            let request = SearchRequest { filter: filter.clone(), ..asking(100) };
            uris(&searcher.answer(&request).await.unwrap().results)
        };
        assert_eq!(found(&german).await, all(&|n| n.is_multiple_of(3)));
        assert_eq!(found(&both).await, all(&|n| n.is_multiple_of(6)));
        assert_eq!(found(&one).await, all(&|n| n == 5));
        assert_eq!(found(&reports).await, all(&|n| n == 5));
        assert_eq!(found(&below).await, all(&|n| n >= 30));
        assert_eq!(found(&late).await, all(&|n| (10..20).contains(&n)));
        assert_eq!(found(&nothing).await, all(&|_| false));
    }
}

#[tokio::test]
async fn facets_count_documents() {
    let town = Town::with_documents("default");
    let counted = |pairs: &[(&str, u32)]| -> Vec<FacetCount> {
        pairs
            .iter()
            .map(|(value, documents)| FacetCount { value: (*value).into(), documents: *documents })
            .collect()
    };
    for searcher in town.searchers() {
        let request = SearchRequest { facets: Facet::ALL.to_vec(), ..asking(5) };
        let answer = searcher.answer(&request).await.unwrap();
        assert_eq!(answer.results.len(), 5);
        assert_eq!(answer.facets_over, Some(60));
        assert_eq!(answer.facets["language"], counted(&[("en", 40), ("de", 20)]));
        assert_eq!(answer.facets["mediaType"], counted(&[("text/html", 30), ("text/plain", 30)]));
        assert_eq!(answer.facets["category"], counted(&[("report", 1)]));
        let german = Filter { languages: vec!["de".into()], ..Filter::default() };
        let request = SearchRequest { facets: vec![Facet::Language], filter: german, ..asking(5) };
        let answer = searcher.answer(&request).await.unwrap();
        assert_eq!(answer.facets["language"], counted(&[("de", 20)]));
        assert_eq!(answer.facets.len(), 1);
        let none = searcher.answer(&asking(5)).await.unwrap();
        assert!(none.facets.is_empty() && none.facets_over.is_none());
    }
}

#[tokio::test]
async fn the_same_text_elsewhere_is_one_hit_and_said_where_the_filter_admits_it() {
    let town = Town::with_documents("default");
    let text = "The same paragraph stands here and there.";
    town.put("default", 61, text);
    town.put("default", 63, text);
    let request = SearchRequest::new(text, 3);
    for searcher in town.searchers() {
        let answer = searcher.answer(&request).await.unwrap();
        let best = &answer.results[0];
        let places: BTreeSet<String> =
            best.also_at.iter().cloned().chain([best.document.uri.clone()]).collect();
        assert_eq!(places, BTreeSet::from([uri_of(61), uri_of(63)]));
        let german = Filter { languages: vec!["de".into()], ..Filter::default() };
        let answer = searcher.answer(&SearchRequest { filter: german, ..request.clone() }).await.unwrap();
        assert_eq!(answer.results[0].document.uri, uri_of(63));
        assert!(answer.results[0].also_at.is_empty());
    }
}

#[tokio::test]
async fn each_tenant_has_its_own_and_a_switched_index_is_followed() {
    let town = Town::with_documents("a");
    town.activate("b", &town.index);
    town.put("b", 70, "Paragraph about the shell of another.");
    let search = EmbeddedSearch::new(town.readers(), Arc::new(QueryEmbedder::new(1)));
    let [a, b, nobody] = ["a", "b", "nobody"].map(|tenant| TenantId::new(tenant).unwrap());
    search.warm(&[a.clone(), nobody.clone()]).await;
    let answer = search.search(&a, &asking(100)).await.unwrap();
    assert_eq!((answer.mode, answer.results.len()), (Mode::Hybrid, DOCUMENTS));
    let answer = search.search(&b, &asking(100)).await.unwrap();
    assert_eq!((answer.mode, uris(&answer.results)), (Mode::Hybrid, BTreeSet::from([uri_of(70)])));
    let answer = search.search(&nobody, &asking(100)).await.unwrap();
    assert!(answer.results.is_empty() && answer.reason.unwrap().contains("nothing was ingested"));

    town.activate("a", &spec(NONE, 0, NONE));
    let answer = search.search(&a, &asking(100)).await.unwrap();
    assert_eq!((answer.mode, answer.results.len()), (Mode::FullText, 0));
    assert_eq!(answer.reason.as_deref(), Some("the index has no embeddings"));
    town.activate("a", &town.index);
    let answer = search.search(&a, &asking(100)).await.unwrap();
    assert_eq!((answer.mode, answer.results.len()), (Mode::Hybrid, DOCUMENTS));

    assert!(matches!(search.search(&a, &asking(0)).await, Err(Error::Wrong(wrong)) if wrong.field == "k"));
}

#[tokio::test]
async fn no_query_is_embedded_on_the_thread_that_asks() {
    let town = Town::with_documents("default");
    let threads = Arc::new(Mutex::new(Vec::new()));
    let seen = threads.clone();
    let model = Double::new(move |_: &mut Vec<String>| {
        seen.lock().unwrap().push(std::thread::current().name().unwrap_or_default().to_owned());
        Ok(())
    });
    let searcher = Searcher::open(town.readers(), TenantId::default(), Some(Arc::new(model)));
    assert_eq!(searcher.search("shell", 3).await.unwrap().mode, Mode::Hybrid);
    assert_eq!(searcher.answer(&asking(3)).await.unwrap().mode, Mode::Hybrid);
    let threads: Vec<String> = threads.lock().unwrap().clone();
    assert_eq!(threads.len(), 2);
    assert!(threads.iter().all(|name| name.starts_with("embed-")), "{threads:?}");
}

#[tokio::test]
async fn words_answer_where_the_model_fails_and_the_answer_says_so() {
    let town = Town::with_documents("default");
    let broken = Double::new(|_: &mut Vec<String>| Err(EmbeddingError::Stopped));
    let searcher = Searcher::open(town.readers(), TenantId::default(), Some(Arc::new(broken)));
    let answer = searcher.answer(&asking(3)).await.unwrap();
    assert_eq!((answer.mode, answer.results.len()), (Mode::FullText, 3));
    assert_eq!(answer.reason.as_deref(), Some("the embedding model failed"));
}
