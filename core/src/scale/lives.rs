//! Whole lives of a Deployment, with a ReplicaSet that removes pods in the order of the real one.

use proptest::prelude::*;

use super::tests::{SECOND, observed, policy, worker};
use super::*;

/// A Deployment and its queue, moved on by the second.
struct World {
    random: u64,
    now_ms: u64,
    waiting: u64,
    replicas: u32,
    /// Writes of `replicas` so far.
    version: u32,
    pods: Vec<Pod>,
    made: u32,
    interrupted: u32,
}

struct Pod {
    worker: Worker,
    order_until_ms: u64,
    /// Documents that never end.
    stuck: u32,
    /// It began to run after it was marked: nobody could know.
    late: bool,
}

impl World {
    fn chance(&mut self, percent: u64) -> bool {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % 100 < percent
    }

    fn second(&mut self, slow: bool) {
        self.now_ms += SECOND;
        for at in 0..self.pods.len() {
            if self.pods[at].worker.name.is_none() {
                if self.chance(40) {
                    let pod = &mut self.pods[at];
                    pod.worker.name = Some(format!("{}.1", pod.worker.pod));
                    (pod.worker.busy, pod.worker.ready) = (Some(0), true);
                    pod.late = pod.worker.marked;
                }
                continue;
            }
            let ends = if slow { 3 } else { 30 };
            for _ in self.pods[at].stuck..self.pods[at].worker.busy.unwrap_or(0) {
                if self.chance(ends) {
                    self.pods[at].worker.busy = self.pods[at].worker.busy.map(|busy| busy - 1);
                }
            }
            let pod = &mut self.pods[at];
            let draining = pod.order_until_ms > self.now_ms;
            // Reported a look later than the order, as workers do.
            pod.worker.drained = draining && pod.worker.draining && pod.worker.busy == Some(0);
            pod.worker.draining = draining;
            pod.worker.ready = !pod.worker.drained;
            while !draining && pod.worker.busy < Some(4) && self.waiting > 0 {
                pod.worker.busy = pod.worker.busy.map(|busy| busy + 1);
                self.waiting -= 1;
            }
        }
    }

    /// As a ReplicaSet does: makes what lacks, removes what is too much in its order.
    fn replica_set(&mut self) {
        while (self.pods.len() as u32) < self.replicas {
            self.made += 1;
            let worker = Worker { name: None, busy: None, ready: false, ..worker(self.made, 0) };
            self.pods.push(Pod { worker, order_until_ms: 0, stuck: 0, late: false });
        }
        self.pods.sort_by_key(|pod| {
            let Worker { name, ready, marked, .. } = &pod.worker;
            (name.is_some(), *ready, !marked)
        });
        let surplus = self.pods.len() - self.replicas as usize;
        for pod in self.pods.drain(..surplus) {
            let busy = pod.worker.busy.unwrap_or(0);
            self.waiting += u64::from(busy);
            self.interrupted += u32::from(busy > 0 && !pod.late);
        }
    }

    fn observe(&self, known: bool) -> Observation {
        let workers = self.pods.iter().map(|pod| pod.worker.clone()).collect();
        let observation = observed(self.waiting, workers);
        Observation {
            at_ms: Some(self.now_ms),
            depth: observation.depth.filter(|_| known),
            replicas: self.replicas,
            ..observation
        }
    }

    /// Does it, as far as the API server lets one who saw that version.
    fn act(&mut self, action: &Action, seen_version: u32) {
        let find = |pods: &mut Vec<Pod>, name: &str| {
            pods.iter().position(|pod| pod.worker.pod == name || pod.worker.name.as_deref() == Some(name))
        };
        match action {
            Action::SetReplicas { replicas } => {
                if seen_version == self.version {
                    (self.replicas, self.version) = (*replicas, self.version + 1);
                }
            }
            Action::Drain { worker } | Action::Resume { worker } => {
                if let Some(at) = find(&mut self.pods, worker) {
                    let lasts = if matches!(action, Action::Drain { .. }) { ORDER_LASTS_MS } else { 0 };
                    self.pods[at].order_until_ms = self.now_ms + lasts;
                }
            }
            Action::Mark { pod } | Action::Unmark { pod } => {
                if let Some(at) = find(&mut self.pods, pod) {
                    self.pods[at].worker.marked = matches!(action, Action::Mark { .. });
                }
            }
        }
    }
}

