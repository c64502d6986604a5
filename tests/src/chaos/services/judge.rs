//! Compares the list of what was submitted with what the servers hold: all there, once, current, and no more.
//! Pure, so that what it must find can be shown to it.

use std::collections::{BTreeMap, BTreeSet};

use super::inventory::Inventory;

/// Findings of one kind that are printed.
const EXAMPLES: usize = 5;
/// The code of documents that kill their extractor.
const POISON_CODE: &str = "extractor_died";

/// A document as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenDocument {
    /// Its id.
    pub id: String,
    /// Name of its object.
    pub key: String,
    /// Its state.
    pub state: String,
    /// Hash of its newest content, in hexadecimal.
    pub content: String,
    /// Code of its failure.
    pub failure: Option<String>,
}

/// An entry of a manifest that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenEntry {
    /// Id of the document.
    pub document: String,
    /// The chunk.
    pub chunk: String,
    /// Hash of its text and which of equal ones it is.
    pub text: (String, i32),
    /// Whether a vector must be there.
    pub vector: bool,
    /// Whether evidence must be in the graph.
    pub graph: bool,
}

/// A chunk in the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenEvidence {
    /// The chunk.
    pub chunk: String,
    /// Relationships to concepts.
    pub mentions: u64,
    /// Concepts at their ends.
    pub concepts: u64,
}

/// Everything that the servers hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Rows of documents.
    pub documents: Vec<SeenDocument>,
    /// Entries of manifests that were not replaced.
    pub entries: Vec<SeenEntry>,
    /// Texts of chunks.
    pub texts: BTreeMap<String, String>,
    /// Chunks that have a vector.
    pub vectors: Vec<String>,
    /// The graph's chunks.
    pub evidence: Vec<SeenEvidence>,
    /// Names of concepts that are there more than once.
    pub concepts_twice: u64,
    /// Concepts that nothing mentions.
    pub concepts_loose: u64,
    /// Entries of the queue, of any kind.
    pub queue: u64,
}

/// Counts that all must be zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Documents that are not there, or not in the content that was acknowledged last.
    pub lost: usize,
    /// Documents that a store has not all of.
    pub partial: usize,
    /// Documents, rows or nodes that are there twice.
    pub duplicate: usize,
    /// What is there of contents that are gone.
    pub stale: usize,
    /// Dead letters that kill nobody.
    pub innocent_dead: usize,
    /// Documents that kill their extractor and are no dead letter, or one with another code.
    pub poison_wrong: usize,
    /// Findings of the audit without repair, and entries of the queue that nobody needs.
    pub verify: u64,
}

impl Verdict {
    /// The names of what is not zero.
    pub fn short(&self) -> Vec<&'static str> {
        let counts = [
            ("lost", self.lost),
            ("partial", self.partial),
            ("duplicate", self.duplicate),
            ("stale", self.stale),
            ("innocent_dead", self.innocent_dead),
            ("poison_wrong", self.poison_wrong),
            ("verify", usize::try_from(self.verify).unwrap_or(usize::MAX)),
        ];
        counts.iter().filter(|(_, count)| *count > 0).map(|(name, _)| *name).collect()
    }
}

