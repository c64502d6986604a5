//! `kubectl docmill validate`: what is wrong with a pipeline, before it is applied.
//!
//! ```text
//! file ──► documents ──► schema ──► CEL ──► catalogue (the operator's own plan) ──► the cluster, on demand
//! ```

use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use crate::args::{Global, Validate};
use crate::cluster::Cluster;
use crate::failure::{ERROR, Failure};
use crate::output::{self, Screen, escaped};

mod check;
mod files;
mod schema;
mod server;

use check::{Checked, Checker};
use files::Document;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The rule's number in `docs/reference/validation.md`; `schema` or `server` where it has none.
    pub rule: String,
    /// The field.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    fn new(rule: impl Into<String>, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { rule: rule.into(), path: path.into(), message: message.into() }
    }
}

/// Checks the files; exit code 1 where something is wrong.
pub async fn execute(global: &Global, asked: &Validate) -> Result<ExitCode, Failure> {
    let mut documents = Vec::new();
    for file in &asked.files {
        documents.extend(files::read(file)?);
    }
    if !documents.iter().any(Document::is_pipeline) {
        let message = "there is no IngestionPipeline of docmill.dev in what was given";
        let advice = "give a file with `kind: IngestionPipeline`; manifests/samples/ has some";
        return Err(Failure::new("no_pipeline", message, advice));
    }
    let checker = Checker::new(asked.node);
    let cluster = if asked.server { Some(Cluster::connect(global).await?) } else { None };
    let mut all = Vec::new();
    for document in &documents {
        let mut checked = checker.check(document);
        if let Some(cluster) = cluster.as_ref().filter(|_| document.is_pipeline()) {
            server::check(cluster, document, &mut checked).await?;
        }
        all.push(checked);
    }
    let is_valid = all.iter().all(|checked| checked.problems.is_empty());
    if global.json {
        output::json(&json!({ "valid": is_valid, "documents": all }))?;
    } else {
        output::print(&report(&all, Screen::stdout()))?;
    }
    Ok(if is_valid { ExitCode::SUCCESS } else { ExitCode::from(ERROR) })
}

