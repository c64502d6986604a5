//! One document against the schema, the rules in it, and the operator's plan.

use std::collections::HashSet;

use docmill_core::sizing::Node;
use docmill_operator::plan;
use docmill_operator::resource::{self, IngestionPipeline};
use kube::Resource;
use kube::core::cel::ErrorKind;
use serde::Serialize;
use serde_json::{Value, json};

use super::files::Document;
use super::{Problem, schema};

/// The rule of what has no number of its own.
pub const SCHEMA: &str = "schema";
/// Rules of amounts, times and categories, much of which the schema says more exactly.
const OF_SCHEMA: [&str; 4] = ["VP-02", "VP-04", "VP-05", "VP-16"];
/// The rule that says that the smallest node is not known.
const NO_NODE: &str = "VP-03";
/// A name that stands in where none was given, so that the rest can be checked.
const PLACEHOLDER: &str = "unnamed";

/// What was found in a document.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// The file.
    pub file: String,
    /// The object's kind.
    pub kind: String,
    /// The object's name.
    pub name: String,
    /// It is no pipeline.
    pub skipped: bool,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What could not be checked.
    pub notes: Vec<String>,
}

/// Checks documents.
pub struct Checker {
    schema: Value,
    smallest: Option<Node>,
}

impl Checker {
    /// With the smallest node of the cluster, for pipelines that name none.
    pub fn new(smallest: Option<Node>) -> Self {
        let definition = serde_json::to_value(resource::crd()).unwrap_or_default();
        let place = "/spec/versions/0/schema/openAPIV3Schema";
        Self { schema: definition.pointer(place).cloned().unwrap_or_default(), smallest }
    }

    /// Checks one document, without a cluster.
    pub fn check(&self, document: &Document) -> Checked {
        let mut checked = Checked {
            file: document.file.clone(),
            kind: document.kind().to_owned(),
            name: document.name().to_owned(),
            skipped: !document.is_pipeline(),
            problems: Vec::new(),
            notes: Vec::new(),
        };
        if checked.skipped {
            return checked;
        }
        self.shape(document, &mut checked.problems);
        let pipeline = match typed(document) {
            Ok(pipeline) => pipeline,
            Err(error) => {
                if checked.problems.is_empty() {
                    checked.problems.push(Problem::new(SCHEMA, "spec", error.to_string()));
                }
                let note = "rules between fields were not checked: correct the types first";
                checked.notes.push(note.to_owned());
                return checked;
            }
        };
        rules(&pipeline, &mut checked.problems);
        self.plan(&pipeline, &mut checked);
        checked
    }

    /// Types, bounds, and names of fields.
    fn shape(&self, document: &Document, problems: &mut Vec<Problem>) {
        let version = IngestionPipeline::api_version(&());
        let given = document.text("/apiVersion");
        if given != version {
            let message = format!("{given} is not known; write {version}");
            problems.push(Problem::new(SCHEMA, "apiVersion", message));
        }
        if document.name().is_empty() {
            problems.push(Problem::new(SCHEMA, "metadata.name", "a name is missing"));
        }
        match document.object.get("spec") {
            Some(spec) => schema::check(&self.schema["properties"]["spec"], spec, "spec", problems),
            None => {
                let message = "it is missing; `spec: {}` takes every default";
                problems.push(Problem::new(SCHEMA, "spec", message));
            }
        }
        let known = ["apiVersion", "kind", "metadata", "spec", "status"];
        for field in document.object.as_object().into_iter().flat_map(|fields| fields.keys()) {
            if !known.contains(&field.as_str()) {
                let message = format!("there is no such field; known here: {}", known.join(", "));
                problems.push(Problem::new(SCHEMA, field, message));
            }
        }
    }

    /// What needs the catalogue: the operator's own plan, which it makes before it writes anything.
    fn plan(&self, pipeline: &IngestionPipeline, checked: &mut Checked) {
        let Err(found) = plan::make(&pipeline.spec, self.smallest) else { return };
        let rules: HashSet<String> = checked.problems.iter().map(|problem| problem.rule.clone()).collect();
        for problem in found {
            let is_of_schema = OF_SCHEMA.contains(&problem.rule)
                && checked
                    .problems
                    .iter()
                    .any(|known| !known.rule.starts_with("VP-") && known.path.starts_with(problem.path));
            if problem.rule == NO_NODE {
                checked.notes.push(
                    "sizes were not checked, as it names no node: give --node CPU,MEMORY of the smallest one".into(),
                );
            } else if !is_of_schema && !rules.contains(problem.rule) {
                checked.problems.push(Problem::new(problem.rule, problem.path, problem.message));
            }
        }
    }
}

