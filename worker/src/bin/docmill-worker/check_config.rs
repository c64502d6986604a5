//! `check-config`: the file as a whole, then every back end.

use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use docmill_worker::backends::{self, Finding};
use docmill_worker::config::Problem;
use docmill_worker::error_codes::{CONFIG_UNREADABLE, INTERNAL};
use docmill_worker::finding::Severity;

use crate::args::CheckConfig;
use crate::load::{self, NotLoaded};

/// Widest table.
const COLUMNS: u16 = 100;
const PROBLEMS: u8 = 1;

/// Checks and tells; 0: fine, 1: problems.
pub fn run(options: &CheckConfig) -> ExitCode {
    let settings = match load::load(&options.config) {
        Ok(settings) => settings,
        Err(NotLoaded::Unreadable(message)) => {
            let help = "check --config and the file's rights";
            return failed(options.json, CONFIG_UNREADABLE, &message, help);
        }
        Err(NotLoaded::Wrong(problems)) => return tell(options.json, &problems, &[]),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(options.json, INTERNAL, &error.to_string(), "run again"),
    };
    let limit = Duration::from_secs(options.limit_seconds);
    tell(options.json, &[], &runtime.block_on(Box::pin(backends::check(&settings, limit))))
}

fn failed(json: bool, code: &str, message: &str, advice: &str) -> ExitCode {
    if json {
        println!("{}", serde_json::json!({"error": {"code": code, "message": message, "advice": advice}}));
    } else {
        eprintln!("error[{code}]: {}\n  help: {advice}", one_line(message));
    }
    ExitCode::from(PROBLEMS)
}

fn tell(json: bool, problems: &[Problem], findings: &[Finding]) -> ExitCode {
    let ok = problems.is_empty() && findings.iter().all(|finding| finding.severity != Severity::Error);
    if json {
        println!("{}", serde_json::json!({"ok": ok, "problems": problems, "findings": findings}));
    } else if !problems.is_empty() {
        println!("{}", table(["key", "what", "allowed", "what to do"], problems.iter().map(problem)));
    } else if !findings.is_empty() {
        println!("{}", table(["severity", "back end", "what", "what to do"], findings.iter().map(finding)));
    } else {
        println!("The configuration is fine, and so are its back ends.");
    }
    if ok { ExitCode::SUCCESS } else { ExitCode::from(PROBLEMS) }
}

fn problem(problem: &Problem) -> [String; 4] {
    let path = if problem.path.is_empty() { "(file)" } else { &problem.path };
    let what = match &problem.value {
        Some(value) => format!("{} (given: {value})", problem.what),
        None => problem.what.clone(),
    };
    [path, &what, &problem.allowed, &problem.what_to_do].map(one_line)
}

fn finding(finding: &Finding) -> [String; 4] {
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Unknown => "unknown",
    };
    let place = format!("{} {}", finding.back_end, finding.address);
    [severity, &place, &finding.what, &finding.what_to_do].map(one_line)
}

fn table(header: [&str; 4], rows: impl Iterator<Item = [String; 4]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(COLUMNS).set_header(header);
    table.add_rows(rows);
    table.trim_fmt()
}

/// On one line, and without characters that steer a terminal: servers chose some of these words.
fn one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
