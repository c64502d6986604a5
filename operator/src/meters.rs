//! What the operator counts, for Prometheus. Names are part of the user contract.

mod pipelines;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

use self::pipelines::Pipelines;
use crate::pipeline_key::PipelineKey;
use crate::resource::IngestionPipelineStatus;
use crate::scaling::Scaled;

/// See the module.
#[derive(Clone)]
pub struct Meters {
    /// Whether this process leads.
    pub leader: IntGauge,
    /// Reconciles by outcome.
    pub reconciles: IntCounterVec,
    /// How long each took.
    pub seconds: HistogramVec,
    /// Writes to Kubernetes by kind.
    pub writes: IntCounterVec,
    pipelines: Pipelines,
}

impl Meters {
    /// Registers all but what is shown of pipelines.
    ///
    /// # Errors
    ///
    /// A name is taken.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters =
            |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
                let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
                registry.register(Box::new(counters.clone()))?;
                Ok(counters)
            };
        let leader = IntGauge::new("docmill_operator_leader", "1 while this process leads")?;
        registry.register(Box::new(leader.clone()))?;
        let buckets = vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0];
        let seconds = HistogramVec::new(
            HistogramOpts::new("docmill_operator_reconcile_seconds", "Time of a reconcile")
                .buckets(buckets),
            &["outcome"],
        )?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self {
            leader,
            reconciles: counters("docmill_operator_reconciles_total", "Reconciles", &["outcome"])?,
            seconds,
            writes: counters("docmill_operator_writes_total", "Writes to Kubernetes", &["kind"])?,
            pipelines: Pipelines::default(),
        })
    }

    /// Shows what scaling decided.
    pub fn scaled(&self, pipeline: &PipelineKey, scaled: &Scaled, now_ms: u64) {
        self.pipelines.scaled(pipeline, scaled, now_ms);
    }

    /// Shows the conditions.
    pub fn status(&self, pipeline: &PipelineKey, status: &IngestionPipelineStatus) {
        self.pipelines.status(pipeline, status);
    }

    /// Appends what is shown of pipelines, in the text that Prometheus reads. It is not in the registry.
    pub fn write_pipelines(&self, text: &mut String) {
        self.pipelines.write(text);
    }

    /// Forgets a pipeline that is gone.
    pub fn forget(&self, pipeline: &PipelineKey) {
        self.pipelines.forget(pipeline);
    }

    /// Forgets all pipelines: what was known of them would be read on beside what whoever leads knows, and an alert on
    /// it would never end.
    pub fn forget_all(&self) {
        self.pipelines.forget_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leads_no_more_knows_no_pipeline() {
        let meters = Meters::new(&Registry::new()).unwrap();
        let pipeline = PipelineKey::new("n", "p");
        let condition = crate::resource::Condition {
            type_: "Stalled".to_owned(),
            status: "True".to_owned(),
            reason: "VP01".to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: serde_json::from_str("\"2026-01-01T00:00:00Z\"").unwrap(),
        };
        let conditions = vec![condition];
        meters.status(
            &pipeline,
            &IngestionPipelineStatus { conditions, ..IngestionPipelineStatus::default() },
        );
        let shown = || {
            let mut text = String::new();
            meters.write_pipelines(&mut text);
            text
        };
        assert!(shown().contains(r#"type="Stalled",status="True"} 1"#), "{}", shown());
        meters.forget_all();
        assert_eq!(shown(), "");
    }
}
