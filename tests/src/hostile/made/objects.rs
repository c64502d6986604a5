//! PDF files out of their objects, with true or wrong tables of where they stand. What the objects mean is not known here.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// Letters enough that nobody takes a page with them for a picture.
pub const LINE: &str = "Words enough that nobody takes this page for a picture";

/// A stream with further entries in its dictionary.
pub fn stream(dictionary: &str, bytes: &[u8]) -> Vec<u8> {
    let mut object = format!("<<{dictionary}/Length {}>>stream\n", bytes.len()).into_bytes();
    object.extend_from_slice(bytes);
    object.extend_from_slice(b"\nendstream");
    object
}

/// A page's content that is one line of text.
pub fn line(text: &str) -> Vec<u8> {
    stream("", format!("BT /F 14 Tf 60 780 Td ({text}) Tj ET").as_bytes())
}

/// The bytes as `FlateDecode` unpacks them.
pub fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// As many equal bytes, packed; never held unpacked.
pub fn packed_run(byte: u8, mib: usize, end: &[u8]) -> Vec<u8> {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
    let one = vec![byte; 1 << 20];
    for _ in 0..mib {
        packer.write_all(&one).unwrap();
    }
    packer.write_all(end).unwrap();
    packer.finish().unwrap()
}

/// The objects of a document of one page: 1 its catalog, 2 its pages, 3 a font, 4 the page, 5 what is on it; `more` are
/// numbered from 6. `catalog` and `page` are further entries of those two.
pub fn one_page(catalog: &str, page: &str, content: Vec<u8>, more: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut objects = vec![
        format!("<</Type/Catalog/Pages 2 0 R{catalog}>>").into_bytes(),
        b"<</Type/Pages/Count 1/Kids[4 0 R]>>".to_vec(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>".to_vec(),
        format!(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F 3 0 R>>>>/Contents 5 0 R{page}>>"
        )
        .into_bytes(),
        content,
    ];
    objects.extend(more);
    objects
}

/// The objects of a document of many pages with the same line on each.
pub fn many_pages(count: usize, text: &str) -> Vec<Vec<u8>> {
    let kids: String = (0..count).map(|page| format!("{} 0 R ", 5 + page)).collect();
    let mut objects = vec![
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        format!("<</Type/Pages/Count {count}/Kids[{kids}]>>").into_bytes(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_vec(),
        line(text),
    ];
    let page =
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F 3 0 R>>>>/Contents 4 0 R>>";
    objects.extend((0..count).map(|_| page.to_vec()));
    objects
}

/// A file that is being written.
pub struct Written {
    /// All so far.
    pub bytes: Vec<u8>,
    /// Where each object begins, the first at 0.
    pub places: Vec<usize>,
}

impl Written {
    /// The objects one after the other, without a table of them.
    pub fn of(objects: &[Vec<u8>]) -> Self {
        let mut written = Self { bytes: b"%PDF-1.7\n".to_vec(), places: Vec::new() };
        objects.iter().for_each(|object| written.add(object));
        written
    }

    /// Adds the next object.
    pub fn add(&mut self, object: &[u8]) {
        self.places.push(self.bytes.len());
        writeln!(self.bytes, "{} 0 obj", self.places.len()).unwrap();
        self.bytes.extend_from_slice(object);
        self.bytes.extend_from_slice(b"\nendobj\n");
    }

    /// Ends it with a table; `trailer` has further entries, `start` says where the table is.
    pub fn end(mut self, trailer: impl Fn(usize) -> String, start: impl Fn(usize) -> usize) -> Vec<u8> {
        let table = self.bytes.len();
        write!(self.bytes, "xref\n0 {}\n0000000000 65535 f \n", self.places.len() + 1).unwrap();
        for place in &self.places {
            writeln!(self.bytes, "{place:010} 00000 n ").unwrap();
        }
        let (size, trailer, start) = (self.places.len() + 1, trailer(table), start(table));
        let end = format!("trailer<</Size {size}/Root 1 0 R{trailer}>>\nstartxref\n{start}\n%%EOF\n");
        self.bytes.extend_from_slice(end.as_bytes());
        self.bytes
    }

    /// Adds a table that is an object; `rows` are kind, place and number of each object from `first` on.
    pub fn add_table(&mut self, first: usize, rows: &[(u8, u32, u16)], more: &str) -> usize {
        let mut bytes = Vec::with_capacity(rows.len() * 7);
        for (kind, place, number) in rows {
            bytes.push(*kind);
            bytes.extend(place.to_be_bytes());
            bytes.extend(number.to_be_bytes());
        }
        let place = self.bytes.len();
        let dictionary = format!(
            "/Type/XRef/W[1 4 2]/Index[{first} {}]/Size {}/Root 1 0 R{more}",
            rows.len(),
            self.places.len() + 2
        );
        self.add(&stream(&dictionary, &bytes));
        place
    }
}

/// A file of these objects, with further entries in its trailer.
pub fn file_with(objects: &[Vec<u8>], trailer: &str) -> Vec<u8> {
    Written::of(objects).end(|_| trailer.to_owned(), |table| table)
}

/// A file of these objects.
pub fn file(objects: &[Vec<u8>]) -> Vec<u8> {
    file_with(objects, "")
}

/// A file of one page with one line on it.
pub fn simple(text: &str) -> Vec<u8> {
    file(&one_page("", "", line(text), Vec::new()))
}
