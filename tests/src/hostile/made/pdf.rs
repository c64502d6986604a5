//! 1 to 18: PDF files whose structure is wrong, whose parts are too many, or which are locked.

use docmill_core::failure::FailureCode::{Damaged, Empty, Encrypted, LimitMemory, LimitPages};

use super::objects::{
    LINE, Written, file, file_with, line, many_pages, one_page, packed, packed_run, simple, stream,
};
use super::{Made, World, made};

/// Unpacked content that a page may have: the parser goes through it.
const CONTENT_MIB: usize = 300;
/// Unpacked content that no extractor's memory holds twice.
const BOMB_MIB: usize = 1_500;

pub fn files(_: &World) -> Vec<Made> {
    let mut files = structure();
    files.extend(trees());
    files.extend(sizes());
    files.extend(locked());
    files
}

fn structure() -> Vec<Made> {
    let whole = file(&many_pages(4, LINE));
    let plain = || one_page("", "", line(LINE), Vec::new());
    let simple = simple(LINE);
    let without_end = simple.strip_suffix(b"%%EOF\n").unwrap().to_vec();
    // Object 6 is said to lie in the stream that is object 6, and the font, too.
    let mut looped = Written::of(&plain());
    looped.add(&stream("/Type/ObjStm/N 1/First 4/Extends 6 0 R", b"3 0 <</Type/Font>>"));
    let rows: Vec<_> = [(0, 0, 65_535)]
        .into_iter()
        .chain((1..=6).map(|number: u16| match number {
            3 => (2, 6, 0),
            6 => (2, 6, 1),
            _ => (1, looped.places[usize::from(number) - 1] as u32, 0),
        }))
        .collect();
    let table = looped.add_table(0, &rows, "");
    let mut looped = looped.bytes;
    looped.extend(format!("startxref\n{table}\n%%EOF\n").bytes());
    vec![
        made(1, "zero.pdf", Vec::<u8>::new()).fails(Empty, "has no bytes"),
        made(2, "header.pdf", *b"%PDF-1.7\n").fails(Damaged, ""),
        made(3, "no-eof.pdf", without_end).holds(LINE),
        made(4, "half.pdf", &whole[..whole.len() / 2]).partial("repaired copy"),
        made(5, "wrong-start.pdf", Written::of(&plain()).end(|_| String::new(), |_| 12)).holds(LINE),
        made(6, "own-prev.pdf", Written::of(&plain()).end(|table| format!("/Prev {table}"), |table| table))
            .holds(LINE),
        made(7, "objstm-loop.pdf", looped).holds(LINE),
        made(12, "short-length.pdf", wrong_length(b"/Length 5")).holds(LINE),
        made(12, "long-length.pdf", wrong_length(b"/Length 99999999")).holds(LINE),
    ]
}

/// A file whose content says that it is of another length.
fn wrong_length(says: &[u8]) -> Vec<u8> {
    let content = format!("BT /F 14 Tf 60 780 Td ({LINE}) Tj ET");
    let object = [b"<<".as_slice(), says, b">>stream\n", content.as_bytes(), b"\nendstream"].concat();
    file(&one_page("", "", object, Vec::new()))
}

