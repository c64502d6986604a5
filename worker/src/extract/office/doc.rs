//! Word documents of before 2007 (DOC): the text by its table of pieces, tables by their marks. Styles are not read, so
//! there are no headings.

use std::collections::HashSet;

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::{BlockKind, DocumentInfo};

use crate::extract::emit::Emitter;
use crate::extract::ole::{Container, u16_at, u32_at};
use crate::extract::source::Source;
use crate::extract::text::Table;
use crate::extract::work::Work;

/// What the first two bytes say.
const MAGIC: u16 = 0xa5ec;

/// The first version that is written like this: Word 97.
const VERSION_MIN: u16 = 101;

/// Where the lengths of the parts of the text stand: body, notes, headers, comments, notes at the end, text boxes, those
/// of headers.
const PARTS: [usize; 7] = [0x4c, 0x50, 0x54, 0x5c, 0x60, 0x64, 0x68];

/// Which of the parts is that of headers and footers, which repeat themselves.
const HEADERS: usize = 2;

/// Most cells of a row.
const CELLS_MAX: usize = 16_384;

/// Most of a field's instruction that is kept, in bytes: longer ones are none that show words.
const INSTRUCTION_BYTES_MAX: usize = 4 << 10;

fn damaged(detail: &str) -> Failure {
    Failure::new(FailureCode::Damaged, detail)
}

/// Reads the document as one run of blocks.
pub(in crate::extract) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let mut container = Container::open(source, work)?;
    let main = container.needed("WordDocument")?;
    if u16_at(&main, 0) != MAGIC || u16_at(&main, 2) < VERSION_MIN {
        return Err(Failure::new(FailureCode::TypeUnsupported, "it is a document of Word 95 or before"));
    }
    let flags = u16_at(&main, 0x0a);
    if flags & 0x0100 != 0 {
        return Err(Failure::new(FailureCode::Encrypted, "it is a Word document with a password"));
    }
    let table = container.needed(if flags & 0x0200 != 0 { "1Table" } else { "0Table" })?;
    let (start, length) = (u32_at(&main, 0x1a2) as usize, u32_at(&main, 0x1a6) as usize);
    let pieces = table.get(start..).map(|rest| &rest[..length.min(rest.len())]).unwrap_or_default();
    let pieces = pieces_of(pieces, &main)?;
    let media_type = work.kind.media_type().to_owned();
    work.emitter.info(DocumentInfo { title: None, media_type, page_count: None })?;
    let mut pass = Pass {
        emitter: &mut *work.emitter,
        text: String::new(),
        fields: Vec::new(),
        instructions: 0,
        instruction: String::new(),
        row: Vec::new(),
        table: Table::default(),
        after_cell: false,
        only_new: None,
    };
    let mut left = PARTS.map(|at| u32_at(&main, at));
    let mut part = 0;
    for (is_bytes, bytes) in pieces {
        let mut send = |c: char| {
            while part < left.len() && left[part] == 0 {
                pass.end_part()?;
                part += 1;
                pass.only_new = (part == HEADERS).then(HashSet::new);
            }
            if let Some(left) = left.get_mut(part) {
                *left -= 1;
            }
            pass.char(c)
        };
        if is_bytes {
            let (text, _) = encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes);
            text.chars().try_for_each(&mut send)?;
        } else {
            let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            let mut text = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
            text.try_for_each(&mut send)?;
        }
    }
    pass.end_part()
}

