//! How fast it goes: documents a minute of the whole pipeline, and of one worker that nothing holds back.
//!
//! What a worker makes is measured only while documents wait, so that every worker has as much as it can take. What
//! cannot be seen from here is whether a model, a gate or a slow store held it back: all of them only ever make it
//! slower. So the estimate rises quickly and falls slowly. One too high would feed too few workers from a budget, by
//! at most the noise of ten commits; one too low would only let workers wait for the limiter, which keeps the budget.

use super::line::Line;

/// Longest time between two lines of which the second still says what happened since the first, in milliseconds.
const GAP_MS_MAX: u64 = 10_000;
/// Fewest commits that are an estimate: a third of it is noise.
const COMMITS_MIN: f64 = 10.0;
/// Shortest time that is an estimate, in milliseconds.
const SPAN_MS_MIN: u64 = 10_000;
/// Time after which fewer commits are one, too, in milliseconds: documents may take minutes.
const SPAN_MS_MAX: u64 = 300_000;
/// How much of a higher and of a lower estimate is believed at once.
const RISE: f64 = 0.5;
const FALL: f64 = 0.05;
/// Time in which the shown throughput follows by two thirds, in milliseconds.
const THROUGHPUT_MS: f64 = 30_000.0;

/// What was measured so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rate {
    /// The ledger's time of the line before.
    seen_at_ms: Option<u64>,
    /// Since when commits are counted: time, time of busy workers, commits.
    span_ms: u64,
    worker_ms: f64,
    commits: f64,
    of_one_worker: Option<f64>,
    throughput: Option<f64>,
}

impl Rate {
    /// Takes a line in. One that was taken in before changes nothing.
    pub fn see(&mut self, line: &Line) {
        let before_ms = self.seen_at_ms.replace(line.at_ms);
        let passed_ms = before_ms.map_or(0, |before| line.at_ms.saturating_sub(before));
        let Some(rate_per_s) = line.rate_per_s.filter(|_| (1..=GAP_MS_MAX).contains(&passed_ms)) else {
            return;
        };
        let passed = passed_ms as f64;
        let follow = 1.0 - (-passed / THROUGHPUT_MS).exp();
        let per_minute = rate_per_s * 60.0;
        self.throughput =
            Some(self.throughput.map_or(per_minute, |shown| shown + (per_minute - shown) * follow));

        let busy = line.workers.iter().filter(|worker| worker.busy > 0 && !worker.draining).count();
        let is_saturated = busy > 0 && line.depth.is_some_and(|depth| depth.waiting > 0);
        if !is_saturated {
            return;
        }
        self.span_ms += passed_ms;
        self.worker_ms += passed * busy as f64;
        self.commits += rate_per_s * passed / 1_000.0;
        let enough = self.commits >= COMMITS_MIN && self.span_ms >= SPAN_MS_MIN;
        if enough || self.span_ms >= SPAN_MS_MAX {
            self.conclude();
        }
    }

    fn conclude(&mut self) {
        // Nothing for minutes says that something is wrong, not how fast a worker is.
        if self.commits > 0.0 && self.worker_ms > 0.0 {
            let measured = self.commits * 60_000.0 / self.worker_ms;
            self.of_one_worker = Some(self.of_one_worker.map_or(measured, |known| {
                let believed = if measured > known { RISE } else { FALL };
                known + (measured - known) * believed
            }));
        }
        (self.span_ms, self.worker_ms, self.commits) = (0, 0.0, 0.0);
    }

    /// Documents a minute that one worker makes where nothing holds it back; absent until it was measured.
    pub fn documents_per_minute(&self) -> Option<f64> {
        self.of_one_worker
    }

    /// Documents a minute that are committed now, all workers together; absent until a line said it.
    pub fn throughput_per_minute(&self) -> Option<f64> {
        self.throughput
    }
}

#[cfg(test)]
mod tests {
    use docmill_core::scale::Depth;

    use super::super::line::LiveWorker;
    use super::*;

