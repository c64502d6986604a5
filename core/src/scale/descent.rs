//! The gated descent: workers are chosen, emptied and marked, and only then are there fewer.
//!
//! ```text
//! choose ──► Drain ──► drained and not ready ──► Mark, once ──► marked ──► SetReplicas
//!    ▲         │
//!    └─ Resume ┘  work arrives, an idle one turns up instead, or it is busy for longer than maxBusyWait
//! ```
//!
//! A ReplicaSet removes, in this order: pods without a node, pods that are not running, pods that are not ready, and
//! among equals those of the lowest `pod-deletion-cost`. A marked worker that is not ready is thus the first of all
//! that run, and `replicas` falls by no more than there are of those.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::observation::{Observation, Worker};
use super::policy::Policy;
use super::reason::Reason;
use super::{Action, Decision};

/// How long an order to take no new work lasts, in milliseconds; then the worker resumes by itself.
pub const ORDER_LASTS_MS: u64 = 60_000;
/// Time after which an order is renewed, in milliseconds: a third, so that two renewals may be lost.
const ORDER_RENEW_MS: u64 = ORDER_LASTS_MS / 3;
/// Age, in milliseconds, from which an order is too near its end for the worker to be counted on.
const ORDER_SURE_MS: u64 = ORDER_LASTS_MS / 2;
/// Time after which what shows no effect is done again, in milliseconds: three looks.
const AGAIN_MS: u64 = 3_000;

/// Who is to go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descent {
    /// When the present wait began.
    began_ms: u64,
    /// By pod.
    chosen: BTreeMap<String, Chosen>,
    /// Busy workers that are tried at once, after a wait in which none got empty; absent while nobody was too busy.
    busy_at_once: Option<u32>,
}

/// What was done to one that is to go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Chosen {
    /// When it was last ordered to take no new work.
    ordered_at_ms: Option<u64>,
    /// When its mark was last written.
    marked_at_ms: Option<u64>,
}

/// What a step of the descent goes by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment<'a> {
    pub policy: &'a Policy,
    pub observation: &'a Observation,
    /// Workers that are there, as far as the last write of `replicas` is known.
    pub current: u32,
    /// The least `replicas` that may be in force.
    pub least: u32,
    /// Workers to have in the end.
    pub target: u32,
    pub now_ms: u64,
}

impl Moment<'_> {
    /// Of so many pods, those that a ReplicaSet may remove at any moment. Until a raise is seen to be written, nobody
    /// may take work again on the strength of it.
    fn on_their_way(&self, live: u32) -> u32 {
        live.saturating_sub(self.target.min(self.least))
    }
}

impl Descent {
    /// The next step towards `target`.
    pub(super) fn step(&mut self, moment: Moment<'_>, decision: &mut Decision) {
        let live: BTreeMap<&str, &Worker> =
            moment.observation.live().map(|worker| (worker.pod.as_str(), worker)).collect();
        self.chosen.retain(|pod, _| live.contains_key(pod.as_str()));
        if moment.target >= moment.current {
            self.end(&live, moment, decision);
        } else if let Some(reason) = hindrance(moment) {
            self.renew_orders(&live, moment.now_ms, decision);
            decision.reasons.push(reason);
        } else {
            self.descend(&live, moment, decision);
        }
    }

    /// Nobody more is to go. Those that an earlier lowering left behind are still on their way; all others stay.
    fn end(&mut self, live: &BTreeMap<&str, &Worker>, moment: Moment<'_>, decision: &mut Decision) {
        let surplus = moment.on_their_way(count(live));
        self.adopt_marked(live, surplus);
        self.shrink(live, surplus);
        self.release_others(live, decision);
        self.renew_orders(live, moment.now_ms, decision);
        self.busy_at_once = None;
        if moment.target > moment.current {
            decision.reasons.push(Reason::Raised { from: moment.current, to: moment.target });
            decision.desired = moment.target;
        }
    }

