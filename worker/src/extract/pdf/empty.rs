//! Why a page has no text, where recognition has not said it.

use pdfium_render::prelude::*;

use crate::extract::OcrMode;

/// Most things on a page that are looked at.
const OBJECTS_MAX: usize = 1_000;

/// Says why, for the page's note.
pub(super) fn why(page: &PdfPage<'_>, ocr: OcrMode) -> String {
    let mut seen = Seen::default();
    for object in page.objects().iter().take(OBJECTS_MAX) {
        match object.object_type() {
            PdfPageObjectType::Text => seen.text = true,
            // Pictures may hide in forms.
            PdfPageObjectType::Image | PdfPageObjectType::XObjectForm => seen.picture = true,
            _ => seen.drawing = true,
        }
    }
    format!("no text: {}", seen.reason(ocr))
}

#[derive(Default)]
struct Seen {
    text: bool,
    picture: bool,
    drawing: bool,
}

impl Seen {
    fn reason(&self, ocr: OcrMode) -> &'static str {
        match (self, ocr) {
            (Self { picture: true, .. }, OcrMode::Never) => "it has pictures, and recognition is off",
            (Self { picture: true, .. }, _) => "its pictures are too small to be a scan of text",
            (Self { text: true, .. }, _) => {
                "what is written on it cannot be seen, or has no meaning in its font"
            }
            (Self { drawing: true, .. }, _) => "there are only lines and areas on it",
            _ => "the page is blank",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_a_reason() {
        let blank = Seen::default();
        assert_eq!(blank.reason(OcrMode::Auto), "the page is blank");
        let drawn = Seen { drawing: true, ..Seen::default() };
        assert_eq!(drawn.reason(OcrMode::Auto), "there are only lines and areas on it");
        let scan = Seen { picture: true, ..Seen::default() };
        assert!(scan.reason(OcrMode::Never).contains("recognition is off"));
        assert!(scan.reason(OcrMode::Auto).contains("too small"));
    }
}
