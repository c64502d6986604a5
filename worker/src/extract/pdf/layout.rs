//! Lines of a page to paragraphs, list items and headings, by the text alone: character positions would
//! cost more than all the rest. Knows nothing of PDF.

use docmill_core::page::{Block, BlockKind};

/// A piece of a page, in reading order.
pub(super) enum Part<'a> {
    /// Lines of text.
    Text(&'a str),
    /// Rows of a table, as they are to stand in its block.
    Table(String),
}

/// Cuts a page's text into blocks. `headings` are the outline's titles that lead to this page.
pub(in crate::extract) fn blocks(text: &str, headings: &[(u8, String)]) -> Vec<Block> {
    blocks_of([Part::Text(text)], headings)
}

/// The same of a page with tables.
pub(super) fn blocks_of<'a>(
    parts: impl IntoIterator<Item = Part<'a>>,
    headings: &[(u8, String)],
) -> Vec<Block> {
    let mut headings: Vec<(u8, String)> =
        headings.iter().map(|(level, title)| (*level, squeezed(title))).collect();
    headings.retain(|(_, title)| title.chars().count() > 1);
    let mut out: Vec<Block> = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) => text_blocks(text, &mut headings, &mut out),
            Part::Table(mut rows) => push(&mut out, BlockKind::Table, &mut rows),
        }
    }
    out
}

fn text_blocks(text: &str, headings: &mut Vec<(u8, String)>, out: &mut Vec<Block>) {
    let lines = lines(text);
    let width = usual_width(&lines);
    let mut kind = BlockKind::Paragraph;
    let mut current = String::new();
    let mut previous: Option<&str> = None;
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at].trim();
        if line.is_empty() {
            push(out, kind, &mut current);
            (kind, previous, at) = (BlockKind::Paragraph, None, at + 1);
            continue;
        }
        if let Some((level, count)) = take_heading(&lines[at..], headings) {
            push(out, kind, &mut current);
            for part in &lines[at..at + count] {
                join(&mut current, part.trim());
            }
            push(out, BlockKind::Heading(level), &mut current);
            (kind, previous, at) = (BlockKind::Paragraph, None, at + count);
            continue;
        }
        let is_item = is_list_item(line);
        if is_item || previous.is_some_and(|previous| ends_paragraph(previous, line, width)) {
            push(out, kind, &mut current);
            kind = if is_item { BlockKind::ListItem } else { BlockKind::Paragraph };
        }
        join(&mut current, line);
        (previous, at) = (Some(line), at + 1);
    }
    push(out, kind, &mut current);
}

fn push(out: &mut Vec<Block>, kind: BlockKind, text: &mut String) {
    let text = std::mem::take(text);
    if !text.trim().is_empty() {
        out.push(Block { kind, text: text.trim().to_owned() });
    }
}

/// Lines, with words that were parted at a line's end put together again: pdfium marks such a hyphen by
/// U+0002 or U+FFFE, and may leave out the line's end after it. A soft hyphen there is as good as one.
fn lines(text: &str) -> Vec<String> {
    let mut joined = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // The rest of the word moves up and the line ends after it: how far a line goes tells paragraphs.
            '\u{2}' | '\u{fffe}' | '\u{ad}' if matches!(chars.peek(), Some('\r' | '\n')) => {
                while chars.next_if(|c| matches!(c, '\r' | '\n')).is_some() {}
                // A capital follows a hyphen that belongs to the word: Linux-Images.
                if chars.peek().is_some_and(|c| c.is_uppercase()) {
                    joined.push('-');
                }
                while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                    joined.push(c);
                }
                chars.next_if(|&c| c == ' ');
                joined.push('\n');
                chars.next_if(|&c| c == '\r');
                chars.next_if(|&c| c == '\n');
            }
            '\u{2}' | '\u{fffe}' if chars.peek().is_some_and(|c| c.is_uppercase()) => joined.push('-'),
            '\u{2}' | '\u{fffe}' | '\u{ad}' => {}
            '\r' => {}
            '\0' => {}
            c => joined.push(c),
        }
    }
    joined.lines().map(str::to_owned).collect()
}

/// Columns that a line takes; East Asian characters take two.
fn columns(line: &str) -> usize {
    if line.is_ascii() { line.len() } else { line.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum() }
}

/// The width that full lines of this page have: only one line in ten is wider.
fn usual_width(lines: &[String]) -> usize {
    let mut widths: Vec<usize> =
        lines.iter().map(|line| columns(line.trim())).filter(|&width| width > 0).collect();
    widths.sort_unstable();
    widths.get(widths.len() * 9 / 10).copied().unwrap_or(0)
}

fn ends_paragraph(previous: &str, next: &str, width: usize) -> bool {
    let filled = columns(previous) * 100 / width.max(1);
    let ends_sentence =
        previous.ends_with(['.', '!', '?', ':', ';', ')', '"', '”', '。', '！', '？', '：', '」', '）']);
    let goes_on = next.starts_with(|c: char| c.is_lowercase() || matches!(c, ',' | ')' | '、' | '。'));
    match filled {
        ..55 => !goes_on,
        55..85 => ends_sentence && !goes_on,
        _ => false,
    }
}

