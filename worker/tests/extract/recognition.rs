//! Recognition of pages without text: a text page is rendered and its picture put into a PDF.

use docmill_core::failure::FailureCode;
use docmill_core::page::PageSource;
use docmill_worker::extract::{ExtractOptions, OcrLanguages, OcrMode};
use pdfium_render::prelude::*;
use tempfile::tempdir;

use crate::files::{file, scan_pdf, text_pdf};
use crate::{pool, read};

const WORDS: &str = "The quick brown fox jumps over the lazy dog\nwhile seven wizards mix a potion in the cellar.\n\
    Every second line of this letter was written by hand,\nand nobody remembers who carried it to the village.\n\
    There is a garden behind the house where apples grow,\nand the children collect them late in September.";

/// Width and height of a page, in pixels.
const SIZE: (usize, usize) = (1_654, 2_339);

/// A page full of these words in shades of grey.
fn page() -> &'static [u8] {
    let library = std::env::var("PDFIUM_LIB").map(std::path::PathBuf::from).unwrap_or_else(|_| {
        std::path::Path::new(&std::env::var("HOME").unwrap()).join(".cache/docmill/lib/libpdfium.so")
    });
    // The library can be bound once in a process, and tests share theirs.
    static PDFIUM: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let (width, height) = (SIZE.0 as Pixels, SIZE.1 as Pixels);
    PDFIUM.get_or_init(|| {
        let pdfium =
            Pdfium::new(Pdfium::bind_to_library(library).expect("libpdfium.so is there: run `make setup`"));
        let text = text_pdf(&[&format!("{WORDS}\n").repeat(6)]);
        let document = pdfium.load_pdf_from_byte_slice(&text, None).unwrap();
        let config = PdfRenderConfig::new().set_fixed_size(width, height).set_format(PdfBitmapFormat::BGRx);
        let page = document.pages().get(0).unwrap();
        let bitmap = page.render_with_config(&config).unwrap();
        bitmap.as_raw_bytes().chunks_exact(4).map(|pixel| pixel[1]).collect()
    })
}

/// The page as a picture in a PDF, turned by so many quarters.
fn scan(quarters: usize) -> Vec<u8> {
    let mut pixels = page().to_vec();
    if quarters == 2 {
        pixels.reverse();
    }
    scan_pdf(SIZE.0, SIZE.1, &pixels)
}

/// The page as a PNG.
fn png() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, SIZE.0 as u32, SIZE.1 as u32);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(page()).unwrap();
    writer.finish().unwrap();
    bytes
}

/// The page twice as a TIFF.
fn tiff() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
    for _ in 0..2 {
        let (width, height) = (SIZE.0 as u32, SIZE.1 as u32);
        encoder.write_image::<tiff::encoder::colortype::Gray8>(width, height, page()).unwrap();
    }
    drop(encoder);
    bytes.into_inner()
}

#[tokio::test]
async fn pictures_are_recognised_page_by_page() {
    let folder = tempdir().unwrap();
    let pool =
        pool(1, ExtractOptions { languages: OcrLanguages::Fixed("eng".into()), ..Default::default() });
    for (name, bytes, pages) in [("page.png", png(), 1), ("pages.tiff", tiff(), 2)] {
        let found = read(&pool, &file(folder.path(), name, bytes)).await;
        assert!(found.text().contains("quick brown fox"), "{name}: {:?}", found.outcome);
        assert_eq!(found.pages.len(), pages, "{name}");
        for page in &found.pages {
            assert_eq!(page.source, PageSource::Ocr);
            assert!(page.note.as_ref().unwrap().contains("a picture"), "{:?}", page.note);
        }
    }
    let without = ExtractOptions { ocr: OcrMode::Never, ..Default::default() };
    let path = file(folder.path(), "page.png", png());
    assert_eq!(read(&crate::pool(1, without), &path).await.failure().code, FailureCode::NoText);
}

#[tokio::test]
async fn a_scan_is_recognised_and_its_note_says_how() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), "scan.pdf", scan(0));
    let pool = pool(1, ExtractOptions::default());
    let found = read(&pool, &path).await;
    let text = found.text().replace('|', " ");
    assert!(text.contains("quick brown fox") && text.contains("late in September"), "{text}");
    assert_eq!(found.pages[0].source, PageSource::Ocr);
    let note = found.pages[0].note.clone().unwrap();
    assert!(
        note.starts_with("ocr: eng+deu, ")
            && note.contains("script Latin")
            && note.contains("100 % of the page"),
        "{note}"
    );
}

#[tokio::test]
async fn a_scan_upside_down_is_turned() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), "scan.pdf", scan(2));
    let pool =
        pool(1, ExtractOptions { languages: OcrLanguages::Fixed("eng".into()), ..Default::default() });
    let found = read(&pool, &path).await;
    assert!(found.text().contains("quick brown fox"), "{:?}", found.pages);
    assert!(found.pages[0].note.as_ref().unwrap().contains("turned by 180 degrees"));
}

#[tokio::test]
async fn without_recognition_a_scan_has_no_text() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), "scan.pdf", scan(0));
    let pool = pool(1, ExtractOptions { ocr: OcrMode::Never, ..Default::default() });
    assert_eq!(read(&pool, &path).await.failure().code, FailureCode::NoText);
}
