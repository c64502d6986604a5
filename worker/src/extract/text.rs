//! The kinds that are decoded in the worker's own process: text, code, Markdown, CSV, JSON, YAML.
//! The child uses the same code for what was packed.

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::{BlockKind, DocumentInfo};

use super::emit::Emitter;
use super::source::Source;
use super::work::Work;
use super::{Kind, decode, json, markdown};

/// Rows of one table block; a block is a unit that later steps hold and cut.
pub(super) const TABLE_ROWS: usize = 200;

/// A block of YAML has at least so many bytes, if its document has.
const YAML_BLOCK_BYTES: usize = 1_000;

/// Reads a text kind and sends its events.
pub(super) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let (limits, kind, emitter) = (&work.options.limits, work.kind, &mut *work.emitter);
    // No encoding needs more than twice the bytes of UTF-8, so a larger file cannot keep the limit of text.
    let bytes_max = (limits.text_mib << 20).saturating_mul(2);
    let bytes = source.into_bytes(bytes_max).map_err(|failure| match failure.code {
        FailureCode::LimitFileSize => super::emit::text_limit(limits),
        _ => failure,
    })?;
    let text = decode::decode(&bytes, None);
    drop(bytes);
    let title = if kind == Kind::Markdown { markdown::title(&text) } else { None };
    emitter.info(DocumentInfo { title, media_type: kind.media_type().to_owned(), page_count: None })?;
    match kind {
        Kind::Markdown => markdown::read(&text, emitter),
        Kind::Csv => csv(&text, work.name, emitter),
        Kind::Json => json::read(&text, emitter),
        Kind::Yaml => yaml(&text, emitter),
        Kind::Code => code(&text, emitter),
        _ => paragraphs(&text, emitter),
    }
}

/// Paragraphs are what stands between empty lines; their line breaks stay.
pub(super) fn paragraphs(text: &str, emitter: &mut Emitter<'_>) -> Result<(), Failure> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut paragraph = String::new();
    for line in text.lines() {
        if line.trim().is_empty() {
            emitter.block(BlockKind::Paragraph, std::mem::take(&mut paragraph))?;
        } else {
            paragraph.push_str(line.trim_end());
            paragraph.push('\n');
        }
    }
    emitter.block(BlockKind::Paragraph, paragraph)
}

/// Blocks of code end at an empty line after which nothing is indented.
fn code(text: &str, emitter: &mut Emitter<'_>) -> Result<(), Failure> {
    let mut block = String::new();
    let mut after_empty = false;
    for line in text.lines() {
        if after_empty && !line.starts_with([' ', '\t', '}', ')', ']']) && !line.is_empty() {
            emitter.block(BlockKind::Code, std::mem::take(&mut block))?;
        }
        after_empty = line.trim().is_empty();
        block.push_str(line);
        block.push('\n');
    }
    emitter.block(BlockKind::Code, block)
}

/// Blocks of YAML end with a document, and once they are long before what is at the outermost level.
fn yaml(text: &str, emitter: &mut Emitter<'_>) -> Result<(), Failure> {
    let mut block = String::new();
    for line in text.lines() {
        let ends_document = line.starts_with("---");
        let is_outermost =
            line.starts_with("- ") || line.starts_with(|c: char| c.is_alphanumeric() || c == '"');
        if ends_document || (is_outermost && block.len() >= YAML_BLOCK_BYTES) {
            emitter.block(BlockKind::Code, std::mem::take(&mut block))?;
        }
        if !ends_document {
            block.push_str(line);
            block.push('\n');
        }
    }
    emitter.block(BlockKind::Code, block)
}

fn csv(text: &str, name: &str, emitter: &mut Emitter<'_>) -> Result<(), Failure> {
    let first_line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let count = |separator: char| first_line.matches(separator).count();
    let is_tsv = name.to_ascii_lowercase().ends_with(".tsv");
    let separator = if is_tsv {
        '\t'
    } else {
        [',', ';', '\t', '|'].into_iter().rev().max_by_key(|&c| count(c)).unwrap_or(',')
    };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator as u8)
        .from_reader(text.as_bytes());
    let mut table = Table::default();
    for record in reader.records() {
        let record =
            record.map_err(|error| Failure::new(FailureCode::Damaged, format!("{name}: {error}")))?;
        table.row(record.iter(), emitter)?;
    }
    table.end(emitter)
}

