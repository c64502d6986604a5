//! Whether a child says what an extractor of ours says, word by word. Whatever is in a document may have taken its child
//! over, and what such a child says must do no more harm than a text that is wrong.

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::limits::Limits;
use docmill_core::page::{DocumentInfo, Page};

use crate::extract::Event;
use crate::extract::format::{Apart, FORMATS};
use crate::extract::frame::Reply;

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// What the document is.
    Info,
    /// The page of this number, or the end.
    Page(u32),
    /// Nothing more.
    Nothing,
}

/// One child and what it was asked for.
pub(super) struct Judge {
    from_page: u32,
    pages_max: u32,
    awaited: Awaited,
}

impl Judge {
    /// Of a child that was asked for the pages from this one on.
    pub fn new(limits: &Limits, from_page: u32) -> Self {
        Self { from_page, pages_max: limits.pages_in_all(), awaited: Awaited::Info }
    }

    /// Whether it has said what the document is.
    pub fn knows_info(&self) -> bool {
        self.awaited != Awaited::Info
    }

    /// Takes an answer, and gives it as it is to be understood.
    ///
    /// # Errors
    /// None of ours would say so: what it said, as the end of a sentence.
    pub fn reply(&mut self, reply: Reply) -> Result<Reply, String> {
        match reply {
            Reply::Event(event) => self.event(&event).map(|()| Reply::Event(event)),
            Reply::Failed(failure) => self.failure(&failure).map(Reply::Failed),
        }
    }

    fn event(&mut self, event: &Event) -> Result<(), String> {
        self.awaited = match (self.awaited, event) {
            (Awaited::Info, Event::Info(info)) => {
                check_info(info)?;
                // Chapters and slides are counted so too, and one with much text becomes several pages.
                if let Some(count) = info.page_count.filter(|_| Apart::of(info) == Apart::Pages) {
                    self.pages_max = self.pages_max.min(count);
                }
                Awaited::Page(self.from_page)
            }
            (Awaited::Info, _) => return Err("something before what the document is".to_owned()),
            (Awaited::Page(_), Event::Info(_)) => return Err("twice what the document is".to_owned()),
            (Awaited::Page(number), Event::Page(page)) => {
                check_page(page, number, self.pages_max)?;
                Awaited::Page(number.saturating_add(1))
            }
            (Awaited::Page(_), Event::Done) => Awaited::Nothing,
            (Awaited::Nothing, _) => return Err("something after the end".to_owned()),
        };
        Ok(())
    }

    /// Why it does not go on. What it says besides is cleaned as our own words are.
    fn failure(&mut self, failure: &Failure) -> Result<Failure, String> {
        if self.awaited == Awaited::Nothing {
            return Err("a failure after the end".to_owned());
        }
        if !is_an_extractors(failure.code) {
            return Err(format!("the failure {}, which is not its to tell", failure.code.as_str()));
        }
        self.awaited = Awaited::Nothing;
        let cleaned = Failure::new(failure.code, &failure.detail);
        Ok(match failure.page {
            Some(page) => cleaned.at_page(page),
            None => cleaned,
        })
    }
}

fn check_info(info: &DocumentInfo) -> Result<(), String> {
    if !FORMATS.iter().any(|format| format.media_type == info.media_type) {
        return Err("a type of document that is none of ours".to_owned());
    }
    let title = info.title.as_deref().unwrap_or_default();
    check_length("a title", title, DocumentInfo::TITLE_CHARS_MAX)
}

fn check_page(page: &Page, number: u32, pages_max: u32) -> Result<(), String> {
    if page.number != number {
        return Err(format!("page {} in place of page {number}", page.number));
    }
    if number > pages_max {
        return Err(format!("page {number} of a document of {pages_max}"));
    }
    if page.blocks.iter().any(|block| block.text.is_empty()) {
        return Err(format!("a block without text on page {number}"));
    }
    check_length("a note", page.note.as_deref().unwrap_or_default(), Page::NOTE_CHARS_MAX)
}

