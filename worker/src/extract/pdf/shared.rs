//! The bytes of a document, which pdfium reads and so do others, and where in them the streams lie that were read.
//!
//! pdfium gives the bytes of a picture and not what stands before them: its dictionary. But it asked for these bytes in one
//! piece, and so it is known where they are.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

use super::syntax::is_space;
use crate::extract::source::Source;

/// Shorter streams are not remembered: they are no pictures of pages.
const STREAM_BYTES_MIN: usize = 4 << 10;

/// Most streams that are remembered: a page is recognised soon after it was read.
const STREAMS_MAX: usize = 64;

/// Longest dictionary that is looked for, in bytes, with what stands around it.
const DICTIONARY_BYTES_MAX: u64 = 2 << 10;

/// So much is compared at once.
const PIECE_BYTES: usize = 64 << 10;

/// The bytes of a document. pdfium keeps what it reads from, and a second trial reads the same.
#[derive(Clone)]
pub(super) struct Shared(Rc<RefCell<Remembering>>);

impl Shared {
    pub fn new(source: Source) -> Self {
        Self(Rc::new(RefCell::new(Remembering { source, streams: VecDeque::new() })))
    }

    /// All of them, unless there are more than these.
    pub fn whole(&self, bytes_max: u64) -> Option<Vec<u8>> {
        let mut file = self.0.try_borrow_mut().ok()?;
        let source = &mut file.source;
        let bytes = source.seek(SeekFrom::End(0)).ok().filter(|bytes| *bytes <= bytes_max)?;
        source.seek(SeekFrom::Start(0)).ok()?;
        let mut whole = Vec::with_capacity(bytes as usize);
        source.by_ref().take(bytes_max).read_to_end(&mut whole).ok()?;
        Some(whole)
    }

    /// The dictionary of a stream that was read not long ago, told by all its bytes as they stand in the file. None where it
    /// is not found beyond doubt, as in an encrypted file.
    pub fn dictionary_of(&self, stream: &[u8]) -> Option<Vec<u8>> {
        let mut file = self.0.try_borrow_mut().ok()?;
        let start = file.start_of(stream)?;
        let from = start.saturating_sub(DICTIONARY_BYTES_MAX);
        let mut before = vec![0; (start - from) as usize];
        file.read_at(from, &mut before).ok()?;
        dictionary(&before, from == 0).map(<[u8]>::to_vec)
    }
}

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_borrow_mut().map_err(io::Error::other)?.read(buffer)
    }
}

impl Seek for Shared {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.try_borrow_mut().map_err(io::Error::other)?.source.seek(to)
    }
}

/// A source, and where and how long what was read of it in one piece is.
struct Remembering {
    source: Source,
    streams: VecDeque<(u64, usize)>,
}

impl Remembering {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        if count >= STREAM_BYTES_MIN {
            let end = self.source.stream_position()?;
            if self.streams.len() == STREAMS_MAX {
                self.streams.pop_front();
            }
            self.streams.push_back((end - count as u64, count));
        }
        Ok(count)
    }

    /// Leaves the position anywhere: pdfium says each time from where it reads.
    fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.source.seek(SeekFrom::Start(at))?;
        self.source.read_exact(buffer)
    }

    fn start_of(&mut self, stream: &[u8]) -> Option<u64> {
        let same_length = self.streams.iter().rev().filter(|(_, length)| *length == stream.len());
        let starts: Vec<u64> = same_length.map(|(start, _)| *start).collect();
        starts.into_iter().find(|start| self.holds(*start, stream))
    }

    fn holds(&mut self, start: u64, stream: &[u8]) -> bool {
        let mut piece = vec![0; PIECE_BYTES.min(stream.len())];
        let mut at = start;
        stream.chunks(PIECE_BYTES).all(|wanted| {
            let found = &mut piece[..wanted.len()];
            let is_same = self.read_at(at, found).is_ok() && *found == *wanted;
            at += wanted.len() as u64;
            is_same
        })
    }
}

