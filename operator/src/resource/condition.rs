//! Conditions by the rules of kstatus: what tools wait for. `Reconciling` and `Stalled` are there only while true.

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

/// A condition as Kubernetes has it.
pub type Condition = meta::Condition;

/// The conditions of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionKind {
    /// All that is to be there is there and answers. Idle without workers is ready.
    Ready,
    /// What is declared is being brought about.
    Reconciling,
    /// What is declared cannot be brought about without a person.
    Stalled,
    /// The number of documents that wait is known.
    MetricsAvailable,
    /// The number of workers follows the queue.
    ScalingActive,
    /// Something keeps the number of workers from what the queue asks for.
    ScalingLimited,
    /// The store of the graph answers, with the memory that it was given.
    GraphStoreReady,
    /// The queue answers.
    QueueReady,
    /// A person paused the pipeline.
    Paused,
    /// It runs, but not as declared, or a part of it is in trouble: the reason says which.
    Degraded,
}

impl ConditionKind {
    /// All of them, in the order in which they stand in status.
    pub const ALL: [Self; 10] = [
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
        Self::MetricsAvailable,
        Self::ScalingActive,
        Self::ScalingLimited,
        Self::GraphStoreReady,
        Self::QueueReady,
        Self::Paused,
        Self::Degraded,
    ];

    /// The condition's `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::MetricsAvailable => "MetricsAvailable",
            Self::ScalingActive => "ScalingActive",
            Self::ScalingLimited => "ScalingLimited",
            Self::GraphStoreReady => "GraphStoreReady",
            Self::QueueReady => "QueueReady",
            Self::Paused => "Paused",
            Self::Degraded => "Degraded",
        }
    }
}
