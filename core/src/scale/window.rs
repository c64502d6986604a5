//! The scale-down window: fewer workers only when nothing asked for more for a while.
//!
//! It remembers what was wanted, nothing of pods. Its clock goes only while something is known: a queue that did not
//! answer for an hour has not been quiet for an hour.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::observation::Depth;
use super::policy::Policy;
use super::reason::Reason;

/// Most that the clock goes between two observations, in milliseconds: they come each second, and what happened in a
/// longer gap nobody knows.
const STEP_MS_MAX: u64 = 5_000;

/// What was wanted lately.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Milliseconds of which something is known, from the first observation.
    clock_ms: u64,
    /// When the newest observation came, by the caller's clock.
    seen_at_ms: Option<u64>,
    /// The window's clock when something was last there to do.
    busy_at_ms: u64,
    /// What was wanted, each more than all after it, oldest first. So it is never longer than the most workers.
    highs: VecDeque<High>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct High {
    /// The window's clock when it was last wanted.
    at_ms: u64,
    replicas: u32,
}

/// An observation as the window sees it.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// When it came, by the caller's clock.
    pub at_ms: u64,
    /// What was there to do.
    pub depth: Depth,
    /// Workers that were wanted for it.
    pub wanted: u32,
}

impl Window {
    /// How many workers to have, `current` being there. More at once; fewer only down to the most that was wanted
    /// within the window, and none only when nothing was there for long enough.
    ///
    /// What is there at the first sample counts as wanted then: after a restart nobody goes before a whole window.
    pub fn target(
        &mut self,
        policy: &Policy,
        sample: Sample,
        current: u32,
        reasons: &mut Vec<Reason>,
    ) -> u32 {
        self.advance(sample.at_ms, current);
        if sample.depth.demand() > 0 {
            self.busy_at_ms = self.clock_ms;
        }
        self.record(sample.wanted);
        self.forget(policy.scale_down_window_ms);
        if sample.wanted >= current {
            return sample.wanted;
        }
        let Some(high) = self.highs.front().copied() else { return sample.wanted };
        // Bounds that a person changed hold at once, whatever was wanted before.
        let highest = high.replicas.min(policy.max);
        let target = current.min(highest).max(sample.wanted);
        if target > sample.wanted {
            let left_ms =
                high.at_ms.saturating_add(policy.scale_down_window_ms).saturating_sub(self.clock_ms);
            reasons.push(Reason::Window { highest, left_ms });
        }
        let idle_ms = self.clock_ms - self.busy_at_ms;
        if target == 0 && idle_ms < policy.scale_to_zero_after_ms {
            reasons.push(Reason::ZeroWaits { left_ms: policy.scale_to_zero_after_ms - idle_ms });
            return 1;
        }
        target
    }

    fn advance(&mut self, at_ms: u64, current: u32) {
        let Some(seen_at_ms) = self.seen_at_ms else {
            self.seen_at_ms = Some(at_ms);
            self.highs.push_back(High { at_ms: self.clock_ms, replicas: current });
            return;
        };
        self.clock_ms += at_ms.saturating_sub(seen_at_ms).min(STEP_MS_MAX);
        self.seen_at_ms = Some(at_ms.max(seen_at_ms));
    }

    fn record(&mut self, wanted: u32) {
        if let Some(newest) = self.highs.back_mut() {
            // It was wanted until now, as far as anybody knows.
            newest.at_ms = self.clock_ms;
        }
        while self.highs.back().is_some_and(|high| high.replicas <= wanted) {
            self.highs.pop_back();
        }
        self.highs.push_back(High { at_ms: self.clock_ms, replicas: wanted });
    }

