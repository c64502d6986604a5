//! Windows bitmaps: pixels as they are, or of a palette. Packed ones are not read.

use docmill_core::failure::{Failure, FailureCode};

use super::decode::{Samples, checked, grey, unpacked};
use crate::extract::ocr::luma;
use crate::extract::tesseract::Grey;

/// Where the file's own header ends and that of the pixels begins.
const HEADER: usize = 14;

/// Sizes that the header of the pixels has had over time.
const HEADER_SIZES: &[u32] = &[12, 40, 52, 56, 64, 108, 124];

fn damaged(detail: &str) -> Failure {
    Failure::new(FailureCode::Damaged, detail)
}

fn number(bytes: &[u8], at: usize, count: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + count)?;
    Some(bytes.iter().rev().fold(0, |number, &byte| (number << 8) | u32::from(byte)))
}

/// Whether what begins with `BM` is a bitmap.
pub(super) fn has_header(head: &[u8]) -> bool {
    number(head, HEADER, 4).is_some_and(|size| HEADER_SIZES.contains(&size))
}

/// What the header says.
struct Header {
    width: u32,
    height: u32,
    from_top: bool,
    depth: usize,
    /// Where the palette begins, and bytes of each of its colours.
    palette: (usize, usize),
    pixels: usize,
}

fn header(bytes: &[u8]) -> Option<Result<Header, Failure>> {
    let pixels = number(bytes, 10, 4)? as usize;
    let size = number(bytes, HEADER, 4)? as usize;
    if size == 12 {
        let (width, height) = (number(bytes, 18, 2)?, number(bytes, 20, 2)?);
        let depth = number(bytes, 24, 2)? as usize;
        return Some(Ok(Header {
            width,
            height,
            from_top: false,
            depth,
            palette: (HEADER + size, 3),
            pixels,
        }));
    }
    let (width, height) = (number(bytes, 18, 4)?, number(bytes, 22, 4)? as i32);
    let depth = number(bytes, 28, 2)? as usize;
    // 0: as they are; 3 and 6: as they are, with masks, which are taken for the usual ones.
    if !matches!(number(bytes, 30, 4)?, 0 | 3 | 6) {
        return Some(Err(Failure::new(FailureCode::TypeUnsupported, "the bitmap is packed")));
    }
    let (height, from_top) = (height.unsigned_abs(), height < 0);
    Some(Ok(Header { width, height, from_top, depth, palette: (HEADER + size, 4), pixels }))
}

/// Decodes a bitmap.
pub(super) fn decode(bytes: &[u8], pixels_max: u64) -> Result<Grey, Failure> {
    let header = header(bytes).ok_or_else(|| damaged("the bitmap ends within its header"))??;
    let (width, height) = checked(header.width, header.height, pixels_max)?;
    let row_bytes = (width * header.depth).div_ceil(32) * 4;
    let pixels = bytes.get(header.pixels..).filter(|pixels| pixels.len() >= row_bytes * height);
    let pixels = pixels.ok_or_else(|| damaged("the bitmap is smaller than it says"))?;
    let mut out = Vec::with_capacity(width * height);
    let palette = palette(bytes, &header);
    for place in 0..height {
        let place = if header.from_top { place } else { height - 1 - place };
        let row = &pixels[place * row_bytes..(place + 1) * row_bytes];
        match header.depth {
            depth @ (1 | 4 | 8) => {
                let used = &row[..(width * depth).div_ceil(8)];
                let highest = (1usize << depth) - 1;
                let indices = unpacked(used, width, depth);
                // Unpacked as shades: back to the numbers that they were.
                out.extend(indices.iter().map(|&shade| {
                    let index = (usize::from(shade) * highest + 127) / 255;
                    palette.get(index).copied().unwrap_or(shade)
                }));
            }
            16 => out.extend(row[..width * 2].chunks_exact(2).map(|pair| {
                let pixel = u16::from_le_bytes([pair[0], pair[1]]);
                let five = |bits: u16| ((bits & 31) * 255 / 31) as u8;
                luma(five(pixel >> 10), five(pixel >> 5), five(pixel))
            })),
            24 | 32 => {
                let samples = header.depth / 8;
                out.extend(
                    row[..width * samples].chunks_exact(samples).map(|bgr| luma(bgr[2], bgr[1], bgr[0])),
                );
            }
            _ => return Err(damaged("the bitmap has pixels of no usual size")),
        }
    }
    grey(width, height, Samples::Grey, &out)
}

/// The shades of the palette's colours.
fn palette(bytes: &[u8], header: &Header) -> Vec<u8> {
    let (start, each) = header.palette;
    let colours = bytes.get(start..header.pixels.min(bytes.len())).unwrap_or_default();
    colours.chunks_exact(each).take(256).map(|bgr| luma(bgr[2], bgr[1], bgr[0])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bitmap(width: i32, height: i32, depth: u16, palette: &[u8], pixels: &[u8]) -> Vec<u8> {
        let start = (HEADER + 40 + palette.len()) as u32;
        let mut bytes = b"BM\0\0\0\0\0\0\0\0".to_vec();
        bytes.extend(start.to_le_bytes());
        bytes.extend(40u32.to_le_bytes());
        bytes.extend(width.to_le_bytes());
        bytes.extend(height.to_le_bytes());
        bytes.extend(1u16.to_le_bytes());
        bytes.extend(depth.to_le_bytes());
        bytes.extend([0; 24]);
        bytes.extend(palette);
        bytes.extend(pixels);
        bytes
    }

    #[test]
    fn rows_stand_upside_down_and_palettes_are_looked_up() {
        let black_and_white = [255, 255, 255, 0, 0, 0, 0, 0];
        let of_bits = bitmap(3, 2, 1, &black_and_white, &[0b0100_0000, 0, 0, 0, 0b1010_0000, 0, 0, 0]);
        assert!(has_header(&of_bits));
        assert_eq!(decode(&of_bits, 99).ok().unwrap().pixels, [0, 255, 0, 255, 0, 255]);
        let of_colours = bitmap(1, -2, 24, &[], &[255, 255, 255, 0, 0, 0, 0, 0]);
        assert_eq!(decode(&of_colours, 99).ok().unwrap().pixels, [255, 0]);
        assert_eq!(decode(&of_colours, 1).err().unwrap().code, FailureCode::LimitPixels);
        assert_eq!(decode(&of_colours[..56], 99).err().unwrap().code, FailureCode::Damaged);
    }
}