/// The pieces of the text in order: whether each is of single bytes, and what it is.
fn pieces_of<'a>(mut table: &[u8], main: &'a [u8]) -> Result<Vec<(bool, &'a [u8])>, Failure> {
    let missing = || damaged("it has no table of pieces");
    // Before it come changes of format, each with its length.
    while table.first() == Some(&1) {
        table = table.get(3 + usize::from(u16_at(table, 1))..).ok_or_else(missing)?;
    }
    if table.first() != Some(&2) {
        return Err(missing());
    }
    let length = u32_at(table, 1) as usize;
    let table = table.get(5..).map(|rest| &rest[..length.min(rest.len())]).ok_or_else(missing)?;
    // Of n pieces: n + 1 positions of four bytes, and n descriptions of eight.
    let count = table.len().saturating_sub(4) / 12;
    let mut bytes_left = main.len().saturating_mul(4);
    let mut pieces = Vec::new();
    for piece in 0..count {
        let characters = u32_at(table, piece * 4 + 4).saturating_sub(u32_at(table, piece * 4)) as usize;
        let place = u32_at(table, (count + 1) * 4 + piece * 8 + 2);
        let is_bytes = place & 0x4000_0000 != 0;
        let place = (place & 0x3fff_ffff) as usize;
        let (start, length) = if is_bytes { (place / 2, characters) } else { (place, characters * 2) };
        let Some(bytes) = main.get(start..).map(|rest| &rest[..length.min(rest.len())]) else {
            return Err(damaged("a piece of the text lies beyond its end"));
        };
        // Pieces may be the same bytes, but not without end.
        bytes_left =
            bytes_left.checked_sub(bytes.len()).ok_or_else(|| damaged("its pieces are too many"))?;
        pieces.push((is_bytes, bytes));
    }
    Ok(pieces)
}

struct Pass<'a, 'e> {
    emitter: &'a mut Emitter<'e>,
    text: String,
    /// Fields that are open, and whether what is read is their instruction and not yet what they show.
    fields: Vec<bool>,
    /// How many of them are at their instruction.
    instructions: usize,
    /// The instruction of the innermost.
    instruction: String,
    row: Vec<String>,
    table: Table,
    after_cell: bool,
    only_new: Option<HashSet<String>>,
}

impl Pass<'_, '_> {
    fn char(&mut self, c: char) -> Result<(), Failure> {
        match c {
            '\x13' => {
                self.fields.push(true);
                self.instructions += 1;
                self.instruction.clear();
            }
            '\x14' => {
                if let Some(is_instruction) = self.fields.last_mut() {
                    self.instructions -= usize::from(std::mem::take(is_instruction));
                }
            }
            '\x15' => {
                let shows_nothing = self.fields.pop().unwrap_or_default();
                self.instructions -= usize::from(shows_nothing);
                if shows_nothing
                    && self.instructions == 0
                    && let Some(word) = word_with_reading(&self.instruction)
                {
                    self.text.push_str(word);
                }
            }
            c if self.instructions > 0 => {
                if self.instruction.len() < INSTRUCTION_BYTES_MAX {
                    self.instruction.push(c);
                }
            }
            '\x07' => return self.cell(),
            '\r' | '\x0c' => {
                // Within a row it parts words.
                if self.row.is_empty() {
                    return self.end_paragraph();
                }
                self.text.push(' ');
            }
            '\x0b' | '\n' => self.text.push('\n'),
            '\t' => self.text.push('\t'),
            '\x1e' => self.text.push('-'),
            '\0'..='\x1f' => {}
            c => self.text.push(c),
        }
        self.after_cell = false;
        self.emitter.gathering(self.text.len())
    }

    /// The end of a cell, or of the row, which has a mark of its own directly after its last cell.
    fn cell(&mut self) -> Result<(), Failure> {
        if self.after_cell && self.text.is_empty() {
            self.after_cell = false;
            return self.table.row(self.row.drain(..), self.emitter);
        }
        self.after_cell = true;
        let cell = std::mem::take(&mut self.text);
        if self.row.len() < CELLS_MAX {
            self.row.push(cell);
        }
        Ok(())
    }

    fn end_paragraph(&mut self) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.text);
        if text.trim().is_empty() {
            return Ok(());
        }
        self.table.end(self.emitter)?;
        if let Some(sent) = &mut self.only_new
            && !sent.insert(text.clone())
        {
            return Ok(());
        }
        self.emitter.block(BlockKind::Paragraph, text)
    }

    fn end_part(&mut self) -> Result<(), Failure> {
        (self.fields, self.instructions) = (Vec::new(), 0);
        self.instruction.clear();
        self.table.row(self.row.drain(..), self.emitter)?;
        self.end_paragraph()?;
        self.table.end(self.emitter)
    }
}