    fn forget(&mut self, window_ms: u64) {
        while self.highs.len() > 1
            && self.highs.front().is_some_and(|high| high.at_ms.saturating_add(window_ms) <= self.clock_ms)
        {
            self.highs.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: fn() -> Policy =
        || Policy { scale_down_window_ms: 10_000, scale_to_zero_after_ms: 15_000, ..Policy::default() };

    /// The target at each second, with `current` following it, from what is wanted at each second.
    fn run(current: u32, wanted: &[(u64, u32)]) -> Vec<u32> {
        let mut window = Window::default();
        let mut current = current;
        let mut targets = Vec::new();
        for &(second, wanted) in wanted {
            let depth = Depth { waiting: u64::from(wanted), ..Depth::default() };
            let sample = Sample { at_ms: second * 1_000, depth, wanted };
            current = window.target(&POLICY(), sample, current, &mut Vec::new());
            targets.push(current);
        }
        targets
    }

    fn each_second(wanted: &[(u32, usize)]) -> Vec<(u64, u32)> {
        let all = wanted.iter().flat_map(|&(wanted, times)| std::iter::repeat_n(wanted, times));
        (0..).zip(all).collect()
    }

    #[test]
    fn more_at_once_and_fewer_after_the_window() {
        let targets = run(0, &each_second(&[(0, 1), (5, 1), (2, 12)]));
        assert_eq!(targets[..2], [0, 5]);
        // 5 was wanted until second 2, and is forgotten 10 s later.
        assert_eq!(targets[2..12], [5; 10]);
        assert_eq!(targets[12..], [2; 2]);
    }

    #[test]
    fn every_surge_begins_the_window_anew() {
        let targets = run(5, &each_second(&[(2, 8), (4, 1), (2, 12)]));
        assert_eq!(targets[..10], [5; 10]);
        assert_eq!(targets[10..19], [4; 9], "the surge keeps its four");
        assert_eq!(targets[19..], [2; 2]);
    }

    #[test]
    fn the_last_worker_waits_longer() {
        let targets = run(3, &each_second(&[(3, 1), (0, 20)]));
        assert_eq!(targets[..11], [3; 11]);
        assert_eq!(targets[11..15], [1; 4]);
        assert_eq!(targets[15..], [0; 6]);
        assert_eq!(run(0, &each_second(&[(0, 3)])), [0; 3], "nobody is there, nobody is kept");
    }

    #[test]
    fn what_nobody_saw_was_not_quiet() {
        // An hour passes after the second look: 5 s of it count.
        assert_eq!(run(3, &[(0, 3), (1, 1), (3_601, 1), (3_602, 1)]), [3; 4]);
        assert_eq!(run(3, &[(0, 3), (1, 1), (3_601, 1), (3_606, 1)]), [3, 3, 3, 1]);
        // Nor does a clock that goes back count.
        assert_eq!(run(3, &[(100, 3), (101, 1), (50, 1), (60, 1)]), [3; 4]);
    }

    #[test]
    fn what_runs_at_the_start_was_wanted() {
        assert_eq!(run(7, &each_second(&[(1, 11)]))[..10], [7; 10]);
    }

    #[test]
    fn a_lower_maximum_holds_at_once() {
        let mut window = Window::default();
        let mut reasons = Vec::new();
        let sample =
            |at_ms| Sample { at_ms, depth: Depth { waiting: 100, in_flight: 0, due: 0 }, wanted: 2 };
        assert_eq!(window.target(&POLICY(), sample(0), 40, &mut reasons), 40);
        let fewer = Policy { max: 10, ..POLICY() };
        assert_eq!(window.target(&fewer, sample(1_000), 40, &mut reasons), 10);
    }

    proptest! {
        #[test]
        fn it_never_goes_below_what_is_wanted_nor_forgets_early(
            wanted in prop::collection::vec(0u32..50, 1..200),
        ) {
            let samples: Vec<_> = (0u64..).zip(wanted.iter().copied()).collect();
            let targets = run(0, &samples);
            for (at, target) in targets.iter().enumerate() {
                let within = &wanted[at.saturating_sub(9)..=at];
                let highest = within.iter().copied().max().unwrap_or(0);
                prop_assert!(*target >= wanted[at] && *target >= highest);
                prop_assert!(*target <= wanted[..=at].iter().copied().max().unwrap_or(0));
            }
        }

        #[test]
        fn its_memory_is_bounded(wanted in prop::collection::vec(0u32..20, 1..500)) {
            let mut window = Window::default();
            let policy = Policy { scale_down_window_ms: u64::MAX, ..POLICY() };
            for (second, wanted) in (0u64..).zip(wanted) {
                let sample = Sample { at_ms: second * 1_000, depth: Depth::default(), wanted };
                window.target(&policy, sample, 0, &mut Vec::new());
                prop_assert!(window.highs.len() <= 21);
            }
        }
    }
}
