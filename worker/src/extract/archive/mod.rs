//! Archives: their members become sections, one after the other, within the one budget. Names are shown and never opened;
//! directories, links and devices are no members.

mod sevenz;
mod tar;
mod zip;

pub(super) use self::sevenz::read as sevenz;
pub(super) use self::tar::read as tar;
pub(super) use self::zip::read as zip;

use std::io::Read;

use docmill_core::failure::{Failure, FailureCode};

use super::package::read_failure;
use super::source::Source;
use super::work::Work;

/// What is in archives and nobody put there.
const LITTER: &[&str] = &["__MACOSX/", ".DS_Store", "Thumbs.db"];

/// First bytes of what macOS packs beside a file, named after it: its attributes.
const APPLE_DOUBLE: &[u8] = b"\0\x05\x16\x07";

/// First bytes of 7z.
pub(super) const SEVENZ_MAGIC: &[u8] = b"7z\xbc\xaf\x27\x1c";

/// Whether these first bytes are a tar header: all its bytes add up to the number that stands in it.
pub(super) fn is_tar(head: &[u8]) -> bool {
    const SUM: std::ops::Range<usize> = 148..156;
    let Some(header) = head.get(..512) else { return false };
    let written = std::str::from_utf8(&header[SUM]).unwrap_or_default();
    let written = u64::from_str_radix(written.trim_matches([' ', '\0']), 8);
    let sum: u64 = header
        .iter()
        .enumerate()
        .map(|(place, &byte)| if SUM.contains(&place) { u64::from(b' ') } else { u64::from(byte) })
        .sum();
    header[0] != 0 && written == Ok(sum)
}

/// Whether a member is one that somebody put into the archive.
fn is_wanted(name: &str) -> bool {
    !LITTER.iter().any(|litter| name.starts_with(litter) || name.ends_with(&format!("/{litter}")))
}

/// Fails before anything is read of an archive with more members than allowed.
fn check_count(members: usize, work: &Work<'_, '_>) -> Result<(), Failure> {
    let max = work.options.limits.entries_max;
    if members > max as usize {
        let detail = format!("the archive has {members} members, {max} are allowed");
        return Err(Failure::new(FailureCode::LimitEntries, detail));
    }
    Ok(())
}

/// A member's bytes, as many as one file and all of them together may have.
fn unpack(from: impl Read, name: &str, work: &mut Work<'_, '_>) -> Result<Vec<u8>, Failure> {
    let bytes_max = work.bytes_max().min(work.nesting.left());
    let mut bytes = Vec::new();
    let read = from.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes);
    work.nesting.unpacked(bytes.len() as u64)?;
    read.map_err(|error| read_failure(name, &error))?;
    if bytes.len() as u64 > bytes_max {
        let detail = format!("{name} is larger than {} MiB", bytes_max >> 20);
        return Err(Failure::new(FailureCode::LimitFileSize, detail));
    }
    Ok(bytes)
}

/// Whether a member says something of another one, and nothing to people.
fn has_attributes(name: &str, bytes: &[u8]) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.starts_with("._") && bytes.starts_with(APPLE_DOUBLE)
}

