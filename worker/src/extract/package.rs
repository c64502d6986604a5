//! Zip archives that are documents: which one, and their parts, unpacked as a stream within the budget.
//! Does not interpret parts.

use std::collections::HashSet;
use std::io::{BufReader, Read, Seek, SeekFrom};

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::limits::Limits;
use quick_xml::events::Event;
use zip::ZipArchive;
use zip::result::ZipError;

use super::source::Source;
use super::work::{Nesting, Work};
use super::xml::{attribute, events, local, push_reference};
use super::{Kind, archive};

/// A part that only one kind of document has.
const TELLING_PARTS: &[(&str, Kind)] = &[
    ("word/document.xml", Kind::Docx),
    ("ppt/presentation.xml", Kind::Pptx),
    ("xl/workbook.xml", Kind::Xlsx),
    ("xl/workbook.bin", Kind::Xlsb),
];

/// How the types begin that documents state in a part of their own. Templates have longer ones.
const STATED_TYPES: &[(&str, Kind)] = &[
    ("application/vnd.oasis.opendocument.text", Kind::Odt),
    ("application/vnd.oasis.opendocument.presentation", Kind::Odp),
    ("application/vnd.oasis.opendocument.graphics", Kind::Odp),
    ("application/vnd.oasis.opendocument.spreadsheet", Kind::Ods),
    ("application/epub+zip", Kind::Epub),
];

/// What the content of an OpenDocument says it is.
const BODIES: &[(&str, Kind)] = &[
    ("<office:spreadsheet", Kind::Ods),
    ("<office:presentation", Kind::Odp),
    ("<office:drawing", Kind::Odp),
];

/// Most members that are listed at all; each takes some hundred bytes of memory.
const DIRECTORY_ENTRIES_MAX: u64 = 1_000_000;

/// So much of a part is held to look into it.
const LOOK_BYTES_MAX: u64 = 1 << 20;

/// Reads the document that the archive is.
pub(super) fn read(source: Source, work: &mut Work<'_, '_>) -> Result<(), Failure> {
    let name = work.name;
    let mut package = Package::open(source, &work.options.limits, work.nesting)?;
    let Some(kind) = package.kind() else {
        let source = package.into_source();
        return archive::zip(source, work);
    };
    // Keys are in the manifest; names stay readable, content does not.
    if package.text("META-INF/manifest.xml").contains("encryption-data") {
        return Err(Failure::new(FailureCode::Encrypted, format!("{name} is a document with a password")));
    }
    let source = package.into_source();
    work.read_as(kind, name, source)
}

fn damaged(error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureCode::Damaged, error.to_string())
}

/// Opens an archive whose directory fits into memory, whatever it says of itself.
pub(super) fn open_zip(mut source: Source) -> Result<ZipArchive<BufReader<Source>>, Failure> {
    let entries = declared_entries(&mut source).map_err(damaged)?;
    if entries > DIRECTORY_ENTRIES_MAX {
        let detail = format!("the archive says that it has {entries} members");
        return Err(Failure::new(FailureCode::LimitEntries, detail));
    }
    let is_locked = has_locked_directory(&mut source).map_err(damaged)?;
    ZipArchive::new(BufReader::new(source)).map_err(|error| match is_locked {
        true => Failure::new(FailureCode::Encrypted, "the archive needs a password, for its directory too"),
        false => damaged(error),
    })
}

/// Whether the first member says that all that is said of members is encrypted. Only of versions of the format that there
/// are: in what is no archive at all any bit may be set.
fn has_locked_directory(source: &mut Source) -> std::io::Result<bool> {
    const DIRECTORY_ENCRYPTED: u8 = 0x20;
    const VERSION_MAX: u8 = 63;
    source.rewind()?;
    let mut head = Vec::new();
    source.by_ref().take(8).read_to_end(&mut head)?;
    Ok(
        matches!(head[..], [b'P', b'K', 3, 4, ..=VERSION_MAX, 0, _, flags] if flags & DIRECTORY_ENCRYPTED != 0),
    )
}

