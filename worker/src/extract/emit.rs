//! Where parsers put text: cleans it, cuts it into pages, and keeps the limit of text. Knows no format.

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::limits::Limits;
use docmill_core::page::{Block, BlockKind, DocumentInfo, Page, PageReason, PageSource};

use super::Event;

/// A file without pages, or a sheet, goes on to a next page after this much text, so that no frame and no
/// step after extraction has to hold it whole.
const PAGE_TEXT_BYTES: usize = 2 << 20;

/// The same after so many blocks: of short ones a frame says more than their text.
const PAGE_BLOCKS_MAX: usize = 100_000;

/// What stands between the names of documents in each other.
const SECTION_SEPARATOR: &str = " › ";

/// Longest name of a document that is shown, in characters.
const NAME_CHARS_MAX: usize = 200;

/// Receives events; an error stops the parser.
pub(super) type Forward<'a> = &'a mut dyn FnMut(Event) -> Result<(), Failure>;

/// The way from a parser to the outside.
pub(super) struct Emitter<'a> {
    forward: Forward<'a>,
    text_bytes_max: u64,
    limits: &'a Limits,
    text_bytes: u64,
    resume_from_page: u32,
    last_page: u32,
    next_page: u32,
    blocks: Vec<Block>,
    page_bytes: usize,
    /// Whether any page had text that is no name of a section.
    has_text: bool,
    /// The same of the page in work.
    page_has_text: bool,
    ocr_missing: Option<String>,
    /// The note of the first page without text.
    first_without: Option<String>,
    /// Why the page in work has no text, if it has none.
    why_without: Option<String>,
    first_lost: Option<Failure>,
    /// Names of the sections that are open, as their headings show them; empty outside of any.
    path: String,
    /// Pages before the document in work, which counts its own from 1.
    pages_before: u32,
    /// Pages that are left out, as they are sent instead.
    lost: &'a [Page],
}

