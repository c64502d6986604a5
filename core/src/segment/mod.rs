//! The one way from text to full-text terms, for documents and queries alike, so that every store
//! finds the same. Terms are alphanumeric only; ranking and query syntax are not decided here.

mod script;
mod stem;
mod stop;

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use crate::language::Language;

pub(crate) use script::is_cjk;
use script::{Script, is_combining, is_ignorable, script_of};
pub(crate) use stem::Stemming;
use stem::with_stem;
pub use stop::is_stop_word;

/// Longest term, in bytes; longer ones are cut, in documents and queries alike.
pub const TERM_BYTES_MAX: usize = 64;
/// Most terms of one query; what follows is ignored.
pub const QUERY_TERMS_MAX: usize = 256;

/// One word of a query.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryTerm {
    /// Any of these terms will do: the form itself first, then its stems.
    pub alternatives: Vec<String>,
    /// Whether a term that only begins with an alternative counts (a single CJK character).
    pub prefix: bool,
}

/// The terms of `text`, separated by single spaces, in reading order: each form, then its stem where
/// the language has one that differs.
pub fn segment(text: &str, language: Language) -> String {
    // Stems add about a third to English text.
    let mut terms = String::with_capacity(text.len() + text.len() / 3 + 16);
    let stemming = Stemming::of(language);
    for_each_piece(text, &mut |piece| match piece {
        Piece::Word(word) => {
            push_term(&mut terms, word);
            if let Some(stemming) = stemming
                && stemming.fits(word)
            {
                with_stem(stemming, word, |stem| push_term(&mut terms, stem));
            }
        }
        Piece::Cjk(run) => {
            let starts: Vec<usize> = run.char_indices().map(|(at, _)| at).chain([run.len()]).collect();
            for pair in starts.windows(3) {
                push_term(&mut terms, &run[pair[0]..pair[2]]);
            }
            // The last character alone: with it, every character of the run begins some term.
            push_term(&mut terms, &run[starts[starts.len() - 2]..]);
        }
    });
    terms
}

/// The terms of a query. Its language is not known, so each word brings its form and every stem that
/// its script allows.
pub fn segment_query(text: &str) -> Vec<QueryTerm> {
    let mut terms: Vec<QueryTerm> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let mut add = |term: QueryTerm| {
        if terms.len() < QUERY_TERMS_MAX && seen.insert(term.clone()) {
            terms.push(term);
        }
    };
    for_each_piece(query_sample(text), &mut |piece| match piece {
        Piece::Word(word) => {
            let mut alternatives = vec![word.to_owned()];
            for stemming in Stemming::ALL.into_iter().filter(|stemming| stemming.fits(word)) {
                with_stem(stemming, word, |stem| {
                    if !alternatives.iter().any(|known| known == stem) {
                        alternatives.push(stem.to_owned());
                    }
                });
            }
            add(QueryTerm { alternatives, prefix: false });
        }
        Piece::Cjk(run) => {
            let starts: Vec<usize> = run.char_indices().map(|(at, _)| at).chain([run.len()]).collect();
            if starts.len() == 2 {
                add(QueryTerm { alternatives: vec![run.to_owned()], prefix: true });
            }
            for pair in starts.windows(3) {
                add(QueryTerm { alternatives: vec![run[pair[0]..pair[2]].to_owned()], prefix: false });
            }
        }
    });
    terms
}

/// A query longer than this is somebody's pasted document; its beginning says what it is about.
fn query_sample(text: &str) -> &str {
    &text[..text.floor_char_boundary(16 * 1024)]
}

fn push_term(terms: &mut String, term: &str) {
    if !terms.is_empty() {
        terms.push(' ');
    }
    terms.push_str(term);
}

/// What the text falls into, folded already.
pub(crate) enum Piece<'a> {
    /// A word of a script that separates words; not empty, at most [`TERM_BYTES_MAX`].
    Word(&'a str),
    /// A run of CJK characters; not empty.
    Cjk(&'a str),
}

/// Calls `emit` with every piece of `text` in order.
///
/// Text is cut at ASCII characters that are neither letters nor digits. What lies between is either
/// pure ASCII, which needs only its case folded, or takes the long way through NFKC and UAX #29.
pub(crate) fn for_each_piece(text: &str, emit: &mut impl FnMut(Piece<'_>)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut buffer = [0u8; TERM_BYTES_MAX];
    while at < bytes.len() {
        if bytes[at].is_ascii() && !bytes[at].is_ascii_alphanumeric() {
            at += 1;
            continue;
        }
        let start = at;
        let mut ascii = true;
        while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || !bytes[at].is_ascii()) {
            ascii &= bytes[at].is_ascii();
            if at - start < TERM_BYTES_MAX {
                buffer[at - start] = bytes[at].to_ascii_lowercase();
            }
            at += 1;
        }
        if !ascii {
            let run = &text[start..at];
            pieces_of_mixed(run, emit);
        } else if !is_clitic(bytes, start, at) {
            let length = (at - start).min(TERM_BYTES_MAX);
            let word =
                std::str::from_utf8(&buffer[..length]).expect("only ASCII letters and digits got here");
            emit(Piece::Word(word));
        }
    }
}

/// The `s` of "it's" and its like, which would match every text.
fn is_clitic(bytes: &[u8], start: usize, end: usize) -> bool {
    let after_apostrophe =
        start >= 2 && bytes[start - 1] == b'\'' && bytes[start - 2].is_ascii_alphanumeric();
    after_apostrophe
        && matches!(
            bytes[start..end].to_ascii_lowercase().as_slice(),
            b"s" | b"t" | b"d" | b"m" | b"ll" | b"re" | b"ve"
        )
}

fn pieces_of_mixed(run: &str, emit: &mut impl FnMut(Piece<'_>)) {
    let folded = fold(run);
    let mut rest: &str = &folded;
    while let Some(first) = rest.chars().next() {
        let cjk = is_cjk(first);
        let end = rest.find(|c| is_cjk(c) != cjk).unwrap_or(rest.len());
        let (piece, tail) = rest.split_at(end);
        rest = tail;
        if cjk {
            emit(Piece::Cjk(piece));
            continue;
        }
        // UAX #29 keeps "1.5" and "l’ami" whole; terms hold letters and digits only.
        for word in piece.unicode_words() {
            for part in word.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()) {
                emit(Piece::Word(&part[..part.floor_char_boundary(TERM_BYTES_MAX)]));
            }
        }
    }
}

/// NFKC, lower case, and the few folds beyond it that make words equal to a reader.
pub(crate) fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Cow::Owned(text.to_ascii_lowercase());
        }
        return Cow::Borrowed(text);
    }
    let mut folded = String::with_capacity(text.len());
    for c in text.nfkc().flat_map(char::to_lowercase) {
        match c {
            'ß' => folded.push_str("ss"),
            'ς' => folded.push('σ'),
            'ё' => folded.push('е'),
            c if is_ignorable(c) || is_combining(c) => {}
            c => folded.push(c),
        }
    }
    // Lower case can decompose ("İ"); compose again, so that folding twice changes nothing.
    if unicode_normalization::is_nfkc_quick(folded.chars()) == unicode_normalization::IsNormalized::Yes {
        return Cow::Owned(folded);
    }
    Cow::Owned(folded.nfkc().collect())
}

/// Whether the word is Latin or Cyrillic, for [`Stemming::fits`].
fn script_of_word(word: &str) -> Option<Script> {
    word.chars().find_map(script_of)
}

#[cfg(test)]
mod tests;
