//! Whether a page has usable text of its own, and if not, why it is recognised. Renders nothing.

use docmill_core::page::PageReason;
use pdfium_render::prelude::*;

use crate::extract::OcrMode;

/// A page with fewer letters than this has no usable text, if it is mostly pictures.
const LETTERS_MIN: usize = 32;

/// Share of a page above which its pictures may be all there is to it, in percent.
const COVERED_PERCENT: u32 = 50;

/// The same of a page without any text: there is nothing to it but its pictures. Less is a mark or a logo.
const PICTURED_PERCENT: u32 = 10;

/// A page without a letter that has this many lines and shapes may have letters among them: some programs write text
/// as outlines.
const SHAPES_MIN: usize = 32;

/// Most things on a page that are looked at: it may have millions.
const OBJECTS_MAX: usize = 20_000;

/// What is to be done about a page.
#[derive(Debug, PartialEq)]
pub(in crate::extract) enum Need {
    /// Its own text will do.
    OwnText,
    /// It has no text, and will have none: the note that says why.
    Nothing(String),
    /// It is recognised.
    Recognise(Why),
}

/// Why a page is recognised.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::extract) struct Why {
    pub reason: PageReason,
    pub detail: String,
}

/// What a page has beside text.
#[derive(Debug, Clone, Copy)]
struct Shown {
    /// By pictures, of its area.
    covered_percent: u32,
    /// Lines and shapes.
    shapes: usize,
}

/// Decides about a page by the text that it has and what else is on it.
pub(in crate::extract) fn of_page(page: &PdfPage<'_>, text: &str, mode: OcrMode) -> Need {
    decide(mode, text, || shown(page))
}

/// The decision itself. What is shown costs more than the text, and is asked for only where the text does not decide.
fn decide(mode: OcrMode, text: &str, shown: impl FnOnce() -> Shown) -> Need {
    if mode == OcrMode::Always {
        let detail = "asked for every page".to_owned();
        return Need::Recognise(Why { reason: PageReason::Asked, detail });
    }
    let found = Characters::of(text);
    let why = if found.mean_nothing() {
        let detail = format!("{} % of the characters have no meaning", found.unmapped_percent());
        Why { reason: PageReason::Unmapped, detail }
    } else if found.letters >= LETTERS_MIN {
        return Need::OwnText;
    } else {
        let Shown { covered_percent, shapes } = shown();
        let letters = found.letters;
        let is_pictured = found.visible == 0 && covered_percent >= PICTURED_PERCENT;
        if covered_percent > COVERED_PERCENT || is_pictured {
            let detail = format!("image covers {covered_percent} % of the page, {letters} letters");
            Why { reason: PageReason::Scan, detail }
        } else if letters == 0 && shapes >= SHAPES_MIN {
            let detail = format!("{shapes} lines and shapes, no letters");
            Why { reason: PageReason::Drawn, detail }
        } else if found.visible > 0 {
            return Need::OwnText;
        } else {
            let detail = match (covered_percent, shapes) {
                (0, 0) => "there is nothing on it".to_owned(),
                (0, _) => "there are only lines and shapes on it".to_owned(),
                _ => format!("no text, pictures cover only {covered_percent} % of the page"),
            };
            return Need::Nothing(PageReason::Empty.note(detail));
        }
    };
    match mode {
        OcrMode::Never if found.visible > 0 => Need::OwnText,
        OcrMode::Never => Need::Nothing(PageReason::OcrOff.note(why.detail)),
        _ => Need::Recognise(why),
    }
}

/// What the characters of a page are.
#[derive(Debug, Default)]
struct Characters {
    visible: usize,
    letters: usize,
    /// Characters that stand for no letter: glyphs whose meaning the file does not tell.
    unmapped: usize,
}

impl Characters {
    fn of(text: &str) -> Self {
        let mut found = Self::default();
        // U+0002 and U+FFFE are how pdfium marks a hyphen at a line's end.
        for c in text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '\u{2}' | '\u{fffe}')) {
            found.visible += 1;
            found.letters += usize::from(c.is_alphanumeric());
            found.unmapped += usize::from(
                matches!(c, '\u{fffd}' | '\u{e000}'..='\u{f8ff}' | '\0'..='\u{1f}' | '\u{f0000}'..),
            );
        }
        found
    }

    fn mean_nothing(&self) -> bool {
        self.visible >= LETTERS_MIN && self.unmapped * 10 > self.visible * 3
    }

    fn unmapped_percent(&self) -> usize {
        self.unmapped * 100 / self.visible.max(1)
    }
}

