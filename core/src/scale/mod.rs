//! How many workers there are to be, and how to get there without interrupting any.
//!
//! [`step`] is all of it: what was, what is known and the time in; what to do and why out. It is called at every
//! observation, and may be called at any other time. It runs in the operator, behind the metric that an HPA reads,
//! and in simulations.
//!
//! ```text
//! Observation ──► wanted ──► window ──► descent ──► Decision
//!                 formula    the past   the pods    desired, actions, reasons
//! ```
//!
//! Unknown is never zero: while nothing is known of the queue, nothing is done.

use serde::{Deserialize, Serialize};

mod descent;
mod observation;
mod policy;
mod reason;
mod wanted;
mod window;

#[cfg(test)]
mod lives;
#[cfg(test)]
mod tests;

pub use descent::{Descent, ORDER_LASTS_MS};
pub use observation::{Depth, OBSERVATION_FRESH_MS, OBSERVATION_KNOWN_MS, Observation, Worker};
pub use policy::{Error, ModelBudget, Policy};
pub use reason::{Missing, Reason, ScalingLimited, Unknown};
pub use wanted::{Wanted, wanted};
pub use window::Window;

use descent::Moment;
use window::Sample;

/// The `pod-deletion-cost` of a worker that is to go: below that of all others, which have none, and so 0.
pub const DELETION_COST: i32 = -1_000;
/// Time, in milliseconds, that Kubernetes has to show a new `replicas` before what it shows is believed: an
/// observation that is older than the write must not undo it.
const WRITE_SHOWS_MS: u64 = 5_000;

/// What a step leaves for the next. The default is right for a start: nothing of it is needed to be safe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    window: Window,
    descent: Descent,
    /// `replicas` as last decided, and when.
    decided: Option<(u32, u64)>,
}

/// Something to do. Each may be done twice, and each is asked for again while it shows no effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all_fields = "camelCase")]
pub enum Action {
    /// Let the worker take work again.
    Resume {
        /// Its name.
        worker: String,
    },
    /// Order the worker to take no new work, for [`ORDER_LASTS_MS`].
    Drain {
        /// Its name.
        worker: String,
    },
    /// Write [`DELETION_COST`] to the pod.
    Mark {
        /// Its name.
        pod: String,
    },
    /// Remove the deletion cost of the pod.
    Unmark {
        /// Its name.
        pod: String,
    },
    /// Write `replicas` of the Deployment, on the resource version that was read.
    SetReplicas {
        /// Workers.
        replicas: u32,
    },
}

/// What to do, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Workers that there are to be now. It falls only when those that go are empty.
    pub desired: u32,
    /// What to do, in this order.
    pub actions: Vec<Action>,
    /// Why, in the order in which it came about.
    pub reasons: Vec<Reason>,
}

impl Decision {
    /// The value of the external metric, in documents: what makes an HPA with this average value ask for `desired`.
    pub fn metric_value(&self, policy: &Policy) -> u64 {
        u64::from(self.desired) * u64::from(policy.depth_per_replica.get())
    }

    /// What keeps the number of workers from what was asked for: reasons of `ScalingLimited`, without repetition.
    pub fn scaling_limited(&self) -> Vec<ScalingLimited> {
        let mut limits: Vec<_> = self.reasons.iter().filter_map(Reason::scaling_limited).collect();
        limits.sort();
        limits.dedup();
        limits
    }
}

/// Decides what to do at `now_ms`, by the caller's clock. `observation.at_ms` is by the same clock.
pub fn step(
    mut state: State,
    policy: &Policy,
    observation: &Observation,
    now_ms: u64,
) -> (State, Decision) {
    let current = state.current(observation.replicas, now_ms);
    let mut decision = Decision { desired: current, actions: Vec::new(), reasons: Vec::new() };
    let (at_ms, depth) = match observation.known_depth(now_ms) {
        Ok(known) => known,
        Err(why) => {
            decision.reasons.push(Reason::Unknown { why, held: current });
            return (state, decision);
        }
    };
    let wanted = wanted(policy, depth, observation.documents_per_minute);
    decision.reasons = wanted.reasons;
    let sample = Sample { at_ms, depth, wanted: wanted.replicas };
    let target = state.window.target(policy, sample, current, &mut decision.reasons);
    let least = state.least(observation.replicas, now_ms);
    state.descent.step(Moment { policy, observation, current, least, target, now_ms }, &mut decision);

    let desired = decision.desired;
    if desired != observation.replicas {
        decision.actions.push(Action::SetReplicas { replicas: desired });
    }
    if state.decided.is_none_or(|(decided, _)| decided != desired) {
        state.decided = Some((desired, now_ms));
    }
    (state, decision)
}

impl State {
    /// Workers that are there: what Kubernetes shows, or what was decided where that is more and too young to be shown.
    /// What is too much is brought down by a descent, never by belief in an earlier one.
    fn current(&self, observed: u32, now_ms: u64) -> u32 {
        self.young(now_ms).map_or(observed, |decided| decided.max(observed))
    }

    /// The least `replicas` that may be in force.
    fn least(&self, observed: u32, now_ms: u64) -> u32 {
        self.young(now_ms).map_or(observed, |decided| decided.min(observed))
    }

    /// What was decided, while it may not be shown yet.
    fn young(&self, now_ms: u64) -> Option<u32> {
        self.decided
            .filter(|(_, at_ms)| now_ms.saturating_sub(*at_ms) < WRITE_SHOWS_MS)
            .map(|(decided, _)| decided)
    }
}
