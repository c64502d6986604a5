//! What a file is, by its first bytes; its name only tells text formats apart. Reads nothing else.

use docmill_core::failure::{Failure, FailureCode};

use super::format::Format;
use super::{Kind, archive, mail, picture};

/// As many first bytes as [`sniff`] can make use of.
pub(super) const HEAD_BYTES: usize = 8_192;

/// How files begin, in lower case, that look like text for as long as we look: PostScript, pictures of astronomers, and
/// lists of properties, which hold pages of the web.
const BINARIES_LIKE_TEXT: &[&str] = &["%!ps", "simple  =", "bplist0"];

/// The kind of a file with this name and these first bytes. Content decides, not the name.
pub fn sniff(name: &str, head: &[u8]) -> Kind {
    if head.starts_with(b"\x1f\x8b") {
        return Kind::Gzip;
    }
    if head.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        return Kind::Ole;
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Kind::Zip;
    }
    if head.starts_with(archive::SEVENZ_MAGIC) {
        return Kind::SevenZ;
    }
    if archive::is_tar(head) {
        return Kind::Tar;
    }
    // Readers accept a PDF header anywhere in the first KiB, and at the start any version, also a broken one.
    if head.starts_with(b"%PDF") || has(&head[..head.len().min(1_024)], b"%PDF-") {
        return Kind::Pdf;
    }
    if let Some(kind) = picture::kind_of(head) {
        return kind;
    }
    if head.starts_with(b"{\\rtf") {
        return Kind::Rtf;
    }
    if !is_text(head) {
        // A mail may hold bytes of any kind as they are.
        if mail::is_mail(head, false) {
            return Kind::Eml;
        }
        // In what is no text these bytes mean nothing else, wherever they stand: what is before them can be cut off.
        return if has(head, b"%PDF") { Kind::Pdf } else { Kind::Unknown };
    }
    let start: String =
        head.iter().filter(|&&b| b != 0).take(1_024).map(|&b| b.to_ascii_lowercase() as char).collect();
    if BINARIES_LIKE_TEXT.iter().any(|begin| start.starts_with(begin)) {
        return Kind::Unknown;
    }
    if start.contains("<office:document") {
        return Kind::FlatOdf;
    }
    let looks_html = start.contains("<!doctype html") || start.contains("<html");
    match Format::of_text(name).map_or(Kind::Text, |format| format.kind) {
        kind @ (Kind::Markdown | Kind::Html | Kind::Svg | Kind::Yaml | Kind::Code) => kind,
        // Before HTML, which a mail may hold.
        Kind::Mbox | Kind::Text if mail::is_mbox(head) => Kind::Mbox,
        kind @ (Kind::Eml | Kind::Text) if mail::is_mail(head, kind == Kind::Eml) => Kind::Eml,
        _ if looks_html => Kind::Html,
        Kind::Text if start.contains("<svg") => Kind::Svg,
        Kind::Text if start.trim_start_matches(|c: char| !c.is_ascii_graphic()).starts_with("<?xml") => {
            Kind::Xml
        }
        Kind::Eml | Kind::Mbox => Kind::Text,
        kind => kind,
    }
}

/// The failure for bytes that are no known format, naming what they are where that is known.
pub(super) fn unsupported(name: &str, head: &[u8]) -> Failure {
    // Two letters are enough for it to take something for a script.
    let found = infer::get(head).filter(|found| found.matcher_type() != infer::MatcherType::Text);
    let detail = match found {
        Some(found) => format!("{name} is {}", found.mime_type()),
        None => format!("{name} is neither text nor a known document format"),
    };
    Failure::new(FailureCode::TypeUnsupported, detail)
}