    fn descend(&mut self, live: &BTreeMap<&str, &Worker>, moment: Moment<'_>, decision: &mut Decision) {
        let Moment { policy, current, target, now_ms, .. } = moment;
        let leaving = count(live).saturating_sub(target);
        if self.chosen.is_empty() {
            self.began_ms = now_ms;
        }
        self.shrink(live, leaving.max(moment.on_their_way(count(live))));
        if now_ms.saturating_sub(self.began_ms) >= policy.max_busy_wait_ms {
            self.give_busy_up(live, now_ms);
        } else {
            self.choose(live, leaving);
        }
        // Before orders are renewed: one that is only being sent is not in force.
        let ready_to_go = self.count_ready_to_go(live, now_ms);
        self.release_others(live, decision);
        self.renew_orders(live, now_ms, decision);
        self.mark(live, now_ms, decision);

        let (chosen, empty) = (self.chosen.len() as u32, self.count_empty(live));
        if chosen > 0 {
            decision.reasons.push(Reason::Draining { to: target, chosen, empty });
        }
        // Never below what is left once all go that are ready to. Pods that were never made need nobody to go.
        let desired = current.min(count(live) - ready_to_go).max(target);
        if desired < current {
            decision.reasons.push(Reason::Lowered { from: current, to: desired });
            decision.desired = desired;
            self.busy_at_once = None;
            self.began_ms = now_ms;
        }
        if let Some(at_once) = self.busy_at_once {
            decision
                .reasons
                .push(Reason::BusyWorkers { max_busy_wait_ms: policy.max_busy_wait_ms, at_once });
        }
    }

    /// Takes those along that an operator before this one marked, as it may have lowered `replicas` for them.
    fn adopt_marked(&mut self, live: &BTreeMap<&str, &Worker>, leaving: u32) {
        let mut marked: Vec<&Worker> =
            live.values().copied().filter(|worker| worker.marked && !self.has(worker)).collect();
        marked.sort_by_key(|worker| worker.load());
        let room = (leaving as usize).saturating_sub(self.chosen.len());
        for worker in marked.into_iter().take(room) {
            self.chosen.insert(worker.pod.clone(), Chosen::default());
        }
    }

    /// Chooses until so many are to leave: idle ones first, else the least loaded.
    fn choose(&mut self, live: &BTreeMap<&str, &Worker>, leaving: u32) {
        let mut others: Vec<&Worker> = live.values().copied().filter(|worker| !self.has(worker)).collect();
        others.sort_by_key(|worker| worker.load());
        let mut busy_room =
            self.busy_at_once.map_or(u32::MAX, |at_once| at_once.saturating_sub(self.count_busy(live)));
        for worker in others {
            let is_busy = worker.busy_or_most() > 0;
            if self.chosen.len() as u32 >= leaving {
                // An idle one goes instead of one that is busy, which goes on with its work.
                let Some(busiest) = self.busiest(live) else { break };
                if is_busy {
                    break;
                }
                self.chosen.remove(&busiest);
            } else if is_busy {
                if busy_room == 0 {
                    break;
                }
                busy_room -= 1;
            }
            self.chosen.insert(worker.pod.clone(), Chosen::default());
        }
    }

    /// Chooses no more than so many: who has the most to do stays.
    fn shrink(&mut self, live: &BTreeMap<&str, &Worker>, leaving: u32) {
        let mut chosen: Vec<(bool, (bool, bool, u32), String)> = self
            .chosen
            .keys()
            .filter_map(|pod| live.get(pod.as_str()))
            .map(|worker| (!worker.marked, worker.load(), worker.pod.clone()))
            .collect();
        chosen.sort();
        for (_, _, pod) in chosen.into_iter().skip(leaving as usize) {
            self.chosen.remove(&pod);
        }
    }

    /// The wait is over: who is still busy goes on with its work, and half as many are tried the next time.
    fn give_busy_up(&mut self, live: &BTreeMap<&str, &Worker>, now_ms: u64) {
        let busy = self.count_busy(live);
        self.chosen
            .retain(|pod, _| live.get(pod.as_str()).is_some_and(|worker| worker.busy_or_most() == 0));
        self.began_ms = now_ms;
        if busy > 0 {
            self.busy_at_once = Some((busy / 2).max(1));
        }
    }

