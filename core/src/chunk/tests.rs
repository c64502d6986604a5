//! What every chunking must keep, on generated pages, and how far an edit reaches.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::page::PageSource;

fn page(number: u32, blocks: Vec<Block>) -> Page {
    Page { number, source: PageSource::TextLayer, blocks, note: None }
}

fn block(kind: BlockKind, text: impl Into<String>) -> Block {
    Block { kind, text: text.into() }
}

fn chunks_of(pages: &[Page]) -> Vec<Chunk> {
    let mut chunker = Chunker::new(ChunkerConfig::default());
    pages.iter().flat_map(|page| chunker.push(page)).collect()
}

/// What must hold of any pages.
fn check_kept(pages: &[Page]) -> Result<(), TestCaseError> {
    let chunks = chunks_of(pages);
    for (chunk, ordinal) in chunks.iter().zip(0..) {
        prop_assert_eq!(chunk.ordinal, ordinal);
        prop_assert!(chunk.text.len() <= ChunkerConfig::default().max_bytes, "{} bytes", chunk.text.len());
        prop_assert!(!chunk.text.trim().is_empty());
    }
    for page in pages {
        let text = page.text();
        let mut covered = 0;
        for chunk in chunks.iter().filter(|chunk| chunk.page == page.number) {
            let (start, end) = (chunk.start as usize, chunk.end as usize);
            prop_assert!(text[covered..start].trim().is_empty(), "text between chunks is lost");
            prop_assert_eq!(&text[start..end], &chunk.text);
            covered = end;
        }
        prop_assert!(text[covered..].trim().is_empty(), "text at the end is lost");
    }
    Ok(())
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nothing_is_too_long(
        texts in proptest::collection::vec(("[a-zA-Zé日。. \n]{1,900}|\\PC{1,400}", 0u8..5), 1..12),
        repeat in 1usize..6,
    ) {
        let blocks: Vec<Block> = texts
            .iter()
            .map(|(text, kind)| {
                let kind = match kind {
                    0 => BlockKind::Heading(1 + text.len() as u8 % 6),
                    1 => BlockKind::Table,
                    2 => BlockKind::Code,
                    3 => BlockKind::ListItem,
                    _ => BlockKind::Paragraph,
                };
                block(kind, text.repeat(repeat))
            })
            .filter(|block| !block.text.trim().is_empty())
            .collect();
        let pages = [page(1, blocks.clone()), page(2, blocks)];
        check_kept(&pages)?;
    }
}

#[test]
fn text_without_any_space_is_cut() {
    check_kept(&[page(1, vec![block(BlockKind::Paragraph, "日".repeat(20_000))])]).unwrap();
    check_kept(&[page(1, vec![block(BlockKind::Code, "x".repeat(20_000))])]).unwrap();
}

#[test]
fn headings_begin_chunks_and_reach_over_pages() {
    let body = "Words that fill a section. ".repeat(30);
    let pages = [
        page(
            1,
            vec![
                block(BlockKind::Heading(1), "Part"),
                block(BlockKind::Heading(2), "One"),
                block(BlockKind::Paragraph, body.clone()),
                block(BlockKind::Heading(2), "Two"),
                block(BlockKind::Paragraph, body.clone()),
            ],
        ),
        page(2, vec![block(BlockKind::Paragraph, body)]),
    ];
    let headings: Vec<_> =
        chunks_of(&pages).into_iter().map(|chunk| (chunk.heading.unwrap(), chunk.text)).collect();
    assert_eq!(headings[0].0, "Part");
    assert!(headings[0].1.starts_with("Part\n\nOne\n\nWords"));
    assert_eq!(headings[1].0, "Part › Two");
    assert!(headings[1].1.starts_with("Two\n\nWords"));
    assert_eq!(headings.last().unwrap().0, "Part › Two");
}

/// Pseudo-random sentences.
struct Sentences(u64);

impl Sentences {
    fn number(&mut self) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize
    }

    fn next(&mut self) -> String {
        let words: Vec<String> =
            (0..6 + self.number() % 14).map(|_| format!("w{}", self.number() % 3_000)).collect();
        format!("S{} {}.", self.number() % 1_000, words.join(" "))
    }
}

fn new_chunks(before: &[Page], after: &[Page]) -> usize {
    let old: HashSet<String> = chunks_of(before).into_iter().map(|chunk| chunk.text).collect();
    chunks_of(after).into_iter().filter(|chunk| !old.contains(&chunk.text)).count()
}

#[test]
fn an_inserted_sentence_changes_few_chunks() {
    let mut worst = 0;
    let mut over = 0;
    for seed in 0..200 {
        let mut source = Sentences(seed * 7_919 + 1);
        let paragraphs: Vec<Vec<String>> =
            (0..160).map(|_| (0..3 + source.number() % 6).map(|_| source.next()).collect()).collect();
        let mut edited = paragraphs.clone();
        let sentence = source.next();
        edited[source.number() % 4].insert(1, sentence);
        let in_paragraphs = |all: &[Vec<String>]| {
            vec![page(1, all.iter().map(|some| block(BlockKind::Paragraph, some.join(" "))).collect())]
        };
        let in_one =
            |all: &[Vec<String>]| vec![page(1, vec![block(BlockKind::Paragraph, all.concat().join(" "))])];
        for changed in [
            new_chunks(&in_paragraphs(&paragraphs), &in_paragraphs(&edited)),
            new_chunks(&in_one(&paragraphs), &in_one(&edited)),
        ] {
            worst = worst.max(changed);
            over += usize::from(changed > 3);
        }
    }
    assert!(over <= 4, "{over} of 400 edits changed more than 3 chunks");
    assert!(worst <= 5, "an edit changed {worst} chunks");
}

#[test]
fn chunks_are_neither_tiny_nor_all_full() {
    let mut source = Sentences(5);
    let paragraphs = (0..400).map(|_| block(BlockKind::Paragraph, source.next())).collect();
    let chunks = chunks_of(&[page(1, paragraphs)]);
    let mean = chunks.iter().map(|chunk| chunk.text.len()).sum::<usize>() / chunks.len();
    let max = ChunkerConfig::default().max_bytes;
    assert!((max * 2 / 5..max * 9 / 10).contains(&mean), "mean {mean} of {max} bytes");
    let tiny = chunks.iter().filter(|chunk| chunk.text.len() < 300).count();
    assert!(tiny * 20 <= chunks.len(), "{tiny} of {} chunks are tiny", chunks.len());
}

#[test]
fn a_run_of_headings_is_cut_too() {
    // None of them is too long by itself, and a heading stays with what follows it.
    let title = "A title that is long and has no end of a sentence in it, as titles have none ".repeat(6);
    let titles: Vec<Block> = (0..20).map(|_| block(BlockKind::Heading(2), title.trim())).collect();
    let pages = [page(1, titles)];
    check_kept(&pages).unwrap();
    assert!(chunks_of(&pages).iter().all(|chunk| chunk.text.starts_with(|c: char| !c.is_whitespace())));
}

#[test]
fn a_segment_becomes_pieces_that_fit() {
    assert_eq!(pieces("  short ", 0, 8, 10), [(2, 7)]);
    assert_eq!(pieces("one two three", 0, 13, 8), [(0, 7), (8, 13)]);
    assert_eq!(pieces("oneword", 0, 7, 3), [(0, 3), (3, 6), (6, 7)]);
    assert_eq!(pieces("ééé", 0, 6, 1), [(0, 2), (2, 4), (4, 6)]);
    assert!(pieces("   ", 0, 3, 1).is_empty());
}
