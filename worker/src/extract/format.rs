//! What is read: one table of formats, with the media type, the names, the place and the reader of each.
//! Sniffing, dispatch and the reference are made of it. Reads nothing itself.

use docmill_core::failure::Failure;
use docmill_core::page::DocumentInfo;
use serde::{Deserialize, Serialize};

use super::source::Source;
use super::work::Work;
use super::{
    archive, epub, gzip, html, mail, markup, office, ole, package, pdf, picture, rtf, spreadsheet, text,
};

/// A format. What a container is, is known only when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// PDF.
    Pdf,
    /// Word document.
    Docx,
    /// PowerPoint presentation.
    Pptx,
    /// Excel workbook of XML parts.
    Xlsx,
    /// Excel workbook of binary parts.
    Xlsb,
    /// Excel workbook of before 2007.
    Xls,
    /// OpenDocument spreadsheet.
    Ods,
    /// OpenDocument text.
    Odt,
    /// OpenDocument presentation or drawing.
    Odp,
    /// OpenDocument of any kind as one XML file.
    FlatOdf,
    /// EPUB book.
    Epub,
    /// Word document of before 2007.
    Doc,
    /// PowerPoint presentation of before 2007.
    Ppt,
    /// Mail as Outlook keeps it.
    Msg,
    /// A zip archive: which document it is, its directory tells.
    Zip,
    /// An OLE container: which document it is, its directory tells.
    Ole,
    /// TAR archive.
    Tar,
    /// 7z archive.
    SevenZ,
    /// One packed file.
    Gzip,
    /// RTF.
    Rtf,
    /// PNG picture.
    Png,
    /// JPEG picture.
    Jpeg,
    /// GIF picture, the first of its frames.
    Gif,
    /// WebP picture, the first of its frames.
    Webp,
    /// Windows bitmap.
    Bmp,
    /// TIFF picture, of many pages too.
    Tiff,
    /// HTML.
    Html,
    /// XML of any vocabulary.
    Xml,
    /// SVG: the text in a picture.
    Svg,
    /// One mail.
    Eml,
    /// Many mails in one file.
    Mbox,
    /// Markdown.
    Markdown,
    /// Comma, semicolon or tab separated values.
    Csv,
    /// One JSON value, or one a line.
    Json,
    /// YAML.
    Yaml,
    /// Source code.
    Code,
    /// Any other text.
    Text,
    /// Not a format that is read.
    Unknown,
}

/// Where a format is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the worker's own process: plain text, which no parser can die over.
    InProcess,
    /// In a child process.
    Child,
}

/// Reads a document that was found to be of its format and sends its pages. Does not end the document: there may be
/// others beside it in what it lies in.
pub(super) type Read = fn(Source, &mut Work<'_, '_>) -> Result<(), Failure>;

/// One row of the table.
pub struct Format {
    /// What it is.
    pub kind: Kind,
    /// Its name, for people.
    pub name: &'static str,
    /// IANA media type.
    pub media_type: &'static str,
    /// Usual ends of file names, in lower case.
    pub extensions: &'static [&'static str],
    /// Whether it is text, and so told from other text by the name alone.
    pub is_text: bool,
    /// A real file of it that the tests read: a path in the repository, or a package of others that they have and a path in
    /// that, with a colon between.
    pub example: &'static str,
    /// Where it is read.
    pub place: Place,
    pub(super) read: Read,
}

/// A format that is told by its bytes and read in a child.
const fn binary(
    kind: Kind,
    name: &'static str,
    media_type: &'static str,
    extensions: &'static [&'static str],
    example: &'static str,
    read: Read,
) -> Format {
    Format { kind, name, media_type, extensions, is_text: false, example, place: Place::Child, read }
}

/// A format of text that is read in a child.
const fn markup(
    kind: Kind,
    name: &'static str,
    media_type: &'static str,
    extensions: &'static [&'static str],
    example: &'static str,
    read: Read,
) -> Format {
    Format { kind, name, media_type, extensions, is_text: true, example, place: Place::Child, read }
}

/// A format of text that is read in the worker's own process.
const fn plain(
    kind: Kind,
    name: &'static str,
    media_type: &'static str,
    extensions: &'static [&'static str],
    example: &'static str,
) -> Format {
    let (place, read) = (Place::InProcess, text::read);
    Format { kind, name, media_type, extensions, is_text: true, example, place, read }
}

const CODE: &[&str] = &[
    "rs", "py", "js", "ts", "tsx", "jsx", "go", "java", "kt", "c", "h", "cc", "cpp", "hpp", "cs", "rb",
    "php", "swift", "scala", "sh", "bash", "sql", "lua", "pl", "r", "toml", "ini", "css", "proto",
];

