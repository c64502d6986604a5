//! TAR archives of any dialect.

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::page::DocumentInfo;

use super::{is_wanted, send, unpack};
use crate::extract::source::Source;
use crate::extract::work::Work;

fn damaged(error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureCode::Damaged, error.to_string())
}

/// Reads all members in order. They are not packed, so all together are no larger than the file; but for those with holes,
/// which are counted.
pub(in crate::extract) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let media_type = work.kind.media_type().to_owned();
    work.emitter.info(DocumentInfo { title: None, media_type, page_count: None })?;
    let mut archive = ::tar::Archive::new(std::io::BufReader::new(source));
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = match entry {
            Ok(entry) => entry,
            // There is no directory: what follows cannot be found.
            Err(error) => return work.emitter.or_lost(Err(damaged(error))),
        };
        let kind = entry.header().entry_type();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let has_holes = kind.is_gnu_sparse();
        if !(kind.is_file() || kind.is_contiguous() || has_holes) || !is_wanted(&name) {
            continue;
        }
        let (size, bytes_max) = (entry.size(), work.bytes_max());
        let bytes = if has_holes {
            unpack(&mut entry, &name, work)
        } else if size > bytes_max {
            let detail = format!("{name} is larger than {} MiB", bytes_max >> 20);
            Err(Failure::new(FailureCode::LimitFileSize, detail))
        } else {
            whole(&mut entry, size)
        };
        let is_cut = bytes.as_ref().is_err_and(|failure| failure.code == FailureCode::Damaged);
        send(&name, bytes, work)?;
        if is_cut {
            return Ok(());
        }
    }
    Ok(())
}

/// A member's bytes. The archive may end before it does.
fn whole(entry: &mut impl std::io::Read, size: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(damaged)?;
    if (bytes.len() as u64) < size {
        return Err(damaged("the archive ends within it"));
    }
    Ok(bytes)
}