/// A line a document, and below it what is wrong.
fn report(all: &[Checked], screen: Screen) -> String {
    let mut lines = Vec::new();
    for checked in all {
        let what = format!("{}: {} {}", checked.file, checked.kind, checked.name);
        let found = match (checked.skipped, checked.problems.len()) {
            (true, _) => "skipped, as it is no pipeline".to_owned(),
            (false, 0) => screen.good("valid"),
            (false, 1) => screen.bad("1 problem"),
            (false, count) => screen.bad(&format!("{count} problems")),
        };
        lines.push(format!("{}: {found}", escaped(&what)));
        for Problem { rule, path, message } in &checked.problems {
            lines.push(format!("  {} {}", screen.strong(rule), escaped(path)));
            lines.push(format!("    {}", escaped(message)));
        }
        lines.extend(checked.notes.iter().map(|note| format!("  note: {}", escaped(note))));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use docmill_core::sizing::{Node, Resources};

    use super::*;

    fn node() -> Node {
        Node::of_capacity(Resources { cpu_milli: 16_000, memory_mib: 32 * 1_024 })
    }

    fn checked(spec: &str) -> Checked {
        let text = format!(
            "apiVersion: docmill.dev/v1alpha1\nkind: IngestionPipeline\nmetadata: {{name: knowbase}}\nspec: {spec}\n"
        );
        let documents = files::documents("-", &text).unwrap();
        Checker::new(Some(node())).check(&documents[0])
    }

    #[test]
    fn all_samples_are_valid() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/samples");
        let mut count = 0;
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            for document in files::read(&path).unwrap() {
                let checked = Checker::new(Some(node())).check(&document);
                assert!(checked.problems.is_empty(), "{}", report(&[checked], Screen::plain()));
                count += 1;
            }
        }
        assert!(count >= 9, "only {count} samples");
    }

    #[test]
    fn what_is_wrong_is_told_by_rule_and_path() {
        let cases = [
            ("{workers: {replicas: {min: 5, max: 2}}}", "IP-03", "spec.workers.replicas.min"),
            ("{instanceType: c5.4xlarge, capacity: {cpu: '4', memory: 8Gi}}", "IP-02", "spec"),
            (
                "{queue: {redis: {managed: {}, external: {url: 'redis://queue'}}}}",
                "IP-04",
                "spec.queue.redis",
            ),
            ("{stores: {graph: {neo4j: {}, postgres: {}}}}", "IP-06", "spec.stores.graph"),
            ("{memory: {neo4j: {heapPercent: 50}}}", "IP-10", "spec.memory.neo4j"),
            ("{memory: {neo4j: {heap: 2Gi}}}", "IP-11", "spec.memory.neo4j"),
            ("{memory: {neo4j: {total: 1Gi}}}", "IP-13", "spec.memory.neo4j.total"),
            (
                "{memory: {neo4j: {total: 4Gi, heap: 3Gi, pageCache: 1Gi}}}",
                "IP-14",
                "spec.memory.neo4j.heap",
            ),
            (
                "{queue: {redis: {external: {url: 'redis://me@queue:6379'}}}}",
                "IP-18",
                "spec.queue.redis.external.url",
            ),
            ("{autoscaling: {scaleDownWindow: 48h}}", "IP-20", "spec.autoscaling.scaleDownWindow"),
            ("{autoscaling: {maxBusyWait: 0s}}", "IP-22", "spec.autoscaling.maxBusyWait"),
            ("{extract: {limits: {documentTimeout: 59s}}}", "IP-24", "spec.extract.limits.documentTimeout"),
            ("{extract: {passwordsSecretRef: hunter2}}", "schema", "spec.extract.passwordsSecretRef"),
            (
                "{ask: {model: {url: 'https://me:hunter2@models', name: small}}}",
                "IP-25",
                "spec.ask.model.url",
            ),
            ("{ask: {model: {url: 'http://models:11434', name: small}}}", "IP-26", "spec.ask.model.url"),
            ("{ask: {cacheTtl: 2h}}", "IP-29", "spec.ask.cacheTtl"),
            (
                "{ask: {model: {url: 'https://models', name: small}, benchmark: {mockModel: true}}}",
                "IP-31",
                "spec.ask",
            ),
            ("{ask: {model: {url: 'https://models'}}}", "schema", "spec.ask.model.name"),
            ("{ask: {model: {url: 'https://:443', name: small}}}", "VP-14", "spec.ask.model.url"),
            ("{classify: {categories: [{name: 'a,b'}]}}", "IP-32", "spec.classify.categories[0].name"),
            ("{classify: {categories: [{name: a}, {name: a}]}}", "schema", "spec.classify.categories"),
            ("{classify: {categories: [{label: a}]}}", "schema", "spec.classify.categories[0].label"),
            ("{classify: {minPercent: 101}}", "schema", "spec.classify.minPercent"),
            ("{classify: {categories: [{name: ' a'}]}}", "VP-16", "spec.classify.categories"),
            ("{instanceType: c5.4xlrage}", "VP-01", "spec.instanceType"),
            ("{capacity: {cpu: '0', memory: 8Gi}}", "VP-02", "spec.capacity"),
            (
                "{workers: {resources: {requests: {cpu: '3'}, limits: {cpu: '2'}}}}",
                "VP-06",
                "spec.workers.resources",
            ),
            ("{queue: {redis: {managed: {storage: 1Mi}}}}", "VP-07", "spec.queue.redis.managed"),
            (
                "{stores: {graph: {postgres: {}}}, memory: {neo4j: {total: 4Gi}}}",
                "VP-08",
                "spec.memory.neo4j",
            ),
            ("{extract: {ocr: {languages: [tlh]}}}", "VP-13", "spec.extract.ocr.languages"),
            ("{workers: {replicas: {max: 0}}}", "schema", "spec.workers.replicas.max"),
            ("{workers: {replicas: {maximum: 3}}}", "schema", "spec.workers.replicas.maximum"),
            ("{capacity: {cpu: 16, memory: 32Gi}}", "schema", "spec.capacity.cpu"),
            ("{capacity: {cpu: '16'}}", "schema", "spec.capacity.memory"),
            ("{autoscaling: {scaleDownWindow: 5d}}", "schema", "spec.autoscaling.scaleDownWindow"),
            ("{deletionPolicy: Keep}", "schema", "spec.deletionPolicy"),
            ("{paused: 'yes'}", "schema", "spec.paused"),
        ];
        for (spec, rule, path) in cases {
            let problems = checked(spec).problems;
            let has = problems.iter().any(|problem| problem.rule == rule && problem.path == path);
            assert!(has, "{spec}: {rule} {path} is not in {problems:?}");
            assert!(problems.iter().all(|problem| !problem.message.is_empty()), "{problems:?}");
        }
    }

    #[test]
    fn nothing_is_told_twice() {
        let problems = checked("{workers: {replicas: {min: 5, max: 2}}}").problems;
        assert_eq!(problems.len(), 1, "{problems:?}");
        let problems = checked("{autoscaling: {scaleDownWindow: 5d}}").problems;
        assert_eq!(problems.len(), 1, "{problems:?}");
        let examples = ["x"; 20].join(", ");
        let category = format!("{{name: a, description: b, examples: [{examples}]}}");
        for (category, rule) in [("{name: 'a,b'}", "IP-32"), (category.as_str(), "IP-33")] {
            let problems = checked(&format!("{{classify: {{categories: [{category}]}}}}")).problems;
            let rules: Vec<&str> = problems.iter().map(|problem| problem.rule.as_str()).collect();
            assert_eq!(rules, [rule], "{problems:?}");
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let problems =
            checked("{workers: {replicas: {min: 5, max: 2}}, instanceType: x, paws: 1}").problems;
        let rules: Vec<&str> = problems.iter().map(|problem| problem.rule.as_str()).collect();
        assert_eq!(rules, ["schema", "IP-03", "VP-01"], "{problems:?}");
    }

    #[test]
    fn the_report_says_what_and_where() {
        let text = report(&[checked("{workers: {replicas: {min: 5, max: 2}}}")], Screen::plain());
        let expected = "-: IngestionPipeline knowbase: 1 problem
  IP-03 spec.workers.replicas.min
    min must not be more than max; lower min or raise max";
        assert_eq!(text, expected);
        assert_eq!(report(&[checked("{}")], Screen::plain()), "-: IngestionPipeline knowbase: valid");
    }
}
