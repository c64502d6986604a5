//! What was submitted, kept by the harness alone: place, hash and marks of each content, the current last.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

use crate::corpus::Writer;

/// Paragraphs of a document.
const PARAGRAPHS: std::ops::Range<usize> = 2..12;
/// Bytes of a paragraph.
const PARAGRAPH_BYTES: usize = 800;
/// Every how many documents one is of a format that a child process reads.
const HTML_EVERY: usize = 3;
/// Names that many documents share, so that writers meet at their concepts.
const SHARED: [&str; 4] =
    ["Rose Hill Orchard", "High Tower Bank", "Deep Water Terminal", "Sandy Point Lighthouse"];
/// Every how many documents one is uploaded to the API.
const UPLOADED_EVERY: usize = 2;
/// First part of the names of those.
const UPLOADED: &str = "uploaded/";
/// Part of the names of documents that kill their extractor.
pub const POISON: &str = "poison";

/// Whether a document of this name is uploaded to the API.
pub fn is_uploaded(name: &str) -> bool {
    name.starts_with(UPLOADED)
}

/// A paragraph and the mark in it that no other has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Paragraph {
    mark: String,
    text: String,
}

/// One content of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// SHA-256 of them.
    pub sha256: [u8; 32],
    paragraphs: Vec<Paragraph>,
}

impl Content {
    /// The marks that its text must show.
    pub fn marks(&self) -> impl Iterator<Item = &str> {
        self.paragraphs.iter().map(|paragraph| paragraph.mark.as_str())
    }
}

/// A document.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Name of its object.
    pub key: String,
    /// What was acknowledged last.
    pub current: Content,
    earlier: Option<Content>,
}

/// See the module.
pub struct Inventory {
    random: StdRng,
    writer: Writer,
    next_mark: usize,
    /// Documents that must be found.
    pub entries: Vec<Entry>,
    /// Names of those that must be dead letters.
    pub poison: BTreeSet<String>,
    /// Every mark there ever was.
    ever: BTreeSet<String>,
}

impl Inventory {
    /// Nothing yet.
    pub fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed ^ 0x0b5e_55ed),
            writer: Writer::new(seed),
            next_mark: 0,
            entries: Vec::new(),
            poison: BTreeSet::new(),
            ever: BTreeSet::new(),
        }
    }

    /// Marks that must not be seen any more.
    pub fn retired(&self) -> BTreeSet<&str> {
        let current: BTreeSet<&str> = self.entries.iter().flat_map(|entry| entry.current.marks()).collect();
        self.ever.iter().map(String::as_str).filter(|mark| !current.contains(mark)).collect()
    }

    /// A document that is not there yet: its name and its content.
    pub fn fresh(&mut self) -> (String, Content) {
        let number = self.entries.len();
        let count = self.random.random_range(PARAGRAPHS);
        let paragraphs = (0..count).map(|_| self.paragraph()).collect();
        let kind = if number.is_multiple_of(HTML_EVERY) { "html" } else { "txt" };
        let folder = if number.is_multiple_of(UPLOADED_EVERY) { UPLOADED } else { "documents/" };
        let key = format!("{folder}{:02}/{number:06}.{kind}", number % 20);
        let content = written(&key, paragraphs);
        (key, content)
    }

    /// A document that kills whoever reads it.
    pub fn fresh_poison(&mut self) -> (String, Content) {
        let key = format!("documents/{POISON}-{:03}.html", self.poison.len());
        let content = written(&key, vec![self.paragraph()]);
        (key, content)
    }

    /// The next content of a document: most of the current one, some paragraphs anew.
    pub fn edited(&mut self, number: usize) -> Content {
        let mut paragraphs = self.entries[number].current.paragraphs.clone();
        let at = self.random.random_range(0..paragraphs.len());
        paragraphs[at] = self.paragraph();
        if self.random.random_bool(0.5) {
            paragraphs.push(self.paragraph());
        } else if paragraphs.len() > 2 {
            paragraphs.remove(self.random.random_range(0..paragraphs.len()));
        }
        written(&self.entries[number].key, paragraphs)
    }

    /// The content before the current one, where there is one.
    pub fn earlier(&self, number: usize) -> Option<Content> {
        self.entries[number].earlier.clone()
    }

    /// Notes what was acknowledged: of a document that is there, or of the next one.
    pub fn acknowledged(&mut self, number: usize, key: String, content: Content) {
        match self.entries.get_mut(number) {
            Some(entry) => entry.earlier = Some(std::mem::replace(&mut entry.current, content)),
            None => self.entries.push(Entry { key, current: content, earlier: None }),
        }
    }

    fn paragraph(&mut self) -> Paragraph {
        let mark = format!("zqmark{:07}x", self.next_mark);
        self.next_mark += 1;
        self.ever.insert(mark.clone());
        let shared = SHARED[self.random.random_range(0..SHARED.len())];
        let prose = self.writer.prose(PARAGRAPH_BYTES);
        let text = format!("In {mark} the {shared} was mentioned. {prose}");
        Paragraph { mark, text }
    }
}

fn written(key: &str, paragraphs: Vec<Paragraph>) -> Content {
    let texts = paragraphs.iter().map(|paragraph| paragraph.text.as_str());
    let text = if key.ends_with(".html") {
        let body: String = texts.map(|text| format!("<p>{text}</p>\n")).collect();
        format!("<html><head><title>{key}</title></head><body>\n{body}</body></html>\n")
    } else {
        texts.collect::<Vec<_>>().join("\n\n")
    };
    let bytes = text.into_bytes();
    Content { sha256: Sha256::digest(&bytes).into(), bytes, paragraphs }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Documents as if they had been acknowledged.
    pub fn some(documents: usize) -> Inventory {
        let mut inventory = Inventory::new(1);
        for number in 0..documents {
            let (key, content) = inventory.fresh();
            inventory.acknowledged(number, key, content);
        }
        inventory
    }

    #[test]
    fn an_edit_and_the_way_back_retire_the_right_marks() {
        let mut inventory = some(3);
        assert!(inventory.retired().is_empty());
        let first = inventory.entries[1].current.clone();
        let second = inventory.edited(1);
        inventory.acknowledged(1, String::new(), second.clone());
        let gone: BTreeSet<&str> =
            first.marks().filter(|mark| !second.marks().any(|m| m == *mark)).collect();
        assert!(!gone.is_empty());
        assert_eq!(inventory.retired(), gone);
        let back = inventory.earlier(1).unwrap();
        assert_eq!(back, first);
        inventory.acknowledged(1, String::new(), back);
        assert!(inventory.retired().iter().all(|mark| second.marks().any(|m| m == *mark)));
    }
}