/// Gathers rows into table blocks.
#[derive(Default)]
pub(super) struct Table {
    text: String,
    rows: usize,
}

impl Table {
    /// Adds a row; line breaks and tabs within a cell become spaces, empty cells at the end go.
    pub fn row<C: AsRef<str>>(
        &mut self,
        cells: impl Iterator<Item = C>,
        emitter: &mut Emitter<'_>,
    ) -> Result<(), Failure> {
        let start = self.text.len();
        for (i, cell) in cells.enumerate() {
            if i > 0 {
                self.text.push('\t');
            }
            let mut words = cell.as_ref().split_whitespace();
            self.text.extend(words.next());
            words.for_each(|word| self.text.extend([" ", word]));
        }
        let kept = start + self.text[start..].trim_end_matches('\t').len();
        self.text.truncate(kept);
        if kept > start {
            self.text.push('\n');
            self.rows += 1;
        }
        if self.rows >= TABLE_ROWS || self.text.len() > 1 << 18 { self.end(emitter) } else { Ok(()) }
    }

    /// Sends what was gathered.
    pub fn end(&mut self, emitter: &mut Emitter<'_>) -> Result<(), Failure> {
        self.rows = 0;
        emitter.block(BlockKind::Table, std::mem::take(&mut self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::super::emit::tests::blocks_of;
    use super::super::work::tests::read_bytes;
    use super::*;

    #[test]
    fn separators_are_found_and_cells_stay_in_their_line() {
        let blocks = blocks_of(|emitter| csv("a;b;c\n\"x\ny\";1,5;\n", "a.csv", emitter));
        assert_eq!(blocks, [(BlockKind::Table, "a\tb\tc\nx y\t1,5".to_owned())]);
    }

    #[test]
    fn documents_part_yaml() {
        let long = format!("key: {}\n", "x".repeat(1_000));
        let blocks = blocks_of(|emitter| yaml(&format!("a: 1\n  b: 2\n---\n{long}{long}- c\n"), emitter));
        let expected = ["a: 1\n  b: 2", long.trim(), long.trim(), "- c"];
        assert_eq!(blocks, expected.map(|text| (BlockKind::Code, text.to_owned())));
    }

    #[test]
    fn no_page_is_too_much_for_a_frame_however_long_or_short_its_blocks_are() {
        let words = "wörter ".repeat(800_000);
        let unbroken = "日".repeat(2 << 20);
        for (text, between) in [(words.trim_end(), " "), (unbroken.as_str(), "")] {
            let read = read_bytes("a.txt", text);
            assert_eq!(read.outcome, Ok(()));
            assert!(read.texts().join(between) == text, "nothing is lost");
            assert!(read.pages.len() > 1 && read.pages.iter().all(|page| page.text_bytes() <= 5 << 20));
        }
        let lines = ["first", &"x".repeat(1 << 20), &"y".repeat(1 << 20), "last"].join("\n");
        let blocks = read_bytes("a.txt", lines.as_str());
        let blocks: Vec<_> = blocks.texts().iter().map(|text| text.chars().next_back()).collect();
        assert_eq!(blocks, [Some('x'), Some('t')], "cut where a line ends");
        let short = read_bytes("a.txt", "a\n\n".repeat(250_000));
        assert_eq!(short.blocks().len(), 250_000);
        assert!(short.pages.iter().all(|page| page.blocks.len() <= 100_000));
    }

    #[test]
    fn empty_lines_part_paragraphs() {
        let blocks = blocks_of(|emitter| paragraphs("a\r\nb\r\n \r\nc", emitter));
        assert_eq!(blocks, [(BlockKind::Paragraph, "a\nb".into()), (BlockKind::Paragraph, "c".to_owned())]);
    }
}
