//! Zip archives that are documents: which one, by the parts in the directory, as the first bytes may belong to any part.
//! Does not read the parts.

use docmill_core::failure::{Failure, FailureCode};

use super::source::Source;
use super::work::Work;
use super::{Kind, office};

/// A part that only one kind of document has.
const TELLING_PARTS: &[(&str, Kind)] = &[
    ("word/document.xml", Kind::Docx),
    ("ppt/presentation.xml", Kind::Pptx),
    ("xl/workbook.xml", Kind::Xlsx),
    ("xl/workbook.bin", Kind::Xlsb),
    ("content.xml", Kind::Ods),
];

/// Reads the document that the archive is.
pub(super) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let archive = office::open(source)?;
    let telling = TELLING_PARTS.iter().find(|(part, _)| archive.index_for_name(part).is_some());
    let Some(&(_, kind)) = telling else {
        let detail = format!("{} is a zip archive without a known document in it", work.name);
        return Err(Failure::new(FailureCode::TypeUnsupported, detail));
    };
    let name = work.name;
    work.read_as(kind, name, archive.into_inner().into_inner())
}