/// Sends a member, or why there is none.
fn send(name: &str, bytes: Result<Vec<u8>, Failure>, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    match bytes {
        Ok(bytes) if has_attributes(name, &bytes) => Ok(()),
        Ok(bytes) => work.read_nested(name, None, Source::memory(bytes)),
        Err(failure) => work.lose_nested(name, failure),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use docmill_core::limits::Limits;
    use docmill_core::page::BlockKind::{Heading, Paragraph};
    use docmill_core::page::PageSource;

    use super::super::package::tests::zip as zipped;
    use super::super::work::tests::{read_bytes, read_tried, read_with};
    use super::*;

    fn tarred(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = ::tar::Builder::new(Vec::new());
        for (name, bytes) in members {
            let mut header = ::tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn members_are_sections_in_every_kind_of_archive() {
        let inner = zipped(&[("deep.md", "# Title\ntext")]);
        let members: &[(&str, &[u8])] =
            &[("a/b.txt", b"first"), ("__MACOSX/a", b"no"), ("in.zip", &inner), ("x.bin", b"\0\x01\x02")];
        let tar = tarred(members);
        let expected = [
            (Heading(1), "a/b.txt"),
            (Paragraph, "first"),
            (Heading(1), "in.zip › deep.md"),
            (Heading(2), "Title"),
            (Paragraph, "text"),
            (Heading(1), "x.bin"),
        ];
        for (name, bytes) in [("a.tar", tar.clone()), ("a.tar.gz", gzipped(&tar)), ("a.tgz", gzipped(&tar))]
        {
            let read = read_bytes(name, bytes);
            read.outcome.as_ref().unwrap();
            assert_eq!(read.blocks(), expected, "{name}");
            assert_eq!(read.pages.last().unwrap().source, PageSource::Lost);
        }
        let read = read_bytes("a.zip", zipped(&[("a/b.txt", "first"), ("c.csv", "x,y")]));
        assert_eq!(read.texts(), ["a/b.txt", "first", "c.csv", "x\ty"]);
        assert_eq!(read.info.unwrap().media_type, "application/zip");
    }

    #[test]
    fn members_that_nobody_put_there_are_left_out() {
        let members: &[(&str, &[u8])] =
            &[("a/._b.txt", b"\0\x05\x16\x07\0\x02"), ("a/b.txt", b"text"), ("._c.txt", b"and text")];
        let read = read_bytes("a.tar", tarred(members));
        assert_eq!(read.texts(), ["a/b.txt", "text", "._c.txt", "and text"]);
    }

    #[test]
    fn members_with_holes_are_read_and_counted() {
        let mut header = ::tar::Header::new_gnu();
        header.set_path("a.txt").unwrap();
        header.set_mode(0o644);
        header.set_entry_type(::tar::EntryType::GNUSparse);
        header.set_size(4);
        let sparse = |real: u64, mut header: ::tar::Header| {
            let gnu = header.as_gnu_mut().unwrap();
            gnu.sparse[0].offset[..12].copy_from_slice(format!("{:011o}\0", real - 4).as_bytes());
            gnu.sparse[0].numbytes[..12].copy_from_slice(format!("{:011o}\0", 4).as_bytes());
            gnu.realsize[..12].copy_from_slice(format!("{real:011o}\0").as_bytes());
            header.set_cksum();
            let mut builder = ::tar::Builder::new(Vec::new());
            builder.append(&header, b"text".as_slice()).unwrap();
            builder.into_inner().unwrap()
        };
        let read = read_bytes("a.tar", sparse(4, header.clone()));
        assert_eq!(read.texts(), ["a.txt", "text"]);
        let small = Limits { unpacked_mib: 1, file_mib: 1, ..Limits::default() };
        let large = read_with("a.tar", sparse(1 << 22, header), small);
        assert_eq!(large.outcome.unwrap_err().code, FailureCode::LimitUnpacked);
    }

    #[test]
    fn what_follows_the_packed_file_is_no_damage() {
        let packed = gzipped(&tarred(&[("a.txt", b"text")]));
        let twice = [gzipped(b"one "), gzipped(b"two")].concat();
        for (name, bytes, expected) in
            [("a.tgz", packed, vec!["a.txt", "text"]), ("a.txt.gz", twice, vec!["one two"])]
        {
            for after in [b"".as_slice(), &[0u8; 40], b"rubbish"] {
                let read = read_bytes(name, [bytes.as_slice(), after].concat());
                assert_eq!(read.outcome, Ok(()), "{name} {after:?}");
                assert_eq!(read.texts(), expected);
            }
        }
        assert_eq!(
            read_bytes("a.gz", b"\x1f\x8b\x08rubbish").outcome.unwrap_err().code,
            FailureCode::Damaged
        );
    }

    #[test]
    fn what_is_packed_in_an_unknown_way_is_no_damage() {
        let zip = zipped(&[("a.txt", "text")]);
        // How it is packed stands in the member's head and in the directory.
        let packed_by = |method: u16| {
            let mut zip = zip.clone();
            let directory = zip.windows(4).position(|mark| mark == b"PK\x01\x02").unwrap();
            zip[8..10].copy_from_slice(&method.to_le_bytes());
            zip[directory + 10..directory + 12].copy_from_slice(&method.to_le_bytes());
            read_bytes("a.zip", zip).outcome.map_err(|failure| failure.code)
        };
        assert_eq!(read_bytes("a.zip", zip.clone()).outcome, Ok(()));
        assert_eq!(packed_by(93), Err(FailureCode::TypeUnsupported));
        assert_eq!(packed_by(25_451), Err(FailureCode::Encrypted));
    }

    #[test]
    fn names_are_only_shown() {
        let long = "n".repeat(5_000);
        let read = read_bytes("a.zip", zipped(&[("../../etc/pass\x1b[31mwd", "x"), (&long, "y")]));
        assert_eq!(read.texts()[..3], ["../../etc/pass[31mwd", "x", &long[..200]]);
    }

    #[test]
    fn what_is_too_much_together_ends_the_archive() {
        let small = Limits { unpacked_mib: 1, file_mib: 1, ..Limits::default() };
        let half = " ".repeat(600_000);
        let two = zipped(&[("a.txt", &half), ("b.txt", &half)]);
        assert_eq!(read_with("a.zip", two, small).outcome.unwrap_err().code, FailureCode::LimitUnpacked);
        let few = Limits { entries_max: 2, ..Limits::default() };
        let three = zipped(&[("a.txt", "1"), ("b.txt", "2"), ("c.txt", "3")]);
        assert_eq!(read_with("a.zip", three, few).outcome.unwrap_err().code, FailureCode::LimitEntries);
    }

    #[test]
    fn passwords_are_tried_so_often_on_all_that_lies_in_a_document_together() {
        const SEVENZ: &[u8] = include_bytes!("../../../tests/fixtures/formats/locked.7z");
        const DOCX: &[u8] = include_bytes!("../../../tests/fixtures/formats/locked.docx");
        // They say that they are encrypted: no password gives what was there.
        let names: Vec<String> = (0..10).map(|number| format!("{number}.txt")).collect();
        let members: Vec<(&str, &str)> =
            names.iter().map(|name| (name.as_str(), "a head of the cipher and text")).collect();
        let mut locked = zipped(&members);
        for (mark, flags) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
            let heads: Vec<usize> =
                (0..locked.len()).filter(|&at| locked[at..].starts_with(mark)).collect();
            assert_eq!(heads.len(), names.len());
            heads.into_iter().for_each(|at| locked[at + flags] |= 1);
        }
        let all: &[(&str, &[u8])] = &[
            ("a.zip", &locked),
            ("b.zip", &locked),
            ("c.7z", SEVENZ),
            ("d.docx", DOCX),
            ("e.txt", b"text"),
        ];
        // The last of them is that of the last two.
        let wrong: String = (1..64).map(|number| format!("wrong {number}\n")).collect();
        let read = read_tried("a.tar", tarred(all), &format!("{wrong}copper meadow"));
        assert_eq!(read.outcome, Ok(()));
        let notes: Vec<&str> = read.pages.iter().filter_map(|page| page.note.as_deref()).collect();
        // Fifteen members were tried with all, one with some, and what follows with none.
        let (tried, left) = notes.split_at(1_000 / 64);
        assert!(tried.iter().all(|note| note.ends_with("not among those given (64)")), "{notes:?}");
        assert_eq!(left.len(), 7);
        assert!(
            left.iter().all(|note| note.contains("not all that are given (64) were tried")),
            "{notes:?}"
        );
        assert_eq!(read.texts().last(), Some(&"text"));
    }

    #[test]
    fn an_archive_in_itself_ends_at_the_depth_that_is_allowed() {
        let mut nested = zipped(&[("end.txt", "never seen")]);
        for depth in 0..12 {
            nested = tarred(&[("text.txt", format!("at {depth}").as_bytes()), ("in.tar", &nested)]);
        }
        let read = read_bytes("a.tar", nested);
        read.outcome.as_ref().unwrap();
        assert!(read.texts().contains(&"at 4") && !read.texts().contains(&"never seen"));
        let lost = read.pages.iter().find(|page| page.source == PageSource::Lost).unwrap();
        assert!(lost.note.as_ref().unwrap().starts_with("lost: limit_depth"));
    }

    #[test]
    fn a_broken_member_loses_itself_and_a_cut_archive_its_end() {
        let tar =
            tarred(&[("a.txt", b"first"), ("b.docx", b"PK\x03\x04broken"), ("c.txt", &[b'c'; 2_000])]);
        let read = read_bytes("a.tar", &tar[..512 * 6]);
        assert_eq!(read.texts()[..3], ["a.txt", "first", "b.docx"]);
        let notes: Vec<_> = read.pages.iter().filter_map(|page| page.note.as_deref()).collect();
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes.iter().all(|note| note.starts_with("lost: damaged")), "{notes:?}");
    }
}