fn check_length(what: &str, text: &str, chars_max: usize) -> Result<(), String> {
    match text.chars().nth(chars_max) {
        None => Ok(()),
        Some(_) => Err(format!("{what} of more than {chars_max} characters")),
    }
}

/// Whether an extractor decides about this. Others would have a document tried for ever, or blame somebody else.
pub(super) fn is_an_extractors(code: FailureCode) -> bool {
    use FailureCode::*;
    match code {
        Empty | NoText | TypeUnsupported | Unreadable | Encrypted | Damaged | LimitFileSize
        | LimitPages | LimitText | LimitDepth | LimitEntries | LimitUnpacked | LimitPixels
        | LimitMemory | SandboxMissing | OcrUnavailable | Internal => true,
        Vanished | ChangedWhileRead | LimitTime | LimitCpu | LimitOutput | SandboxViolation
        | ExtractorDied | WorkerDiedRepeatedly | Stalled | ModelFailed | StoreFailed | Cancelled
        | DiskFull => false,
    }
}

#[cfg(test)]
mod tests {
    use docmill_core::page::{Block, BlockKind, PageSource};

    use super::*;

    fn info(media_type: &str, page_count: Option<u32>) -> Event {
        Event::Info(DocumentInfo { title: None, media_type: media_type.to_owned(), page_count })
    }

    fn pdf(page_count: u32) -> Event {
        info("application/pdf", Some(page_count))
    }

    fn page(number: u32) -> Page {
        Page { number, source: PageSource::NoText, blocks: Vec::new(), note: None }
    }

    /// What the last of these is refused for; none of the others may be.
    fn refused(from_page: u32, events: &[Event]) -> Option<String> {
        let limits = Limits { pages_max: 4, pdf_pages: 4, ..Limits::default() };
        let mut judge = Judge::new(&limits, from_page);
        let (last, others) = events.split_last().unwrap();
        for event in others {
            judge.event(event).unwrap();
        }
        judge.event(last).err()
    }

    #[test]
    fn what_ours_say_is_taken() {
        let mut whole = vec![pdf(3)];
        whole.extend((1..=3).map(|number| Event::Page(page(number))));
        whole.push(Event::Done);
        assert_eq!(refused(1, &whole), None);
        assert_eq!(refused(3, &[pdf(3), Event::Page(page(3)), Event::Done]), None);
        assert_eq!(refused(4, &[pdf(3), Event::Done]), None, "what is left after a lost last page");
        for format in FORMATS {
            assert_eq!(refused(1, &[info(format.media_type, None)]), None, "{}", format.name);
        }
    }

    #[test]
    fn what_the_document_is_comes_first_and_once() {
        assert!(refused(1, &[Event::Page(page(1))]).unwrap().contains("before"));
        assert!(refused(1, &[Event::Done]).unwrap().contains("before"));
        assert!(refused(1, &[pdf(3), pdf(3)]).unwrap().contains("twice"));
        assert!(refused(1, &[pdf(3), Event::Page(page(1)), pdf(3)]).unwrap().contains("twice"));
    }

    #[test]
    fn nothing_comes_after_the_end() {
        assert!(refused(1, &[pdf(3), Event::Done, Event::Done]).unwrap().contains("after"));
        let mut judge = Judge::new(&Limits::default(), 1);
        let failure = Failure::new(FailureCode::Damaged, "torn");
        assert_eq!(judge.failure(&failure), Ok(failure.clone()));
        assert!(judge.failure(&failure).unwrap_err().contains("after"));
        assert!(judge.event(&pdf(1)).unwrap_err().contains("after"));
    }

