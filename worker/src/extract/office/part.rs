//! One pass over a part of a Word or PowerPoint document. Their paragraphs, `w:` and `a:`, differ in names only.

use std::collections::{HashMap, HashSet};

use docmill_core::failure::Failure;
use docmill_core::page::BlockKind;
use quick_xml::events::{BytesStart, Event};

use crate::extract::emit::Emitter;
use crate::extract::package::Package;
use crate::extract::text::Table;
use crate::extract::xml::{attribute, local, push_reference};

/// Most cells of a row; a row with more is not for readers.
const CELLS_MAX: usize = 16_384;

/// Most text of text boxes that waits for the end of the paragraph around them.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// Elements whose text is said elsewhere: by the choice that a fallback stands in for, at the place that text was moved to.
const REPEATED: &[&str] = &["Fallback", "moveFrom"];

/// Levels of headings by the id of their style.
pub(super) type Styles = HashMap<String, u8>;

/// Sends the text of a part; `false` when there is no such part. With `only_new`, what was sent before is not sent again.
pub(super) fn read(
    package: &mut Package<'_>,
    name: &str,
    styles: &Styles,
    only_new: Option<&mut HashSet<String>>,
    emitter: &mut Emitter<'_>,
) -> Result<bool, Failure> {
    let mut pass = Pass {
        styles,
        only_new,
        emitter,
        open: Vec::new(),
        waiting: Vec::new(),
        waiting_bytes: 0,
        in_text: false,
        repeated: 0,
        tables: 0,
        cell: String::new(),
        row: Vec::new(),
        table: Table::default(),
        placeholder: String::new(),
    };
    package.events(name, |event| pass.event(event))
}

/// What is known of a paragraph.
#[derive(Default)]
struct Paragraph {
    text: String,
    level: Option<u8>,
    is_item: bool,
}

struct Pass<'a, 'e> {
    styles: &'a Styles,
    only_new: Option<&'a mut HashSet<String>>,
    emitter: &'a mut Emitter<'e>,
    /// Paragraphs that are open, outermost first: those of a text box lie in the one that it is anchored in.
    open: Vec<Paragraph>,
    /// What ended within an open paragraph and follows it.
    waiting: Vec<(BlockKind, String)>,
    waiting_bytes: usize,
    in_text: bool,
    repeated: u32,
    tables: u32,
    cell: String,
    row: Vec<String>,
    table: Table,
    /// In a slide: the kind of the shape that is read. Numbers, dates and footers are not content.
    placeholder: String,
}

impl Pass<'_, '_> {
    fn event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::Empty(tag) => self.empty(&tag)?,
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
        let Some(paragraph) = self.open.last_mut() else { return Ok(()) };
        paragraph.text.push_str(text);
        self.emitter.gathering(paragraph.text.len())
    }

    fn start(&mut self, tag: &BytesStart<'_>) {
        let name = tag.name();
        match local(name.as_ref()) {
            repeated if REPEATED.contains(&repeated) => self.repeated += 1,
            "t" => self.in_text = true,
            "p" => self.open.push(Paragraph::default()),
            "sp" => self.placeholder.clear(),
            "tbl" => self.tables += 1,
            other => self.style(other, tag),
        }
    }

    fn empty(&mut self, tag: &BytesStart<'_>) -> Result<(), Failure> {
        let name = tag.name();
        match local(name.as_ref()) {
            // Before any text it is a tab stop among the paragraph's properties.
            "tab" if self.open.last().is_some_and(|paragraph| !paragraph.text.is_empty()) => {
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
        let Some(paragraph) = self.open.last_mut() else { return };
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
            // A table within a cell is text of that cell.
            "tc" if self.tables == 1 => {
                let cell = std::mem::take(&mut self.cell);
                if self.row.len() < CELLS_MAX {
                    self.row.push(cell);
                }
            }
            "tr" if self.tables == 1 => return self.table.row(self.row.drain(..), self.emitter),
            "tbl" => {
                self.tables = self.tables.saturating_sub(1);
                if self.tables == 0 {
                    return self.table.end(self.emitter);
                }
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
        let placeholder = self.placeholder.as_str();
        if matches!(placeholder, "sldNum" | "dt" | "ftr" | "sldImg" | "hdr") {
            return Ok(());
        }
        let level = done.level.or(matches!(placeholder, "title" | "ctrTitle").then_some(1));
        let kind = match level {
            Some(level) => BlockKind::Heading(level),
            None if done.is_item => BlockKind::ListItem,
            None => BlockKind::Paragraph,
        };
        self.waiting_bytes += done.text.len();
        if self.open.is_empty() {
            // The paragraph itself, and then what is anchored in it.
            self.send(kind, done.text)?;
        } else {
            self.waiting.push((kind, done.text));
        }
        if self.open.is_empty() || self.waiting_bytes > WAITING_BYTES_MAX {
            self.waiting_bytes = 0;
            for (kind, text) in std::mem::take(&mut self.waiting) {
                self.send(kind, text)?;
            }
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
