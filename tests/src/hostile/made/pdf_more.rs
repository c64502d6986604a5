//! 19 to 28, 60, 61: PDF files with wrong pictures and fonts, with what would run or fetch, in each other, and as two
//! things at once.

use docmill_core::failure::FailureCode::{NoText, TypeUnsupported};

use super::objects::{LINE, Written, file, line, one_page, packed_run, simple, stream};
use super::packed::{stored, zip};
use super::{Made, World, made};

/// Documents in each other.
const EMBEDDED: usize = 50;

pub fn files(world: &World) -> Vec<Made> {
    let mut files = pictures();
    files.extend(fonts());
    files.extend(active(world));
    files.extend(forms());
    files.extend(two_things());
    files
}

/// The objects of a page that is nothing but a picture, object 6.
fn only_picture(dictionary: &str, bytes: &[u8]) -> Vec<Vec<u8>> {
    let picture = stream(&format!("/Type/XObject/Subtype/Image{dictionary}"), bytes);
    let mut objects = one_page("", "", stream("", b"q 595 0 0 842 0 0 cm /I Do Q"), vec![picture]);
    objects[3] = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</XObject<</I 6 0 R>>>>/Contents 5 0 R>>"
        .to_vec();
    objects
}

fn pictures() -> Vec<Made> {
    // Bits of 60,000 rows of 60,000, packed.
    let bits = packed_run(0xff, 430, &[]);
    let size = "/Width 60000/Height 60000/ColorSpace/DeviceGray/BitsPerComponent 1/Filter/FlateDecode";
    let mut files = vec![made(19, "60000.pdf", file(&only_picture(size, &bits))).fails(NoText, "")];
    let noise: Vec<u8> = (0..9_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let filters = [
        ("jbig2.pdf", "JBIG2Decode", ""),
        ("jpx.pdf", "JPXDecode", ""),
        ("ccitt.pdf", "CCITTFaxDecode", "/DecodeParms<</K -1/Columns 2000/Rows 2000>>"),
        ("dct.pdf", "DCTDecode", ""),
    ];
    for (name, filter, parameters) in filters {
        let depth = if filter == "DCTDecode" || filter == "JPXDecode" { 8 } else { 1 };
        let dictionary = format!(
            "/Width 2000/Height 2000/ColorSpace/DeviceGray/BitsPerComponent {depth}/Filter/{filter}{parameters}"
        );
        // What noise looks like is for who recognises it: only the end of it is wanted here.
        let page = file(&only_picture(&dictionary, &noise));
        files.push(made(20, name, page).fails(NoText, ""));
    }
    files
}

fn fonts() -> Vec<Made> {
    let text = format!("BT /F 14 Tf 60 780 Td ({LINE}) Tj ET");
    let mut broken = one_page(
        "",
        "",
        line(LINE),
        vec![
            b"<</Type/FontDescriptor/FontName/Broken/Flags 32/FontFile2 7 0 R>>".to_vec(),
            stream("/Length1 3000", &[0xfe; 3_000]),
        ],
    );
    broken[2] =
        b"<</Type/Font/Subtype/TrueType/BaseFont/Broken/FirstChar 32/LastChar 126/FontDescriptor 6 0 R\
        /Encoding/WinAnsiEncoding>>"
            .to_vec();
    // A letter of the font is drawn by a text in the font.
    let page = format!("{text} BT /T 14 Tf 60 700 Td (a) Tj ET");
    let mut looped = one_page(
        "",
        "",
        stream("", page.as_bytes()),
        vec![
            b"<</Type/Font/Subtype/Type3/FontBBox[0 0 9 9]/FontMatrix[1 0 0 1 0 0]/CharProcs<</a 7 0 R>>/Encoding\
              <</Differences[97/a]>>/FirstChar 97/LastChar 97/Widths[9]/Resources<</Font<</T 6 0 R>>>>>>"
                .to_vec(),
            stream("", b"9 0 d0 BT /T 9 Tf (a) Tj ET"),
        ],
    );
    looped[3] = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F 3 0 R/T 6 0 R>>>>/Contents 5 0 R>>"
        .to_vec();
    let page = format!("{text} BT /T 14 Tf 60 700 Td <000100020003> Tj ET");
    let mut unmapped = one_page(
        "",
        "",
        stream("", page.as_bytes()),
        vec![
            b"<</Type/Font/Subtype/Type0/BaseFont/None/Encoding/Identity-H/DescendantFonts[7 0 R]>>".to_vec(),
            b"<</Type/Font/Subtype/CIDFontType2/BaseFont/None/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)\
              /Supplement 0>>>>"
                .to_vec(),
        ],
    );
    unmapped[3] = looped[3].clone();
    vec![
        made(21, "broken-font.pdf", file(&broken)).holds(LINE),
        made(21, "type3-loop.pdf", file(&looped)).holds(LINE),
        made(21, "no-tounicode.pdf", file(&unmapped)).holds(LINE),
    ]
}

fn active(world: &World) -> Vec<Made> {
    let (url, secret) = (world.url("pdf"), world.secret_url());
    let form = format!(
        "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY w SYSTEM '{url}'><!ENTITY f SYSTEM '{secret}'>]>\
         <xdp:xdp xmlns:xdp='http://ns.adobe.com/xdp/'><template>&w;&f;</template></xdp:xdp>"
    );
    let xfa = one_page(
        "/AcroForm<</Fields[]/XFA[(template) 6 0 R]>>",
        "",
        line(LINE),
        vec![stream("", form.as_bytes())],
    );
    let actions = one_page(
        &format!(
            "/OpenAction<</S/JavaScript/JS(app.launchURL\\('{url}'\\);)/Next<</S/Launch/F(/bin/sh)>>>>"
        ),
        "/Annots[6 0 R 7 0 R 8 0 R]/AA<</O<</S/URI/URI(http://127.0.0.1/)>>>>",
        line(LINE),
        vec![
            format!("<</Type/Annot/Subtype/Link/Rect[0 0 595 842]/A<</S/URI/URI({url})>>>>").into_bytes(),
            format!(
                "<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/A<</S/GoToR/F<</FS/URL/F({url})>>/D[0/Fit]>>>>"
            )
            .into_bytes(),
            format!("<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/A<</S/SubmitForm/F<</FS/URL/F({url})>>>>>>")
                .into_bytes(),
        ],
    );
    vec![made(22, "xfa.pdf", file(&xfa)).holds(LINE), made(23, "actions.pdf", file(&actions)).holds(LINE)]
}

fn forms() -> Vec<Made> {
    let mut nested = simple(LINE);
    for _ in 0..EMBEDDED {
        let more = vec![
            b"<</Type/Filespec/F(in.pdf)/EF<</F 7 0 R>>>>".to_vec(),
            stream("/Type/EmbeddedFile", &nested),
        ];
        nested =
            file(&one_page("/Names<</EmbeddedFiles<</Names[(in.pdf) 6 0 R]>>>>", "", line(LINE), more));
    }
    let signed = one_page(
        "/AcroForm<</SigFlags 3/Fields[6 0 R]>>",
        "/Annots[6 0 R]",
        line(LINE),
        vec![
            b"<</Type/Annot/Subtype/Widget/FT/Sig/T(s)/Rect[0 0 0 0]/V 7 0 R>>".to_vec(),
            b"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/adbe.pkcs7.detached/ByteRange[0 10 20 99999999]/Contents<00>>>"
                .to_vec(),
        ],
    );
    let mut hybrid = Written::of(&one_page("", "", line(LINE), Vec::new()));
    let place = u32::try_from(hybrid.bytes.len()).unwrap();
    let table = hybrid.add_table(6, &[(1, place, 0)], "");
    let hybrid = hybrid.end(|_| format!("/XRefStm {table}"), |table| table);
    let mut junk = b"no part of it, and in the way\n".repeat(17);
    junk.extend(simple(LINE));
    // The first file whole, and after it another catalog with another page.
    let mut two = simple("The first catalog says what is not valid any more");
    let added: [(usize, Vec<u8>); 4] = [
        (6, b"<</Type/Catalog/Pages 7 0 R>>".to_vec()),
        (7, b"<</Type/Pages/Count 1/Kids[8 0 R]>>".to_vec()),
        (8, b"<</Type/Page/Parent 7 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F 3 0 R>>>>/Contents 9 0 R>>".to_vec()),
        (9, line(LINE)),
    ];
    let start = String::from_utf8_lossy(&two).rsplit("startxref\n").next().unwrap_or_default().to_owned();
    let start = start.lines().next().unwrap_or_default().to_owned();
    let mut rows = String::new();
    for (number, object) in added {
        rows += &format!("{:010} 00000 n \n", two.len());
        two.extend(format!("{number} 0 obj\n").bytes());
        two.extend(object);
        two.extend(b"\nendobj\n");
    }
    let table = two.len();
    two.extend(
        format!(
            "xref\n6 4\n{rows}trailer<</Size 10/Root 6 0 R/Prev {start}>>\nstartxref\n{table}\n%%EOF\n"
        )
        .bytes(),
    );
    vec![
        made(24, "embedded.pdf", nested).holds(LINE),
        made(25, "signed.pdf", file(&signed)).holds(LINE),
        made(26, "hybrid.pdf", hybrid).holds(LINE),
        made(27, "junk.pdf", junk).holds(LINE),
        made(28, "two-catalogs.pdf", two).holds(LINE).lacks("not valid any more"),
    ]
}

/// What a name says and what it is, and files that are two things.
fn two_things() -> Vec<Made> {
    let pdf = || simple(LINE);
    let archive = zip(&[stored("in.txt", b"what the archive says")]);
    let picture = [b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0".as_slice(), &pdf()].concat();
    let page = [b"<html><body><p>markup before it</p><!--\n".as_slice(), &pdf(), b"-->"].concat();
    let mut dot =
        b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;".to_vec();
    dot.extend_from_slice(&archive);
    let program = [b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0".as_slice(), &[0u8; 600]].concat();
    vec![
        made(60, "really-a-pdf.docx", pdf()).holds(LINE),
        made(60, "report.pdf.txt", pdf()).holds(LINE),
        made(60, "report.pdf.exe", program.clone()).fails(TypeUnsupported, ""),
        made(60, "report.exe.pdf", program).fails(TypeUnsupported, ""),
        made(61, "pdf-zip.pdf", [pdf(), archive.clone()].concat()).holds(LINE).lacks("the archive says"),
        made(61, "pdf-zip.zip", [pdf(), archive].concat()).holds(LINE).lacks("the archive says"),
        made(61, "jpeg-pdf.jpg", picture).holds(LINE),
        made(61, "html-pdf.html", page).holds(LINE).lacks("markup before it"),
        made(61, "gifar.gif", dot).fails(NoText, ""),
    ]
}
