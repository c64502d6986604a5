//! OpenDocument texts, presentations and drawings, zipped or as one flat file: one pass over the content.

use std::collections::HashSet;
use std::io::BufReader;

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::{BlockKind, DocumentInfo};
use quick_xml::events::{BytesStart, Event};

use crate::extract::Kind;
use crate::extract::emit::Emitter;
use crate::extract::package::Package;
use crate::extract::source::Source;
use crate::extract::text::Table;
use crate::extract::work::Work;
use crate::extract::xml::{attribute, events, local, push_reference};

/// Elements whose text is none of the reader's: what was deleted, marks of notes, names and dates of annotations.
const SKIPPED: &[&str] = &[
    "text:tracked-changes",
    "text:note-citation",
    "dc:creator",
    "dc:date",
    "meta:date-string",
    "svg:title",
    "svg:desc",
    "office:binary-data",
    "office:scripts",
    "office:forms",
];

/// Most spaces in a row that are kept.
const SPACES_MAX: usize = 64;

/// Most cells of a row.
const CELLS_MAX: usize = 16_384;

/// Reads a text, headers and footers at its end, or a presentation with a page a slide.
pub(in crate::extract) fn zipped(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let emitter = &mut *work.emitter;
    let mut package = Package::open(source, &work.options.limits, work.nesting)?;
    let title = package.title("meta.xml");
    let media_type = work.kind.media_type().to_owned();
    emitter.info(DocumentInfo { title, media_type, page_count: None })?;
    let has_slides = work.kind == Kind::Odp;
    let mut pass = Pass::new(has_slides, emitter);
    let read = package.events("content.xml", |event| pass.event(event));
    let read = read.and_then(|found| {
        let missing = || Failure::new(FailureCode::Damaged, "it has no content.xml");
        found.then_some(()).ok_or_else(missing)
    });
    emitter.or_lost(read)?;
    if has_slides {
        return Ok(());
    }
    let mut pass = Pass { only_new: Some(HashSet::new()), ..Pass::new(false, emitter) };
    let read = package.events("styles.xml", |event| pass.event(event)).map(|_| ());
    emitter.or_lost(read)
}

/// Reads a document that is one XML file.
pub(in crate::extract) fn flat(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let media_type = work.kind.media_type().to_owned();
    work.emitter.info(DocumentInfo { title: None, media_type, page_count: None })?;
    let mut pass = Pass::new(false, work.emitter);
    let limits = &work.options.limits;
    let each = |event: Event<'_>| pass.event(event);
    let (_, read) = events(BufReader::new(source), work.name, u64::MAX, limits, each);
    work.emitter.or_lost(read)
}

#[derive(Default)]
struct Paragraph {
    text: String,
    level: Option<u8>,
    is_item: bool,
}

struct Pass<'a, 'e> {
    has_slides: bool,
    emitter: &'a mut Emitter<'e>,
    /// What was sent, where nothing is to be sent twice.
    only_new: Option<HashSet<String>>,
    /// Paragraphs that are open: those of frames, notes and annotations lie in the one that they are anchored in.
    open: Vec<Paragraph>,
    /// What ended within an open paragraph and follows it.
    waiting: Vec<(BlockKind, String)>,
    /// How many elements that are skipped lie around.
    skipped: u32,
    lists: u32,
    tables: u32,
    cell: String,
    row: Vec<String>,
    table: Table,
    in_title: bool,
}

