//! Picture files to grey pixels. Colours become what an eye takes them for, what is transparent becomes white.

use std::io::{BufReader, Cursor};
use std::num::NonZeroU64;

use docmill_core::failure::{Failure, FailureCode};
use tiff::decoder::DecodingResult;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::bitmap;
use crate::extract::Kind;
use crate::extract::ocr::luma;
use crate::extract::source::Source;
use crate::extract::tesseract::Grey;

/// What a decoder may take for itself, in bytes: a colour picture of the most pixels.
const DECODER_BYTES_MAX: usize = 512 << 20;

/// Decodes a picture of one page.
pub(super) fn decode(kind: Kind, bytes: &[u8], pixels_max: u64) -> Result<Grey, Failure> {
    match kind {
        Kind::Png => png(bytes, pixels_max),
        Kind::Jpeg => jpeg(bytes, pixels_max),
        Kind::Gif => gif(bytes, pixels_max),
        Kind::Webp => webp(bytes, pixels_max),
        Kind::Bmp => bitmap::decode(bytes, pixels_max),
        _ => Err(Failure::new(FailureCode::TypeUnsupported, "it is no picture of one page")),
    }
}

fn damaged(error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureCode::Damaged, error.to_string())
}

/// The size, if a picture of it may be decoded.
pub(super) fn checked(width: u32, height: u32, pixels_max: u64) -> Result<(usize, usize), Failure> {
    if u64::from(width) * u64::from(height) > pixels_max {
        let detail = format!("{width} x {height} pixels, {pixels_max} are allowed");
        return Err(Failure::new(FailureCode::LimitPixels, detail));
    }
    if width == 0 || height == 0 {
        return Err(damaged("the picture has no pixels"));
    }
    Ok((width as usize, height as usize))
}

/// What the samples of a pixel mean.
#[derive(Clone, Copy)]
pub(super) enum Samples {
    Grey,
    GreyAlpha,
    Rgb,
    Rgba,
    Cmyk,
    /// So many, of which the first is as good as grey.
    First(usize),
}

impl Samples {
    fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::GreyAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba | Self::Cmyk => 4,
            Self::First(count) => count.max(1),
        }
    }
}

/// Grey pixels of samples of eight bits.
pub(super) fn grey(width: usize, height: usize, samples: Samples, bytes: &[u8]) -> Result<Grey, Failure> {
    let needed = width * height * samples.count();
    let Some(bytes) = bytes.get(..needed) else {
        return Err(damaged("the picture is smaller than it says"));
    };
    let over_white = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        ((value * alpha + 255 * (255 - alpha)) / 255) as u8
    };
    let ink = |ink: u8, black: u8| (u32::from(255 - ink) * u32::from(255 - black) / 255) as u8;
    let pixels = bytes.chunks_exact(samples.count()).map(|pixel| match (samples, pixel) {
        (Samples::GreyAlpha, &[value, alpha]) => over_white(value, alpha),
        (Samples::Rgb, &[r, g, b]) => luma(r, g, b),
        (Samples::Rgba, &[r, g, b, alpha]) => over_white(luma(r, g, b), alpha),
        (Samples::Cmyk, &[c, m, y, k]) => luma(ink(c, k), ink(m, k), ink(y, k)),
        (_, pixel) => pixel[0],
    });
    Ok(Grey { width, height, pixels: pixels.collect() })
}

fn png(bytes: &[u8], pixels_max: u64) -> Result<Grey, Failure> {
    let limits = ::png::Limits { bytes: DECODER_BYTES_MAX };
    let mut decoder = ::png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    // Packed texts and profiles beside the pixels may be bombs, and are of no use.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(::png::Transformations::normalize_to_color8());
    let (width, height) = {
        let header = decoder.read_header_info().map_err(damaged)?;
        checked(header.width, header.height, pixels_max)?
    };
    let mut reader = decoder.read_info().map_err(damaged)?;
    let size = reader.output_buffer_size().ok_or_else(|| damaged("the picture has no size"))?;
    let mut buffer = vec![0; size];
    let frame = reader.next_frame(&mut buffer).map_err(damaged)?;
    let samples = match frame.color_type {
        ::png::ColorType::GrayscaleAlpha => Samples::GreyAlpha,
        ::png::ColorType::Rgb => Samples::Rgb,
        ::png::ColorType::Rgba => Samples::Rgba,
        ::png::ColorType::Grayscale | ::png::ColorType::Indexed => Samples::Grey,
    };
    grey(width, height, samples, &buffer)
}