/// What the end of the archive says of the number of its members. What says nothing there is no archive, as its reader
/// will find.
fn declared_entries(source: &mut Source) -> std::io::Result<u64> {
    // A record of 22 bytes and the longest comment; before it 20 bytes that lead to a longer record.
    const TAIL_BYTES_MAX: u64 = 22 + 65_535 + 20;
    let number =
        |bytes: &[u8]| bytes.iter().rev().fold(0u64, |number, &byte| (number << 8) | u64::from(byte));
    let length = source.seek(SeekFrom::End(0))?;
    source.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES_MAX)))?;
    let mut tail = Vec::new();
    source.by_ref().take(TAIL_BYTES_MAX).read_to_end(&mut tail)?;
    let Some(end) = tail.windows(4).rposition(|mark| mark == b"PK\x05\x06") else { return Ok(0) };
    let entries = number(tail.get(end + 10..end + 12).unwrap_or_default());
    let locator =
        end.checked_sub(20).map(|start| &tail[start..end]).filter(|bytes| bytes.starts_with(b"PK\x06\x07"));
    let Some(locator) = locator.filter(|_| entries == 0xffff) else { return Ok(entries) };
    source.seek(SeekFrom::Start(number(&locator[8..16])))?;
    let mut record = Vec::new();
    source.by_ref().take(56).read_to_end(&mut record)?;
    Ok(record.get(32..40).filter(|_| record.starts_with(b"PK\x06\x06")).map_or(entries, number))
}

/// What an error of the archive means for the document.
pub(super) fn zip_failure(what: &str, error: ZipError) -> Failure {
    match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) | ZipError::InvalidPassword => {
            Failure::new(FailureCode::Encrypted, format!("{what} needs a password"))
        }
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => {
            Failure::new(FailureCode::TypeUnsupported, format!("{what}: {error}"))
        }
        error => damaged(format!("{what}: {error}")),
    }
}

/// What it means that a part or a member cannot be read to its end.
pub(super) fn read_failure(what: &str, error: &std::io::Error) -> Failure {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ZipError>());
    match inner {
        // So Apple's programs mark what they have encrypted.
        Some(ZipError::CompressionMethodNotSupported(25_451 | 25_452)) => {
            Failure::new(FailureCode::Encrypted, format!("{what} needs a password"))
        }
        _ if error.kind() == std::io::ErrorKind::Unsupported => {
            Failure::new(FailureCode::TypeUnsupported, format!("{what}: {error}"))
        }
        _ => damaged(format!("{what}: {error}")),
    }
}

/// A document of parts.
pub(super) struct Package<'a> {
    archive: ZipArchive<BufReader<Source>>,
    limits: &'a Limits,
    nesting: &'a mut Nesting,
}

/// That one part refers to another.
pub(super) struct Relation {
    pub id: String,
    /// The last word of its type: `footnotes`, `notesSlide`.
    pub kind: String,
    /// The other part.
    pub target: String,
}

impl<'a> Package<'a> {
    /// Opens the archive.
    pub fn open(source: Source, limits: &'a Limits, nesting: &'a mut Nesting) -> Result<Self, Failure> {
        let archive = open_zip(source)?;
        Ok(Self { archive, limits, nesting })
    }

    /// The archive's bytes, to be read by somebody else.
    pub fn into_source(self) -> Source {
        self.archive.into_inner().into_inner()
    }

    /// Whether there is such a part.
    pub fn has(&self, part: &str) -> bool {
        self.archive.index_for_name_raw(part.as_bytes()).is_some()
    }

