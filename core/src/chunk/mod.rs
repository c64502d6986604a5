//! Chunking by structure: pages to chunks of bounded size that begin where the text itself suggests.
//!
//! A page is cut like a treap: while a segment is too long, it is cut at the candidate of the highest
//! class (heading, block, sentence, word), among equals at the one whose surrounding text has the
//! highest hash. A cut depends on the text around it and not on what came before, so a sentence put
//! in near the start changes the chunks around it and no others.

use serde::{Deserialize, Serialize};

use crate::page::{BLOCK_SEPARATOR, Block, BlockKind, Page};

mod candidates;
mod contents;

pub use contents::is_contents;

use candidates::{Candidate, Class};

/// Sizes of chunks, in bytes of UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChunkerConfig {
    /// No cut leaves less than this on a side, where there is any other.
    pub min_bytes: usize,
    /// No chunk is longer. A chunk of English this long is about 500 tokens, as many as the built-in
    /// model reads.
    pub max_bytes: usize,
}

impl Default for ChunkerConfig {
    fn default() -> Self {
        Self { min_bytes: 400, max_bytes: 2_400 }
    }
}

impl ChunkerConfig {
    /// What an index remembers of its chunker: another rule or another size is another index.
    pub fn fingerprint(&self) -> String {
        format!("structure-1-{}-{}", self.min_bytes, self.max_bytes)
    }
}

/// A piece of one page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Place in the document, from 0.
    pub ordinal: u32,
    /// Page, from 1.
    pub page: u32,
    /// The headings it stands under, outermost first, joined by ` › `.
    pub heading: Option<String>,
    /// Offset of its first byte in [`Page::text`].
    pub start: u32,
    /// Offset behind its last byte in [`Page::text`].
    pub end: u32,
    /// Its text: exactly those bytes.
    pub text: String,
}

/// Longest heading path, in bytes.
const HEADING_BYTES_MAX: usize = 300;
/// Depth from which segments are halved: bounds the work on text without distinct candidates.
const DEPTH_MAX: u32 = 64;

/// Turns pages, in order, into chunks. Headings are remembered across pages.
#[derive(Debug)]
pub struct Chunker {
    config: ChunkerConfig,
    next_ordinal: u32,
    headings: Vec<(u8, String)>,
}

impl Chunker {
    /// A chunker at the start of a document.
    pub fn new(config: ChunkerConfig) -> Self {
        Self { config, next_ordinal: 0, headings: Vec::new() }
    }

    /// The chunks of the next page; none spans two pages.
    pub fn push(&mut self, page: &Page) -> Vec<Chunk> {
        let text = page.text();
        let outline = Outline::of(page, &mut self.headings);
        let candidates = candidates::of_page(page, &text);
        let mut cuts = Vec::new();
        cut(&self.config, &candidates, 0..text.len(), 0, &mut cuts);
        cuts.push(text.len());
        let mut chunks = Vec::with_capacity(cuts.len());
        let mut from = 0;
        for to in cuts {
            for (start, end) in pieces(&text, from, to, self.config.max_bytes) {
                chunks.push(Chunk {
                    ordinal: self.next_ordinal,
                    page: page.number,
                    heading: outline.at(start),
                    start: start as u32,
                    end: end as u32,
                    text: text[start..end].to_owned(),
                });
                self.next_ordinal += 1;
            }
            from = to;
        }
        chunks
    }
}

/// The range without white space at its ends; `None` where nothing is left.
fn trimmed(text: &str, from: usize, to: usize) -> Option<(usize, usize)> {
    let part = &text[from..to];
    let start = from + (part.len() - part.trim_start().len());
    let end = from + part.trim_end().len();
    (start < end).then_some((start, end))
}

/// A segment as it becomes a chunk. One in which nothing is a place to cut, as a run of headings, may still be too long:
/// it becomes several, each ending before a word if that leaves at least half of what fits.
fn pieces(text: &str, from: usize, to: usize, max_bytes: usize) -> Vec<(usize, usize)> {
    let mut pieces = Vec::new();
    let mut rest = trimmed(text, from, to);
    while let Some((start, end)) = rest {
        if end - start <= max_bytes {
            pieces.push((start, end));
            break;
        }
        let most = text.floor_char_boundary(start + max_bytes);
        let least = text.floor_char_boundary(start + max_bytes / 2);
        let word = text[least..most].rfind(char::is_whitespace).map(|at| least + at);
        // One character may be longer than a chunk of a few bytes.
        let cut = word.unwrap_or(most).max(text.ceil_char_boundary(start + 1));
        pieces.extend(trimmed(text, start, cut));
        rest = trimmed(text, cut, end);
    }
    pieces
}

