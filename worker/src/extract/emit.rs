//! Where parsers put text: cleans it, cuts it into pages, and keeps the limit of text. Knows no format.

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::limits::Limits;
use docmill_core::page::{Block, BlockKind, DocumentInfo, Page, PageSource};

use super::Event;

/// A file without pages, or a sheet, goes on to a next page after this much text, so that no frame and no
/// step after extraction has to hold it whole.
const PAGE_TEXT_BYTES: usize = 2 << 20;

/// Receives events; an error stops the parser.
pub(super) type Forward<'a> = &'a mut dyn FnMut(Event) -> Result<(), Failure>;

/// The way from a parser to the outside.
pub(super) struct Emitter<'a> {
    forward: Forward<'a>,
    text_bytes_max: u64,
    limits: &'a Limits,
    text_bytes: u64,
    resume_from_page: u32,
    next_page: u32,
    blocks: Vec<Block>,
    page_bytes: usize,
    has_text: bool,
    ocr_missing: Option<String>,
}

/// The failure of a document with too much text.
pub(super) fn text_limit(limits: &Limits) -> Failure {
    Failure::new(
        FailureCode::LimitText,
        format!("the document holds more than {} MiB of text", limits.text_mib),
    )
}

impl<'a> Emitter<'a> {
    pub fn new(forward: Forward<'a>, limits: &'a Limits, resume_from_page: u32) -> Self {
        Self {
            forward,
            text_bytes_max: limits.text_mib << 20,
            limits,
            text_bytes: 0,
            resume_from_page: resume_from_page.max(1),
            next_page: 1,
            blocks: Vec::new(),
            page_bytes: 0,
            has_text: false,
            ocr_missing: None,
        }
    }

    /// The first page that is wanted.
    pub fn resume_from_page(&self) -> u32 {
        self.resume_from_page
    }

    /// Says what the document is. Once, before any text.
    pub fn info(&mut self, mut info: DocumentInfo) -> Result<(), Failure> {
        info.title = info
            .title
            .map(|title| clean(&title).chars().take(500).collect())
            .filter(|t: &String| !t.is_empty());
        (self.forward)(Event::Info(info))
    }

    /// Adds text to the page in work. Text without a letter or digit in it is still text; empty text is dropped.
    pub fn block(&mut self, kind: BlockKind, text: impl AsRef<str>) -> Result<(), Failure> {
        let text = clean(text.as_ref());
        if text.is_empty() {
            return Ok(());
        }
        self.count(text.len())?;
        self.page_bytes += text.len();
        self.blocks.push(Block { kind, text });
        if self.page_bytes > PAGE_TEXT_BYTES { self.end_page() } else { Ok(()) }
    }

    /// Ends the page in work, also when it has no text.
    pub fn end_page(&mut self) -> Result<(), Failure> {
        let blocks = std::mem::take(&mut self.blocks);
        self.page_bytes = 0;
        let source = if blocks.is_empty() { PageSource::NoText } else { PageSource::TextLayer };
        self.send(Page { number: self.next_page, source, blocks, note: None })
    }

    /// Ends the page in work if it has text.
    pub fn end_page_if_any(&mut self) -> Result<(), Failure> {
        if self.blocks.is_empty() { Ok(()) } else { self.end_page() }
    }

    /// Sends a page that a parser put together itself; its number must be the next one.
    pub fn page(&mut self, mut page: Page) -> Result<(), Failure> {
        for block in &mut page.blocks {
            block.text = clean(&block.text);
        }
        page.blocks.retain(|block| !block.text.is_empty());
        if page.blocks.is_empty() {
            page.source = PageSource::NoText;
        }
        self.count(page.text_bytes())?;
        self.next_page = page.number;
        self.send(page)
    }

    /// Notes that a page would have needed a recogniser that is not there.
    pub fn ocr_is_missing(&mut self, why: String) {
        self.ocr_missing.get_or_insert(why);
    }

    fn count(&mut self, bytes: usize) -> Result<(), Failure> {
        self.text_bytes += bytes as u64;
        if self.text_bytes > self.text_bytes_max {
            return Err(text_limit(self.limits).at_page(self.next_page));
        }
        Ok(())
    }

    fn send(&mut self, page: Page) -> Result<(), Failure> {
        self.has_text |= !page.blocks.is_empty();
        self.next_page += 1;
        if page.number < self.resume_from_page { Ok(()) } else { (self.forward)(Event::Page(page)) }
    }

    /// Ends the document: `Done`, or the failure of one without any text.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.end_page_if_any()?;
        // A resumed document may have had its text on pages that are not read again.
        if !self.has_text && self.resume_from_page == 1 {
            return Err(match self.ocr_missing {
                Some(why) => Failure::new(FailureCode::OcrUnavailable, why),
                None => Failure::new(
                    FailureCode::NoText,
                    format!("{} pages, none with text", self.next_page - 1),
                ),
            });
        }
        (self.forward)(Event::Done)
    }
}

/// Line ends become `\n`, fixed spaces become spaces; control characters, non-characters and soft hyphens go; outer white space too.
pub(super) fn clean(text: &str) -> String {
    let unwanted = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{a0}' | '\u{ad}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    let text = text.trim_matches(|c: char| c.is_whitespace() || unwanted(c));
    if !text.contains(unwanted) {
        return text.to_owned();
    }
    let mut cleaned = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' | '\u{b}' | '\u{c}' => cleaned.push('\n'),
            '\u{a0}' => cleaned.push(' '),
            c if unwanted(c) => {}
            c => cleaned.push(c),
        }
    }
    cleaned
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Runs a parser and gives its blocks of all pages, for tests of formats.
    pub fn blocks_of(parse: impl FnOnce(&mut Emitter) -> Result<(), Failure>) -> Vec<(BlockKind, String)> {
        let mut blocks = Vec::new();
        let mut forward = |event| {
            if let Event::Page(page) = event {
                blocks.extend(page.blocks.into_iter().map(|block| (block.kind, block.text)));
            }
            Ok(())
        };
        let limits = Limits::default();
        let mut emitter = Emitter::new(&mut forward, &limits, 1);
        parse(&mut emitter).unwrap();
        emitter.finish().unwrap();
        blocks
    }

    #[test]
    fn text_is_cleaned() {
        assert_eq!(clean(" \u{feff}a\r\nb\0c\rd\u{ad}e \n"), "a\nbc\nde");
    }

    #[test]
    fn much_text_becomes_pages_and_too_much_fails() {
        let limits = Limits { text_mib: 5, ..Limits::default() };
        let mut pages = Vec::new();
        let mut forward = |event| {
            if let Event::Page(page) = event {
                pages.push(page.number);
            }
            Ok(())
        };
        let mut emitter = Emitter::new(&mut forward, &limits, 2);
        let failure = (0..9).find_map(|_| emitter.block(BlockKind::Paragraph, "x".repeat(1 << 20)).err());
        assert_eq!(failure.unwrap().code, FailureCode::LimitText);
        assert_eq!(pages, [0u32; 0], "page 1 was not wanted, page 2 was not finished");
    }
}