fn jpeg(bytes: &[u8], pixels_max: u64) -> Result<Grey, Failure> {
    // The format has two bytes for each side.
    let options = DecoderOptions::default().set_max_width(65_535).set_max_height(65_535);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| damaged(format!("{error:?}")))?;
    let info = decoder.info().ok_or_else(|| damaged("the picture has no size"))?;
    let (width, height) = checked(u32::from(info.width), u32::from(info.height), pixels_max)?;
    let is_grey = matches!(decoder.input_colorspace(), Some(ColorSpace::Luma | ColorSpace::YCbCr));
    let (wanted, samples) =
        if is_grey { (ColorSpace::Luma, Samples::Grey) } else { (ColorSpace::RGB, Samples::Rgb) };
    decoder.set_options(options.jpeg_set_out_colorspace(wanted));
    let pixels = decoder.decode().map_err(|error| damaged(format!("{error:?}")))?;
    grey(width, height, samples, &pixels)
}

fn gif(bytes: &[u8], pixels_max: u64) -> Result<Grey, Failure> {
    let mut options = ::gif::DecodeOptions::new();
    options.set_color_output(::gif::ColorOutput::RGBA);
    let memory = NonZeroU64::new(DECODER_BYTES_MAX as u64).unwrap_or(NonZeroU64::MIN);
    options.set_memory_limit(::gif::MemoryLimit::Bytes(memory));
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(damaged)?;
    {
        let frame = decoder.next_frame_info().map_err(damaged)?;
        let frame = frame.ok_or_else(|| damaged("the picture has no frame"))?;
        checked(u32::from(frame.width), u32::from(frame.height), pixels_max)?;
    }
    let (width, height) = {
        let frame = decoder.current_frame_info().ok_or_else(|| damaged("the picture has no frame"))?;
        (usize::from(frame.width), usize::from(frame.height))
    };
    let mut buffer = vec![0; decoder.buffer_size()];
    decoder.read_into_buffer(&mut buffer).map_err(damaged)?;
    grey(width, height, Samples::Rgba, &buffer)
}

fn webp(bytes: &[u8], pixels_max: u64) -> Result<Grey, Failure> {
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    decoder.set_memory_limit(DECODER_BYTES_MAX);
    let (width, height) = decoder.dimensions();
    let (width, height) = checked(width, height, pixels_max)?;
    let size = decoder.output_buffer_size().ok_or_else(|| damaged("the picture has no size"))?;
    let mut buffer = vec![0; size];
    decoder.read_image(&mut buffer).map_err(damaged)?;
    let samples = if decoder.has_alpha() { Samples::Rgba } else { Samples::Rgb };
    grey(width, height, samples, &buffer)
}

/// The pages of a TIFF, one after the other.
pub(super) struct TiffPages {
    decoder: tiff::decoder::Decoder<BufReader<Source>>,
    pixels_max: u64,
}

impl TiffPages {
    /// Opens the file at its first page.
    pub fn open(source: Source, pixels_max: u64) -> Result<Self, Failure> {
        let mut limits = tiff::decoder::Limits::default();
        limits.decoding_buffer_size = DECODER_BYTES_MAX;
        limits.intermediate_buffer_size = DECODER_BYTES_MAX;
        let decoder =
            tiff::decoder::Decoder::new(BufReader::new(source)).map_err(|error| failure(&error))?;
        Ok(Self { decoder: decoder.with_limits(limits), pixels_max })
    }

