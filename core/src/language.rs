//! Tells which language a chunk is written in, so that stems fit. Guesses from a bounded sample; it
//! does not translate and keeps no state.

use std::fmt;

use serde::{Deserialize, Serialize};
use whatlang::Lang;

/// A language tag: ISO 639-1 where there is one (`en`), else ISO 639-3, or `und` for unknown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Language([u8; 3]);

/// A tag that is not two or three lowercase ASCII letters.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("language tag {0:?} is not two or three lowercase letters")]
pub struct InvalidLanguage(pub String);

impl Language {
    /// Not known.
    pub const UND: Self = Self(*b"und");
    /// English.
    pub const EN: Self = Self(*b"en\0");
    /// German.
    pub const DE: Self = Self(*b"de\0");
    /// Russian.
    pub const RU: Self = Self(*b"ru\0");
    /// Japanese.
    pub const JA: Self = Self(*b"ja\0");
    /// Chinese.
    pub const ZH: Self = Self(*b"zh\0");
    /// Korean.
    pub const KO: Self = Self(*b"ko\0");

    /// The tag as text.
    pub fn code(&self) -> &str {
        let bytes = if self.0[2] == 0 { &self.0[..2] } else { &self.0[..] };
        std::str::from_utf8(bytes).expect("a tag holds only ASCII letters, checked where it is made")
    }

    /// The language with this tag.
    pub fn parse(code: &str) -> Option<Self> {
        let bytes = code.as_bytes();
        if !(2..=3).contains(&bytes.len()) || !bytes.iter().all(u8::is_ascii_lowercase) {
            return None;
        }
        let mut tag = [0; 3];
        tag[..bytes.len()].copy_from_slice(bytes);
        Some(Self(tag))
    }
}

impl Default for Language {
    fn default() -> Self {
        Self::UND
    }
}

impl TryFrom<String> for Language {
    type Error = InvalidLanguage;
    fn try_from(code: String) -> Result<Self, InvalidLanguage> {
        Self::parse(&code).ok_or(InvalidLanguage(code))
    }
}