fn trees() -> Vec<Made> {
    let mut circle = one_page("", "", line(LINE), Vec::new());
    circle[1] = b"<</Type/Pages/Count 3/Kids[4 0 R 2 0 R 2 0 R]>>".to_vec();
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let in_content =
        stream("", format!("BT /F 14 Tf 60 780 Td ({LINE}) Tj ET {} TJ", nested(10_000)).as_bytes());
    let in_page = format!("/Deep {}", nested(1_000_000));
    // Ten kids at each of seven levels, all of them the same.
    let kids = |object: usize| format!("{object} 0 R ").repeat(10);
    let mut shared = one_page("", "", line(LINE), Vec::new());
    shared[1] = format!("<</Type/Pages/Count 10000000/Kids[{}]>>", kids(6)).into_bytes();
    for level in 0..6usize {
        let below = if level == 5 { 4 } else { level + 7 };
        let (parent, count) =
            (if level == 0 { 2 } else { level + 5 }, 10_usize.pow(6 - u32::try_from(level).unwrap()));
        shared.push(
            format!("<</Type/Pages/Parent {parent} 0 R/Count {count}/Kids[{}]>>", kids(below)).into_bytes(),
        );
    }
    vec![
        made(8, "pages-circle.pdf", file(&circle)).partial("damaged or missing").holds(LINE),
        made(9, "deep-content.pdf", file(&one_page("", "", in_content, Vec::new()))).holds(LINE),
        made(9, "deep-page.pdf", file(&one_page("", &in_page, line(LINE), Vec::new()))).holds(LINE),
        // A page that is met again is not counted again.
        made(10, "ten-million.pdf", file(&shared)).holds(LINE),
    ]
}

fn sizes() -> Vec<Made> {
    let text = format!("BT /F 14 Tf 60 780 Td ({LINE}) Tj ET");
    let filtered = |filters: &str, bytes: &[u8]| {
        file(&one_page("", "", stream(&format!("/Filter{filters}"), bytes), Vec::new()))
    };
    let thrice = |once: Vec<u8>| packed(&packed(&once));
    let chain = "[/FlateDecode/FlateDecode/FlateDecode]";
    let mut wide = one_page("", "", line(LINE), Vec::new());
    wide[3] =
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 1000000000 1000000000]/Resources<</Font<</F 3 0 R>>>>\
        /Contents 5 0 R>>"
            .to_vec();
    vec![
        made(11, "501-pages.pdf", file(&many_pages(501, LINE))).holds(LINE),
        made(11, "1001-pages.pdf", file(&many_pages(1_001, LINE))).holds(LINE),
        made(11, "3001-pages.pdf", file(&many_pages(3_001, LINE)))
            .fails(LimitPages, "3001 pages, 3000 are allowed"),
        made(13, "flate.pdf", filtered("/FlateDecode", &packed_run(b' ', CONTENT_MIB, text.as_bytes())))
            .holds(LINE),
        made(
            13,
            "flate-thrice.pdf",
            filtered(chain, &thrice(packed_run(b' ', CONTENT_MIB, text.as_bytes()))),
        )
        .holds(LINE),
        made(13, "flate-bomb.pdf", filtered(chain, &thrice(packed_run(b' ', BOMB_MIB, text.as_bytes()))))
            .fails(LimitMemory, ""),
        made(18, "wide.pdf", file(&wide)).holds(LINE),
    ]
}

fn locked() -> Vec<Made> {
    let hex = |bytes: usize| format!("<{}>", "5a".repeat(bytes));
    // Nobody knows the password that these would be of.
    let aes = format!(
        "/Filter/Standard/V 5/R 6/Length 256/P -4/CF<</StdCF<</CFM/AESV3/AuthEvent/DocOpen/Length 32>>>>/StmF/StdCF\
         /StrF/StdCF/O{0}/U{0}/OE{1}/UE{1}/Perms{2}",
        hex(48),
        hex(32),
        hex(16)
    );
    let encrypted = |dictionary: &str| {
        let key = format!("<<{dictionary}>>").into_bytes();
        let id = hex(16);
        file_with(&one_page("", "", line(LINE), vec![key]), &format!("/Encrypt 6 0 R/ID[{id}{id}]"))
    };
    vec![
        made(14, "locked.pdf", *include_bytes!("../../../../worker/tests/fixtures/locked.pdf"))
            .fails(Encrypted, "password"),
        made(15, "owner.pdf", *include_bytes!("../../../../worker/tests/fixtures/owner-only.pdf"))
            .holds("Read without a password"),
        made(16, "aes-256.pdf", encrypted(&aes)).fails(Encrypted, "password"),
        made(17, "unknown-handler.pdf", encrypted("/Filter/Acme.Locks/V 1/R 2"))
            .fails(Encrypted, "password"),
    ]
}