    /// Whoever has an order or a mark and is not chosen has neither any more.
    fn release_others(&self, live: &BTreeMap<&str, &Worker>, decision: &mut Decision) {
        let mut resumed = 0;
        for worker in live.values().filter(|worker| !self.has(worker)) {
            if worker.marked {
                decision.actions.push(Action::Unmark { pod: worker.pod.clone() });
            }
            if let Some(name) = worker.name.as_ref().filter(|_| worker.draining) {
                decision.actions.push(Action::Resume { worker: name.clone() });
                resumed += 1;
            }
        }
        if resumed > 0 {
            decision.reasons.push(Reason::Resumed { workers: resumed });
        }
    }

    fn renew_orders(&mut self, live: &BTreeMap<&str, &Worker>, now_ms: u64, decision: &mut Decision) {
        for (pod, chosen) in &mut self.chosen {
            let Some(worker) = live.get(pod.as_str()) else { continue };
            let Some(name) = &worker.name else { continue };
            let again_ms = if worker.draining { ORDER_RENEW_MS } else { AGAIN_MS };
            if is_over(chosen.ordered_at_ms, again_ms, now_ms) {
                chosen.ordered_at_ms = Some(now_ms);
                decision.actions.push(Action::Drain { worker: name.clone() });
            }
        }
    }

    fn mark(&mut self, live: &BTreeMap<&str, &Worker>, now_ms: u64, decision: &mut Decision) {
        for (pod, chosen) in &mut self.chosen {
            let empty = live.get(pod.as_str()).is_some_and(|worker| worker.is_empty() && !worker.marked);
            if empty && is_over(chosen.marked_at_ms, AGAIN_MS, now_ms) {
                chosen.marked_at_ms = Some(now_ms);
                decision.actions.push(Action::Mark { pod: pod.clone() });
            }
        }
    }

    fn has(&self, worker: &Worker) -> bool {
        self.chosen.contains_key(&worker.pod)
    }

    fn among<'a>(&self, live: &BTreeMap<&str, &'a Worker>) -> impl Iterator<Item = (Chosen, &'a Worker)> {
        self.chosen
            .iter()
            .filter_map(|(pod, chosen)| live.get(pod.as_str()).map(|worker| (*chosen, *worker)))
    }

    fn count_busy(&self, live: &BTreeMap<&str, &Worker>) -> u32 {
        self.among(live).filter(|(_, worker)| worker.busy_or_most() > 0).count() as u32
    }

    fn count_empty(&self, live: &BTreeMap<&str, &Worker>) -> u32 {
        self.among(live).filter(|(_, worker)| worker.is_empty()).count() as u32
    }

    /// The chosen one with the most to do; none where all are idle.
    fn busiest(&self, live: &BTreeMap<&str, &Worker>) -> Option<String> {
        let busy = self.among(live).map(|(_, worker)| worker).filter(|worker| worker.busy_or_most() > 0);
        busy.max_by_key(|worker| worker.busy_or_most()).map(|worker| worker.pod.clone())
    }

    /// Those that are empty, marked, and stay empty for long enough that they can be removed.
    fn count_ready_to_go(&self, live: &BTreeMap<&str, &Worker>, now_ms: u64) -> u32 {
        let ready = |(chosen, worker): &(Chosen, &Worker)| {
            let stays_empty =
                worker.name.is_none() || !is_over(chosen.ordered_at_ms, ORDER_SURE_MS, now_ms);
            worker.is_empty() && worker.marked && stays_empty
        };
        self.among(live).filter(ready).count() as u32
    }
}

/// What keeps workers from going at all, whoever they are.
fn hindrance(moment: Moment<'_>) -> Option<Reason> {
    let Moment { observation, now_ms, .. } = moment;
    if !observation.is_fresh(now_ms) {
        return Some(Reason::NotFresh { age_ms: observation.age_ms(now_ms).unwrap_or(u64::MAX) });
    }
    if observation.unseen > 0 {
        return Some(Reason::PodsUnseen { unseen: observation.unseen });
    }
    observation.rolling_out.then_some(Reason::RollingOut)
}

fn count(live: &BTreeMap<&str, &Worker>) -> u32 {
    live.len() as u32
}

/// Whether so much time passed since then; what never was is long ago.
fn is_over(since_ms: Option<u64>, wait_ms: u64, now_ms: u64) -> bool {
    since_ms.is_none_or(|since| now_ms.saturating_sub(since) >= wait_ms)
}
