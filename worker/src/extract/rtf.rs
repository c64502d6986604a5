//! RTF: text, headings, lists and tables, by a pass over its groups. Pictures, styles and embedded objects are skipped.

use std::collections::{HashMap, HashSet};

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::{BlockKind, DocumentInfo};
use encoding_rs::Encoding;

use super::emit::Emitter;
use super::source::Source;
use super::text::Table;
use super::work::Work;

/// Deepest that groups lie in each other.
const GROUPS_MAX: usize = 100_000;

/// Most fonts; more are of the document's own encoding.
const FONTS_MAX: usize = 10_000;

/// Most cells of a row.
const CELLS_MAX: usize = 16_384;

/// Groups without text for readers, apart from those that say so themselves by `\*`.
const SKIPPED: &[&str] = &[
    "colortbl",
    "stylesheet",
    "pict",
    "objdata",
    "listtext",
    "pntext",
    "themedata",
    "datastore",
    "sp",
    "xe",
    "tc",
    "rxe",
    "template",
    "revtbl",
    "listtable",
    "listoverridetable",
    "rsidtbl",
    "generator",
    "nonesttables",
];

/// Groups that may be skipped by who does not know them, and hold the text of text boxes.
const KEPT: &[&str] = &["shpinst", "shptxt"];

/// Reads a document.
pub(super) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let bytes = source.into_bytes(work.bytes_max())?;
    let media_type = work.kind.media_type();
    send(&bytes, Some(media_type), work.emitter)
}

/// Sends the text of a document, and what it is, if that is not known.
pub(super) fn send(
    bytes: &[u8],
    media_type: Option<&'static str>,
    emitter: &mut Emitter<'_>,
) -> Result<(), Failure> {
    let group =
        Group { to: To::Text, encoding: encoding_rs::WINDOWS_1252, skip: 1, hidden: false, margin: false };
    let mut pass = Pass {
        bytes,
        at: 0,
        group,
        outer: Vec::new(),
        default: encoding_rs::WINDOWS_1252,
        fonts: HashMap::new(),
        font: 0,
        is_optional: false,
        undecoded: Vec::new(),
        high: None,
        to_skip: 0,
        title: String::new(),
        media_type,
        text: String::new(),
        level: None,
        is_item: false,
        in_table: false,
        row: Vec::new(),
        table: Table::default(),
        notes: Vec::new(),
        waiting: Vec::new(),
        margins: HashSet::new(),
        emitter,
    };
    pass.run()
}

/// Where the text of a group goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Text,
    Title,
    /// The information about the document; only the title in it is read.
    Info,
    Fonts,
    Nowhere,
}

#[derive(Clone, Copy)]
struct Group {
    to: To,
    encoding: &'static Encoding,
    /// How many characters stand for a Unicode one after it.
    skip: u32,
    hidden: bool,
    /// Of a header or footer, which every section repeats.
    margin: bool,
}

struct Pass<'a, 'e> {
    bytes: &'a [u8],
    at: usize,
    group: Group,
    outer: Vec<Group>,
    default: &'static Encoding,
    fonts: HashMap<i32, &'static Encoding>,
    /// The font that the table of fonts tells about.
    font: i32,
    /// The next word was marked as one that may be skipped.
    is_optional: bool,
    /// Bytes of characters, which may take several.
    undecoded: Vec<u8>,
    /// The first half of a character of two.
    high: Option<u32>,
    to_skip: u32,
    title: String,
    media_type: Option<&'static str>,
    text: String,
    level: Option<u8>,
    is_item: bool,
    in_table: bool,
    row: Vec<String>,
    table: Table,
    /// Notes that are open: how deep, and the text of the paragraph that they stand in.
    notes: Vec<(usize, String)>,
    /// Notes that follow the paragraph.
    waiting: Vec<String>,
    margins: HashSet<String>,
    emitter: &'a mut Emitter<'e>,
}

