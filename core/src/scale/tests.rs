//! Steps one by one.

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;

pub(super) const SECOND: u64 = 1_000;

pub(super) fn policy() -> Policy {
    Policy {
        min: 0,
        max: 10,
        depth_per_replica: NonZeroU32::new(10).unwrap(),
        scale_down_window_ms: 10 * SECOND,
        scale_to_zero_after_ms: 15 * SECOND,
        max_busy_wait_ms: 60 * SECOND,
        ..Policy::default()
    }
}

pub(super) fn worker(n: u32, busy: u32) -> Worker {
    Worker {
        pod: format!("w-{n}"),
        name: Some(format!("w-{n}.1")),
        busy: Some(busy),
        ready: true,
        draining: false,
        drained: false,
        marked: false,
        terminating: false,
    }
}

pub(super) fn observed(waiting: u64, workers: Vec<Worker>) -> Observation {
    let in_flight = workers.iter().filter_map(|worker| worker.busy).map(u64::from).sum();
    Observation {
        at_ms: Some(0),
        depth: Some(Depth { waiting, in_flight, due: 0 }),
        documents_per_minute: None,
        replicas: workers.len() as u32,
        workers,
        unseen: 0,
        rolling_out: false,
    }
}

/// Steps over observations a second apart; gives what the last decided.
struct Steps {
    state: State,
    policy: Policy,
    now_ms: u64,
}

impl Steps {
    fn new(policy: Policy) -> Self {
        Self { state: State::default(), policy, now_ms: 1_000_000 }
    }

    fn step(&mut self, observation: &Observation) -> Decision {
        self.now_ms += SECOND;
        let observation = Observation { at_ms: Some(self.now_ms), ..observation.clone() };
        let (state, decision) =
            step(std::mem::take(&mut self.state), &self.policy, &observation, self.now_ms);
        self.state = state;
        decision
    }

    /// The same for so many seconds.
    fn steps(&mut self, seconds: u64, observation: &Observation) -> Decision {
        (1..seconds).for_each(|_| drop(self.step(observation)));
        self.step(observation)
    }
}

fn codes(decision: &Decision) -> Vec<&'static str> {
    decision.reasons.iter().map(Reason::code).collect()
}

fn drain(n: u32) -> Action {
    Action::Drain { worker: format!("w-{n}.1") }
}

fn resume(n: u32) -> Action {
    Action::Resume { worker: format!("w-{n}.1") }
}

fn mark(n: u32) -> Action {
    Action::Mark { pod: format!("w-{n}") }
}

fn replicas(replicas: u32) -> Action {
    Action::SetReplicas { replicas }
}

#[test]
fn from_nothing_to_many_at_once() {
    let decision = Steps::new(policy()).step(&observed(75, vec![]));
    assert_eq!((decision.desired, &decision.actions[..]), (8, &[replicas(8)][..]));
    assert_eq!(codes(&decision), ["Demand", "Raised"]);
    assert_eq!(decision.metric_value(&policy()), 80);
}

#[test]
fn a_descent_step_by_step() {
    let mut steps = Steps::new(policy());
    // Two of three are to go: the idle one and the one with the least to do.
    let busy = observed(0, vec![worker(1, 4), worker(2, 0), worker(3, 1)]);
    let held = steps.steps(10, &busy);
    assert_eq!((held.desired, held.actions.len()), (3, 0));
    assert_eq!(codes(&held), ["Demand", "Window"]);
    let ordered = steps.step(&busy);
    assert_eq!((ordered.desired, ordered.actions), (3, vec![drain(2), drain(3)]));

    // The idle one is empty. It is marked once, and only what is seen to be marked goes.
    let drained =
        |n, marked| Worker { ready: false, draining: true, drained: true, marked, ..worker(n, 0) };
    let draining = Worker { draining: true, ..worker(3, 1) };
    let one_empty = observed(0, vec![worker(1, 4), drained(2, false), draining.clone()]);
    let marking = steps.step(&one_empty);
    assert_eq!((marking.desired, marking.actions), (3, vec![mark(2)]));
    assert_eq!(steps.step(&one_empty).actions, []);
    let one_marked = observed(0, vec![worker(1, 4), drained(2, true), draining.clone()]);
    let lowered = steps.step(&one_marked);
    assert_eq!((lowered.desired, lowered.actions.clone()), (2, vec![replicas(2)]));
    assert_eq!(codes(&lowered), ["Demand", "Draining", "Lowered"]);

    // The ReplicaSet has not looked yet: nothing more happens to it.
    let not_yet = steps.step(&Observation { replicas: 2, ..one_marked });
    assert_eq!((not_yet.desired, not_yet.actions), (2, vec![]));
    // It is gone; the other finishes and goes too.
    let other_empty = observed(0, vec![worker(1, 4), drained(3, false)]);
    assert_eq!(steps.step(&other_empty).actions, [mark(3)]);
    let other_marked = observed(0, vec![worker(1, 4), drained(3, true)]);
    let last = steps.step(&other_marked);
    assert_eq!((last.desired, last.actions), (1, vec![replicas(1)]));
    assert_eq!(steps.step(&observed(0, vec![worker(1, 4)])).actions, []);
}

