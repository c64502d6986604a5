//! What pages say of themselves, as a document's summary keeps it (`page: note`), and the same taken apart for a person.
//! Decides nothing: a note is words, and what came of a page is in its [`PageSource`].

use std::fmt;

use docmill_core::failure::FailureCode;
use docmill_core::page::{Page, PageSource};
use serde::Serialize;

/// Before the note of a page that was lost.
const LOST: &str = "lost: ";
/// Before that of one that was to be recognised.
const RECOGNITION: &str = "ocr: ";
/// How that goes on where nothing came of it.
const NOT_RECOGNISED: [&str; 2] = ["not possible", "failed"];
/// Of a page without text that says nothing.
const WITHOUT_TEXT: &str = "no text was found on it";

/// What came of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It could not be read, or not to its end.
    Lost,
    /// Its text was recognised, or that was tried.
    Recognised,
    /// It was to be recognised, and was not.
    NotRecognised,
    /// Something else that is worth saying.
    Told,
}

/// What a page says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PageNote {
    /// The page, from 1.
    pub page: u32,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it was lost, where that has a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<FailureCode>,
    /// The same in words.
    pub detail: String,
}

impl PageNote {
    /// Takes a note of a summary apart; none of what is not one.
    pub fn parse(kept: &str) -> Option<Self> {
        let (page, note) = kept.split_once(": ")?;
        let page = page.parse().ok()?;
        let told = |outcome, detail: &str| Self { page, outcome, code: None, detail: detail.to_owned() };
        if let Some(lost) = note.strip_prefix(LOST) {
            let coded = lost.split_once(": ").and_then(|(code, detail)| {
                Some(Self { code: Some(FailureCode::parse(code)?), ..told(Outcome::Lost, detail) })
            });
            return Some(coded.unwrap_or_else(|| told(Outcome::Lost, lost)));
        }
        let Some(recognition) = note.strip_prefix(RECOGNITION) else {
            return Some(told(Outcome::Told, note));
        };
        let failed = NOT_RECOGNISED.iter().any(|begin| recognition.starts_with(begin));
        let outcome = if failed { Outcome::NotRecognised } else { Outcome::Recognised };
        Some(told(outcome, recognition))
    }

    /// All that is known of a document's pages.
    pub fn all(kept: &[String]) -> Vec<Self> {
        kept.iter().filter_map(|note| Self::parse(note)).collect()
    }
}

/// A sentence for a person.
impl fmt::Display for PageNote {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.outcome, self.code) {
            (Outcome::Lost, Some(code)) => write!(formatter, "lost: {} ({})", code.meaning(), self.detail),
            (Outcome::Lost, None) => write!(formatter, "lost: {}", self.detail),
            (Outcome::Recognised, _) => write!(formatter, "read by OCR: {}", self.detail),
            (Outcome::NotRecognised, _) => write!(formatter, "not read by OCR: {}", self.detail),
            (Outcome::Told, _) => formatter.write_str(&self.detail),
        }
    }
}

/// The notes of a document for its summary, in the order of its pages: at most `notes_max`, and of more than that first those
/// of pages that were lost, then those of pages without text.
pub fn kept_notes(pages: &[Page], notes_max: usize) -> Vec<String> {
    let weight = |page: &Page| match page.source {
        PageSource::Lost => 0,
        PageSource::NoText => 1,
        PageSource::Ocr | PageSource::TextLayer => 2,
    };
    let mut told: Vec<(u32, String)> =
        pages.iter().filter_map(|page| Some((weight(page), kept_note(page)?))).collect();
    let mut order: Vec<usize> = (0..told.len()).collect();
    order.sort_by_key(|&place| told[place].0);
    order.truncate(notes_max);
    order.sort_unstable();
    order.into_iter().map(|place| std::mem::take(&mut told[place].1)).collect()
}

fn kept_note(page: &Page) -> Option<String> {
    let number = page.number;
    match (page.source, page.note.as_deref()) {
        (PageSource::Lost, Some(note)) if !note.starts_with(LOST) => {
            Some(format!("{number}: {LOST}{note}"))
        }
        (PageSource::Lost, None) => Some(format!("{number}: {LOST}it does not say why")),
        (PageSource::NoText, None) => Some(format!("{number}: {WITHOUT_TEXT}")),
        (_, note) => note.map(|note| format!("{number}: {note}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(number: u32, source: PageSource, note: Option<&str>) -> Page {
        Page { number, source, blocks: Vec::new(), note: note.map(str::to_owned) }
    }

    #[test]
    fn every_kind_of_note_is_a_sentence() {
        for (kept, outcome, code, sentence) in [
            (
                "3: lost: damaged: bad: font",
                Outcome::Lost,
                Some(FailureCode::Damaged),
                "lost: the parser cannot make sense of the file (bad: font)",
            ),
            ("3: lost: pdf: a page", Outcome::Lost, None, "lost: pdf: a page"),
            (
                "3: ocr: eng, word confidence 91 %",
                Outcome::Recognised,
                None,
                "read by OCR: eng, word confidence 91 %",
            ),
            (
                "3: ocr: not possible, no model",
                Outcome::NotRecognised,
                None,
                "not read by OCR: not possible, no model",
            ),
            ("3: pdf: the text was cut", Outcome::Told, None, "pdf: the text was cut"),
        ] {
            let note = PageNote::parse(kept).unwrap();
            assert_eq!((note.page, note.outcome, note.code), (3, outcome, code), "{kept}");
            assert_eq!(note.to_string(), sentence);
        }
        assert_eq!(PageNote::parse("no page"), None);
        assert_eq!(PageNote::parse("x: lost: damaged: y"), None);
    }

    #[test]
    fn losses_are_kept_before_all_else_and_none_is_silent() {
        let pages = [
            page(1, PageSource::Ocr, Some("ocr: eng")),
            page(2, PageSource::TextLayer, None),
            page(3, PageSource::NoText, None),
            page(4, PageSource::Lost, Some("pdf: this page cannot be read")),
            page(5, PageSource::Lost, Some("lost: damaged: cut")),
            page(6, PageSource::Lost, None),
        ];
        let all = [
            "1: ocr: eng",
            "3: no text was found on it",
            "4: lost: pdf: this page cannot be read",
            "5: lost: damaged: cut",
            "6: lost: it does not say why",
        ];
        assert_eq!(kept_notes(&pages, 50), all);
        assert_eq!(kept_notes(&pages, 4), all[1..]);
        assert_eq!(kept_notes(&pages, 2), all[2..4]);
        assert!(kept_notes(&pages, 0).is_empty());
        let lost = PageNote::all(&kept_notes(&pages, 50));
        assert_eq!(lost.iter().filter(|note| note.outcome == Outcome::Lost).count(), 3);
    }
}
