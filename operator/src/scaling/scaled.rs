//! What scaling is told of a pipeline, what it publishes, and when that is worth a look by whoever writes status.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use docmill_core::scale::{Decision, Depth, Observation, Policy, Reason, ScalingLimited};
use tokio::sync::Notify;

use super::line::{GraphMemory, Line};
use crate::pipeline_key::PipelineKey;

/// Shortest time between two tellings of mere numbers, in milliseconds.
const NUMBERS_EVERY_MS: u64 = 10_000;

/// A pipeline to be scaled.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineScaling {
    /// Where it is.
    pub key: PipelineKey,
    /// Its UID, for which tokens are signed. Another one is another pipeline.
    pub uid: String,
    /// What a person asks. Of a paused pipeline: nobody.
    pub policy: Policy,
}

/// What was decided last, and on what. Times are by the registry's clock, in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaled {
    /// Workers that there are to be now.
    pub desired: u32,
    /// `spec.replicas` when that was decided.
    pub replicas: u32,
    /// The external metric: with the depth a worker as its average, an HPA asks for `desired`.
    pub metric_value: u64,
    /// Why, in the order in which it came about.
    pub reasons: Vec<Reason>,
    /// What keeps the number of workers from what was asked for.
    pub limited: Vec<ScalingLimited>,
    /// When it was decided.
    pub at_ms: u64,
    /// When the line came that it goes by; absent where none came yet.
    pub observed_at_ms: Option<u64>,
    /// What was there to do; absent where the queue did not answer.
    pub depth: Option<Depth>,
    /// Unsettled documents, as the ledger knows them.
    pub unsettled: u64,
    /// Dead letters.
    pub dead: u64,
    /// How long the oldest unsettled document is there, in milliseconds.
    pub oldest_age_ms: Option<u64>,
    /// Pods that count.
    pub workers: u32,
    /// Of those, ones that report ready.
    pub ready: u32,
    /// Documents in work.
    pub busy: u32,
    /// Documents that are committed in a minute; absent until it was said.
    pub throughput_per_min: Option<f64>,
    /// Documents that one worker makes in a minute where nothing holds it back; absent until it was measured.
    pub documents_per_minute: Option<f64>,
    /// What Neo4j has in force.
    pub neo4j_memory: Option<GraphMemory>,
    /// Why no line comes now; absent while they come.
    pub unheard: Option<String>,
    /// What of the last decision could not be done; it is tried again.
    pub trouble: Option<String>,
}

impl Scaled {
    /// What was decided on that observation. `line` is the one in it.
    pub(super) fn new(
        policy: &Policy,
        decision: &Decision,
        observation: &Observation,
        line: Option<&Line>,
        at_ms: u64,
    ) -> Self {
        Self {
            desired: decision.desired,
            replicas: observation.replicas,
            metric_value: decision.metric_value(policy),
            reasons: decision.reasons.clone(),
            limited: decision.scaling_limited(),
            at_ms,
            observed_at_ms: observation.at_ms,
            depth: observation.depth,
            unsettled: line.map_or(0, |line| line.unsettled),
            dead: line.map_or(0, |line| line.dead),
            oldest_age_ms: line.and_then(|line| line.oldest_age_ms),
            workers: observation.live().count() as u32,
            ready: observation.live().filter(|worker| worker.ready).count() as u32,
            busy: line.map_or(0, Line::busy),
            throughput_per_min: None,
            documents_per_minute: observation.documents_per_minute,
            neo4j_memory: line.and_then(|line| line.neo4j_memory),
            unheard: None,
            trouble: None,
        }
    }

    /// Age of what it goes by, in milliseconds; absent where nothing ever came.
    pub fn age_ms(&self, now_ms: u64) -> Option<u64> {
        self.observed_at_ms.map(|at_ms| now_ms.saturating_sub(at_ms))
    }

    /// Whether the other is another decision, or was made for other reasons.
    fn differs_in_kind(&self, other: &Self) -> bool {
        let kind = |scaled: &Self| {
            (
                (scaled.desired, scaled.replicas, scaled.metric_value, scaled.workers, scaled.ready),
                (
                    scaled.depth.is_some(),
                    scaled.dead > 0,
                    scaled.unheard.is_some(),
                    scaled.trouble.is_some(),
                ),
                scaled.neo4j_memory,
            )
        };
        let codes = |scaled: &Self| scaled.reasons.iter().map(Reason::code).collect::<Vec<_>>();
        kind(self) != kind(other) || self.limited != other.limited || codes(self) != codes(other)
    }

