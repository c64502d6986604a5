//! What is shown of each pipeline: kept as a few numbers, and made into text when somebody asks for it. A gauge of
//! Prometheus' library keeps its name, its help and all labels beside its value, about 800 bytes, and a pipeline has
//! some thirty of them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use docmill_core::scale::Depth;

use crate::pipeline_key::PipelineKey;
use crate::resource::{ConditionKind, IngestionPipelineStatus};
use crate::scaling::Scaled;

/// What a condition's status may be.
const STATUSES: [&str; 3] = ["True", "False", "Unknown"];

/// What a gauge is of.
#[derive(Debug, Clone, Copy)]
enum Of {
    Desired,
    Replicas,
    Depth,
    Rate,
    Age,
    Condition,
}

/// Name and meaning of each gauge.
const GAUGES: [(Of, &str, &str); 6] = [
    (Of::Desired, "docmill_operator_pipeline_desired", "Workers that there are to be"),
    (Of::Replicas, "docmill_operator_pipeline_replicas", "Workers asked of Kubernetes"),
    (Of::Depth, "docmill_operator_pipeline_depth", "Documents to do"),
    (Of::Rate, "docmill_operator_pipeline_rate", "Documents a minute"),
    (Of::Age, "docmill_operator_observation_age_seconds", "Age of what is known of the queue"),
    (Of::Condition, "docmill_operator_pipeline_condition", "1 for the status that a condition has"),
];

/// See the module. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct Pipelines(Arc<Mutex<BTreeMap<PipelineKey, Shown>>>);

/// What is shown of a pipeline. What is absent is not known, which is never zero.
#[derive(Debug, Default)]
struct Shown {
    desired: Option<u32>,
    replicas: Option<u32>,
    depth: Option<Depth>,
    rate: Option<f64>,
    age_s: Option<f64>,
    /// Conditions that there are, and which of [`STATUSES`] each has.
    conditions: Vec<(ConditionKind, Option<&'static str>)>,
}

/// A value of a gauge, with its labels beside namespace and pipeline.
type Value = (Vec<(&'static str, &'static str)>, f64);

impl Pipelines {
    /// Shows what scaling decided. A rate and an age that are not known by now stay as they were.
    pub(super) fn scaled(&self, pipeline: &PipelineKey, scaled: &Scaled, now_ms: u64) {
        let mut all = self.lock();
        let shown = all.entry(pipeline.clone()).or_default();
        shown.desired = Some(scaled.desired);
        shown.replicas = Some(scaled.replicas);
        shown.depth = scaled.depth;
        shown.rate = scaled.throughput_per_min.or(shown.rate);
        shown.age_s = scaled.age_ms(now_ms).map(|age_ms| age_ms as f64 / 1_000.0).or(shown.age_s);
    }

    /// Shows the conditions.
    pub(super) fn status(&self, pipeline: &PipelineKey, status: &IngestionPipelineStatus) {
        let find = |kind: ConditionKind| {
            let found = status.conditions.iter().find(|condition| condition.type_ == kind.as_str())?;
            Some((kind, STATUSES.into_iter().find(|status| *status == found.status)))
        };
        let conditions = ConditionKind::ALL.into_iter().filter_map(find).collect();
        self.lock().entry(pipeline.clone()).or_default().conditions = conditions;
    }

    /// Forgets a pipeline that is gone.
    pub(super) fn forget(&self, pipeline: &PipelineKey) {
        self.lock().remove(pipeline);
    }

    /// Forgets all.
    pub(super) fn forget_all(&self) {
        self.lock().clear();
    }

