//! Recognition of pages without text: a text page is rendered and its picture put into a PDF.

use std::ffi::{c_int, c_uchar, c_ulong, c_void};

use docmill_core::failure::FailureCode;
use docmill_core::page::{Page, PageReason, PageSource};
use docmill_worker::extract::{ExtractOptions, Input, OcrLanguages, OcrMode};
use pdfium_render::prelude::*;
use tempfile::tempdir;

use crate::files::{archive, file, pdf, pdf_of, picture, scan_pdf, stream, text_pdf};
use crate::{Read, cache, pool, read, read_input};

const WORDS: &str = "The quick brown fox jumps over the lazy dog\nwhile seven wizards mix a potion in the cellar.\n\
    Every second line of this letter was written by hand,\nand nobody remembers who carried it to the village.\n\
    There is a garden behind the house where apples grow,\nand the children collect them late in September.";

const WIDTH: usize = 1_654;
const HEIGHT: usize = 2_339;

/// The same at 300 dpi.
const WIDE: usize = 2_481;
const HIGH: usize = 3_508;

/// A page full of these words in shades of grey.
fn page() -> &'static [u8] {
    let library = std::env::var_os("PDFIUM_LIB")
        .map_or_else(|| cache().join("lib/libpdfium.so"), std::path::PathBuf::from);
    // The library can be bound once in a process, and tests share theirs.
    static PDFIUM: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    PDFIUM.get_or_init(|| {
        let pdfium =
            Pdfium::new(Pdfium::bind_to_library(library).expect("libpdfium.so is there: run `make setup`"));
        let text = text_pdf(&[&format!("{WORDS}\n").repeat(6)]);
        let document = pdfium.load_pdf_from_byte_slice(&text, None).unwrap();
        let config = PdfRenderConfig::new()
            .set_fixed_size(WIDTH as i32, HEIGHT as i32)
            .set_format(PdfBitmapFormat::BGRx);
        let page = document.pages().get(0).unwrap();
        let bitmap = page.render_with_config(&config).unwrap();
        bitmap.as_raw_bytes().chunks_exact(4).map(|pixel| pixel[1]).collect()
    })
}

/// The page as a picture in a PDF, turned by so many halves.
pub fn scan(halves: usize) -> Vec<u8> {
    let mut pixels = page().to_vec();
    if halves == 1 {
        pixels.reverse();
    }
    scan_pdf(WIDTH, HEIGHT, &pixels)
}

/// These pixels of a page as a PNG.
fn png(pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, WIDTH as u32, HEIGHT as u32);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
    bytes
}

/// The pixels of pages as a TIFF.
fn tiff(pages: &[&[u8]]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    {
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut bytes).unwrap();
        for pixels in pages {
            let (width, height) = (WIDTH as u32, HEIGHT as u32);
            encoder.write_image::<tiff::encoder::colortype::Gray8>(width, height, pixels).unwrap();
        }
    }
    bytes.into_inner()
}

/// The page as scanners write it: a JPEG in colour, of 300 dpi.
fn jpeg() -> &'static [u8] {
    static JPEG: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    JPEG.get_or_init(|| {
        let mut colours = Vec::with_capacity(WIDE * HIGH * 3);
        for y in 0..HIGH {
            let row = &page()[y * 2 / 3 * WIDTH..][..WIDTH];
            for x in 0..WIDE {
                colours.extend_from_slice(&[row[x * 2 / 3]; 3]);
            }
        }
        compressed(&colours)
    })
}

/// A JPEG of these colours of a page of 300 dpi. Needs libturbojpeg.
fn compressed(colours: &[u8]) -> Vec<u8> {
    const RGB: c_int = 0;
    const SAMPLES_420: c_int = 2;
    type Compress = unsafe extern "C" fn(
        *mut c_void,
        *const c_uchar,
        c_int,
        c_int,
        c_int,
        c_int,
        *mut *mut c_uchar,
        *mut c_ulong,
        c_int,
        c_int,
        c_int,
    ) -> c_int;
    assert_eq!(colours.len(), WIDE * HIGH * 3);
    // SAFETY: names and types are those of turbojpeg.h; the pixels are as many as width and height say, and what the
    // library made is copied before it is given back, once.
    unsafe {
        let library = libloading::Library::new("libturbojpeg.so.0")
            .expect("libturbojpeg.so.0 is there: run `make setup`");
        let create: unsafe extern "C" fn() -> *mut c_void = *library.get(b"tjInitCompress").unwrap();
        let compress: Compress = *library.get(b"tjCompress2").unwrap();
        let free: unsafe extern "C" fn(*mut c_uchar) = *library.get(b"tjFree").unwrap();
        let destroy: unsafe extern "C" fn(*mut c_void) -> c_int = *library.get(b"tjDestroy").unwrap();
        let (handle, mut bytes, mut length) = (create(), std::ptr::null_mut(), 0);
        let (width, height) = (WIDE as c_int, HIGH as c_int);
        let source = colours.as_ptr();
        let outcome =
            compress(handle, source, width, 0, height, RGB, &mut bytes, &mut length, SAMPLES_420, 90, 0);
        assert_eq!(outcome, 0);
        let jpeg = std::slice::from_raw_parts(bytes, length as usize).to_vec();
        free(bytes);
        destroy(handle);
        jpeg
    }
}

