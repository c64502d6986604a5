//! The characters of a page to lines of words with their places, as the page is shown.
//!
//! pdfium's own text of a rectangle is not asked for: of a turned page it leaves out what stands outside of the page as
//! it lies, it glues words where a row of a table ends one of its lines, and it takes longer than all characters one by one.

use std::ops::Range;

use pdfium_render::prelude::*;

/// Most text of one page; a page with more is not for readers, and a frame must hold it.
const PAGE_TEXT_BYTES_MAX: usize = 4 << 20;

/// Two pieces of text are on one line when their baselines differ by less than this share of their height.
const SAME_LINE_SHARE: f32 = 0.2;

/// A gap of this share of the height is a space.
const SPACE_SHARE: f32 = 0.25;

/// A rectangle of the page as it is shown, in points. Up is more.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Place {
    pub left: f32,
    pub right: f32,
    pub bottom: f32,
    pub top: f32,
}

impl Place {
    fn with(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            right: self.right.max(other.right),
            bottom: self.bottom.min(other.bottom),
            top: self.top.max(other.top),
        }
    }

    fn height(self) -> f32 {
        self.top - self.bottom
    }

    fn meets(self, other: Self) -> bool {
        self.right >= other.left
            && self.left <= other.right
            && self.top >= other.bottom
            && self.bottom <= other.top
    }
}

/// Characters without white space between them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Word {
    /// Where it is in the text.
    pub bytes: Range<usize>,
    /// Where it is on the page.
    pub place: Place,
}

/// One line, without its end.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// Where it is in the text.
    pub bytes: Range<usize>,
    /// Its words.
    pub words: Range<usize>,
    /// How high its first and its last character stand.
    pub baselines: (f32, f32),
}

/// The text of a page.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// All lines, each with its end.
    pub text: String,
    /// Those that are not empty.
    pub lines: Vec<Line>,
    pub words: Vec<Word>,
    /// Whether there was more than a page may have.
    pub is_cut: bool,
}

/// Reads all characters of a page.
pub(super) fn read(page: &PdfPage<'_>, text: &PdfPageText<'_>) -> Lines {
    let turn = Turn(page.rotation().unwrap_or(PdfPageRenderRotation::None));
    let shown = page.boundaries().bounding().ok().map(|boundary| turn.place(&boundary.bounds));
    let chars = text.chars();
    let mut writer = Writer::new(shown);
    let mut decoder = Decoder::default();
    // First and last character of the word in work.
    let mut word: Option<(usize, usize)> = None;
    let place_of = |(first, last): (usize, usize)| {
        let (first, last) = (chars.get(first).ok(), chars.get(last).ok());
        let bounds = |c: &Option<PdfPageTextChar<'_>>| {
            let bounds = c.as_ref().and_then(|c| c.tight_bounds().ok());
            bounds.map_or(Place::default(), |bounds| turn.place(&bounds))
        };
        let baseline = |c: &Option<PdfPageTextChar<'_>>| {
            let origin = c.as_ref().and_then(|c| c.origin().ok());
            origin.map_or(0.0, |(x, y)| turn.point(x.value, y.value).1)
        };
        (bounds(&first).with(bounds(&last)), (baseline(&first), baseline(&last)))
    };
    for index in 0..chars.len() {
        let Ok(char) = chars.get(index) else { break };
        let Some(c) = decoder.char(char.unicode_value()) else { continue };
        if writer.out.text.len() >= PAGE_TEXT_BYTES_MAX {
            writer.out.is_cut = true;
            break;
        }
        if !c.is_whitespace() {
            word = Some((word.map_or(index, |(first, _)| first), index));
            writer.char(c);
            continue;
        }
        if let Some((place, baselines)) = word.take().map(place_of) {
            writer.end_word(place, baselines);
        }
        match c {
            '\r' => {}
            '\n' => writer.end_line(),
            _ => writer.space(),
        }
    }
    if let Some((place, baselines)) = word.take().map(place_of) {
        writer.end_word(place, baselines);
    }
    if writer.line_at < writer.out.text.len() {
        writer.end_line();
    }
    writer.out.with_unmapped()
}

impl Lines {
    /// Another program's mark of a character that its font does not explain becomes what all others use, so that it
    /// counts as one. Places are lost by it: such a page has no tables that could be told.
    fn with_unmapped(self) -> Self {
        const MARK: &str = "(cid:";
        if !self.text.contains(MARK) {
            return self;
        }
        let mut text = String::with_capacity(self.text.len());
        let mut rest = self.text.as_str();
        while let Some(at) = rest.find(MARK) {
            let (before, mark) = rest.split_at(at);
            let number = &mark[MARK.len()..];
            let digits = number.bytes().take_while(u8::is_ascii_digit).count();
            text.push_str(before);
            if (1..=5).contains(&digits) && number[digits..].starts_with(')') {
                text.push(char::REPLACEMENT_CHARACTER);
                rest = &number[digits + 1..];
            } else {
                text.push_str(MARK);
                rest = number;
            }
        }
        text.push_str(rest);
        Self { text, is_cut: self.is_cut, ..Self::default() }
    }