/// A section that is open, with what to come back to at its end.
#[must_use]
pub(super) struct Section {
    path_bytes: usize,
    pages_before: u32,
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
            last_page: u32::MAX,
            next_page: 1,
            blocks: Vec::new(),
            page_bytes: 0,
            has_text: false,
            page_has_text: false,
            ocr_missing: None,
            first_without: None,
            why_without: None,
            first_lost: None,
            path: String::new(),
            pages_before: 0,
            lost: &[],
        }
    }

    /// The same of no page after this one, of a format that has them apart.
    pub fn until(self, last_page: u32) -> Self {
        Self { last_page, ..self }
    }

    /// The same without these pages, over which others ended before: they are sent as they are here.
    pub fn without(self, lost: &'a [Page]) -> Self {
        Self { lost, ..self }
    }

    /// Whether this page is wanted; one that is not counts as sent. For formats that find a page without those before it.
    pub fn wants(&mut self, number: u32) -> Result<bool, Failure> {
        let number = self.number_of(number);
        if number > self.last_page {
            return Ok(false);
        }
        if self.leaves_out(number, |_| true)? {
            return Ok(false);
        }
        let wanted = number >= self.resume_from_page;
        if !wanted {
            // The heading of a section stands on its first page.
            self.take_blocks();
            self.next_page = number + 1;
        }
        Ok(wanted)
    }

    /// Whether a document whose first page would be the next one is left out. For formats without pages of their own.
    pub fn leaves_out_document(&mut self) -> Result<bool, Failure> {
        self.leaves_out(self.next_page, |_| true)
    }

    /// Whether all is left out of a section that begins with the next page.
    pub fn leaves_out_section(&mut self) -> Result<bool, Failure> {
        self.leaves_out(self.next_page, Page::is_lost_part)
    }

    fn leaves_out(&mut self, number: u32, is_meant: impl Fn(&Page) -> bool) -> Result<bool, Failure> {
        let lost = self.lost;
        let Some(lost) = lost.iter().find(|page| page.number == number && is_meant(page)) else {
            return Ok(false);
        };
        self.next_page = number;
        // The heading of a section stands on its first page.
        let blocks = self.take_blocks();
        self.send(Page { number, source: lost.source, blocks, note: lost.note.clone() })?;
        Ok(true)
    }

    /// What number the document as a whole gives to this page of the one in work.
    pub fn number_of(&self, number: u32) -> u32 {
        self.pages_before + number
    }

    /// Says what the document is. Once, before any text. Of a section its heading says it.
    pub fn info(&mut self, mut info: DocumentInfo) -> Result<(), Failure> {
        if !self.path.is_empty() {
            return Ok(());
        }
        info.title = info
            .title
            .map(|title| clean(&title).chars().take(DocumentInfo::TITLE_CHARS_MAX).collect())
            .filter(|t: &String| !t.is_empty());
        (self.forward)(Event::Info(info))
    }

    /// Adds text to the page in work. Text without a letter or digit in it is still text; empty text is dropped. Text that
    /// is too much for a page becomes several blocks.
    pub fn block(&mut self, kind: BlockKind, text: impl AsRef<str>) -> Result<(), Failure> {
        let text = clean(text.as_ref());
        if text.len() <= PAGE_TEXT_BYTES {
            return self.cleaned_block(kind, text);
        }
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(piece_bytes(rest));
            self.cleaned_block(kind, piece.trim_end().to_owned())?;
            rest = after.trim_start();
        }
        Ok(())
    }

    fn cleaned_block(&mut self, kind: BlockKind, text: String) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        self.count(text.len())?;
        self.page_bytes += text.len();
        (self.has_text, self.page_has_text) = (true, true);
        self.blocks.push(Block { kind: self.below_section(kind), text });
        let is_full = self.page_bytes > PAGE_TEXT_BYTES || self.blocks.len() >= PAGE_BLOCKS_MAX;
        if is_full { self.end_page() } else { Ok(()) }
    }

    /// Names the page in work, which is no text of it.
    pub fn name_page(&mut self, name: &str) -> Result<(), Failure> {
        let text = clean(name);
        if text.is_empty() {
            return Ok(());
        }
        self.count(text.len())?;
        self.blocks.push(Block { kind: self.below_section(BlockKind::Heading(1)), text });
        Ok(())
    }

    /// Begins a section for a document that lies in the one in work: a page of its own, with its name as heading.
    pub fn begin_section(&mut self, name: &str) -> Result<Section, Failure> {
        if self.page_has_text {
            self.end_page()?;
        }
        // A heading without text is that of the section around this one, which this one's repeats.
        self.take_blocks();
        let section = Section { path_bytes: self.path.len(), pages_before: self.pages_before };
        if !self.path.is_empty() {
            self.path.push_str(SECTION_SEPARATOR);
        }
        self.path.push_str(&shown_name(name));
        self.pages_before = self.next_page - 1;
        self.count(self.path.len())?;
        self.blocks.push(Block { kind: BlockKind::Heading(1), text: self.path.clone() });
        Ok(section)
    }

    /// Ends the section that was begun last.
    pub fn end_section(&mut self, section: Section) -> Result<(), Failure> {
        if self.page_has_text || self.blocks.is_empty() {
            self.end_page_if_any()?;
        } else {
            let (number, blocks) = (self.next_page, self.take_blocks());
            let why = self.why_without.take();
            let note = why.unwrap_or_else(|| PageReason::Empty.note("no text was found in it"));
            self.send(Page { number, source: PageSource::NoText, blocks, note: Some(note) })?;
        }
        self.why_without = None;
        self.path.truncate(section.path_bytes);
        self.pages_before = section.pages_before;
        Ok(())
    }

    /// Ends the page in work as one that could not be read, or not to its end: what was read of it stays.
    pub fn lost(&mut self, failure: &Failure) -> Result<(), Failure> {
        self.first_lost.get_or_insert_with(|| failure.clone());
        let blocks = self.take_blocks();
        self.send(Page { blocks, ..Page::lost(self.next_page, failure) })
    }

    /// A part of the document that could not be read is a loss; only what bounds the whole document ends it.
    pub fn or_lost(&mut self, read: Result<(), Failure>) -> Result<(), Failure> {
        use FailureCode::{Internal, LimitEntries, LimitText, LimitUnpacked};
        match read {
            Ok(()) => Ok(()),
            Err(failure) if matches!(failure.code, Internal | LimitEntries | LimitText | LimitUnpacked) => {
                Err(failure)
            }
            Err(failure) => self.lost(&failure),
        }
    }

    /// Fails as soon as text that is still being gathered is more than a document may have: it is not held until it
    /// becomes a block.
    pub fn gathering(&self, bytes: usize) -> Result<(), Failure> {
        if bytes as u64 > self.text_bytes_max {
            return Err(text_limit(self.limits).at_page(self.next_page));
        }
        Ok(())
    }

    /// A section's own headings stand below its name.
    fn below_section(&self, kind: BlockKind) -> BlockKind {
        match kind {
            BlockKind::Heading(level) if !self.path.is_empty() => BlockKind::Heading((level + 1).min(6)),
            kind => kind,
        }
    }

    fn take_blocks(&mut self) -> Vec<Block> {
        (self.page_bytes, self.page_has_text) = (0, false);
        std::mem::take(&mut self.blocks)
    }

    /// Says why the page in work has no text, if it ends without any.
    pub fn without_text(&mut self, why: String) {
        self.why_without = Some(why);
    }

    /// Ends the page in work, also when it has no text.
    pub fn end_page(&mut self) -> Result<(), Failure> {
        let (source, note) = if self.page_has_text {
            (PageSource::TextLayer, None)
        } else {
            (PageSource::NoText, self.why_without.take())
        };
        let blocks = self.take_blocks();
        self.send(Page { number: self.next_page, source, blocks, note })
    }

    /// Ends the page in work if it has text.
    pub fn end_page_if_any(&mut self) -> Result<(), Failure> {
        if self.blocks.is_empty() { Ok(()) } else { self.end_page() }
    }

    /// Sends a page that a parser put together itself; its number must be the next one of its document.
    pub fn page(&mut self, mut page: Page) -> Result<(), Failure> {
        for block in &mut page.blocks {
            block.text = cleaned(std::mem::take(&mut block.text));
            block.kind = self.below_section(block.kind);
        }
        page.blocks.retain(|block| !block.text.is_empty());
        self.has_text |= !page.blocks.is_empty();
        if page.blocks.is_empty() && page.source != PageSource::Lost {
            page.source = PageSource::NoText;
        }
        self.count(page.text_bytes())?;
        // Only the heading of a section waits here.
        let mut blocks = self.take_blocks();
        blocks.append(&mut page.blocks);
        page.blocks = blocks;
        page.number += self.pages_before;
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

    fn send(&mut self, mut page: Page) -> Result<(), Failure> {
        let pages_max = self.limits.pages_in_all();
        if page.number > pages_max {
            let detail =
                format!("more than {pages_max} pages with all that is in it, {pages_max} are allowed");
            return Err(Failure::new(FailureCode::LimitPages, detail));
        }
        self.why_without = None;
        if page.source == PageSource::NoText {
            let note = page.note.get_or_insert_with(|| PageReason::Empty.note("no text was found on it"));
            self.first_without.get_or_insert_with(|| note.clone());
        }
        page.cut_note();
        self.next_page += 1;
        if page.number < self.resume_from_page { Ok(()) } else { (self.forward)(Event::Page(page)) }
    }

    /// Ends the document: `Done`, or the failure of one without any text.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.end_page_if_any()?;
        // A resumed document may have had its text on pages that are not read again, and what pages are left out for is
        // no failure of this reader's.
        if !self.has_text && self.resume_from_page == 1 && self.lost.is_empty() {
            return Err(match (self.first_lost, self.ocr_missing) {
                (Some(lost), _) => lost,
                (None, Some(why)) => Failure::new(FailureCode::OcrUnavailable, why),
                (None, None) => {
                    let why = self.first_without.or(self.why_without);
                    let why = why.map(|note| format!(": {note}")).unwrap_or_default();
                    let detail = format!("{} pages, none with text{why}", self.next_page - 1);
                    Failure::new(FailureCode::NoText, detail)
                }
            });
        }
        (self.forward)(Event::Done)
    }
}

