//! Snowball stems behind a small cache, since a stem costs more than the rest of a word's handling.

use std::cell::RefCell;

use rust_stemmers::{Algorithm, Stemmer};

use super::script::Script;
use super::script_of_word;
use crate::language::Language;

/// The languages that have stems here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stemming {
    English,
    German,
    Russian,
}

impl Stemming {
    pub(crate) const ALL: [Self; 3] = [Self::English, Self::German, Self::Russian];

    pub(crate) fn of(language: Language) -> Option<Self> {
        match language {
            Language::EN => Some(Self::English),
            Language::DE => Some(Self::German),
            Language::RU => Some(Self::Russian),
            _ => None,
        }
    }

    /// Whether a folded word is in this language's script, and a word at all.
    pub(crate) fn fits(self, word: &str) -> bool {
        // Stems of shorter words are the words; "4k" and "sha256" are names.
        if word.len() < 3 || word.bytes().any(|byte| byte.is_ascii_digit()) {
            return false;
        }
        let script = if word.is_ascii() { Some(Script::Latin) } else { script_of_word(word) };
        match self {
            Self::English | Self::German => script == Some(Script::Latin),
            Self::Russian => script == Some(Script::Cyrillic),
        }
    }

    fn stem(self, word: &str) -> String {
        let algorithm = match self {
            Self::English => Algorithm::English,
            Self::German => Algorithm::German,
            Self::Russian => Algorithm::Russian,
        };
        let stem = Stemmer::create(algorithm).stem(word).into_owned();
        // Terms are alphanumeric by contract, whatever a stemmer makes of a strange word.
        if stem.is_empty() || !stem.chars().all(char::is_alphanumeric) { word.to_owned() } else { stem }
    }
}

struct Entry {
    stemming: Stemming,
    word: Box<str>,
    /// `None`: the word is its own stem.
    stem: Option<Box<str>>,
}

/// Slots of the cache: a chapter's vocabulary, at about 100 bytes each.
const SLOTS: usize = 4_096;

thread_local! {
    // A memo of a pure function: what it holds never shows in a result. Direct-mapped, so bounded.
    static CACHE: RefCell<Vec<Option<Entry>>> = const { RefCell::new(Vec::new()) };
}

/// Calls `emit` with the stem of a folded word, if it differs from the word.
pub(crate) fn with_stem(stemming: Stemming, word: &str, emit: impl FnOnce(&str)) {
    CACHE.with_borrow_mut(|cache| {
        if cache.is_empty() {
            cache.resize_with(SLOTS, || None);
        }
        let slot = &mut cache[slot_of(stemming, word)];
        let hit = slot.as_ref().is_some_and(|entry| entry.stemming == stemming && *entry.word == *word);
        if !hit {
            let stem = stemming.stem(word);
            let stem = (stem != word).then(|| stem.into_boxed_str());
            *slot = Some(Entry { stemming, word: word.into(), stem });
        }
        if let Some(stem) = slot.as_ref().and_then(|entry| entry.stem.as_deref()) {
            emit(stem);
        }
    });
}

fn slot_of(stemming: Stemming, word: &str) -> usize {
    let mut hash = 0x9e37_79b9_7f4a_7c15_u64 ^ stemming as u64;
    for part in word.as_bytes().chunks(8) {
        let mut bytes = [0; 8];
        bytes[..part.len()].copy_from_slice(part);
        hash = (hash.rotate_left(5) ^ u64::from_le_bytes(bytes)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    (hash >> 40) as usize % SLOTS
}