    /// Characters without a meaning, and all that are to be seen.
    pub fn unmapped(&self) -> (usize, usize) {
        let visible = self.text.chars().filter(|c| !c.is_whitespace());
        visible.fold((0, 0), |(unmapped, all), c| {
            (unmapped + usize::from(c == char::REPLACEMENT_CHARACTER), all + 1)
        })
    }
}

/// How a page is turned when it is shown, clockwise.
struct Turn(PdfPageRenderRotation);

impl Turn {
    fn point(&self, x: f32, y: f32) -> (f32, f32) {
        match self.0 {
            PdfPageRenderRotation::None => (x, y),
            PdfPageRenderRotation::Degrees90 => (y, -x),
            PdfPageRenderRotation::Degrees180 => (-x, -y),
            PdfPageRenderRotation::Degrees270 => (-y, x),
        }
    }

    fn place(&self, bounds: &PdfRect) -> Place {
        let a = self.point(bounds.left().value, bounds.bottom().value);
        let b = self.point(bounds.right().value, bounds.top().value);
        Place { left: a.0.min(b.0), right: a.0.max(b.0), bottom: a.1.min(b.1), top: a.1.max(b.1) }
    }
}

/// pdfium's characters are of 32 bits, but those beyond the first plane may come as the two halves that a PDF has them in.
#[derive(Default)]
struct Decoder {
    first_half: Option<u32>,
}

impl Decoder {
    fn char(&mut self, unit: u32) -> Option<char> {
        let first_half = self.first_half.take();
        match unit {
            0 => None,
            0xd800..=0xdbff => {
                self.first_half = Some(unit);
                None
            }
            0xdc00..=0xdfff => {
                let whole = first_half.map(|first| 0x1_0000 + ((first - 0xd800) << 10) + (unit - 0xdc00));
                Some(whole.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER))
            }
            _ => Some(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)),
        }
    }
}

/// Puts lines together. Knows nothing of pdfium.
struct Writer {
    out: Lines,
    /// The page as it is shown.
    shown: Option<Place>,
    line_at: usize,
    first_word: usize,
    word_at: Option<usize>,
    baselines: Option<(f32, f32)>,
}

impl Writer {
    fn new(shown: Option<Place>) -> Self {
        Self { out: Lines::default(), shown, line_at: 0, first_word: 0, word_at: None, baselines: None }
    }

    fn char(&mut self, c: char) {
        self.word_at.get_or_insert(self.out.text.len());
        match c {
            // Letters that are printed as one.
            '\u{fb00}' => self.out.text.push_str("ff"),
            '\u{fb01}' => self.out.text.push_str("fi"),
            '\u{fb02}' => self.out.text.push_str("fl"),
            '\u{fb03}' => self.out.text.push_str("ffi"),
            '\u{fb04}' => self.out.text.push_str("ffl"),
            '\u{fb05}' | '\u{fb06}' => self.out.text.push_str("st"),
            c => self.out.text.push(c),
        }
    }

    fn space(&mut self) {
        self.out.text.push(' ');
    }

    fn end_word(&mut self, place: Place, baselines: (f32, f32)) {
        let Some(at) = self.word_at.take() else { return };
        self.out.words.push(Word { bytes: at..self.out.text.len(), place });
        let first = self.baselines.map_or(baselines.0, |line| line.0);
        self.baselines = Some((first, baselines.1));
    }

    fn end_line(&mut self) {
        let out = &mut self.out;
        let mut line = Line {
            bytes: self.line_at..out.text.len(),
            words: self.first_word..out.words.len(),
            baselines: self.baselines.take().unwrap_or_default(),
        };
        let is_seen = |word: &Word| self.shown.is_none_or(|shown| word.place.meets(shown));
        if !line.words.is_empty() && !out.words[line.words.clone()].iter().any(is_seen) {
            // It stands beside the page, where nobody reads it.
            out.text.truncate(line.bytes.start);
            out.words.truncate(line.words.start);
            return;
        }
        match out.lines.pop() {
            Some(before) if !line.words.is_empty() && before.bytes.end + 1 == line.bytes.start => {
                match joint(out, &before, &line) {
                    Some(joint) => line = out.join(before, line, joint),
                    None => out.lines.push(before),
                }
            }
            Some(before) => out.lines.push(before),
            None => {}
        }
        if !line.words.is_empty() {
            out.lines.push(line);
        }
        out.text.push('\n');
        (self.line_at, self.first_word) = (out.text.len(), out.words.len());
    }
}

