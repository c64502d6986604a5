//! Reference pages that are written from the program: codes of failures and of the API's problems, formats, notes of
//! pages, and metrics.
//!
//! `UPDATE_REFERENCE=1 cargo test --workspace --test reference` writes them again.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use docmill_core::failure::{Failure, FailureClass, FailureCode};
use docmill_core::id::CommitSeq;
use docmill_core::page::PageReason;
use docmill_worker::api::{ApiMetrics, PROBLEM_CODES};
use docmill_worker::delivery::Outcome;
use docmill_worker::embedded::{Counters, Metrics};
use docmill_worker::extract::{FORMATS, Place};
use docmill_worker::intake::Finished;
use docmill_worker::ledger::Summary;

const HOW: &str = "UPDATE_REFERENCE=1 cargo test --workspace --test reference";

fn is_up_to_date(name: &str, page: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(name);
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&file, page).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == page, "docs/reference/{name} is old: run `{HOW}`");
}

#[test]
fn failure_codes() {
    let mut page = format!(
        "# Codes of failures\n\n<!-- Generated: {HOW} -->\n\n\
         Why a document failed, as reports, dead letters and the metric `docmill_failures_total` name it. Codes are\n\
         never renamed. `permanent`: a dead letter at once. `transient`: tried again after ever longer waits.\n\
         `child_crash`: tried again, and a dead letter when its extractor died three times.\n\n\
         | code | class | what happened | what to do |\n|---|---|---|---|\n"
    );
    for code in FailureCode::ALL {
        let class = match code.class() {
            FailureClass::Permanent => "permanent",
            FailureClass::Transient => "transient",
            FailureClass::ChildCrash => "child_crash",
        };
        let advice = code.advice().replace('|', "\\|");
        writeln!(page, "| `{}` | {class} | {} | {advice} |", code.as_str(), code.meaning()).unwrap();
    }
    is_up_to_date("failure-codes.md", &page);
}

#[test]
fn api_problems() {
    let mut page = format!(
        "# Problems of the API\n\n<!-- Generated: {HOW} -->\n\n\
         Why a request was not done, as `code` of `application/problem+json`. Codes are never renamed. With 429 and\n\
         503 comes `Retry-After`: the same request later is right. `docmill --server` shows them as `error[…]`.\n\n\
         | code | status | what happened |\n|---|---|---|\n"
    );
    for (code, status, meaning) in PROBLEM_CODES {
        writeln!(page, "| `{code}` | {} | {meaning} |", status.as_u16()).unwrap();
    }
    is_up_to_date("api-problems.md", &page);
}

#[test]
fn formats() {
    let mut page = format!(
        "# Formats\n\n<!-- Generated: {HOW} -->\n\n\
         What is read. The bytes of a file decide what it is; its name tells only formats of text from each other. In a\n\
         child: the parser runs in a process of its own, with limits. What is in archives, mails and packed files is\n\
         read the same way, as sections of the file that it lies in. An example is a real file that the tests read.\n\n\
         | format | media type | usual names | read in | example |\n|---|---|---|---|---|\n"
    );
    for format in FORMATS {
        let names: Vec<String> = format.extensions.iter().map(|name| format!("`.{name}`")).collect();
        let place = match format.place {
            Place::InProcess => "the worker",
            Place::Child => "a child",
        };
        let (name, media_type) = (format.name, format.media_type);
        let example = format.example.rsplit('/').next().unwrap();
        let example = match format.example.split_once(':') {
            Some((package, _)) => format!("`{example}` of {package}"),
            None => format!("[{example}](../../{})", format.example),
        };
        writeln!(page, "| {name} | `{media_type}` | {} | {place} | {example} |", names.join(", ")).unwrap();
    }
    is_up_to_date("formats.md", &page);
}

#[test]
fn page_notes() {
    let mut page = format!(
        "# Notes of pages\n\n<!-- Generated: {HOW} -->\n\n\
         Why a page is as it is, where that needs saying: the first word of its note, before a colon. Codes are never\n\
         renamed.\n\n\
         | code | what it says |\n|---|---|\n"
    );
    for reason in PageReason::ALL {
        writeln!(page, "| `{}` | {} |", reason.as_str(), reason.meaning()).unwrap();
    }
    is_up_to_date("page-notes.md", &page);
}

/// One metric as the text format shows it.
#[derive(Default)]
struct Shown {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

/// Reads Prometheus' text format.
fn read(text: &str) -> BTreeMap<String, Shown> {
    let mut shown: BTreeMap<String, Shown> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            shown.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            shown.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if let Some((sample, rest)) = line.split_once('{') {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| sample.strip_suffix(end));
            let name = family.filter(|name| shown.contains_key(*name)).unwrap_or(sample);
            let labels = rest.split(',').filter_map(|label| label.split_once('=')).map(|(label, _)| label);
            let metric = shown.get_mut(name).expect("types come before samples");
            metric.labels.extend(labels.filter(|label| *label != "le").map(str::to_owned));
        }
    }
    shown
}

fn table(page: &mut String, text: &str) {
    page.push_str("| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for (name, Shown { kind, help, labels }) in read(text) {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(page, "| `{name}` | {kind} | {} | {help} |", labels.join(", ")).unwrap();
    }
}

#[test]
fn metrics() {
    let worker = Metrics::new(Arc::new(Counters::default())).unwrap();
    // A metric with labels is shown once it has a value.
    let summary = Summary { stage_ms: [("extract".to_owned(), 1.0)].into(), ..Summary::default() };
    let failed = Failure::new(FailureCode::Damaged, "");
    for outcome in [Outcome::Committed { seq: CommitSeq(1), summary }, Outcome::DeadLettered(failed)] {
        worker.observe(&Finished { outcome, uri: String::new(), bytes: 1, seconds: 0.1 });
    }
    let api = ApiMetrics::new().unwrap();
    api.observe("GET", "/v1/queues", 200, Duration::from_millis(1));
    api.asks.with_label_values(&["answered"]).inc();
    let mut page = format!(
        "# Metrics\n\n<!-- Generated: {HOW} -->\n\n\
         In Prometheus' text format. No label holds anything of a document, a tenant or a key: outcomes, codes,\n\
         stages, routes and statuses are fixed sets.\n\n\
         ## Worker and `docmill run`\n\n\
         A worker serves them at `/metrics` of `health.port`; `docmill run --metrics FILE` writes them to a file.\n\n"
    );
    table(&mut page, &String::from_utf8(worker.render().unwrap()).unwrap());
    page.push_str("\n## API\n\n`docmill-worker api` serves them at `/metrics`.\n\n");
    table(&mut page, &String::from_utf8(api.render().unwrap()).unwrap());
    is_up_to_date("metrics.md", &page);
}
