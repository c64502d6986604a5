//! XML and SVG: their text nodes, in lines and paragraphs. Names, attributes and comments are not text; entities that a
//! document declares are not expanded.

use std::io::{BufRead, BufReader, Cursor};

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::{BlockKind, DocumentInfo};
use quick_xml::events::Event;

use super::emit::Emitter;
use super::html::{Html, declared_encoding};
use super::source::Source;
use super::work::Work;
use super::xml::{events, local, push_reference};
use super::{Kind, decode};

/// Elements whose text is for programs.
const SKIPPED: &[&str] = &["style", "script", "metadata"];

/// From so many bytes on a text node is a paragraph of its own; shorter ones are lines of one.
const PARAGRAPH_BYTES_MIN: usize = 200;

/// Lines are sent as a block from so many bytes on.
const LINES_BYTES: usize = 1_000;

/// Reads a document.
pub(super) fn read(mut source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let head = source.head();
    let head = head.map_err(|error| Failure::new(FailureCode::Unreadable, error.to_string()))?;
    let media_type = work.kind.media_type().to_owned();
    work.emitter.info(DocumentInfo { title: None, media_type, page_count: None })?;
    let from: Box<dyn BufRead> = if is_utf8(&head) {
        Box::new(BufReader::with_capacity(64 << 10, source))
    } else {
        let bytes = source.into_bytes(work.bytes_max())?;
        Box::new(Cursor::new(decode::decode(&bytes, declared_encoding(&head)).into_bytes()))
    };
    let mut pass = Pass {
        emitter: &mut *work.emitter,
        is_svg: work.kind == Kind::Svg,
        text: String::new(),
        lines: String::new(),
        begins: Vec::new(),
        skipped: 0,
    };
    let (_, read) = events(from, work.name, u64::MAX, &work.options.limits, |event| pass.event(event));
    pass.end_node()?;
    pass.end_lines()?;
    // What came before a mistake is as good as it is without one.
    work.emitter.or_lost(read)
}

/// Whether the document can be read as it comes: it says no other encoding and its start is in none.
fn is_utf8(head: &[u8]) -> bool {
    let declared = declared_encoding(head).is_none_or(|encoding| encoding == encoding_rs::UTF_8);
    let is_valid = match std::str::from_utf8(head) {
        Ok(_) => true,
        // A character may be cut at the end of what was looked at.
        Err(error) => error.error_len().is_none(),
    };
    declared && is_valid && !head.contains(&0)
}

struct Pass<'a, 'e> {
    emitter: &'a mut Emitter<'e>,
    is_svg: bool,
    /// The text node in work, with those of the elements in it that stand within its text.
    text: String,
    /// Short nodes that were read.
    lines: String,
    /// For each open element whether it began a node: its end is that of the node.
    begins: Vec<bool>,
    /// How many elements that are skipped lie around.
    skipped: u32,
}

