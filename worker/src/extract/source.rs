//! A document's bytes: an open file, or what was unpacked from one. Does not interpret them.

use std::fs::File;
use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};

use docmill_core::failure::{Failure, FailureCode};
use flate2::bufread::GzDecoder;

/// Bytes that can be read from any place.
pub(super) enum Source {
    File(File),
    Memory(Cursor<Vec<u8>>),
}

impl Source {
    /// What was unpacked.
    pub fn memory(bytes: Vec<u8>) -> Self {
        Self::Memory(Cursor::new(bytes))
    }

    /// The first bytes, for sniffing; the position is at the start again afterwards.
    pub fn head(&mut self) -> io::Result<Vec<u8>> {
        // All of it has room at once: a buffer that grows as it is filled takes a call for each time that it does.
        let mut head = Vec::with_capacity(super::sniff::HEAD_BYTES);
        self.rewind()?;
        self.by_ref().take(super::sniff::HEAD_BYTES as u64).read_to_end(&mut head)?;
        self.rewind()?;
        Ok(head)
    }

    /// All bytes, or `LimitFileSize` when there are more than allowed.
    pub fn into_bytes(self, bytes_max: u64) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Memory(bytes) => Ok(bytes.into_inner()),
            Self::File(file) => {
                let expected = file.metadata().map_or(0, |metadata| metadata.len());
                read_bounded(file, expected, bytes_max, "the file")
            }
        }
    }

    /// Unpacks gzip into memory, at most the allowed number of bytes.
    pub fn gunzip(self, bytes_max: u64) -> Result<Vec<u8>, Failure> {
        let members = Members(Some(GzDecoder::new(io::BufReader::new(self))));
        read_bounded(members, 0, bytes_max, "the unpacked file")
    }
}

/// The members of a gzip file, one after the other. What follows the last of them and is none is left out, as by gzip
/// itself: tapes are filled up with zeros.
struct Members<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let begins_another = member.get_mut().fill_buf()?.first() == Some(&0x1f);
            self.0 =
                self.0.take().filter(|_| begins_another).map(|ended| GzDecoder::new(ended.into_inner()));
        }
        Ok(0)
    }
}

/// Reads to the end. Room for what is expected is taken at once; whether as much comes is another matter.
fn read_bounded(from: impl Read, expected: u64, bytes_max: u64, what: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let room = usize::try_from(expected.min(bytes_max)).unwrap_or(usize::MAX);
    let reserved = bytes.try_reserve_exact(room).map_err(io::Error::from);
    let read = reserved.and_then(|()| from.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes));
    read.map_err(|error| match error.kind() {
        io::ErrorKind::OutOfMemory => Failure::new(FailureCode::LimitMemory, format!("{what}: {error}")),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            Failure::new(FailureCode::Damaged, format!("{what}: {error}"))
        }
        _ => Failure::new(FailureCode::Unreadable, format!("{what}: {error}")),
    })?;
    if bytes.len() as u64 > bytes_max {
        return Err(Failure::new(
            FailureCode::LimitFileSize,
            format!("{what} is larger than {} MiB", bytes_max >> 20),
        ));
    }
    Ok(bytes)
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Memory(bytes) => bytes.read(buffer),
        }
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::File(file) => file.seek(to),
            Self::Memory(bytes) => bytes.seek(to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn unpacking_stops_at_the_limit() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&vec![0; 3 << 20]).unwrap();
        let packed = packed.finish().unwrap();
        let source = || Source::memory(packed.clone());
        assert_eq!(source().gunzip(2 << 20).err().unwrap().code, FailureCode::LimitFileSize);
        assert_eq!(source().gunzip(3 << 20).unwrap().len(), 3 << 20);
    }
}