fn is_list_item(line: &str) -> bool {
    let mut chars = line.chars();
    match chars.next() {
        Some('•' | '◦' | '▪' | '■' | '●' | '○' | '‣' | '∙' | '·' | '➢' | '✓' | '\u{f0b7}') => {
            true
        }
        Some('-' | '–' | '*' | '—') => chars.next() == Some(' '),
        Some('(') => line.find(") ").is_some_and(|end| (2..=4).contains(&end)),
        Some(c) if c.is_ascii_digit() => {
            let digits = line.bytes().take_while(u8::is_ascii_digit).count();
            digits <= 2 && (line[digits..].starts_with(". ") || line[digits..].starts_with(") "))
        }
        _ => false,
    }
}

/// Joins a line to a paragraph: with a space, except between East Asian characters.
fn join(text: &mut String, line: &str) {
    let first = line.chars().next();
    if let Some(word) = text.strip_suffix('-')
        && word.ends_with(char::is_alphabetic)
        && first.is_some_and(char::is_alphabetic)
    {
        // A recogniser sees hyphens at line ends as they are printed.
        let kept = if first.is_some_and(char::is_lowercase) { word.len() } else { text.len() };
        text.truncate(kept);
        text.push_str(line);
        return;
    }
    let last = text.chars().next_back();
    if let (Some(last), Some(first)) = (last, line.chars().next())
        && !(is_wide(last) && is_wide(first))
        && !last.is_whitespace()
    {
        text.push(' ');
    }
    text.push_str(line);
}

/// Scripts that are written without spaces. Korean is wide but has spaces.
fn is_wide(c: char) -> bool {
    matches!(u32::from(c), 0x2e80..=0x303e | 0x3041..=0x33ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0xff00..=0xffef | 0x20000..=0x3ffff)
}

/// Letters and digits only, in lower case: outlines and pages differ in spaces and punctuation.
fn squeezed(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// If the lines begin with one of the headings, perhaps after a number and over up to three lines: its
/// level and number of lines.
fn take_heading(lines: &[String], headings: &mut Vec<(u8, String)>) -> Option<(u8, usize)> {
    if headings.is_empty() {
        return None;
    }
    let mut text = String::new();
    for (count, line) in lines.iter().take(3).enumerate() {
        text.push_str(&squeezed(line));
        // Numbers stand on the page, but often not in the outline.
        let bare = text.trim_start_matches(|c: char| c.is_ascii_digit());
        if let Some(found) = headings.iter().position(|(_, title)| *title == text || title == bare) {
            return Some((headings.remove(found).0, count + 1));
        }
        if !headings.iter().any(|(_, title)| {
            title.starts_with(&text) || (!bare.is_empty() && title.starts_with(bare)) || bare.is_empty()
        }) {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        blocks(text, &[]).into_iter().map(|block| block.text).collect()
    }

    #[test]
    fn lines_become_paragraphs() {
        let text = "This is the first line of a paragraph that is wide,\r\nand this is the second one of the same exa\u{2}\r\nmple of it.\r\nHere begins a new paragraph, as the one before ended\r\nshort.\r\n• an item\r\n• another item";
        let expected = [
            "This is the first line of a paragraph that is wide, and this is the second one of the same example of it.",
            "Here begins a new paragraph, as the one before ended short.",
            "• an item",
            "• another item",
        ];
        assert_eq!(texts(text), expected);
        assert_eq!(texts("日本語の文章は空白なしで\r\n続きます。"), ["日本語の文章は空白なしで続きます。"]);
        assert_eq!(texts("Wort\u{fffe}\r\nteil"), ["Wortteil"]);
        assert_eq!(texts("Linux\u{2}\r\nImages"), ["Linux-Images"]);
        assert_eq!(texts("Linux\u{2}Images und Wort\u{2}teil"), ["Linux-Images und Wortteil"]);
        assert_eq!(texts("Wort\u{ad}\nteil im Wort\u{ad}teil"), ["Wortteil im Wortteil"]);
        assert_eq!(texts("ein Wort-\nteil und Linux-\nImages"), ["ein Wortteil und Linux-Images"]);
    }

    #[test]
    fn tables_stand_between_paragraphs() {
        let parts = [
            Part::Text("A line before\n"),
            Part::Table("a\tb\n\tc".to_owned()),
            Part::Text("1. Title\nA line after\n"),
        ];
        let found = blocks_of(parts, &[(1, "Title".to_owned())]);
        let kinds: Vec<_> = found.iter().map(|block| (block.kind, block.text.as_str())).collect();
        let expected = [
            (BlockKind::Paragraph, "A line before"),
            (BlockKind::Table, "a\tb\n\tc"),
            (BlockKind::Heading(1), "1. Title"),
            (BlockKind::Paragraph, "A line after"),
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn outline_titles_become_headings() {
        let outline = [(1, "Getting Started".to_owned()), (2, "A long title".to_owned())];
        let found = blocks("3.1 Getting  Started\r\nSome text.\r\n3.2. A long\r\ntitle\r\nMore.", &outline);
        let kinds: Vec<_> = found.iter().map(|block| (block.kind, block.text.as_str())).collect();
        let expected = [
            (BlockKind::Heading(1), "3.1 Getting  Started"),
            (BlockKind::Paragraph, "Some text."),
            (BlockKind::Heading(2), "3.2. A long title"),
            (BlockKind::Paragraph, "More."),
        ];
        assert_eq!(kinds, expected);
    }
}