impl Pass<'_, '_> {
    fn run(&mut self) -> Result<(), Failure> {
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'{' => self.open()?,
                b'}' => self.close()?,
                b'\\' => self.control()?,
                b'\r' | b'\n' => {}
                byte => self.byte(byte)?,
            }
        }
        self.decode()?;
        self.end_paragraph()?;
        self.end_table()?;
        self.say_what_it_is()
    }

    fn open(&mut self) -> Result<(), Failure> {
        self.decode()?;
        self.to_skip = 0;
        if self.outer.len() >= GROUPS_MAX {
            return Err(Failure::new(FailureCode::Damaged, "its groups lie too deep in each other"));
        }
        self.outer.push(self.group);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Failure> {
        self.decode()?;
        self.to_skip = 0;
        let Some(outer) = self.outer.pop() else { return Ok(()) };
        if self.group.margin && !outer.margin {
            self.end_paragraph()?;
        }
        if let Some((_, paragraph)) = self.notes.pop_if(|(depth, _)| *depth > self.outer.len()) {
            let note = std::mem::replace(&mut self.text, paragraph);
            self.waiting.push(note);
        }
        self.group = outer;
        Ok(())
    }

    fn control(&mut self) -> Result<(), Failure> {
        let Some(&first) = self.bytes.get(self.at) else { return Ok(()) };
        if first.is_ascii_alphabetic() {
            return self.word();
        }
        self.at += 1;
        match first {
            b'\'' => {
                let code =
                    self.bytes.get(self.at..self.at + 2).and_then(|code| std::str::from_utf8(code).ok());
                if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
                    self.at += 2;
                    self.byte(byte)?;
                }
                Ok(())
            }
            // It marks a destination, and those stand at the beginning of a group; some programs write it before others.
            b'*' => {
                let before = self.bytes.get(..self.at.saturating_sub(2)).unwrap_or_default();
                self.is_optional = before.trim_ascii_end().ends_with(b"{");
                Ok(())
            }
            b'~' => self.char(' '),
            b'_' => self.char('-'),
            b'\r' | b'\n' => self.paragraph(),
            b'{' | b'}' | b'\\' => self.byte(first),
            _ => Ok(()),
        }
    }

    fn word(&mut self) -> Result<(), Failure> {
        let bytes = self.bytes;
        let rest = &bytes[self.at..];
        let letters = rest.iter().take(32).take_while(|byte| byte.is_ascii_alphabetic()).count();
        let word = std::str::from_utf8(&rest[..letters]).unwrap_or_default();
        let sign = usize::from(rest.get(letters) == Some(&b'-'));
        let digits =
            rest[letters + sign..].iter().take(10).take_while(|byte| byte.is_ascii_digit()).count();
        let number_end = if digits > 0 { letters + sign + digits } else { letters };
        let number =
            std::str::from_utf8(&rest[letters..number_end]).ok().and_then(|n| n.parse::<i32>().ok());
        self.at += number_end;
        if self.bytes.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
        self.decode()?;
        if std::mem::take(&mut self.is_optional) && !KEPT.contains(&word) {
            self.group.to = To::Nowhere;
            return Ok(());
        }
        self.meaning(word, number)
    }

    fn meaning(&mut self, word: &str, number: Option<i32>) -> Result<(), Failure> {
        let is_on = number != Some(0);
        match word {
            "bin" => {
                self.at = self.at.saturating_add(number.unwrap_or(0).max(0) as usize).min(self.bytes.len())
            }
            "ansicpg" => self.set_default(codepage(number.unwrap_or(1252))),
            "mac" => self.set_default(encoding_rs::MACINTOSH),
            "fonttbl" => self.group.to = To::Fonts,
            "info" => self.group.to = To::Info,
            "title" if self.group.to == To::Info => self.group.to = To::Title,
            "fcharset" if self.group.to == To::Fonts => {
                let encoding = charset(number.unwrap_or(0)).unwrap_or(self.default);
                if self.fonts.len() < FONTS_MAX {
                    self.fonts.insert(self.font, encoding);
                }
            }
            "f" if self.group.to == To::Fonts => self.font = number.unwrap_or(0),
            "f" => {
                let font = number.unwrap_or(0);
                self.group.encoding = self.fonts.get(&font).copied().unwrap_or(self.default);
            }
            "uc" => self.group.skip = number.unwrap_or(1).clamp(0, 16) as u32,
            "u" => self.unicode(number.unwrap_or(0))?,
            "plain" => self.group.hidden = false,
            "v" | "deleted" => self.group.hidden = is_on,
            skipped if SKIPPED.contains(&skipped) => self.group.to = To::Nowhere,
            _ if self.group.to != To::Text => {}
            "header" | "headerl" | "headerr" | "headerf" | "footer" | "footerl" | "footerr" | "footerf" => {
                self.end_paragraph()?;
                self.group.margin = true;
            }
            "footnote" | "annotation" => {
                self.notes.push((self.outer.len(), std::mem::take(&mut self.text)));
            }
            "par" | "sect" | "page" => self.paragraph()?,
            "line" | "softline" => self.char('\n')?,
            "tab" => self.char('\t')?,
            "cell" => {
                let cell = std::mem::take(&mut self.text);
                if self.row.len() < CELLS_MAX {
                    self.row.push(cell);
                }
            }
            "row" => {
                self.say_what_it_is()?;
                self.table.row(self.row.drain(..), self.emitter)?;
            }
            "nestcell" | "nestrow" => self.char(' ')?,
            "pard" => (self.level, self.is_item, self.in_table) = (None, false, false),
            "intbl" => self.in_table = true,
            "ls" => self.is_item = is_on,
            "outlinelevel" => {
                self.level = number.and_then(|level| u8::try_from(level).ok()).filter(|&level| level < 6);
            }
            "emdash" => self.char('—')?,
            "endash" => self.char('–')?,
            "lquote" => self.char('‘')?,
            "rquote" => self.char('’')?,
            "ldblquote" => self.char('“')?,
            "rdblquote" => self.char('”')?,
            "bullet" => self.char('•')?,
            "emspace" | "enspace" | "qmspace" => self.char(' ')?,
            _ => {}
        }
        Ok(())
    }

    fn set_default(&mut self, encoding: &'static Encoding) {
        self.default = encoding;
        self.group.encoding = encoding;
    }

    /// A character by its number, of which those over 32,767 are written as negative ones.
    fn unicode(&mut self, number: i32) -> Result<(), Failure> {
        let number = if number < 0 { number + 0x1_0000 } else { number };
        let unit = number as u32;
        self.to_skip = self.group.skip;
        let code = match (self.high.take(), unit) {
            (_, 0xd800..=0xdbff) => {
                self.high = Some(unit);
                return Ok(());
            }
            (Some(high), 0xdc00..=0xdfff) => 0x1_0000 + ((high - 0xd800) << 10) + (unit - 0xdc00),
            (_, unit) => unit,
        };
        self.char(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn byte(&mut self, byte: u8) -> Result<(), Failure> {
        self.is_optional = false;
        if self.to_skip > 0 {
            self.to_skip -= 1;
            return Ok(());
        }
        match self.group.to {
            To::Text | To::Title if !self.group.hidden => {
                self.undecoded.push(byte);
                self.emitter.gathering(self.text.len() + self.undecoded.len())
            }
            _ => Ok(()),
        }
    }

    /// Takes over the bytes that were gathered. Done before the encoding may change.
    fn decode(&mut self) -> Result<(), Failure> {
        if self.undecoded.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.undecoded);
        let (text, _) = self.group.encoding.decode_without_bom_handling(&bytes);
        self.push(&text)
    }

    fn char(&mut self, c: char) -> Result<(), Failure> {
        self.decode()?;
        if self.group.hidden {
            return Ok(());
        }
        self.push(c.encode_utf8(&mut [0; 4]))
    }

    fn push(&mut self, text: &str) -> Result<(), Failure> {
        match self.group.to {
            To::Text => {
                self.text.push_str(text);
                self.emitter.gathering(self.text.len())
            }
            To::Title if self.title.len() < 2_000 => {
                self.title.push_str(text);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn paragraph(&mut self) -> Result<(), Failure> {
        self.decode()?;
        // Within a cell and within a note it parts words.
        if self.in_table || !self.notes.is_empty() { self.char(' ') } else { self.end_paragraph() }
    }

    fn end_paragraph(&mut self) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.text);
        let waiting = std::mem::take(&mut self.waiting);
        if text.trim().is_empty() && waiting.is_empty() {
            return Ok(());
        }
        self.say_what_it_is()?;
        self.end_table()?;
        if self.group.margin && !self.margins.insert(text.clone()) {
            return Ok(());
        }
        let kind = match self.level {
            Some(level) => BlockKind::Heading(level + 1),
            None if self.is_item => BlockKind::ListItem,
            None => BlockKind::Paragraph,
        };
        self.emitter.block(kind, text)?;
        waiting.into_iter().try_for_each(|note| self.emitter.block(BlockKind::Paragraph, note))
    }

    fn end_table(&mut self) -> Result<(), Failure> {
        self.table.row(self.row.drain(..), self.emitter)?;
        self.table.end(self.emitter)
    }

    /// Before the first text; the title stands before that too.
    fn say_what_it_is(&mut self) -> Result<(), Failure> {
        let Some(media_type) = self.media_type.take() else { return Ok(()) };
        let title = Some(std::mem::take(&mut self.title));
        self.emitter.info(DocumentInfo { title, media_type: media_type.to_owned(), page_count: None })
    }
}

/// The encoding of a Windows code page.
pub(super) fn codepage(number: i32) -> &'static Encoding {
    let label: &[u8] = match number {
        437 | 850 | 1252 => b"windows-1252",
        866 => b"ibm866",
        874 => b"windows-874",
        932 => b"shift_jis",
        936 => b"gbk",
        949 => b"euc-kr",
        950 => b"big5",
        1250 => b"windows-1250",
        1251 => b"windows-1251",
        1253 => b"windows-1253",
        1254 => b"windows-1254",
        1255 => b"windows-1255",
        1256 => b"windows-1256",
        1257 => b"windows-1257",
        1258 => b"windows-1258",
        10_000 => b"macintosh",
        65_001 => b"utf-8",
        _ => b"windows-1252",
    };
    Encoding::for_label(label).unwrap_or(encoding_rs::WINDOWS_1252)
}

