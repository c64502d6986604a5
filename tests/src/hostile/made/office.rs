//! 29 to 32, 39, 41 to 46: Office documents whose XML grows, names what is elsewhere, or says what is not so.

use std::io::{Cursor, Write};

use cfb::CompoundFile;
use docmill_core::failure::FailureCode::{Damaged, Encrypted};

use super::packed::{Member, deflated, stored, zip};
use super::{Made, World, made};

const WORD: &str = r#"xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main""#;
const SHEET: &str = r#"xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main""#;
const RELATIONS: &str = r#"xmlns="http://schemas.openxmlformats.org/package/2006/relationships""#;
const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";

/// What every text here ends with.
const LAST: &str = "and words after it";

pub fn files(world: &World) -> Vec<Made> {
    let mut files = entities(world);
    files.extend(elsewhere(world));
    files.extend(sheets());
    files.extend(containers());
    files.extend(others(world));
    files
}

fn document(before: &str, text: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>{before}<w:document {WORD}><w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p>\
         <w:p><w:r><w:t>{LAST}</w:t></w:r></w:p></w:body></w:document>"
    )
}

fn docx(document: &str, more: Vec<Member>) -> Vec<u8> {
    let mut parts = vec![
        stored("[Content_Types].xml", b"<Types/>"),
        deflated("word/document.xml", document.as_bytes()),
    ];
    parts.extend(more);
    zip(&parts)
}

fn entities(world: &World) -> Vec<Made> {
    let mut laughs = "<!ENTITY a0 \"ha\">".to_owned();
    for level in 1..10 {
        let ten = format!("&a{};", level - 1).repeat(10);
        laughs += &format!("<!ENTITY a{level} \"{ten}\">");
    }
    let laughs = format!("<!DOCTYPE x [{laughs}]>");
    let long = format!("<!DOCTYPE x [<!ENTITY a \"{}\">]>", "ha".repeat(500_000));
    let outer = format!(
        "<!DOCTYPE x [<!ENTITY f SYSTEM \"{}\"><!ENTITY w SYSTEM \"{}\"><!ENTITY % p SYSTEM \"{}\">%p;]>",
        world.secret_url(),
        world.url("entity"),
        world.url("parameter")
    );
    let xml = |before: &str, text: &str| format!("<?xml version=\"1.0\"?>{before}<x>{text} {LAST}</x>");
    vec![
        made(29, "laughs.docx", docx(&document(&laughs, "&a9;"), Vec::new())).holds(LAST).lacks("haha"),
        made(29, "laughs.xml", xml(&laughs, "&a9;")).holds(LAST).lacks("haha"),
        made(30, "quadratic.docx", docx(&document(&long, &"&a;".repeat(10_000)), Vec::new()))
            .holds(LAST)
            .lacks("haha"),
        made(30, "quadratic.xml", xml(&long, &"&a;".repeat(10_000))).holds(LAST).lacks("haha"),
        made(31, "outer.docx", docx(&document(&outer, "&f;&w;"), Vec::new())).holds(LAST),
        made(31, "outer.xml", xml(&outer, "&f;&w;")).holds(LAST),
    ]
}

/// Relations to what is not in the file.
fn elsewhere(world: &World) -> Vec<Made> {
    let relation = |id: u32, kind: &str, target: &str| {
        format!(
            r#"<Relationship Id="r{id}" Type="{OFFICE}/{kind}" Target="{target}" TargetMode="External"/>"#
        )
    };
    let relations = [
        relation(1, "attachedTemplate", &world.url("template.dotm")),
        relation(2, "image", &world.url("image.png")),
        relation(3, "oleObject", &world.secret_url()),
        relation(4, "header", &world.url("header.xml")),
        relation(5, "frame", "\\\\127.0.0.1\\share\\frame.docx"),
    ];
    let relations = format!("<Relationships {RELATIONS}>{}</Relationships>", relations.concat());
    let macros = stored("word/vbaProject.bin", b"Sub AutoOpen() Shell(\"calc\") End Sub");
    let up = format!(
        r#"<Relationships {RELATIONS}><Relationship Id="r1" Type="{OFFICE}/header" Target="../../../..{}"/></Relationships>"#,
        world.secret.display()
    );
    vec![
        made(
            32,
            "elsewhere.docx",
            docx(
                &document("", "first"),
                vec![stored("word/_rels/document.xml.rels", relations.as_bytes())],
            ),
        )
        .holds(LAST),
        made(
            32,
            "upwards.docx",
            docx(&document("", "first"), vec![stored("word/_rels/document.xml.rels", up.as_bytes())]),
        )
        .holds(LAST),
        made(43, "macros.docm", docx(&document("", "first"), vec![macros])).holds(LAST).lacks("AutoOpen"),
    ]
}

