//! 7z archives. What is packed together is unpacked once, member after member; of what is encrypted, the first member once
//! more for every password that is tried.

use std::io::{BufReader, Read, Seek, sink};

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::DocumentInfo;
use sevenz_rust2::{ArchiveReader, EntryDecision, Error, Password};

use super::{check_count, is_wanted, send, unpack};
use crate::extract::passwords::locked;
use crate::extract::source::Source;
use crate::extract::work::Work;

/// Most memory of a decoder, in KiB: dictionaries may be 4 GiB, and usual ones are 64 MiB at most.
const DECODER_KIB_MAX: usize = 256 << 10;

/// Whether an archive says that it has no members: then it is its first bytes alone.
fn is_empty(head: &[u8]) -> bool {
    head.get(12..32).is_some_and(|rest| rest.iter().all(|&byte| byte == 0))
}

type Opened<'s> = ArchiveReader<BufReader<&'s mut Source>>;

fn open(source: &mut Source, password: Password) -> Result<Opened<'_>, Error> {
    source.rewind()?;
    let mut reader =
        ArchiveReader::new_with_memory_limit(BufReader::new(source), password, DECODER_KIB_MAX)?;
    // A child may not have more.
    reader.set_thread_count(1);
    Ok(reader)
}

/// The password of an archive, among those given; none where it needs none, or where only what is in its midst is locked
/// and nobody knows by what. Beside it, why it may not open all.
fn password(source: &mut Source, work: &Work<'_, '_>) -> Result<(Password, Failure), Failure> {
    let passwords = &work.options.passwords;
    let none_fits = locked("the archive", passwords.len());
    if passwords.is_empty() {
        return Ok((Password::empty(), none_fits));
    }
    let block = match open(source, Password::empty()) {
        Ok(mut reader) => first_locked(&mut reader),
        // Names, too, are locked.
        Err(Error::PasswordRequired) => Some(0),
        // Whoever reads it says what is wrong.
        Err(_) => None,
    };
    let Some(block) = block else { return Ok((Password::empty(), none_fits)) };
    let bytes_max = work.bytes_max().min(work.nesting.left());
    let found = work.nesting.tries.first("the archive", passwords, |password| {
        let password = Password::from(password.expose());
        let opened = open(source, password.clone());
        opened.is_ok_and(|mut reader| fits(&mut reader, block, bytes_max)).then_some(password)
    });
    let why = match found {
        Ok(Some(password)) => return Ok((password, none_fits)),
        Ok(None) => none_fits,
        Err(too_many) => too_many,
    };
    if block > 0 { Ok((Password::empty(), why)) } else { Err(why) }
}

/// The first of what is packed together that needs a password. Nothing is unpacked for it.
fn first_locked(reader: &mut Opened<'_>) -> Option<usize> {
    let mut open = 0;
    let read = reader.for_each_entries_with_decision(|entry, _| {
        open += usize::from(entry.has_stream);
        Ok(EntryDecision::SkipBlock)
    });
    matches!(read, Err(Error::PasswordRequired)).then_some(open)
}

/// Whether what is packed together there can be read: by a wrong password it is nonsense, as its decoder or its sum tells.
fn fits(reader: &mut Opened<'_>, block: usize, bytes_max: u64) -> bool {
    let (mut before, mut fits) = (0, false);
    let read = reader.for_each_entries_with_decision(|entry, from| {
        if !entry.has_stream {
            return Ok(EntryDecision::Continue);
        }
        if before < block {
            before += 1;
            return Ok(EntryDecision::SkipBlock);
        }
        fits = std::io::copy(&mut from.take(bytes_max), &mut sink()).is_ok();
        Ok(EntryDecision::Stop)
    });
    fits && read.is_ok()
}

/// Reads all members.
pub(in crate::extract) fn read(mut source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let head = source.head();
    let head = head.map_err(|error| Failure::new(FailureCode::Unreadable, error.to_string()))?;
    if is_empty(&head) {
        let media_type = work.kind.media_type().to_owned();
        return work.emitter.info(DocumentInfo { title: None, media_type, page_count: None });
    }
    let (password, locked) = password(&mut source, work)?;
    // It has been tried: what cannot be read with it is damaged.
    let is_open = !password.is_empty();
    let mut reader = open(&mut source, password).map_err(|error| failure(&error, is_open, &locked))?;
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
        (None, read) => work.emitter.or_lost(read.map_err(|error| failure(&error, is_open, &locked))),
    }
}

/// What an error means for the archive; `locked` is what is said of one that needs a password.
fn failure(error: &Error, is_open: bool, locked: &Failure) -> Failure {
    let code = match error {
        Error::MaybeBadPassword(_) if is_open => FailureCode::Damaged,
        Error::PasswordRequired | Error::MaybeBadPassword(_) => return locked.clone(),
        Error::UnsupportedCompressionMethod(_) | Error::Unsupported(_) => FailureCode::TypeUnsupported,
        Error::MaxMemLimited { .. } => FailureCode::LimitMemory,
        _ => FailureCode::Damaged,
    };
    Failure::new(code, format!("7z: {error}"))
}

#[cfg(test)]
mod tests {
    use docmill_core::failure::FailureCode;

    use crate::extract::work::tests::{read_bytes, read_tried};

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

    #[test]
    fn the_password_that_fits_opens_content_and_names() {
        const CONTENT: &[u8] = include_bytes!("../../../tests/fixtures/formats/locked.7z");
        const NAMES: &[u8] = include_bytes!("../../../tests/fixtures/formats/locked-names.7z");
        for archive in [CONTENT, NAMES] {
            let read = read_tried("a.7z", archive, "wrong\ncopper meadow");
            assert_eq!(read.outcome, Ok(()));
            assert_eq!(read.texts(), ["member.txt", "The harbour lantern burns until morning"]);
            let failure = read_tried("a.7z", archive, "wrong\nmeadow").outcome.unwrap_err();
            assert_eq!(failure.code, FailureCode::Encrypted);
            assert!(failure.detail.ends_with("not among those given (2)"), "{}", failure.detail);
            let failure = read_bytes("a.7z", archive).outcome.unwrap_err();
            assert_eq!(failure.code, FailureCode::Encrypted);
            assert_eq!(failure.detail, "the archive needs a password, and none is given");
        }
        // What needs none is read as ever.
        assert_eq!(read_tried("a.7z", archive(), "any").texts()[..2], ["a.txt", "first member"]);
    }
}
