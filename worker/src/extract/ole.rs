//! OLE containers: which document one is, by the names in its directory. Does not read what they name.

use docmill_core::failure::{Failure, FailureCode};

use super::Kind;
use super::source::Source;
use super::work::Work;

/// Reads the document that the container is.
pub(super) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let bytes = source.into_bytes(work.bytes_max())?;
    // Names are UTF-16.
    let has = |entry: &str| {
        let entry: Vec<u8> = entry.encode_utf16().flat_map(u16::to_le_bytes).collect();
        bytes.windows(entry.len()).any(|window| window == entry)
    };
    let name = work.name;
    if has("EncryptedPackage") {
        let detail = format!("{name} is an Office document with a password");
        return Err(Failure::new(FailureCode::Encrypted, detail));
    }
    if !has("Workbook") && !has("Book") {
        let detail = format!("{name} is an old Office format (DOC, PPT or MSG)");
        return Err(Failure::new(FailureCode::TypeUnsupported, detail));
    }
    work.read_as(Kind::Xls, name, Source::memory(bytes))
}
