//! Every format, and every way in which a file can be wrong.

use docmill_core::failure::FailureCode;
use docmill_core::page::{BlockKind, PageSource};
use docmill_worker::extract::{ExtractOptions, Input};
use tempfile::tempdir;

use crate::files::{file, gzip, text_pdf, zip};
use crate::{pool, read, read_input};

const WORD: &str = r#"<w:document xmlns:w="w"><w:body>
<w:p><w:pPr><w:pStyle w:val="H1"/></w:pPr><w:r><w:t>Chapter &amp; one</w:t></w:r></w:p>
<w:p><w:r><w:t xml:space="preserve">Hello </w:t></w:r><w:r><w:t>world</w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>
<w:p><w:pPr><w:numPr><w:ilvl w:val="0"/></w:numPr></w:pPr><w:r><w:t>item</w:t></w:r></w:p>
<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc></w:tr>
<w:tr><w:tc><w:p><w:r><w:t>c</w:t></w:r></w:p></w:tc><w:tc><w:p/></w:tc></w:tr></w:tbl>
</w:body></w:document>"#;

fn docx() -> Vec<u8> {
    zip(&[
        ("[Content_Types].xml", "<Types/>"),
        ("docProps/core.xml", r#"<p xmlns:dc="d"><dc:title>The title</dc:title></p>"#),
        (
            "word/styles.xml",
            r#"<w:styles xmlns:w="w"><w:style w:styleId="H1"><w:name w:val="heading 1"/></w:style></w:styles>"#,
        ),
        ("word/document.xml", WORD),
    ])
}

fn pptx() -> Vec<u8> {
    let slide = |title: &str, body: &str| {
        format!(
            r#"<p:sld xmlns:p="p" xmlns:a="a"><p:sp><p:nvPr><p:ph type="title"/></p:nvPr><a:p><a:r><a:t>{title}</a:t></a:r></a:p></p:sp><p:sp><p:nvPr><p:ph type="body"/></p:nvPr><a:p><a:r><a:t>{body}</a:t></a:r></a:p></p:sp><p:sp><p:nvPr><p:ph type="sldNum"/></p:nvPr><a:p><a:r><a:t>7</a:t></a:r></a:p></p:sp></p:sld>"#
        )
    };
    let rels = r#"<Relationships><Relationship Id="rA" Target="slides/slide1.xml"/><Relationship Id="rB" Target="slides/slide2.xml"/></Relationships>"#;
    let notes_rels =
        r#"<Relationships><Relationship Id="r1" Target="../notesSlides/notesSlide1.xml"/></Relationships>"#;
    zip(&[
        (
            "ppt/presentation.xml",
            r#"<p:presentation xmlns:p="p" xmlns:r="r"><p:sldIdLst><p:sldId id="256" r:id="rB"/><p:sldId id="257" r:id="rA"/></p:sldIdLst></p:presentation>"#,
        ),
        ("ppt/_rels/presentation.xml.rels", rels),
        ("ppt/slides/slide1.xml", &slide("Second", "two")),
        ("ppt/slides/_rels/slide1.xml.rels", notes_rels),
        (
            "ppt/notesSlides/notesSlide1.xml",
            r#"<p:notes xmlns:p="p" xmlns:a="a"><a:p><a:r><a:t>said aloud</a:t></a:r></a:p></p:notes>"#,
        ),
        ("ppt/slides/slide2.xml", &slide("First", "one")),
    ])
}

fn xlsx() -> Vec<u8> {
    zip(&[
        (
            "[Content_Types].xml",
            r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>"#,
        ),
        (
            "_rels/.rels",
            r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#,
        ),
        (
            "xl/workbook.xml",
            r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Costs" sheetId="1" r:id="r1"/><sheet name="More" sheetId="2" r:id="r2"/></sheets></workbook>"#,
        ),
        (
            "xl/_rels/workbook.xml.rels",
            r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="r2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet2.xml"/></Relationships>"#,
        ),
        (
            "xl/styles.xml",
            r#"<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>"#,
        ),
        (
            "xl/worksheets/sheet1.xml",
            r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>day</t></is></c><c r="C1" t="inlineStr"><is><t>sum</t></is></c></row><row r="2"><c r="A2" s="1"><v>45366</v></c><c r="C2"><v>12.5</v></c></row></sheetData></worksheet>"#,
        ),
        (
            "xl/worksheets/sheet2.xml",
            r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="A1"><v>7</v></c></row></sheetData></worksheet>"#,
        ),
    ])
}

#[tokio::test]
async fn office_files_keep_their_structure() {
    use BlockKind::{Heading, ListItem, Paragraph, Table};
    let folder = tempdir().unwrap();
    let pool = pool(1, ExtractOptions::default());

    let word = read(&pool, &file(folder.path(), "a.docx", docx())).await;
    let found: Vec<_> = word.blocks().iter().map(|block| (block.kind, block.text.as_str())).collect();
    let expected =
        [(Heading(1), "Chapter & one"), (Paragraph, "Hello world"), (ListItem, "item"), (Table, "a\tb\nc")];
    assert_eq!(found, expected);
    assert_eq!(word.info.unwrap().title.as_deref(), Some("The title"));

    let slides = read(&pool, &file(folder.path(), "a.pptx", pptx())).await;
    assert_eq!(slides.text(), "First|one|Second|two|said aloud");
    assert_eq!(slides.pages.len(), 2);
    assert_eq!(slides.pages[0].blocks[0].kind, Heading(1));

    let sheets = read(&pool, &file(folder.path(), "a.xlsx", xlsx())).await;
    assert_eq!(sheets.text(), "Costs|day\t\tsum\n2024-03-15\t\t12.5|More|7");
    assert_eq!(sheets.pages.len(), 2);
}

#[tokio::test]
async fn content_decides_not_the_name_and_packed_files_are_unpacked() {
    let folder = tempdir().unwrap();
    let pool = pool(2, ExtractOptions::default());
    for (name, bytes, expected) in [
        ("really-a.pdf", docx(), "Chapter & one|Hello world|item|a\tb\nc"),
        ("really-a.txt", text_pdf(&["A page"]), "A page"),
        ("a.pdf.gz", gzip(&text_pdf(&["A page"])), "A page"),
        ("a.csv.gz", gzip(b"x,y\n1,2\n"), "x\ty\n1\t2"),
        ("a.html", b"<title>T</title><h1>H</h1><p>x".to_vec(), "H|x"),
        ("a.xml", b"<?xml version='1.0'?><a><b>x</b></a>".to_vec(), "x"),
        ("a.rtf", br"{\rtf1 {\b x}\par y}".to_vec(), "x|y"),
        ("a.zip", zip(&[("a.txt", "x"), ("b/c.csv", "y,z")]), "a.txt|x|b/c.csv|y\tz"),
        (
            "a.eml",
            b"From: a\nTo: b\nSubject: s\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\n\
              Content-Type: text/csv; name=c.csv\n\ny,z\n--b--\n"
                .to_vec(),
            "s|From: a\nTo: b|x|c.csv|y\tz",
        ),
        (
            "sjis.txt",
            encoding_rs::SHIFT_JIS
                .encode("日本語の文章を正しく読み取れることを確認します。")
                .0
                .into_owned(),
            "日本語の文章を正しく読み取れることを確認します。",
        ),
    ] {
        let read = read(&pool, &file(folder.path(), name, bytes)).await;
        assert_eq!(read.text(), expected, "{name}");
        assert!(read.pages.iter().all(|page| page.source == PageSource::TextLayer));
    }
}

#[tokio::test]
async fn plain_text_needs_no_child() {
    let folder = tempdir().unwrap();
    let pool = pool(1, ExtractOptions::default());
    let read = read(&pool, &file(folder.path(), "a.md", "# H\ntext\n")).await;
    assert_eq!(read.text(), "H|text");
    assert_eq!(pool.child_pids(), [0u32; 0]);
}

#[tokio::test]
async fn every_wrong_file_has_its_code() {
    let folder = tempdir().unwrap();
    let mut options = ExtractOptions::default();
    options.limits.file_mib = 1;
    options.limits.text_mib = 1;
    options.limits.pdf_pages = 2;
    let pool = pool(1, options);
    let pdf = text_pdf(&["One", "Two"]);
    let ole: Vec<u8> = [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]
        .into_iter()
        .chain("EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    let long = "many words ".repeat(120_000);
    let long_docx = zip(&[("word/document.xml", &WORD.replace("Hello", &long))]);
    for (name, bytes, code) in [
        ("empty.pdf", Vec::new(), FailureCode::Empty),
        ("empty.txt.gz", gzip(b""), FailureCode::Empty),
        ("blank.txt", b" \n\n".to_vec(), FailureCode::NoText),
        ("blank.pdf", text_pdf(&["", ""]), FailureCode::NoText),
        ("program.txt", b"\x7fELF\x02\x01\x01\0\0\0".to_vec(), FailureCode::TypeUnsupported),
        ("image.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(), FailureCode::Damaged),
        ("program.zip", zip(&[("a.exe", "MZ\0\0\x01\x02")]), FailureCode::TypeUnsupported),
        ("cut.pdf", pdf[..120].to_vec(), FailureCode::Damaged),
        ("cut.docx", docx()[..200].to_vec(), FailureCode::Damaged),
        ("cut.txt.gz", gzip(&[b'x'; 9_000])[..20].to_vec(), FailureCode::Damaged),
        ("locked.docx", ole, FailureCode::Encrypted),
        ("locked.pdf", include_bytes!("../fixtures/locked.pdf").to_vec(), FailureCode::Encrypted),
        ("three.pdf", text_pdf(&["1", "2", "3"]), FailureCode::LimitPages),
        ("large.txt", vec![b'x'; (1 << 20) + 1], FailureCode::LimitFileSize),
        ("bomb.txt.gz", gzip(&vec![b'x'; 2 << 20]), FailureCode::LimitFileSize),
        ("long.docx", long_docx, FailureCode::LimitText),
    ] {
        let read = read(&pool, &file(folder.path(), name, bytes)).await;
        assert_eq!(read.failure().code, code, "{name}: {:?}", read.outcome);
    }
    let owner_only = file(folder.path(), "owner.pdf", include_bytes!("../fixtures/owner-only.pdf"));
    assert_eq!(read(&pool, &owner_only).await.text(), "Read without a password");
    let gone = read(&pool, &folder.path().join("gone")).await;
    assert_eq!(gone.failure().code, FailureCode::Vanished);
    let path = file(folder.path(), "grown.txt", "abc");
    let grown = read_input(&pool, "t", Input { bytes: 2, ..Input::new(&path) }).await;
    assert_eq!(grown.failure().code, FailureCode::ChangedWhileRead);
    assert_eq!(read(&pool, folder.path()).await.failure().code, FailureCode::Unreadable);
    assert_eq!(pool.child_pids().len(), 1, "no wrong file cost a child");
}
