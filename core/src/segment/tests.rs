use proptest::prelude::*;

use super::*;

fn check(text: &str, language: Language, expected: &str) {
    assert_eq!(segment(text, language), expected, "{text}");
}

#[test]
fn documents_become_terms() {
    check("", Language::EN, "");
    check("Running runs", Language::EN, "running run runs run");
    check("Running", Language::UND, "running");
    check("Die Häuser der Straße", Language::DE, "die häuser haus der strasse strass");
    check("Новые книги ёлка", Language::RU, "новые нов книги книг елка елк");
    check("foo_bar v1.2 user@x.org", Language::UND, "foo bar v1 2 user x org");
    check("it's John's don't", Language::UND, "it john don");
    check("ＡＢＣ１２ ｶﾀｶﾅ", Language::UND, "abc12 カタ タカ カナ ナ");
    check("東京都", Language::JA, "東京 京都 都");
    check("犬", Language::JA, "犬");
    check("Rust入門2版", Language::JA, "rust 入門 門 2 版");
    check("サーバー2台", Language::JA, "サー ーバ バー ー 2 台");
    check("한국어 문장", Language::KO, "한국 국어 어 문장 장");
    check("So\u{ad}lar e\u{301}te\u{301} İstanbul", Language::UND, "solar été istanbul");
    check("naïve—café…end", Language::UND, "naïve café end");
}

fn query(text: &str) -> Vec<String> {
    segment_query(text)
        .into_iter()
        .map(|term| term.alternatives.join("|") + if term.prefix { "*" } else { "" })
        .collect()
}

#[test]
fn queries_bring_every_stem_their_script_allows() {
    assert_eq!(query("houses Houses"), ["houses|hous"]);
    assert_eq!(query("книги"), ["книги|книг"]);
    assert_eq!(query("東京都"), ["東京", "京都"]);
    assert_eq!(query("京"), ["京*"]);
    assert!(query("  ?! ").is_empty());
    assert_eq!(query(&(0..1000).map(|n| format!("w{n} ")).collect::<String>()).len(), QUERY_TERMS_MAX);
}

/// What a store does with a term, for one space-separated list of terms.
fn matches(terms: &str, term: &QueryTerm) -> bool {
    terms.split(' ').any(|stored| {
        term.alternatives
            .iter()
            .any(|wanted| if term.prefix { stored.starts_with(wanted) } else { stored == wanted })
    })
}

#[test]
fn inflected_queries_find_documents() {
    let cases = [
        ("The runner was running", Language::EN, "runs running"),
        ("Die Verträge wurden gekündigt", Language::DE, "Vertrage"),
        ("в новых книгах", Language::RU, "книги"),
        ("国際連合は本部を置く", Language::JA, "連合"),
        ("国際連合は本部を置く", Language::JA, "部"),
    ];
    for (text, language, wanted) in cases {
        let terms = segment(text, language);
        for term in segment_query(wanted) {
            assert!(matches(&terms, &term), "{wanted} in {terms}");
        }
    }
}

#[test]
fn stop_words_are_folded_already() {
    assert!(is_stop_word("the") && is_stop_word("und") && is_stop_word("что"));
    assert!(!is_stop_word("contract"));
}

proptest! {
    #[test]
    fn terms_are_bounded_and_alphanumeric(text in any::<String>(), which in 0usize..4) {
        let language = [Language::EN, Language::DE, Language::RU, Language::UND][which];
        let terms = segment(&text, language);
        for term in terms.split(' ').filter(|_| !terms.is_empty()) {
            prop_assert!(!term.is_empty() && term.len() <= TERM_BYTES_MAX, "{:?}", term);
            prop_assert!(term.chars().all(char::is_alphanumeric), "{:?}", term);
        }
    }

    #[test]
    fn a_text_is_found_by_its_own_words(text in "[a-zA-ZäöüßéА-яё東京都カナ한국 .,'0-9-]{0,60}") {
        let terms = segment(&text, Language::EN);
        for term in segment_query(&text) {
            prop_assert!(matches(&terms, &term), "{:?} in {:?}", term, terms);
        }
    }

    #[test]
    fn folding_twice_changes_nothing(text in any::<String>()) {
        let once = fold(&text).into_owned();
        prop_assert_eq!(fold(&once).into_owned(), once.clone());
    }
}
