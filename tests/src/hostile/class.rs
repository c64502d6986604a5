//! What can come of a file, in one word: `read`, `partial`, or the code of its failure; and `ocr` where who recognises
//! letters has the last word, and another version of it another one.

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::{Page, PageReason, PageSource};

/// All of it has text, or a reason on its page.
pub const READ: &str = "read";
/// A part of it could not be read, and says why.
pub const PARTIAL: &str = "partial";
/// `read` or `no_text`, as the recogniser finds letters in its pictures or not.
pub const OCR: &str = "ocr";

/// Whether there is such a class.
pub fn is_known(class: &str) -> bool {
    matches!(class, READ | PARTIAL | OCR) || FailureCode::parse(class).is_some()
}

/// The class of what came of a file.
pub fn of(outcome: &Result<(), Failure>, lost: bool) -> &'static str {
    match outcome {
        Err(failure) => failure.code.as_str(),
        Ok(()) if lost => PARTIAL,
        Ok(()) => READ,
    }
}

/// Whether a class is the one that was expected. With `recognised` pictures were read, and none of it was text anyway.
pub fn fits(expected: &str, seen: &str, recognised: bool) -> bool {
    expected == seen || (expected == OCR && recognised && matches!(seen, READ | "no_text"))
}

/// How a class is written down, to be expected.
pub fn expected(seen: &str, recognised: bool) -> &str {
    if fits(OCR, seen, recognised) { OCR } else { seen }
}

/// What a page says of how it was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It has text of its own.
    Text,
    /// It is for a recogniser to find letters on.
    Recognised,
    /// It was lost, and says why.
    Lost,
    /// It has no text, and says so.
    Nothing,
    /// It has no text and says that it has, or lost some and does not say why.
    Silent,
}

/// Of one page.
pub fn told(page: &Page) -> Told {
    let by_recogniser = page.note.as_deref().and_then(PageReason::of) == Some(PageReason::NoWords);
    match page.source {
        PageSource::TextLayer | PageSource::Ocr if page.blocks.is_empty() => Told::Silent,
        PageSource::Lost if page.note.is_none() => Told::Silent,
        PageSource::TextLayer => Told::Text,
        PageSource::Ocr => Told::Recognised,
        PageSource::NoText if by_recogniser => Told::Recognised,
        PageSource::NoText => Told::Nothing,
        PageSource::Lost => Told::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recogniser_may_find_more_or_less_and_nothing_else_may() {
        assert!(fits(OCR, READ, true) && fits(OCR, "no_text", true));
        assert!(!fits(OCR, READ, false) && !fits(OCR, "damaged", true) && !fits(READ, "no_text", true));
        assert_eq!((expected(READ, true), expected("damaged", true)), (OCR, "damaged"));
        assert!(is_known("limit_depth") && is_known(PARTIAL) && !is_known("fine"));
    }

    #[test]
    fn a_page_without_text_must_say_so() {
        let page = |source, note: Option<&str>| Page {
            number: 1,
            source,
            blocks: Vec::new(),
            note: note.map(str::to_owned),
        };
        assert_eq!(told(&page(PageSource::TextLayer, None)), Told::Silent);
        assert_eq!(told(&page(PageSource::Lost, None)), Told::Silent);
        assert_eq!(told(&page(PageSource::NoText, None)), Told::Nothing);
        assert_eq!(told(&page(PageSource::NoText, Some("blank: a picture"))), Told::Nothing);
        assert_eq!(told(&page(PageSource::NoText, Some("no_words: read as eng"))), Told::Recognised);
    }
}
