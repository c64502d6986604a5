//! What the chart gives Prometheus and Grafana, run by Prometheus' own tool on what the operator exports.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use docmill_operator::meters::Meters;
use docmill_operator::pipeline_key::PipelineKey;
use docmill_operator::resource::{Condition, ConditionKind, IngestionPipelineStatus};
use prometheus::{HistogramOpts, HistogramVec, Registry, TextEncoder};
use serde_json::{Value, json};
use support::states::{self, NAME, NAMESPACE};
use support::{install, read, repository, tool};

const ALERTS: &str = "helm/docmill/files/alerts.yaml";
const DASHBOARD: &str = "helm/docmill/files/dashboard.json";
/// When alerts begin, and when not.
const ALERT_TESTS: &str = "operator/tests/monitoring/alerts.yaml";
/// What Prometheus notes of where it read a series. A pipeline's series have a namespace of their own, and keep it.
const TARGET: [(&str, &str); 6] = [
    ("container", "operator"),
    ("endpoint", "http"),
    ("job", "docmill-operator"),
    ("namespace", "docmill-system"),
    ("pod", "docmill-operator-0"),
    ("service", "docmill-operator"),
];
/// Labels whose values the operator chooses out of a few.
const CHOSEN: [&str; 4] = ["outcome", "state", "status", "type"];
/// Columns of Grafana's grid.
const COLUMNS: u64 = 24;

/// What `/metrics` answers of an operator that leads, with a pipeline of which every condition holds.
fn exported() -> String {
    let registry = Registry::new();
    let meters = Meters::new(&registry).unwrap();
    meters.leader.set(1);
    for outcome in ["ok", "error"] {
        meters.reconciles.with_label_values(&[outcome]).inc();
        meters.seconds.with_label_values(&[outcome]).observe(0.01);
    }
    meters.writes.with_label_values(&["Deployment"]).inc();
    let pipeline = PipelineKey::new(NAMESPACE, NAME);
    let scaled = states::scaled();
    meters.scaled(&pipeline, &scaled, scaled.at_ms);
    let holds = |kind: ConditionKind| Condition {
        type_: kind.as_str().to_owned(),
        status: "True".to_owned(),
        reason: "Tested".to_owned(),
        message: String::new(),
        observed_generation: None,
        last_transition_time: serde_json::from_str("\"2026-01-01T00:00:00Z\"").unwrap(),
    };
    let conditions = ConditionKind::ALL.into_iter().map(holds).collect();
    meters.status(&pipeline, &IngestionPipelineStatus { conditions, ..IngestionPipelineStatus::default() });
    // The metrics API times its answers itself. Its own tests hold it to this name and this label.
    let name = "docmill_operator_metrics_api_answer_seconds";
    let answers = HistogramVec::new(HistogramOpts::new(name, "Time to answer"), &["code"]).unwrap();
    answers.with_label_values(&["200"]).observe(0.001);
    registry.register(Box::new(answers)).unwrap();
    let mut text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    meters.write_pipelines(&mut text);
    text
}

/// A series by name and labels.
#[derive(Debug, Clone)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
}

impl Series {
    /// Of `name{label="value"}`. No value of ours has a comma.
    fn read(text: &str) -> Self {
        let (name, rest) = text.split_once('{').unwrap_or((text, "}"));
        let inside = rest.strip_suffix('}').unwrap_or_else(|| panic!("{text} is no series"));
        let pair = |pair: &str| {
            let (label, value) = pair.split_once('=').unwrap_or_else(|| panic!("{text} is no series"));
            (label.to_owned(), value.trim_matches('"').to_owned())
        };
        let labels = inside.split(',').filter(|part| !part.is_empty()).map(pair).collect();
        Self { name: name.to_owned(), labels }
    }

    /// As Prometheus keeps it.
    fn kept(mut self) -> Self {
        for (label, value) in TARGET {
            self.labels.entry(label.to_owned()).or_insert_with(|| value.to_owned());
        }
        self
    }

    fn text(&self) -> String {
        let labels: Vec<String> =
            self.labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        format!("{}{{{}}}", self.name, labels.join(","))
    }
}

