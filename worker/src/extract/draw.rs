//! One page as a picture for people: what is asked of a child, how the child draws it, and how the picture comes back.
//! A PDF's page is drawn in colour; a picture is shown as it is read, in grey and no larger than was asked for.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};

use docmill_core::failure::{Failure, FailureCode};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::frame::{invalid, read_header};
use super::source::Source;
use super::work::Tools;
use super::{ExtractOptions, Kind, pdf, picture, sniff};

/// Most bytes of a picture that crosses; a child that sends more is broken.
pub(super) const PNG_BYTES_MAX: usize = 8 << 20;

/// Most bytes of what is said before a picture, or in place of one.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// What every PNG begins with: its signature, and the length and name of its first part, which has its size.
const PNG_HEAD: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

/// Which page, and how large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    /// The page, from 1.
    pub page: u32,
    /// Longest side of the picture, in pixels.
    pub side_max: u32,
}

/// A page that was drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
    /// The picture as a file.
    pub png: Vec<u8>,
}

/// What a child answers.
pub(super) type Answer = Result<Drawn, Failure>;

/// An answer without the picture, which follows.
#[derive(Serialize, Deserialize)]
enum Head<'a> {
    Drawn { width: u32, height: u32 },
    Failed(Cow<'a, Failure>),
}

/// The pixels of a picture, row by row.
pub(super) struct Canvas {
    pub width: u32,
    pub height: u32,
    pub pixels: Pixels,
}

/// One byte a pixel, or three.
pub(super) enum Pixels {
    Grey(Vec<u8>),
    Rgb(Vec<u8>),
}

/// What is drawn, of which file, as which settings say.
pub(super) struct Task<'a> {
    pub wanted: Wanted,
    pub name: &'a str,
    pub options: &'a ExtractOptions,
}

/// Draws a page of the file. Runs only in a child.
pub(super) fn draw(task: &Task<'_>, file: File, tools: &mut Tools) -> Answer {
    // As with reading: a decoder's panic is its document's loss alone.
    let drawing = std::panic::AssertUnwindSafe(|| canvas_of(task, file, tools));
    let canvas = std::panic::catch_unwind(drawing).unwrap_or_else(|_| {
        Err(Failure::new(FailureCode::Damaged, "what draws it gave up over what is in it"))
    })?;
    let png = png_of(&canvas).map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))?;
    if png.len() > PNG_BYTES_MAX {
        let detail = format!("its picture has {} bytes, {PNG_BYTES_MAX} are allowed", png.len());
        return Err(Failure::new(FailureCode::LimitPixels, detail));
    }
    Ok(Drawn { width: canvas.width, height: canvas.height, png })
}

fn canvas_of(task: &Task<'_>, file: File, tools: &mut Tools) -> Result<Canvas, Failure> {
    let mut source = Source::File(file);
    let head = source.head();
    let head = head.map_err(|error| Failure::new(FailureCode::Unreadable, error.to_string()))?;
    match sniff(task.name, &head) {
        Kind::Pdf => pdf::draw::page(source, task.options, task.wanted, &mut tools.pdf),
        kind => picture::draw::page(kind, source, &task.options.limits, task.wanted),
    }
}

