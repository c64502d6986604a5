//! A document's bookmarks, as the headings of the pages that they lead to.

use std::collections::HashMap;

use pdfium_render::prelude::*;

/// Most entries that are looked at: the outline of a bad file may be a circle.
const ENTRIES_MAX: usize = 20_000;

/// Deepest level that is looked at, as headings have no more.
const LEVEL_MAX: u8 = 6;

/// Level and title of headings, by page.
pub(super) type Headings = HashMap<u32, Vec<(u8, String)>>;

/// Headings by page, from the document's outline.
pub(super) fn headings(document: &PdfDocument<'_>) -> Headings {
    let mut headings = Headings::new();
    let mut waiting: Vec<_> = document.bookmarks().root().map(|root| (1u8, root)).into_iter().collect();
    let mut seen = 0;
    while let Some((level, bookmark)) = waiting.pop() {
        seen += 1;
        if seen > ENTRIES_MAX {
            break;
        }
        let page = bookmark.destination().and_then(|destination| destination.page_index().ok());
        if let (Some(page), Some(title)) = (page, bookmark.title()) {
            headings.entry(page as u32 + 1).or_default().push((level, title));
        }
        if let Some(next) = bookmark.next_sibling() {
            waiting.push((level, next));
        }
        if level < LEVEL_MAX
            && let Some(child) = bookmark.first_child()
        {
            waiting.push((level + 1, child));
        }
    }
    headings
}
