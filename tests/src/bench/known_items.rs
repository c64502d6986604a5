//! Queries whose answer is known: sentences and headings that one place of the export alone has.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::collapsed;
use crate::command::ExportedChunk;

/// Of the queries of a language, those made from headings, at most.
const HEADINGS: usize = 15;

/// One query and where its answer is.
#[derive(Debug, Clone)]
pub(super) struct KnownItem {
    pub(super) query: String,
    pub(super) path: PathBuf,
    pub(super) page: u64,
}

/// Up to `count` queries for each folder under `root`, the same for the same export.
pub(super) fn choose(
    chunks: &[ExportedChunk],
    root: &Path,
    count: usize,
) -> BTreeMap<String, Vec<KnownItem>> {
    let texts: Vec<String> = chunks.iter().map(|chunk| collapsed(&chunk.text)).collect();
    let mut by_language: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, chunk) in chunks.iter().enumerate() {
        let inside = chunk.path.strip_prefix(root).ok();
        if let Some(first) = inside.and_then(|path| path.components().next()) {
            by_language.entry(first.as_os_str().to_string_lossy().into_owned()).or_default().push(at);
        }
    }
    let mut headings: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, chunk) in chunks.iter().enumerate() {
        if let Some(heading) = last_heading(chunk) {
            headings.entry(heading).or_default().push(at);
        }
    }
    let choose_language = |own: &[usize]| {
        let cjk = own.iter().map(|&at| texts[at].chars().filter(|&c| is_cjk(c)).count()).sum::<usize>();
        let all = own.iter().map(|&at| texts[at].chars().count()).sum::<usize>();
        let cjk = cjk * 5 > all;
        let titled = own.iter().filter_map(|&at| Some((at, last_heading(&chunks[at])?.to_owned())));
        let titled = titled.filter(|(_, heading)| is_heading(heading, cjk)).collect();
        let mut items = unique(titled, HEADINGS.min(count * 3 / 10), |at, heading| {
            let named = headings.get(heading).map_or(&[][..], Vec::as_slice);
            named.iter().all(|&other| same_place(&chunks[at], &chunks[other]))
                && only_there(chunks, &texts, at, heading)
        });
        let said = own.iter().flat_map(|&at| sentences(&texts[at], cjk).map(move |said| (at, said)));
        let rest = count - items.len();
        items.extend(unique(said.collect(), rest, |at, said| only_there(chunks, &texts, at, said)));
        items
            .into_iter()
            .map(|(at, query)| KnownItem { query, path: chunks[at].path.clone(), page: chunks[at].page })
            .collect()
    };
    by_language.into_iter().map(|(language, own)| (language, choose_language(&own))).collect()
}

/// The first `count` candidates by hash that are unique, each text once.
fn unique(
    mut candidates: Vec<(usize, String)>,
    count: usize,
    is_unique: impl Fn(usize, &str) -> bool,
) -> Vec<(usize, String)> {
    candidates.sort_by_cached_key(|(at, text)| (Sha256::digest(text.as_bytes()).to_vec(), *at));
    candidates.dedup_by(|a, b| a.1 == b.1);
    candidates.into_iter().filter(|(at, text)| is_unique(*at, text)).take(count).collect()
}

fn only_there(chunks: &[ExportedChunk], texts: &[String], at: usize, text: &str) -> bool {
    let mut others = texts.iter().zip(chunks).filter(|(said, _)| said.contains(text));
    others.all(|(_, other)| same_place(&chunks[at], other))
}

/// The same document, the same page or the next.
fn same_place(a: &ExportedChunk, b: &ExportedChunk) -> bool {
    a.path == b.path && a.page.abs_diff(b.page) <= 1
}

fn last_heading(chunk: &ExportedChunk) -> Option<&str> {
    let heading = chunk.heading.as_deref()?;
    Some(heading.rsplit(" › ").next().unwrap_or(heading).trim())
}

/// Says enough to be asked for: not "Notes", not "3.2".
fn is_heading(text: &str, cjk: bool) -> bool {
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    if cjk { letters >= 6 } else { letters >= 15 && text.split(' ').count() >= 3 }
}

/// Whole sentences of a length to ask for.
fn sentences(text: &str, cjk: bool) -> impl Iterator<Item = String> {
    let ends: &[char] = if cjk { &['。', '！', '？'] } else { &['.', '!', '?'] };
    let mut found = Vec::new();
    let mut start = 0;
    // What stands before the first end may have lost its beginning, what stands after the last its end.
    let mut whole = false;
    for (at, end) in text.match_indices(ends) {
        let after = at + end.len();
        let closed = cjk || text[after..].starts_with(' ');
        if !closed {
            continue;
        }
        let sentence = text[start..after].trim();
        if whole && is_sentence(sentence, cjk) {
            found.push(sentence.to_owned());
        }
        start = after;
        whole = true;
    }
    found.into_iter()
}

fn is_sentence(sentence: &str, cjk: bool) -> bool {
    let length = sentence.chars().count();
    let letters = sentence.chars().filter(|c| c.is_alphabetic() || *c == ' ').count();
    if cjk {
        let own = sentence.chars().filter(|&c| is_cjk(c)).count();
        return (15..=40).contains(&length) && own * 10 >= length * 7;
    }
    (40..=120).contains(&length)
        && letters * 10 >= length * 9
        && sentence.chars().next().is_some_and(char::is_uppercase)
}

fn is_cjk(c: char) -> bool {
    matches!(u32::from(c), 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(path: &str, page: u64, heading: Option<&str>, text: &str) -> ExportedChunk {
        let heading = heading.map(str::to_owned);
        let (path, text) = (PathBuf::from(path), text.to_owned());
        ExportedChunk { document: String::new(), path, page, start: 0, end: 0, heading, text }
    }

    #[test]
    fn only_what_one_place_says_is_asked() {
        let shared = "The very same sentence stands in both of these documents.";
        let own = "This one stands in the first of the documents and nowhere else.";
        let chunks = [
            chunk("/r/en/a", 1, None, &format!("Cut. {shared} {own} And so on")),
            chunk("/r/en/b", 3, None, &format!("Cut. {shared} And so on")),
        ];
        let chosen = choose(&chunks, Path::new("/r"), 10);
        let queries: Vec<_> = chosen["en"].iter().map(|item| item.query.as_str()).collect();
        assert_eq!(queries, [own]);
        assert_eq!(chosen["en"][0].page, 1);
    }

    #[test]
    fn sentences_without_spaces_are_found() {
        let text = "切れ。この文書はインストールの方法を説明するものです。終わ";
        let found: Vec<_> = sentences(text, true).collect();
        assert_eq!(found, ["この文書はインストールの方法を説明するものです。"]);
    }
}
