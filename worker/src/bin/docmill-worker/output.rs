//! How checks tell what they found: tables for a person, errors with a code.

use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};

/// Exit code of a check that found what it does not want.
pub const PROBLEMS: u8 = 1;
/// Widest table.
const COLUMNS: u16 = 100;

/// Tells why nothing could be checked.
pub fn failed(json: bool, code: &str, message: &str, advice: &str) -> ExitCode {
    if json {
        println!("{}", serde_json::json!({"error": {"code": code, "message": message, "advice": advice}}));
    } else {
        eprintln!("error[{code}]: {}\n  help: {advice}", one_line(message));
    }
    ExitCode::from(PROBLEMS)
}

/// A table without lines.
pub fn table<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(COLUMNS).set_header(header);
    table.add_rows(rows);
    table.trim_fmt()
}

/// On one line, and without characters that steer a terminal: servers chose some of these words.
pub fn one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