impl Pass<'_, '_> {
    fn event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        match event {
            Event::Start(tag) => {
                let is_skipped = SKIPPED.contains(&local(tag.name().as_ref()));
                if self.skipped > 0 || is_skipped {
                    self.skipped += 1;
                } else {
                    self.begins.push(self.text.trim().is_empty());
                }
                Ok(())
            }
            Event::Empty(tag) => {
                // `br` of any vocabulary parts words.
                if matches!(local(tag.name().as_ref()), "br" | "tab" | "lb") {
                    self.text.push(' ');
                }
                Ok(())
            }
            Event::End(_) if self.skipped > 0 => {
                self.skipped -= 1;
                Ok(())
            }
            Event::End(_) => {
                if self.begins.pop().unwrap_or(true) {
                    self.end_node()
                } else {
                    Ok(())
                }
            }
            Event::Text(text) => self.push(&text),
            // Feeds hold pages so.
            Event::CData(text) if text.contains("</") || text.contains("/>") => {
                let plain = Html::parse(&text).plain();
                self.push(&plain)
            }
            Event::CData(text) => self.push(&text),
            Event::GeneralRef(reference) => {
                let mut text = String::new();
                push_reference(&mut text, &reference);
                self.push(&text)
            }
            _ => Ok(()),
        }
    }

    fn push(&mut self, text: &str) -> Result<(), Failure> {
        if self.skipped > 0 {
            return Ok(());
        }
        self.text.push_str(text);
        self.emitter.gathering(self.text.len())
    }

    /// Ends the text node in work.
    fn end_node(&mut self) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.text);
        let mut words = text.split_whitespace().peekable();
        if words.peek().is_none() {
            return Ok(());
        }
        if text.len() >= PARAGRAPH_BYTES_MIN {
            self.end_lines()?;
        }
        for word in words {
            self.lines.push_str(word);
            self.lines.push(' ');
        }
        // A picture's labels have nothing to do with each other.
        if text.len() >= PARAGRAPH_BYTES_MIN || self.lines.len() >= LINES_BYTES || self.is_svg {
            return self.end_lines();
        }
        self.lines.pop();
        self.lines.push('\n');
        Ok(())
    }

    fn end_lines(&mut self) -> Result<(), Failure> {
        self.emitter.block(BlockKind::Paragraph, std::mem::take(&mut self.lines))
    }
}

#[cfg(test)]
mod tests {
    use super::super::work::tests::read_bytes;

    #[test]
    fn text_nodes_are_lines_and_long_ones_paragraphs() {
        let long = "many words ".repeat(30);
        let xml = format!(
            "<?xml version='1.0'?><!-- no --><list><person id='7'><name>A &amp; B</name><age>3</age></person>\
             <note>Some <em>mixed</em> text</note><p>{long}</p><end>end</end></list>"
        );
        let read = read_bytes("a.xml", xml);
        read.outcome.as_ref().unwrap();
        assert_eq!(read.texts(), ["A & B\n3\nSome mixed text", long.trim(), "end"]);
        assert_eq!(read.info.unwrap().media_type, "application/xml");
    }

    #[test]
    fn entities_are_not_expanded_and_nothing_is_fetched() {
        let xml = "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'lol'><!ENTITY b '&a;&a;&a;'>\
                   <!ENTITY f SYSTEM 'file:///etc/passwd'>]><x>before &b; &f; after</x>";
        assert_eq!(read_bytes("a.xml", xml).texts(), ["before after"]);
    }

    #[test]
    fn a_picture_gives_its_labels() {
        let svg = "<svg xmlns='http://www.w3.org/2000/svg'><style>.a{}</style><title>Chart</title><script>x()</script>\
                   <g><text>one <tspan>label</tspan></text><text>two</text></g></svg>";
        let read = read_bytes("a.svg", svg);
        assert_eq!(read.texts(), ["Chart", "one label", "two"]);
        assert_eq!(read.info.unwrap().media_type, "image/svg+xml");
    }

    #[test]
    fn any_encoding_is_read_and_a_mistake_loses_what_follows() {
        let mut xml = b"<?xml version='1.0' encoding='koi8-r'?><x>".to_vec();
        xml.extend_from_slice(&encoding_rs::KOI8_R.encode("привет").0);
        xml.extend_from_slice(b"</x>");
        assert_eq!(read_bytes("a.xml", xml).texts(), ["привет"]);
        let wide: Vec<u8> = "\u{feff}<x>wide</x>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read_bytes("a.xml", wide).texts(), ["wide"]);
        let cut = read_bytes("a.xml", "<x><a>first</a><b>second");
        assert_eq!(cut.texts(), ["first\nsecond"]);
        assert!(cut.outcome.is_ok() && cut.pages[0].note.as_ref().unwrap().starts_with("lost: damaged"));
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!("{}x{}", "<a>".repeat(300_000), "</a>".repeat(300_000));
        assert_eq!(read_bytes("a.xml", format!("<?xml version='1.0'?>{deep}")).texts(), ["x"]);
    }
}
