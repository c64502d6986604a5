//! `check-config`: the file as a whole, then every back end.

use std::process::ExitCode;
use std::time::Duration;

use docmill_worker::backends::{self, Finding};
use docmill_worker::config::{Problem, Settings};
use docmill_worker::error_codes::{CONFIG_UNREADABLE, INTERNAL};
use docmill_worker::extract::{Pool, SandboxMode};
use docmill_worker::finding::Severity;

use crate::args::CheckConfig;
use crate::load::{self, NotLoaded};
use crate::output::{PROBLEMS, failed, one_line, table};

/// The key that says what may lack of what holds extractors.
const SANDBOX: &str = "extract.sandbox";

/// Checks and tells; 0: fine, 1: problems.
pub fn run(options: &CheckConfig) -> ExitCode {
    let settings = match load::load_to_extract(&options.config) {
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
    let findings = runtime.block_on(Box::pin(async {
        let mut findings = Box::pin(backends::check(&settings, limit)).await;
        findings.extend(sandbox(&settings).await);
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings
    }));
    tell(options.json, &[], &findings)
}

/// What is to be said of what holds extractors here.
async fn sandbox(settings: &Settings) -> Option<Finding> {
    let finding = |severity, what, what_to_do| Finding {
        severity,
        back_end: SANDBOX,
        address: String::new(),
        what,
        what_to_do,
    };
    let mode = settings.extract.sandbox;
    let binary = match std::env::current_exe() {
        Ok(binary) => binary,
        Err(error) => return Some(finding(Severity::Error, error.to_string(), String::new())),
    };
    match Pool::new(binary, 1, settings.extract.clone()).sandbox().await {
        Err(error) => {
            let what_to_do = "check the program's file and the limits that it runs with".to_owned();
            Some(finding(Severity::Error, format!("the extractor does not start: {error}"), what_to_do))
        }
        Ok(_) if mode == SandboxMode::Off => {
            let what = "a document that takes its parser over has all that the worker has".to_owned();
            Some(finding(Severity::Warning, what, "set it to required or bestEffort".to_owned()))
        }
        Ok(report) => {
            let required = mode == SandboxMode::Required;
            let severity = if required { Severity::Error } else { Severity::Warning };
            let or = if required { "; or set it to bestEffort" } else { "" };
            let lacks = report.lacks()?;
            Some(finding(severity, lacks, format!("{}{or}", report.what_to_do())))
        }
    }
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
