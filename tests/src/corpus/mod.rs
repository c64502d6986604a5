//! Generated documents, the same for the same seed: text, dense PDFs, presentations, and files that cannot be read.

mod deck;
mod pdf;
mod words;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use deck::pptx;
pub use pdf::{damaged_pdf, pdf, pdf_of, unmapped_pdf};
pub use words::{HUBS, Writer};

/// Lines of one dense page.
const PAGE_LINES: usize = 40;
/// Characters of one of its lines: 40 × 76 is the ~3,000 of a page of prose.
const LINE_CHARS: usize = 76;

/// Writes `count` text documents of about `bytes` each, in folders of 500.
///
/// # Errors
/// The disk did not take them.
pub fn write_texts(root: &Path, count: usize, bytes: usize, hubs: bool, seed: u64) -> Result<Vec<PathBuf>> {
    let mut writer = Writer::new(seed);
    (0..count)
        .map(|number| {
            let path = root.join(format!("part-{:03}", number / 500)).join(format!("text-{number:06}.txt"));
            let text = if hubs { writer.hub_document(bytes) } else { writer.document(bytes) };
            write(&path, text.as_bytes())?;
            Ok(path)
        })
        .collect()
}

/// The lines of `pages` dense pages, `first` opening and `last` closing them where given.
pub fn dense_pages(
    writer: &mut Writer,
    pages: usize,
    first: Option<&str>,
    last: Option<&str>,
) -> Vec<Vec<String>> {
    let mut result: Vec<Vec<String>> = (0..pages)
        .map(|_| {
            let mut lines = wrap(&writer.prose(PAGE_LINES * LINE_CHARS), LINE_CHARS);
            lines.truncate(PAGE_LINES);
            lines
        })
        .collect();
    if let (Some(first), Some(page)) = (first, result.first_mut()) {
        page.insert(0, first.to_owned());
    }
    if let (Some(last), Some(page)) = (last, result.last_mut()) {
        page.push(last.to_owned());
    }
    result
}

/// Writes a file and the folders above it.
///
/// # Errors
/// The disk did not take it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().context("a file stands in a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    std::fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}

/// Breaks text at spaces into lines of at most `width` characters.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        if lines.last().is_some_and(|line| !line.is_empty() && line.len() + 1 + word.len() > width) {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// Inserts a sentence after the first paragraph: everything behind it moves, little of it changes.
pub fn insert_near_start(text: &str, sentence: &str) -> String {
    match text.match_indices("\n\n").nth(1) {
        Some((at, _)) => format!("{}\n\n{sentence} {}", &text[..at], &text[at + 2..]),
        None => format!("{sentence} {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_text() {
        assert_eq!(Writer::new(7).document(4_000), Writer::new(7).document(4_000));
        assert_ne!(Writer::new(7).document(4_000), Writer::new(8).document(4_000));
        let length = Writer::new(7).document(4_000).len();
        assert!((4_000..4_400).contains(&length), "{length}");
    }

    #[test]
    fn every_hub_is_in_a_hub_document() {
        let text = Writer::new(1).hub_document(4_000);
        assert!(HUBS.iter().all(|hub| text.contains(hub)));
    }

    #[test]
    fn an_edit_keeps_both_sides() {
        let text = "Title\n\nFirst one.\n\nSecond one.";
        assert_eq!(insert_near_start(text, "New."), "Title\n\nFirst one.\n\nNew. Second one.");
    }

    #[test]
    fn pages_are_dense_and_marked() {
        let pages = dense_pages(&mut Writer::new(3), 15, Some("open"), Some("close"));
        let characters: usize = pages.iter().flatten().map(String::len).sum();
        assert!(characters / 15 > 2_700, "{characters}");
        assert_eq!(pages[0][0], "open");
        assert_eq!(pages[14].last().unwrap(), "close");
    }
}