/// Cuts a segment as often as it takes, in order. `candidates` are those inside it.
fn cut(
    config: &ChunkerConfig,
    candidates: &[Candidate],
    segment: std::ops::Range<usize>,
    depth: u32,
    cuts: &mut Vec<usize>,
) {
    let length = segment.len();
    let too_long = length > config.max_bytes;
    let eligible = |min: usize| {
        let low = segment.start + min;
        let high = segment.end.saturating_sub(min);
        let first = candidates.partition_point(|candidate| candidate.at < low);
        let last = candidates.partition_point(|candidate| candidate.at <= high);
        first..last.max(first)
    };
    // A segment that two chunks will do for is cut near its middle, so that none is tiny.
    let even = if length <= 2 * config.max_bytes { length / 3 } else { config.min_bytes };
    let mut range = eligible(even.max(config.min_bytes));
    if best_class(&candidates[range.clone()]) < best_class(&candidates[eligible(config.min_bytes)]) {
        range = eligible(config.min_bytes);
    }
    if !too_long {
        // Short enough; still, sections that can stand alone do.
        let headings = eligible(config.min_bytes);
        if best_class(&candidates[headings.clone()]).is_none_or(|class| class < Class::Heading) {
            return;
        }
        range = headings;
    }
    if range.is_empty() {
        range = eligible(1);
    }
    let Some(chosen) = choose(candidates, range, &segment, depth) else { return };
    let at = candidates[chosen].at;
    cut(config, &candidates[..chosen], segment.start..at, depth + 1, cuts);
    cuts.push(at);
    cut(config, &candidates[chosen + 1..], at..segment.end, depth + 1, cuts);
}

fn best_class(candidates: &[Candidate]) -> Option<Class> {
    candidates.iter().map(|candidate| candidate.class).max()
}

/// The candidate of the highest class, then hash, then nearest the middle.
fn choose(
    candidates: &[Candidate],
    range: std::ops::Range<usize>,
    segment: &std::ops::Range<usize>,
    depth: u32,
) -> Option<usize> {
    let middle = segment.start + segment.len() / 2;
    if depth >= DEPTH_MAX {
        return range.min_by_key(|&i| candidates[i].at.abs_diff(middle));
    }
    range.max_by_key(|&i| {
        let candidate = candidates[i];
        (candidate.class, candidate.hash, std::cmp::Reverse(candidate.at.abs_diff(middle)))
    })
}

/// Which headings hold where on a page.
struct Outline {
    /// (offset from which it holds, path), ascending.
    paths: Vec<(usize, Option<String>)>,
}

impl Outline {
    fn of(page: &Page, headings: &mut Vec<(u8, String)>) -> Self {
        let mut paths = vec![(0, path_of(headings))];
        let mut offset = 0;
        for block in &page.blocks {
            if let Block { kind: BlockKind::Heading(level), text } = block {
                headings.retain(|(outer, _)| outer < level);
                headings.push((*level, text.split_whitespace().collect::<Vec<_>>().join(" ")));
                paths.push((offset, path_of(headings)));
            }
            offset += block.text.len() + BLOCK_SEPARATOR.len();
        }
        Self { paths }
    }

    fn at(&self, offset: usize) -> Option<String> {
        let holding = self.paths.partition_point(|(from, _)| *from <= offset);
        self.paths[holding - 1].1.clone()
    }
}

/// The path, cut at its front: the innermost heading says most.
fn path_of(headings: &[(u8, String)]) -> Option<String> {
    let mut path = String::new();
    for (_, heading) in headings.iter().rev() {
        let longer = if path.is_empty() { heading.clone() } else { format!("{heading} › {path}") };
        if longer.len() > HEADING_BYTES_MAX {
            break;
        }
        path = longer;
    }
    if path.is_empty() {
        let (_, innermost) = headings.last()?;
        let end =
            (0..=HEADING_BYTES_MAX.min(innermost.len())).rev().find(|&i| innermost.is_char_boundary(i))?;
        path = innermost[..end].to_owned();
    }
    (!path.is_empty()).then_some(path)
}

#[cfg(test)]
mod tests;
