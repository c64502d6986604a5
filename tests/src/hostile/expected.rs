//! The table of what must come of each file of the corpora. It is written by a run (`--write`), read by a person, and kept.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use super::class;

/// What its first line says.
const HEADER: &str = "# package\tpath\tsha256\tclass";

/// A file, by its package and its path in it.
pub type Key = (String, String);

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// What must come of it.
    pub class: String,
}

/// The whole table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// By package and path.
    pub rows: BTreeMap<Key, Row>,
}

impl Table {
    /// The one that is kept.
    ///
    /// # Errors
    /// It is not there, or not understood.
    pub fn kept() -> Result<Self> {
        let path = Self::place();
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// Keeps it.
    ///
    /// # Errors
    /// The disk did not take it.
    pub fn keep(&self) -> Result<()> {
        let path = Self::place();
        std::fs::write(&path, self.text()).with_context(|| format!("cannot write {}", path.display()))
    }

    fn place() -> PathBuf {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/hostile/expected.tsv"))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut rows = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [package, path, sha256, class] = fields[..] else {
                bail!("line {number} has {} fields, four are wanted", fields.len());
            };
            ensure!(class::is_known(class), "line {number}: there is no class {class}");
            let row = Row { sha256: sha256.to_owned(), class: class.to_owned() };
            let double = rows.insert((package.to_owned(), unescaped(path)), row);
            ensure!(double.is_none(), "line {number}: {package} {path} stands twice");
        }
        Ok(Self { rows })
    }

    fn text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        for ((package, path), Row { sha256, class }) in &self.rows {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{package}\t{}\t{sha256}\t{class}", escaped(path));
        }
        text
    }
}

/// A path as it stands in a line.
fn escaped(path: &str) -> String {
    path.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n")
}

fn unescaped(path: &str) -> String {
    let (mut plain, mut chars) = (String::with_capacity(path.len()), path.chars());
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                other => other.unwrap_or('\\'),
            },
            c => c,
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_comes_back_as_it_was_kept() {
        let row = |class: &str| Row { sha256: "00".repeat(32), class: class.to_owned() };
        let mut table = Table::default();
        for (path, class) in [("a.pdf", "read"), ("b\t\\n\n.pdf", "ocr"), ("c", "limit_time")] {
            table.rows.insert(("qpdf".to_owned(), path.to_owned()), row(class));
        }
        assert_eq!(Table::parse(&table.text()).unwrap(), table);
        assert!(Table::parse("qpdf\ta\t00").is_err());
        assert!(Table::parse("qpdf\ta\t00\tfine").is_err());
        assert!(Table::parse("qpdf\ta\t00\tread\nqpdf\ta\t00\tread").is_err());
    }

    #[test]
    fn what_is_kept_is_understood() {
        Table::kept().unwrap();
    }
}