/// All formats.
#[rustfmt::skip]
pub static FORMATS: &[Format] = &[
    binary(Kind::Pdf, "PDF", "application/pdf", &["pdf"], "tracker-miners:tests/functional-tests/test-extraction-data/office/pdf-doc.pdf", pdf::read),
    binary(Kind::Docx, "Word", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", &["docx", "docm", "dotx"], "python-docx:features/steps/test_files/comments-rich-para.docx", office::docx),
    binary(Kind::Pptx, "PowerPoint", "application/vnd.openxmlformats-officedocument.presentationml.presentation", &["pptx", "pptm", "ppsx"], "worker/tests/fixtures/formats/deck.pptx", office::pptx),
    binary(Kind::Xlsx, "Excel", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", &["xlsx", "xlsm"], "worker/tests/fixtures/formats/sheet.xlsx", spreadsheet::xlsx),
    binary(Kind::Xlsb, "Excel, binary", "application/vnd.ms-excel.sheet.binary.macroEnabled.12", &["xlsb"], "tika:test-documents/testEXCEL_various.xlsb", spreadsheet::xlsb),
    binary(Kind::Xls, "Excel 97", "application/vnd.ms-excel", &["xls"], "worker/tests/fixtures/formats/sheet.xls", spreadsheet::xls),
    binary(Kind::Ods, "OpenDocument spreadsheet", "application/vnd.oasis.opendocument.spreadsheet", &["ods"], "worker/tests/fixtures/formats/sheet.ods", spreadsheet::ods),
    binary(Kind::Odt, "OpenDocument text", "application/vnd.oasis.opendocument.text", &["odt", "ott"], "tracker-miners:tests/functional-tests/test-extraction-data/office/oasis-doc.odt", office::odf),
    binary(Kind::Odp, "OpenDocument presentation", "application/vnd.oasis.opendocument.presentation", &["odp", "odg"], "odfpy:tests/examples/ol.odp", office::odf),
    binary(Kind::FlatOdf, "OpenDocument, flat", "application/vnd.oasis.opendocument.text-flat-xml", &["fodt", "fods", "fodp"], "worker/tests/fixtures/formats/flat.fodt", office::flat_odf),
    binary(Kind::Epub, "EPUB", "application/epub+zip", &["epub"], "worker/tests/fixtures/formats/book.epub", epub::read),
    binary(Kind::Png, "PNG", "image/png", &["png"], "worker/tests/fixtures/formats/picture.png", picture::read),
    binary(Kind::Jpeg, "JPEG", "image/jpeg", &["jpg", "jpeg"], "worker/tests/fixtures/formats/picture.jpg", picture::read),
    binary(Kind::Gif, "GIF", "image/gif", &["gif"], "worker/tests/fixtures/formats/picture.gif", picture::read),
    binary(Kind::Webp, "WebP", "image/webp", &["webp"], "worker/tests/fixtures/formats/picture.webp", picture::read),
    binary(Kind::Bmp, "BMP", "image/bmp", &["bmp"], "worker/tests/fixtures/formats/picture.bmp", picture::read),
    binary(Kind::Tiff, "TIFF", "image/tiff", &["tif", "tiff"], "worker/tests/fixtures/formats/picture.tif", picture::pages),
    binary(Kind::Zip, "ZIP archive", "application/zip", &["zip"], "worker/tests/fixtures/formats/archive.zip", package::read),
    binary(Kind::Doc, "Word 97", "application/msword", &["doc", "dot"], "tracker-miners:tests/functional-tests/test-extraction-data/office/office-doc.doc", office::doc),
    binary(Kind::Ppt, "PowerPoint 97", "application/vnd.ms-powerpoint", &["ppt", "pps"], "tracker-miners:tests/functional-tests/test-extraction-data/office/powerpoint.ppt", office::ppt),
    binary(Kind::Msg, "Outlook mail", "application/vnd.ms-outlook", &["msg"], "libemail-outlook-message-perl:t/files/plain_uc_unsent.msg", mail::msg),
    binary(Kind::Ole, "OLE container", "application/x-ole-storage", &[], "worker/tests/fixtures/formats/locked.docx", ole::read),
    binary(Kind::Rtf, "RTF", "application/rtf", &["rtf"], "worker/tests/fixtures/formats/letter.rtf", rtf::read),
    binary(Kind::Tar, "TAR archive", "application/x-tar", &["tar"], "worker/tests/fixtures/formats/archive.tar", archive::tar),
    binary(Kind::SevenZ, "7z archive", "application/x-7z-compressed", &["7z"], "worker/tests/fixtures/formats/archive.7z", archive::sevenz),
    binary(Kind::Gzip, "GZIP", "application/gzip", &["gz"], "worker/tests/fixtures/formats/member.txt.gz", gzip::read),
    markup(Kind::Html, "HTML", "text/html", &["html", "htm", "xhtml"], "worker/tests/fixtures/formats/page.html", html::read),
    markup(Kind::Xml, "XML", "application/xml", &["xml", "rss", "atom", "rdf", "dbk", "tei", "kml", "gpx", "xsd", "xsl", "xslt", "plist"], "defusedxml:xmltestdata/simple.xml", markup::read),
    markup(Kind::Svg, "SVG", "image/svg+xml", &["svg"], "worker/tests/fixtures/formats/drawing.svg", markup::read),
    markup(Kind::Eml, "Mail", "message/rfc822", &["eml", "mht", "mhtml"], "libemail-outlook-message-perl:t/files/plain_uc_unsent.eml", mail::eml),
    markup(Kind::Mbox, "Mailbox", "application/mbox", &["mbox"], "worker/tests/fixtures/formats/mails.mbox", mail::mbox),
    plain(Kind::Markdown, "Markdown", "text/markdown", &["md", "markdown", "mdx"], "README.md"),
    plain(Kind::Csv, "CSV", "text/csv", &["csv", "tsv", "tab"], "tests/src/hostile/pins.tsv"),
    plain(Kind::Json, "JSON", "application/json", &["json", "jsonl", "ndjson", "geojson"], "docs/reference/openapi.json"),
    plain(Kind::Yaml, "YAML", "application/yaml", &["yaml", "yml"], "manifests/samples/minimal.yaml"),
    plain(Kind::Text, "Text", "text/plain", &["txt", "text", "log"], "bench/extract/requirements.txt"),
    plain(Kind::Code, "Source code", "text/plain", CODE, "worker/src/lib.rs"),
];

impl Format {
    /// The row of a kind; none of what is not read.
    pub fn of(kind: Kind) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.kind == kind)
    }

    /// The text format whose files have names like this.
    pub(super) fn of_text(name: &str) -> Option<&'static Self> {
        let extension = name.rsplit_once('.')?.1.to_ascii_lowercase();
        FORMATS.iter().find(|format| format.is_text && format.extensions.contains(&extension.as_str()))
    }
}

