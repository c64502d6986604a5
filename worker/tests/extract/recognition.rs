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

/// A page full of these words as a picture in a PDF, turned by so many quarters.
fn scan(quarters: usize) -> Vec<u8> {
    let library = std::env::var("PDFIUM_LIB").map(std::path::PathBuf::from).unwrap_or_else(|_| {
        std::path::Path::new(&std::env::var("HOME").unwrap()).join(".cache/docmill/lib/libpdfium.so")
    });
    // The library can be bound once in a process, and tests share theirs.
    static PDFIUM: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let (width, height) = (1_654, 2_339);
    let upright = PDFIUM.get_or_init(|| {
        let pdfium =
            Pdfium::new(Pdfium::bind_to_library(library).expect("libpdfium.so is there: run `make setup`"));
        let text = text_pdf(&[&format!("{WORDS}\n").repeat(6)]);
        let document = pdfium.load_pdf_from_byte_slice(&text, None).unwrap();
        let config = PdfRenderConfig::new().set_fixed_size(width, height).set_format(PdfBitmapFormat::BGRx);
        let page = document.pages().get(0).unwrap();
        let bitmap = page.render_with_config(&config).unwrap();
        bitmap.as_raw_bytes().chunks_exact(4).map(|pixel| pixel[1]).collect()
    });
    let mut pixels = upright.clone();
    if quarters == 2 {
        pixels.reverse();
    }
    scan_pdf(width as usize, height as usize, &pixels)
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
