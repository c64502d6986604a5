//! What of a pipeline is shown, each as a few words.

use docmill_operator::resource::{Condition, ConditionKind, IngestionPipeline, IngestionPipelineStatus};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

/// What stands where something is not known.
pub const UNKNOWN: &str = "-";

/// A pipeline that is looked at.
pub struct View<'a> {
    /// The pipeline.
    pub pipeline: &'a IngestionPipeline,
}

impl<'a> View<'a> {
    /// Looks at it.
    pub fn of(pipeline: &'a IngestionPipeline) -> Self {
        Self { pipeline }
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.pipeline.name_any()
    }

    /// Its namespace.
    pub fn namespace(&self) -> String {
        self.pipeline.namespace().unwrap_or_default()
    }

    /// When it was made.
    pub fn created(&self) -> Option<Timestamp> {
        self.pipeline.metadata.creation_timestamp.as_ref().map(|time| time.0)
    }

    /// What is told back of it.
    pub fn status(&self) -> Option<&'a IngestionPipelineStatus> {
        self.pipeline.status.as_ref()
    }

    /// A condition, where it is told.
    pub fn condition(&self, kind: ConditionKind) -> Option<&'a Condition> {
        self.status()?.conditions.iter().find(|condition| condition.type_ == kind.as_str())
    }

    /// Whether a condition is told and true.
    pub fn is(&self, kind: ConditionKind) -> bool {
        self.condition(kind).is_some_and(|condition| condition.status == "True")
    }

    /// Whether what is told back is about what is declared now.
    pub fn is_seen(&self) -> bool {
        let seen = self.status().and_then(|status| status.observed_generation);
        seen.is_some() && seen >= self.pipeline.metadata.generation
    }

    /// Workers there, of which ready, and wanted.
    pub fn workers(&self) -> [String; 3] {
        let there = self.status().and_then(|status| status.workers.as_ref());
        let wanted =
            self.status().and_then(|status| status.scaling.as_ref()).map(|scaling| scaling.desired);
        [
            number(there.map(|workers| workers.replicas)),
            number(there.map(|workers| workers.ready)),
            number(wanted),
        ]
    }

    /// Documents to do: all, waiting, in flight, due.
    pub fn depth(&self) -> [String; 4] {
        let depth = self.status().and_then(|status| status.depth);
        [
            number(depth.map(|depth| depth.total)),
            number(depth.map(|depth| depth.waiting)),
            number(depth.map(|depth| depth.in_flight)),
            number(depth.map(|depth| depth.due)),
        ]
    }

    /// Documents a minute.
    pub fn rate(&self) -> String {
        self.status().and_then(|status| status.rate.clone()).unwrap_or_else(|| UNKNOWN.to_owned())
    }

    /// `True`, `False` or `Unknown`, and the reason.
    pub fn ready(&self) -> (String, String) {
        match self.condition(ConditionKind::Ready) {
            Some(ready) => (ready.status.clone(), ready.reason.clone()),
            None => ("Unknown".to_owned(), "NotSeen".to_owned()),
        }
    }
}

/// A number, where it is known.
fn number(number: Option<impl ToString>) -> String {
    number.map_or_else(|| UNKNOWN.to_owned(), |number| number.to_string())
}
