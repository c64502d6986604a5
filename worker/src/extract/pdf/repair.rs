//! A PDF whose table of objects is lost or wrong: its objects are looked for one by one, and a new table is written at
//! the end of a copy, which pdfium reads as it would any other. pdfium looks for objects itself, but gives up where the
//! end of a file is gone and with it what says which object is the first; where objects lie packed in streams; and where
//! the file does not begin with its header.
//!
//! Of objects with one number the last in the file counts, and of several catalogs the one that the last trailer names,
//! else the last.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;

use flate2::read::ZlibDecoder;

use super::syntax::{find, has_type, identifier, integer, is_space, number_of, reference};

/// Largest file that is copied and repaired.
pub(super) const BYTES_MAX: u64 = 64 << 20;

/// Most objects that are looked for.
const OBJECTS_MAX: usize = 500_000;

/// Highest number of an object, as pdfium has it.
const NUMBER_MAX: u32 = 4 << 20;

/// Most of an object that is looked at to tell what it is.
const DICTIONARY_BYTES_MAX: usize = 64 << 10;

/// Most that all streams of objects unpack to.
const UNPACKED_BYTES_MAX: u64 = 64 << 20;

/// Most trailers that are looked at.
const TRAILERS_MAX: usize = 1_000;

/// Most of a trailer that is looked at.
const TRAILER_BYTES_MAX: usize = 4 << 10;

const HEADER: &[u8] = b"%PDF-";

/// Where an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    At { offset: u32, generation: u16 },
    In { stream: u32, index: u16 },
}

/// Which pages the repaired file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tree {
    /// Those that its own catalog names.
    Found,
    /// All that were found, in the order in which they lie in the file.
    Made,
}

/// What was found in a file.
#[derive(Debug)]
pub(super) struct Found {
    bytes: Vec<u8>,
    objects: BTreeMap<u32, Place>,
    /// The last catalog.
    catalog: Option<u32>,
    /// What the last trailer says is the catalog.
    root: Option<u32>,
    pages: Vec<u32>,
    /// The entries of a trailer by which an encrypted file is read.
    encryption: Option<Vec<u8>>,
    unpacked: u64,
}

/// Looks for all objects of a file; none where it holds no object at all.
pub(super) fn scan(mut bytes: Vec<u8>) -> Option<Found> {
    let first = next_header(&bytes, 0)?;
    match find(&bytes[..first.start], HEADER, 0) {
        Some(header) => drop(bytes.drain(..header)),
        None => drop(bytes.splice(..0, b"%PDF-1.7\n".iter().copied())),
    }
    // Places are written with 32 bits.
    u32::try_from(bytes.len()).ok()?;
    let mut found = Found {
        bytes: Vec::new(),
        objects: BTreeMap::new(),
        catalog: None,
        root: None,
        pages: Vec::new(),
        encryption: None,
        unpacked: 0,
    };
    let mut stream_ends = StreamEnds::default();
    let mut at = 0;
    while let Some(header) = next_header(&bytes, at)
        && found.objects.len() < OBJECTS_MAX
    {
        let end = boundary(&bytes, header.body);
        let body = &bytes[header.body..end.min(header.body + DICTIONARY_BYTES_MAX)];
        let place = Place::At { offset: header.start as u32, generation: header.generation };
        match stream_in(body) {
            None => {
                found.take(header.number, place, body);
                at = end;
            }
            Some((dictionary, data)) => {
                let data = header.body + data;
                let data_end = stream_ends.of(&bytes, dictionary, data);
                found.take(header.number, place, dictionary);
                if has_type(dictionary, b"ObjStm") {
                    found.take_packed(header.number, dictionary, &bytes[data..data_end]);
                }
                // Of a stream without an end nobody knows what lies in it and what behind it.
                at = if data_end == bytes.len() { data } else { data_end };
            }
        }
    }
    let mut trailer_at = 0;
    for _ in 0..TRAILERS_MAX {
        let Some(trailer) = find(&bytes, b"trailer", trailer_at) else { break };
        found.take_trailer(&bytes[trailer..bytes.len().min(trailer + TRAILER_BYTES_MAX)]);
        trailer_at = trailer + 7;
    }
    found.bytes = bytes;
    (!found.objects.is_empty()).then_some(found)
}

impl Found {
    fn take(&mut self, number: u32, place: Place, dictionary: &[u8]) {
        self.objects.insert(number, place);
        if has_type(dictionary, b"Catalog") {
            self.catalog = Some(number);
        }
        if has_type(dictionary, b"Page") {
            self.pages.push(number);
        }
        if has_type(dictionary, b"XRef") {
            self.take_trailer(dictionary);
        }
    }

