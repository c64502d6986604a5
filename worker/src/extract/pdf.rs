//! PDF page by page through pdfium: text, outline headings, and the decision to recognise a page.
//! Runs only in a child. One bad page loses one page.

pub(super) mod draw;
mod fonts;
mod forms;
pub(super) mod layout;
mod lines;
mod open;
mod outline;
mod repair;
mod shared;
mod syntax;
mod tables;

use std::path::PathBuf;

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::{DocumentInfo, Page, PageReason, PageSource};
use pdfium_render::prelude::*;

use self::layout::Part;
use self::lines::Lines;
use self::shared::Shared;
use super::emit::Emitter;
use super::ocr::{self, Need, Recogniser, Unrecognised};
use super::process::cache_folder;
use super::source::Source;
use super::work::{Tools, Work};
use super::{ExtractOptions, Kind};

/// pdfium, loaded when first needed and kept for all documents of the child.
#[derive(Default)]
pub(super) struct PdfReader {
    pdfium: Option<Pdfium>,
}

impl PdfReader {
    fn loaded(&mut self) -> Result<&Pdfium, Failure> {
        match &mut self.pdfium {
            Some(pdfium) => Ok(pdfium),
            empty => Ok(empty.insert(load()?)),
        }
    }
}

/// Reads a document and sends its pages.
pub(super) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let (options, emitter) = (work.options, &mut *work.emitter);
    let Tools { pdf, recogniser, .. } = &mut *work.tools;
    let pdfium = pdf.loaded()?;
    let file = Shared::new(source);
    let mut opened = open::open(pdfium, &file, &options.passwords)?;
    // The first page is needed in any case, and what is on it tells nearly always that all is well.
    let mut first = Some(opened.document.pages().get(0));
    let is_bare = !matches!(&first, Some(Ok(page)) if !page.objects().is_empty());
    if is_bare && let Some(repaired) = open::in_place_of(&opened, pdfium, &file, &options.passwords) {
        // A page goes before its document.
        first = None;
        opened = repaired;
    }
    let document = &opened.document;
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
    let outline = outline::headings(document);
    let title = title.filter(|title| !title.trim().is_empty());
    emitter.info(DocumentInfo {
        title,
        media_type: Kind::Pdf.media_type().to_owned(),
        page_count: Some(count),
    })?;
    let mut lost_pages = 0;
    for number in 1..=count {
        let loaded = first.take().filter(|_| number == 1);
        if !emitter.wants(number)? {
            continue;
        }
        let no_headings = Vec::new();
        let headings = outline.get(&number).unwrap_or(&no_headings);
        let loaded = loaded.unwrap_or_else(|| document.pages().get(number as PdfPageIndex - 1));
        let mut page = match loaded {
            Ok(loaded) => {
                let file = &opened.file;
                let mut around =
                    Around { options, recogniser: &mut *recogniser, emitter: &mut *emitter, file };
                read_page(&loaded, number, headings, &mut around)
            }
            Err(error) => {
                lost_pages += 1;
                lost(number, PageReason::Lost.note(open::page_loss(&error)))
            }
        };
        if let Some(repair) = opened.repair {
            add_note(&mut page.note, PageReason::Repaired, repair);
        }
        emitter.page(page)?;
    }
    // Not one without text: nobody knows what is on its pages.
    if lost_pages == count {
        return Err(Failure::new(
            FailureCode::Damaged,
            format!("the PDF is damaged: none of its {count} pages can be read"),
        ));
    }
    Ok(())
}

fn lost(number: u32, note: String) -> Page {
    Page { number, source: PageSource::Lost, blocks: Vec::new(), note: Some(note) }
}

/// What was said of a page before stays first.
fn add_note(note: &mut Option<String>, reason: PageReason, detail: &str) {
    match note {
        Some(note) => {
            note.push_str("; ");
            note.push_str(detail);
        }
        None => *note = Some(reason.note(detail)),
    }
}

/// What a page is read with.
struct Around<'a, 'e> {
    options: &'a ExtractOptions,
    recogniser: &'a mut Recogniser,
    emitter: &'a mut Emitter<'e>,
    file: &'a Shared,
}

