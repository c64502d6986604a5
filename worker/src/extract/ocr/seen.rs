//! What was read on pictures before, so that the same picture is not read twice: form letters, cover sheets, the same
//! page in ten documents. Kept by one process, which sees the documents of one tenant alone.
//!
//! Not the outcome is kept but each read, which is what the recogniser makes of a picture with these models and nothing
//! else. So a page has the text that it would have had, whatever was read before it.

use std::collections::VecDeque;

use sha2::{Digest, Sha256};

use super::Picture;
use super::languages::{Looked, Read};

/// Most pictures that are remembered.
const PICTURES_MAX: usize = 256;

/// Most text of all pictures together: a page has some 3 KB.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// A picture's own name. Of a hash that nobody can make collide: documents are not to be trusted.
pub(super) type Name = [u8; 32];

/// Names a picture by its points, its shape and its resolution.
pub(super) fn name_of(picture: &Picture) -> Name {
    let mut hash = Sha256::new();
    for number in [picture.grey.width as u64, picture.grey.height as u64, u64::from(picture.dpi)] {
        hash.update(number.to_le_bytes());
    }
    hash.update(&picture.grey.pixels);
    hash.finalize().into()
}

/// Where a picture was seen first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Counts the documents of the process.
    pub document: u64,
    pub page: u32,
}

/// All that was done about a picture.
#[derive(Debug, PartialEq)]
pub(super) struct Memory {
    name: Name,
    pub first: Place,
    pub looked: Looked,
    pub reads: Vec<(Read, String)>,
}

impl Memory {
    /// Of a picture that is new.
    pub fn new(name: Name, first: Place) -> Self {
        Self { name, first, looked: Looked::NotYet, reads: Vec::new() }
    }

    /// The read with these models and this turn, with its text.
    pub fn read(&self, models: &str, turn: i32) -> Option<&(Read, String)> {
        self.reads.iter().find(|(read, _)| read.models == models && read.turn == turn)
    }

    fn text_bytes(&self) -> usize {
        self.reads.iter().map(|(_, text)| text.len()).sum()
    }
}

/// Pictures, the one seen last at the end.
#[derive(Default)]
pub(super) struct Seen {
    memories: VecDeque<Memory>,
    text_bytes: usize,
}

impl Seen {
    /// Takes out what is known of a picture.
    pub fn take(&mut self, name: &Name) -> Option<Memory> {
        let at = self.memories.iter().rposition(|memory| memory.name == *name)?;
        let memory = self.memories.remove(at)?;
        self.text_bytes -= memory.text_bytes();
        Some(memory)
    }

    /// Puts in what is known of a picture, and forgets those not seen for longest where it is too much.
    pub fn put(&mut self, memory: Memory) {
        self.text_bytes += memory.text_bytes();
        self.memories.push_back(memory);
        while self.memories.len() > PICTURES_MAX || self.text_bytes > TEXT_BYTES_MAX {
            let Some(oldest) = self.memories.pop_front() else { return };
            self.text_bytes -= oldest.text_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::tesseract::Grey;

    fn memory(number: u16, text_bytes: usize) -> Memory {
        let mut name = [0; 32];
        name[..2].copy_from_slice(&number.to_le_bytes());
        let mut memory = Memory::new(name, Place { document: 1, page: u32::from(number) });
        memory.reads.push((Read::new("eng".to_owned(), 0, "", 90), "x".repeat(text_bytes)));
        memory
    }

    fn picture(width: usize, height: usize, dpi: u32) -> Picture {
        Picture { grey: Grey { width, height, pixels: vec![9; width * height] }, dpi }
    }

    #[test]
    fn a_picture_is_its_points_shape_and_resolution() {
        let name = name_of(&picture(6, 4, 200));
        assert_eq!(name, name_of(&picture(6, 4, 200)));
        assert_ne!(name, name_of(&picture(4, 6, 200)));
        assert_ne!(name, name_of(&picture(6, 4, 150)));
        let mut other = picture(6, 4, 200);
        other.grey.pixels[23] = 8;
        assert_ne!(name, name_of(&other));
    }

    #[test]
    fn a_read_is_found_by_its_models_and_turn() {
        let memory = memory(1, 7);
        assert_eq!(memory.read("eng", 0).map(|(_, text)| text.len()), Some(7));
        assert!(memory.read("eng", 180).is_none() && memory.read("deu", 0).is_none());
    }

    #[test]
    fn what_was_not_seen_for_longest_is_forgotten() {
        let mut seen = Seen::default();
        for number in 0..PICTURES_MAX as u16 {
            seen.put(memory(number, 10));
        }
        // Seen again, and so the newest.
        let first = seen.take(&memory(0, 0).name).unwrap();
        assert_eq!(first, memory(0, 10));
        assert_eq!(seen.text_bytes, 10 * (PICTURES_MAX - 1));
        seen.put(first);
        seen.put(memory(999, 10));
        assert!(seen.take(&memory(1, 0).name).is_none());
        assert!(seen.take(&memory(0, 0).name).is_some() && seen.take(&memory(999, 0).name).is_some());
    }

    #[test]
    fn much_text_is_not_kept() {
        let mut seen = Seen::default();
        for number in 0..8 {
            seen.put(memory(number, TEXT_BYTES_MAX / 4));
        }
        assert_eq!(seen.memories.len(), 4);
        seen.put(memory(9, TEXT_BYTES_MAX + 1));
        assert_eq!((seen.memories.len(), seen.text_bytes), (0, 0));
    }
}