    struct Feed {
        rate: Rate,
        at_ms: u64,
    }

    impl Feed {
        fn new() -> Self {
            Self { rate: Rate::default(), at_ms: 1_000_000 }
        }

        /// So many lines, `every_ms` apart.
        fn lines(
            &mut self,
            count: u64,
            every_ms: u64,
            busy: usize,
            waiting: u64,
            per_s: Option<f64>,
        ) -> &mut Self {
            for _ in 0..count {
                self.at_ms += every_ms;
                let worker = LiveWorker { busy: 2, ..LiveWorker::default() };
                let line = Line {
                    at_ms: self.at_ms,
                    depth: Some(Depth { waiting, in_flight: 0, due: 0 }),
                    rate_per_s: per_s,
                    workers: vec![worker; busy],
                    ..Line::default()
                };
                self.rate.see(&line);
            }
            self
        }

        fn one(&self) -> Option<f64> {
            self.rate.documents_per_minute().map(f64::round)
        }
    }

    #[test]
    fn it_is_measured_while_documents_wait() {
        let mut feed = Feed::new();
        assert_eq!(feed.lines(40, 250, 2, 0, Some(1.0)).one(), None, "nothing waits");
        assert_eq!(feed.lines(40, 250, 0, 9, Some(1.0)).one(), None, "nobody works");
        assert_eq!(feed.lines(40, 250, 2, 9, None).one(), None, "nothing is said");
        assert_eq!(feed.lines(39, 250, 2, 9, Some(1.0)).one(), None, "too short");
        // 1 commit a second by 2 workers.
        assert_eq!(feed.lines(1, 250, 2, 9, Some(1.0)).one(), Some(30.0));
    }

    #[test]
    fn it_rises_quickly_and_falls_slowly() {
        let mut feed = Feed::new();
        assert_eq!(feed.lines(11, 1_000, 1, 9, Some(1.0)).one(), Some(60.0));
        // A model lets through a tenth of it for a quarter of an hour.
        let throttled = feed.lines(900, 1_000, 1, 9, Some(0.1)).one().unwrap();
        assert!((35.0..60.0).contains(&throttled), "{throttled}");
        let again = feed.lines(40, 1_000, 1, 9, Some(1.0)).one().unwrap();
        assert!((50.0..=60.0).contains(&again), "{again}");
    }

    #[test]
    fn slow_documents_are_measured_over_minutes() {
        let mut feed = Feed::new();
        for _ in 0..5 {
            feed.lines(59, 1_000, 1, 9, Some(0.0)).lines(1, 1_000, 1, 9, Some(1.0));
        }
        assert_eq!(feed.lines(1, 1_000, 1, 9, Some(0.0)).one(), Some(1.0));
        // Nothing for an hour is no estimate.
        assert_eq!(feed.lines(3_600, 1_000, 1, 9, Some(0.0)).one(), Some(1.0));
    }

    #[test]
    fn gaps_repetitions_and_clocks_that_go_back_say_nothing() {
        let mut feed = Feed::new();
        feed.lines(1, 1_000, 1, 9, Some(1.0)).lines(5, 20_000, 1, 9, Some(50.0)).lines(
            5,
            0,
            1,
            9,
            Some(50.0),
        );
        feed.at_ms -= 500_000;
        feed.lines(1, 0, 1, 9, Some(50.0));
        assert_eq!((feed.one(), feed.rate.throughput_per_minute()), (None, None));
    }

    #[test]
    fn the_throughput_follows() {
        let mut feed = Feed::new();
        feed.lines(2, 1_000, 1, 0, Some(1.0));
        assert_eq!(feed.rate.throughput_per_minute(), Some(60.0));
        let later = feed.lines(30, 1_000, 1, 0, Some(0.0)).rate.throughput_per_minute().unwrap();
        assert!((20.0..25.0).contains(&later), "{later}");
        assert!(feed.lines(300, 1_000, 1, 0, Some(0.0)).rate.throughput_per_minute().unwrap() < 0.1);
    }
}