impl From<Language> for String {
    fn from(language: Language) -> Self {
        language.code().to_owned()
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A guess.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detected {
    /// The most likely language.
    pub language: Language,
    /// How sure that is, from 0 (no idea) to 1.
    pub confidence: f32,
}

/// Bytes whose scripts are counted.
const SCRIPT_SAMPLE_BYTES: usize = 2_048;
/// Bytes that trigrams are counted over: a few sentences are enough, and more costs over 60 µs.
const TRIGRAM_SAMPLE_BYTES: usize = 480;
/// Letters from which on a guess counts in full; fewer lower the confidence in proportion.
const LETTERS_SURE: f32 = 60.0;
/// One CJK character says about as much as this many letters.
const CJK_WEIGHT: u32 = 3;

#[derive(Default)]
struct Scripts {
    kana: u32,
    han: u32,
    hangul: u32,
    other: u32,
}

/// Guesses the language from the beginning of `text`.
pub fn detect(text: &str) -> Detected {
    let sample = prefix(text, SCRIPT_SAMPLE_BYTES);
    let scripts = count_scripts(sample);
    let cjk = scripts.kana + scripts.han + scripts.hangul;
    if cjk > 0 && cjk * CJK_WEIGHT >= scripts.other {
        return detect_cjk(&scripts);
    }
    if scripts.other == 0 {
        return Detected { language: Language::UND, confidence: 0.0 };
    }
    match detector().detect(prefix(sample.trim_start(), TRIGRAM_SAMPLE_BYTES)) {
        Some(info) => {
            // Not `info.is_reliable()`: it is a threshold, and callers choose their own.
            let enough = (scripts.other as f32 / LETTERS_SURE).min(1.0);
            let confidence = (info.confidence() as f32 * enough).clamp(0.0, 1.0);
            Detected { language: from_whatlang(info.lang()), confidence }
        }
        None => Detected { language: Language::UND, confidence: 0.0 },
    }
}

/// Told to choose among languages that people have piles of documents in: each further one costs time
/// on every chunk and is one more that a table of options may be mistaken for.
fn detector() -> &'static whatlang::Detector {
    static DETECTOR: std::sync::OnceLock<whatlang::Detector> = std::sync::OnceLock::new();
    DETECTOR.get_or_init(|| whatlang::Detector::with_allowlist(CANDIDATES.to_vec()))
}

#[rustfmt::skip]
const CANDIDATES: &[Lang] = &[
    Lang::Eng, Lang::Deu, Lang::Fra, Lang::Spa, Lang::Por, Lang::Ita, Lang::Nld, Lang::Swe, Lang::Dan, Lang::Nob,
    Lang::Fin, Lang::Pol, Lang::Ces, Lang::Slk, Lang::Hun, Lang::Ron, Lang::Tur, Lang::Vie, Lang::Ind, Lang::Hrv,
    Lang::Rus, Lang::Ukr, Lang::Bul, Lang::Srp, Lang::Ell, Lang::Ara, Lang::Heb, Lang::Hin, Lang::Tha,
    Lang::Jpn, Lang::Cmn, Lang::Kor,
];

fn detect_cjk(scripts: &Scripts) -> Detected {
    let cjk = scripts.kana + scripts.han + scripts.hangul;
    // Kana is written only in Japanese, but a Chinese text may quote a name: one in fifty is enough.
    let language = if scripts.hangul > scripts.kana + scripts.han {
        Language::KO
    } else if scripts.kana * 50 >= cjk && scripts.kana > 0 {
        Language::JA
    } else {
        Language::ZH
    };
    let share = (cjk * CJK_WEIGHT) as f32 / (cjk * CJK_WEIGHT + scripts.other) as f32;
    let enough = ((cjk * CJK_WEIGHT) as f32 / LETTERS_SURE).min(1.0);
    Detected { language, confidence: (share * enough).clamp(0.0, 1.0) }
}

fn count_scripts(sample: &str) -> Scripts {
    let mut scripts = Scripts::default();
    for c in sample.chars() {
        match c {
            'a'..='z' | 'A'..='Z' => scripts.other += 1,
            '\u{3041}'..='\u{30fa}' | '\u{30fc}'..='\u{30ff}' | '\u{ff66}'..='\u{ff9f}' => {
                scripts.kana += 1
            }
            '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' => {
                scripts.han += 1
            }
            '\u{ac00}'..='\u{d7af}' | '\u{1100}'..='\u{11ff}' => scripts.hangul += 1,
            c if !c.is_ascii() && c.is_alphabetic() => scripts.other += 1,
            _ => {}
        }
    }
    scripts
}

fn prefix(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// ISO 639-1 of the languages that have one; whatlang speaks ISO 639-3.
fn from_whatlang(lang: Lang) -> Language {
    let code = match lang.code() {
        "eng" => "en",
        "deu" => "de",
        "rus" => "ru",
        "jpn" => "ja",
        "cmn" => "zh",
        "kor" => "ko",
        "fra" => "fr",
        "spa" => "es",
        "por" => "pt",
        "ita" => "it",
        "nld" => "nl",
        "pol" => "pl",
        "ukr" => "uk",
        "bel" => "be",
        "bul" => "bg",
        "srp" => "sr",
        "hrv" => "hr",
        "slv" => "sl",
        "slk" => "sk",
        "ces" => "cs",
        "hun" => "hu",
        "ron" => "ro",
        "ell" => "el",
        "tur" => "tr",
        "aze" => "az",
        "uzb" => "uz",
        "tuk" => "tk",
        "ara" => "ar",
        "heb" => "he",
        "yid" => "yi",
        "pes" => "fa",
        "urd" => "ur",
        "hin" => "hi",
        "ben" => "bn",
        "mar" => "mr",
        "guj" => "gu",
        "pan" => "pa",
        "tam" => "ta",
        "tel" => "te",
        "kan" => "kn",
        "mal" => "ml",
        "ori" => "or",
        "nep" => "ne",
        "sin" => "si",
        "mya" => "my",
        "khm" => "km",
        "tha" => "th",
        "vie" => "vi",
        "ind" => "id",
        "jav" => "jv",
        "tgl" => "tl",
        "fin" => "fi",
        "est" => "et",
        "lav" => "lv",
        "lit" => "lt",
        "swe" => "sv",
        "dan" => "da",
        "nob" => "nb",
        "cat" => "ca",
        "afr" => "af",
        "epo" => "eo",
        "lat" => "la",
        "mkd" => "mk",
        "hye" => "hy",
        "kat" => "ka",
        "amh" => "am",
        "zul" => "zu",
        "sna" => "sn",
        "aka" => "ak",
        "cym" => "cy",
        other => other,
    };
    Language::parse(code).unwrap_or(Language::UND)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn common_languages_are_told_apart() {
        let cases = [
            (
                "en",
                "The quick brown fox jumps over the lazy dog, and then it goes home to sleep for the night.",
            ),
            (
                "de",
                "Der schnelle braune Fuchs springt über den faulen Hund und geht dann nach Hause, um zu schlafen.",
            ),
            (
                "ru",
                "Быстрая коричневая лисица прыгает через ленивую собаку и потом идёт домой спать до утра.",
            ),
            ("ja", "これは日本語の文章です。文書を取り込み、検索できるようにします。"),
            ("zh", "这是一个中文句子。我们读取文件，然后建立索引以便搜索。"),
            ("ko", "이것은 한국어 문장입니다. 문서를 읽고 검색할 수 있게 합니다."),
            (
                "fr",
                "Le renard brun rapide saute par-dessus le chien paresseux et rentre ensuite à la maison.",
            ),
        ];
        for (code, text) in cases {
            let found = detect(text);
            assert_eq!(found.language.code(), code, "{text}");
            assert!(found.confidence > 0.3, "{code} {}", found.confidence);
        }
    }

    #[test]
    fn short_or_empty_text_is_unsure() {
        assert_eq!(detect("").language, Language::UND);
        assert_eq!(detect("123 456 --").language, Language::UND);
        assert!(detect("ok").confidence < 0.3);
        assert!(detect("本").confidence < 0.3);
    }

    #[test]
    fn tags_survive_serde_and_bad_ones_are_refused() {
        assert_eq!(serde_json::to_string(&Language::EN).unwrap(), "\"en\"");
        assert_eq!(serde_json::from_str::<Language>("\"und\"").unwrap(), Language::UND);
        for bad in ["", "e", "EN", "engl", "日"] {
            assert_eq!(Language::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_language_of_the_model_has_a_tag() {
        for &lang in Lang::all() {
            assert_ne!(from_whatlang(lang), Language::UND, "{lang:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_confidence_in_range(text in "\\PC{0,400}") {
            let found = detect(&text);
            prop_assert!((0.0..=1.0).contains(&found.confidence));
        }
    }
}
