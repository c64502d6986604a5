//! PowerPoint presentations of before 2007 (PPT): a page a slide. The text of titles and outlines stands in one list, that
//! of other shapes with their slides.

use std::collections::HashSet;

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::{BlockKind, DocumentInfo};

use crate::extract::ole::{Container, u16_at, u32_at, utf16};
use crate::extract::source::Source;
use crate::extract::work::Work;

/// Kinds of records.
const SLIDE: u16 = 0x03ee;
const NOTES: u16 = 0x03f0;
const SLIDE_BEGINS: u16 = 0x03f3;
const MASTER: u16 = 0x03f8;
const TEXT_KIND: u16 = 0x0f9f;
const TEXT_UTF16: u16 = 0x0fa0;
const TEXT_BYTES: u16 = 0x0fa8;
const TEXT_LIST: u16 = 0x0ff0;

/// What the user's stream says of a presentation with a password.
const LOCKED: u32 = 0xf3d1_c4df;

/// Most slides.
const SLIDES_MAX: usize = 10_000;

/// A text, and whether it is a title.
type Text = (bool, String);

/// Reads all slides, what is noted about them at the end.
pub(in crate::extract) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let mut container = Container::open(source, work)?;
    let user = container.stream("Current User")?.unwrap_or_default();
    if u32_at(&user, 12) == LOCKED {
        return Err(Failure::new(FailureCode::Encrypted, "it is a presentation with a password"));
    }
    let found = Found::in_records(&container.needed("PowerPoint Document")?);
    let media_type = work.kind.media_type().to_owned();
    let slides = found.slides();
    let page_count = Some(slides.len() as u32);
    work.emitter.info(DocumentInfo { title: None, media_type, page_count })?;
    for slide in slides.into_iter().chain([found.notes].into_iter().filter(|notes| !notes.is_empty())) {
        let mut sent = HashSet::new();
        for (is_title, text) in slide {
            let kind = if is_title { BlockKind::Heading(1) } else { BlockKind::Paragraph };
            for paragraph in text.split('\r').filter(|paragraph| !paragraph.trim().is_empty()) {
                // The list may repeat what stands in a shape.
                if sent.insert(paragraph.to_owned()) {
                    work.emitter.block(kind, paragraph)?;
                }
            }
        }
        work.emitter.end_page()?;
    }
    Ok(())
}

/// What the records say.
#[derive(Default)]
struct Found {
    /// Texts of the list, by slide.
    listed: Vec<Vec<Text>>,
    /// Texts of shapes, by slide.
    shapes: Vec<Vec<Text>>,
    notes: Vec<Text>,
}

/// Where text belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Listed,
    Shape,
    Note,
    Nowhere,
}

impl Found {
    /// Goes through all records, those in each other too, in one loop.
    fn in_records(bytes: &[u8]) -> Self {
        let mut found = Self::default();
        // Where records begin in which text belongs somewhere else, and end; innermost last.
        let mut places: Vec<(usize, Place)> = Vec::new();
        let (mut at, mut is_title) = (0, false);
        while at + 8 <= bytes.len() {
            while places.pop_if(|(end, _)| *end <= at).is_some() {}
            let (version, kind) = (u16_at(bytes, at), u16_at(bytes, at + 2));
            let length = u32_at(bytes, at + 4) as usize;
            let start = at + 8;
            let end = start.saturating_add(length).min(bytes.len());
            let place = places.last().map_or(Place::Nowhere, |(_, place)| *place);
            // A record of records is entered, another one passed over.
            at = if version & 0xf == 0xf { start } else { end };
            match kind {
                SLIDE if found.shapes.len() < SLIDES_MAX => {
                    found.shapes.push(Vec::new());
                    places.push((end, Place::Shape));
                }
                NOTES => places.push((end, Place::Note)),
                MASTER | SLIDE => places.push((end, Place::Nowhere)),
                TEXT_LIST => {
                    let place = match version >> 4 {
                        0 => Place::Listed,
                        2 => Place::Note,
                        _ => Place::Nowhere,
                    };
                    places.push((end, place));
                }
                SLIDE_BEGINS if place == Place::Listed && found.listed.len() < SLIDES_MAX => {
                    found.listed.push(Vec::new());
                }
                TEXT_KIND => is_title = matches!(u32_at(bytes, start), 0 | 6),
                TEXT_UTF16 => found.add(place, is_title, utf16(&bytes[start..end])),
                // The lower halves of characters of which the upper ones are zero.
                TEXT_BYTES => {
                    let text = bytes[start..end].iter().map(|&byte| char::from(byte)).collect();
                    found.add(place, is_title, text);
                }
                _ => {}
            }
        }
        found
    }

