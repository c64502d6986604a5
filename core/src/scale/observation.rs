//! What is known at a moment: of the queue by the observation stream, of pods and replicas by Kubernetes.
//!
//! The caller joins both; nothing here asks anybody.

use serde::{Deserialize, Serialize};

use super::reason::Unknown;

/// Oldest observation, in milliseconds, on which a worker may go: whether one is busy changes in a moment.
pub const OBSERVATION_FRESH_MS: u64 = 5_000;
/// Oldest observation, in milliseconds, that says anything at all; then the queue is unknown.
pub const OBSERVATION_KNOWN_MS: u64 = 60_000;

/// Documents that are not settled, all lanes together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Depth {
    /// Entries that nobody has.
    pub waiting: u64,
    /// Entries under a lease.
    pub in_flight: u64,
    /// Delayed entries whose time is near.
    pub due: u64,
}

impl Depth {
    /// All of them: what is in flight keeps its worker, what is due wants one soon.
    pub fn demand(&self) -> u64 {
        self.waiting.saturating_add(self.in_flight).saturating_add(self.due)
    }
}

/// A pod of the workers' Deployment and the worker that runs in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Worker {
    /// The pod.
    pub pod: String,
    /// The worker's name (the pod's, and what tells its starts apart); absent while none has started in it.
    pub name: Option<String>,
    /// Documents in work; absent where it says nothing, which is not zero.
    pub busy: Option<u32>,
    /// The pod reports ready: started and not drained.
    pub ready: bool,
    /// An order to take no new work is in force.
    pub draining: bool,
    /// It has that order, and nothing left.
    pub drained: bool,
    /// The pod carries the `pod-deletion-cost` of those that go first.
    pub marked: bool,
    /// The pod is being deleted: it counts for nobody any more.
    pub terminating: bool,
}

impl Worker {
    /// Whether it goes without anything being interrupted. A pod in which nothing ever started has nothing to lose.
    pub fn is_empty(&self) -> bool {
        match self.name {
            None => !self.ready,
            Some(_) => self.drained && self.busy == Some(0) && !self.ready,
        }
    }

    /// How much it would interrupt to choose it, least first.
    pub(super) fn load(&self) -> (bool, bool, u32) {
        // A pod that never started goes first, as a ReplicaSet deletes those first anyway. Silence is never idleness.
        (self.name.is_some() || self.ready, !self.is_empty(), self.busy_or_most())
    }

    /// Documents in work; the most there can be where it says nothing.
    pub(super) fn busy_or_most(&self) -> u32 {
        let never_started = self.name.is_none() && !self.ready;
        self.busy.unwrap_or(if never_started { 0 } else { u32::MAX })
    }
}

/// What is known at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// When the last line of the stream came, by the caller's clock, in milliseconds; absent where none came yet.
    pub at_ms: Option<u64>,
    /// What that line said of the queue; absent where the queue did not answer.
    pub depth: Option<Depth>,
    /// Documents that one worker makes in a minute where no model holds it back; absent until it was measured.
    pub documents_per_minute: Option<f64>,
    /// `spec.replicas` of the Deployment.
    pub replicas: u32,
    /// Its pods.
    pub workers: Vec<Worker>,
    /// Pods that must be there and are not in `workers`: counted by the Deployment, or named by a live worker. While
    /// there are any, what is known of pods is incomplete, and nobody goes.
    pub unseen: u32,
    /// Pods of more than one revision are there. A ReplicaSet chooses only among its own, so nobody goes.
    pub rolling_out: bool,
}

impl Observation {
    /// Age of what is known of the queue, in milliseconds; absent where nothing ever was.
    pub fn age_ms(&self, now_ms: u64) -> Option<u64> {
        self.at_ms.map(|at| now_ms.saturating_sub(at))
    }

    /// The depth and when it was so, or why it is unknown.
    pub fn known_depth(&self, now_ms: u64) -> Result<(u64, Depth), Unknown> {
        let at_ms = self.at_ms.ok_or(Unknown::NeverObserved)?;
        let age_ms = now_ms.saturating_sub(at_ms);
        if age_ms > OBSERVATION_KNOWN_MS {
            return Err(Unknown::TooOld { age_ms });
        }
        self.depth.map(|depth| (at_ms, depth)).ok_or(Unknown::QueueUnreachable)
    }

    /// Whether it is young enough for a worker to go.
    pub fn is_fresh(&self, now_ms: u64) -> bool {
        self.age_ms(now_ms).is_some_and(|age| age < OBSERVATION_FRESH_MS)
    }

    /// Pods that count: those that are not being deleted.
    pub fn live(&self) -> impl Iterator<Item = &Worker> {
        self.workers.iter().filter(|worker| !worker.terminating)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker() -> Worker {
        Worker {
            pod: "w-1".into(),
            name: Some("w-1.1".into()),
            busy: Some(0),
            ready: false,
            draining: true,
            drained: true,
            marked: false,
            terminating: false,
        }
    }

    #[test]
    fn empty_is_drained_and_not_ready() {
        assert!(worker().is_empty());
        for not_empty in [
            Worker { ready: true, ..worker() },
            Worker { drained: false, ..worker() },
            Worker { busy: Some(1), ..worker() },
            Worker { busy: None, ..worker() },
            Worker { name: None, ready: true, ..worker() },
        ] {
            assert!(!not_empty.is_empty(), "{not_empty:?}");
        }
        assert!(Worker { name: None, busy: None, draining: false, drained: false, ..worker() }.is_empty());
    }

    #[test]
    fn the_queue_is_known_or_it_is_said_why_not() {
        let depth = Depth { waiting: 3, in_flight: 2, due: 1 };
        let known = Observation {
            at_ms: Some(1_000),
            depth: Some(depth),
            documents_per_minute: None,
            replicas: 1,
            workers: vec![],
            unseen: 0,
            rolling_out: false,
        };
        assert_eq!(known.known_depth(61_000), Ok((1_000, depth)));
        assert_eq!(known.known_depth(0), Ok((1_000, depth)), "clocks may go back");
        assert_eq!(known.known_depth(61_001), Err(Unknown::TooOld { age_ms: 60_001 }));
        assert!(known.is_fresh(5_999) && !known.is_fresh(6_000));
        let silent = Observation { depth: None, ..known.clone() };
        assert_eq!(silent.known_depth(1_000), Err(Unknown::QueueUnreachable));
        let never = Observation { at_ms: None, ..known };
        assert_eq!(never.known_depth(1_000), Err(Unknown::NeverObserved));
        assert!(!never.is_fresh(1_000));
    }

    #[test]
    fn demand_is_all_that_is_not_settled() {
        assert_eq!(Depth { waiting: 3, in_flight: 2, due: 1 }.demand(), 6);
        assert_eq!(Depth { waiting: u64::MAX, in_flight: 2, due: 1 }.demand(), u64::MAX);
    }
}