/// A page with what people added to it. Where it has no text, its note says why.
fn read_page(
    page: &PdfPage<'_>,
    number: u32,
    headings: &[(u8, String)],
    around: &mut Around<'_, '_>,
) -> Page {
    let lines = page.text().map(|text| lines::read(page, &text)).unwrap_or_default();
    let mut read = read_text(page, &lines, number, headings, around);
    let added = forms::read(page, &lines.text);
    if added.is_cut {
        add_note(&mut read.note, PageReason::Cut, "what was filled in and noted on this page");
    }
    if read.blocks.is_empty() && !added.blocks.is_empty() {
        read.source = PageSource::TextLayer;
    }
    read.blocks.extend(added.blocks);
    if read.blocks.is_empty() && read.note.is_none() {
        read.note = Some(PageReason::Empty.note("what is written on it cannot be seen"));
    }
    read
}

fn read_text(
    page: &PdfPage<'_>,
    lines: &Lines,
    number: u32,
    headings: &[(u8, String)],
    around: &mut Around<'_, '_>,
) -> Page {
    let (options, file) = (around.options, around.file);
    let text = &lines.text;
    let mut note = lines.is_cut.then(|| PageReason::Cut.note("the text of this page"));
    match ocr::need_of(page, text, options.ocr) {
        Need::OwnText => around.recogniser.hear(text),
        Need::Nothing(why) => note = Some(why),
        Need::Recognise(why) => {
            let page_number = around.emitter.number_of(number);
            let ask = ocr::Ask { languages: &options.languages, why: &why, page: page_number };
            let dictionaries = |stream: &[u8]| file.dictionary_of(stream);
            let missing = fonts::missing(page);
            let missing = missing.map(|font| format!("{font} is neither in the document nor installed"));
            match ocr::recognise(around.recogniser, page, options, &ask, &dictionaries) {
                Ok(found) if !found.text.is_empty() => {
                    let blocks = layout::blocks(&found.text, headings);
                    let note = match missing {
                        Some(missing) => {
                            PageReason::FontsMissing.note(format!("{missing}; {}", found.note))
                        }
                        None => found.note,
                    };
                    return Page { number, source: PageSource::Ocr, blocks, note: Some(note) };
                }
                Ok(found) => note = Some(found.note),
                Err(unrecognised) => {
                    note = Some(unrecognised.note(&why));
                    if let Unrecognised::NoRecogniser(cause) = unrecognised {
                        around.emitter.ocr_is_missing(cause);
                    }
                }
            }
            // Why there is no text in its picture: nothing of it could be drawn.
            if let Some(missing) = missing {
                add_note(&mut note, PageReason::FontsMissing, &missing);
            }
        }
    }
    let blocks = layout::blocks_of(parts(lines), headings);
    let source = if blocks.is_empty() { PageSource::NoText } else { PageSource::TextLayer };
    if let (unmapped @ 1.., visible) = lines.unmapped() {
        let share = format!("{unmapped} of {visible} characters have no meaning in their fonts");
        add_note(&mut note, PageReason::PartlyUnmapped, &share);
    }
    Page { number, source, blocks, note }
}

/// A page's text and its tables, in their order.
fn parts(lines: &Lines) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut at = 0;
    for table in tables::find(lines) {
        let (Some(first), Some(last)) =
            (lines.lines.get(table.lines.start), lines.lines.get(table.lines.end - 1))
        else {
            continue;
        };
        parts.push(Part::Text(&lines.text[at..first.bytes.start]));
        parts.push(Part::Table(table.rows));
        at = last.bytes.end;
    }
    parts.push(Part::Text(&lines.text[at..]));
    parts
}

/// Places where the library is looked for, in this order.
pub(super) fn library_paths() -> Vec<PathBuf> {
    const NAME: &str = "libpdfium.so";
    let beside = std::env::current_exe().ok().and_then(|exe| exe.parent().map(|folder| folder.join(NAME)));
    let named = std::env::var_os("PDFIUM_LIB").map(PathBuf::from);
    let cached = cache_folder().map(|cache| cache.join("lib").join(NAME));
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
