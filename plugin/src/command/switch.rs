//! `kubectl docmill pause` and `resume`: one field, and on demand the wait until it is so.

use std::time::Duration;

use docmill_operator::resource::{ConditionKind, IngestionPipeline};
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::{self, await_condition};
use serde_json::json;

use crate::args::Switch;
use crate::cluster::{Cluster, FIELD_MANAGER};
use crate::failure::Failure;
use crate::output;
use crate::view::View;

/// Longest wait where none is said: as long as workers may take to finish what they have by default, and some more.
const WAIT_MAX: Duration = Duration::from_secs(900);

/// What a pipeline is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// Without workers.
    Paused,
    /// With as many as the queue asks for.
    Running,
}

impl To {
    fn word(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Running => "resumed",
        }
    }

    /// Whether it has become so: the operator has seen the change, and nothing of it is left to do.
    fn is_reached(self, pipeline: &IngestionPipeline, generation: i64) -> bool {
        let view = View::of(pipeline);
        let Some(status) = view.status() else { return false };
        if status.observed_generation.is_none_or(|seen| seen < generation) {
            return false;
        }
        match self {
            Self::Paused => {
                let has_none = status.workers.as_ref().is_none_or(|workers| workers.replicas == 0);
                view.is(ConditionKind::Paused) && has_none
            }
            Self::Running => !view.is(ConditionKind::Paused) && view.is(ConditionKind::Ready),
        }
    }

    /// What is looked at where it does not become so.
    fn advice(self, name: &str) -> String {
        let why = match self {
            Self::Paused => {
                "workers finish what they have, for spec.autoscaling.maxBusyWait at most a step"
            }
            Self::Running => "a part may not be ready",
        };
        format!("{why}; `kubectl docmill status {name}` shows it")
    }
}

/// Does it.
pub async fn execute(cluster: &Cluster, asked: &Switch, to: To, json: bool) -> Result<(), Failure> {
    let (name, api) = (asked.pipeline.as_str(), cluster.pipelines());
    let is_changed = cluster.pipeline(name).await?.spec.paused != (to == To::Paused);
    let patch = json!({"spec": {"paused": to == To::Paused}});
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let patched = api.patch(name, &params, &Patch::Merge(&patch)).await?;
    let generation = patched.metadata.generation.unwrap_or_default();
    if asked.wait {
        let reached = |pipeline: Option<&IngestionPipeline>| {
            // One that is gone will never be so.
            pipeline.is_none_or(|pipeline| to.is_reached(pipeline, generation))
        };
        let longest = asked.timeout.map_or(WAIT_MAX, Duration::from_secs);
        let waited = tokio::time::timeout(longest, await_condition(api, name, reached)).await;
        match waited {
            Err(_) => {
                let message =
                    format!("{name} is not {} after {} s; it goes on", to.word(), longest.as_secs());
                return Err(Failure::new("not_in_time", message, to.advice(name)));
            }
            Ok(Err(wait::Error::ProbeFailed(error))) => return Err(error.into()),
            Ok(Ok(None)) => {
                let message = format!("{name} was deleted meanwhile");
                return Err(Failure::new("pipeline_gone", message, "apply it again if it is still wanted"));
            }
            Ok(Ok(Some(_))) => {}
        }
    }
    if json {
        return output::json(&json!({
            "namespace": cluster.namespace, "name": name, "paused": to == To::Paused, "changed": is_changed,
            "waited": asked.wait,
        }));
    }
    let already = if is_changed { "" } else { " already" };
    output::print(&format!("{name} is{already} {}", to.word()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_pause_is_over_only_when_no_worker_is_left() {
        let mut pipeline = sample::pipeline();
        assert!(!To::Paused.is_reached(&pipeline, 3));
        let status = pipeline.status.as_mut().unwrap();
        let mut paused = status.conditions[0].clone();
        paused.type_ = "Paused".to_owned();
        status.conditions.push(paused);
        assert!(!To::Paused.is_reached(&pipeline, 3), "workers are there");
        pipeline.status.as_mut().unwrap().workers.as_mut().unwrap().replicas = 0;
        assert!(To::Paused.is_reached(&pipeline, 3));
        assert!(!To::Paused.is_reached(&pipeline, 4), "the change was not seen yet");
        assert!(!To::Running.is_reached(&pipeline, 3));
    }

    #[test]
    fn a_pipeline_runs_again_when_it_is_ready() {
        assert!(To::Running.is_reached(&sample::pipeline(), 3));
        assert!(!To::Running.is_reached(&sample::pipeline(), 4));
        assert!(!To::Running.is_reached(&sample::unseen(), 0));
    }
}
