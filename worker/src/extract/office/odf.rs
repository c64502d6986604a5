//! OpenDocument texts, presentations and drawings, zipped or as one flat file: one pass over the content.

use std::collections::HashSet;
use std::io::BufReader;

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::DocumentInfo;
use quick_xml::events::{BytesStart, Event};

use super::body::{Body, Paragraph};
use crate::extract::Kind;
use crate::extract::emit::Emitter;
use crate::extract::package::Package;
use crate::extract::source::Source;
use crate::extract::work::Work;
use crate::extract::xml::{attribute, events, local, push_reference};

/// Elements whose text is none of the reader's: what was deleted, marks of notes, names and dates of annotations.
const SKIPPED: &[&str] = &[
    "text:tracked-changes",
    "text:note-citation",
    "dc:creator",
    "dc:date",
    "meta:date-string",
    "office:binary-data",
    "office:scripts",
    "office:forms",
];

/// Shapes of a slide that say the same on all of them.
const FURNITURE: &[&str] = &["header", "footer", "date-time", "page-number"];

/// Elements that say what a picture, a drawing or a formula shows.
const ALTERNATIVES: &[&str] = &["svg:title", "svg:desc", "math:annotation", "annotation"];

/// Most spaces in a row that are kept.
const SPACES_MAX: usize = 64;

/// Reads a text, headers and footers at its end, or a presentation with a page a slide.
pub(in crate::extract) fn zipped(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let emitter = &mut *work.emitter;
    let mut package = Package::open(source, &work.options.limits, work.nesting)?;
    let title = package.title("meta.xml");
    let media_type = work.kind.media_type().to_owned();
    emitter.info(DocumentInfo { title, media_type, page_count: None })?;
    let has_slides = work.kind == Kind::Odp;
    let mut pass = Pass::new(has_slides, None, emitter);
    let read = package.events("content.xml", |event| pass.event(event));
    let unread = pass.body.unread;
    let read = read.and_then(|found| {
        let missing = || Failure::new(FailureCode::Damaged, "it has no content.xml");
        found.then_some(()).ok_or_else(missing)
    });
    emitter.or_lost(read)?;
    if has_slides {
        return Ok(());
    }
    emitter.without_text(unread.note());
    let mut sent = HashSet::new();
    let mut pass = Pass::new(false, Some(&mut sent), emitter);
    let read = package.events("styles.xml", |event| pass.event(event)).map(|_| ());
    emitter.or_lost(read)
}

/// Reads a document that is one XML file.
pub(in crate::extract) fn flat(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let media_type = work.kind.media_type().to_owned();
    work.emitter.info(DocumentInfo { title: None, media_type, page_count: None })?;
    let mut pass = Pass::new(false, None, work.emitter);
    let limits = &work.options.limits;
    let each = |event: Event<'_>| pass.event(event);
    let (_, read) = events(BufReader::new(source), work.name, u64::MAX, limits, each);
    work.emitter.or_lost(read)
}

struct Pass<'a, 'e> {
    has_slides: bool,
    body: Body<'a, 'e>,
    /// How many elements that are skipped lie around.
    skipped: u32,
    lists: u32,
    in_title: bool,
    /// What is being said of a picture.
    alternative: Option<String>,
}

impl<'a, 'e> Pass<'a, 'e> {
    fn new(
        has_slides: bool,
        only_new: Option<&'a mut HashSet<String>>,
        emitter: &'a mut Emitter<'e>,
    ) -> Self {
        let body = Body::new(only_new, emitter);
        Self { has_slides, body, skipped: 0, lists: 0, in_title: false, alternative: None }
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        if let Event::Start(tag) | Event::Empty(tag) = &event
            && self.skipped == 0
        {
            let name = tag.name();
            let name: &str = name.as_ref();
            self.body.unread.has_pictures |= name == "draw:image";
        }
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::Empty(tag) => self.empty(&tag)?,
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
        if self.skipped > 0 {
            return Ok(());
        }
        let gathered = match (&mut self.alternative, self.body.paragraph()) {
            (Some(alternative), _) => alternative,
            (None, Some(paragraph)) => &mut paragraph.text,
            (None, None) => return Ok(()),
        };
        for c in text.chars() {
            if !matches!(c, ' ' | '\t' | '\r' | '\n') {
                gathered.push(c);
            } else if !gathered.is_empty() && !gathered.ends_with([' ', '\n', '\t']) {
                gathered.push(' ');
            }
        }
        let bytes = gathered.len();
        self.body.emitter.gathering(bytes)
    }

    fn start(&mut self, tag: &BytesStart<'_>) {
        let name = tag.name();
        let name: &str = name.as_ref();
        if self.skipped > 0 || SKIPPED.contains(&name) {
            self.skipped += 1;
            return;
        }
        if ALTERNATIVES.contains(&name) {
            self.alternative = Some(String::new());
            return;
        }
        match local(name) {
            "p" => {
                let is_title = self.in_title || attribute(tag, "style-name").as_deref() == Some("Title");
                let level = is_title.then_some(1);
                self.body.begin_paragraph(Paragraph {
                    text: String::new(),
                    level,
                    is_item: self.lists > 0,
                });
            }
            "h" => {
                let level = attribute(tag, "outline-level").and_then(|level| level.parse::<u8>().ok());
                let level = Some(level.unwrap_or(1).clamp(1, 6));
                self.body.begin_paragraph(Paragraph { text: String::new(), level, is_item: false });
            }
            "list" => self.lists += 1,
            "table" => self.body.begin_table(),
            "frame" => {
                let class = attribute(tag, "class").unwrap_or_default();
                self.in_title = class == "title";
                if FURNITURE.contains(&class.as_str()) {
                    self.body.unread.has_footer = true;
                    self.skipped = 1;
                }
            }
            _ => self.space(tag),
        }
    }

