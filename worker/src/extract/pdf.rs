//! PDF page by page through pdfium: text, outline headings, and the decision to recognise a page.
//! Runs only in a child. One bad page loses one page.

pub(super) mod layout;

use std::collections::HashMap;
use std::path::PathBuf;

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::{DocumentInfo, Page, PageReason, PageSource};
use pdfium_render::prelude::*;

use super::emit::Emitter;
use super::ocr::{self, Need, Recogniser, Unrecognised};
use super::source::Source;
use super::work::{Tools, Work};
use super::{ExtractOptions, Kind};

/// Most outline entries and deepest level that are looked at: the outline of a bad file may be a circle.
const OUTLINE_ENTRIES_MAX: usize = 20_000;

/// Most text of one page; a page with more is not for readers, and a frame must hold it.
const PAGE_TEXT_BYTES_MAX: usize = 4 << 20;

/// pdfium, loaded when first needed and kept for all documents of the child.
#[derive(Default)]
pub(super) struct PdfReader {
    pdfium: Option<Pdfium>,
}

/// Reads a document and sends its pages.
pub(super) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let (options, emitter) = (work.options, &mut *work.emitter);
    let Tools { pdf, recogniser } = &mut *work.tools;
    let pdfium = match &mut pdf.pdfium {
        Some(pdfium) => pdfium,
        empty => empty.insert(load()?),
    };
    let document = pdfium.load_pdf_from_reader(source, None).map_err(open_failure)?;
    // Of one that lies in another, a mail say: what is known of that one's pages says nothing of these.
    recogniser.begin_part();
    let count = u32::try_from(document.pages().len()).unwrap_or(0);
    let limit = options.limits.pdf_pages;
    if count > limit {
        return Err(Failure::new(FailureCode::LimitPages, format!("{count} pages, {limit} are allowed")));
    }
    if count == 0 {
        return Err(Failure::new(FailureCode::Damaged, "no page can be found in it"));
    }
    let title =
        document.metadata().get(PdfDocumentMetadataTagType::Title).map(|tag| tag.value().to_owned());
    let outline = outline(&document);
    let title = title.filter(|title| !title.trim().is_empty());
    emitter.info(DocumentInfo {
        title,
        media_type: Kind::Pdf.media_type().to_owned(),
        page_count: Some(count),
    })?;
    for number in 1..=count {
        if !emitter.wants(number) {
            continue;
        }
        let no_headings = Vec::new();
        let headings = outline.get(&number).unwrap_or(&no_headings);
        let page = match read_page(&document, number, headings, options, recogniser, emitter) {
            Ok(page) => page,
            Err(error) => lost(number, PageReason::Lost.note(format!("pdfium cannot read it: {error:?}"))),
        };
        emitter.page(page)?;
    }
    Ok(())
}

fn lost(number: u32, note: String) -> Page {
    Page { number, source: PageSource::Lost, blocks: Vec::new(), note: Some(note) }
}

fn read_page(
    document: &PdfDocument<'_>,
    number: u32,
    headings: &[(u8, String)],
    options: &ExtractOptions,
    recogniser: &mut Recogniser,
    emitter: &mut Emitter<'_>,
) -> Result<Page, PdfiumError> {
    let page = document.pages().get(number as PdfPageIndex - 1)?;
    let mut text = page.text().map(|text| text.all()).unwrap_or_default();
    let mut note = None;
    if text.len() > PAGE_TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(PAGE_TEXT_BYTES_MAX));
        note = Some(PageReason::Cut.note(format!("to {} MiB", PAGE_TEXT_BYTES_MAX >> 20)));
    }
    match ocr::need_of(&page, &text, options.ocr) {
        Need::OwnText => recogniser.hear(&text),
        Need::Nothing(why) => note = Some(why),
        Need::Recognise(why) => {
            let ask =
                ocr::Ask { languages: &options.languages, why: &why, page: emitter.number_of(number) };
            match ocr::recognise(recogniser, &page, options, &ask) {
                Ok(found) if !found.text.is_empty() => {
                    let blocks = layout::blocks(&found.text, headings);
                    return Ok(Page { number, source: PageSource::Ocr, blocks, note: Some(found.note) });
                }
                Ok(found) => note = Some(found.note),
                Err(unrecognised) => {
                    note = Some(unrecognised.note(&why));
                    if let Unrecognised::NoRecogniser(cause) = unrecognised {
                        emitter.ocr_is_missing(cause);
                    }
                }
            }
        }
    }
    let blocks = layout::blocks(&text, headings);
    let source = if blocks.is_empty() { PageSource::NoText } else { PageSource::TextLayer };
    Ok(Page { number, source, blocks, note })
}

/// Headings by page, from the document's outline.
fn outline(document: &PdfDocument<'_>) -> HashMap<u32, Vec<(u8, String)>> {
    let mut headings: HashMap<u32, Vec<(u8, String)>> = HashMap::new();
    let mut waiting: Vec<_> = document.bookmarks().root().map(|root| (1u8, root)).into_iter().collect();
    let mut seen = 0;
    while let Some((level, bookmark)) = waiting.pop() {
        seen += 1;
        if seen > OUTLINE_ENTRIES_MAX {
            break;
        }
        let page = bookmark.destination().and_then(|destination| destination.page_index().ok());
        if let (Some(page), Some(title)) = (page, bookmark.title()) {
            headings.entry(page as u32 + 1).or_default().push((level, title));
        }
        if let Some(next) = bookmark.next_sibling() {
            waiting.push((level, next));
        }
        if level < 6
            && let Some(child) = bookmark.first_child()
        {
            waiting.push((level + 1, child));
        }
    }
    headings
}

fn open_failure(error: PdfiumError) -> Failure {
    use PdfiumInternalError::{PasswordError, SecurityError};
    match error {
        PdfiumError::PdfiumLibraryInternalError(PasswordError | SecurityError) => {
            Failure::new(FailureCode::Encrypted, "the PDF needs a password")
        }
        error => Failure::new(FailureCode::Damaged, format!("pdfium cannot open it: {error:?}")),
    }
}

/// Places where the library is looked for, in this order.
pub(super) fn library_paths() -> Vec<PathBuf> {
    const NAME: &str = "libpdfium.so";
    let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = folder("DOCMILL_CACHE")
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("docmill")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/docmill")));
    let beside = std::env::current_exe().ok().and_then(|exe| exe.parent().map(|folder| folder.join(NAME)));
    let named = std::env::var_os("PDFIUM_LIB").map(PathBuf::from);
    let cached = cache.map(|cache| cache.join("lib").join(NAME));
    [named, beside, cached].into_iter().flatten().collect()
}

fn load() -> Result<Pdfium, Failure> {
    let paths = library_paths();
    let Some(path) = paths.iter().find(|path| path.exists()) else {
        let detail =
            format!("PDF needs libpdfium.so, which is in none of {paths:?}; `make setup` fetches it");
        return Err(Failure::new(FailureCode::Internal, detail));
    };
    let bindings = Pdfium::bind_to_library(path)
        .map_err(|error| Failure::new(FailureCode::Internal, format!("{}: {error:?}", path.display())))?;
    Ok(Pdfium::new(bindings))
}