    /// Appends all gauges, in the text that Prometheus reads.
    pub(super) fn write(&self, text: &mut String) {
        let all = self.lock();
        for (of, name, help) in GAUGES {
            let mut has_head = false;
            for (PipelineKey { namespace, name: pipeline }, shown) in all.iter() {
                for (labels, value) in shown.values(of) {
                    if !has_head {
                        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
                        has_head = true;
                    }
                    // Names of Kubernetes, and words of our own: there is nothing in them to be escaped.
                    let _ = write!(text, r#"{name}{{namespace="{namespace}",pipeline="{pipeline}""#);
                    for (label, is) in labels {
                        let _ = write!(text, r#",{label}="{is}""#);
                    }
                    let _ = writeln!(text, "}} {value}");
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PipelineKey, Shown>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shown {
    /// Its values of a gauge.
    fn values(&self, of: Of) -> Vec<Value> {
        let one = |value: Option<f64>| -> Vec<Value> {
            value.map(|value| (Vec::new(), value)).into_iter().collect()
        };
        match of {
            Of::Desired => one(self.desired.map(f64::from)),
            Of::Replicas => one(self.replicas.map(f64::from)),
            Of::Rate => one(self.rate),
            Of::Age => one(self.age_s),
            Of::Depth => {
                let Some(Depth { waiting, in_flight, due }) = self.depth else { return Vec::new() };
                let states = [("waiting", waiting), ("in_flight", in_flight), ("due", due)];
                let value =
                    |(state, documents): (&'static str, u64)| (vec![("state", state)], documents as f64);
                states.map(value).into()
            }
            Of::Condition => {
                let of_kind = |(kind, is): &(ConditionKind, Option<&'static str>)| {
                    let (kind, is) = (kind.as_str(), *is);
                    STATUSES.map(|status| {
                        let labels = vec![("type", kind), ("status", status)];
                        (labels, f64::from(u8::from(is == Some(status))))
                    })
                };
                self.conditions.iter().flat_map(of_kind).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Condition;

    fn scaled(depth: Option<Depth>) -> Scaled {
        Scaled {
            desired: 2,
            replicas: 1,
            metric_value: 200,
            reasons: vec![],
            limited: vec![],
            at_ms: 2_000,
            observed_at_ms: Some(2_000),
            depth,
            unsettled: 0,
            dead: 0,
            oldest_age_ms: None,
            workers: 0,
            ready: 0,
            busy: 0,
            throughput_per_min: None,
            documents_per_minute: None,
            neo4j_memory: None,
            unheard: None,
            trouble: None,
        }
    }

    fn status(conditions: &[(ConditionKind, &str)]) -> IngestionPipelineStatus {
        let condition = |(kind, status): &(ConditionKind, &str)| Condition {
            type_: kind.as_str().to_owned(),
            status: (*status).to_owned(),
            reason: "Why".into(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: serde_json::from_str("\"2026-01-01T00:00:00Z\"").unwrap(),
        };
        let conditions = conditions.iter().map(condition).collect();
        IngestionPipelineStatus { conditions, ..IngestionPipelineStatus::default() }
    }

    fn text(pipelines: &Pipelines) -> String {
        let mut text = String::new();
        pipelines.write(&mut text);
        text
    }

    #[test]
    fn what_is_shown_of_a_pipeline() {
        let pipelines = Pipelines::default();
        assert_eq!(text(&pipelines), "");
        let (books, films) = (PipelineKey::new("team", "books"), PipelineKey::new("team", "films"));
        pipelines.scaled(&films, &scaled(None), 3_500);
        pipelines.scaled(&books, &scaled(Some(Depth { waiting: 3, in_flight: 2, due: 1 })), 3_500);
        pipelines.status(&books, &status(&[(ConditionKind::Ready, "True")]));
        let expected = r#"# HELP docmill_operator_pipeline_desired Workers that there are to be
# TYPE docmill_operator_pipeline_desired gauge
docmill_operator_pipeline_desired{namespace="team",pipeline="books"} 2
docmill_operator_pipeline_desired{namespace="team",pipeline="films"} 2
# HELP docmill_operator_pipeline_replicas Workers asked of Kubernetes
# TYPE docmill_operator_pipeline_replicas gauge
docmill_operator_pipeline_replicas{namespace="team",pipeline="books"} 1
docmill_operator_pipeline_replicas{namespace="team",pipeline="films"} 1
# HELP docmill_operator_pipeline_depth Documents to do
# TYPE docmill_operator_pipeline_depth gauge
docmill_operator_pipeline_depth{namespace="team",pipeline="books",state="waiting"} 3
docmill_operator_pipeline_depth{namespace="team",pipeline="books",state="in_flight"} 2
docmill_operator_pipeline_depth{namespace="team",pipeline="books",state="due"} 1
# HELP docmill_operator_observation_age_seconds Age of what is known of the queue
# TYPE docmill_operator_observation_age_seconds gauge
docmill_operator_observation_age_seconds{namespace="team",pipeline="books"} 1.5
docmill_operator_observation_age_seconds{namespace="team",pipeline="films"} 1.5
# HELP docmill_operator_pipeline_condition 1 for the status that a condition has
# TYPE docmill_operator_pipeline_condition gauge
docmill_operator_pipeline_condition{namespace="team",pipeline="books",type="Ready",status="True"} 1
docmill_operator_pipeline_condition{namespace="team",pipeline="books",type="Ready",status="False"} 0
docmill_operator_pipeline_condition{namespace="team",pipeline="books",type="Ready",status="Unknown"} 0
"#;
        assert_eq!(text(&pipelines), expected);
        // Unknown is never zero, and a condition that is gone is not shown.
        pipelines.scaled(&books, &scaled(None), 3_500);
        pipelines.status(&books, &status(&[]));
        let shown = text(&pipelines);
        assert!(!shown.contains("_depth") && !shown.contains("_condition"), "{shown}");
        pipelines.forget(&books);
        pipelines.forget(&films);
        assert_eq!(text(&pipelines), "");
    }
}
