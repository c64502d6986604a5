//! What extraction hands on: pages of structured blocks. Knows nothing of files or parsers.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureCode};

/// What kind of text a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// A heading of level 1 (highest) to 6.
    Heading(u8),
    /// Running text.
    Paragraph,
    /// One item of a list.
    ListItem,
    /// Rows of a table, one a line, cells separated by a tab.
    Table,
    /// Preformatted text or source code; line breaks matter.
    Code,
}

/// A piece of text that belongs together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// What it is.
    pub kind: BlockKind,
    /// Its text, without surrounding white space, never empty.
    pub text: String,
}

/// How the text of a page was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageSource {
    /// The file's own text.
    TextLayer,
    /// Optical character recognition.
    Ocr,
    /// No text was found, see [`Page::note`].
    NoText,
    /// It could not be read, or not to its end, see [`Page::note`]. The blocks are what was read before.
    Lost,
}

/// Defines [`PageReason`] from one table, so that code and explanation cannot drift apart.
macro_rules! reasons {
    ($($variant:ident = $code:literal, $means:literal;)*) => {
        /// Why a page is as it is, where that needs saying: the first word of its [`Page::note`], before a colon.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum PageReason {
            $(#[doc = $means] $variant,)*
        }

        impl PageReason {
            /// All reasons, for tables and tests.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable code.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// What it means, for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $means,)* }
            }
        }
    };
}

reasons! {
    Scan = "scan", "pictures cover the page and it has hardly a letter, or are all that is on it: it was recognised";
    Picture = "picture", "the document is a picture: it was recognised";
    Unmapped = "unmapped", "its characters have no meaning: it was recognised";
    Drawn = "drawn", "it has no letters, but lines and shapes that may be some: it was recognised";
    Asked = "asked", "recognition was asked for on every page";
    FontsMissing = "fonts_missing", "it was recognised, and what it draws with is neither in the document nor installed: letters may lack";
    Seen = "seen", "it is the same picture as a page before, whose text it has";
    Blank = "blank", "its picture has nothing on it that may be a letter, and was not recognised";
    NoWords = "no_words", "it was recognised, and no word was found";
    Empty = "empty", "it has no text, and no picture that may hold some";
    PicturesUnread = "pictures_unread", "it has no text, and pictures in documents of this format are not recognised";
    OcrOff = "ocr_off", "it has no text, and recognition is switched off";
    OcrMissing = "ocr_missing", "it needs recognition, and there is no recogniser or no model for it";
    OcrFailed = "ocr_failed", "it needs recognition, which failed";
    Cut = "cut", "it has more text than a page may have, and the rest is left out";
    Repaired = "repaired", "the file is damaged, and this was read from a repaired copy of it";
    PartlyUnmapped = "partly_unmapped", "some of its characters have no meaning in their fonts";
    Lost = "lost", "it could not be read, or not to its end";
    LostPart = "lost_part", "it stands for the rest of a document within this one, of which nothing more could be read";
}

impl PageReason {
    /// Whether it tells of something that was not read.
    pub const fn is_loss(self) -> bool {
        matches!(self, Self::Lost | Self::LostPart)
    }

    /// A note with this reason.
    pub fn note(self, detail: impl Display) -> String {
        format!("{}: {detail}", self.as_str())
    }

    /// The reason that a note begins with; none of notes from before there was a list.
    pub fn of(note: &str) -> Option<Self> {
        let code = note.split(':').next()?;
        Self::ALL.iter().copied().find(|reason| reason.as_str() == code)
    }
}