/// Types of metrics by name.
fn kinds(exported: &str) -> BTreeMap<&str, &str> {
    let types = exported.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split_once(' ')).collect()
}

/// All series, each with its value.
fn samples(exported: &str) -> Vec<(Series, &str)> {
    let lines = exported.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(text, value)| (Series::read(text), value))
        .collect()
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn dashboard() -> Value {
    serde_json::from_str(&read(DASHBOARD)).unwrap()
}

fn list<'a>(of: &'a Value, field: &str) -> &'a [Value] {
    of[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of[field].as_str().unwrap_or_else(|| panic!("no {field}: {of}"))
}

/// All alerts.
fn rules() -> Vec<Value> {
    let rules: Vec<Value> =
        list(&yaml(ALERTS), "groups").iter().flat_map(|group| list(group, "rules")).cloned().collect();
    assert!(rules.len() > 5, "{rules:?}");
    rules
}

/// A file that a test makes.
fn made(name: &str, content: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("monitoring");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(name);
    fs::write(&file, content).unwrap();
    file
}

/// Runs Prometheus' tool, which is to find nothing wrong.
fn promtool(command: &mut Command) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&said));
}

fn prometheus(arguments: [&str; 2]) -> Command {
    let mut command = Command::new(tool("services/prometheus/promtool"));
    command.args(arguments);
    command
}

#[test]
fn prometheus_finds_nothing_wrong_with_metrics() {
    let file = made("exported.txt", &exported());
    promtool(prometheus(["check", "metrics"]).stdin(File::open(file).unwrap()));
}

#[test]
fn the_page_has_the_type_and_the_labels_of_each_metric() {
    let (exported, page) = (exported(), read("docs/reference/operator.md"));
    let samples = samples(&exported);
    for (name, kind) in kinds(&exported) {
        let row = format!("| `{name}` | {kind} |");
        let row = page.lines().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("no {row}"));
        let cells = row.split('|').nth(3).unwrap().split(',').map(|label| label.trim().trim_matches('`'));
        let said: BTreeSet<&str> = cells.filter(|label| !label.is_empty()).collect();
        let its = |series: &Series| {
            ["", "_bucket", "_count", "_sum"].iter().any(|end| series.name == format!("{name}{end}"))
        };
        let all =
            samples.iter().filter(|(series, _)| its(series)).flat_map(|(series, _)| series.labels.keys());
        let further: BTreeSet<&str> = all
            .map(String::as_str)
            .filter(|label| !["namespace", "pipeline", "le"].contains(label))
            .collect();
        assert_eq!(said, further, "{name}");
    }
}

#[test]
fn prometheus_takes_the_alerts() {
    promtool(prometheus(["check", "rules"]).arg(repository(ALERTS)));
}

#[test]
fn alerts_begin_when_they_should_and_not_before() {
    promtool(prometheus(["test", "rules"]).arg(repository(ALERT_TESTS)));
}

#[test]
fn every_alert_is_seen_to_begin() {
    let tests = yaml(ALERT_TESTS);
    let mut seen = BTreeSet::new();
    for test in list(&tests, "tests") {
        for sample in list(test, "promql_expr_test").iter().flat_map(|asked| list(asked, "exp_samples")) {
            let labels = Series::read(text(sample, "labels")).labels;
            if labels["alertstate"] == "firing" {
                seen.insert(labels["alertname"].clone());
            }
        }
        for asked in
            list(test, "alert_rule_test").iter().filter(|asked| !list(asked, "exp_alerts").is_empty())
        {
            seen.insert(text(asked, "alertname").to_owned());
        }
    }
    let all: BTreeSet<String> = rules().iter().map(|rule| text(rule, "alert").to_owned()).collect();
    assert_eq!(seen, all);
}