    /// Goes to the next page; `false` where there is none.
    pub fn next(&mut self) -> Result<bool, Failure> {
        if !self.decoder.more_images() {
            return Ok(false);
        }
        self.decoder.next_image().map(|()| true).map_err(|error| failure(&error))
    }

    /// Decodes the page.
    pub fn page(&mut self) -> Result<Grey, Failure> {
        use tiff::ColorType;
        let (width, height) = self.decoder.dimensions().map_err(|error| failure(&error))?;
        let (width, height) = checked(width, height, self.pixels_max)?;
        let color = self.decoder.colortype().map_err(|error| failure(&error))?;
        let bytes = match self.decoder.read_image().map_err(|error| failure(&error))? {
            DecodingResult::U8(bytes) => bytes,
            DecodingResult::U16(words) => words.into_iter().map(|word| (word >> 8) as u8).collect(),
            _ => {
                return Err(Failure::new(
                    FailureCode::TypeUnsupported,
                    "its pixels are numbers of other kinds",
                ));
            }
        };
        let samples = match color {
            ColorType::Gray(depth @ (1 | 2 | 4)) => {
                return grey(width, height, Samples::Grey, &unpacked(&bytes, width, usize::from(depth)));
            }
            ColorType::Gray(_) => Samples::Grey,
            ColorType::GrayA(_) => Samples::GreyAlpha,
            ColorType::RGB(_) => Samples::Rgb,
            ColorType::RGBA(_) => Samples::Rgba,
            ColorType::CMYK(_) => Samples::Cmyk,
            other => Samples::First(usize::from(other.num_samples())),
        };
        // Where each colour is a picture of its own, one has been read.
        let is_plane = bytes.len() < width * height * samples.count();
        grey(width, height, if is_plane { Samples::Grey } else { samples }, &bytes)
    }
}

fn failure(error: &tiff::TiffError) -> Failure {
    let code = match error {
        tiff::TiffError::UnsupportedError(_) => FailureCode::TypeUnsupported,
        tiff::TiffError::LimitsExceeded => FailureCode::LimitPixels,
        _ => FailureCode::Damaged,
    };
    Failure::new(code, error.to_string())
}