impl<'a, 'e> Pass<'a, 'e> {
    fn new(has_slides: bool, emitter: &'a mut Emitter<'e>) -> Self {
        Self {
            has_slides,
            emitter,
            only_new: None,
            open: Vec::new(),
            waiting: Vec::new(),
            skipped: 0,
            lists: 0,
            tables: 0,
            cell: String::new(),
            row: Vec::new(),
            table: Table::default(),
            in_title: false,
        }
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::Empty(tag) => self.empty(&tag),
            Event::Text(text) => self.push(&text)?,
            Event::CData(text) => self.push(&text)?,
            Event::GeneralRef(reference) => {
                let mut text = String::new();
                push_reference(&mut text, &reference);
                self.push(&text)?;
            }
            Event::End(tag) => self.end(tag.name().as_ref())?,
            _ => {}
        }
        Ok(())
    }

    /// Adds text; runs of white space are one space, as files are broken into lines anywhere.
    fn push(&mut self, text: &str) -> Result<(), Failure> {
        let Some(paragraph) = self.open.last_mut().filter(|_| self.skipped == 0) else { return Ok(()) };
        for c in text.chars() {
            if !matches!(c, ' ' | '\t' | '\r' | '\n') {
                paragraph.text.push(c);
            } else if !paragraph.text.is_empty() && !paragraph.text.ends_with([' ', '\n', '\t']) {
                paragraph.text.push(' ');
            }
        }
        self.emitter.gathering(paragraph.text.len())
    }

    fn start(&mut self, tag: &BytesStart<'_>) {
        let name = tag.name();
        let name: &str = name.as_ref();
        if self.skipped > 0 || SKIPPED.contains(&name) {
            self.skipped += 1;
            return;
        }
        match local(name) {
            "p" => {
                let is_title = self.in_title || attribute(tag, "style-name").as_deref() == Some("Title");
                let level = is_title.then_some(1);
                self.open.push(Paragraph { text: String::new(), level, is_item: self.lists > 0 });
            }
            "h" => {
                let level = attribute(tag, "outline-level").and_then(|level| level.parse::<u8>().ok());
                let level = Some(level.unwrap_or(1).clamp(1, 6));
                self.open.push(Paragraph { text: String::new(), level, is_item: false });
            }
            "list" => self.lists += 1,
            "table" => self.tables += 1,
            "frame" => self.in_title = attribute(tag, "class").as_deref() == Some("title"),
            _ => self.space(tag),
        }
    }

    fn empty(&mut self, tag: &BytesStart<'_>) {
        let name = tag.name();
        let is_cell = matches!(local(name.as_ref()), "table-cell" | "covered-table-cell");
        if is_cell && self.tables == 1 && self.row.len() < CELLS_MAX {
            self.row.push(String::new());
        } else {
            self.space(tag);
        }
    }

    /// Spaces, tabs and line breaks are elements.
    fn space(&mut self, tag: &BytesStart<'_>) {
        let name = tag.name();
        let (c, count) = match local(name.as_ref()) {
            "s" => {
                let count = attribute(tag, "c").and_then(|count| count.parse::<usize>().ok());
                (' ', count.unwrap_or(1).min(SPACES_MAX))
            }
            "tab" => ('\t', 1),
            "line-break" => ('\n', 1),
            _ => return,
        };
        if let Some(paragraph) = self.open.last_mut().filter(|_| self.skipped == 0) {
            paragraph.text.extend(std::iter::repeat_n(c, count));
        }
    }

    fn end(&mut self, name: &str) -> Result<(), Failure> {
        if self.skipped > 0 {
            self.skipped -= 1;
            return Ok(());
        }
        match local(name) {
            "p" | "h" => return self.end_paragraph(),
            "list" => self.lists = self.lists.saturating_sub(1),
            "frame" => self.in_title = false,
            // A table within a cell is text of that cell.
            "table-cell" | "covered-table-cell" if self.tables == 1 => {
                let cell = std::mem::take(&mut self.cell);
                if self.row.len() < CELLS_MAX {
                    self.row.push(cell);
                }
            }
            "table-row" if self.tables == 1 => return self.table.row(self.row.drain(..), self.emitter),
            "table" => {
                self.tables = self.tables.saturating_sub(1);
                if self.tables == 0 {
                    return self.table.end(self.emitter);
                }
            }
            "page" if self.has_slides => {
                self.send_waiting()?;
                return self.emitter.end_page();
            }
            _ => {}
        }
        Ok(())
    }

    fn end_paragraph(&mut self) -> Result<(), Failure> {
        let Some(done) = self.open.pop() else { return Ok(()) };
        if self.tables > 0 {
            self.cell.push_str(&done.text);
            self.cell.push(' ');
            return self.emitter.gathering(self.cell.len());
        }
        let kind = match done.level {
            Some(level) => BlockKind::Heading(level),
            None if done.is_item => BlockKind::ListItem,
            None => BlockKind::Paragraph,
        };
        if !self.open.is_empty() {
            self.waiting.push((kind, done.text));
            return Ok(());
        }
        self.send(kind, done.text)?;
        self.send_waiting()
    }

    fn send_waiting(&mut self) -> Result<(), Failure> {
        for (kind, text) in std::mem::take(&mut self.waiting) {
            self.send(kind, text)?;
        }
        Ok(())
    }

    fn send(&mut self, kind: BlockKind, text: String) -> Result<(), Failure> {
        if let Some(sent) = &mut self.only_new
            && !sent.insert(text.clone())
        {
            return Ok(());
        }
        self.emitter.block(kind, text)
    }
}

