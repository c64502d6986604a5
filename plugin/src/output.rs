//! How things are printed: colours only on a terminal, tables that fit it, nothing from a cluster that steers it.

use std::io::{IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use k8s_openapi::jiff::Timestamp;
use owo_colors::OwoColorize;
use serde::Serialize;

use crate::failure::Failure;

/// Where something is printed.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    is_terminal: bool,
    has_colours: bool,
}

impl Screen {
    /// Standard output.
    pub fn stdout() -> Self {
        Self::of(std::io::stdout().is_terminal())
    }

    /// Standard error.
    pub fn stderr() -> Self {
        Self::of(std::io::stderr().is_terminal())
    }

    /// Neither a terminal nor colours.
    #[cfg(test)]
    pub fn plain() -> Self {
        Self { is_terminal: false, has_colours: false }
    }

    fn of(is_terminal: bool) -> Self {
        let is_wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { is_terminal, has_colours: is_terminal && is_wanted }
    }

    /// Whether a person looks at it.
    pub fn is_terminal(self) -> bool {
        self.is_terminal
    }

    /// What matters.
    pub fn strong(self, text: &str) -> String {
        if self.has_colours { text.bold().to_string() } else { text.to_owned() }
    }

    /// What is as it should be.
    pub fn good(self, text: &str) -> String {
        if self.has_colours { text.green().to_string() } else { text.to_owned() }
    }

    /// What is not.
    pub fn bad(self, text: &str) -> String {
        if self.has_colours { text.red().bold().to_string() } else { text.to_owned() }
    }

    /// A table: as wide as the terminal at most, and not broken where a program reads it.
    pub fn table(self, header: &[&str], rows: Vec<Vec<String>>) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        if !self.is_terminal {
            table.force_no_tty();
        }
        if !header.is_empty() {
            table.set_header(header.to_vec());
        }
        table
            .add_rows(rows.into_iter().map(|row| row.iter().map(|cell| escaped(cell)).collect::<Vec<_>>()));
        table.trim_fmt()
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

/// Prints a text and a line end. Who closes the pipe, as `head` does, has seen enough.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => Ok(written?),
    }
}

/// Prints a value as JSON, on one line.
pub fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(std::io::Error::other)?;
    print(&text)
}

/// The time since then, as kubectl writes it; `-` where it is not known.
pub fn age(since: Option<Timestamp>, now: Timestamp) -> String {
    let Some(since) = since else { return "-".to_owned() };
    let seconds = now.as_second().saturating_sub(since.as_second()).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 if seconds % 60 != 0 => format!("{minutes}m{}s", seconds % 60),
        120..10_800 => format!("{minutes}m"),
        10_800..172_800 => format!("{hours}h"),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let cases = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (3_600, "60m"),
            (10_800, "3h"),
            (172_799, "47h"),
            (172_800, "2d"),
        ];
        for (seconds, text) in cases {
            assert_eq!(age(Some(at(1_000)), at(1_000 + seconds)), text);
        }
        assert_eq!((age(None, at(0)).as_str(), age(Some(at(9)), at(0)).as_str()), ("-", "0s"));
    }

    #[test]
    fn nothing_from_a_cluster_steers_the_terminal() {
        let table = Screen::plain().table(&["NAME"], vec![vec!["a\u{1b}[2J\u{202e}b".to_owned()]]);
        assert!(table.contains("\\u{1b}[2J\\u{202e}b") && !table.contains('\u{1b}'), "{table}");
    }
}
