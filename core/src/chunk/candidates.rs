//! Where a page may be cut, and how well: found by looking at blocks and characters, in one pass.

use crate::page::{BLOCK_SEPARATOR, BlockKind, Page};

/// How good a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Between two characters: only where there is nothing else for long.
    Character,
    /// Before a word.
    Word,
    /// Before a sentence, a line of code or a row of a table.
    Sentence,
    /// Before a block.
    Block,
    /// Before a heading.
    Heading,
}

/// A place before which a page may be cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// Offset in the page's text.
    pub at: usize,
    /// How good it is.
    pub class: Class,
    /// Hash of the text around it: decides among equals.
    pub hash: u32,
}

/// Text before a candidate that its hash looks at, in bytes.
const BEFORE: usize = 24;
/// Text after it.
const AFTER: usize = 48;
/// Longest stretch without any other candidate before characters become candidates, in bytes.
const UNBROKEN_MAX: usize = 200;
/// A sentence is not cut into words below this length, in bytes.
const SENTENCE_MAX: usize = 600;

/// All candidates of a page, ascending.
pub(super) fn of_page(page: &Page, text: &str) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut offset = 0;
    let mut after_heading = false;
    for block in &page.blocks {
        let heading = matches!(block.kind, BlockKind::Heading(_));
        // A heading stays with what follows it, also with the heading below it.
        if offset > 0 && !after_heading {
            push(&mut found, text, offset, if heading { Class::Heading } else { Class::Block });
        }
        let lines_matter = matches!(block.kind, BlockKind::Code | BlockKind::Table);
        inside(&mut found, text, offset..offset + block.text.len(), lines_matter);
        after_heading = heading;
        offset += block.text.len() + BLOCK_SEPARATOR.len();
    }
    found
}

fn push(found: &mut Vec<Candidate>, text: &str, at: usize, class: Class) {
    found.push(Candidate { at, class, hash: hash_around(text, at) });
}

/// FNV-1a of the bytes around an offset, mixed so that the high bits differ.
fn hash_around(text: &str, at: usize) -> u32 {
    let bytes = &text.as_bytes()[at.saturating_sub(BEFORE)..(at + AFTER).min(text.len())];
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(31) as u32
}

/// Candidates inside a block: sentences, and words or characters where sentences are too long.
fn inside(found: &mut Vec<Candidate>, text: &str, block: std::ops::Range<usize>, lines_matter: bool) {
    let mut sentence_start = block.start;
    for at in sentence_starts(text, block.clone(), lines_matter) {
        words(found, text, sentence_start..at);
        push(found, text, at, Class::Sentence);
        sentence_start = at;
    }
    words(found, text, sentence_start..block.end);
}

fn words(found: &mut Vec<Candidate>, text: &str, sentence: std::ops::Range<usize>) {
    if sentence.len() <= SENTENCE_MAX {
        return;
    }
    let mut last = sentence.start;
    let mut after_space = false;
    for (i, c) in text[sentence.clone()].char_indices() {
        let at = sentence.start + i;
        if c.is_whitespace() {
            after_space = true;
        } else if after_space {
            push(found, text, at, Class::Word);
            (after_space, last) = (false, at);
        } else if at - last >= UNBROKEN_MAX {
            push(found, text, at, Class::Character);
            last = at;
        }
    }
}

/// Offsets at which a sentence (or line) begins, but for the first.
fn sentence_starts(text: &str, block: std::ops::Range<usize>, lines_matter: bool) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut state = After::Text;
    for (i, c) in text[block.clone()].char_indices() {
        let at = block.start + i;
        let begins = match state {
            After::Line => !c.is_whitespace(),
            After::CjkEnd => !is_closing(c) && !c.is_whitespace() && !is_cjk_end(c),
            After::EndAndSpace => !c.is_whitespace() && !c.is_lowercase(),
            After::Text | After::End => false,
        };
        if begins && at > block.start {
            starts.push(at);
        }
        state = match (state, c) {
            (_, '\n') if lines_matter => After::Line,
            (After::Line, c) if c.is_whitespace() => After::Line,
            (_, c) if is_cjk_end(c) => After::CjkEnd,
            (After::CjkEnd, c) if is_closing(c) || c.is_whitespace() => After::CjkEnd,
            (_, '.' | '!' | '?') => After::End,
            (After::End, c) if is_closing(c) => After::End,
            (After::End | After::EndAndSpace, c) if c.is_whitespace() => After::EndAndSpace,
            _ => After::Text,
        };
    }
    starts
}

#[derive(Clone, Copy)]
enum After {
    Text,
    End,
    EndAndSpace,
    CjkEnd,
    Line,
}

fn is_cjk_end(c: char) -> bool {
    matches!(c, '。' | '！' | '？' | '．')
}

fn is_closing(c: char) -> bool {
    matches!(c, '"' | '\'' | ')' | ']' | '”' | '’' | '»' | '」' | '』' | '）')
}
