//! Pictures: a page each, read by the recogniser. Decoded to grey within the limit of pixels, which is kept before anything
//! is decoded: a header of a few bytes may promise gigabytes.

mod bitmap;
mod decode;
pub(super) mod draw;

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::{DocumentInfo, Page, PageReason, PageSource};

use self::decode::TiffPages;
use super::ocr::{Ask, PIXELS_MAX, Picture, Unrecognised, Why};
use super::pdf::layout;
use super::source::Source;
use super::tesseract::Grey;
use super::work::Work;
use super::{Kind, OcrMode};

/// What is less wide or high holds no text.
const SIDE_MIN: usize = 16;

/// The longer side of a sheet, in inches. Pictures say their resolution rarely, and wrongly.
const SHEET_INCHES: usize = 11;

/// Reads a picture of one page; of an animation that is the first.
pub(super) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    say_what_it_is(work, Some(1))?;
    let bytes = source.into_bytes(work.bytes_max())?;
    let grey = decode::decode(work.kind, &bytes, work.options.limits.pixels_max)?;
    drop(bytes);
    if work.emitter.wants(1)? { send(1, grey, work) } else { Ok(()) }
}

/// Reads a picture that may have many pages.
pub(super) fn pages(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    say_what_it_is(work, None)?;
    let (pixels_max, pages_max) = (work.options.limits.pixels_max, work.options.limits.pdf_pages);
    let mut pages = TiffPages::open(source, pixels_max)?;
    for number in 1.. {
        if number > pages_max {
            let detail = format!("more than {pages_max} pages, {pages_max} are allowed");
            return Err(Failure::new(FailureCode::LimitPages, detail));
        }
        if work.emitter.wants(number)? {
            match pages.page() {
                Ok(grey) => send(number, grey, work)?,
                Err(failure) => work.emitter.or_lost(Err(failure))?,
            }
        }
        match pages.next() {
            Ok(true) => {}
            Ok(false) => break,
            // One page leads to the next: those behind a broken one cannot be found.
            Err(failure) => return work.emitter.or_lost(Err(failure)),
        }
    }
    Ok(())
}

fn say_what_it_is(work: &mut Work<'_, '_>, page_count: Option<u32>) -> Result<(), Failure> {
    let media_type = work.kind.media_type().to_owned();
    work.emitter.info(DocumentInfo { title: None, media_type, page_count })
}

fn send(number: u32, grey: Grey, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let without_text =
        |note: String| Page { number, source: PageSource::NoText, blocks: Vec::new(), note: Some(note) };
    let page = if work.options.ocr == OcrMode::Never {
        without_text(PageReason::OcrOff.note("a picture has no other text"))
    } else if grey.width < SIDE_MIN || grey.height < SIDE_MIN {
        let detail = format!("{} x {} pixels hold no text", grey.width, grey.height);
        without_text(PageReason::Blank.note(detail))
    } else {
        let picture = as_page(grey);
        let why = Why { reason: PageReason::Picture, detail: "a picture".to_owned() };
        let page = work.emitter.number_of(number);
        let ask = Ask { languages: &work.options.languages, why: &why, page };
        match work.tools.recogniser.read(&picture, &ask) {
            Ok(found) => {
                let blocks = layout::blocks(&found.text, &[]);
                Page { number, source: PageSource::Ocr, blocks, note: Some(found.note) }
            }
            Err(unrecognised) => {
                let note = unrecognised.note(&why);
                if let Unrecognised::NoRecogniser(cause) = unrecognised {
                    work.emitter.ocr_is_missing(cause);
                }
                without_text(note)
            }
        }
    };
    work.emitter.page(page)
}

/// The picture as one of a page, made smaller where the recogniser would take too long.
fn as_page(grey: Grey) -> Picture {
    let pixels = grey.width * grey.height;
    let factor = (1..).find(|factor| pixels / (factor * factor) <= PIXELS_MAX as usize).unwrap_or(1);
    let grey = smaller(grey, factor);
    let dpi = (grey.width.max(grey.height) / SHEET_INCHES).clamp(70, 400) as u32;
    Picture { grey, dpi }
}

/// Each pixel the mean of a square; what is left over at the edges goes.
fn smaller(grey: Grey, factor: usize) -> Grey {
    if factor <= 1 {
        return grey;
    }
    let (width, height) = (grey.width / factor, grey.height / factor);
    let mut pixels = Vec::with_capacity(width * height);
    let mut sums = vec![0usize; width];
    for rows in grey.pixels.chunks_exact(grey.width * factor) {
        sums.fill(0);
        for row in rows.chunks_exact(grey.width) {
            for (sum, square) in sums.iter_mut().zip(row.chunks_exact(factor)) {
                *sum += square.iter().map(|&pixel| usize::from(pixel)).sum::<usize>();
            }
        }
        pixels.extend(sums.iter().map(|sum| (sum / (factor * factor)) as u8));
    }
    Grey { width, height, pixels }
}

/// Which picture these first bytes begin.
pub(super) fn kind_of(head: &[u8]) -> Option<Kind> {
    match head {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Kind::Png),
        [0xff, 0xd8, 0xff, ..] => Some(Kind::Jpeg),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Kind::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Kind::Webp),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(Kind::Tiff),
        [b'B', b'M', ..] if bitmap::has_header(head) => Some(Kind::Bmp),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::work::tests::read_bytes;
    use super::*;

    #[test]
    fn a_large_picture_becomes_smaller() {
        let grey = Grey { width: 5, height: 4, pixels: (0..20).collect() };
        let small = smaller(grey, 2);
        assert_eq!((small.width, small.height, small.pixels), (2, 2, vec![3, 5, 13, 15]));
    }

    #[test]
    fn pictures_are_told_by_their_first_bytes() {
        assert_eq!(kind_of(b"\x89PNG\r\n\x1a\n"), Some(Kind::Png));
        assert_eq!(kind_of(b"RIFF1234WEBPVP8 "), Some(Kind::Webp));
        assert_eq!(kind_of(b"II*\0"), Some(Kind::Tiff));
        assert_eq!(kind_of(b"BM and more words that make no bitmap"), None);
        let cut = read_bytes("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
        assert_eq!(cut.outcome.unwrap_err().code, FailureCode::Damaged);
    }
}
