//! One pass over a part of a Word or PowerPoint document. Their paragraphs, `w:` and `a:`, differ in names only.

use std::collections::{HashMap, HashSet};

use docmill_core::failure::Failure;
use quick_xml::events::{BytesStart, Event};

use super::body::{Body, Paragraph, Unread};
use crate::extract::emit::Emitter;
use crate::extract::package::Package;
use crate::extract::xml::{attribute, local, push_reference};

/// Elements whose text is said elsewhere: by the choice that a fallback stands in for, at the place that text was moved to.
const REPEATED: &[&str] = &["Fallback", "moveFrom"];

/// Levels of headings by the id of their style.
pub(super) type Styles = HashMap<String, u8>;

/// Sends the text of a part, and gives what it has besides; `None` when there is no such part. With `only_new`, what was
/// sent before is not sent again.
pub(super) fn read(
    package: &mut Package<'_>,
    name: &str,
    styles: &Styles,
    only_new: Option<&mut HashSet<String>>,
    emitter: &mut Emitter<'_>,
) -> Result<Option<Unread>, Failure> {
    let body = Body::new(only_new, emitter);
    let mut pass = Pass { styles, body, in_text: false, repeated: 0, placeholder: String::new() };
    let is_there = package.events(name, |event| pass.event(event))?;
    Ok(is_there.then_some(pass.body.unread))
}

struct Pass<'a, 'e> {
    styles: &'a Styles,
    body: Body<'a, 'e>,
    in_text: bool,
    repeated: u32,
    /// In a slide: the kind of the shape that is read. Numbers, dates and footers are not content.
    placeholder: String,
}

impl Pass<'_, '_> {
    fn event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        match event {
            Event::Start(tag) => {
                self.picture(&tag)?;
                self.start(&tag);
            }
            Event::Empty(tag) => {
                self.picture(&tag)?;
                self.empty(&tag)?;
            }
            Event::Text(text) if self.in_text => self.push(&text)?,
            Event::CData(text) if self.in_text => self.push(&text)?,
            Event::GeneralRef(reference) if self.in_text => {
                let mut text = String::new();
                push_reference(&mut text, &reference);
                self.push(&text)?;
            }
            Event::End(tag) => self.end(local(tag.name().as_ref()))?,
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, text: &str) -> Result<(), Failure> {
        if self.repeated > 0 {
            return Ok(());
        }
        let Some(paragraph) = self.body.paragraph() else { return Ok(()) };
        paragraph.text.push_str(text);
        self.body.gathering()
    }

    /// What pictures and drawings show is said in their properties.
    fn picture(&mut self, tag: &BytesStart<'_>) -> Result<(), Failure> {
        let name = tag.name();
        let said_in: &[&str] = match local(name.as_ref()) {
            "docPr" | "cNvPr" => &["title", "descr"],
            "shape" => &["alt"],
            "pic" | "imagedata" => {
                self.body.unread.has_pictures = true;
                return Ok(());
            }
            _ => return Ok(()),
        };
        if self.repeated > 0 {
            return Ok(());
        }
        for said in said_in {
            if let Some(text) = attribute(tag, said) {
                self.body.alternative(&text)?;
            }
        }
        Ok(())
    }

    fn start(&mut self, tag: &BytesStart<'_>) {
        let name = tag.name();
        match local(name.as_ref()) {
            repeated if REPEATED.contains(&repeated) => self.repeated += 1,
            "t" => self.in_text = true,
            "p" => self.body.begin_paragraph(Paragraph::default()),
            "sp" => self.placeholder.clear(),
            "tbl" => self.body.begin_table(),
            other => self.style(other, tag),
        }
    }

    fn empty(&mut self, tag: &BytesStart<'_>) -> Result<(), Failure> {
        let name = tag.name();
        match local(name.as_ref()) {
            // Before any text it is a tab stop among the paragraph's properties.
            "tab" if self.body.paragraph().is_some_and(|paragraph| !paragraph.text.is_empty()) => {
                self.push("\t")
            }
            "br" | "cr" => self.push("\n"),
            "noBreakHyphen" => self.push("-"),
            other => {
                self.style(other, tag);
                Ok(())
            }
        }
    }

    fn style(&mut self, name: &str, tag: &BytesStart<'_>) {
        if name == "ph" {
            self.placeholder = attribute(tag, "type").unwrap_or_default();
            return;
        }
        let Some(paragraph) = self.body.paragraph() else { return };
        match name {
            "pStyle" => {
                let id = attribute(tag, "val").unwrap_or_default();
                paragraph.level = self.styles.get(&id).copied();
                paragraph.is_item |= id.starts_with("List");
            }
            "outlineLvl" => {
                let level = attribute(tag, "val").and_then(|level| level.parse::<u8>().ok());
                paragraph.level = level.filter(|&level| level < 6).map(|level| level + 1);
            }
            "numPr" | "buChar" | "buAutoNum" => paragraph.is_item = true,
            _ => {}
        }
    }

    fn end(&mut self, name: &str) -> Result<(), Failure> {
        match name {
            repeated if REPEATED.contains(&repeated) => self.repeated = self.repeated.saturating_sub(1),
            "t" => self.in_text = false,
            "p" => return self.end_paragraph(),
            "sp" => self.placeholder.clear(),
            "tc" if self.body.is_in_table() => self.body.end_cell(),
            "tr" if self.body.is_in_table() => return self.body.end_row(),
            "tbl" => return self.body.end_table(),
            _ => {}
        }
        Ok(())
    }

    fn end_paragraph(&mut self) -> Result<(), Failure> {
        let Some(mut done) = self.body.end_paragraph()? else { return Ok(()) };
        match self.placeholder.as_str() {
            "sldNum" | "dt" | "ftr" | "sldImg" | "hdr" => {
                self.body.unread.has_footer |= !done.text.trim().is_empty();
                return Ok(());
            }
            "title" | "ctrTitle" => done.level = done.level.or(Some(1)),
            _ => {}
        }
        self.body.send(done)
    }
}
