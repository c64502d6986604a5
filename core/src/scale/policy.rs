//! What a person asks of scaling: bounds, the depth that is meant for one worker, budgets of models, and times.

use std::num::{NonZeroU32, NonZeroU64};

use serde::{Deserialize, Serialize};

/// What a person asks. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Policy {
    /// Fewest workers. 0 lets an idle pipeline go to nothing.
    pub min: u32,
    /// Most workers.
    pub max: u32,
    /// Documents (waiting, in flight and due) that are meant for one worker.
    pub depth_per_replica: NonZeroU32,
    /// Budgets of the models that every document passes; each bounds the number of workers.
    pub budgets: Vec<ModelBudget>,
    /// How long fewer workers must have been enough before any goes.
    pub scale_down_window_ms: u64,
    /// How long nothing must have been there before the last worker goes.
    pub scale_to_zero_after_ms: u64,
    /// How long workers that are to go may take to finish what they have.
    pub max_busy_wait_ms: u64,
}

impl Default for Policy {
    /// 0 to 50 workers of 100 documents each (requirements §4); a window of 5 min and waits of 10 min (design §8).
    fn default() -> Self {
        const HUNDRED: NonZeroU32 = NonZeroU32::new(100).expect("100 is not 0");
        Self {
            min: 0,
            max: 50,
            depth_per_replica: HUNDRED,
            budgets: Vec::new(),
            scale_down_window_ms: 300_000,
            scale_to_zero_after_ms: 600_000,
            max_busy_wait_ms: 600_000,
        }
    }
}

/// What one account of a model may be asked in a minute, and what a document asks of it. What is absent is not
/// limited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ModelBudget {
    /// Whose account.
    pub provider: String,
    /// Requests a minute, all workers together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<NonZeroU32>,
    /// Requests that a document makes.
    #[serde(default = "ten")]
    pub calls_per_document: NonZeroU32,
    /// Tokens a minute, all workers together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<NonZeroU64>,
    /// Tokens that a document takes, questions and answers; without it, tokens bound nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_document: Option<NonZeroU64>,
}

/// The default of `callsPerDocument`.
fn ten() -> NonZeroU32 {
    const TEN: NonZeroU32 = NonZeroU32::new(10).expect("10 is not 0");
    TEN
}

/// What makes a policy impossible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No worker may ever run.
    #[error("the most workers are 0, so nothing would ever be ingested; pause the pipeline instead")]
    NoWorkers,
    /// The bounds exclude each other.
    #[error("the fewest workers, {min}, are more than the most, {max}")]
    MinAboveMax {
        /// Fewest workers.
        min: u32,
        /// Most workers.
        max: u32,
    },
}

impl Policy {
    /// All that is wrong, at once. [`super::step`] takes such a policy too, and then goes by the fewest workers.
    pub fn problems(&self) -> Vec<Error> {
        let mut problems = Vec::new();
        if self.max == 0 {
            problems.push(Error::NoWorkers);
        }
        if self.min > self.max {
            problems.push(Error::MinAboveMax { min: self.min, max: self.max });
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_possible_and_contradictions_are_all_told() {
        assert_eq!(Policy::default().problems(), []);
        let impossible = Policy { min: 3, max: 0, ..Policy::default() };
        assert_eq!(impossible.problems(), [Error::NoWorkers, Error::MinAboveMax { min: 3, max: 0 }]);
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let policy: Policy = serde_json::from_str(
            r#"{"max": 8, "budgets": [{"provider": "OpenAI", "requestsPerMinute": 500}]}"#,
        )
        .unwrap();
        assert_eq!((policy.min, policy.max, policy.depth_per_replica.get()), (0, 8, 100));
        assert_eq!(policy.budgets[0].calls_per_document.get(), 10);
        assert!(serde_json::from_str::<Policy>(r#"{"minimum": 1}"#).is_err());
        assert!(serde_json::from_str::<Policy>(r#"{"depthPerReplica": 0}"#).is_err());
    }
}
