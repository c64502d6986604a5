//! ZIP archives that are no document.

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::DocumentInfo;

use super::{check_count, is_wanted, send, unpack};
use crate::extract::Kind;
use crate::extract::package::{open_zip, zip_failure};
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
        let bytes = match archive.by_index(index) {
            Ok(file) => unpack(file, &name, work),
            Err(error) => Err(zip_failure(&name, error)),
        };
        send(&name, bytes, work)?;
    }
    Ok(())
}