#[test]
fn alerts_are_tested_with_what_the_operator_exports() {
    let exported = exported();
    let samples = samples(&exported);
    for given in list(&yaml(ALERT_TESTS), "tests").iter().flat_map(|test| list(test, "input_series")) {
        let given = Series::read(text(given, "series"));
        let its: Vec<&Series> =
            samples.iter().map(|(series, _)| series).filter(|series| series.name == given.name).collect();
        assert!(!its.is_empty(), "nobody exports {}", given.name);
        let labels: BTreeSet<&String> = its.iter().flat_map(|series| series.labels.keys()).collect();
        let is_of_target = |label: &str| TARGET.iter().any(|(of_target, _)| *of_target == label);
        let unknown: Vec<_> = given
            .labels
            .keys()
            .filter(|label| !labels.contains(label) && !is_of_target(label.as_str()))
            .collect();
        assert!(unknown.is_empty(), "{} has no {unknown:?}", given.name);
        let missing: Vec<_> = labels.iter().filter(|label| !given.labels.contains_key(**label)).collect();
        assert!(missing.is_empty(), "{} lacks {missing:?}", given.text());
        for label in CHOSEN {
            let value = given.labels.get(label);
            let is_one = its.iter().any(|series| series.labels.get(label) == value);
            assert!(value.is_none() || is_one, "nobody exports {}", given.text());
        }
    }
}

/// That an expression comes to something, and that each of its series has these labels: as `promtool` asks.
fn comes_to_something(expression: &str, labels: &BTreeSet<&str>) -> Value {
    let chosen = [("$job", "docmill-operator"), ("$namespace", NAMESPACE), ("$pipeline", NAME)];
    let expression =
        chosen.iter().fold(expression.to_owned(), |text, (variable, value)| text.replace(variable, value));
    assert!(!expression.contains('$'), "{expression}");
    // A panel that shows 0 for nothing must have something to count as well.
    let expression = expression.trim_end_matches(" or vector(0)");
    // A vector without labels takes away what lacks the label.
    let has: String = labels.iter().map(|label| format!(" unless on ({label}) vector(1)")).collect();
    json!({
        "expr": format!("count(({expression}){has}) > bool 0"),
        "eval_time": "20m",
        "exp_samples": [{"labels": "{}", "value": 1}],
    })
}

/// Names in a legend, such as `{{namespace}}/{{pipeline}}`.
fn named(legend: &str) -> BTreeSet<&str> {
    legend.split("{{").skip(1).map(|rest| rest.split_once("}}").unwrap().0).collect()
}

#[test]
fn every_panel_and_every_choice_shows_what_the_operator_exports() {
    let exported = exported();
    let kinds = kinds(&exported);
    let input: Vec<Value> = samples(&exported)
        .into_iter()
        .map(|(series, value)| {
            // What counts goes up.
            let is_gauge = kinds.get(series.name.as_str()) == Some(&"gauge");
            let values = if is_gauge { format!("{value}x60") } else { format!("{value}+1x60") };
            json!({"series": series.kept().text(), "values": values})
        })
        .collect();
    let dashboard = dashboard();
    let mut asked = Vec::new();
    for target in list(&dashboard, "panels").iter().flat_map(|panel| list(panel, "targets")) {
        asked.push(comes_to_something(text(target, "expr"), &named(text(target, "legendFormat"))));
    }
    for variable in list(&dashboard["templating"], "list").iter().filter(|one| one["type"] == "query") {
        let query = text(&variable["query"], "query");
        let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (expression, label) = inside.and_then(|inside| inside.rsplit_once(", ")).unwrap();
        assert_eq!(variable["definition"], query);
        asked.push(comes_to_something(expression, &BTreeSet::from([label])));
    }
    assert!(asked.len() > 15, "{asked:?}");
    let test = json!({
        "evaluation_interval": "30s",
        "tests": [{"name": "dashboard", "interval": "30s", "input_series": input, "promql_expr_test": asked}],
    });
    // JSON is YAML.
    promtool(prometheus(["test", "rules"]).arg(made("dashboard.yaml", &test.to_string())));
}