/// How much of a text goes into one block: all of it, or as much as ends with a line, else with a word, if one of them ends in
/// the second half of what may go there.
fn piece_bytes(text: &str) -> usize {
    if text.len() <= PAGE_TEXT_BYTES {
        return text.len();
    }
    let most = text.floor_char_boundary(PAGE_TEXT_BYTES);
    let half = text.floor_char_boundary(PAGE_TEXT_BYTES / 2);
    let second = &text[half..most];
    let end = second.rfind('\n').or_else(|| second.rfind(char::is_whitespace));
    end.map_or(most, |end| half + end)
}

/// The name of a document in another, as a heading shows it: one line without what would change how it is read.
fn shown_name(name: &str) -> String {
    let is_bidi =
        |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let shown: String =
        name.chars().filter(|&c| !c.is_control() && !is_bidi(c)).take(NAME_CHARS_MAX).collect();
    let shown = clean(&shown);
    if shown.is_empty() { "unnamed".to_owned() } else { shown }
}

/// The same text where nothing is to be cleaned, as is most; else what [`clean`] makes of it.
fn cleaned(text: String) -> String {
    let ends_well = |end: Option<&u8>| end.is_none_or(u8::is_ascii_graphic);
    let is_clean = ends_well(text.as_bytes().first()) && ends_well(text.as_bytes().last());
    if is_clean && is_plain(&text) { text } else { clean(&text) }
}

/// Whether all of it is ASCII that can be seen, spaces, tabs and ends of lines.
fn is_plain(text: &str) -> bool {
    let is_odd = |byte: u8| (byte < b' ' && byte != b'\n' && byte != b'\t') || byte >= 0x7f;
    // By pieces, and each to its end, so that many bytes are looked at together.
    text.as_bytes().chunks(64).all(|piece| !piece.iter().fold(false, |odd, byte| odd | is_odd(*byte)))
}

/// Line ends become `\n`, fixed spaces become spaces; control characters, non-characters and soft hyphens go; outer white space too.
pub(super) fn clean(text: &str) -> String {
    let unwanted = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{a0}' | '\u{ad}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    let text = text.trim_matches(|c: char| c.is_whitespace() || unwanted(c));
    if is_plain(text) || !text.contains(unwanted) {
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
pub(super) mod tests;