/// The encoding of a font's characters; none where it is the document's.
fn charset(number: i32) -> Option<&'static Encoding> {
    let page = match number {
        77 => 10_000,
        128 => 932,
        129 => 949,
        134 => 936,
        136 => 950,
        161 => 1253,
        162 => 1254,
        163 => 1258,
        177 => 1255,
        178 => 1256,
        186 => 1257,
        204 => 1251,
        222 => 874,
        238 => 1250,
        _ => return None,
    };
    Some(codepage(page))
}

#[cfg(test)]
mod tests {
    use docmill_core::page::BlockKind::{Heading, ListItem, Paragraph, Table};

    use super::super::work::tests::{Read, read_bytes};

    fn read(body: &str) -> Read {
        read_bytes("a.rtf", format!(r"{{\rtf1\ansi\ansicpg1252\deff0 {body}}}"))
    }

    #[test]
    fn structure_is_found() {
        let read = read(concat!(
            r"{\fonttbl{\f0\fswiss Arial;}}{\stylesheet{\s1 heading 1;}}{\info{\title The title}{\author Ann}}",
            r"{\header the house\par}\pard\outlinelevel0 Chapter one\par\pard Plain {\b bold}\line next",
            r"{\footnote{\super 1} a note\par}, then\par{\header the house\par}",
            r"\pard\ls1{\listtext\tab 1.}item\par{\*\unknown gone}{\pict 0123}",
            r"\trowd\pard\intbl a\cell b\par c\cell\row\pard\intbl d\cell\row\pard{\v hidden}",
            r"{\field{\*\fldinst HYPERLINK x}{\fldrslt link}}{\*\shpinst{\sp{\sn n}{\sv 1}}{\shptxt box}}\par",
        ));
        read.outcome.as_ref().unwrap();
        let expected = [
            (Paragraph, "the house"),
            (Heading(1), "Chapter one"),
            (Paragraph, "Plain bold\nnext, then"),
            (Paragraph, "1 a note"),
            (ListItem, "item"),
            (Table, "a\tb c\nd"),
            (Paragraph, "linkbox"),
        ];
        assert_eq!(read.blocks(), expected);
        let info = read.info.unwrap();
        assert_eq!(
            (info.title.as_deref(), info.media_type.as_str()),
            (Some("The title"), "application/rtf")
        );
    }