#[test]
fn grafana_can_show_the_dashboard() {
    let dashboard = dashboard();
    let panels = list(&dashboard, "panels");
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    let distinct = |of: Vec<String>| of.iter().collect::<BTreeSet<_>>().len() == of.len();
    assert!(distinct(panels.iter().map(|panel| panel["id"].to_string()).collect()), "ids");
    assert!(distinct(panels.iter().map(|panel| text(panel, "title").to_owned()).collect()), "titles");
    for panel in panels {
        let title = text(panel, "title");
        assert!(!title.is_empty() && !text(panel, "description").is_empty(), "{panel}");
        assert!(!text(&panel["fieldConfig"]["defaults"], "unit").is_empty(), "{title} has no unit");
        assert_eq!(panel["datasource"], source, "{title}");
        let targets = list(panel, "targets");
        assert!(!targets.is_empty(), "{title} shows nothing");
        assert!(
            distinct(targets.iter().map(|target| text(target, "refId").to_owned()).collect()),
            "{title}"
        );
        for target in targets {
            assert_eq!(target["datasource"], source, "{title}");
            assert!(!text(target, "legendFormat").is_empty(), "{title}: {target}");
        }
    }
    let place = |panel: &Value| {
        let number = |field: &str| panel["gridPos"][field].as_u64().unwrap();
        let (left, top) = (number("x"), number("y"));
        (left..left + number("w"), top..top + number("h"))
    };
    for (at, panel) in panels.iter().enumerate() {
        let (across, down) = place(panel);
        let title = text(panel, "title");
        assert!(!across.is_empty() && !down.is_empty() && across.end <= COLUMNS, "{title} has no place");
        for other in &panels[at + 1..] {
            let (there_across, there_down) = place(other);
            let is_beside = across.end <= there_across.start || there_across.end <= across.start;
            let is_below = down.end <= there_down.start || there_down.end <= down.start;
            assert!(is_beside || is_below, "{title} lies over {}", text(other, "title"));
        }
    }
    // What people choose is used, and what is used can be chosen.
    let variables: BTreeSet<&str> =
        list(&dashboard["templating"], "list").iter().map(|variable| text(variable, "name")).collect();
    let written = dashboard.to_string().replace("$__all", "");
    let used: BTreeSet<&str> = written
        .split('$')
        .skip(1)
        .map(|rest| rest.trim_start_matches('{'))
        .map(|rest| rest.split(|letter: char| !letter.is_ascii_lowercase()).next().unwrap())
        .collect();
    assert_eq!(variables, used);
}

/// All objects of a release with monitoring on.
fn rendered() -> Vec<Value> {
    let on = "metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true,metrics.dashboard.enabled=true";
    let text = install::rendered("papers", "ops", &["--set", on]);
    serde_saphyr::from_multiple(&text).unwrap()
}

#[test]
fn the_chart_gives_the_files_under_the_names_of_the_release() {
    const OPERATOR: &str = "papers-docmill-operator";
    let objects = rendered();
    let object = |kind: &str, name: &str| {
        let mut found = objects.iter().filter(|one| one["kind"] == kind && one["metadata"]["name"] == name);
        found.next().unwrap_or_else(|| panic!("no {kind} {name}"))
    };

    let rule = &object("PrometheusRule", OPERATOR)["spec"];
    let renamed = read(ALERTS).replace("job=\"docmill-operator\"", &format!("job=\"{OPERATOR}\""));
    assert_eq!(*rule, serde_saphyr::from_str::<Value>(&renamed).unwrap());
    promtool(prometheus(["check", "rules"]).arg(made("rule.yaml", &rule.to_string())));

    let shown = &object("ConfigMap", "papers-docmill-dashboard")["data"];
    let shown: Value = serde_json::from_str(text(shown, "docmill.json")).unwrap();
    assert_eq!(shown, dashboard());

    // The job that alerts ask for is the Service's name, as the ServiceMonitor names no other.
    let monitor = &object("ServiceMonitor", OPERATOR)["spec"];
    assert!(monitor["jobLabel"].is_null());
    let endpoint = &monitor["endpoints"][0];
    assert_eq!((&endpoint["path"], &endpoint["honorLabels"]), (&json!("/metrics"), &json!(true)));
    let wanted = monitor["selector"]["matchLabels"].as_object().unwrap();
    let is_read = |service: &&Value| {
        let labels = &service["metadata"]["labels"];
        let ports = list(&service["spec"], "ports");
        service["kind"] == "Service"
            && wanted.iter().all(|(label, value)| labels[label] == *value)
            && ports.iter().any(|port| port["name"] == endpoint["port"])
    };
    let read: Vec<&str> =
        objects.iter().filter(is_read).map(|one| text(&one["metadata"], "name")).collect();
    assert_eq!(read, [OPERATOR]);
}