    /// Whether the other has other numbers. What only time changes is none.
    fn differs_in_numbers(&self, other: &Self) -> bool {
        let whole = |rate: Option<f64>| rate.map(f64::round);
        let numbers = |scaled: &Self| (scaled.depth, scaled.unsettled, scaled.dead, scaled.busy);
        numbers(self) != numbers(other) || whole(self.throughput_per_min) != whole(other.throughput_per_min)
    }
}

/// What was last told of a pipeline.
#[derive(Debug, Default)]
pub(super) struct Told(Option<(Scaled, u64)>);

impl Told {
    /// Whether that is to be told; then it counts as told.
    pub(super) fn is_news(&mut self, scaled: &Scaled, now_ms: u64) -> bool {
        let news = self.0.as_ref().is_none_or(|(told, at_ms)| {
            let numbers_may = now_ms.saturating_sub(*at_ms) >= NUMBERS_EVERY_MS;
            scaled.differs_in_kind(told) || (numbers_may && scaled.differs_in_numbers(told))
        });
        if news {
            self.0 = Some((scaled.clone(), now_ms));
        }
        news
    }

    /// Nothing counts as told any more.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }
}

/// Pipelines of which there is news, each once however often it is told.
#[derive(Debug, Default)]
pub(super) struct News {
    keys: Mutex<HashSet<PipelineKey>>,
    came: Notify,
}

impl News {
    pub(super) fn tell(&self, key: &PipelineKey) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        self.came.notify_one();
    }

    /// The next one. For one reader.
    pub(super) async fn next(&self) -> PipelineKey {
        loop {
            if let Some(key) = self.take() {
                return key;
            }
            self.came.notified().await;
        }
    }

    fn take(&self) -> Option<PipelineKey> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let key = keys.iter().next().cloned()?;
        keys.take(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled() -> Scaled {
        let observation = Observation {
            at_ms: Some(5),
            depth: Some(Depth::default()),
            documents_per_minute: None,
            replicas: 1,
            workers: vec![],
            unseen: 0,
            rolling_out: false,
        };
        let decision = Decision { desired: 2, actions: vec![], reasons: vec![Reason::RollingOut] };
        Scaled::new(&Policy::default(), &decision, &observation, Some(&Line::default()), 7)
    }

    #[test]
    fn the_metric_asks_for_what_is_desired() {
        let scaled = scaled();
        assert_eq!((scaled.desired, scaled.metric_value), (2, 200));
        assert_eq!(scaled.age_ms(9), Some(4));
    }

    #[test]
    fn decisions_are_told_at_once_and_numbers_now_and_then() {
        let mut told = Told::default();
        assert!(told.is_news(&scaled(), 0));
        let later = Scaled { at_ms: 9_999_999, observed_at_ms: Some(9_999_999), ..scaled() };
        assert!(!told.is_news(&later, 3_600_000), "only time passed");
        let deeper = Scaled { depth: Some(Depth { waiting: 9, ..Depth::default() }), ..scaled() };
        assert!(!told.is_news(&deeper, 9_999));
        assert!(told.is_news(&deeper, 10_000));
        assert!(!told.is_news(&deeper, 30_000));
        for other in [
            Scaled { desired: 3, ..deeper.clone() },
            Scaled { depth: None, ..deeper.clone() },
            Scaled { reasons: vec![], ..deeper.clone() },
            Scaled { trouble: Some("no".into()), ..deeper.clone() },
        ] {
            assert!(told.is_news(&other, 10_001), "{other:?}");
        }
    }

    #[tokio::test]
    async fn news_of_a_pipeline_come_once() {
        let news = News::default();
        for name in ["a", "b", "a"] {
            news.tell(&PipelineKey::new("n", name));
        }
        let mut heard = [news.next().await, news.next().await];
        heard.sort();
        assert_eq!(heard, [PipelineKey::new("n", "a"), PipelineKey::new("n", "b")]);
        assert_eq!(news.take(), None);
    }
}
