//! One file packed by gzip: read as what is in it. Not an archive.

use docmill_core::failure::{Failure, FailureCode};

use super::source::Source;
use super::work::Work;

/// Reads what is packed in place of the packed file.
pub(super) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let packed = work.name;
    let name = [".gz", ".GZ"].into_iter().find_map(|end| packed.strip_suffix(end)).unwrap_or(packed);
    let unpacked = source.gunzip(work.bytes_max())?;
    if unpacked.is_empty() {
        return Err(Failure::new(FailureCode::Empty, format!("{name} unpacks to no bytes")));
    }
    work.nesting.unpacked(unpacked.len() as u64)?;
    work.read_within(name, None, Source::memory(unpacked))
}