/// A PDF of this JPEG of a page, with a page for each of these entries and what is drawn after the picture.
fn jpeg_pdf(jpeg: &[u8], pages: &[(&str, &str)]) -> Vec<u8> {
    let numbers: String = (0..pages.len()).map(|page| format!("{} 0 R ", 4 + 2 * page)).collect();
    let dictionary = format!(
        "/Type/XObject/Subtype/Image/Width {WIDE}/Height {HIGH}/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/DCTDecode"
    );
    let mut objects = vec![
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        format!("<</Type/Pages/Count {}/Kids[{numbers}]>>", pages.len()).into_bytes(),
        stream(&dictionary, jpeg),
    ];
    for (page, (entries, drawing)) in pages.iter().enumerate() {
        let content = 5 + 2 * page;
        objects.push(
            format!(
                "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]{entries}/Resources<</XObject<</I 3 0 R>>>>/Contents {content} 0 R>>"
            )
            .into_bytes(),
        );
        objects.push(stream("", format!("q 595 0 0 842 0 0 cm /I Do Q {drawing}").as_bytes()));
    }
    pdf_of(&objects)
}

/// A page with a black square on it: much ink, and no letter.
fn square() -> Vec<u8> {
    let mut pixels = vec![252; WIDTH * HEIGHT];
    for row in pixels.chunks_exact_mut(WIDTH).skip(400).take(1_500) {
        row[300..1_300].fill(30);
    }
    pixels
}

#[tokio::test]
async fn pictures_are_recognised_page_by_page() {
    let folder = tempdir().unwrap();
    let pool =
        pool(1, ExtractOptions { languages: OcrLanguages::Fixed("eng".into()), ..Default::default() });
    let one = file(folder.path(), "page.png", png(page()));
    let two = file(folder.path(), "pages.tiff", tiff(&[page(); 2]));
    for (path, pages) in [(&one, 1), (&two, 2)] {
        let found = read(&pool, path).await;
        assert!(found.text().contains("quick brown fox"), "{}: {:?}", path.display(), found.outcome);
        assert_eq!(found.pages.len(), pages, "{}", path.display());
        for page in &found.pages {
            assert_eq!(page.source, PageSource::Ocr);
            assert!(page.note.as_ref().unwrap().contains("a picture"), "{:?}", page.note);
        }
    }
    let without = ExtractOptions { ocr: OcrMode::Never, ..Default::default() };
    assert_eq!(read(&crate::pool(1, without), &one).await.failure().code, FailureCode::NoText);
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
        note.starts_with("scan: read as eng, word confidence 9") && note.contains("100 % of the page"),
        "{note}"
    );
}

#[tokio::test]
async fn print_that_is_paler_than_the_rest_is_read_too() {
    let mut pixels = page().to_vec();
    let inked = |row: &[u8]| row.iter().any(|&point| point < 128);
    let rows: Vec<usize> = (0..HEIGHT).filter(|y| inked(&pixels[y * WIDTH..][..WIDTH])).collect();
    // As programs in colours have it: a fifth of the lines, which is above the threshold that the others ask for.
    for point in &mut pixels[rows[rows.len() * 4 / 5] * WIDTH..] {
        *point = u8::MAX - (u8::MAX - *point) / 4;
    }
    let folder = tempdir().unwrap();
    let pool =
        pool(1, ExtractOptions { languages: OcrLanguages::Fixed("eng".into()), ..Default::default() });
    let (plain, pale) = (scan(0), scan_pdf(WIDTH, HEIGHT, &pixels));
    let plain = read(&pool, &file(folder.path(), "plain.pdf", plain)).await.text();
    let pale = read(&pool, &file(folder.path(), "pale.pdf", pale)).await.text();
    let lines = |text: &str| text.matches("brown").count();
    assert_eq!(lines(&pale), lines(&plain), "{pale}");
}

#[tokio::test]
async fn a_scan_upside_down_is_turned() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), "scan.pdf", scan(1));
    let pool =
        pool(1, ExtractOptions { languages: OcrLanguages::Fixed("eng".into()), ..Default::default() });
    let found = read(&pool, &path).await;
    assert!(found.text().contains("quick brown fox"), "{:?}", found.pages);
    let note = found.pages[0].note.clone().unwrap();
    assert!(note.starts_with("scan: read as eng, turned by 180 degrees, word confidence"), "{note}");
}

