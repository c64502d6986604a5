//! ZIP archives that are no document.

use std::io::BufReader;
use std::rc::Rc;

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::DocumentInfo;
use zip::ZipArchive;

use super::{check_count, is_wanted, send, unpack};
use crate::extract::Kind;
use crate::extract::package::{open_zip, zip_failure};
use crate::extract::passwords::locked;
use crate::extract::source::Source;
use crate::extract::work::Work;

/// Reads all members in the order of the directory.
pub(in crate::extract) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let mut archive = open_zip(source)?;
    let mut members = Vec::new();
    for index in 0..archive.len() {
        let Ok(entry) = archive.by_index_data(index) else { continue };
        let name = match entry.name() {
            Ok(name) => name.into_owned(),
            Err(_) => String::from_utf8_lossy(entry.name_raw()).into_owned(),
        };
        if entry.is_file() && is_wanted(&name) {
            members.push((index, name));
        }
    }
    check_count(members.len(), work)?;
    // The same bytes as many members: a few of them would be terabytes.
    if archive.has_overlapping_files().map_err(|error| zip_failure("the archive", error))? {
        return Err(Failure::new(FailureCode::Damaged, "members of the archive lie in each other's bytes"));
    }
    let media_type = Kind::Zip.media_type().to_owned();
    work.emitter.info(DocumentInfo { title: None, media_type, page_count: None })?;
    for (index, name) in members {
        let bytes = member(&mut archive, index, &name, work);
        send(&name, bytes, work)?;
    }
    Ok(())
}

/// A member's bytes, by the first of the passwords that fits where it needs one: each may have its own.
fn member(
    archive: &mut ZipArchive<BufReader<Source>>,
    index: usize,
    name: &str,
    work: &mut Work<'_, '_>,
) -> Result<Vec<u8>, Failure> {
    let failure = match archive.by_index(index) {
        Ok(file) => return unpack(file, name, work),
        Err(error) => zip_failure(name, error),
    };
    let passwords = &work.options.passwords;
    if failure.code != FailureCode::Encrypted || passwords.is_empty() {
        return Err(failure);
    }
    let tries = Rc::clone(&work.nesting.tries);
    let opened = tries.first(name, passwords, |password| {
        let file = archive.by_index_decrypt(index, password.expose().as_bytes()).ok()?;
        match unpack(file, name, work) {
            // Two bytes at most tell beforehand that a password is wrong: some give nonsense, which its sum tells.
            Err(failure) if failure.code == FailureCode::Damaged => None,
            unpacked => Some(unpacked),
        }
    })?;
    opened.unwrap_or_else(|| Err(locked(name, passwords.len())))
}

#[cfg(test)]
mod tests {
    use docmill_core::failure::FailureCode;

    use crate::extract::work::tests::{read_bytes, read_tried};

    #[test]
    fn the_password_that_fits_opens_members_of_both_kinds() {
        const OLD: &[u8] = include_bytes!("../../../tests/fixtures/formats/locked.zip");
        const AES: &[u8] = include_bytes!("../../../tests/fixtures/formats/locked-aes.zip");
        // Enough wrong ones that the one byte of the old kind lets some pass.
        let wrong: String = (0..60).map(|number| format!("wrong {number}\n")).collect();
        for archive in [OLD, AES] {
            let read = read_tried("a.zip", archive, &format!("{wrong}copper meadow"));
            assert_eq!(read.outcome, Ok(()));
            assert_eq!(read.texts(), ["member.txt", "The harbour lantern burns until morning"]);
            let failure = read_tried("a.zip", archive, &wrong).outcome.unwrap_err();
            assert_eq!(failure.code, FailureCode::Encrypted);
            assert_eq!(read_bytes("a.zip", archive).outcome.unwrap_err().code, FailureCode::Encrypted);
        }
    }
}
