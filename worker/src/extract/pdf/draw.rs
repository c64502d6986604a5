//! A page of a PDF as people look at it: in colour, with what was filled in and noted on it. Reads no text.

use docmill_core::failure::{Failure, FailureCode};
use pdfium_render::prelude::*;

use super::shared::Shared;
use super::{PdfReader, open};
use crate::extract::ExtractOptions;
use crate::extract::draw::{self, Canvas, Wanted};
use crate::extract::ocr::paint;
use crate::extract::source::Source;

/// Highest resolution: of a page as small as a stamp no more is to be seen than is on it.
const DPI_MAX: f32 = 300.0;

/// Draws a page. A damaged document is repaired for it as it is for being read.
pub(in crate::extract) fn page(
    source: Source,
    options: &ExtractOptions,
    wanted: Wanted,
    reader: &mut PdfReader,
) -> Result<Canvas, Failure> {
    let pdfium = reader.loaded()?;
    let file = Shared::new(source);
    let mut opened = open::open(pdfium, &file, &options.passwords)?;
    if let Some(repaired) = open::in_place_of(&opened, pdfium, &file, &options.passwords) {
        opened = repaired;
    }
    let lost = |error: &PdfiumError| Failure::new(FailureCode::Unreadable, open::page_loss(error));
    let index = wanted.page.checked_sub(1).and_then(|index| PdfPageIndex::try_from(index).ok());
    let index = index.ok_or_else(|| lost(&PdfiumError::PageIndexOutOfBounds))?;
    let page = opened.document.pages().get(index).map_err(|error| lost(&error))?;
    drawn(&page, wanted.side_max)
}

fn drawn(page: &PdfPage<'_>, side_max: u32) -> Result<Canvas, Failure> {
    let damaged = |detail: String| Failure::new(FailureCode::Damaged, detail);
    let (wide, high) = (page.width().value, page.height().value);
    let (width, height) =
        size(wide, high, side_max).ok_or_else(|| damaged(format!("the page is {wide} x {high} points")))?;
    let mut points = Vec::new();
    paint(page, width, height, &mut points).map_err(|_| damaged("the page cannot be drawn".to_owned()))?;
    Ok(Canvas { width: width.unsigned_abs(), height: height.unsigned_abs(), pixels: pixels(&points) })
}

/// Width and height of the picture of a page of so many points of paper, in pixels.
fn size(wide: f32, high: f32, side_max: u32) -> Option<(Pixels, Pixels)> {
    // What is no number is not either.
    if !(wide >= 1.0 && high >= 1.0) {
        return None;
    }
    let side_max = Pixels::try_from(side_max).ok()?.max(1);
    let scale = (side_max as f32 / wide.max(high)).min(DPI_MAX / 72.0);
    let pixels = |points: f32| ((points * scale).round() as Pixels).clamp(1, side_max);
    Some((pixels(wide), pixels(high)))
}

/// Of blue, green, red and a byte that nobody reads; without colour where the page has none.
fn pixels(points: &[u8]) -> draw::Pixels {
    let colours = || points.chunks_exact(4);
    if colours().all(|bgr| bgr[0] == bgr[1] && bgr[1] == bgr[2]) {
        return draw::Pixels::Grey(colours().map(|bgr| bgr[0]).collect());
    }
    draw::Pixels::Rgb(colours().flat_map(|bgr| [bgr[2], bgr[1], bgr[0]]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_as_large_as_it_may_be_and_no_larger_than_its_page() {
        assert_eq!(size(595.0, 842.0, 1_200), Some((848, 1_200)));
        assert_eq!(size(842.0, 595.0, 1_200), Some((1_200, 848)));
        assert_eq!(size(72.0, 36.0, 1_200), Some((300, 150)), "300 dpi");
        assert_eq!(size(14_400.0, 1.0, 1_200), Some((1_200, 1)));
        for (wide, high) in [(0.0, 842.0), (f32::NAN, 842.0), (595.0, -1.0)] {
            assert_eq!(size(wide, high, 1_200), None);
        }
    }

    #[test]
    fn colour_is_kept_where_there_is_some() {
        let grey = pixels(&[9, 9, 9, 255, 0, 0, 0, 0]);
        assert!(matches!(grey, draw::Pixels::Grey(pixels) if pixels == [9, 0]));
        let colour = pixels(&[9, 9, 9, 255, 1, 2, 3, 0]);
        assert!(matches!(colour, draw::Pixels::Rgb(pixels) if pixels == [9, 9, 9, 3, 2, 1]));
    }
}
