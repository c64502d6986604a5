//! What the operator counts, for Prometheus. Names are part of the user contract.

use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

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
    desired: GaugeVec,
    replicas: GaugeVec,
    depth: GaugeVec,
    rate: GaugeVec,
    age: GaugeVec,
    condition: GaugeVec,
}

const PIPELINE: [&str; 2] = ["namespace", "pipeline"];

impl Meters {
    /// Registers all.
    ///
    /// # Errors
    ///
    /// A name is taken.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauges = |name: &str, help: &str, labels: &[&str]| -> Result<GaugeVec, prometheus::Error> {
            let gauges = GaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauges.clone()))?;
            Ok(gauges)
        };
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
        let pipeline = |more: &'static str| ["namespace", "pipeline", more];
        Ok(Self {
            leader,
            reconciles: counters("docmill_operator_reconciles_total", "Reconciles", &["outcome"])?,
            seconds,
            writes: counters("docmill_operator_writes_total", "Writes to Kubernetes", &["kind"])?,
            desired: gauges(
                "docmill_operator_pipeline_desired",
                "Workers that there are to be",
                &PIPELINE,
            )?,
            replicas: gauges(
                "docmill_operator_pipeline_replicas",
                "Workers asked of Kubernetes",
                &PIPELINE,
            )?,
            depth: gauges("docmill_operator_pipeline_depth", "Documents to do", &pipeline("state"))?,
            rate: gauges("docmill_operator_pipeline_rate", "Documents a minute", &PIPELINE)?,
            age: gauges(
                "docmill_operator_observation_age_seconds",
                "Age of what is known of the queue",
                &PIPELINE,
            )?,
            condition: gauges(
                "docmill_operator_pipeline_condition",
                "1 for the status that a condition has",
                &["namespace", "pipeline", "type", "status"],
            )?,
        })
    }

    /// Shows what scaling decided.
    pub fn scaled(&self, pipeline: &PipelineKey, scaled: &Scaled, now_ms: u64) {
        let labels = [pipeline.namespace.as_str(), pipeline.name.as_str()];
        self.desired.with_label_values(&labels).set(f64::from(scaled.desired));
        self.replicas.with_label_values(&labels).set(f64::from(scaled.replicas));
        match scaled.depth {
            Some(depth) => {
                for (state, documents) in
                    [("waiting", depth.waiting), ("in_flight", depth.in_flight), ("due", depth.due)]
                {
                    self.depth.with_label_values(&[labels[0], labels[1], state]).set(documents as f64);
                }
            }
            // Unknown is never zero.
            None => self.forget_depth(pipeline),
        }
        if let Some(rate) = scaled.throughput_per_min {
            self.rate.with_label_values(&labels).set(rate);
        }
        if let Some(age_ms) = scaled.age_ms(now_ms) {
            self.age.with_label_values(&labels).set(age_ms as f64 / 1_000.0);
        }
    }

    /// Shows the conditions.
    pub fn status(&self, pipeline: &PipelineKey, status: &IngestionPipelineStatus) {
        for kind in crate::resource::ConditionKind::ALL {
            let found = status.conditions.iter().find(|condition| condition.type_ == kind.as_str());
            for value in ["True", "False", "Unknown"] {
                let labels = [pipeline.namespace.as_str(), pipeline.name.as_str(), kind.as_str(), value];
                match found {
                    Some(condition) => {
                        self.condition
                            .with_label_values(&labels)
                            .set(f64::from(u8::from(condition.status == value)));
                    }
                    None => drop(self.condition.remove_label_values(&labels)),
                }
            }
        }
    }

    /// Forgets a pipeline that is gone.
    pub fn forget(&self, pipeline: &PipelineKey) {
        let labels = [pipeline.namespace.as_str(), pipeline.name.as_str()];
        for gauges in [&self.desired, &self.replicas, &self.rate, &self.age] {
            let _ = gauges.remove_label_values(&labels);
        }
        self.forget_depth(pipeline);
        for kind in crate::resource::ConditionKind::ALL {
            for value in ["True", "False", "Unknown"] {
                let _ = self.condition.remove_label_values(&[labels[0], labels[1], kind.as_str(), value]);
            }
        }
    }

    fn forget_depth(&self, pipeline: &PipelineKey) {
        for state in ["waiting", "in_flight", "due"] {
            let labels = [pipeline.namespace.as_str(), pipeline.name.as_str(), state];
            let _ = self.depth.remove_label_values(&labels);
        }
    }
}
