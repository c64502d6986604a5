//! Compares the list of what went in with what the command shows: all there, once, current, and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use sha2::{Digest, Sha256};

use super::inventory::Inventory;
use crate::command::{Docmill, ExportedChunk};

/// Findings of one kind that are printed.
const EXAMPLES: usize = 5;

/// Counts that all must be zero.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Files whose current content cannot be found.
    pub lost: usize,
    /// Files with more than one document, or with a chunk twice.
    pub doubled: usize,
    /// Documents of files that are gone, or chunks of contents that are gone.
    pub stale: usize,
    /// Dead letters that were not planted.
    pub innocent_dead: usize,
    /// Planted files that are no dead letter, or one with another code.
    pub poison_wrong: usize,
    /// Sum of what `verify` found.
    pub verify: u64,
    /// Processes of dead runs that still live.
    pub orphan_processes: usize,
}

impl Verdict {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        let counts = [
            self.lost,
            self.doubled,
            self.stale,
            self.innocent_dead,
            self.poison_wrong,
            self.orphan_processes,
        ];
        counts.iter().all(|&count| count == 0) && self.verify == 0
    }
}

struct Findings<'a> {
    kind: &'a str,
    paths: BTreeSet<PathBuf>,
}

impl<'a> Findings<'a> {
    fn new(kind: &'a str) -> Self {
        Self { kind, paths: BTreeSet::new() }
    }

    fn add(&mut self, path: &Path, why: &str) {
        if self.paths.insert(path.to_owned()) && self.paths.len() <= EXAMPLES {
            eprintln!("{}: {}: {why}", self.kind, path.display());
        }
    }
}

/// Looks at everything through the command.
pub fn check(docmill: &Docmill, inventory: &Inventory) -> Result<Verdict> {
    for (path, entry) in &inventory.entries {
        let on_disk: [u8; 32] = Sha256::digest(std::fs::read(path)?).into();
        ensure!(on_disk == entry.sha256, "the list is wrong about {}", path.display());
    }
    let chunks = docmill.export()?;
    let mut of_path: BTreeMap<&Path, Vec<&ExportedChunk>> = BTreeMap::new();
    for chunk in &chunks {
        of_path.entry(&chunk.path).or_default().push(chunk);
    }
    let (lost, mut doubled) = check_current(inventory, &of_path);
    let mut stale = check_stale(inventory, &chunks);
    let mut documents: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for (path, _) in docmill.documents()? {
        *documents.entry(path).or_default() += 1;
    }
    for (path, count) in &documents {
        if !inventory.entries.contains_key(path) && !inventory.poison.contains_key(path) {
            stale.add(path, "a document of a file that is gone");
        }
        if *count > 1 {
            doubled.add(path, "listed more than once");
        }
    }
    let mut verdict = Verdict {
        lost: lost.paths.len(),
        doubled: doubled.paths.len(),
        stale: stale.paths.len(),
        ..Verdict::default()
    };
    check_dead(docmill, inventory, &mut verdict)?;
    for (name, count) in docmill.verify()? {
        if count > 0 {
            eprintln!("verify: {name}={count}");
        }
        verdict.verify += count;
    }
    Ok(verdict)
}

/// Every file has one document, with both marks, and no place in it twice.
fn check_current<'a>(
    inventory: &Inventory,
    of_path: &BTreeMap<&Path, Vec<&ExportedChunk>>,
) -> (Findings<'a>, Findings<'a>) {
    let (mut lost, mut doubled) = (Findings::new("lost"), Findings::new("doubled"));
    for (path, entry) in &inventory.entries {
        let Some(chunks) = of_path.get(path.as_path()) else {
            lost.add(path, "no chunk");
            continue;
        };
        for mark in &entry.marks {
            if !chunks.iter().any(|chunk| chunk.text.contains(mark)) {
                lost.add(path, &format!("no chunk with {mark}"));
            }
        }
        let ids: BTreeSet<&str> = chunks.iter().map(|chunk| chunk.document.as_str()).collect();
        let places: BTreeSet<_> = chunks.iter().map(|chunk| (chunk.page, chunk.start, chunk.end)).collect();
        if ids.len() > 1 {
            doubled.add(path, "two documents");
        } else if places.len() < chunks.len() {
            doubled.add(path, "a chunk twice");
        }
    }
    (lost, doubled)
}

/// No chunk shows a mark of a content that is gone, and none belongs to a file that is gone.
fn check_stale<'a>(inventory: &Inventory, chunks: &[ExportedChunk]) -> Findings<'a> {
    let mut stale = Findings::new("stale");
    let retired = inventory.retired();
    for chunk in chunks {
        if !inventory.entries.contains_key(&chunk.path) {
            stale.add(&chunk.path, "a chunk of a file that is gone");
        }
        let marks =
            chunk.text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.starts_with("zq"));
        for mark in marks {
            if retired.contains(mark) {
                stale.add(&chunk.path, &format!("{mark} is of an earlier content"));
            }
        }
    }
    stale
}

fn check_dead(docmill: &Docmill, inventory: &Inventory, verdict: &mut Verdict) -> Result<()> {
    let dead: BTreeMap<PathBuf, String> =
        docmill.dead_letters()?.into_iter().map(|letter| (letter.path, letter.code)).collect();
    for (path, code) in &dead {
        if !inventory.poison.contains_key(path) {
            verdict.innocent_dead += 1;
            eprintln!("innocent dead: {}: {code}", path.display());
        }
    }
    for (path, code) in &inventory.poison {
        if dead.get(path).map(String::as_str) != Some(code) {
            verdict.poison_wrong += 1;
            eprintln!("poison: {}: {:?} instead of {code}", path.display(), dead.get(path));
        }
    }
    Ok(())
}
