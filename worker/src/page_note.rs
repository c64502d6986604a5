//! What pages say of themselves, as a document's summary keeps it (`page: note`), and the same taken apart for a person.
//! Decides nothing: why a page is as it is, is one of [`PageReason`].

use std::fmt;

use docmill_core::failure::FailureCode;
use docmill_core::page::{Page, PageReason, PageSource};
use serde::Serialize;

/// What came of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It could not be read, or not to its end.
    Lost,
    /// Its text was recognised.
    Recognised,
    /// It was to be recognised, and was not.
    NotRecognised,
    /// There is nothing to read on it.
    WithoutText,
    /// Something else that is worth saying.
    Told,
}

impl Outcome {
    fn of(reason: PageReason) -> Self {
        match reason {
            PageReason::Lost | PageReason::LostPart => Self::Lost,
            PageReason::Scan
            | PageReason::Picture
            | PageReason::Unmapped
            | PageReason::Drawn
            | PageReason::Asked
            | PageReason::FontsMissing
            | PageReason::Seen => Self::Recognised,
            PageReason::PicturesUnread
            | PageReason::OcrOff
            | PageReason::OcrMissing
            | PageReason::OcrFailed => Self::NotRecognised,
            PageReason::Blank | PageReason::NoWords | PageReason::Empty => Self::WithoutText,
            PageReason::Cut | PageReason::Repaired | PageReason::PartlyUnmapped => Self::Told,
        }
    }
}

/// What a page says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PageNote {
    /// The page, from 1.
    pub page: u32,
    /// What came of it.
    pub outcome: Outcome,
    /// Why: a code of [`PageReason`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The failure that it was lost to, where that has a code.
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
        let Some(reason) = PageReason::of(note) else {
            return Some(Self {
                page,
                outcome: Outcome::Told,
                reason: None,
                code: None,
                detail: note.to_owned(),
            });
        };
        let said = note.split_once(": ").map_or("", |(_, detail)| detail);
        let failure = said.split_once(": ").filter(|_| reason.is_loss());
        let failure = failure.and_then(|(code, detail)| Some((FailureCode::parse(code)?, detail)));
        let detail = failure.map_or(said, |(_, detail)| detail);
        Some(Self {
            page,
            outcome: Outcome::of(reason),
            reason: Some(reason.as_str()),
            code: failure.map(|(code, _)| code),
            detail: detail.to_owned(),
        })
    }

    /// All that is known of a document's pages.
    pub fn all(kept: &[String]) -> Vec<Self> {
        kept.iter().filter_map(|note| Self::parse(note)).collect()
    }
}

/// A sentence for a person.
impl fmt::Display for PageNote {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_part = self.reason == Some(PageReason::LostPart.as_str());
        let lost = if is_part { "lost with the rest of its document" } else { "lost" };
        match (self.outcome, self.code) {
            (Outcome::Lost, Some(code)) => {
                write!(formatter, "{lost}: {} ({})", code.meaning(), self.detail)
            }
            (Outcome::Lost, None) => write!(formatter, "{lost}: {}", self.detail),
            (Outcome::Recognised, _) => write!(formatter, "read by OCR: {}", self.detail),
            (Outcome::NotRecognised, _) => write!(formatter, "not read by OCR: {}", self.detail),
            (Outcome::WithoutText, _) => write!(formatter, "no text: {}", self.detail),
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
    let said = page.note.clone();
    let note = match page.source {
        // No loss and no page without text is silent.
        PageSource::Lost => said.unwrap_or_else(|| PageReason::Lost.note("it does not say why")),
        PageSource::NoText => said.unwrap_or_else(|| PageReason::Empty.note("no text was found on it")),
        PageSource::Ocr | PageSource::TextLayer => said?,
    };
    Some(format!("{}: {note}", page.number))
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
            ("3: lost: a page: torn", Outcome::Lost, None, "lost: a page: torn"),
            (
                "3: lost_part: damaged: torn",
                Outcome::Lost,
                Some(FailureCode::Damaged),
                "lost with the rest of its document: the parser cannot make sense of the file (torn)",
            ),
            (
                "3: scan: eng, word confidence 91 %",
                Outcome::Recognised,
                None,
                "read by OCR: eng, word confidence 91 %",
            ),
            ("3: ocr_missing: no model", Outcome::NotRecognised, None, "not read by OCR: no model"),
            ("3: blank: no ink", Outcome::WithoutText, None, "no text: no ink"),
            ("3: cut: to 4 MiB", Outcome::Told, None, "to 4 MiB"),
            ("3: of long ago", Outcome::Told, None, "of long ago"),
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
            page(1, PageSource::Ocr, Some("scan: eng")),
            page(2, PageSource::TextLayer, None),
            page(3, PageSource::NoText, None),
            page(4, PageSource::Lost, Some("lost: pdfium cannot read it")),
            page(5, PageSource::Lost, Some("lost: damaged: cut")),
            page(6, PageSource::Lost, None),
        ];
        let all = [
            "1: scan: eng",
            "3: empty: no text was found on it",
            "4: lost: pdfium cannot read it",
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