    /// Takes the objects that are packed in a stream, as far as they can be unpacked.
    fn take_packed(&mut self, stream: u32, dictionary: &[u8], data: &[u8]) {
        let (Some(count), Some(first)) = (integer(dictionary, b"/N"), integer(dictionary, b"/First"))
        else {
            return;
        };
        let is_packed = find(dictionary, b"/Filter", 0).is_some();
        let room = UNPACKED_BYTES_MAX - self.unpacked;
        let mut unpacked = Vec::new();
        if !is_packed {
            unpacked.extend_from_slice(&data[..data.len().min(room as usize)]);
        } else if find(dictionary, b"/FlateDecode", 0).is_some() {
            // What comes out before it breaks off is of use.
            let _ = ZlibDecoder::new(data).take(room).read_to_end(&mut unpacked);
        }
        self.unpacked = (self.unpacked + unpacked.len() as u64).min(UNPACKED_BYTES_MAX);
        let Some(table) = unpacked.get(..first as usize) else { return };
        let mut numbers = table.split(|&b| is_space(b)).filter(|part| !part.is_empty()).map(number_of);
        let mut packed: Vec<(u32, usize)> = Vec::new();
        while packed.len() < (count as usize).min(usize::from(u16::MAX))
            && let (Some(Some(number)), Some(Some(offset))) = (numbers.next(), numbers.next())
        {
            packed.push((number, (first + u64::from(offset)) as usize));
        }
        for (index, &(number, start)) in packed.iter().enumerate() {
            let end = packed.get(index + 1).map_or(unpacked.len(), |next| next.1);
            let end = end.min(unpacked.len()).min(start.saturating_add(DICTIONARY_BYTES_MAX));
            if number > NUMBER_MAX || self.objects.len() >= OBJECTS_MAX {
                continue;
            }
            if let Some(object) = unpacked.get(start..end) {
                self.take(number, Place::In { stream, index: index as u16 }, object);
            }
        }
    }

    fn take_trailer(&mut self, trailer: &[u8]) {
        if let Some((root, _)) = reference(trailer, b"/Root") {
            self.root = Some(root);
        }
        if let Some((number, generation)) = reference(trailer, b"/Encrypt") {
            let mut entries = format!("/Encrypt {number} {generation} R").into_bytes();
            entries.extend_from_slice(identifier(trailer).unwrap_or_default());
            self.encryption = Some(entries);
        }
    }

