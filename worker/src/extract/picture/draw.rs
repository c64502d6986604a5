//! A picture, or a page of one, as people look at it beside its text: what the recogniser reads, made smaller.

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::limits::Limits;

use super::decode::{self, TiffPages};
use crate::extract::Kind;
use crate::extract::draw::{Canvas, Pixels, Wanted};
use crate::extract::ocr::{Part, smaller};
use crate::extract::source::Source;
use crate::extract::tesseract::Grey;

/// Draws a page of a picture of this kind; of an animation that is the first frame, whose text was read.
pub(in crate::extract) fn page(
    kind: Kind,
    source: Source,
    limits: &Limits,
    wanted: Wanted,
) -> Result<Canvas, Failure> {
    let missing = || Failure::new(FailureCode::Unreadable, "the picture ends before this page");
    let grey = match kind {
        Kind::Tiff => {
            let mut pages = TiffPages::open(source, limits.pixels_max)?;
            for _ in 1..wanted.page.min(limits.pdf_pages) {
                if !pages.next()? {
                    return Err(missing());
                }
            }
            pages.page()?
        }
        Kind::Png | Kind::Jpeg | Kind::Gif | Kind::Webp | Kind::Bmp => {
            if wanted.page != 1 {
                return Err(missing());
            }
            decode::decode(kind, &source.into_bytes(limits.file_mib << 20)?, limits.pixels_max)?
        }
        _ => {
            let detail = "only pages of a PDF and of pictures are drawn";
            return Err(Failure::new(FailureCode::TypeUnsupported, detail));
        }
    };
    Ok(canvas(grey, wanted.side_max))
}

fn canvas(grey: Grey, side_max: u32) -> Canvas {
    let (wide, high) = size((grey.width, grey.height), side_max.max(1) as usize);
    let grey = if (wide, high) == (grey.width, grey.height) {
        grey
    } else {
        let part = Part { left: 0.0, right: grey.width as f64, top: 0.0, bottom: grey.height as f64 };
        smaller(&grey.pixels, (grey.width, grey.height), &part, (wide, high))
    };
    Canvas { width: grey.width as u32, height: grey.height as u32, pixels: Pixels::Grey(grey.pixels) }
}

/// Width and height of the picture that is shown of one of this size: never larger than that.
fn size((width, height): (usize, usize), side_max: usize) -> (usize, usize) {
    let longest = width.max(height);
    if longest <= side_max {
        return (width, height);
    }
    let side = |side: usize| (side * side_max).div_ceil(longest).clamp(1, side_max);
    (side(width), side(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_made_smaller_and_never_larger() {
        assert_eq!(size((2_480, 3_508), 1_200), (849, 1_200));
        assert_eq!(size((640, 480), 1_200), (640, 480));
        assert_eq!(size((100_000, 3), 1_200), (1_200, 1));
        let grey = Grey { width: 4, height: 2, pixels: vec![0, 0, 200, 200, 0, 0, 200, 200] };
        let found = canvas(grey, 2);
        assert_eq!((found.width, found.height), (2, 1));
        assert!(matches!(found.pixels, Pixels::Grey(pixels) if pixels == [0, 200]));
    }
}
