//! Pages that are written by hand and name what is in the program: its options, metrics, conditions and tests.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use clap::{Arg, CommandFactory};
use docmill_operator::args::Args;
use docmill_operator::resource::ConditionKind;
use serde_json::Value;
use support::{cell, read};

const PAGE: &str = "docs/reference/operator.md";
/// What all names of metrics begin with.
const METRICS: &str = "docmill_operator_";

/// Lines of a page that are not in it.
fn missing<'a>(page: &str, lines: impl IntoIterator<Item = &'a String>) -> Vec<&'a String> {
    lines.into_iter().filter(|line| !page.lines().any(|found| found.starts_with(line.as_str()))).collect()
}

/// The row of an option. Images of ours have the program's own version.
fn row(option: &Arg) -> String {
    let defaults = option.get_default_values().iter().map(|value| value.to_string_lossy());
    let default = match defaults.collect::<Vec<_>>().join(",") {
        none if none.is_empty() => none,
        some => format!("`{}`", some.replace(env!("CARGO_PKG_VERSION"), "VERSION")),
    };
    let variable = option.get_env().unwrap().to_string_lossy();
    let meaning = cell(&option.get_help().unwrap().to_string());
    format!("| `--{}` | `{variable}` | {default} | {meaning} |", option.get_long().unwrap())
}

#[test]
fn options_of_the_operator() {
    let command = Args::command();
    let rows: Vec<String> =
        command.get_arguments().filter(|option| !option.is_hide_set()).map(row).collect();
    assert!(rows.len() > 10, "{rows:?}");
    let page = read(PAGE);
    let missing = missing(&page, &rows);
    assert!(missing.is_empty(), "{PAGE} lacks {missing:#?}");
    assert_eq!(page.matches("\n| `--").count(), rows.len(), "{PAGE} has options that are not there");
    for command in command.get_subcommands() {
        let name = format!("`docmill-operator {}`", command.get_name());
        assert!(page.contains(&name), "{PAGE} lacks {name}");
    }
}

/// Names of metrics in a text, each once.
fn metrics(text: &str, mark: char) -> BTreeSet<&str> {
    let quoted = text.split(mark).filter(|part| part.starts_with(METRICS));
    quoted.filter(|name| name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')).collect()
}

fn sources_of_metrics() -> String {
    let files = ["meters.rs", "meters/pipelines.rs", "metrics_api/server.rs"];
    files.map(|file| read(&format!("operator/src/{file}"))).concat()
}

/// Expressions of alerts and of the dashboard's panels, with what they belong to.
fn expressions() -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut all = Vec::new();
    let alerts: Value = serde_saphyr::from_str(&read("helm/docmill/files/alerts.yaml")).unwrap();
    for group in alerts["groups"].as_array().unwrap() {
        for rule in group["rules"].as_array().unwrap() {
            all.push((text(&rule["alert"]), text(&rule["expr"])));
        }
    }
    assert!(all.len() > 5, "{all:?}");
    let alerts = all.len();
    let dashboard: Value = serde_json::from_str(&read("helm/docmill/files/dashboard.json")).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            all.push((text(&panel["title"]), text(&target["expr"])));
        }
    }
    assert!(all.len() > alerts + 5, "{all:?}");
    all
}

#[test]
fn metrics_of_the_operator() {
    let (sources, page) = (sources_of_metrics(), read(PAGE));
    let registered = metrics(&sources, '"');
    assert!(registered.len() > 10, "{registered:?}");
    assert_eq!(metrics(&page, '`'), registered, "names in {PAGE}, and those that are registered");
}

/// The chart gives Prometheus and Grafana no expression of what nobody registers, and each metric by its type: only
/// a histogram has buckets.
#[test]
fn metrics_that_alerts_and_the_dashboard_read() {
    let (sources, page) = (sources_of_metrics(), read(PAGE));
    let registered = metrics(&sources, '"');
    let is_known = |name: &str| {
        let part = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(*end));
        let is_histogram = |name: &str| page.contains(&format!("| `{name}` | histogram |"));
        match part {
            Some(histogram) => registered.contains(histogram) && is_histogram(histogram),
            None => registered.contains(name) && !is_histogram(name),
        }
    };
    for (title, expression) in expressions() {
        let is_name = |letter: char| letter.is_ascii_lowercase() || letter == '_';
        let words = expression.split(|letter: char| !is_name(letter));
        let read: BTreeSet<&str> = words.filter(|word| word.starts_with(METRICS)).collect();
        assert!(!read.is_empty(), "{title} reads no metric of the operator: {expression}");
        let unknown: Vec<_> = read.into_iter().filter(|name| !is_known(name)).collect();
        assert!(unknown.is_empty(), "{title} reads {unknown:?}, which nobody registers");
        let conditions = expression.split("type=\"").skip(1).filter_map(|rest| rest.split('"').next());
        for condition in conditions {
            let is_one = ConditionKind::ALL.iter().any(|kind| kind.as_str() == condition);
            assert!(is_one, "{title} reads the condition {condition}, which no pipeline has");
        }
    }
}

#[test]
fn conditions_of_a_pipeline() {
    let rows: Vec<String> =
        ConditionKind::ALL.iter().map(|kind| format!("| `{}` |", kind.as_str())).collect();
    let page = read(PAGE);
    let missing = missing(&page, &rows);
    assert!(missing.is_empty(), "{PAGE} lacks {missing:#?}");
}

/// Tests are named as `path::name`.
#[test]
fn tests_that_the_levels_name_are_there() {
    let page = read("docs/capability-levels.md");
    let named: Vec<_> = page.split('`').filter_map(|part| part.split_once(".rs::")).collect();
    assert!(named.len() > 20, "{named:?}");
    for (file, test) in named {
        let source = read(&format!("{file}.rs"));
        assert!(source.contains(&format!("fn {test}(")), "{file}.rs has no test {test}");
    }
}