/// Samples of fewer bits than eight, packed into rows of whole bytes, as samples of eight.
pub(super) fn unpacked(bytes: &[u8], width: usize, depth: usize) -> Vec<u8> {
    let highest = (1u16 << depth) - 1;
    let row_bytes = (width * depth).div_ceil(8).max(1);
    let mut samples = Vec::with_capacity(bytes.len() / row_bytes * width);
    for row in bytes.chunks_exact(row_bytes) {
        for place in 0..width {
            let bit = place * depth;
            let shift = 8 - depth - bit % 8;
            let value = (u16::from(row[bit / 8]) >> shift) & highest;
            samples.push((value * 255 / highest) as u8);
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use tiff::encoder::{TiffEncoder, colortype};

    use super::*;

    const MANY: u64 = 1_000_000;

    /// A row of black, white, black and white.
    const ROW: [u8; 4] = [0, 255, 0, 255];

    fn in_png(color: ::png::ColorType, pixels: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = ::png::Encoder::new(&mut bytes, 4, 1);
        encoder.set_color(color);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(pixels).unwrap();
        writer.finish().unwrap();
        bytes
    }

    /// Two blocks, black and white, of a grey picture: constants alone, by codes that are made for them.
    fn in_jpeg() -> Vec<u8> {
        let mut bytes = vec![0xff, 0xd8];
        let mut segment = |kind: u8, content: &[&[u8]]| {
            let content = content.concat();
            bytes.extend([0xff, kind, 0, content.len() as u8 + 2]);
            bytes.extend(content);
        };
        segment(0xdb, &[&[0], &[8; 64]]);
        segment(0xc0, &[&[8, 0, 8, 0, 16, 1, 1, 0x11, 0]]);
        segment(0xc4, &[&[0x00, 1, 1, 1], &[0; 13], &[0, 7, 8]]);
        segment(0xc4, &[&[0x10, 1], &[0; 15], &[0]]);
        segment(0xda, &[&[1, 1, 0x00, 0, 63, 0]]);
        bytes.extend([0xcf, 0xed, 0xfe, 0xff, 0xd9]);
        bytes
    }

    #[test]
    fn colours_become_grey_and_what_is_transparent_white() {
        let pixels = |samples, bytes: &[u8]| grey(1, 1, samples, bytes).ok().unwrap().pixels[0];
        assert_eq!(pixels(Samples::Rgb, &[255, 255, 255]), 255);
        assert_eq!(pixels(Samples::Rgba, &[0, 0, 0, 0]), 255);
        assert_eq!(pixels(Samples::GreyAlpha, &[7, 255]), 7);
        assert_eq!(pixels(Samples::Cmyk, &[0, 0, 0, 255]), 0);
        assert_eq!(pixels(Samples::First(2), &[9, 1]), 9);
        assert!(grey(2, 1, Samples::Grey, &[1]).is_err());
    }

    #[test]
    fn every_format_is_decoded() {
        let check = |kind: Kind, bytes: &[u8]| {
            let found = decode(kind, bytes, MANY).unwrap_or_else(|failure| panic!("{kind:?}: {failure}"));
            assert_eq!((found.width, found.height, found.pixels.as_slice()), (4, 1, &ROW[..]), "{kind:?}");
        };
        check(Kind::Png, &in_png(::png::ColorType::Grayscale, &ROW));
        check(Kind::Png, &in_png(::png::ColorType::Rgb, &ROW.map(|value| [value; 3]).concat()));
        let mut bytes = Vec::new();
        let mut encoder = ::gif::Encoder::new(&mut bytes, 4, 1, &[0, 0, 0, 255, 255, 255]).unwrap();
        encoder.write_frame(&::gif::Frame::from_indexed_pixels(4, 1, vec![0, 1, 0, 1], None)).unwrap();
        drop(encoder);
        check(Kind::Gif, &bytes);
        let mut bytes = Vec::new();
        image_webp::WebPEncoder::new(&mut bytes).encode(&ROW, 4, 1, image_webp::ColorType::L8).unwrap();
        check(Kind::Webp, &bytes);
        let jpeg = decode(Kind::Jpeg, &in_jpeg(), MANY).ok().unwrap();
        assert_eq!((jpeg.width, jpeg.height, jpeg.pixels[0], jpeg.pixels[15]), (16, 8, 0, 255));
    }

    #[test]
    fn a_tiff_has_pages() {
        let mut bytes = Cursor::new(Vec::new());
        {
            let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
            encoder.write_image::<colortype::Gray8>(4, 1, &ROW).unwrap();
            encoder.write_image::<colortype::RGB8>(1, 1, &[255, 255, 255]).unwrap();
        }
        let mut pages = TiffPages::open(Source::memory(bytes.into_inner()), MANY).ok().unwrap();
        assert_eq!(pages.page().ok().unwrap().pixels, ROW);
        assert!(pages.next().unwrap());
        assert_eq!(pages.page().ok().unwrap().pixels, [255]);
        assert!(!pages.next().unwrap());
    }

    #[test]
    fn few_bits_are_spread() {
        assert_eq!(unpacked(&[0b1010_0000], 3, 1), [255, 0, 255]);
        assert_eq!(unpacked(&[0x0f, 0xf0], 2, 4), [0, 255, 255, 0]);
    }

    #[test]
    fn a_header_that_promises_too_much_is_refused_before_it_is_decoded() {
        let mut large = in_png(::png::ColorType::Grayscale, &ROW);
        // Its width, in the header that comes first, and that header's checksum.
        large[16..20].copy_from_slice(&100_000u32.to_be_bytes());
        large[20..24].copy_from_slice(&100_000u32.to_be_bytes());
        let mut sum = flate2::Crc::new();
        sum.update(&large[12..29]);
        large[29..33].copy_from_slice(&sum.sum().to_be_bytes());
        assert_eq!(decode(Kind::Png, &large, MANY).err().unwrap().code, FailureCode::LimitPixels);
    }
}
