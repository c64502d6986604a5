//! 56 to 59: pictures whose headers promise too much, whose pages have no end, and what is packed beside the pixels.

use docmill_core::failure::FailureCode::{Damaged, LimitPages, LimitPixels, NoText};
use flate2::Crc;

use super::objects::{packed, packed_run};
use super::{Made, World, made};

/// More pages than a document may have.
const PAGES: u32 = 10_000;
/// Unpacked, what is beside the pixels, in MiB.
const BESIDE_MIB: usize = 400;

pub fn files(_: &World) -> Vec<Made> {
    let bomb = packed_run(b'x', BESIDE_MIB, &[]);
    let beside = |kind: &[u8; 4]| png(8, 8, &[(kind, [b"name\0\0".as_slice(), &bomb].concat())]);
    let small = jpeg();
    vec![
        made(56, "large.png", png(100_000, 100_000, &[])).fails(LimitPixels, "100000000 are allowed"),
        made(56, "ztxt.png", beside(b"zTXt")).fails(NoText, ""),
        made(56, "iccp.png", beside(b"iCCP")).fails(NoText, ""),
        made(57, "own-next.tiff", tiff(&[8])).fails(Damaged, ""),
        made(57, "circle.tiff", tiff(&[8 + IFD_BYTES, 8])).fails(Damaged, ""),
        made(57, "many-pages.tiff", many_pages()).fails(LimitPages, "3000 are allowed"),
        made(58, "large.gif", gif(65_535, 1)).fails(LimitPixels, "100000000 are allowed"),
        made(58, "frames.gif", gif(1, 200_000)).fails(NoText, ""),
        made(58, "animated.webp", webp(16_384)).fails(LimitPixels, "100000000 are allowed"),
        made(58, "cut.webp", webp(16)).fails(Damaged, ""),
        made(59, "cut.jpg", &small[..40]).fails(Damaged, ""),
        made(59, "exif.jpg", exif(&small)).fails(NoText, ""),
    ]
}

/// A grey picture of this size, whose pixels are those of one of 8 x 8, with chunks before them.
fn png(width: u32, height: u32, beside: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], bytes: &[u8]| {
        let mut crc = Crc::new();
        crc.update(kind);
        crc.update(bytes);
        file.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
        file.extend_from_slice(kind);
        file.extend_from_slice(bytes);
        file.extend(crc.sum().to_be_bytes());
    };
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    chunk(b"IHDR", &[size.as_slice(), &[8, 0, 0, 0, 0]].concat());
    for (kind, bytes) in beside {
        chunk(kind, bytes);
    }
    chunk(b"IDAT", &packed(&[0; 8 * 9]));
    chunk(b"IEND", &[]);
    file
}

/// Bytes of one directory of a page.
const IFD_BYTES: u32 = 2 + 9 * 12 + 4;

/// A page of one pixel, and where the next one is.
fn ifd(next: u32) -> Vec<u8> {
    // Width, height, bits, not packed, black is zero, place, samples, rows, bytes.
    const TAGS: [(u16, u32); 9] =
        [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 0), (277, 1), (278, 1), (279, 1)];
    let mut ifd = 9u16.to_le_bytes().to_vec();
    for (tag, value) in TAGS {
        ifd.extend(tag.to_le_bytes());
        // Numbers of four bytes, and of two.
        let kind = if matches!(tag, 258 | 259 | 262 | 277) { 3u16 } else { 4 };
        ifd.extend(kind.to_le_bytes());
        ifd.extend(1u32.to_le_bytes());
        ifd.extend(value.to_le_bytes());
    }
    ifd.extend(next.to_le_bytes());
    ifd
}

/// Pages one after the other, each with the place of the next. Their pixel is the first byte of the file.
fn tiff(next: &[u32]) -> Vec<u8> {
    let mut file = b"II*\0\x08\0\0\0".to_vec();
    next.iter().for_each(|next| file.extend(ifd(*next)));
    file
}

fn many_pages() -> Vec<u8> {
    let next: Vec<u32> = (1..PAGES).map(|page| 8 + page * IFD_BYTES).chain([0]).collect();
    tiff(&next)
}

/// Frames of this size, each of one packed pixel.
fn gif(side: u16, frames: usize) -> Vec<u8> {
    let side = side.to_le_bytes();
    let mut file = b"GIF89a".to_vec();
    file.extend([side, side].concat());
    file.extend([0x80, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff]);
    for _ in 0..frames {
        file.extend([0x2c, 0, 0, 0, 0]);
        file.extend([side, side].concat());
        file.extend([0, 2, 2, 0x44, 0x01, 0]);
    }
    file.push(0x3b);
    file
}

/// An animation of this size, whose frames hold nothing.
fn webp(side: u32) -> Vec<u8> {
    let three = |number: u32| number.to_le_bytes()[..3].to_vec();
    let chunk = |kind: &[u8; 4], bytes: &[u8]| {
        let size = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        [kind.as_slice(), &size, bytes].concat()
    };
    let canvas = [vec![2, 0, 0, 0], three(side - 1), three(side - 1)].concat();
    let lossless = chunk(b"VP8L", &[0x2f, 0, 0, 0, 0, 0, 0, 0]);
    let frame =
        [three(0), three(0), three(side - 1), three(side - 1), three(100), vec![0], lossless].concat();
    let frames = chunk(b"ANMF", &frame).repeat(1_000);
    let body = [b"WEBP".to_vec(), chunk(b"VP8X", &canvas), chunk(b"ANIM", &[0; 6]), frames].concat();
    chunk(b"RIFF", &body)
}

/// Two blocks, black and white, of a grey picture of 16 x 8: constants alone, by codes that are made for them.
fn jpeg() -> Vec<u8> {
    let mut file = vec![0xff, 0xd8];
    let mut segment = |kind: u8, content: &[&[u8]]| {
        let content = content.concat();
        file.extend([0xff, kind]);
        file.extend((u16::try_from(content.len()).unwrap() + 2).to_be_bytes());
        file.extend(content);
    };
    segment(0xdb, &[&[0], &[8; 64]]);
    segment(0xc0, &[&[8, 0, 8, 0, 16, 1, 1, 0x11, 0]]);
    segment(0xc4, &[&[0x00, 1, 1, 1], &[0; 13], &[0, 7, 8]]);
    segment(0xc4, &[&[0x10, 1], &[0; 15], &[0]]);
    segment(0xda, &[&[1, 1, 0x00, 0, 63, 0]]);
    file.extend([0xcf, 0xed, 0xfe, 0xff, 0xd9]);
    file
}

/// The picture behind megabytes of what a camera would say.
fn exif(picture: &[u8]) -> Vec<u8> {
    let mut block = b"Exif\0\0II*\0\x08\0\0\0\xff\xff".to_vec();
    block.resize(65_000, 0xff);
    let mut file = picture[..2].to_vec();
    for _ in 0..500 {
        file.extend([0xff, 0xe1]);
        file.extend((u16::try_from(block.len()).unwrap() + 2).to_be_bytes());
        file.extend_from_slice(&block);
    }
    file.extend_from_slice(&picture[2..]);
    file
}