    #[test]
    fn characters_are_of_their_fonts_encoding_or_unicode() {
        let fonts = r"{\fonttbl{\f0 A;}{\f1\fcharset204 B;}{\f2\fcharset128 C;}}";
        let read = read(&format!(
            r"{fonts}gr\'fc\'df {{\f1 \'ef\'f0\'e8}} {{\f2 \'93\'fa\'96\'7b}} \u8364?\uc0\u-10179\u-8704 \{{x\}}\~y\par"
        ));
        assert_eq!(read.texts(), ["grüß при 日本 €😀{x} y"]);
    }

    #[test]
    fn the_mark_of_a_destination_counts_at_the_beginning_of_a_group_alone() {
        assert_eq!(
            read(r"{\i0\*\cs7 kept} {\*\cs7 gone}{\f0 \*\unknown1 kept, too}\par").texts(),
            ["kept kept, too"]
        );
    }

    #[test]
    fn binary_parts_and_depth_are_bounded() {
        assert_eq!(read(r"a\bin5 }}}}}b\bin-1 c\par").texts(), ["abc"]);
        assert!(read(r"a\bin999999999 b").outcome.is_ok());
        assert!(read(&"{".repeat(1_000_000)).outcome.is_err());
        let deep = format!("{}deep{}", "{".repeat(50_000), "}".repeat(50_000));
        assert_eq!(read(&deep).texts(), ["deep"]);
    }
}
