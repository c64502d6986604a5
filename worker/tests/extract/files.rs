//! Small documents made for tests: PDF by hand, Office files by a zip writer; and programs. Does not read anything.

use std::io::Write;
use std::path::{Path, PathBuf};

/// A file in `folder`.
pub fn file(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A program that does what this shell script says. Another process writes it: a file that this one had open for writing
/// could not be started while a child that is just being made still has it.
#[cfg(any(target_arch = "x86_64", feature = "testing"))]
pub fn program(folder: &Path, name: &str, script: &str) -> PathBuf {
    let path = folder.join(name);
    let written = std::process::Command::new("/bin/sh")
        .args(["-c", r#"printf '%s' "$1" > "$2" && chmod 755 "$2""#, "sh"])
        .arg(format!("#!/bin/sh\n{script}\n"))
        .arg(&path)
        .status()
        .unwrap();
    assert!(written.success());
    path
}

/// A PDF of the given page contents; `resources` and `extra` objects are shared by all pages. Extra
/// objects are numbered from 4.
pub fn pdf(pages: &[Vec<u8>], resources: &str, extra: &[Vec<u8>]) -> Vec<u8> {
    let first_page = 4 + extra.len();
    let kids: String = (0..pages.len()).map(|i| format!("{} 0 R ", first_page + 2 * i)).collect();
    let mut objects = vec![
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        format!("<</Type/Pages/Count {}/Kids[{kids}]>>", pages.len()).into_bytes(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_vec(),
    ];
    objects.extend(extra.iter().cloned());
    for (i, content) in pages.iter().enumerate() {
        objects.push(
            format!(
                "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F 3 0 R>>{resources}>>/Contents {} 0 R>>",
                first_page + 2 * i + 1
            )
            .into_bytes(),
        );
        objects.push(stream("", content));
    }
    pdf_of(&objects)
}

/// A PDF of these objects, which are numbered from 1; the first is the catalog.
pub fn pdf_of(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut out = b"%PDF-1.4\n".to_vec();
    let mut offsets = Vec::new();
    for (i, object) in objects.iter().enumerate() {
        offsets.push(out.len());
        writeln!(out, "{} 0 obj", i + 1).unwrap();
        out.extend_from_slice(object);
        out.extend_from_slice(b"\nendobj\n");
    }
    let xref = out.len();
    write!(out, "xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).unwrap();
    for offset in offsets {
        writeln!(out, "{offset:010} 00000 n ").unwrap();
    }
    write!(out, "trailer<</Size {}/Root 1 0 R>>\nstartxref\n{xref}\n%%EOF\n", objects.len() + 1).unwrap();
    out
}

/// A PDF stream object.
pub fn stream(dictionary: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = format!("<<{dictionary}/Length {}>>stream\n", bytes.len()).into_bytes();
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\nendstream");
    out
}

/// A PDF with one page for each text, whose lines are written from the top.
pub fn text_pdf(pages: &[&str]) -> Vec<u8> {
    let contents: Vec<Vec<u8>> = pages.iter().map(|text| text_content(text)).collect();
    pdf(&contents, "", &[])
}

fn text_content(text: &str) -> Vec<u8> {
    let mut content = "BT /F 14 Tf 18 TL 60 780 Td ".to_owned();
    for line in text.lines() {
        content.push_str(&format!("({line}) Tj T* "));
    }
    content.push_str("ET");
    content.into_bytes()
}

/// A page that is one grey picture.
pub fn scan_pdf(width: usize, height: usize, pixels: &[u8]) -> Vec<u8> {
    let image = picture(width, height, pixels);
    pdf(&[b"q 595 0 0 842 0 0 cm /I Do Q".to_vec()], "/XObject<</I 4 0 R>>", &[image])
}

/// A grey picture as an object of a PDF.
pub fn picture(width: usize, height: usize, pixels: &[u8]) -> Vec<u8> {
    let dictionary = format!(
        "/Type/XObject/Subtype/Image/Width {width}/Height {height}/ColorSpace/DeviceGray/BitsPerComponent 8"
    );
    stream(&dictionary, pixels)
}

/// A zip archive of these parts.
pub fn zip(parts: &[(&str, &str)]) -> Vec<u8> {
    let parts: Vec<(&str, &[u8])> = parts.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    archive(&parts)
}

/// A zip archive of these files.
pub fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The bytes, packed.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}