impl Kind {
    /// IANA media type.
    pub fn media_type(self) -> &'static str {
        Format::of(self).map_or("application/octet-stream", |format| format.media_type)
    }
}

/// What can be lost of a document without the rest of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Apart {
    /// Nothing: it is read as a whole.
    Nothing,
    /// Pages: readers of these formats find a page without looking at those before it.
    Pages,
    /// What lies in it, or pages of that.
    Documents,
}

impl Apart {
    /// Of documents of a kind.
    pub fn of_kind(kind: Kind) -> Self {
        match kind {
            Kind::Pdf | Kind::Tiff => Self::Pages,
            // Containers of which it is not known yet which document they are.
            Kind::Zip | Kind::Ole | Kind::Gzip => Self::Documents,
            Kind::Tar | Kind::SevenZ | Kind::Eml | Kind::Mbox | Kind::Msg => Self::Documents,
            _ => Self::Nothing,
        }
    }

    /// Of a document that has said what it is.
    pub fn of(info: &DocumentInfo) -> Self {
        let format = FORMATS.iter().find(|format| format.media_type == info.media_type);
        match format.map_or(Self::Nothing, |format| Self::of_kind(format.kind)) {
            Self::Pages if info.page_count == Some(1) => Self::Nothing,
            apart => apart,
        }
    }
}

/// Whether this kind is decoded in the worker's own process: plain text, which no parser can die over.
pub fn is_in_process(kind: Kind) -> bool {
    Format::of(kind).is_some_and(|format| format.place == Place::InProcess)
}

/// Whether all bytes of a file of this kind are held at once by whoever reads it. Others are read from where they lie, in
/// parts, and may be larger than any memory.
pub(super) fn is_held_whole(kind: Kind) -> bool {
    use Kind::{Bmp, Doc, Eml, Gif, Html, Jpeg, Mbox, Msg, Ole, Png, Ppt, Rtf, Tiff, Webp};
    matches!(kind, Bmp | Doc | Eml | Gif | Html | Jpeg | Mbox | Msg | Ole | Png | Ppt | Rtf | Tiff | Webp)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kind_has_one_row_and_every_extension_one_text_format() {
        let mut kinds = HashSet::new();
        let mut extensions = HashSet::new();
        for format in FORMATS {
            assert!(kinds.insert(format.kind), "{:?} stands twice", format.kind);
            for extension in format.extensions {
                assert!(extensions.insert(extension), "{extension} stands twice");
                assert_eq!(*extension, extension.to_ascii_lowercase());
            }
        }
        assert!(!kinds.contains(&Kind::Unknown));
    }

    #[test]
    fn only_what_has_several_pages_of_its_own_or_documents_in_it_can_lose_one() {
        let apart = |kind: Kind, page_count| {
            Apart::of(&DocumentInfo { title: None, media_type: kind.media_type().to_owned(), page_count })
        };
        assert_eq!((apart(Kind::Pdf, Some(2)), apart(Kind::Tiff, None)), (Apart::Pages, Apart::Pages));
        for kind in [Kind::Zip, Kind::Tar, Kind::SevenZ, Kind::Eml, Kind::Mbox, Kind::Msg] {
            assert_eq!(apart(kind, None), Apart::Documents);
        }
        for (kind, pages) in [(Kind::Pdf, Some(1)), (Kind::Docx, None), (Kind::Pptx, Some(9))] {
            assert_eq!(apart(kind, pages), Apart::Nothing);
        }
    }
}
