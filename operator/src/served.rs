//! What the metrics API serves: on the leader what was just decided, on others what status says.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use kube::runtime::reflector::Store;
use tokio::sync::watch;

use crate::live::Index;
use crate::metrics_api::{Value, Values};
use crate::pipeline_key::PipelineKey;
use crate::resource::IngestionPipeline;
use crate::scaling::Pipelines;
use crate::status::rollout;

/// Oldest status, in seconds, that is served as it is.
const STATUS_MAX_S: i64 = 60;

/// See the module.
pub struct Served {
    /// What was decided.
    pub scaling: Pipelines,
    /// Pipelines with their status.
    pub store: Store<IngestionPipeline>,
    /// What is there.
    pub index: Arc<Index>,
    /// Whether this process decides.
    pub is_leader: watch::Receiver<bool>,
}

impl Values for Served {
    fn desired_metric(&self, namespace: &str, pipeline: &str) -> Option<Value> {
        let now_ms = unix_ms();
        let key = PipelineKey::new(namespace, pipeline);
        if *self.is_leader.borrow() {
            let scaled = self.scaling.get(&key)?;
            return Some(Value { value: scaled.metric_value, at_ms: now_ms });
        }
        let found = self.store.get(&key.object_ref())?;
        let scaling = found.status.as_ref()?.scaling.as_ref()?;
        let live = self.index.of(&key);
        let replicas = rollout(&live, &key.worker_deployment()).map(|rollout| rollout.wanted);
        let age_s = scaling.observed_at.as_deref().and_then(|at| age_s(at, now_ms));
        is_servable(scaling.desired, replicas, age_s)
            .then_some(Value { value: scaling.metric, at_ms: now_ms })
    }
}

/// Old news are served only where they change nothing: who follows cannot tell whether all is well or the leader is
/// gone, and a number of workers that stays is right in both.
fn is_servable(desired: u32, replicas: Option<i32>, age_s: Option<i64>) -> bool {
    age_s.is_some_and(|age| age <= STATUS_MAX_S)
        || replicas.and_then(|n| u32::try_from(n).ok()) == Some(desired)
}

fn age_s(at: &str, now_ms: u64) -> Option<i64> {
    let at: k8s_openapi::jiff::Timestamp = at.parse().ok()?;
    Some(i64::try_from(now_ms / 1_000).ok()? - at.as_second())
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_news_that_change_something_are_not_served() {
        assert!(is_servable(3, Some(1), Some(60)) && !is_servable(3, Some(1), Some(61)));
        assert!(is_servable(3, Some(3), Some(9_999)) && is_servable(3, Some(3), None));
        assert!(!is_servable(3, None, None));
        assert_eq!(age_s("2026-01-01T00:00:00Z", 1_767_225_605_000), Some(5));
        assert_eq!(age_s("yesterday", 0), None);
    }
}
