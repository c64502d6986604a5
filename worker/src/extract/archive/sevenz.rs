//! 7z archives. What is packed together is unpacked once, member after member.

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::DocumentInfo;
use sevenz_rust2::{ArchiveReader, Error, Password};

use super::{check_count, is_wanted, send, unpack};
use crate::extract::source::Source;
use crate::extract::work::Work;

/// Most memory of a decoder, in KiB: dictionaries may be 4 GiB, and usual ones are 64 MiB at most.
const DECODER_KIB_MAX: usize = 256 << 10;

/// Whether an archive says that it has no members: then it is its first bytes alone.
fn is_empty(head: &[u8]) -> bool {
    head.get(12..32).is_some_and(|rest| rest.iter().all(|&byte| byte == 0))
}

/// Reads all members.
pub(in crate::extract) fn read(mut source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let head = source.head();
    let head = head.map_err(|error| Failure::new(FailureCode::Unreadable, error.to_string()))?;
    if is_empty(&head) {
        let media_type = work.kind.media_type().to_owned();
        return work.emitter.info(DocumentInfo { title: None, media_type, page_count: None });
    }
    let source = std::io::BufReader::new(source);
    let reader = ArchiveReader::new_with_memory_limit(source, Password::empty(), DECODER_KIB_MAX);
    let mut reader = reader.map_err(|error| failure(&error))?;
    // A child may not have more.
    reader.set_thread_count(1);
    let members =
        reader.archive().files.iter().filter(|file| file.has_stream && !file.is_directory).count();
    check_count(members, work)?;
    let media_type = work.kind.media_type().to_owned();
    work.emitter.info(DocumentInfo { title: None, media_type, page_count: None })?;
    let mut stopped = None;
    let read = reader.for_each_entries(|entry, from| {
        if entry.is_directory || entry.is_anti_item || !entry.has_stream || !is_wanted(&entry.name) {
            return Ok(true);
        }
        let bytes = unpack(from, &entry.name, work);
        // One that is too large would be unpacked to its end to come to the next.
        let goes_on = bytes.is_ok();
        send(&entry.name, bytes, work).map(|()| goes_on).map_err(|failure| {
            stopped = Some(failure);
            Error::Other("stopped".into())
        })
    });
    match (stopped, read) {
        (Some(failure), _) => Err(failure),
        (None, read) => work.emitter.or_lost(read.map_err(|error| failure(&error))),
    }
}

fn failure(error: &Error) -> Failure {
    let code = match error {
        Error::PasswordRequired | Error::MaybeBadPassword(_) => FailureCode::Encrypted,
        Error::UnsupportedCompressionMethod(name) if name.contains("AES") => FailureCode::Encrypted,
        Error::UnsupportedCompressionMethod(_) | Error::Unsupported(_) => FailureCode::TypeUnsupported,
        Error::MaxMemLimited { .. } => FailureCode::LimitMemory,
        _ => FailureCode::Damaged,
    };
    Failure::new(code, format!("7z: {error}"))
}

#[cfg(test)]
mod tests {
    use docmill_core::failure::FailureCode;

    use crate::extract::work::tests::read_bytes;

    /// Two files, `a.txt` and `b/c.csv`, as 7-Zip packs them without compressing.
    fn archive() -> Vec<u8> {
        let (first, second) = (b"first member".as_slice(), b"x,y\n1,2\n".as_slice());
        let name =
            |name: &str| name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let names = [name("a.txt"), name("b/c.csv")].concat();
        let total = (first.len() + second.len()) as u8;
        // Pack info; one folder of one copying coder; two substreams; two files with names.
        let mut header = vec![0x01, 0x04, 0x06, 0, 1, 0x09, total, 0x00];
        header.extend([0x07, 0x0b, 1, 0, 1, 0x01, 0x00, 0x0c, total, 0x00]);
        header.extend([0x08, 0x0d, 2, 0x09, first.len() as u8, 0x00, 0x00]);
        header.extend([0x05, 2, 0x11, names.len() as u8 + 1, 0]);
        header.extend(names);
        header.extend([0x00, 0x00]);
        let mut start = Vec::new();
        start.extend(u64::from(total).to_le_bytes());
        start.extend((header.len() as u64).to_le_bytes());
        start.extend(crc(&header).to_le_bytes());
        [
            b"7z\xbc\xaf\x27\x1c\0\x04".as_slice(),
            crc(&start).to_le_bytes().as_slice(),
            &start,
            first,
            second,
            &header,
        ]
        .concat()
    }

    fn crc(bytes: &[u8]) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    }

    #[test]
    fn members_are_sections() {
        let read = read_bytes("a.7z", archive());
        read.outcome.as_ref().unwrap();
        assert_eq!(read.texts(), ["a.txt", "first member", "b/c.csv", "x\ty\n1\t2"]);
        assert_eq!(read.info.unwrap().media_type, "application/x-7z-compressed");
    }

    #[test]
    fn a_cut_archive_is_damaged() {
        let whole = archive();
        let cut = &whole[..whole.len() - 9];
        assert_eq!(read_bytes("a.7z", cut).outcome.unwrap_err().code, FailureCode::Damaged);
        let empty = [&b"7z\xbc\xaf\x27\x1c\0\x03\x8d\x9b\xd5\x0f"[..], &[0u8; 20]].concat();
        assert_eq!(read_bytes("a.7z", empty).outcome.unwrap_err().code, FailureCode::NoText);
    }
}