fn png_of(canvas: &Canvas) -> Result<Vec<u8>, ::png::EncodingError> {
    let (color, pixels) = match &canvas.pixels {
        Pixels::Grey(pixels) => (::png::ColorType::Grayscale, pixels),
        Pixels::Rgb(pixels) => (::png::ColorType::Rgb, pixels),
    };
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, canvas.width, canvas.height);
    encoder.set_color(color);
    encoder.set_depth(::png::BitDepth::Eight);
    // Somebody waits for it.
    encoder.set_compression(::png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

/// Writes an answer: the length of all that follows, that of the head, the head, the picture.
pub(super) fn write(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let (head, png) = match answer {
        Ok(drawn) => (Head::Drawn { width: drawn.width, height: drawn.height }, &drawn.png[..]),
        Err(failure) => (Head::Failed(Cow::Borrowed(failure)), &[][..]),
    };
    let head = serde_json::to_vec(&head)?;
    let length = u32::try_from(4 + head.len() + png.len()).map_err(invalid)?;
    let mut frame = Vec::with_capacity(8 + head.len() + png.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&(head.len() as u32).to_le_bytes());
    frame.extend_from_slice(&head);
    frame.extend_from_slice(png);
    out.write_all(&frame)?;
    out.flush()
}

/// Reads one answer; `None` at a clean end.
pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Answer>> {
    let Some(length) = read_header(from).await? else { return Ok(None) };
    let length = u32::from_le_bytes(length) as usize;
    if length > 4 + HEAD_BYTES_MAX + PNG_BYTES_MAX {
        return Err(invalid("picture too long"));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await?;
    answer_of(&body).map(Some)
}

fn answer_of(body: &[u8]) -> io::Result<Answer> {
    let short = || invalid("the answer ends within its head");
    let (length, rest) = body.split_first_chunk::<4>().ok_or_else(short)?;
    let (head, png) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(short)?;
    match serde_json::from_slice::<Head<'static>>(head).map_err(invalid)? {
        Head::Drawn { width, height } if size_of(png) == Some((width, height)) => {
            Ok(Ok(Drawn { width, height, png: png.to_vec() }))
        }
        Head::Drawn { .. } => Err(invalid("a picture of another size than it says")),
        Head::Failed(failure) if png.is_empty() => Ok(Err(failure.into_owned())),
        Head::Failed(_) => Err(invalid("a picture and a failure")),
    }
}

/// Width and height of a PNG, as its first bytes say them.
fn size_of(png: &[u8]) -> Option<(u32, u32)> {
    let (width, rest) = png.strip_prefix(PNG_HEAD)?.split_first_chunk::<4>()?;
    let (height, _) = rest.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(*height)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canvas() -> Canvas {
        Canvas { width: 2, height: 3, pixels: Pixels::Rgb((0..18).collect()) }
    }

    fn drawn() -> Drawn {
        Drawn { width: 2, height: 3, png: png_of(&canvas()).unwrap() }
    }

    async fn carried(answer: &Answer) -> io::Result<Option<Answer>> {
        let mut frame = Vec::new();
        write(&mut frame, answer).unwrap();
        read(&mut frame.as_slice()).await
    }

    #[tokio::test]
    async fn answers_arrive_as_they_were_sent() {
        for answer in [Ok(drawn()), Err(Failure::new(FailureCode::Encrypted, "it needs \"a\" password"))] {
            assert_eq!(carried(&answer).await.unwrap(), Some(answer));
        }
        assert_eq!(read(&mut &b""[..]).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_does_not_add_up_is_refused() {
        let other_size = Drawn { width: 3, ..drawn() };
        let no_picture = Drawn { png: b"<html><script>".to_vec(), ..drawn() };
        for wrong in [other_size, no_picture] {
            assert!(carried(&Ok(wrong)).await.is_err());
        }
        let mut long = ((4 + HEAD_BYTES_MAX + PNG_BYTES_MAX + 1) as u32).to_le_bytes().to_vec();
        long.extend([0; 16]);
        assert!(read(&mut long.as_slice()).await.is_err());
        for body in [&b"\0"[..], b"\x09\0\0\0short", b"\x02\0\0\0{}"] {
            assert!(answer_of(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn a_grey_bitmap_is_drawn_and_a_text_is_not() {
        use std::io::Seek;
        let ask = |bytes: &[u8], page| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            file.rewind().unwrap();
            let wanted = Wanted { page, side_max: 4 };
            let options = ExtractOptions::default();
            let task = Task { wanted, name: "a", options: &options };
            draw(&task, file, &mut Tools::default())
        };
        let pixels: Vec<u8> = (0..8u8).flat_map(|row| [row * 30; 8]).collect();
        let png = png_of(&Canvas { width: 8, height: 8, pixels: Pixels::Grey(pixels) }).unwrap();
        let found = ask(&png, 1).unwrap();
        assert_eq!((found.width, found.height, size_of(&found.png)), (4, 4, Some((4, 4))));
        assert_eq!(ask(&png, 2).unwrap_err().code, FailureCode::Unreadable);
        assert_eq!(ask(b"words alone", 1).unwrap_err().code, FailureCode::TypeUnsupported);
    }
}
