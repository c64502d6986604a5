//! A page as a grey picture, and pictures turned upright. Reads nothing.

use pdfium_render::prelude::*;

use super::{Picture, pale};
use crate::extract::tesseract::Grey;

/// Most pixels of a picture: an A4 page at 550 dpi. Larger pages are rendered at a lower resolution.
pub(in crate::extract) const PIXELS_MAX: f32 = 40_000_000.0;

/// Longest side of a picture: the recogniser counts them in 16 bits.
const SIDE_MAX: Pixels = 30_000;

/// Largest canvas that is kept for the next page: an A3 page at 200 dpi has 31 MB.
const CANVAS_KEPT: usize = 32 << 20;

/// What pages are drawn on, kept from page to page.
#[derive(Default)]
pub(super) struct Canvas(Vec<u8>);

/// How large a picture of a page is, in points of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Size {
    pub width: Pixels,
    pub height: Pixels,
    pub dpi: u32,
}

impl Size {
    /// Of this page at a resolution, or at the highest that it may have.
    pub fn of(page: &PdfPage<'_>, dpi: u32) -> Result<Self, String> {
        let (width, height) = (page.width().value, page.height().value);
        if !(width >= 1.0 && height >= 1.0) {
            return Err(format!("the page is {width} x {height} points"));
        }
        let asked = dpi.clamp(36, 1_200) as f32;
        let dpi = asked.min((PIXELS_MAX / (width * height)).sqrt() * 72.0);
        let pixels = |points: f32| ((points * dpi / 72.0).round() as Pixels).clamp(1, SIDE_MAX);
        Ok(Self { width: pixels(width), height: pixels(height), dpi: dpi.round().max(1.0) as u32 })
    }
}

impl Canvas {
    /// Draws a page.
    pub fn draw(&mut self, page: &PdfPage<'_>, size: &Size) -> Result<Picture, String> {
        let (width, height) = (size.width, size.height);
        // Colour, and then our own grey: pdfium traps on some pages when it is asked for grey, and on scans of text
        // grey takes it half as long again.
        paint(page, width, height, &mut self.0)
            .map_err(|error| format!("it cannot be rendered: {error:?}"))?;
        let pixels = self.0.chunks_exact(4).map(|bgr| luma(bgr[2], bgr[1], bgr[0])).collect();
        if self.0.capacity() > CANVAS_KEPT {
            self.0 = Vec::new();
        }
        let grey = Grey { width: width as usize, height: height as usize, pixels };
        Ok(Picture { grey, dpi: size.dpi })
    }
}

/// Draws a page of so many pixels in place of what was there: blue, green, red, and a fourth byte that nobody reads, as
/// three take a quarter longer.
pub(in crate::extract) fn paint(
    page: &PdfPage<'_>,
    width: Pixels,
    height: Pixels,
    points: &mut Vec<u8>,
) -> Result<(), PdfiumError> {
    // White paper, so that pdfium need not clear it.
    points.clear();
    points.resize(PdfBitmap::bytes_required_for_size(width, height), 0xff);
    // Form data stays on: without it the page is drawn at 72 dpi into a corner of the picture.
    let config = PdfRenderConfig::new()
        .set_fixed_size(width, height)
        .set_reverse_byte_order(false)
        .clear_before_rendering(false);
    PdfBitmap::from_bytes(width, height, PdfBitmapFormat::BGRx, points)
        .and_then(|mut bitmap| page.render_into_bitmap_with_config(&mut bitmap, &config))
}

/// ITU-R 601 in whole numbers.
pub(in crate::extract) fn luma(r: u8, g: u8, b: u8) -> u8 {
    ((u32::from(r) * 77 + u32::from(g) * 150 + u32::from(b) * 29) >> 8) as u8
}

/// A picture that may be read from four sides; the last one is kept. Its pale print is dark.
pub(super) struct Turnable<'a> {
    picture: &'a Grey,
    /// Found out when it is first read.
    darker: Option<Option<Grey>>,
    turned: Option<(i32, Grey)>,
}

impl<'a> Turnable<'a> {
    pub fn new(picture: &'a Grey) -> Self {
        Self { picture, darker: None, turned: None }
    }

    /// The picture made upright, if it stands `degrees` clockwise.
    pub fn upright(&mut self, degrees: i32) -> &Grey {
        let darker = self.darker.get_or_insert_with(|| pale::darkened(self.picture));
        let picture = darker.as_ref().unwrap_or(self.picture);
        if degrees == 0 {
            return picture;
        }
        if self.turned.as_ref().is_none_or(|(turned, _)| *turned != degrees) {
            self.turned = Some((degrees, turned(picture, degrees)));
        }
        self.turned.as_ref().map_or(picture, |(_, grey)| grey)
    }
}

/// Turns a picture that stands `degrees` clockwise upright again; other angles than quarters are left as they are.
fn turned(image: &Grey, degrees: i32) -> Grey {
    let (w, h, pixels) = (image.width, image.height, &image.pixels);
    match degrees {
        180 => Grey { width: w, height: h, pixels: pixels.iter().rev().copied().collect() },
        90 => quarter(w, h, |x, y| pixels[(h - 1 - x) * w + y]),
        270 => quarter(w, h, |x, y| pixels[x * w + (w - 1 - y)]),
        _ => Grey { width: w, height: h, pixels: pixels.clone() },
    }
}

/// A picture of `h` columns and `w` rows. Filled in squares: a column of the one is a row of the other, and whole rows
/// of a page do not fit what a processor keeps at hand.
fn quarter(w: usize, h: usize, pixel: impl Fn(usize, usize) -> u8) -> Grey {
    const SQUARE: usize = 64;
    let mut pixels = vec![0; w * h];
    for top in (0..w).step_by(SQUARE) {
        for left in (0..h).step_by(SQUARE) {
            for y in top..(top + SQUARE).min(w) {
                for x in left..(left + SQUARE).min(h) {
                    pixels[y * h + x] = pixel(x, y);
                }
            }
        }
    }
    Grey { width: h, height: w, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_turned_upright() {
        // 1 2 3 turned clockwise by 90 degrees: 4 1 / 5 2 / 6 3.
        // 4 5 6
        let image = Grey { width: 3, height: 2, pixels: vec![1, 2, 3, 4, 5, 6] };
        let mut turnable = Turnable::new(&image);
        assert_eq!(turnable.upright(90).pixels, [4, 1, 5, 2, 6, 3]);
        assert_eq!((turnable.upright(90).width, turnable.upright(90).height), (2, 3));
        assert_eq!(turnable.upright(270).pixels, [3, 6, 2, 5, 1, 4]);
        assert_eq!(turnable.upright(180).pixels, [6, 5, 4, 3, 2, 1]);
        assert_eq!(turnable.upright(0).pixels, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn two_opposite_quarters_of_a_large_picture_are_the_picture() {
        let (width, height) = (130, 67);
        let pixels = (0..width * height).map(|i| (i * 31 % 251) as u8).collect();
        let image = Grey { width, height, pixels };
        let back = turned(&turned(&image, 90), 270);
        assert_eq!((back.width, back.height), (width, height));
        assert!(back.pixels == image.pixels);
    }

    #[test]
    fn grey_keeps_black_and_white() {
        assert_eq!((luma(0, 0, 0), luma(255, 255, 255)), (0, 255));
        assert!(luma(0, 255, 0) > luma(255, 0, 0) && luma(255, 0, 0) > luma(0, 0, 255));
    }
}