/// The dictionary at the end of what stands before a stream. `is_whole`: nothing is before that.
fn dictionary(before: &[u8], is_whole: bool) -> Option<&[u8]> {
    let line = before.strip_suffix(b"\n")?;
    let object = line.strip_suffix(b"\r").unwrap_or(line).strip_suffix(b"stream")?;
    let body = object.windows(3).rposition(|three| three == b"obj")?;
    // Its number begins a line, and another object ends before it: these words may stand in a comment too.
    let head = without_number(without_number(&object[..body])?)?;
    if !head.last().is_none_or(|&b| matches!(b, b'\n' | b'\r')) {
        return None;
    }
    let is_object = head.trim_ascii_end().ends_with(b"endobj") || (is_whole && is_header(head));
    is_object.then(|| object[body + 3..].trim_ascii())
}

/// What stands before a number and the space behind it.
fn without_number(text: &[u8]) -> Option<&[u8]> {
    let spaces = text.iter().rev().take_while(|&&b| is_space(b)).count();
    let text = &text[..text.len() - spaces];
    let digits = text.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    (digits > 0).then(|| &text[..text.len() - digits])
}

/// Whether there are comments alone, as a file begins with.
fn is_header(head: &[u8]) -> bool {
    let mut lines = head.split(|&b| matches!(b, b'\n' | b'\r')).filter(|line| !line.is_empty());
    lines.all(|line| line.starts_with(b"%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_from_the_start_and_not_beyond_the_limit() {
        let mut file = Shared::new(Source::memory(b"content".to_vec()));
        file.clone().seek(SeekFrom::Start(3)).unwrap();
        assert_eq!(file.whole(7).as_deref(), Some(&b"content"[..]));
        assert_eq!(file.whole(6), None);
        let mut buffer = [0; 3];
        file.seek(SeekFrom::Start(4)).unwrap();
        file.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"ent");
    }

    #[test]
    fn a_stream_that_was_read_has_its_dictionary() {
        let stream = |shade: u8| vec![shade; STREAM_BYTES_MIN + 70_000];
        let mut bytes = b"%PDF-1.4\n".to_vec();
        let mut starts = Vec::new();
        for shade in [1, 2] {
            bytes.extend(format!("{shade} 0 obj\n<</Shade {shade}>>\nstream\r\n").bytes());
            starts.push(bytes.len() as u64);
            bytes.extend(stream(shade));
            bytes.extend(b"\nendstream\nendobj\n");
        }
        let mut file = Shared::new(Source::memory(bytes));
        let mut read = |start: u64| {
            file.seek(SeekFrom::Start(start)).unwrap();
            file.read_exact(&mut stream(0)).unwrap();
            file.clone()
        };
        let of = |file: &Shared, shade: u8| file.dictionary_of(&stream(shade));
        let first = read(starts[0]);
        assert_eq!(of(&first, 1).as_deref(), Some(&b"<</Shade 1>>"[..]));
        assert_eq!(of(&first, 2), None, "nobody has read it");
        // They are as long as each other, and told apart by what they hold.
        let both = read(starts[1]);
        assert_eq!(of(&both, 1).as_deref(), Some(&b"<</Shade 1>>"[..]));
        assert_eq!(of(&both, 2).as_deref(), Some(&b"<</Shade 2>>"[..]));
        assert_eq!(of(&both, 3), None);
    }

    #[test]
    fn a_dictionary_stands_between_its_object_and_its_stream() {
        let found = |before: &str| {
            dictionary(before.as_bytes(), false).map(|found| String::from_utf8_lossy(found).into_owned())
        };
        let plain = Some("<</Length 5>>".to_owned());
        assert_eq!(found("endobj\n5 0 obj\n<</Length 5>>\nstream\r\n"), plain);
        assert_eq!(found("x endobj\r\r12 0 obj<</Length 5>>stream\n"), plain);
        for before in [
            "endobj\n5 0 obj <</Length 5>> stream",
            "endobj\n5 0 obj <</Length 5>> \n",
            "endobj\n5 0 <</Length 5>> stream\n",
            "endobj\nobj <</Length 5>> stream\n",
            "endobj\n5 obj <</Length 5>> stream\n",
            "<</SMask 7 0 R % 5 0 obj <</Length 5>> stream\n",
            "<</SMask 7 0 R %\n5 0 obj <</Length 5>> stream\n",
        ] {
            assert_eq!(found(before), None, "{before}");
        }
        let first = b"%PDF-1.4\n%\xe2\xe3\n\n1 0 obj <</Length 5>> stream\n";
        assert_eq!(dictionary(first, true), Some(&b"<</Length 5>>"[..]));
        assert_eq!(dictionary(first, false), None);
    }
}