#[test]
fn work_that_arrives_is_taken_up_by_those_that_were_to_go() {
    let mut steps = Steps::new(policy());
    let idle = observed(0, vec![worker(1, 1), worker(2, 0), worker(3, 0)]);
    assert_eq!(steps.steps(11, &idle).actions, [drain(2), drain(3)]);
    let ordered = |n| Worker { draining: true, ..worker(n, 0) };
    let back = steps.step(&observed(25, vec![worker(1, 1), ordered(2), ordered(3)]));
    assert_eq!((back.desired, back.actions.clone()), (3, vec![resume(2), resume(3)]));
    assert_eq!(codes(&back), ["Demand", "Resumed"]);
    // Where even more is asked for, all of them stay and more come; a mark is taken off.
    let marked = Worker { drained: true, marked: true, ready: false, ..ordered(2) };
    let more = steps.step(&observed(50, vec![worker(1, 1), marked]));
    assert_eq!(more.actions, [Action::Unmark { pod: "w-2".into() }, resume(2), replicas(6)]);
}

#[test]
fn workers_that_stay_busy_go_on_and_fewer_are_tried() {
    let mut steps = Steps::new(policy());
    let busy = observed(0, (1..=5).map(|n| worker(n, 1)).collect());
    assert_eq!(steps.steps(11, &busy).actions, [drain(1), drain(2), drain(3), drain(4)]);
    let ordered = |n| Worker { draining: true, ..worker(n, 1) };
    let waiting = observed(0, (1..=4).map(ordered).chain([worker(5, 1)]).collect());
    let still = steps.steps(59, &waiting);
    assert_eq!(still.scaling_limited(), []);
    let given_up = steps.step(&waiting);
    assert_eq!(given_up.actions, [resume(1), resume(2), resume(3), resume(4)]);
    assert_eq!(given_up.scaling_limited(), [ScalingLimited::BusyWorkers]);
    assert_eq!(given_up.desired, 5);
    let smaller = steps.step(&busy);
    assert_eq!(smaller.actions, [drain(1), drain(2)], "half as many");
    assert_eq!(smaller.scaling_limited(), [ScalingLimited::BusyWorkers], "until one goes");
    // An idle one goes instead of one that is busy.
    let idle =
        observed(0, (1..=2).map(ordered).chain([worker(3, 1), worker(4, 0), worker(5, 0)]).collect());
    assert_eq!(steps.step(&idle).actions, [drain(4), drain(5)]);
}

#[test]
fn what_is_unknown_changes_nothing() {
    let workers = || vec![worker(1, 0), worker(2, 0)];
    for unknown in [
        Observation { at_ms: None, ..observed(0, workers()) },
        Observation { depth: None, ..observed(0, workers()) },
    ] {
        for min in [0, 1, 5] {
            let policy = Policy { min, ..policy() };
            for now_ms in [0, 100 * SECOND, 100_000 * SECOND] {
                let (_, decision) = step(State::default(), &policy, &unknown, now_ms);
                assert_eq!((decision.desired, decision.actions), (2, vec![]), "{unknown:?}");
                assert!(matches!(decision.reasons[..], [Reason::Unknown { held: 2, .. }]));
            }
        }
    }
}

#[test]
fn nobody_goes_on_what_is_old_incomplete_or_being_replaced() {
    let idle = || observed(0, vec![worker(1, 0), worker(2, 0)]);
    let mut steps = Steps::new(Policy { min: 1, ..policy() });
    steps.steps(10, &idle());
    for (hindered, code) in [
        (Observation { unseen: 1, ..idle() }, "PodsUnseen"),
        (Observation { rolling_out: true, ..idle() }, "RollingOut"),
    ] {
        let decision = steps.step(&hindered);
        assert_eq!((decision.desired, decision.actions.len()), (2, 0));
        assert!(codes(&decision).contains(&code), "{decision:?}");
    }
    let old = Observation { at_ms: Some(steps.now_ms - 5 * SECOND), ..idle() };
    let (_, decision) = step(steps.state.clone(), &steps.policy, &old, steps.now_ms);
    assert!(codes(&decision).contains(&"NotFresh"), "{decision:?}");
    assert_eq!(decision.actions, []);
    assert_eq!(steps.step(&idle()).actions, [drain(1)]);
}

#[test]
fn an_observation_older_than_the_write_does_not_undo_it() {
    let mut steps = Steps::new(policy());
    assert_eq!(steps.step(&observed(100, vec![])).desired, 10);
    // Kubernetes still shows 0, and what waited is gone in a moment.
    let decision = steps.step(&observed(0, vec![]));
    assert_eq!((decision.desired, decision.actions), (10, vec![replicas(10)]));
    // What still shows another number later was changed by somebody.
    assert_eq!(steps.steps(5, &observed(0, vec![])).desired, 0);
}