fn typed(document: &Document) -> serde_json::Result<IngestionPipeline> {
    let mut object = document.object.clone();
    if document.name().is_empty() {
        // Whatever stands there is no name.
        object["metadata"] = json!({ "name": PLACEHOLDER });
    }
    // What an operator said is not what is checked.
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    serde_json::from_value(object)
}

/// Rules of the schema, as the apiserver evaluates them.
fn rules(pipeline: &IngestionPipeline, problems: &mut Vec<Problem>) {
    let Err(errors) = pipeline.validate_cel() else { return };
    let is_well_formed = problems.is_empty();
    for error in errors {
        let is_rule = error.kind == ErrorKind::ValidationFailure;
        // A rule that fails over an amount that is none: the schema says it already.
        if !is_rule && !is_well_formed {
            continue;
        }
        let (rule, message) = numbered(&error.message).unwrap_or((SCHEMA, error.message.as_str()));
        // Of the whole object: it is about the name.
        let path = if error.field_path.is_empty() { "metadata.name" } else { error.field_path.as_str() };
        problems.push(Problem::new(rule, path, message));
    }
}

/// A rule's number in a message, and what follows it.
pub fn numbered(text: &str) -> Option<(&str, &str)> {
    let at = ["IP-", "VP-"].iter().filter_map(|mark| text.find(mark)).min()?;
    let (rule, message) = text.get(at..)?.split_once(": ")?;
    let digits = rule.get(3..)?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some((rule, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::files;

    fn checked(text: &str) -> Checked {
        Checker::new(None).check(&files::documents("x", text).unwrap()[0])
    }

    #[test]
    fn a_name_is_needed_and_bounded() {
        let of = |metadata: &str| {
            let head = "apiVersion: docmill.dev/v1alpha1\nkind: IngestionPipeline";
            let checked =
                checked(&format!("{head}\nmetadata: {metadata}\nspec: {{instanceType: c5.4xlarge}}\n"));
            checked.problems.into_iter().map(|problem| (problem.rule, problem.path)).collect::<Vec<_>>()
        };
        assert!(of("{name: knowbase}").is_empty());
        let name = "metadata.name".to_owned();
        assert_eq!(of("{name: Knowbase}"), [("IP-01".to_owned(), name.clone())]);
        assert_eq!(of("{}"), [("schema".to_owned(), name)]);
    }

    #[test]
    fn versions_and_fields_are_those_that_are_known() {
        let text =
            "apiVersion: docmill.dev/v1\nkind: IngestionPipeline\nmetadata: {name: knowbase}\ndata: {}\n";
        let problems = checked(text).problems;
        let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["apiVersion", "spec", "data"]);
    }

    #[test]
    fn without_a_node_sizes_are_left_out_and_it_is_said() {
        let text = "apiVersion: docmill.dev/v1alpha1\nkind: IngestionPipeline\nmetadata: {name: knowbase}\nspec: {}\n";
        let checked = checked(text);
        assert_eq!((checked.problems.len(), checked.notes.len()), (0, 1), "{checked:?}");
    }

    #[test]
    fn other_kinds_are_skipped() {
        assert!(checked("kind: ConfigMap\napiVersion: v1\n").skipped);
        assert!(checked("kind: IngestionPipeline\napiVersion: other.dev/v1\n").skipped);
    }

    #[test]
    fn rules_are_found_in_messages() {
        assert_eq!(numbered("IP-03: too many"), Some(("IP-03", "too many")));
        assert_eq!(numbered("Invalid value: \"object\": IP-02: both"), Some(("IP-02", "both")));
        for other in ["", "too many", "IP-x: y", "IP-: y", "IP-03 too many"] {
            assert_eq!(numbered(other), None, "{other}");
        }
    }
}