/// How a line goes on after its end, as pdfium saw it, if it does: between the cells of a table, and between words in
/// different fonts.
fn joint(out: &Lines, before: &Line, line: &Line) -> Option<Joint> {
    let (last, first) =
        (out.words.get(before.words.end.checked_sub(1)?)?, out.words.get(line.words.start)?);
    let height = last.place.height().max(first.place.height());
    let is_level = (before.baselines.1 - line.baselines.0).abs() < height * SAME_LINE_SHARE;
    let gap = first.place.left - last.place.right;
    // A hyphen at the end is one of a word that goes on below.
    let is_parted = out.text[before.bytes.clone()].ends_with(['\u{2}', '\u{fffe}', '\u{ad}']);
    if !is_level || is_parted || gap < -height * SPACE_SHARE {
        return None;
    }
    Some(if gap > height * SPACE_SHARE { Joint::Space } else { Joint::Nothing })
}

/// What stands between two parts of a line.
enum Joint {
    Space,
    Nothing,
}

impl Lines {
    /// The line that these two are, which are the last in the text with an end of line between them.
    fn join(&mut self, before: Line, line: Line, joint: Joint) -> Line {
        let end = before.bytes.end;
        match joint {
            Joint::Space => self.text.replace_range(end..end + 1, " "),
            Joint::Nothing => {
                self.text.replace_range(end..end + 1, "");
                for word in &mut self.words[line.words.clone()] {
                    word.bytes = word.bytes.start - 1..word.bytes.end - 1;
                }
                let (last, first) = (before.words.end - 1, line.words.start);
                if self.words[last].bytes.end == self.words[first].bytes.start {
                    let first = self.words.remove(first);
                    let last = &mut self.words[last];
                    last.bytes.end = first.bytes.end;
                    last.place = last.place.with(first.place);
                }
            }
        }
        Line {
            bytes: before.bytes.start..self.text.len(),
            words: before.words.start..self.words.len(),
            baselines: (before.baselines.0, line.baselines.1),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A page of these words, each with its line's height, its left end and its right end; a new height is a new line,
    /// and so is a word that begins with a line's end.
    pub fn page(words: &[(f32, f32, f32, &str)]) -> Lines {
        let mut writer = Writer::new(Some(Place { left: 0.0, right: 600.0, bottom: 0.0, top: 800.0 }));
        let mut height = None;
        for &(bottom, left, right, text) in words {
            let shown = text.trim_start();
            if height.is_some_and(|height| height != bottom) || shown.len() < text.len() {
                writer.end_line();
            } else if height.is_some() {
                writer.space();
            }
            height = Some(bottom);
            shown.chars().for_each(|c| writer.char(c));
            writer.end_word(Place { left, right, bottom, top: bottom + 10.0 }, (bottom, bottom));
        }
        writer.end_line();
        writer.out
    }

    #[test]
    fn lines_are_made_of_words_and_what_is_beside_the_page_is_left_out() {
        let lines = page(&[
            (700.0, 50.0, 80.0, "one"),
            (700.0, 90.0, 120.0, "two"),
            (900.0, 50.0, 80.0, "above"),
            (680.0, 50.0, 80.0, "three"),
        ]);
        assert_eq!(lines.text, "one two\nthree\n");
        assert_eq!(lines.lines.len(), 2);
        let words: Vec<_> = lines.words.iter().map(|word| &lines.text[word.bytes.clone()]).collect();
        assert_eq!(words, ["one", "two", "three"]);
    }

    #[test]
    fn a_line_goes_on_where_the_next_piece_stands_level() {
        let lines = page(&[
            (700.0, 50.0, 90.0, "pears"),
            (700.0, 220.0, 226.0, "\n7"),
            (700.0, 226.5, 230.0, "\n,"),
            (680.0, 50.0, 90.0, "next"),
        ]);
        assert_eq!(lines.text, "pears 7,\nnext\n");
        let words: Vec<_> = lines.words.iter().map(|word| &lines.text[word.bytes.clone()]).collect();
        assert_eq!(words, ["pears", "7,", "next"]);
        assert_eq!(lines.lines[0].words, 0..2);
        assert_eq!(lines.words[1].place.right, 230.0);
        // To the left is another column or another line.
        assert_eq!(
            page(&[(700.0, 300.0, 350.0, "right"), (700.0, 50.0, 90.0, "\nleft")]).text,
            "right\nleft\n"
        );
    }

    #[test]
    fn characters_are_put_right() {
        let mut writer = Writer::new(None);
        "o\u{fb03}ce".chars().for_each(|c| writer.char(c));
        assert_eq!(writer.out.text, "office");
        let mut decoder = Decoder::default();
        let units = [0x61, 0, 0xd835, 0xdc00, 0xdc00, 0xd835, 0x62];
        let text: String = units.into_iter().filter_map(|unit| decoder.char(unit)).collect();
        assert_eq!(text, "a\u{1d400}\u{fffd}b");
    }

    #[test]
    fn marks_of_characters_without_a_meaning_count_as_such() {
        let text = "ab(cid:7)c (cid:) (cid:12345)\n".to_owned();
        let lines = Lines { text, ..Lines::default() }.with_unmapped();
        assert_eq!(lines.text, "ab\u{fffd}c (cid:) \u{fffd}\n");
        assert_eq!(lines.unmapped(), (2, 11));
    }
}