    /// Which document it is. By its parts, as the first bytes may belong to any of them.
    fn kind(&mut self) -> Option<Kind> {
        let telling = TELLING_PARTS.iter().find(|(part, _)| self.has(part)).map(|&(_, kind)| kind);
        if telling.is_some() {
            return telling;
        }
        let stated = self.text("mimetype");
        let stated = STATED_TYPES.iter().find(|(start, _)| stated.trim().starts_with(start));
        if let Some(&(_, kind)) = stated {
            return Some(kind);
        }
        if self.has("content.xml") {
            let content = self.text("content.xml");
            let body = BODIES.iter().find(|(body, _)| content.contains(body));
            return Some(body.map_or(Kind::Odt, |&(_, kind)| kind));
        }
        self.office_kind()
    }

    /// An Office document by its relations: a name of one's own for the main part is allowed, and used.
    fn office_kind(&mut self) -> Option<Kind> {
        let main = self.main_part().ok()??;
        let folder = main.split('/').next().unwrap_or_default();
        match folder {
            "word" => Some(Kind::Docx),
            "ppt" => Some(Kind::Pptx),
            "xl" if main.ends_with(".bin") => Some(Kind::Xlsb),
            "xl" => Some(Kind::Xlsx),
            _ => None,
        }
    }

    /// The part that an Office document begins with.
    pub fn main_part(&mut self) -> Result<Option<String>, Failure> {
        let relations = self.relations("")?;
        let main = relations.into_iter().find(|relation| relation.kind == "officeDocument");
        Ok(main.map(|relation| relation.target))
    }

    /// Counts what the archive says that all its parts unpack to, for a reader that unpacks by itself. One that says too
    /// little is stopped by the memory of its process.
    pub fn count_declared(&mut self) -> Result<(), Failure> {
        for index in 0..self.archive.len() {
            let size = self.archive.by_index_data(index).map(|entry| entry.size()).unwrap_or_default();
            self.nesting.unpacked(size)?;
        }
        Ok(())
    }