/// Text has no control characters to speak of; UTF-16 has zeros, but all at even or all at odd places.
fn is_text(head: &[u8]) -> bool {
    if super::decode::utf16_with_bom(head).is_some()
        || super::decode::utf32(head).is_some()
        || super::decode::utf16_without_bom(head).is_some()
    {
        return true;
    }
    let binary_type = infer::get(head).is_some_and(|found| {
        use infer::MatcherType::{App, Archive, Audio, Book, Doc, Font, Image, Video};
        // A text may speak of PDF, or begin with the two letters of a bitmap: what is one was told before.
        !matches!(found.mime_type(), "application/pdf" | "image/bmp")
            && matches!(found.matcher_type(), App | Archive | Audio | Book | Doc | Font | Image | Video)
    });
    // Escape is allowed for ISO-2022-JP.
    let odd = head
        .iter()
        .filter(|&&b| b == 0x7f || b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b | 0x08))
        .count();
    !head.contains(&0) && odd * 50 <= head.len() && !binary_type
}

fn has(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_and_names_tell_text_apart() {
        for (name, head, kind) in [
            ("a.docx", &b"%PDF-1.7"[..], Kind::Pdf),
            ("a.txt", b"PK\x03\x04....word/document.xml", Kind::Zip),
            ("a.pdf", b"hello", Kind::Text),
            ("a.md", b"# x", Kind::Markdown),
            ("a.tsv", b"a\tb", Kind::Csv),
            ("a.bin", b"\x1f\x8b\x08", Kind::Gzip),
            ("a", b"  <!DOCTYPE HTML><p>", Kind::Html),
            ("a.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Kind::Png),
            ("a.txt", b"\x7fELF\x02\x01\x01\0\0\0", Kind::Unknown),
            ("a.txt", "é".as_bytes(), Kind::Text),
            ("a.txt", b"BMW builds a hybrid sports car", Kind::Text),
            ("a.bmp", b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0", Kind::Unknown),
            ("a.txt", b"\xff\xfeh\0i\0", Kind::Text),
            ("a.txt", b"\xfe\xff\x65\xe5\x67\x2c", Kind::Text),
            // Its first bytes are its length.
            ("a.fli", b"\xff\xfe\0\xa3\x11\xaf\x0a\0\0\x10\0\x10\xff\0\0\0\0\0", Kind::Unknown),
            ("a.fits", b"SIMPLE  =                    T / file does conform", Kind::Unknown),
            ("a.webarchive", b"bplist00\xd2_<html>", Kind::Unknown),
            ("a.txt", b"h\0i\0 \0t\0h\0e\0r\0e\0", Kind::Text),
            ("a.txt", b"h\0\0\0i\0\0\0 \0\0\0t\0\0\0h\0\0\0", Kind::Text),
            ("main.rs", b"fn main() {}", Kind::Code),
            ("a.yaml", b"key: value", Kind::Yaml),
            ("a.xml", b"<a/>", Kind::Xml),
            ("a", b"\xef\xbb\xbf<?xml version='1.0'?><a/>", Kind::Xml),
            ("a", b"<?xml version='1.0'?><svg/>", Kind::Svg),
            ("a.xml", b"<?xml version='1.0'?><!DOCTYPE html>", Kind::Html),
            ("a.pdf", b"%PDF1.4", Kind::Pdf),
            ("a.pdf", b"\0\x01 %PDF1.4", Kind::Pdf),
            ("a.txt", b"what begins with %PDF is one", Kind::Text),
            ("a.eml", b"From: a\nTo: b\n\nx", Kind::Eml),
            ("a.eml", b"no mail", Kind::Text),
            ("1700000000.M1P2.host:2,S", b"Return-Path: <a>\nFrom: a\n\n<html>", Kind::Eml),
        ] {
            assert_eq!(sniff(name, head), kind, "{name}");
        }
        let script = unsupported("a.amr", b"#!AMR-WB\n\0\0\0");
        assert_eq!(script.detail, "a.amr is neither text nor a known document format");
        let late = [&[0u8; 3_000][..], b"%PDF-1.4"].concat();
        assert_eq!(sniff("a", &late), Kind::Pdf);
        let spoken_of = ["words ".repeat(300).as_bytes(), b"%PDF-1.4"].concat();
        assert_eq!(sniff("a", &spoken_of), Kind::Text);
    }
}
