//! Samples in five languages, and what holds for any text.

use proptest::prelude::*;

use super::*;

fn names(text: &str, language: Language) -> Vec<String> {
    extract(text, language).into_iter().map(|mention| mention.canonical_name).collect()
}

#[track_caller]
fn check(text: &str, language: Language, expected: &[&str], absent: &[&str]) {
    let names = names(text, language);
    for name in expected {
        assert!(names.iter().any(|found| found == name), "{name} is not in {names:?}");
    }
    for name in absent {
        assert!(!names.iter().any(|found| found == name), "{name} is in {names:?}");
    }
}

#[test]
fn english() {
    let text = "The European Central Bank raised interest rates in Frankfurt. Interest rates matter to banks. \
        Researchers at the University of Oxford use neural networks. A neural network needs GPUs; GPUs are \
        expensive. See https://example.org/neural/Path and mail Bob.Jones@example.org on 2024-01-02 for 16GB. \
        libpdf links SQLite3 and reads /etc/passwd with read_page in C++.";
    check(
        text,
        Language::EN,
        &[
            "european central bank",
            "frankfurt",
            "interest rate",
            "university of oxford",
            "neural network",
            "gpu",
            "sqlite3",
            "etc/passwd",
            "read_page",
            "c++",
        ],
        &["the", "researcher", "neural", "2024-01-02", "16gb", "see", "example.org", "path"],
    );
}

#[test]
fn definitions_join_their_short_forms() {
    let text = "The Portable Document Format (PDF) is old. A PDF holds pages. Most PDFs are fine. The World Health \
        Organization (WHO) said so.";
    let mentions = extract(text, Language::EN);
    let pdf = &mentions[0];
    assert_eq!(pdf.canonical_name, "portable document format");
    assert_eq!(
        (pdf.display.as_str(), pdf.kind, pdf.count),
        ("Portable Document Format", ConceptKind::Name, 4)
    );
    check(text, Language::EN, &["world health organization"], &["pdf", "who"]);
}

#[test]
fn headings_in_capitals_are_ordinary_words() {
    check(
        "GENERAL TERMS AND CONDITIONS\n\nThe NASA said so.",
        Language::EN,
        &["nasa"],
        &["general", "terms"],
    );
    check("General. General. Of course we use Kubernetes.", Language::EN, &["kubernetes"], &["of course"]);
}

#[test]
fn german() {
    let text = "Die Bundesregierung und Angela Merkel verhandelten in Berlin mit der Europäischen Union. Der Vertrag \
        wurde unterschrieben, und der Vertrag gilt. Das Haus war leer. Die Europäische Zentralbank (EZB) schwieg; \
        die EZB wartet auf die Bundesregierung.";
    check(
        text,
        Language::DE,
        &["angela merkel", "europäischen union", "bundesregierung", "vertrag", "europäische zentralbank"],
        &["haus", "ezb", "der", "die"],
    );
}

#[test]
fn russian() {
    let text = "Компания «Яндекс» открыла офис в Санкт-Петербурге. Владимир Набоков родился в России. Нейронная сеть \
        учится; нейронная сеть работает. ООН согласилась с этим.";
    check(
        text,
        Language::RU,
        &["яндекс", "санкт-петербурге", "владимир набоков", "нейронная сеть", "оон"],
        &["в", "этим"],
    );
}

#[test]
fn japanese() {
    let text = "国際連合は本部をニューヨークに置く。機械学習モデルはデータベースとPostgreSQLを使う。三十日に東京で。";
    check(
        text,
        Language::JA,
        &["国際連合", "本部", "ニューヨーク", "機械学習", "データベース", "postgresql", "東京"],
        &["三十日", "使"],
    );
}

#[test]
fn chinese() {
    let text =
        "人工智能正在改变中国。人工智能的发展很快,中国的数据库也在发展。数据库使用Rust和数据库技术。";
    check(
        text,
        Language::ZH,
        &["人工智能", "中国", "数据库", "发展", "rust"],
        &["人工", "工智能", "数据", "的发"],
    );
}

#[test]
fn korean() {
    check("데이터베이스는 빠르다. 데이터베이스를 쓴다.", Language::KO, &["데이터베이스"], &["빠르다"]);
}

#[test]
fn nothing_comes_of_nothing() {
    for text in ["", " ", "1 2 3", "a b c", "https://example.org", "and or the", "()", "...", "12.5 % 3 km"]
    {
        assert_eq!(names(text, Language::UND), Vec::<String>::new(), "{text}");
    }
}

fn language() -> impl Strategy<Value = Language> {
    proptest::sample::select(vec![Language::UND, Language::EN, Language::DE, Language::JA, Language::ZH])
}

proptest! {
    #[test]
    fn any_text_is_fine(text in "(.{0,40}|[A-Za-z0-9_./+#@:' \n-]{0,40}|[的人工智能データ국어. ]{0,30}){0,5}", language in language()) {
        let mentions = extract(&text, language);
        prop_assert!(mentions.len() <= MENTIONS_MAX);
        prop_assert_eq!(&extract(&text, language), &mentions);
        for mention in mentions {
            prop_assert!(!mention.canonical_name.is_empty() && !mention.display.is_empty());
            prop_assert!(mention.canonical_name.len() <= NAME_BYTES_MAX && mention.count >= 1);
            prop_assert_eq!(normalise(&mention.canonical_name), mention.canonical_name);
        }
    }
}

/// Run by hand: `cargo test --release -p docmill-core concept -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn four_kilobytes_take_a_quarter_of_a_millisecond() {
    let samples = [
        (
            "en",
            "Researchers at the University of Oxford use neural networks to read documents; the European Central \
            Bank (ECB) raised interest rates, and SQLite3 stored every result of the long computation quietly. ",
        ),
        (
            "ru",
            "Компания открыла новый офис в Москве, и нейронная сеть учится читать документы быстрее людей. ",
        ),
        ("zh", "人工智能正在改变中国的数据库技术,研究人员使用大规模语言模型处理文档并且提高搜索质量。"),
        ("ja", "国際連合は本部をニューヨークに置く。機械学習モデルはデータベースを使う。"),
    ];
    for (code, sample) in samples {
        let mut text = String::new();
        let mut word = 0u32;
        while text.len() < 4096 {
            text.push_str(sample);
            text.push_str(&format!("word{} ", char::from(b'a' + (word % 26) as u8)));
            word += 1;
        }
        let language = Language::parse(code).expect("a tag");
        let started = std::time::Instant::now();
        for _ in 0..1000 {
            std::hint::black_box(extract(std::hint::black_box(&text), language));
        }
        println!("{code}: {:?}", started.elapsed() / 1000);
    }
}