    /// The file with a new table; none where such a tree of pages cannot be had.
    pub fn rebuilt(&self, tree: Tree) -> Option<Vec<u8>> {
        let mut objects = self.objects.clone();
        let mut next = objects.last_key_value().map_or(0, |(number, _)| *number) + 1;
        let mut out = self.bytes.clone();
        out.push(b'\n');
        let root = match tree {
            Tree::Found => self.root.filter(|root| objects.contains_key(root)).or(self.catalog)?,
            Tree::Made => {
                let mut seen = HashSet::new();
                let pages = self.pages.iter().filter(|page| seen.insert(**page));
                let kids: Vec<String> = pages.map(|page| format!("{page} 0 R")).collect();
                if kids.is_empty() {
                    return None;
                }
                let (root, pages) = (next, next + 1);
                next += 2;
                objects.insert(root, at_end(&out)?);
                let catalog = format!("{root} 0 obj<</Type/Catalog/Pages {pages} 0 R>>endobj\n");
                out.extend_from_slice(catalog.as_bytes());
                objects.insert(pages, at_end(&out)?);
                let (count, kids) = (kids.len(), kids.join(" "));
                let pages = format!("{pages} 0 obj<</Type/Pages/Count {count}/Kids[{kids}]>>endobj\n");
                out.extend_from_slice(pages.as_bytes());
                root
            }
        };
        let table_at = out.len();
        objects.insert(next, at_end(&out)?);
        let (ranges, table) = table(&objects);
        let head = format!(
            "{next} 0 obj<</Type/XRef/Size {}/W[1 4 2]/Index[{ranges}]/Root {root} 0 R/Length {}",
            next + 1,
            table.len()
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(self.encryption.as_deref().unwrap_or_default());
        out.extend_from_slice(b">>stream\n");
        out.extend_from_slice(&table);
        out.extend_from_slice(format!("\nendstream endobj\nstartxref\n{table_at}\n%%EOF\n").as_bytes());
        Some(out)
    }
}

fn at_end(out: &[u8]) -> Option<Place> {
    Some(Place::At { offset: u32::try_from(out.len()).ok()?, generation: 0 })
}

/// Ranges of numbers and the entries of their objects, of one, four and two bytes.
fn table(objects: &BTreeMap<u32, Place>) -> (String, Vec<u8>) {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    let mut table = Vec::with_capacity(objects.len() * 7);
    for (&number, place) in objects {
        match ranges.last_mut() {
            Some((first, count)) if *first + *count == number => *count += 1,
            _ => ranges.push((number, 1)),
        }
        let (kind, place, more) = match *place {
            Place::At { offset, generation } => (1, offset, generation),
            Place::In { stream, index } => (2, stream, index),
        };
        table.push(kind);
        table.extend_from_slice(&place.to_be_bytes());
        table.extend_from_slice(&more.to_be_bytes());
    }
    let ranges: Vec<String> = ranges.iter().map(|(first, count)| format!("{first} {count}")).collect();
    (ranges.join(" "), table)
}

/// `7 0 obj`.
struct Header {
    start: usize,
    /// Behind it.
    body: usize,
    number: u32,
    generation: u16,
}

/// The first header of an object from here on.
fn next_header(bytes: &[u8], mut at: usize) -> Option<Header> {
    loop {
        let keyword = find(bytes, b"obj", at)?;
        if let Some(header) = header_at(bytes, keyword) {
            return Some(header);
        }
        at = keyword + 3;
    }
}

/// The header that ends with the keyword at this place, if it is one.
fn header_at(bytes: &[u8], keyword: usize) -> Option<Header> {
    if bytes.get(keyword + 3).is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    let before = |end: usize, is: fn(u8) -> bool, max: usize| {
        let count = bytes[..end].iter().rev().take(max).take_while(|&&b| is(b)).count();
        (count > 0).then(|| end - count)
    };
    let generation_end = before(keyword, is_space, 8)?;
    let generation = before(generation_end, |b| b.is_ascii_digit(), 6)?;
    let number_end = before(generation, is_space, 8)?;
    let number = before(number_end, |b| b.is_ascii_digit(), 11)?;
    Some(Header {
        start: number,
        body: keyword + 3,
        number: number_of(&bytes[number..number_end]).filter(|&number| number <= NUMBER_MAX)?,
        generation: u16::try_from(number_of(&bytes[generation..generation_end])?).ok()?,
    })
}

/// Where an object ends at the latest: at its own end, at the next one's header, or with the file.
fn boundary(bytes: &[u8], mut at: usize) -> usize {
    while let Some(keyword) = find(bytes, b"obj", at) {
        if bytes[..keyword].ends_with(b"end") {
            return keyword - 3;
        }
        if let Some(header) = header_at(bytes, keyword)
            && header.start >= at
        {
            return header.start;
        }
        at = keyword + 3;
    }
    bytes.len()
}

/// The dictionary of a stream and where its data begin, if an object is one.
fn stream_in(body: &[u8]) -> Option<(&[u8], usize)> {
    let mut at = 0;
    loop {
        let keyword = find(body, b"stream", at)?;
        let dictionary = body[..keyword].trim_ascii_end();
        if dictionary.ends_with(b">>") {
            let data = keyword + 6;
            let line_end = match body.get(data..) {
                Some([b'\r', b'\n', ..]) => 2,
                Some([b'\r' | b'\n', ..]) => 1,
                _ => 0,
            };
            return Some((dictionary, data + line_end));
        }
        at = keyword + 6;
    }
}

/// Ends of streams. What was looked for once is remembered, as a file may have many streams and no end of one.
#[derive(Default)]
struct StreamEnds {
    /// From where the next one was looked for, and where it is.
    looked: Option<(usize, usize)>,
}

impl StreamEnds {
    fn of(&mut self, bytes: &[u8], dictionary: &[u8], data: usize) -> usize {
        const END: &[u8] = b"endstream";
        // Its length is believed where the end stands there: a stream may hold a whole PDF with ends of its own.
        let said = integer(dictionary, b"/Length").and_then(|length| data.checked_add(length as usize));
        if let Some(end) = said.filter(|&end| end <= bytes.len())
            && bytes[end..].trim_ascii_start().starts_with(END)
        {
            return end;
        }
        match self.looked {
            Some((from, end)) if from <= data && data <= end => end,
            _ => {
                let end = find(bytes, END, data).unwrap_or(bytes.len());
                self.looked = Some((data, end));
                end
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n\
        2 0 obj\n<</Type /Pages/Count 1/Kids[3 0 R]>>\nendobj\n\
        3 0 obj\n<</Type\n/Page/Parent 2 0 R>>\nendobj\n\
        4 0 obj\n<</Length 30>>stream\n9 0 obj an object in a stream \nendstream\nendobj\n";

    fn scanned(bytes: &[u8]) -> Found {
        scan(bytes.to_vec()).unwrap()
    }

    fn numbers(found: &Found) -> Vec<u32> {
        found.objects.keys().copied().collect()
    }

    #[test]
    fn objects_are_found_and_the_table_leads_to_them() {
        let found = scanned(&[&b"%PDF-1.4\n"[..], BODY].concat());
        assert_eq!(numbers(&found), [1, 2, 3, 4]);
        assert_eq!((found.catalog, found.root, found.pages.as_slice()), (Some(1), None, &[3][..]));
        for (number, place) in &found.objects {
            let Place::At { offset, generation: 0 } = place else { panic!("{place:?}") };
            assert!(found.bytes[*offset as usize..].starts_with(format!("{number} 0 obj").as_bytes()));
        }
        let rebuilt = found.rebuilt(Tree::Found).unwrap();
        let end = String::from_utf8_lossy(&rebuilt[rebuilt.len() - 40..]).into_owned();
        let at: usize = end.split("startxref\n").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
        assert!(rebuilt[at..].starts_with(b"5 0 obj<</Type/XRef/Size 6/W[1 4 2]/Index[1 5]/Root 1 0 R"));
        let made = found.rebuilt(Tree::Made).unwrap();
        assert!(find(&made, b"6 0 obj<</Type/Pages/Count 1/Kids[3 0 R]>>", 0).is_some());
    }

    #[test]
    fn what_is_before_the_header_goes_and_a_header_is_made() {
        let junk = scanned(&[&b"junk of a mail\n%PDF-1.4\n"[..], BODY].concat());
        assert!(junk.bytes.starts_with(b"%PDF-1.4\n1 0 obj"));
        let none = scanned(BODY);
        assert!(none.bytes.starts_with(b"%PDF-1.7\n1 0 obj"));
        assert!(scan(b"%PDF-1.4 and nothing else".to_vec()).is_none());
    }

    #[test]
    fn the_last_object_of_a_number_counts_and_a_trailer_says_which_catalog() {
        let later = b"3 1 obj<</Type/Page/Later true>>endobj 7 0 obj<</Type/Catalog>>endobj\n\
            trailer<</Root 1 0 R/Encrypt 8 0 R/ID[<ab> (]\\)x)]/Size 9>>";
        let found = scanned(&[&b"%PDF-1.4\n"[..], BODY, later].concat());
        assert_eq!((found.catalog, found.root), (Some(7), Some(1)));
        assert!(matches!(found.objects[&3], Place::At { generation: 1, .. }));
        assert_eq!(found.encryption.as_deref(), Some(&b"/Encrypt 8 0 R/ID[<ab> (]\\)x)]"[..]));
        let rebuilt = found.rebuilt(Tree::Found).unwrap();
        assert!(
            find(&rebuilt, b"/Root 1 0 R/Length 42/Encrypt 8 0 R/ID[<ab> (]\\)x)]>>stream", 0).is_some()
        );
    }

    #[test]
    fn packed_objects_are_found_also_where_the_stream_breaks_off() {
        use std::io::Write;
        let objects =
            "11 0 12 30 13 61\n<</Type/Catalog/Pages 12 0 R>><</Type/Pages/Kids[13 0 R]>>   <</Type/Page>>";
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::none());
        packed.write_all(objects.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        let head: &[u8] = b"%PDF-1.5\n5 0 obj<</Type/ObjStm/N 3/First 17/Filter/FlateDecode>>stream\n";
        let found = scanned(&[head, packed.as_slice(), b"\nendstream endobj"].concat());
        assert_eq!(numbers(&found), [5, 11, 12, 13]);
        assert_eq!(found.objects[&12], Place::In { stream: 5, index: 1 });
        assert_eq!((found.catalog, found.pages.as_slice()), (Some(11), &[13][..]));
        let cut = scanned(&[head, &packed[..packed.len() - 20]].concat());
        assert_eq!(cut.catalog, Some(11));
        assert!(cut.pages.is_empty());
    }

    #[test]
    fn a_file_of_broken_objects_takes_one_look_at_each_byte() {
        let many = b"1 0 obj<<>>stream\n".repeat(100_000);
        assert_eq!(numbers(&scanned(&many)), [1]);
        let endless = b"1 0 obj ".repeat(100_000);
        assert_eq!(numbers(&scanned(&endless)), [1]);
    }
}