#[derive(Default)]
struct Findings(BTreeMap<&'static str, BTreeSet<String>>);

impl Findings {
    fn add(&mut self, kind: &'static str, what: &str, why: &str) {
        let known = self.0.entry(kind).or_default();
        if known.insert(what.to_owned()) && known.len() <= EXAMPLES {
            eprintln!("{kind}: {what}: {why}");
        }
    }

    fn count(&self, kind: &str) -> usize {
        self.0.get(kind).map_or(0, BTreeSet::len)
    }
}

/// Compares.
pub fn judge(inventory: &Inventory, seen: &Seen) -> Verdict {
    let mut findings = Findings::default();
    documents(inventory, seen, &mut findings);
    stores(seen, &mut findings);
    stale(inventory, seen, &mut findings);
    dead(inventory, seen, &mut findings);
    Verdict {
        lost: findings.count("lost"),
        partial: findings.count("partial"),
        duplicate: findings.count("duplicate") + seen.concepts_twice as usize,
        stale: findings.count("stale") + seen.concepts_loose as usize,
        innocent_dead: findings.count("innocent_dead"),
        poison_wrong: findings.count("poison_wrong"),
        verify: seen.queue,
    }
}

/// Each document of the list is there once, committed, in its content, and shows every mark.
fn documents(inventory: &Inventory, seen: &Seen, findings: &mut Findings) {
    let mut of_key: BTreeMap<&str, Vec<&SeenDocument>> = BTreeMap::new();
    for document in &seen.documents {
        of_key.entry(&document.key).or_default().push(document);
    }
    let mut of_document: BTreeMap<&str, Vec<&SeenEntry>> = BTreeMap::new();
    for entry in &seen.entries {
        of_document.entry(&entry.document).or_default().push(entry);
    }
    for (key, found) in &of_key {
        if found.len() > 1 {
            findings.add("duplicate", key, "more than one document");
        }
    }
    for entry in &inventory.entries {
        let Some(document) = of_key.get(entry.key.as_str()).and_then(|found| found.first()) else {
            findings.add("lost", &entry.key, "no document");
            continue;
        };
        let wanted: String = entry.current.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        if document.content != wanted {
            findings.add("lost", &entry.key, "not the content that was acknowledged last");
        } else if document.state != "committed" && document.state != "failed" {
            findings.add("lost", &entry.key, &format!("still {}", document.state));
        }
        let chunks = of_document.get(document.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        let texts: Vec<&str> =
            chunks.iter().filter_map(|chunk| seen.texts.get(&chunk.chunk)).map(String::as_str).collect();
        let lacks = entry.current.marks().filter(|mark| !texts.iter().any(|text| text.contains(mark)));
        let (lacking, all) = (lacks.count(), entry.current.marks().count());
        match lacking {
            0 => {}
            some if some == all => findings.add("lost", &entry.key, "nothing of its text"),
            some => findings.add("partial", &entry.key, &format!("{some} of {all} paragraphs lack")),
        }
    }
}

/// Each entry has its rows, and each row and node is there once.
fn stores(seen: &Seen, findings: &mut Findings) {
    let vectors: BTreeSet<&str> = seen.vectors.iter().map(String::as_str).collect();
    let evidence: BTreeSet<&str> = seen.evidence.iter().map(|seen| seen.chunk.as_str()).collect();
    let mut places: BTreeSet<(&str, &(String, i32))> = BTreeSet::new();
    for entry in &seen.entries {
        let chunk = entry.chunk.as_str();
        if !seen.texts.contains_key(chunk) {
            findings.add("partial", &entry.document, "a chunk without its text");
        }
        if entry.vector && !vectors.contains(chunk) {
            findings.add("partial", &entry.document, "a chunk without its vector");
        }
        if entry.graph && !evidence.contains(chunk) {
            findings.add("partial", &entry.document, "a chunk that lacks in the graph");
        }
        if !places.insert((&entry.document, &entry.text)) {
            findings.add("duplicate", &entry.document, "an entry twice");
        }
    }
    if vectors.len() < seen.vectors.len() {
        findings.add("duplicate", "vectors", "a chunk has two");
    }
    if evidence.len() < seen.evidence.len() {
        findings.add("duplicate", "graph", "a chunk is there twice");
    }
    for seen in &seen.evidence {
        if seen.mentions == 0 {
            findings.add("partial", &seen.chunk, "evidence of nothing");
        }
        if seen.mentions != seen.concepts {
            findings.add("duplicate", &seen.chunk, "mentions a concept twice");
        }
    }
}

/// Nothing is there that no current manifest names, and no mark of a content that is gone.
fn stale(inventory: &Inventory, seen: &Seen, findings: &mut Findings) {
    let named: BTreeSet<&str> = seen.entries.iter().map(|entry| entry.chunk.as_str()).collect();
    let held = seen.texts.keys().chain(&seen.vectors).map(String::as_str);
    for chunk in held.chain(seen.evidence.iter().map(|seen| seen.chunk.as_str())) {
        if !named.contains(chunk) {
            findings.add("stale", chunk, "a row that nothing names");
        }
    }
    let retired = inventory.retired();
    for (chunk, text) in &seen.texts {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric());
        if words.into_iter().any(|word| retired.contains(word)) {
            findings.add("stale", chunk, "a paragraph of an earlier content");
        }
    }
}

fn dead(inventory: &Inventory, seen: &Seen, findings: &mut Findings) {
    let mut wrong = inventory.poison.clone();
    for document in seen.documents.iter().filter(|document| document.state == "failed") {
        let code = document.failure.as_deref().unwrap_or("no reason");
        if !inventory.poison.contains(&document.key) {
            findings.add("innocent_dead", &document.key, code);
        } else if code == POISON_CODE {
            wrong.remove(&document.key);
        }
    }
    for key in wrong {
        findings.add("poison_wrong", &key, "is no dead letter, or has another code");
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