    /// Calls back for every event of a part; `false` when there is no such part.
    pub fn events(
        &mut self,
        part: &str,
        each: impl FnMut(Event<'_>) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        let bytes_max = self.nesting.left();
        let file = match self.archive.by_name(part) {
            Ok(file) => file,
            Err(ZipError::FileNotFound) => return Ok(false),
            Err(error) => return Err(zip_failure(part, error)),
        };
        let from = BufReader::with_capacity(64 << 10, file);
        let (read, outcome) = events(from, part, bytes_max, self.limits, each);
        // First: over the budget, the outcome only tells that the part was cut.
        self.nesting.unpacked(read)?;
        outcome.map(|()| true)
    }

    /// A part's bytes, as far as they are allowed to be held; `None` when there is no such part.
    pub fn bytes(&mut self, part: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, Failure> {
        let file = match self.archive.by_name(part) {
            Ok(file) => file,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(zip_failure(part, error)),
        };
        let mut bytes = Vec::new();
        let read = file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes);
        self.nesting.unpacked(bytes.len() as u64)?;
        read.map_err(|error| read_failure(part, &error))?;
        if bytes.len() as u64 > bytes_max {
            let detail = format!("{part} is larger than {} MiB", bytes_max >> 20);
            return Err(Failure::new(FailureCode::LimitFileSize, detail));
        }
        Ok(Some(bytes))
    }

    /// A part as text, its start where it is long; empty when there is none that can be read.
    fn text(&mut self, part: &str) -> String {
        let Ok(file) = self.archive.by_name(part) else { return String::new() };
        let mut bytes = Vec::new();
        // What cannot be looked into is none of what is looked for.
        let _ = file.take(LOOK_BYTES_MAX).read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What `<title>` says in a part of properties.
    pub fn title(&mut self, part: &str) -> Option<String> {
        let (mut inside, mut title) = (false, String::new());
        let read = self.events(part, |event| {
            match event {
                Event::Start(tag) => inside = title.is_empty() && local(tag.name().as_ref()) == "title",
                Event::End(_) => inside = false,
                Event::Text(text) if inside => title.push_str(&text),
                Event::GeneralRef(reference) if inside => push_reference(&mut title, &reference),
                _ => {}
            }
            Ok(())
        });
        // Damage of what is beside the text is none of the text's.
        read.ok()?;
        (!title.trim().is_empty()).then_some(title)
    }

    /// What a part refers to within the package, in the order of the file; of the package itself with an empty name.
    pub fn relations(&mut self, part: &str) -> Result<Vec<Relation>, Failure> {
        let (folder, file) = part.rsplit_once('/').unwrap_or(("", part));
        let slash = if folder.is_empty() { "" } else { "/" };
        let mut relations = Vec::new();
        let mut seen = HashSet::new();
        self.events(&format!("{folder}{slash}_rels/{file}.rels"), |event| {
            if let Event::Empty(tag) | Event::Start(tag) = event
                && attribute(&tag, "TargetMode").as_deref() != Some("External")
                && let (Some(id), Some(target)) = (attribute(&tag, "Id"), attribute(&tag, "Target"))
                && seen.insert(id.clone())
            {
                let kind = attribute(&tag, "Type").unwrap_or_default();
                let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
                relations.push(Relation { id, kind, target: resolve(folder, &target) });
            }
            Ok(())
        })?;
        Ok(relations)
    }
}

/// The part that is meant by a path which stands in a part of this folder.
pub(super) fn resolve(folder: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for step in target.split('/') {
        match step {
            ".." => drop(parts.pop()),
            "." | "" => {}
            step => parts.push(step),
        }
    }
    parts.join("/")
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    /// A zip archive of these parts.
    pub fn zip(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in parts {
            writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn package<R>(parts: &[(&str, &str)], limits: &Limits, look: impl FnOnce(&mut Package<'_>) -> R) -> R {
        let mut nesting = Nesting::new(limits);
        let source = Source::memory(zip(parts));
        look(&mut Package::open(source, limits, &mut nesting).unwrap())
    }

    #[test]
    fn the_directory_and_the_relations_tell_what_it_is() {
        let kind = |parts: &[(&str, &str)]| package(parts, &Limits::default(), |package| package.kind());
        assert_eq!(kind(&[("a.txt", "x")]), None);
        assert_eq!(kind(&[("[Content_Types].xml", ""), ("word/document.xml", "")]), Some(Kind::Docx));
        let relations = r#"<Relationships><Relationship Id="r" Type="http://x/relationships/officeDocument"
            Target="/word/document2.xml"/></Relationships>"#;
        assert_eq!(kind(&[("_rels/.rels", relations), ("word/document2.xml", "")]), Some(Kind::Docx));
    }

    #[test]
    fn a_directory_that_is_encrypted_is_no_damage() {
        let code = |flags: u8| {
            let head = [b"PK\x03\x04\x33\0\x41".as_slice(), &[flags], &[0u8; 40], b"PK\x05\x06"].concat();
            open_zip(Source::memory(head)).err().map(|failure| failure.code)
        };
        assert_eq!((code(0x20), code(0)), (Some(FailureCode::Encrypted), Some(FailureCode::Damaged)));
    }

    #[test]
    fn all_parts_share_one_budget() {
        let limits = Limits { unpacked_mib: 1, file_mib: 1, ..Limits::default() };
        let part = format!("<a>{}</a>", "<b/>".repeat(150_000));
        let outcomes = package(&[("a", &part), ("b", &part)], &limits, |package| {
            ["a", "b"].map(|part| package.events(part, |_| Ok(())).map_err(|failure| failure.code))
        });
        assert_eq!(outcomes, [Ok(true), Err(FailureCode::LimitUnpacked)]);
    }

    #[test]
    fn paths_stay_within_the_package() {
        assert_eq!(resolve("ppt/slides", "../notesSlides/n.xml"), "ppt/notesSlides/n.xml");
        assert_eq!(resolve("", "word/document.xml"), "word/document.xml");
        assert_eq!(resolve("a", "../../../etc/passwd"), "etc/passwd");
        assert_eq!(resolve("a", "/b/c"), "b/c");
    }
}
