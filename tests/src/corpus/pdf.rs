//! The smallest PDFs that a reader takes for real ones: Helvetica, one stream a page, a true cross-reference.

use std::fmt::Write;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const HELVETICA: &str = "/Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding";

/// A PDF with these lines on its pages; ASCII only.
pub fn pdf(pages: &[Vec<String>]) -> Vec<u8> {
    pdf_of(&objects(pages, &format!("<< {HELVETICA} >>")))
}

/// The same to the eye, in a font that says of none of its letters what it means: each page must be recognised.
pub fn unmapped_pdf(pages: &[Vec<String>]) -> Vec<u8> {
    let map = "/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n\
        1 begincodespacerange <00> <ff> endcodespacerange\n\
        1 beginbfrange <00> <ff> <E000> endbfrange\nendcmap end end";
    let mut objects = objects(pages, &format!("<< {HELVETICA} /ToUnicode {} 0 R >>", 4 + 2 * pages.len()));
    objects.push(format!("<< /Length {} >>\nstream\n{map}\nendstream", map.len()));
    pdf_of(&objects)
}

/// The catalog, the list of pages, the font, and two objects for each page.
fn objects(pages: &[Vec<String>], font: &str) -> Vec<String> {
    let kids: Vec<String> = (0..pages.len()).map(|page| format!("{} 0 R", 4 + 2 * page)).collect();
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!("<< /Type /Pages /Kids [{}] /Count {} >>", kids.join(" "), pages.len()),
        font.to_owned(),
    ];
    for (number, lines) in pages.iter().enumerate() {
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {} 0 R \
             /Resources << /Font << /F1 3 0 R >> >> >>",
            5 + 2 * number
        ));
        let stream = content(lines);
        objects.push(format!("<< /Length {} >>\nstream\n{stream}\nendstream", stream.len()));
    }
    objects
}

/// A PDF of these objects, of which the first is the catalog.
pub fn pdf_of(objects: &[String]) -> Vec<u8> {
    let mut file = "%PDF-1.4\n".to_owned();
    let mut offsets = Vec::with_capacity(objects.len());
    for (number, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        let _ = write!(file, "{} 0 obj\n{object}\nendobj\n", number + 1);
    }
    let xref = file.len();
    let _ = write!(file, "xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for offset in offsets {
        let _ = writeln!(file, "{offset:010} 00000 n ");
    }
    let _ =
        write!(file, "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{xref}\n%%EOF\n", objects.len() + 1);
    file.into_bytes()
}

/// 17 points between lines, so that 42 of them stand on an A4 page.
fn content(lines: &[String]) -> String {
    let mut stream = "BT /F1 11 Tf 17 TL 60 790 Td".to_owned();
    for line in lines {
        let escaped = line.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)");
        let _ = write!(stream, "\n({escaped}) Tj T*");
    }
    stream.push_str("\nET");
    stream
}

/// Says that it is a PDF and is noise, in which no object can be found again.
pub fn damaged_pdf(seed: u64) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut bytes = b"%PDF-1.4\n".to_vec();
    bytes.extend((0..2_000).map(|_| random.random_range(128..=255u8)));
    bytes
}
