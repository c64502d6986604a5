//! What passes over Office documents have in common: paragraphs that lie in each other, tables, and what is said of
//! pictures. Knows no element.

use std::collections::HashSet;

use docmill_core::failure::Failure;
use docmill_core::page::{BlockKind, PageReason};

use crate::extract::emit::Emitter;
use crate::extract::text::Table;

/// Most cells of a row; a row with more is not for readers.
const CELLS_MAX: usize = 16_384;

/// How names of files end that programs give to pictures where nobody says what is on them.
const FILE_ENDS: &[&str] =
    &[".png", ".jpg", ".jpeg", ".gif", ".bmp", ".emf", ".wmf", ".tif", ".tiff", ".svg", ".webp"];

/// Most text, in bytes, that waits for the end of the paragraph around it.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// What is known of a paragraph.
#[derive(Default)]
pub(super) struct Paragraph {
    pub text: String,
    /// Of a heading.
    pub level: Option<u8>,
    pub is_item: bool,
}

/// What a part has that is not read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Unread {
    pub has_pictures: bool,
    /// Footers, dates and numbers of slides.
    pub has_footer: bool,
}

impl Unread {
    /// Why a page has no text that has nothing else.
    pub fn note(self) -> String {
        match self {
            Self { has_pictures: true, .. } => PageReason::PicturesUnread
                .note("there are only pictures on it, and nothing is said of them"),
            Self { has_footer: true, .. } => {
                PageReason::Empty.note("there is nothing on it but a footer, a date or its number")
            }
            _ => PageReason::Empty.note("there is nothing written on it"),
        }
    }
}

/// The text of a part, on its way out in the order in which it is read.
pub(super) struct Body<'a, 'e> {
    pub emitter: &'a mut Emitter<'e>,
    pub unread: Unread,
    /// What was sent, where nothing is to be sent twice.
    only_new: Option<&'a mut HashSet<String>>,
    /// Paragraphs that are open, outermost first: those of text boxes, notes and annotations lie in the one that they are
    /// anchored in.
    open: Vec<Paragraph>,
    /// What ended within an open paragraph and follows it.
    waiting: Vec<(BlockKind, String)>,
    waiting_bytes: usize,
    /// How many tables lie in each other here. One within a cell is text of that cell.
    tables: u32,
    cell: String,
    row: Vec<String>,
    table: Table,
    /// What was said of pictures: marks and logos are in many places.
    said: HashSet<String>,
}

impl<'a, 'e> Body<'a, 'e> {
    pub fn new(only_new: Option<&'a mut HashSet<String>>, emitter: &'a mut Emitter<'e>) -> Self {
        Self {
            emitter,
            unread: Unread::default(),
            only_new,
            open: Vec::new(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            tables: 0,
            cell: String::new(),
            row: Vec::new(),
            table: Table::default(),
            said: HashSet::new(),
        }
    }

    pub fn begin_paragraph(&mut self, paragraph: Paragraph) {
        self.open.push(paragraph);
    }

    /// The innermost one that is open.
    pub fn paragraph(&mut self) -> Option<&mut Paragraph> {
        self.open.last_mut()
    }

    /// Checks how much text the innermost one has by now.
    pub fn gathering(&self) -> Result<(), Failure> {
        self.open.last().map_or(Ok(()), |paragraph| self.emitter.gathering(paragraph.text.len()))
    }

    /// Ends the innermost one and gives it, to be handed to [`Body::send`]; none in a table, whose cell has the text then.
    pub fn end_paragraph(&mut self) -> Result<Option<Paragraph>, Failure> {
        let Some(done) = self.open.pop() else { return Ok(None) };
        if self.tables == 0 {
            return Ok(Some(done));
        }
        self.cell.push_str(&done.text);
        self.cell.push(' ');
        self.emitter.gathering(self.cell.len())?;
        Ok(None)
    }

    /// Sends a paragraph that ended, and then what is anchored in it. One that is anchored itself waits.
    pub fn send(&mut self, done: Paragraph) -> Result<(), Failure> {
        let kind = match done.level {
            Some(level) => BlockKind::Heading(level),
            None if done.is_item => BlockKind::ListItem,
            None => BlockKind::Paragraph,
        };
        self.waiting_bytes += done.text.len();
        if self.open.is_empty() {
            self.block(kind, done.text)?;
        } else {
            self.waiting.push((kind, done.text));
        }
        if self.open.is_empty() || self.waiting_bytes > WAITING_BYTES_MAX {
            self.send_waiting()?;
        }
        Ok(())
    }

    /// Sends what waits.
    pub fn send_waiting(&mut self) -> Result<(), Failure> {
        self.waiting_bytes = 0;
        for (kind, text) in std::mem::take(&mut self.waiting) {
            self.block(kind, text)?;
        }
        Ok(())
    }

    /// Sends what is said of a picture to those who cannot see it: once, and as a paragraph that is anchored where it is.
    pub fn alternative(&mut self, text: &str) -> Result<(), Failure> {
        let text = text.trim();
        if text.is_empty() || is_file_name(text) || !self.said.insert(text.to_owned()) {
            return Ok(());
        }
        self.begin_paragraph(Paragraph { text: text.to_owned(), ..Paragraph::default() });
        self.gathering()?;
        self.end_paragraph()?.map_or(Ok(()), |done| self.send(done))
    }

    fn block(&mut self, kind: BlockKind, text: String) -> Result<(), Failure> {
        if let Some(sent) = &mut self.only_new
            && !sent.insert(text.clone())
        {
            return Ok(());
        }
        self.emitter.block(kind, text)
    }

    pub fn begin_table(&mut self) {
        self.tables += 1;
    }

    /// Whether a cell or row that ends is one of a table in no other.
    pub fn is_in_table(&self) -> bool {
        self.tables == 1
    }

    pub fn end_cell(&mut self) {
        let cell = std::mem::take(&mut self.cell);
        if self.row.len() < CELLS_MAX {
            self.row.push(cell);
        }
    }

    pub fn end_row(&mut self) -> Result<(), Failure> {
        self.table.row(self.row.drain(..), self.emitter)
    }

    pub fn end_table(&mut self) -> Result<(), Failure> {
        self.tables = self.tables.saturating_sub(1);
        if self.tables == 0 { self.table.end(self.emitter) } else { Ok(()) }
    }
}

fn is_file_name(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    !text.contains('\n') && FILE_ENDS.iter().any(|end| lower.ends_with(end))
}