#[tokio::test]
async fn the_same_picture_is_recognised_once_for_its_tenant() {
    let folder = tempdir().unwrap();
    let image = picture(WIDTH, HEIGHT, page());
    let content = b"q 595 0 0 842 0 0 cm /I Do Q".to_vec();
    let twice =
        pdf(&[content.clone(), content.clone()], "/XObject<</I 4 0 R>>", std::slice::from_ref(&image));
    let once = pdf(&[content], "/XObject<</I 4 0 R>>", &[image]);
    let (twice, once) = (file(folder.path(), "twice.pdf", twice), file(folder.path(), "once.pdf", once));
    let pool = pool(1, ExtractOptions::default());
    let reason = |read: &Read, page: usize| PageReason::of(read.pages[page].note.as_deref().unwrap());
    let first = read(&pool, &twice).await;
    assert_eq!(reason(&first, 0), Some(PageReason::Scan));
    assert_eq!(reason(&first, 1), Some(PageReason::Seen));
    assert!(first.pages[1].note.as_ref().unwrap().contains("as on page 1"), "{:?}", first.pages[1].note);
    assert_eq!(first.pages[0].blocks, first.pages[1].blocks);
    assert_eq!(first.pages[1].source, PageSource::Ocr);
    let again = read(&pool, &once).await;
    assert!(again.pages[0].note.as_ref().unwrap().contains("in another document"));
    assert_eq!(again.pages[0].blocks, first.pages[0].blocks);
    let other = read_input(&pool, "other", Input::new(&once)).await;
    assert_eq!(reason(&other, 0), Some(PageReason::Scan), "another tenant's pictures are not remembered");
}

#[tokio::test]
async fn a_page_that_is_one_jpeg_is_decoded_and_any_other_is_drawn() {
    let folder = tempdir().unwrap();
    let link = "/Annots[<</Type/Annot/Subtype/Link/Rect[10 10 20 20]/Border[0 0 0]>>]";
    // Neither the link nor what is drawn beside the page can be seen: those two look the same.
    let pages = [("", ""), ("", ""), (link, ""), ("", "1 g -50 -50 10 10 re f")];
    let pdf = jpeg_pdf(jpeg(), &pages);
    let pool =
        pool(1, ExtractOptions { languages: OcrLanguages::Fixed("eng".into()), ..Default::default() });
    let found = read(&pool, &file(folder.path(), "scan.pdf", pdf)).await;
    assert_eq!(found.outcome, Ok(()));
    let notes: Vec<&str> = found.pages.iter().map(|page| page.note.as_deref().unwrap()).collect();
    let reasons: Vec<_> = notes.iter().map(|note| PageReason::of(note).unwrap()).collect();
    // Pictures that came about in one way are the same, and those of the other way differ in a few shades.
    use PageReason::{Scan, Seen};
    assert_eq!(reasons, [Scan, Seen, Scan, Seen], "is libturbojpeg.so.0 there? {notes:?}");
    assert!(notes[1].contains("as on page 1") && notes[3].contains("as on page 3"), "{notes:?}");
    let words = |page: &Page| page.text().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert!(words(&found.pages[0]).join(" ").contains("quick brown fox jumps over the lazy dog"));
    assert_eq!(words(&found.pages[0]), words(&found.pages[2]));
}

#[tokio::test]
async fn a_jpeg_that_ends_too_early_is_drawn_as_far_as_it_goes() {
    let folder = tempdir().unwrap();
    let jpeg = jpeg();
    let cut = jpeg_pdf(&jpeg[..jpeg.len() * 2 / 3], &[("", "")]);
    let pool =
        pool(1, ExtractOptions { languages: OcrLanguages::Fixed("eng".into()), ..Default::default() });
    let found = read(&pool, &file(folder.path(), "cut.pdf", cut)).await;
    assert!(found.text().contains("quick brown fox"), "{found:?}");
}

#[tokio::test]
async fn an_empty_scan_is_not_recognised_and_says_so() {
    let folder = tempdir().unwrap();
    let mut paper = vec![252; WIDTH * HEIGHT];
    // A speck of dust.
    paper[WIDTH * 900 + 400..WIDTH * 900 + 403].fill(80);
    let path = file(folder.path(), "empty.pdf", scan_pdf(WIDTH, HEIGHT, &paper));
    let found = read(&pool(1, ExtractOptions::default()), &path).await;
    assert_eq!(found.failure().code, FailureCode::NoText);
    assert!(found.failure().detail.contains("blank: "), "{:?}", found.failure());
    assert_eq!(found.pages[0].note.as_deref(), Some("blank: image covers 100 % of the page, 0 letters"));
}