    #[test]
    fn pages_come_in_order_from_the_one_that_was_asked_for() {
        assert!(refused(2, &[pdf(3), Event::Page(page(1))]).unwrap().contains("page 1 in place of page 2"));
        let skipped = [pdf(3), Event::Page(page(1)), Event::Page(page(3))];
        assert!(refused(1, &skipped).unwrap().contains("in place of page 2"));
        let repeated = [pdf(3), Event::Page(page(1)), Event::Page(page(1))];
        assert!(refused(1, &repeated).unwrap().contains("in place of page 2"));
        assert!(refused(1, &[pdf(3), Event::Page(page(u32::MAX))]).is_some());
    }

    #[test]
    fn there_are_no_more_pages_than_it_said_or_than_are_allowed() {
        let more = [pdf(2), Event::Page(page(1)), Event::Page(page(2)), Event::Page(page(3))];
        assert!(refused(1, &more).unwrap().contains("page 3 of a document of 2"));
        let mut many = vec![info("application/zip", None)];
        many.extend((1..=5).map(|number| Event::Page(page(number))));
        assert!(refused(1, &many).unwrap().contains("page 5 of a document of 4"));
        assert_eq!(refused(1, &many[..5]), None);
        // Whatever it says of itself.
        many[0] = pdf(u32::MAX);
        assert!(refused(1, &many).is_some());
        // A chapter with much text becomes more than one page.
        assert_eq!(refused(2, &[info("application/epub+zip", Some(1)), Event::Page(page(2))]), None);
    }

    #[test]
    fn a_document_is_of_a_type_that_is_read() {
        for other in ["", "text/x-lie", "application/octet-stream", "application/pdf\n"] {
            assert!(refused(1, &[info(other, None)]).unwrap().contains("type"), "{other:?}");
        }
    }

    #[test]
    fn titles_and_notes_have_their_lengths() {
        let titled = |chars| {
            let title = Some("é".repeat(chars));
            Event::Info(DocumentInfo { title, media_type: "application/pdf".to_owned(), page_count: None })
        };
        assert_eq!(refused(1, &[titled(DocumentInfo::TITLE_CHARS_MAX)]), None);
        assert!(refused(1, &[titled(DocumentInfo::TITLE_CHARS_MAX + 1)]).unwrap().contains("title"));
        let noted = |chars| Event::Page(Page { note: Some("é".repeat(chars)), ..page(1) });
        assert_eq!(refused(1, &[pdf(3), noted(Page::NOTE_CHARS_MAX)]), None);
        assert!(refused(1, &[pdf(3), noted(Page::NOTE_CHARS_MAX + 1)]).unwrap().contains("note"));
    }

    #[test]
    fn blocks_have_text() {
        let with = |text: &str| {
            let block = Block { kind: BlockKind::Paragraph, text: text.to_owned() };
            Event::Page(Page { blocks: vec![block], ..page(1) })
        };
        assert_eq!(refused(1, &[pdf(3), with("x")]), None);
        assert!(refused(1, &[pdf(3), with("")]).unwrap().contains("without text"));
    }

    #[test]
    fn failures_are_those_of_extractors_in_words_that_do_no_harm() {
        let told = |failure: &Failure| Judge::new(&Limits::default(), 1).failure(failure);
        // As it comes from a child: nobody has cleaned it.
        let raw = Failure {
            detail: format!("\u{1b}[31m{}", "x".repeat(9_000)),
            stderr: Some("said by whoever is there".to_owned()),
            ..Failure::new(FailureCode::Damaged, "").at_page(4)
        };
        let cleaned = told(&raw).unwrap();
        assert!(!cleaned.detail.contains('\u{1b}') && cleaned.detail.len() <= Failure::DETAIL_BYTES_MAX);
        assert_eq!((cleaned.page, cleaned.stderr), (Some(4), None));
        // A store that is away is waited for without end.
        for code in [FailureCode::StoreFailed, FailureCode::DiskFull, FailureCode::Cancelled] {
            assert!(told(&Failure::new(code, "")).unwrap_err().contains(code.as_str()));
        }
    }
}