/// The word that an equation shows with its reading above it, as Japanese is set: `EQ \o\ad(\s\up 10(reading),word)`.
fn word_with_reading(instruction: &str) -> Option<&str> {
    let (_, over) = instruction.trim_start().strip_prefix("EQ")?.split_once("\\s\\up")?;
    let (_, word) = over.split_once("),").or_else(|| over.split_once(");"))?;
    word.trim_end().strip_suffix(')').filter(|word| !word.contains('\\'))
}

#[cfg(test)]
mod tests {
    use docmill_core::failure::FailureCode;
    use docmill_core::page::BlockKind::{Paragraph, Table};

    use crate::extract::ole::tests::container;
    use crate::extract::work::tests::read_bytes;

    /// A document whose text is of two pieces, one of bytes and one of UTF-16, and whose headers are its last part.
    fn document(flags: u16, bytes: &[u8], wide: &str, headers: &str) -> Vec<u8> {
        let units: Vec<u16> = wide.encode_utf16().chain(headers.encode_utf16()).collect();
        let mut main = vec![0; 0x400];
        main[0..4].copy_from_slice(&[0xec, 0xa5, 0xc1, 0x00]);
        main[0x0a..0x0c].copy_from_slice(&flags.to_le_bytes());
        let body = (bytes.len() + wide.encode_utf16().count()) as u32;
        main[0x4c..0x50].copy_from_slice(&body.to_le_bytes());
        main[0x54..0x58].copy_from_slice(&(headers.encode_utf16().count() as u32).to_le_bytes());
        let mut table = vec![1, 2, 0, 9, 9, 2, 28, 0, 0, 0];
        let total = (bytes.len() + units.len()) as u32;
        table.extend([0, bytes.len() as u32, total].into_iter().flat_map(u32::to_le_bytes));
        let places = [0x4000_0000 | (0x400 * 2), 0x400 + bytes.len() as u32];
        for place in places {
            table.extend([0, 0]);
            table.extend(place.to_le_bytes());
            table.extend([0, 0]);
        }
        main[0x1a6..0x1aa].copy_from_slice(&(table.len() as u32).to_le_bytes());
        main.extend(bytes);
        main.extend(units.into_iter().flat_map(u16::to_le_bytes));
        container(&[("/WordDocument", &main), ("/1Table", &table)])
    }

    #[test]
    fn pieces_fields_tables_and_headers_are_read() {
        let bytes = b"Gr\xfc\xdfe \x13 PAGE \x141\x15.\rone\x07two\x07\x07\x07three\x07\x07after\r";
        let read = read_bytes("a.doc", document(0x0200, bytes, "при\r", "the house\rthe house\r"));
        read.outcome.as_ref().unwrap();
        let expected = [
            (Paragraph, "Grüße 1."),
            (Table, "one\ttwo\n\tthree"),
            (Paragraph, "after"),
            (Paragraph, "при"),
            (Paragraph, "the house"),
        ];
        assert_eq!(read.blocks(), expected);
        assert_eq!(read.info.unwrap().media_type, "application/msword");
    }

    #[test]
    fn a_word_with_its_reading_above_it_is_read() {
        let ruby = "\x13 EQ \\* jc2 \\* \"Font:MS Mincho\" \\* hps11 \\o\\ad(\\s\\up 10(とうきょう),東京)\x15 です。\
            \x13 EQ \\f(1,2)\x15\r";
        let read = read_bytes("a.doc", document(0x0200, b"", ruby, ""));
        assert_eq!(read.blocks(), [(Paragraph, "東京 です。")]);
    }

    #[test]
    fn a_password_and_a_damage_are_told() {
        let code = |bytes: Vec<u8>| read_bytes("a.doc", bytes).outcome.unwrap_err().code;
        assert_eq!(code(document(0x0300, b"x", "", "")), FailureCode::Encrypted);
        assert_eq!(code(container(&[("/WordDocument", b"\xec\xa5\xc1\0")])), FailureCode::Damaged);
        assert_eq!(code(container(&[("/WordDocument", b"\xdc\xa5\x65\0")])), FailureCode::TypeUnsupported);
    }
}