#[tokio::test]
async fn a_page_on_which_no_word_was_found_says_so_wherever_it_is() {
    let folder = tempdir().unwrap();
    let pool =
        pool(1, ExtractOptions { languages: OcrLanguages::Fixed("eng".into()), ..Default::default() });
    let square = square();
    let pdf = scan_pdf(WIDTH, HEIGHT, &square);
    let archive = archive(&[("words.html", b"<p>Words"), ("square.pdf", &pdf)]);
    let says_so = |page: &Page| {
        let reason = PageReason::of(page.note.as_deref().unwrap());
        assert_eq!((page.source, reason), (PageSource::NoText, Some(PageReason::NoWords)), "{page:?}");
    };
    for (name, bytes, count) in [
        ("square.pdf", pdf, 1),
        ("square.png", png(&square), 1),
        ("square.tiff", tiff(&[&square, &square]), 2),
    ] {
        let found = read(&pool, &file(folder.path(), name, bytes)).await;
        assert_eq!(found.failure().code, FailureCode::NoText, "{name}");
        assert!(found.failure().detail.contains("none with text: no_words: "), "{}", found.failure());
        assert_eq!(found.pages.len(), count, "{name}");
        found.pages.iter().for_each(says_so);
    }
    // Beside pages that have words.
    for (name, bytes, at) in [("mixed.tiff", tiff(&[page(), &square]), 1), ("mixed.zip", archive, 1)] {
        let found = read(&pool, &file(folder.path(), name, bytes)).await;
        assert_eq!(found.outcome, Ok(()), "{name}");
        says_so(&found.pages[at]);
    }
}

#[tokio::test]
async fn letters_drawn_as_shapes_are_recognised() {
    let folder = tempdir().unwrap();
    // H and I in strokes, forty of each, as programs write that turn text into outlines.
    let mut content = b"0 g\n".to_vec();
    for at in 0..40 {
        let (x, y) = (60 + at % 10 * 45, 700 - at / 10 * 60);
        for (left, bottom, width, height) in [(0, 0, 4, 22), (12, 0, 4, 22), (4, 9, 8, 4), (22, 0, 4, 22)] {
            let stroke = format!("{} {} {width} {height} re f\n", x + left, y + bottom);
            content.extend_from_slice(stroke.as_bytes());
        }
    }
    let path = file(folder.path(), "drawn.pdf", pdf(&[content], "", &[]));
    // Two letters are of no language.
    let options = ExtractOptions { languages: OcrLanguages::Fixed("eng".into()), ..Default::default() };
    let found = read(&pool(1, options), &path).await;
    let reason = PageReason::of(found.pages[0].note.as_deref().unwrap());
    assert_eq!(reason, Some(PageReason::Drawn), "{:?}", found.pages[0].note);
    assert!(found.text().contains("HI"), "{}", found.text());
}

#[tokio::test]
async fn without_recognition_a_scan_has_no_text() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), "scan.pdf", scan(0));
    let pool = pool(1, ExtractOptions { ocr: OcrMode::Never, ..Default::default() });
    let found = read(&pool, &path).await;
    assert_eq!(found.failure().code, FailureCode::NoText);
    assert_eq!(found.pages[0].note.as_deref(), Some("ocr_off: image covers 100 % of the page, 0 letters"));
}

#[tokio::test]
async fn a_picture_covers_its_page_wherever_that_lies_and_however_it_is_turned() {
    let folder = tempdir().unwrap();
    let pool = pool(1, ExtractOptions { ocr: OcrMode::Never, ..Default::default() });
    let pages = [
        // The right half of a sheet that was scanned as one; a receipt on its side.
        ("half.pdf", "/MediaBox[0 0 1190 842]/CropBox[595 0 1190 842]", "595 0 0 842 595 0"),
        ("far.pdf", "/MediaBox[-9000 5000 -8405 5842]", "595 0 0 842 -9000 5000"),
        ("turned.pdf", "/MediaBox[0 0 200 800]/Rotate 90", "200 0 0 800 0 0"),
    ];
    for (name, page, place) in pages {
        let objects = [
            b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
            b"<</Type/Pages/Count 1/Kids[3 0 R]>>".to_vec(),
            format!("<</Type/Page/Parent 2 0 R{page}/Resources<</XObject<</I 5 0 R>>>>/Contents 4 0 R>>")
                .into(),
            stream("", format!("q {place} cm /I Do Q").as_bytes()),
            picture(20, 20, &[0; 400]),
        ];
        let found = read(&pool, &file(folder.path(), name, pdf_of(&objects))).await;
        let note = found.pages[0].note.as_deref();
        assert_eq!(note, Some("ocr_off: image covers 100 % of the page, 0 letters"), "{name}");
    }
}
