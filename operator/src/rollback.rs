//! Back to the last good state: when pods of what is declared cannot start, those of before go on, and the Deployments
//! are set back to the configuration and image with which all was ready. It lasts until either is declared anew, or a
//! person asks for another try: tried again by itself, what fails would be rolled out and back for ever.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::child::Child;
use crate::names::Part;
use crate::resource::IngestionPipelineStatus;
use crate::trouble::Trouble;

/// How long pods may be in lasting trouble before the last good state is put in force: a registry that is away for a
/// moment is none.
const PATIENCE: Duration = Duration::from_secs(30);
/// The condition's reason that says it.
const REASON: &str = "RolledBack";

/// What is declared, as far as it can be set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declared<'a> {
    /// The ConfigMap.
    pub config: &'a str,
    /// The image of workers and API.
    pub image: &'a str,
    /// The annotation by which a person asks for another try; empty without it.
    pub retry: &'a str,
}

/// What is put in force, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back {
    /// The ConfigMap.
    pub config: String,
    /// The image of workers and API.
    pub image: String,
    /// What was wrong with what is declared.
    pub cause: String,
}

/// Whether workers or API cannot start.
pub fn is_failing(troubles: &[Trouble]) -> bool {
    troubles.iter().any(is_ours)
}

fn is_ours(trouble: &Trouble) -> bool {
    trouble.is_lasting && [Part::Worker.as_str(), Part::Api.as_str()].contains(&trouble.component.as_str())
}

/// Whether the last good state is to be in force: it was put in force for this declaration, or pods fail for too long.
pub fn decide(
    status: &IngestionPipelineStatus,
    declared: Declared<'_>,
    failing_since: Option<Instant>,
    troubles: &[Trouble],
) -> Option<Back> {
    let good = status.last_good.as_ref()?;
    if (good.config.as_str(), good.image.as_str()) == (declared.config, declared.image) {
        return None;
    }
    let back = |cause: String| Back { config: good.config.clone(), image: good.image.clone(), cause };
    let marker = marker(declared);
    let degraded = status.conditions.iter().find(|condition| condition.type_ == "Degraded");
    let before =
        degraded.filter(|condition| condition.reason == REASON && condition.message.ends_with(&marker));
    if let Some(before) = before {
        let cause = before.message.split_once("does not run: ").map_or("", |(_, cause)| cause);
        return Some(back(cause.to_owned()));
    }
    let since = failing_since.filter(|since| since.elapsed() >= PATIENCE)?;
    let trouble = troubles.iter().find(|trouble| is_ours(trouble))?;
    tracing::warn!(since_s = since.elapsed().as_secs(), cause = %trouble.sentence(None), "back to the last good state");
    Some(back(format!("{}{marker}", trouble.sentence(None))))
}

/// Names what was given up, so that another declaration is tried, and the same when a person says so.
fn marker(Declared { config, image, retry }: Declared<'_>) -> String {
    format!(" [{}]", crate::child::short_hash(format!("{config} {image} {retry}").trim_end()))
}

/// Sets the Deployments of workers and API back.
pub fn put(children: &mut [Child], back: &Back) {
    for child in children.iter_mut().filter(|child| child.resource.kind == "Deployment") {
        let pod = &mut child.object["spec"]["template"]["spec"];
        for container in pod["containers"].as_array_mut().into_iter().flatten() {
            container["image"] = json!(back.image);
        }
        for volume in pod["volumes"].as_array_mut().into_iter().flatten() {
            if let Some(name) = volume.pointer_mut("/configMap/name")
                && name.as_str().is_some_and(|name| name.contains("-config-"))
            {
                *name = Value::String(back.config.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::LastGood;

    fn trouble(component: &str) -> Trouble {
        Trouble {
            component: component.into(),
            pod: "p".into(),
            reason: "ErrImagePull".into(),
            message: "not found".into(),
            symptom: None,
            is_lasting: true,
            from: None,
        }
    }

    fn declared<'a>(config: &'a str, image: &'a str) -> Declared<'a> {
        Declared { config, image, retry: "" }
    }

    fn status() -> IngestionPipelineStatus {
        let good = LastGood { generation: 1, config: "p-config-1".into(), image: "good".into() };
        IngestionPipelineStatus { last_good: Some(good), ..IngestionPipelineStatus::default() }
    }

    #[test]
    fn it_goes_back_after_a_while_and_only_from_something_else() {
        let long = Instant::now().checked_sub(PATIENCE);
        let back = decide(&status(), declared("p-config-2", "good"), long, &[trouble("worker")]).unwrap();
        assert_eq!((back.config.as_str(), back.image.as_str()), ("p-config-1", "good"));
        assert_eq!(decide(&status(), declared("p-config-1", "good"), long, &[trouble("worker")]), None);
        assert_eq!(
            decide(&status(), declared("p-config-2", "good"), Some(Instant::now()), &[trouble("worker")]),
            None
        );
        assert_eq!(decide(&status(), declared("p-config-2", "good"), long, &[trouble("redis")]), None);
        let never_good = IngestionPipelineStatus::default();
        assert_eq!(decide(&never_good, declared("p-config-2", "good"), long, &[trouble("worker")]), None);
    }

    #[test]
    fn it_stays_back_until_something_else_is_declared() {
        let long = Instant::now().checked_sub(PATIENCE);
        let back = decide(&status(), declared("p-config-2", "bad"), long, &[trouble("api")]).unwrap();
        let mut rolled = status();
        rolled.conditions.push(crate::resource::Condition {
            type_: "Degraded".into(),
            status: "True".into(),
            reason: REASON.into(),
            message: format!("... does not run: {}", back.cause),
            observed_generation: None,
            last_transition_time: serde_json::from_str("\"2026-01-01T00:00:00Z\"").unwrap(),
        });
        assert_eq!(decide(&rolled, declared("p-config-2", "bad"), None, &[]).unwrap().cause, back.cause);
        assert_eq!(decide(&rolled, declared("p-config-3", "bad"), None, &[]), None, "tried anew");
        let asked = Declared { retry: "today", ..declared("p-config-2", "bad") };
        assert_eq!(decide(&rolled, asked, None, &[]), None, "a person has it tried again");
        let again = decide(&rolled, asked, long, &[trouble("api")]).unwrap();
        assert_ne!(again.cause, back.cause, "that try is given up by itself");
    }

    #[test]
    fn only_image_and_configuration_are_set_back() {
        let object = json!({"kind": "Deployment", "spec": {"template": {"spec": {
            "containers": [{"image": "bad", "name": "worker"}],
            "volumes": [{"configMap": {"name": "p-config-2"}}, {"configMap": {"name": "p-operator-keys"}}],
        }}}});
        let resource = kube::core::ApiResource::erase::<k8s_openapi::api::apps::v1::Deployment>(&());
        let mut children = [Child::new("Deployment", resource, object)];
        put(
            &mut children,
            &Back { config: "p-config-1".into(), image: "good".into(), cause: String::new() },
        );
        let pod = &children[0].object["spec"]["template"]["spec"];
        assert_eq!(pod["containers"][0], json!({"image": "good", "name": "worker"}));
        assert_eq!(pod["volumes"][0]["configMap"]["name"], "p-config-1");
        assert_eq!(pod["volumes"][1]["configMap"]["name"], "p-operator-keys");
    }
}