#[cfg(test)]
mod tests {
    use docmill_core::failure::FailureCode;
    use docmill_core::page::BlockKind::{Heading, ListItem, Paragraph, Table};

    use crate::extract::package::tests::zip;
    use crate::extract::work::tests::read_bytes;

    const TEXT: &str = r#"<office:document-content><office:body><office:text>
        <text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>
        <text:h text:outline-level="2">Chapter<text:s text:c="2"/>one</text:h>
        <text:p>A line
            that is <text:span>broken</text:span>,<text:note><text:note-citation>1</text:note-citation><text:note-body>
            <text:p>a note</text:p></text:note-body></text:note> with a
            <draw:frame><draw:text-box><text:p>box</text:p></draw:text-box></draw:frame>.<office:annotation>
            <dc:creator>Ann</dc:creator><text:p>really?</text:p></office:annotation></text:p>
        <text:list><text:list-item><text:p>item</text:p></text:list-item></text:list>
        <table:table><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell><table:table-cell/>
        <table:table-cell><text:p>b</text:p><text:p>c</text:p></table:table-cell></table:table-row></table:table>
        </office:text></office:body></office:document-content>"#;

    #[test]
    fn a_text_keeps_its_structure() {
        let styles = r#"<office:document-styles><style:header><text:p>the house</text:p></style:header>
            <style:header-left><text:p>the house</text:p></style:header-left></office:document-styles>"#;
        let read = read_bytes(
            "a.odt",
            zip(&[
                ("mimetype", "application/vnd.oasis.opendocument.text"),
                ("content.xml", TEXT),
                ("styles.xml", styles),
                ("meta.xml", "<office:meta><dc:title>A title</dc:title></office:meta>"),
            ]),
        );
        read.outcome.as_ref().unwrap();
        let expected = [
            (Heading(2), "Chapter  one"),
            (Paragraph, "A line that is broken, with a ."),
            (Paragraph, "a note"),
            (Paragraph, "box"),
            (Paragraph, "really?"),
            (ListItem, "item"),
            (Table, "a\t\tb c"),
            (Paragraph, "the house"),
        ];
        assert_eq!(read.blocks(), expected);
        let info = read.info.unwrap();
        assert_eq!(info.title.as_deref(), Some("A title"));
        assert_eq!(info.media_type, "application/vnd.oasis.opendocument.text");
    }

    #[test]
    fn a_presentation_has_a_page_a_slide() {
        let slide = |title: &str, text: &str| {
            format!(
                r#"<draw:page><draw:frame presentation:class="title"><draw:text-box><text:p>{title}</text:p></draw:text-box>
                </draw:frame><draw:frame><draw:text-box><text:p>{text}</text:p></draw:text-box></draw:frame></draw:page>"#
            )
        };
        let content = format!(
            "<office:document-content><office:presentation>{}{}</office:presentation></office:document-content>",
            slide("First", "one"),
            slide("Second", "two")
        );
        // Without a type of its own: by what is in it.
        let read = read_bytes("a.odp", zip(&[("content.xml", &content)]));
        read.outcome.as_ref().unwrap();
        assert_eq!(read.pages.len(), 2);
        let expected =
            [(Heading(1), "First"), (Paragraph, "one"), (Heading(1), "Second"), (Paragraph, "two")];
        assert_eq!(read.blocks(), expected);
    }

    #[test]
    fn one_flat_file_is_read_and_one_with_a_password_is_told() {
        let flat = format!(
            r#"<?xml version="1.0"?><office:document office:mimetype="application/vnd.oasis.opendocument.text">{TEXT}</office:document>"#
        );
        let read = read_bytes("a.fodt", flat);
        assert_eq!(read.blocks()[0], (Heading(2), "Chapter  one"));
        let manifest = "<manifest:manifest><manifest:encryption-data/></manifest:manifest>";
        let locked = zip(&[
            ("mimetype", "application/vnd.oasis.opendocument.text"),
            ("content.xml", "x"),
            ("META-INF/manifest.xml", manifest),
        ]);
        assert_eq!(read_bytes("a.odt", locked).outcome.unwrap_err().code, FailureCode::Encrypted);
    }
}