/// What must hold of every decision.
fn check(
    policy: &Policy,
    observation: &Observation,
    current: u32,
    decision: &Decision,
) -> Result<(), TestCaseError> {
    let written: Vec<u32> = decision
        .actions
        .iter()
        .filter_map(
            |action| if let Action::SetReplicas { replicas } = action { Some(*replicas) } else { None },
        )
        .collect();
    if observation.depth.is_none() {
        prop_assert_eq!((decision.desired, &decision.actions[..]), (current, &[][..]), "unknown");
        return Ok(());
    }
    prop_assert!((policy.min..=policy.max).contains(&decision.desired));
    prop_assert!(written.iter().all(|written| *written == decision.desired));
    if decision.desired < current {
        let pods = observation.workers.len() as u32;
        let ready_to_go = observation.workers.iter().filter(|worker| {
            let never_started = worker.name.is_none();
            worker.marked && !worker.ready && (never_started || (worker.busy == Some(0) && worker.drained))
        });
        prop_assert!(pods.saturating_sub(decision.desired) <= ready_to_go.count() as u32, "{:?}", decision);
    }
    for action in &decision.actions {
        if let Action::Mark { pod } = action {
            let worker = observation.workers.iter().find(|worker| worker.pod == *pod);
            prop_assert!(worker.is_some_and(|worker| worker.is_empty() && !worker.marked));
        }
    }
    Ok(())
}

proptest! {
    /// Ten minutes of arrivals, unknown queues, late looks, lost actions, late ReplicaSets, operators that start anew:
    /// nobody who works is ever removed, bounds hold, and when all is done the pipeline comes to rest at its fewest.
    #[test]
    fn whole_lives(seed: u64, min in 0u32..4, lossy: bool, slow: bool, stuck in 0u32..3) {
        let policy = Policy { min, ..policy() };
        let mut world = World {
            random: seed,
            now_ms: 1_000_000,
            waiting: 0,
            replicas: 0,
            version: 0,
            pods: Vec::new(),
            made: 0,
            interrupted: 0,
        };
        let mut state = State::default();
        let mut seen = (world.observe(true), 0);
        let mut quiet_seconds = 0;
        for second in 0..10_000 {
            let busy_times = second < 600;
            let is_quiet = !busy_times && world.waiting == 0 && world.pods.iter().all(|pod| pod.worker.busy <= Some(0));
            quiet_seconds = if is_quiet { quiet_seconds + 1 } else { 0 };
            if quiet_seconds > 60 {
                break;
            }
            world.second(slow);
            if busy_times && world.chance(5) {
                world.waiting += seed % 97;
            }
            if second == 300 {
                for pod in world.pods.iter_mut().filter(|pod| pod.worker.busy > Some(0)).take(stuck as usize) {
                    pod.stuck = 1;
                }
            }
            if second == 600 {
                world.pods.iter_mut().for_each(|pod| pod.stuck = 0);
            }
            if busy_times && lossy && world.chance(1) {
                state = State::default();
            }
            let known = !busy_times || !world.chance(10);
            // What is seen may be a second or two old.
            let is_late = busy_times && lossy && world.chance(20);
            let (observation, version) = if is_late { seen } else { (world.observe(known), world.version) };
            let current = state.current(observation.replicas, world.now_ms);
            let (next, decision) = step(state, &policy, &observation, world.now_ms);
            state = next;
            seen = (observation.clone(), version);
            check(&policy, &observation, current, &decision)?;
            for action in &decision.actions {
                let is_lost = busy_times && lossy && world.chance(20);
                if !is_lost {
                    world.act(action, version);
                }
            }
            if !busy_times || !world.chance(30) {
                world.replica_set();
            }
            prop_assert_eq!(world.interrupted, 0, "second {}", second);
        }
        prop_assert_eq!((world.waiting, world.pods.len() as u32), (0, min));
        for _ in 0..30 {
            world.second(slow);
            let (next, decision) = step(state, &policy, &world.observe(true), world.now_ms);
            state = next;
            prop_assert_eq!((decision.desired, decision.actions), (min, vec![]), "at rest");
        }
    }
}
