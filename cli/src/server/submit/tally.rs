//! What became of what was handed in, and how it is told.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::error::Refusal;
use super::super::wire::AcceptedDocument;
use crate::output::{Style, escaped, mib};

/// Files that `--json` names which were not handed in; the count tells of all.
const NAMED_MAX: usize = 1_000;
/// Such files of one code that a person is shown.
const EXAMPLES: usize = 3;

/// See the module.
#[derive(Debug, Default)]
pub struct Tally {
    pub new: u64,
    pub changed: u64,
    pub unchanged: u64,
    /// Handed in by an earlier process of the same submission.
    pub earlier: u64,
    pub bytes: u64,
    pub failed: u64,
    named: Vec<(PathBuf, Refusal)>,
    by_code: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts what the server has.
    pub fn took(&mut self, change: &str, bytes: u64) {
        match change {
            "new" => self.new += 1,
            "changed" => self.changed += 1,
            _ => self.unchanged += 1,
        }
        self.bytes += bytes;
    }

    /// Counts what the server found by itself.
    pub fn listed(&mut self, documents: &[AcceptedDocument]) {
        for document in documents {
            self.took(&document.change, document.bytes);
        }
    }

    /// Counts a file that is not handed in.
    pub fn refused(&mut self, path: PathBuf, refusal: Refusal) {
        self.failed += 1;
        *self.by_code.entry(refusal.code.clone()).or_default() += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push((path, refusal));
        }
    }

    /// All that the server has of it.
    pub fn documents(&self) -> u64 {
        self.new + self.changed + self.unchanged + self.earlier
    }

    /// In a line.
    pub fn line(&self) -> String {
        let mut line = format!(
            "{} handed in: {} new, {} changed, {} unchanged",
            self.documents(),
            self.new,
            self.changed,
            self.unchanged
        );
        if self.earlier > 0 {
            line += &format!(", {} earlier", self.earlier);
        }
        line + &format!(", {}", mib(self.bytes))
    }

    /// For programs.
    pub fn json(&self, batch: &str) -> Value {
        let failure = |(path, refusal): &(PathBuf, Refusal)| {
            json!({
                "path": path.to_string_lossy(), "code": refusal.code,
                "message": refusal.message, "advice": refusal.advice
            })
        };
        json!({
            "batch": batch, "documents": self.documents(), "new": self.new, "changed": self.changed,
            "unchanged": self.unchanged, "earlier": self.earlier, "bytes": self.bytes, "failed": self.failed,
            "failures": self.named.iter().map(failure).collect::<Vec<_>>()
        })
    }

    /// Tells a person.
    pub fn print(&self) {
        println!("{}", self.line());
        let style = Style::stdout();
        for (code, count) in &self.by_code {
            println!("{} {count}", style.bad(code));
            let of_code = self.named.iter().filter(|(_, refusal)| refusal.code == *code);
            for (place, (path, refusal)) in of_code.enumerate().take(EXAMPLES) {
                if place == 0 {
                    println!("  help: {}", escaped(&refusal.advice));
                }
                println!("  {}: {}", escaped(&path.to_string_lossy()), escaped(&refusal.message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_counted_once() {
        let mut tally = Tally { earlier: 2, ..Tally::default() };
        for change in ["new", "new", "changed", "unchanged"] {
            tally.took(change, 10);
        }
        tally.refused("a".into(), super::super::upload::unreadable("gone"));
        assert_eq!((tally.documents(), tally.failed, tally.bytes), (6, 1, 40));
        assert_eq!(tally.line(), "6 handed in: 2 new, 1 changed, 1 unchanged, 2 earlier, 0.0 MiB");
        let told = tally.json("b");
        assert_eq!((&told["documents"], &told["failures"][0]["code"]), (&json!(6), &json!("unreadable")));
    }
}