#[test]
fn nobody_takes_work_again_before_a_raise_is_seen_to_be_written() {
    let mut steps = Steps::new(policy());
    let marked = Worker { ready: false, draining: true, drained: true, marked: true, ..worker(3, 0) };
    let lowered = |waiting, replicas| {
        let workers = vec![worker(1, 4), worker(2, 4), marked.clone()];
        Observation { replicas, ..observed(waiting, workers) }
    };
    assert_eq!(steps.step(&lowered(10, 2)).actions, [drain(3)], "the ReplicaSet has not looked yet");
    // The write may be refused: until it is seen, the ReplicaSet may still remove one.
    for _ in 0..10 {
        let raised = steps.step(&lowered(30, 2));
        assert_eq!((raised.desired, raised.actions), (4, vec![replicas(4)]));
    }
    let resumed = [Action::Unmark { pod: "w-3".into() }, resume(3)];
    assert_eq!(steps.step(&lowered(30, 4)).actions, resumed);
}

#[test]
fn pods_that_never_started_go_first_and_silent_workers_last() {
    let mut steps = Steps::new(policy());
    let pending = Worker { name: None, busy: None, ready: false, ..worker(4, 0) };
    let silent = Worker { busy: None, ..worker(1, 0) };
    let workers = vec![silent.clone(), worker(2, 3), worker(3, 2), pending.clone()];
    let mut observation = observed(20, workers);
    assert_eq!(steps.steps(11, &observation).actions, [mark(4)]);
    observation.workers[3].marked = true;
    assert_eq!(steps.step(&observation).actions, [replicas(3)]);
    // One is enough: the silent one stays, as nobody knows what it has.
    let mut steps = Steps::new(policy());
    let fewer = observed(0, vec![silent, worker(2, 3), worker(3, 2)]);
    assert_eq!(steps.steps(11, &fewer).actions, [drain(2), drain(3)]);
}

#[test]
fn pods_that_were_never_made_need_nobody_to_go() {
    let mut steps = Steps::new(policy());
    let quota = Observation { replicas: 8, ..observed(0, vec![worker(1, 1), worker(2, 1)]) };
    let decision = steps.steps(11, &quota);
    assert_eq!(decision.desired, 2);
    assert!(decision.actions.contains(&replicas(2)) && decision.actions.contains(&drain(1)));
}

#[test]
fn an_operator_that_starts_anew_takes_orders_along_or_back() {
    let marked = Worker { draining: true, drained: true, ready: false, marked: true, ..worker(2, 0) };
    let begun = observed(0, vec![worker(1, 0), marked.clone(), worker(3, 1)]);
    let mut anew = Steps::new(Policy { min: 2, ..policy() });
    assert_eq!(anew.steps(10, &begun).actions, [Action::Unmark { pod: "w-2".into() }, resume(2)]);
    // The window is over: it is chosen before an idle one, ordered by this operator, and only then goes.
    assert_eq!(anew.step(&begun).actions, [drain(2)]);
    assert_eq!(anew.step(&begun).actions, [replicas(2)]);
    // A lowering that was written is not taken back.
    let lowered = Observation { replicas: 2, ..begun };
    assert_eq!(Steps::new(Policy { min: 2, ..policy() }).step(&lowered).actions, [drain(2)]);
}

#[test]
fn orders_are_renewed() {
    let mut steps = Steps::new(policy());
    steps.steps(11, &observed(0, vec![worker(1, 3), worker(2, 1)]));
    let ordered = Worker { draining: true, ..worker(2, 1) };
    let waiting = observed(0, vec![worker(1, 3), ordered]);
    let orders: Vec<usize> = (1..=45).map(|_| steps.step(&waiting).actions.len()).collect();
    assert_eq!(orders.iter().sum::<usize>(), 2);
    assert_eq!((orders[19], orders[39]), (1, 1), "each 20 s");
}

proptest! {
    /// With the same past and the same pods, more work never leads to fewer workers.
    #[test]
    fn more_demand_never_leads_to_fewer(
        past in prop::collection::vec(0u64..200, 0..30), replicas in 0u32..10, less in 0u64..200, more in 0u64..200,
    ) {
        let mut steps = Steps::new(policy());
        let workers: Vec<Worker> = (1..=replicas).map(|n| worker(n, 0)).collect();
        for waiting in past {
            steps.step(&observed(waiting, workers.clone()));
        }
        let drained = |worker: &Worker| Worker {
            ready: false, draining: true, drained: true, marked: true, ..worker.clone()
        };
        let workers: Vec<Worker> = workers.iter().map(drained).collect();
        let decide = |waiting| {
            let mut steps = Steps { state: steps.state.clone(), policy: policy(), now_ms: steps.now_ms };
            steps.step(&observed(waiting, workers.clone())).desired
        };
        prop_assert!(decide(less) <= decide(less + more));
    }
}
