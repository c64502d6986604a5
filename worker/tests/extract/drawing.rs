//! Pages that are drawn for people: what comes is the page, at its size, in its time.

use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::TenantId;
use docmill_worker::extract::{Drawing, Drawn, ExtractOptions, OcrMode, Pool, passwords};
use tempfile::tempdir;

use crate::files::{file, pdf, stream, text_pdf};
use crate::{pool, read};

const PATIENT: Duration = Duration::from_secs(30);

async fn draw(pool: &Pool, path: &Path, page: u32, deadline: Duration) -> Result<Drawn, Failure> {
    let file = File::open(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let drawing = Drawing { file: &file, name, page, side_max: 1_200, deadline };
    pool.draw(&TenantId::default(), &drawing).await
}

/// The pixels of a picture, each as its darkest colour, and whether all are without colour.
fn pixels(drawn: &Drawn) -> (Vec<u8>, bool) {
    let mut reader = png::Decoder::new(Cursor::new(&drawn.png)).read_info().unwrap();
    let mut buffer = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut buffer).unwrap();
    assert_eq!((frame.width, frame.height), (drawn.width, drawn.height));
    let samples = frame.color_type.samples();
    let darkest = buffer.chunks_exact(samples).map(|pixel| *pixel.iter().min().unwrap()).collect();
    (darkest, samples == 1)
}

/// Pixels that are dark, from one row of hundredths to another.
fn ink(drawn: &Drawn, rows: std::ops::Range<u32>) -> usize {
    let at = |hundredth: u32| (drawn.height * hundredth / 100 * drawn.width) as usize;
    pixels(drawn).0[at(rows.start)..at(rows.end)].iter().filter(|&&pixel| pixel < 128).count()
}

/// A page with text that is read at once, under a pattern that is laid a million million times.
fn endless_pdf() -> Vec<u8> {
    let words = "(These words are read in no time at all) Tj T* ".repeat(4);
    let page = format!("BT /F 14 Tf 18 TL 60 780 Td {words}ET /Pattern cs /P scn 0 0 595 400 re f");
    let pattern = "/Type/Pattern/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 2 2]/XStep 0.0005/YStep 0.0005\
                   /Resources<<>>";
    pdf(&[page.into_bytes()], "/Pattern<</P 4 0 R>>", &[stream(pattern, b"0 0 1 1 re f")])
}

#[tokio::test]
async fn a_page_is_drawn_as_large_as_asked_and_not_blank() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), "a.pdf", text_pdf(&["At the top of the first page", ""]));
    let pool = pool(1, ExtractOptions::default());
    let first = draw(&pool, &path, 1, PATIENT).await.unwrap();
    assert_eq!((first.width, first.height), (848, 1_200), "A4");
    assert!(pixels(&first).1, "black on white has no colour");
    assert!(
        ink(&first, 3..15) > 100 && ink(&first, 15..100) == 0,
        "{} {}",
        ink(&first, 3..15),
        ink(&first, 15..100)
    );
    let second = draw(&pool, &path, 2, PATIENT).await.unwrap();
    assert_eq!(ink(&second, 0..100), 0, "an empty page is white paper");
    let missing = draw(&pool, &path, 3, PATIENT).await.unwrap_err();
    assert_eq!((missing.code, missing.page), (FailureCode::Unreadable, Some(3)));
    let red = file(folder.path(), "red.pdf", pdf(&[b"1 0 0 rg 0 0 595 842 re f".to_vec()], "", &[]));
    let red = draw(&pool, &red, 1, PATIENT).await.unwrap();
    assert!(!pixels(&red).1 && ink(&red, 10..90) > 500_000, "red is a colour");
    // The child that drew reads, too.
    assert_eq!(pool.child_pids().len(), 1);
    assert_eq!(read(&pool, &path).await.text(), "At the top of the first page");
}

#[tokio::test]
async fn a_page_without_an_end_is_given_up_in_time_and_the_next_one_is_drawn() {
    let folder = tempdir().unwrap();
    let endless = file(folder.path(), "endless.pdf", endless_pdf());
    let good = file(folder.path(), "good.pdf", text_pdf(&["Good"]));
    let pool = pool(1, ExtractOptions { ocr: OcrMode::Never, ..ExtractOptions::default() });
    assert!(read(&pool, &endless).await.text().contains("no time at all"));
    let begun = Instant::now();
    let failure = draw(&pool, &endless, 1, Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::LimitTime, "{failure}");
    assert!(failure.detail.contains("1000 ms"), "{failure}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(ink(&draw(&pool, &good, 1, PATIENT).await.unwrap(), 0..100) > 20);
}

#[tokio::test]
async fn passwords_open_what_is_drawn() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/locked.pdf"));
    let locked = draw(&pool(1, ExtractOptions::default()), path, 1, PATIENT).await.unwrap_err();
    assert_eq!(locked.code, FailureCode::Encrypted);
    let options =
        ExtractOptions { passwords: passwords::parse("user").unwrap(), ..ExtractOptions::default() };
    let drawn = draw(&pool(1, options), path, 1, PATIENT).await.unwrap();
    assert!(ink(&drawn, 0..100) > 20);
}

#[tokio::test]
async fn pictures_are_drawn_page_by_page_and_other_documents_are_not() {
    let folder = tempdir().unwrap();
    let mut tiff = Cursor::new(Vec::new());
    {
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut tiff).unwrap();
        for shade in [0u8, 200] {
            let page = vec![shade; 2_400 * 1_200];
            encoder.write_image::<tiff::encoder::colortype::Gray8>(2_400, 1_200, &page).unwrap();
        }
    }
    let tiff = file(folder.path(), "two.tif", tiff.into_inner());
    let pool = pool(1, ExtractOptions::default());
    for (page, shade) in [(1, 0), (2, 200)] {
        let drawn = draw(&pool, &tiff, page, PATIENT).await.unwrap();
        assert_eq!((drawn.width, drawn.height), (1_200, 600));
        assert!(pixels(&drawn).0.iter().all(|&pixel| pixel == shade), "page {page}");
    }
    assert_eq!(draw(&pool, &tiff, 3, PATIENT).await.unwrap_err().code, FailureCode::Unreadable);
    let text = file(folder.path(), "a.html", "<html><p>Some words</p></html>");
    assert_eq!(draw(&pool, &text, 1, PATIENT).await.unwrap_err().code, FailureCode::TypeUnsupported);
    let torn = file(folder.path(), "torn.gif", b"GIF89a\x10\0\x10\0");
    assert_eq!(draw(&pool, &torn, 1, PATIENT).await.unwrap_err().code, FailureCode::Damaged);
}
