//! The few numbers that a run report prints. Pure arithmetic: it measures nothing itself.

use std::time::Duration;

/// What a set of measurements comes to; all zero where there were none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// How many.
    pub count: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Half were at most this: the mean of the two middle ones where their number is even.
    pub median: f64,
    /// 99 of 100 were at most this (nearest rank).
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Stats {
    /// Of these values; NaN and infinities are left out.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let Some(&max) = sorted.last() else {
            return Self::default();
        };
        let middle = count / 2;
        let median =
            if count % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        let mean = sorted.iter().map(|value| value / count as f64).sum();
        Self { count, mean, median, p99: percentile_of_sorted(&sorted, 99), max }
    }

    /// Of these durations, in seconds.
    pub fn of_durations(durations: &[Duration]) -> Self {
        let seconds: Vec<f64> = durations.iter().map(Duration::as_secs_f64).collect();
        Self::of(&seconds)
    }
}

/// Nearest rank: the smallest value that at least `percent` of 100 values do not exceed.
fn percentile_of_sorted(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0.0)
}

/// How many a second; zero where no time passed.
pub fn rate_per_second(count: u64, elapsed: Duration) -> f64 {
    let seconds = elapsed.as_secs_f64();
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_sets() {
        assert_eq!(Stats::of(&[]), Stats::default());
        assert_eq!(Stats::of(&[f64::NAN]), Stats::default());
        let stats = Stats::of(&[4.0, 1.0, 3.0, 2.0]);
        assert_eq!((stats.count, stats.mean, stats.median, stats.max), (4, 2.5, 2.5, 4.0));
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(Stats::of(&hundred).p99, 99.0);
        assert_eq!(Stats::of_durations(&[Duration::from_millis(500)]).median, 0.5);
    }

    #[test]
    fn rates() {
        assert_eq!(rate_per_second(10, Duration::from_secs(2)), 5.0);
        assert_eq!(rate_per_second(10, Duration::ZERO), 0.0);
    }

    proptest! {
        #[test]
        fn every_figure_lies_within_the_values(values in prop::collection::vec(-1e9f64..1e9, 1..100)) {
            let stats = Stats::of(&values);
            let min = values.iter().copied().fold(f64::INFINITY, f64::min);
            for figure in [stats.mean, stats.median, stats.p99] {
                prop_assert!(figure >= min - 1e-3 && figure <= stats.max + 1e-3);
            }
        }
    }
}
