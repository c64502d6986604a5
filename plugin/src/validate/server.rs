//! A document as the cluster would take it: applied without being written.

use docmill_operator::resource::IngestionPipeline;
use kube::Api;
use kube::api::{Patch, PatchParams, ValidationDirective};
use kube::core::Status;

use super::Problem;
use super::check::{Checked, numbered};
use super::files::Document;
use crate::cluster::{Cluster, FIELD_MANAGER};
use crate::failure::Failure;

/// The rule of what the cluster refuses without a number.
const SERVER: &str = "server";

/// Asks the cluster, and notes what it refuses that was not known yet.
pub async fn check(cluster: &Cluster, document: &Document, checked: &mut Checked) -> Result<(), Failure> {
    if document.name().is_empty() {
        checked.notes.push("the cluster was not asked: give it a name first".to_owned());
        return Ok(());
    }
    let namespace = document.namespace().unwrap_or(&cluster.namespace);
    let api: Api<IngestionPipeline> = Api::namespaced(cluster.client.clone(), namespace);
    let params = PatchParams {
        dry_run: true,
        force: true,
        field_manager: Some(FIELD_MANAGER.to_owned()),
        field_validation: Some(ValidationDirective::Strict),
    };
    match api.patch(document.name(), &params, &Patch::Apply(&document.object)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 422) => {
            note(&status, checked);
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Notes what the cluster says, without what is known.
fn note(status: &Status, checked: &mut Checked) {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let said = causes.iter().map(|cause| (cause.field.as_str(), cause.message.as_str()));
    let mut said: Vec<(&str, &str)> = said.collect();
    if said.is_empty() {
        said.push(("", status.message.as_str()));
    }
    let is_known = !checked.problems.is_empty();
    for (field, message) in said {
        let (rule, message) = numbered(message).unwrap_or((SERVER, message));
        let same = |known: &Problem| {
            (rule != SERVER && known.rule == rule) || (!field.is_empty() && known.path == field)
        };
        // Without a field and a number it says what the schema said above.
        let is_vague = rule == SERVER && field.is_empty() && is_known;
        if !is_vague && !checked.problems.iter().any(same) {
            checked.problems.push(Problem::new(rule, field, message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(problems: Vec<Problem>) -> Checked {
        let (file, kind, name) = ("x".to_owned(), "IngestionPipeline".to_owned(), "knowbase".to_owned());
        Checked { file, kind, name, skipped: false, problems, notes: Vec::new() }
    }

    fn refusal() -> Status {
        let text = r#"{"code": 422, "message": "invalid", "details": {"name": "knowbase", "causes": [
            {"reason": "FieldValueInvalid", "field": "spec.queue.redis",
             "message": "Invalid value: \"object\": IP-07: what is managed stays managed"},
            {"reason": "FieldValueInvalid", "field": "spec.workers.replicas.min",
             "message": "Invalid value: 5: IP-03: min must not be more than max"}]}}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_only_the_cluster_knows_is_added() {
        let known = Problem::new("IP-03", "spec.workers.replicas.min", "min must not be more than max");
        let mut checked = checked(vec![known]);
        note(&refusal(), &mut checked);
        let found: Vec<_> = checked.problems.iter().map(|problem| problem.rule.as_str()).collect();
        assert_eq!(found, ["IP-03", "IP-07"]);
        assert_eq!(checked.problems[1].path, "spec.queue.redis");
        assert_eq!(checked.problems[1].message, "what is managed stays managed");
    }

    #[test]
    fn an_answer_without_causes_is_told_as_it_is() {
        let status: Status =
            serde_json::from_str(r#"{"code": 400, "message": "strict decoding error"}"#).unwrap();
        let mut checked = checked(Vec::new());
        note(&status, &mut checked);
        assert_eq!(checked.problems, [Problem::new("server", "", "strict decoding error")]);
    }
}