fn xlsx(sheet: &str, more: Vec<Member>) -> Vec<u8> {
    let main = format!(
        r#"<Relationships {RELATIONS}><Relationship Id="r1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#
    );
    let book = format!(
        r#"<workbook {SHEET} xmlns:r="{OFFICE}"><sheets><sheet name="Costs" sheetId="1" r:id="r1"/></sheets></workbook>"#
    );
    let relations = format!(
        r#"<Relationships {RELATIONS}><Relationship Id="r1" Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="r2" Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml"/></Relationships>"#
    );
    let types = r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>"#;
    let strings = format!(r#"<sst {SHEET} count="1" uniqueCount="1"><si><t>shared words</t></si></sst>"#);
    let mut parts = vec![
        stored("[Content_Types].xml", types.as_bytes()),
        stored("_rels/.rels", main.as_bytes()),
        stored("xl/workbook.xml", book.as_bytes()),
        stored("xl/_rels/workbook.xml.rels", relations.as_bytes()),
        stored("xl/sharedStrings.xml", strings.as_bytes()),
        stored("xl/worksheets/sheet1.xml", sheet.as_bytes()),
    ];
    parts.extend(more);
    zip(&parts)
}

fn sheets() -> Vec<Made> {
    let sheet = |cells: &str| {
        format!(
            r#"<worksheet {SHEET}><dimension ref="A1:XFD1048576"/><sheetData>{cells}</sheetData></worksheet>"#
        )
    };
    let first = r#"<row r="1"><c r="A1" t="s"><v>0</v></c></row>"#;
    let far = format!(
        r#"{first}<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>far away</t></is></c></row>"#
    );
    let wrong = format!(r#"{first}<row r="2"><c r="A2" t="s"><v>99999</v></c></row>"#);
    let macros = stored("xl/vbaProject.bin", b"Sub AutoOpen() Shell(\"calc\") End Sub");
    vec![
        made(41, "declared.xlsx", xlsx(&sheet(first), Vec::new())).holds("shared words"),
        made(41, "far.xlsx", xlsx(&sheet(&far), Vec::new())).holds("shared words").holds("far away"),
        made(42, "wrong-string.xlsx", xlsx(&sheet(&wrong), Vec::new())).partial("").holds("shared words"),
        made(43, "macros.xlsm", xlsx(&sheet(first), vec![macros])).holds("shared words").lacks("AutoOpen"),
    ]
}

/// A container of these streams.
pub fn container(streams: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut file = CompoundFile::create(Cursor::new(Vec::new())).unwrap();
    for (path, bytes) in streams {
        if let Some((storage, _)) = path.rsplit_once('/').filter(|(storage, _)| !storage.is_empty()) {
            file.create_storage_all(storage).unwrap();
        }
        file.create_stream(path).unwrap().write_all(bytes).unwrap();
    }
    file.flush().unwrap();
    file.into_inner().into_inner()
}

fn containers() -> Vec<Made> {
    let locked = || {
        container(&[
            ("/EncryptionInfo".to_owned(), vec![4, 0, 4, 0]),
            ("/EncryptedPackage".to_owned(), vec![0x5a; 900]),
        ])
    };
    let word = container(&[("/WordDocument".to_owned(), vec![0; 9_000])]);
    vec![
        made(39, "locked.docx", locked()).fails(Encrypted, "password"),
        made(39, "locked.xlsx", locked()).fails(Encrypted, "password"),
        made(39, "locked.pptx", locked()).fails(Encrypted, "password"),
        made(44, "loop.doc", looped(word.clone(), true)).fails(Damaged, ""),
        made(44, "twice.doc", looped(word, false)).fails(Damaged, ""),
    ]
}

/// Has the sectors of the directory lead to themselves, or a sector of content to one that another leads to.
fn looped(mut container: Vec<u8>, directory: bool) -> Vec<u8> {
    let number =
        |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let sector = 1usize << u16::from_le_bytes([container[0x1e], container[0x1f]]);
    let table = (number(&container, 0x4c) + 1) * sector;
    let first = number(&container, 0x30);
    if directory {
        container[table + first * 4..][..4].copy_from_slice(&u32::try_from(first).unwrap().to_le_bytes());
        return container;
    }
    // Two entries of the table that lead on, and to the same.
    let leads: Vec<usize> = (0..sector / 4)
        .filter(|entry| number(&container, table + entry * 4) < 0xffff_fffa)
        .take(2)
        .collect();
    let to = number(&container, table + leads[0] * 4);
    container[table + leads[1] * 4..][..4].copy_from_slice(&u32::try_from(to).unwrap().to_le_bytes());
    container
}

fn others(world: &World) -> Vec<Made> {
    let beyond = format!(r"{{\rtf1 words before it\par {{\bin2000000000 x}} {LAST}}}");
    let deep = format!(r"{{\rtf1 {}{LAST}{}}}", "{".repeat(200_000), "}".repeat(200_000));
    let field = format!(
        r#"{{\rtf1 {{\field{{\*\fldinst INCLUDEPICTURE "{}"}}{{\fldrslt shown}}}} {LAST}\par}}"#,
        world.url("picture.png")
    );
    let text = format!("<text:p>first</text:p><text:p>{LAST}</text:p>");
    let names = r#"xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0""#;
    let flat = format!(
        "<?xml version=\"1.0\"?><office:document {names}><office:body><office:text>{text}</office:text></office:body>\
         </office:document>"
    );
    let content = format!(
        "<?xml version=\"1.0\"?><office:document-content {names}><office:body><office:text>{text}</office:text>\
         </office:body></office:document-content>"
    );
    let linked = content.replace(
        "<text:p>first",
        &format!("<text:p><draw:image xlink:href=\"{}\"/>first", world.url("odf.png")),
    );
    let odt = |content: &str| {
        zip(&[
            stored("mimetype", b"application/vnd.oasis.opendocument.text"),
            deflated("content.xml", content.as_bytes()),
        ])
    };
    vec![
        made(45, "bin.rtf", beyond).holds("words before it").lacks(LAST),
        made(45, "deep.rtf", deep).fails(Damaged, "too deep"),
        made(45, "field.rtf", field).holds(LAST),
        made(46, "flat.fodt", flat).holds(LAST),
        made(46, "zipped.odt", odt(&content)).holds(LAST),
        made(46, "linked.odt", odt(&linked)).holds(LAST),
    ]
}