/// One page (or slide, sheet, or the whole of a file without pages).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Counted from 1.
    pub number: u32,
    /// How its text was come by.
    pub source: PageSource,
    /// Its text, in reading order.
    pub blocks: Vec<Block>,
    /// Why the page is as it is, where that needs saying: one of [`PageReason`], a colon, and what there is to it. At most
    /// [`Page::NOTE_CHARS_MAX`] characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Page {
    /// Longest note, in characters.
    pub const NOTE_CHARS_MAX: usize = 2_000;

    /// A page of which nothing could be read, for this reason.
    pub fn lost(number: u32, failure: &Failure) -> Self {
        Self::lost_for(PageReason::Lost, number, failure)
    }

    /// A page that stands for the rest of a document within this one, of which nothing more could be read.
    pub fn lost_part(number: u32, failure: &Failure) -> Self {
        Self::lost_for(PageReason::LostPart, number, failure)
    }

    fn lost_for(reason: PageReason, number: u32, failure: &Failure) -> Self {
        let note = Some(reason.note(failure));
        let mut page = Self { number, source: PageSource::Lost, blocks: Vec::new(), note };
        page.cut_note();
        page
    }

    /// What it was lost to, where a failure is known.
    pub fn lost_to(&self) -> Option<FailureCode> {
        let note = self.note.as_deref().filter(|_| self.source == PageSource::Lost)?;
        PageReason::of(note).filter(|reason| reason.is_loss())?;
        FailureCode::parse(note.split(": ").nth(1)?)
    }

    /// Whether it stands for more than itself: see [`Page::lost_part`].
    pub fn is_lost_part(&self) -> bool {
        self.note.as_deref().and_then(PageReason::of) == Some(PageReason::LostPart)
    }

    /// Cuts the note to its limit.
    pub fn cut_note(&mut self) {
        if let Some(note) = &mut self.note
            && let Some((end, _)) = note.char_indices().nth(Self::NOTE_CHARS_MAX)
        {
            note.truncate(end);
        }
    }

    /// The page's text: blocks separated by an empty line. Chunk offsets count in bytes of this text.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.text_bytes());
        for block in &self.blocks {
            if !text.is_empty() {
                text.push_str(BLOCK_SEPARATOR);
            }
            text.push_str(&block.text);
        }
        text
    }

    /// Bytes of [`Page::text`], without building it.
    pub fn text_bytes(&self) -> usize {
        let separators = self.blocks.len().saturating_sub(1) * BLOCK_SEPARATOR.len();
        self.blocks.iter().map(|block| block.text.len()).sum::<usize>() + separators
    }
}

/// What stands between two blocks in [`Page::text`].
pub const BLOCK_SEPARATOR: &str = "\n\n";

/// What is known of a document as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentInfo {
    /// Title from its metadata or first heading, at most [`DocumentInfo::TITLE_CHARS_MAX`] characters.
    pub title: Option<String>,
    /// IANA media type that was found by looking inside, for example `application/pdf`.
    pub media_type: String,
    /// Pages, where the format says so before they are read.
    pub page_count: Option<u32>,
}

impl DocumentInfo {
    /// Longest title, in characters.
    pub const TITLE_CHARS_MAX: usize = 500;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_begin_with_one_of_the_list() {
        let mut codes = std::collections::HashSet::new();
        for &reason in PageReason::ALL {
            assert!(codes.insert(reason.as_str()), "{} stands twice", reason.as_str());
            assert!(!reason.meaning().is_empty());
            assert_eq!(PageReason::of(&reason.note("read as eng: 94 %")), Some(reason));
        }
        assert_eq!(PageReason::of("pdf: from before"), None);
        assert_eq!(PageReason::of(""), None);
    }

    #[test]
    fn text_bytes_counts_what_text_builds() {
        for blocks in [vec![], vec!["a"], vec!["a", "bücher", "日本語"]] {
            let blocks = blocks
                .into_iter()
                .map(|text| Block { kind: BlockKind::Paragraph, text: text.to_owned() })
                .collect();
            let page = Page { number: 1, source: PageSource::TextLayer, blocks, note: None };
            assert_eq!(page.text().len(), page.text_bytes());
        }
    }

    #[test]
    fn a_lost_page_says_to_what_and_its_note_is_bounded() {
        let failure = Failure::new(FailureCode::ExtractorDied, "x: ".repeat(1_000));
        let page = Page::lost(7, &failure);
        assert_eq!((page.number, page.source, page.blocks.len()), (7, PageSource::Lost, 0));
        assert_eq!(page.lost_to(), Some(FailureCode::ExtractorDied));
        assert_eq!(page.note.as_ref().unwrap().chars().count(), Page::NOTE_CHARS_MAX);
        let other = Page { note: Some("pdf: this page cannot be read".to_owned()), ..page.clone() };
        assert_eq!(other.lost_to(), None);
        assert_eq!(
            Page { source: PageSource::Ocr, ..page.clone() }.lost_to(),
            None,
            "a note is not a loss"
        );
        let part = Page::lost_part(7, &failure);
        assert_eq!(part.lost_to(), Some(FailureCode::ExtractorDied));
        assert!(part.is_lost_part() && !page.is_lost_part());
    }
}
