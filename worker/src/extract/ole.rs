//! OLE containers: which document one is, by the names in its directory, and the streams in it. Does not interpret them.

use std::io::{Cursor, Read};

use cfb::CompoundFile;
use docmill_core::failure::{Failure, FailureCode};

use super::source::Source;
use super::work::Work;
use super::{Kind, office};

/// A stream that only one kind of document has, first what may hold the others.
const TELLING_STREAMS: &[(&str, Kind)] = &[
    ("__properties_version1.0", Kind::Msg),
    ("Workbook", Kind::Xls),
    ("Book", Kind::Xls),
    ("WordDocument", Kind::Doc),
    ("PowerPoint Document", Kind::Ppt),
];

/// Reads the document that the container is.
pub(super) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let bytes = source.into_bytes(work.bytes_max())?;
    let name = work.name;
    // Streams at the top: documents that are embedded have theirs below. Workbooks are often written with mistakes that
    // their reader forgives, so in what cannot be opened the names are looked for as they stand, in UTF-16.
    let mut opened = CompoundFile::open(Cursor::new(bytes.as_slice())).ok();
    let has = |stream: &str| match &opened {
        Some(opened) => opened.is_stream(stream),
        None => {
            let stream: Vec<u8> = stream.encode_utf16().flat_map(u16::to_le_bytes).collect();
            bytes.windows(stream.len()).any(|window| window == stream)
        }
    };
    if has("EncryptedPackage") {
        let Some(container) = opened.as_mut() else {
            let detail = format!("{name} is an Office document with a password, and damaged");
            return Err(Failure::new(FailureCode::Encrypted, detail));
        };
        let options = work.options;
        let bytes_max = work.bytes_max();
        let tries = &work.nesting.tries;
        let package =
            office::unlock(container, name, &options.passwords, tries, &options.limits, bytes_max)?;
        drop(opened);
        drop(bytes);
        work.nesting.unpacked(package.len() as u64)?;
        return work.read_within(name, None, Source::memory(package));
    }
    let Some(&(_, kind)) = TELLING_STREAMS.iter().find(|(stream, _)| has(stream)) else {
        let detail = format!("{name} is an OLE container without a known document in it");
        return Err(Failure::new(FailureCode::TypeUnsupported, detail));
    };
    drop(opened);
    work.read_as(kind, name, Source::memory(bytes))
}

/// An open container.
pub(super) struct Container {
    file: CompoundFile<Cursor<Vec<u8>>>,
    stream_bytes_max: u64,
}

impl Container {
    /// Opens a container; no stream of it may be larger than a file.
    pub fn open(source: Source, work: &Work<'_, '_>) -> Result<Self, Failure> {
        let stream_bytes_max = work.bytes_max();
        let bytes = source.into_bytes(stream_bytes_max)?;
        let file = CompoundFile::open(Cursor::new(bytes)).map_err(damaged)?;
        Ok(Self { file, stream_bytes_max })
    }

    /// The bytes of a stream; `None` when there is no such stream.
    pub fn stream(&mut self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        if !self.file.is_stream(path) {
            return Ok(None);
        }
        let stream = self.file.open_stream(path).map_err(damaged)?;
        let mut bytes = Vec::new();
        stream.take(self.stream_bytes_max).read_to_end(&mut bytes).map_err(damaged)?;
        Ok(Some(bytes))
    }

    /// The bytes of a stream without which there is no document.
    pub fn needed(&mut self, path: &str) -> Result<Vec<u8>, Failure> {
        self.stream(path)?.ok_or_else(|| damaged(format!("it has no stream {path}")))
    }

    /// Whether there is such a storage.
    pub fn has_storage(&self, path: &str) -> bool {
        self.file.is_storage(path)
    }

    /// Names of what lies in a storage.
    pub fn names(&self, path: &str) -> Vec<String> {
        let entries = self.file.read_storage(path).into_iter().flatten();
        entries.map(|entry| entry.name().to_owned()).collect()
    }
}

fn damaged(error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureCode::Damaged, error.to_string())
}

/// A number of two bytes, the lower first; zero beyond the end.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u16::from_le_bytes(*chunk))
}

/// A number of four bytes, the lowest first; zero beyond the end.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

/// UTF-16, the lower bytes first.
pub(super) fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use super::*;

    /// A container of these streams; storages are made for their paths.
    pub fn container(streams: &[(&str, &[u8])]) -> Vec<u8> {
        let mut file = CompoundFile::create(Cursor::new(Vec::new())).unwrap();
        for (path, bytes) in streams {
            if let Some((storage, _)) = path.rsplit_once('/').filter(|(storage, _)| !storage.is_empty()) {
                file.create_storage_all(storage).unwrap();
            }
            file.create_stream(path).unwrap().write_all(bytes).unwrap();
        }
        file.flush().unwrap();
        file.into_inner().into_inner()
    }

    #[test]
    fn numbers_beyond_the_end_are_zero() {
        assert_eq!((u16_at(&[1, 2, 3], 1), u16_at(&[1], 0), u32_at(&[1, 0, 0, 0], 0)), (0x0302, 0, 1));
        assert_eq!(utf16(b"a\0\0\xd8b\0"), "a\u{fffd}b");
    }
}
