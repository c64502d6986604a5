//! How things are printed: colours only on a terminal, nothing from documents that steers one.

use std::io::IsTerminal;

use comfy_table::{ContentArrangement, Table, presets};
use docmill_core::search::Snippet;
use owo_colors::OwoColorize;

/// Widest table.
const COLUMNS: u16 = 80;

/// Whether to colour.
#[derive(Debug, Clone, Copy)]
pub struct Style(bool);

impl Style {
    pub fn stdout() -> Self {
        Self(std::io::stdout().is_terminal() && Self::wanted())
    }

    pub fn stderr() -> Self {
        Self(std::io::stderr().is_terminal() && Self::wanted())
    }

    fn wanted() -> bool {
        std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }

    pub fn strong(self, text: &str) -> String {
        if self.0 { text.bold().to_string() } else { text.to_owned() }
    }

    pub fn dim(self, text: &str) -> String {
        if self.0 { text.dimmed().to_string() } else { text.to_owned() }
    }

    pub fn bad(self, text: &str) -> String {
        if self.0 { text.red().bold().to_string() } else { text.to_owned() }
    }
}

/// The text without characters that move the cursor or turn the direction of what follows.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        let bidi = matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || bidi {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// The same on one line: line ends become spaces.
pub fn one_line(text: &str) -> String {
    escaped(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A line that says where a document failed, where that is known.
pub fn place_of_failure(stage: Option<&str>, page: Option<u32>) {
    match (stage.map(escaped), page) {
        (Some(stage), Some(page)) => println!("  in stage {stage}, page {page}"),
        (Some(stage), None) => println!("  in stage {stage}"),
        (None, Some(page)) => println!("  on page {page}"),
        (None, None) => {}
    }
}

/// A snippet with its matches in bold.
pub fn highlighted(snippet: &Snippet, style: Style) -> String {
    let mut shown = String::new();
    let mut at = 0;
    let plain = |part: &str| escaped(&part.replace(['\n', '\r', '\t'], " "));
    for (from, to) in &snippet.highlights {
        let (from, to) = (*from as usize, *to as usize);
        shown.push_str(&plain(snippet.text.get(at..from).unwrap_or_default()));
        shown.push_str(&style.strong(&plain(snippet.text.get(from..to).unwrap_or_default())));
        at = to;
    }
    shown.push_str(&plain(snippet.text.get(at..).unwrap_or_default()));
    shown
}

/// A table no wider than 80 columns.
pub fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(COLUMNS);
    if !header.is_empty() {
        table.set_header(header.to_vec());
    }
    table.add_rows(rows);
    table.trim_fmt()
}

pub fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

/// Prints a value as JSON on standard output.
pub fn json<T: serde::Serialize>(value: &T) -> Result<(), crate::failure::Failure> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, value)
        .map_err(|error| crate::failure::Failure::internal(error.to_string()))?;
    Ok(writeln!(out)?)
}