    fn empty(&mut self, tag: &BytesStart<'_>) -> Result<(), Failure> {
        let name = tag.name();
        match local(name.as_ref()) {
            "table-cell" | "covered-table-cell" if self.body.is_in_table() => self.body.end_cell(),
            "page" if self.has_slides && self.skipped == 0 => return self.end_slide(),
            _ => self.space(tag),
        }
        Ok(())
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
        if let Some(paragraph) = self.body.paragraph().filter(|_| self.skipped == 0) {
            paragraph.text.extend(std::iter::repeat_n(c, count));
        }
    }

    fn end(&mut self, name: &str) -> Result<(), Failure> {
        if self.skipped > 0 {
            self.skipped -= 1;
            return Ok(());
        }
        if ALTERNATIVES.contains(&name) {
            let said = self.alternative.take().unwrap_or_default();
            return self.body.alternative(&said);
        }
        match local(name) {
            "p" | "h" => return self.end_paragraph(),
            "list" => self.lists = self.lists.saturating_sub(1),
            "frame" => self.in_title = false,
            "table-cell" | "covered-table-cell" if self.body.is_in_table() => self.body.end_cell(),
            "table-row" if self.body.is_in_table() => return self.body.end_row(),
            "table" => return self.body.end_table(),
            "page" if self.has_slides => return self.end_slide(),
            _ => {}
        }
        Ok(())
    }

    fn end_slide(&mut self) -> Result<(), Failure> {
        self.body.send_waiting()?;
        let unread = std::mem::take(&mut self.body.unread);
        self.body.emitter.without_text(unread.note());
        self.body.emitter.end_page()
    }

    fn end_paragraph(&mut self) -> Result<(), Failure> {
        self.body.end_paragraph()?.map_or(Ok(()), |done| self.body.send(done))
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
    fn what_is_said_of_pictures_is_read_once_and_where_they_are() {
        let picture = |title: &str, text: &str| {
            format!(
                "<draw:frame><draw:image/><svg:title>{title}</svg:title><svg:desc>{text}</svg:desc></draw:frame>"
            )
        };
        let content = format!(
            "<office:text><text:p>Before {} and after</text:p>{}<table:table><table:table-row><table:table-cell>\
             <text:p>cell{}</text:p></table:table-cell></table:table-row></table:table></office:text>",
            picture("A cat", "It\n sleeps &amp; dreams"),
            picture("A cat", "image1.PNG"),
            picture("", "A dog"),
        );
        let read = read_bytes("a.odt", zip(&[("content.xml", &content)]));
        read.outcome.as_ref().unwrap();
        let expected = [
            (Paragraph, "Before and after"),
            (Paragraph, "A cat"),
            (Paragraph, "It sleeps & dreams"),
            (Table, "A dog cell"),
        ];
        assert_eq!(read.blocks(), expected);
    }

    #[test]
    fn a_formula_is_read_as_it_was_written() {
        let formula = r#"<math><semantics><mrow><mi>E</mi></mrow><annotation encoding="StarMath 5.0">E = m
            c^2</annotation></semantics></math>"#;
        let stated = ("mimetype", "application/vnd.oasis.opendocument.formula");
        let read = read_bytes("a.odf", zip(&[stated, ("content.xml", formula)]));
        assert_eq!(read.blocks(), [(Paragraph, "E = m c^2")]);
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
    fn a_slide_without_text_says_what_it_has_instead() {
        let frame = |class: &str, text: &str| {
            format!(
                r#"<draw:frame presentation:class="{class}"><draw:text-box><text:p>{text}</text:p></draw:text-box></draw:frame>"#
            )
        };
        let footer = format!("{}{}", frame("footer", "The house"), frame("page-number", "&lt;number&gt;"));
        let content = format!(
            "<office:presentation><draw:page>{}{footer}</draw:page><draw:page>{footer}</draw:page><draw:page><draw:frame>\
             <draw:image/></draw:frame>{footer}</draw:page><draw:page/><draw:page></draw:page></office:presentation>",
            frame("title", "First"),
        );
        let read = read_bytes("a.odp", zip(&[("content.xml", &content)]));
        read.outcome.as_ref().unwrap();
        assert_eq!(read.texts(), ["First"]);
        let notes: Vec<_> = read.pages.iter().map(|page| page.note.as_deref()).collect();
        let expected = [
            None,
            Some("empty: there is nothing on it but a footer, a date or its number"),
            Some("pictures_unread: there are only pictures on it, and nothing is said of them"),
            Some("empty: there is nothing written on it"),
            Some("empty: there is nothing written on it"),
        ];
        assert_eq!(notes, expected);
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
