//! The list of what went in, kept by the test alone: path, hash, and the marks that its text must show.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};

use crate::corpus::{self, Writer};

/// Every how many documents one is a PDF.
const PDF_EVERY: usize = 25;
/// Damaged PDFs that must be dead-lettered as `damaged`.
const DAMAGED: usize = 5;
/// Files without a byte that must be dead-lettered as `empty`.
const EMPTY: usize = 3;
/// Older contents of one file that are kept to be written again (A, B, A).
const HISTORY_MAX: usize = 2;

/// One content of a file.
#[derive(Debug, Clone)]
pub struct Content {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The mark at its start and the one at its end.
    pub marks: [String; 2],
}

/// A file that must be found again.
#[derive(Debug, Clone)]
pub struct Entry {
    /// SHA-256 of the file, to be sure that the list is true.
    pub sha256: [u8; 32],
    /// Its marks.
    pub marks: [String; 2],
    is_pdf: bool,
    current: Content,
    earlier: Vec<Content>,
}

/// All files, and every mark that was ever written.
pub struct Inventory {
    root: PathBuf,
    writer: Writer,
    next: usize,
    /// Files that must be documents.
    pub entries: BTreeMap<PathBuf, Entry>,
    /// Files that must be dead letters, with their code.
    pub poison: BTreeMap<PathBuf, &'static str>,
    /// Marks of all contents there ever were.
    pub ever: BTreeSet<String>,
}

impl Inventory {
    /// Writes the first files.
    pub fn plant(root: &Path, documents: usize, seed: u64) -> Result<Self> {
        let mut inventory = Self {
            root: root.to_owned(),
            writer: Writer::new(seed),
            next: 0,
            entries: BTreeMap::new(),
            poison: BTreeMap::new(),
            ever: BTreeSet::new(),
        };
        for _ in 0..documents {
            inventory.add()?;
        }
        for number in 0..DAMAGED {
            let path = root.join("poison").join(format!("damaged-{number}.pdf"));
            corpus::write(&path, &corpus::damaged_pdf(seed + number as u64))?;
            inventory.poison.insert(path, "damaged");
        }
        for number in 0..EMPTY {
            let path = root.join("poison").join(format!("empty-{number}.txt"));
            corpus::write(&path, b"")?;
            inventory.poison.insert(path, "empty");
        }
        Ok(inventory)
    }

    /// Documents that must be there.
    pub fn documents(&self) -> usize {
        self.entries.len()
    }

    /// Marks that must not be seen any more.
    pub fn retired(&self) -> BTreeSet<&str> {
        let current: BTreeSet<&str> =
            self.entries.values().flat_map(|entry| entry.marks.iter().map(String::as_str)).collect();
        self.ever.iter().map(String::as_str).filter(|mark| !current.contains(mark)).collect()
    }

    /// Changes about `count` files: adds, edits, edits back, moves and deletes. As many go as come.
    pub fn change(&mut self, count: usize, random: &mut StdRng) -> Result<()> {
        for _ in 0..count {
            let at = random.random_range(0..self.entries.len());
            let path = self.entries.keys().nth(at).context("an entry")?.clone();
            match random.random_range(0..100) {
                0..20 => self.add()?,
                20..65 => self.edit(&path)?,
                65..80 => self.edit_back(&path)?,
                80..90 => self.rename(&path)?,
                _ => self.delete(&path)?,
            }
            // Twice as many additions as deletions; take the difference back where it grows.
            if self.entries.len() > 3_500 {
                let oldest = self.entries.keys().next().context("an entry")?.clone();
                self.delete(&oldest)?;
            }
        }
        Ok(())
    }

    fn fresh(&mut self, is_pdf: bool) -> Content {
        let number = self.next;
        self.next += 1;
        let marks = [format!("zqopen{number:07}x"), format!("zqclose{number:07}x")];
        self.ever.extend(marks.iter().cloned());
        let first = format!("{} opens this document.", marks[0]);
        let last = format!("{} closes this document.", marks[1]);
        let bytes = if is_pdf {
            corpus::pdf(&corpus::dense_pages(&mut self.writer, 3, Some(&first), Some(&last)))
        } else {
            let length = 600 + (number % 7) * 700;
            let text = self.writer.document(length);
            format!("{first}\n\n{text}\n\n{last}\n").into_bytes()
        };
        Content { bytes, marks }
    }

    fn add(&mut self) -> Result<()> {
        let number = self.next;
        let is_pdf = number.is_multiple_of(PDF_EVERY);
        let content = self.fresh(is_pdf);
        let kind = if is_pdf { "pdf" } else { "txt" };
        let path = self.root.join(format!("{:02}", number % 40)).join(format!("file {number:06}.{kind}"));
        self.put(path, content, Vec::new(), is_pdf)
    }

    fn put(&mut self, path: PathBuf, content: Content, earlier: Vec<Content>, is_pdf: bool) -> Result<()> {
        corpus::write(&path, &content.bytes)?;
        let sha256 = Sha256::digest(&content.bytes).into();
        let entry = Entry { sha256, marks: content.marks.clone(), is_pdf, current: content, earlier };
        self.entries.insert(path, entry);
        Ok(())
    }

    fn edit(&mut self, path: &Path) -> Result<()> {
        let Some(entry) = self.entries.remove(path) else { return Ok(()) };
        let content = self.fresh(entry.is_pdf);
        let mut earlier = entry.earlier;
        earlier.push(entry.current);
        if earlier.len() > HISTORY_MAX {
            earlier.remove(0);
        }
        self.put(path.to_owned(), content, earlier, entry.is_pdf)
    }

    /// Writes an earlier content again; without one, edits.
    fn edit_back(&mut self, path: &Path) -> Result<()> {
        let Some(mut entry) = self.entries.remove(path) else { return Ok(()) };
        match entry.earlier.pop() {
            Some(content) => self.put(path.to_owned(), content, vec![entry.current], entry.is_pdf),
            None => {
                self.entries.insert(path.to_owned(), entry);
                self.edit(path)
            }
        }
    }

    fn rename(&mut self, path: &Path) -> Result<()> {
        let Some(entry) = self.entries.remove(path) else { return Ok(()) };
        self.next += 1;
        let kind = if entry.is_pdf { "pdf" } else { "txt" };
        let new = self.root.join("moved").join(format!("moved {:06}.{kind}", self.next));
        std::fs::create_dir_all(self.root.join("moved"))?;
        std::fs::rename(path, &new)?;
        self.entries.insert(new, entry);
        Ok(())
    }

    fn delete(&mut self, path: &Path) -> Result<()> {
        std::fs::remove_file(path)?;
        self.entries.remove(path);
        Ok(())
    }
}
