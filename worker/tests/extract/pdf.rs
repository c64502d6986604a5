//! PDF: damage, passwords, turned pages, tables, forms, and the reason of every page without text.

use docmill_core::failure::FailureCode;
use docmill_core::page::{BlockKind, PageSource};
use docmill_worker::extract::{ExtractOptions, OcrMode, passwords};
use tempfile::tempdir;

use crate::files::{file, pdf, pdf_of, scan_pdf, stream, text_pdf};
use crate::{Read, pool, read};

/// What comes out of these bytes.
async fn read_bytes(bytes: &[u8], options: ExtractOptions) -> Read {
    let folder = tempdir().unwrap();
    read(&pool(1, options), &file(folder.path(), "a.pdf", bytes)).await
}

fn position(bytes: &[u8], needle: &str) -> usize {
    bytes.windows(needle.len()).position(|window| window == needle.as_bytes()).unwrap()
}

fn note(read: &Read, page: usize) -> &str {
    read.pages[page].note.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn damaged_files_are_repaired_and_their_pages_say_so() {
    let whole = text_pdf(&["First page", "Second page"]);
    let table = position(&whole, "xref\n");
    let second = position(&whole, "Second page");
    // The catalog and the tree of pages are the first objects.
    let pages = position(&whole, "4 0 obj");
    let junk = [&[b'\x01'; 5_000][..], whole.as_slice()].concat();
    for (what, bytes, text, says) in [
        ("the table is missing", whole[..table].to_vec(), "First page|Second page", "repaired copy"),
        (
            "it is cut in the last page",
            whole[..second + 15].to_vec(),
            "First page|Second page",
            "repaired copy",
        ),
        ("much stands before the header", junk, "First page|Second page", "repaired copy"),
        (
            "catalog and tree are missing",
            [&b"%PDF-1.4\n"[..], &whole[pages..table]].concat(),
            "First page|Second page",
            "may lack or be out of order",
        ),
    ] {
        let read = read_bytes(&bytes, ExtractOptions::default()).await;
        assert_eq!(read.text(), text, "{what}");
        for page in 0..read.pages.len() {
            assert!(note(&read, page).contains(says), "{what}: {}", note(&read, page));
        }
    }
    // These pdfium sees through by itself.
    let start = format!("startxref\n{table}");
    let wrong = String::from_utf8(whole).unwrap().replace(&start, "startxref\n7");
    let read = read_bytes(wrong.as_bytes(), ExtractOptions::default()).await;
    assert_eq!(read.text(), "First page|Second page");
    assert_eq!(note(&read, 0), "");
}

#[tokio::test]
async fn what_cannot_be_repaired_is_said_in_plain_words() {
    let whole = text_pdf(&["First page"]);
    for bytes in [&whole[..120], b"%PDF-1.7\n", b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj"] {
        let read = read_bytes(bytes, ExtractOptions::default()).await;
        let failure = read.failure();
        assert_eq!(failure.code, FailureCode::Damaged);
        assert!(!failure.detail.contains("Pdfium") && !failure.detail.contains("Error"), "{failure}");
    }
}

#[tokio::test]
async fn passwords_are_tried_in_order() {
    let locked = include_bytes!("../fixtures/locked.pdf");
    let with =
        |text: &str| ExtractOptions { passwords: passwords::parse(text).unwrap(), ..Default::default() };
    let read = read_bytes(locked, with("wrong\nuser\n")).await;
    assert_eq!(read.text(), "Read without a password");
    for (given, says) in [("", "none is given"), ("wrong\nhunter2\n", "not among those given (2)")] {
        let read = read_bytes(locked, with(given)).await;
        let failure = read.failure();
        assert_eq!(failure.code, FailureCode::Encrypted);
        assert!(failure.detail.contains(says) && !failure.detail.contains("hunter2"), "{failure}");
    }
}

/// One page with these entries beside its contents.
fn page_with(entries: &str, content: &str, extra: &[Vec<u8>]) -> Vec<u8> {
    // Ends the resources, and begins what takes in their end.
    pdf(&[content.as_bytes().to_vec()], &format!(">>{entries}/Rest<<"), extra)
}

#[tokio::test]
async fn turned_pages_and_turned_text_are_read_whole() {
    let level = "BT /F 14 Tf 18 TL 60 780 Td (A first line at the top) Tj T* (and a second) Tj ET";
    let upward = "BT /F 14 Tf 0 1 -1 0 40 60 Tm (A first line at the top) Tj ET \
        BT /F 14 Tf 0 1 -1 0 58 60 Tm (and a second) Tj ET";
    let over = "BT /F 14 Tf -1 0 0 -1 500 60 Tm (A first line at the top) Tj ET \
        BT /F 14 Tf -1 0 0 -1 500 78 Tm (and a second) Tj ET";
    for (entries, content) in [
        ("", level),
        ("/Rotate 180", level),
        ("/Rotate 270", level),
        ("", upward),
        ("/Rotate 90", upward),
        ("/Rotate 180", over),
    ] {
        let read = read_bytes(&page_with(entries, content, &[]), ExtractOptions::default()).await;
        let text = read.text().replace('|', " ");
        assert_eq!(text, "A first line at the top and a second", "{entries} {content}");
    }
    let aside = read_bytes(&page_with("/Rotate 90", level, &[]), ExtractOptions::default()).await;
    assert!(aside.text().contains("A first line at the top"), "{}", aside.text());
    // The page that is seen begins at 100 points; what stands below it is seen by nobody.
    let cropped = "BT /F 14 Tf 160 780 Td (seen) Tj ET BT /F 14 Tf 160 50 Td (unseen) Tj ET";
    let read =
        read_bytes(&page_with("/CropBox[100 100 595 842]", cropped, &[]), ExtractOptions::default()).await;
    assert_eq!(read.text(), "seen");
}

#[tokio::test]
async fn rows_of_a_table_stay_rows() {
    let rows = [["Fruit", "Count", "Price"], ["pears", "7", "12.00"], ["red apples", "12", "3.50"]];
    let mut content = "BT /F 12 Tf 60 740 Td (A line of words before it) Tj ET ".to_owned();
    for (i, row) in rows.iter().enumerate() {
        for (x, cell) in [60, 220, 330].iter().zip(row) {
            content.push_str(&format!("BT /F 12 Tf {x} {} Td ({cell}) Tj ET ", 700 - 18 * i));
        }
    }
    let read = read_bytes(&pdf(&[content.into_bytes()], "", &[]), ExtractOptions::default()).await;
    let blocks: Vec<_> = read.blocks().iter().map(|block| (block.kind, block.text.as_str())).collect();
    let expected = [
        (BlockKind::Paragraph, "A line of words before it"),
        (BlockKind::Table, "Fruit\tCount\tPrice\npears\t7\t12.00\nred apples\t12\t3.50"),
    ];
    assert_eq!(blocks, expected);
}

#[tokio::test]
async fn fields_and_notes_stand_at_the_end_of_their_page() {
    let annotation = |entries: &str| format!("<</Type/Annot/Rect[0 0 90 20]{entries}>>").into_bytes();
    let objects = [
        b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[6 0 R 7 0 R 8 0 R]/DA(/F 0 Tf)>>>>".to_vec(),
        b"<</Type/Pages/Count 1/Kids[4 0 R]>>".to_vec(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_vec(),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F 3 0 R>>>>/Contents 5 0 R\
          /Annots[6 0 R 7 0 R 8 0 R 9 0 R 10 0 R 11 0 R 12 0 R]>>"
            .to_vec(),
        stream("", b"BT /F 14 Tf 60 700 Td (A form) Tj ET"),
        annotation("/Subtype/Widget/FT/Tx/T(name)/V(Ada Lovelace)"),
        annotation("/Subtype/Widget/FT/Btn/T(agreed)/V/Yes/AS/Yes"),
        annotation("/Subtype/Widget/FT/Tx/Ff 8192/T(pin)/V(hunter2)"),
        annotation("/Subtype/Text/Contents(Please check)"),
        annotation("/Subtype/FreeText/Contents(Typed beside it)/DA(/F 12 Tf)"),
        annotation("/Subtype/Link/Contents(a link)/A<</S/URI/URI(http://127.0.0.1/)>>"),
        annotation("/Subtype/Highlight/Contents(A form)"),
    ];
    let read = read_bytes(&pdf_of(&objects), ExtractOptions::default()).await;
    assert_eq!(read.text(), "A form|name: Ada Lovelace\nagreed: yes|Please check|Typed beside it");
    assert_eq!(read.pages[0].source, PageSource::TextLayer);
}

#[tokio::test]
async fn every_page_without_text_says_why() {
    let text = b"BT /F 14 Tf 60 700 Td (text) Tj ET".to_vec();
    let drawing = b"60 60 m 300 300 l S".to_vec();
    let spaces = b"BT /F 14 Tf 60 700 Td (   ) Tj ET".to_vec();
    let read =
        read_bytes(&pdf(&[text, Vec::new(), drawing, spaces], "", &[]), ExtractOptions::default()).await;
    assert_eq!(read.text(), "text");
    assert_eq!(read.pages[0].note, None);
    assert_eq!(note(&read, 1), "empty: there is nothing on it");
    assert_eq!(note(&read, 2), "empty: there are only lines and shapes on it");
    assert!(note(&read, 3).starts_with("empty: "), "{}", note(&read, 3));
    let off = ExtractOptions { ocr: docmill_worker::extract::OcrMode::Never, ..Default::default() };
    let scan = read_bytes(&scan_pdf(2, 2, &[255, 0, 255, 0]), off).await;
    assert_eq!(scan.failure().code, FailureCode::NoText);
    assert_eq!(note(&scan, 0), "ocr_off: image covers 100 % of the page, 0 letters");
}

#[tokio::test]
async fn characters_are_what_they_mean() {
    let map =
        b"/CIDInit/ProcSet findresource begin 12 dict begin begincmap 1 begincodespacerange <00> <ff> \
        endcodespacerange 3 beginbfchar <01> <FB01> <02> <FFFD> <03> <D835DC00> endbfchar endcmap end end";
    let font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 5 0 R>>".to_vec();
    let content = b"BT /G 14 Tf 60 700 Td (of\\001ce a\\002b \\003) Tj ET".to_vec();
    let bytes = pdf(&[content], "/Font<</G 4 0 R>>", &[font, stream("", map)]);
    // The page's own fonts stand before these: one dictionary takes both.
    let bytes = String::from_utf8(bytes).unwrap().replace("<</F 3 0 R>>/Font<<", "<</F 3 0 R         ");
    let read = read_bytes(bytes.as_bytes(), ExtractOptions::default()).await;
    assert_eq!(read.text(), "office a\u{fffd}b \u{1d400}");
    assert_eq!(note(&read, 0), "partly_unmapped: 1 of 10 characters have no meaning in their fonts");
}

#[tokio::test]
async fn a_page_that_draws_with_fonts_which_nobody_has_says_so_where_it_is_recognised() {
    let font = |name: &str| {
        [
            format!(
                "<</Type/Font/Subtype/Type0/BaseFont/{name}/Encoding/90ms-RKSJ-H/DescendantFonts[6 0 R]>>"
            ),
            format!(
                "<</Type/Font/Subtype/CIDFontType0/BaseFont/{name}/FontDescriptor 7 0 R\
                 /CIDSystemInfo<</Registry(Adobe)/Ordering(Japan1)/Supplement 2>>>>"
            ),
            format!(
                "<</Type/FontDescriptor/FontName/{name}/Flags 4/FontBBox[0 -200 1000 900]/ItalicAngle 0\
                 /Ascent 800/Descent -200/CapHeight 700/StemV 80>>"
            ),
        ]
    };
    let document = |name: &str| {
        let start = [
            "<</Type/Catalog/Pages 2 0 R>>",
            "<</Type/Pages/Count 1/Kids[3 0 R]>>",
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F 5 0 R>>>>/Contents 4 0 R>>",
        ];
        let mut objects: Vec<Vec<u8>> = start.iter().map(|object| object.as_bytes().to_vec()).collect();
        objects.push(stream("", b"BT /F 24 Tf 60 700 Td <93fa967b8cea82cc95b68fcd> Tj ET"));
        objects.extend(font(name).map(String::into_bytes));
        pdf_of(&objects)
    };
    let says = |read: &Read| note(read, 0).contains("is neither in the document nor installed");
    let always = || ExtractOptions { ocr: OcrMode::Always, ..ExtractOptions::default() };
    let has_fonts = ["/usr/share/fonts", "/usr/share/X11/fonts", "/usr/local/share/fonts"].iter().any(|folder| {
        // As packages name them; what else there may be holds no such letters.
        let such = r".*/[^/]*\(cjk\|wqy\|droidsansfallback\|ipa\|takao\|uming\|ukai\|nanum\|gothic\|mincho\)[^/]*\.[ot]t[fc]";
        let found = std::process::Command::new("find").args([folder, "-iregex", such]).output().unwrap();
        !found.stdout.is_empty()
    });
    let recognised = read_bytes(&document("Ryumin-Light"), always()).await;
    assert_eq!(says(&recognised), !has_fonts, "{:?}", recognised.pages);
    // Its text needs no picture.
    let own = read_bytes(&document("Ryumin-Light"), ExtractOptions::default()).await;
    assert!(own.text().contains("日本語の文章") && !says(&own), "{:?}", own.pages);
    assert!(!says(&read_bytes(&document("Helvetica"), always()).await));
}