fn shown(page: &PdfPage<'_>) -> Shown {
    // As things lie on it: a page may be cut out of a larger sheet, and turned when it is shown.
    let sheet = page.boundaries().bounding().map(|boundary| boundary.bounds);
    let sheet = sheet
        .unwrap_or_else(|_| PdfRect::new_from_values(0.0, 0.0, page.height().value, page.width().value));
    let (right, left) = (sheet.right().value, sheet.left().value);
    let (top, bottom) = (sheet.top().value, sheet.bottom().value);
    let area = |object: &PdfPageObject<'_>| {
        let bounds = object.bounds().ok()?;
        let across = bounds.right().value.min(right) - bounds.left().value.max(left);
        let down = bounds.top().value.min(top) - bounds.bottom().value.max(bottom);
        Some(across.max(0.0) * down.max(0.0))
    };
    let (mut covered, mut shapes) = (0.0, 0);
    for object in page.objects().iter().take(OBJECTS_MAX) {
        match object.object_type() {
            // Pictures may hide in forms; a form as large as the page with nothing readable in it counts too.
            PdfPageObjectType::Image | PdfPageObjectType::XObjectForm => {
                covered += area(&object).unwrap_or(0.0);
            }
            PdfPageObjectType::Path => shapes += 1,
            _ => {}
        }
    }
    let whole = (right - left) * (top - bottom);
    let covered_percent = (covered / whole.max(1.0) * 100.0).clamp(0.0, 100.0) as u32;
    Shown { covered_percent, shapes }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is decided: the reason of a recognition, the note of a page without text, or nothing.
    fn decided(mode: OcrMode, text: &str, covered_percent: u32, shapes: usize) -> String {
        match decide(mode, text, || Shown { covered_percent, shapes }) {
            Need::OwnText => "own text".to_owned(),
            Need::Nothing(note) => note,
            Need::Recognise(why) => format!("recognise: {}", why.reason.as_str()),
        }
    }

    #[test]
    fn a_page_is_recognised_where_it_has_no_usable_text() {
        let (sentence, number) = ("Thirty-two letters and some more stand here.", "- 7 -");
        let garbage = "\u{e001}\u{e002}\u{e003}x".repeat(10);
        let cases: &[(OcrMode, &str, u32, usize, &str)] = &[
            (OcrMode::Auto, sentence, 100, 0, "own text"),
            (OcrMode::Auto, number, 100, 0, "recognise: scan"),
            (OcrMode::Auto, "", 51, 0, "recognise: scan"),
            (OcrMode::Auto, " \n", 10, 0, "recognise: scan"),
            // Half of the page may be a figure.
            (OcrMode::Auto, number, 50, 900, "own text"),
            (OcrMode::Auto, &garbage, 0, 0, "recognise: unmapped"),
            // A few of them are signs of a list.
            (OcrMode::Auto, "\u{f0b7}\u{f0b7}", 0, 0, "own text"),
            (OcrMode::Auto, "", 0, 32, "recognise: drawn"),
            (OcrMode::Auto, "\r\n", 9, 31, "empty: no text, pictures cover only 9 % of the page"),
            (OcrMode::Auto, "", 0, 31, "empty: there are only lines and shapes on it"),
            (OcrMode::Auto, "", 0, 0, "empty: there is nothing on it"),
            (OcrMode::Never, "", 100, 0, "ocr_off: image covers 100 % of the page, 0 letters"),
            (OcrMode::Never, number, 100, 0, "own text"),
            (OcrMode::Never, &garbage, 0, 0, "own text"),
            (OcrMode::Always, sentence, 0, 0, "recognise: asked"),
        ];
        for (mode, text, covered, shapes, expected) in cases {
            assert_eq!(decided(*mode, text, *covered, *shapes), *expected, "{mode:?} {text:?}");
        }
    }

    #[test]
    fn what_is_shown_is_not_asked_for_where_the_text_decides() {
        let need =
            decide(OcrMode::Auto, &"letters ".repeat(8), || unreachable!("it costs more than the text"));
        assert_eq!(need, Need::OwnText);
    }
}
