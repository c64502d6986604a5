//! A manifest: what a generation of a document consists of in one index, chunk by chunk, with the
//! stores that must hold each. A generation becomes visible by its commit alone.

use serde::{Deserialize, Serialize};

use crate::id::{ChunkId, DocumentId, Generation, IndexId, TextHash};

/// The stores that must hold a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Store {
    /// The chunk's text and its full-text entry.
    Text,
    /// Its vector.
    Vector,
    /// Its mentions of concepts.
    Graph,
}

impl Store {
    /// Every store, in the order in which they are written.
    pub const ALL: [Store; 3] = [Store::Text, Store::Vector, Store::Graph];

    /// The store's name in audits and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Vector => "vector",
            Self::Graph => "graph",
        }
    }

    /// The store with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|store| store.as_str() == name)
    }

    /// Its bit in a [`StoreSet`].
    pub fn bit(self) -> u8 {
        match self {
            Self::Text => 1,
            Self::Vector => 2,
            Self::Graph => 4,
        }
    }
}

/// A set of [`Store`]s, one bit each; the text store is in every set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoreSet(u8);

impl StoreSet {
    /// The set of a chunk: text always, the others as said.
    pub fn of_chunk(vector: bool, graph: bool) -> Self {
        let mut bits = Store::Text.bit();
        if vector {
            bits |= Store::Vector.bit();
        }
        if graph {
            bits |= Store::Graph.bit();
        }
        Self(bits)
    }

    /// Whether the store is in the set.
    pub fn contains(self, store: Store) -> bool {
        self.0 & store.bit() != 0
    }

    /// The bits that the ledger keeps.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// The set with these bits; the text store is added where it lacks.
    pub fn from_bits(bits: u8) -> Self {
        Self((bits & 7) | Store::Text.bit())
    }
}

/// One chunk's place in its document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// The chunk.
    pub chunk: ChunkId,
    /// Hash of its text.
    pub text_hash: TextHash,
    /// Which of the document's chunks with this text it is, from 0.
    pub occurrence: u32,
    /// Place in the document, from 0.
    pub ordinal: u32,
    /// Page, from 1.
    pub page: u32,
    /// Byte offset of its first byte in the page's text.
    pub start: u32,
    /// Byte offset after its last byte in the page's text.
    pub end: u32,
    /// The headings it stands under.
    pub heading: Option<String>,
    /// The stores that must hold it.
    pub stores: StoreSet,
}

/// What a generation consists of in one index. Without entries it is a tombstone or an empty document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The document.
    pub document: DocumentId,
    /// Its content.
    pub generation: Generation,
    /// The index whose rows it names.
    pub index: IndexId,
    /// Language of most of its text, ISO 639-1 or `und`.
    pub language: String,
    /// Its chunks in document order.
    pub entries: Vec<ManifestEntry>,
}

impl Manifest {
    /// The chunks that a store must hold, in document order.
    pub fn chunks_in(&self, store: Store) -> impl Iterator<Item = ChunkId> + '_ {
        self.entries.iter().filter(move |entry| entry.stores.contains(store)).map(|entry| entry.chunk)
    }
}

/// Numbers equal texts of a document: call it once per chunk in document order.
#[derive(Debug, Default)]
pub struct Occurrences(std::collections::HashMap<TextHash, u32>);

impl Occurrences {
    /// How often this text came before.
    pub fn next(&mut self, text: TextHash) -> u32 {
        let count = self.0.entry(text).or_insert(0);
        let occurrence = *count;
        *count += 1;
        occurrence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_sets_always_hold_the_text() {
        for bits in 0..=u8::MAX {
            assert!(StoreSet::from_bits(bits).contains(Store::Text));
        }
        let set = StoreSet::of_chunk(true, false);
        assert!(set.contains(Store::Vector) && !set.contains(Store::Graph));
        assert_eq!(StoreSet::from_bits(set.bits()), set);
    }

    #[test]
    fn occurrences_count_per_text() {
        let mut occurrences = Occurrences::default();
        let (a, b) = (TextHash::of(b"a"), TextHash::of(b"b"));
        let seen: Vec<_> = [a, b, a, a].into_iter().map(|text| occurrences.next(text)).collect();
        assert_eq!(seen, [0, 0, 1, 2]);
    }
}
