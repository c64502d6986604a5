//! What an audit found, for a person: the same of this machine and of a server.

use docmill_worker::verify::Findings;

use crate::output::{escaped, table};

/// Prints counts and examples, with `note` between them.
pub fn print(findings: &Findings, note: Option<String>) {
    let counts = [
        ("missing", findings.missing),
        ("orphan", findings.orphan),
        ("stale", findings.stale),
        ("duplicate", findings.duplicate),
        ("queue", findings.queue),
    ];
    let rows = counts.iter().map(|(name, count)| vec![(*name).to_owned(), count.to_string()]);
    println!("{}", table(&["finding", "count"], rows.collect()));
    println!("{} manifests and {} rows looked at", findings.checked_manifests, findings.checked_rows);
    if let Some(note) = note {
        println!("{note}");
    }
    for example in &findings.examples {
        println!("  {}", escaped(example));
    }
}