    fn add(&mut self, place: Place, is_title: bool, text: String) {
        let texts = match place {
            Place::Listed => self.listed.last_mut(),
            Place::Shape => self.shapes.last_mut(),
            Place::Note => Some(&mut self.notes),
            Place::Nowhere => None,
        };
        if let Some(texts) = texts {
            texts.push((is_title, text));
        }
    }

    /// Texts by slide. Shapes follow the list of their slide where there are as many of both: a presentation that was
    /// saved in a hurry holds old slides too.
    fn slides(&self) -> Vec<Vec<Text>> {
        if self.listed.len() == self.shapes.len() {
            let pairs = self.listed.iter().zip(&self.shapes);
            return pairs.map(|(listed, shapes)| [listed.as_slice(), shapes].concat()).collect();
        }
        let rest = self.shapes.concat();
        let mut slides = self.listed.clone();
        if !rest.is_empty() {
            slides.push(rest);
        }
        slides
    }
}

#[cfg(test)]
mod tests {
    use docmill_core::failure::FailureCode;
    use docmill_core::page::BlockKind::{Heading, Paragraph};

    use super::*;
    use crate::extract::ole::tests::container;
    use crate::extract::work::tests::read_bytes;

    fn record(version: u16, kind: u16, content: &[u8]) -> Vec<u8> {
        let length = content.len() as u32;
        [&version.to_le_bytes()[..], &kind.to_le_bytes(), &length.to_le_bytes(), content].concat()
    }

    fn text(kind: u32, text: &str) -> Vec<u8> {
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        [record(0, TEXT_KIND, &kind.to_le_bytes()), record(0, TEXT_UTF16, &wide)].concat()
    }

    #[test]
    fn slides_have_their_titles_outlines_shapes_and_notes() {
        let begins = record(0, SLIDE_BEGINS, &[0; 20]);
        let list = [
            begins.clone(),
            text(0, "Первый"),
            text(1, "one\rtwo"),
            begins,
            record(0, TEXT_KIND, &6u32.to_le_bytes()),
            record(0, TEXT_BYTES, b"Gr\xfc\xdfe"),
        ];
        let slide = |content: &str| record(0xf, SLIDE, &record(0xf, 0xf00d, &text(4, content)));
        let stream = [
            record(0xf, MASTER, &text(0, "Click to edit")),
            record(0xf, 0x03e8, &record(0xf, TEXT_LIST, &list.concat())),
            slide("in a shape"),
            slide("two"),
            record(0xf, NOTES, &text(2, "said aloud")),
        ];
        let read = read_bytes("a.ppt", container(&[("/PowerPoint Document", &stream.concat())]));
        read.outcome.as_ref().unwrap();
        let expected = [
            (Heading(1), "Первый"),
            (Paragraph, "one"),
            (Paragraph, "two"),
            (Paragraph, "in a shape"),
            (Heading(1), "Grüße"),
            (Paragraph, "two"),
            (Paragraph, "said aloud"),
        ];
        assert_eq!(read.blocks(), expected);
        assert_eq!(read.pages.len(), 3);
    }

    #[test]
    fn a_password_is_told_and_a_wild_length_ends_nothing() {
        let user = [&[0; 12][..], &LOCKED.to_le_bytes()].concat();
        let locked = container(&[("/PowerPoint Document", b"x"), ("/Current User", &user)]);
        assert_eq!(read_bytes("a.ppt", locked).outcome.unwrap_err().code, FailureCode::Encrypted);
        let wild = Found::in_records(&[
            0xf, 0, 0xee, 0x03, 0xff, 0xff, 0xff, 0xff, 0, 0, 0xa8, 0x0f, 99, 0, 0, 0, b'a',
        ]);
        assert_eq!(wild.shapes, [[(false, "a".to_owned())]]);
    }
}
