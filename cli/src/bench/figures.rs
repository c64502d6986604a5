//! What measurements come to: rates and percentiles. Pure.

use std::time::Duration;

use serde::Serialize;

use super::load::Shot;

/// A level at one server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Requests that were answered.
    pub requests: usize,
    /// Requests that were not, or with an error.
    pub failed: usize,
    /// Requests before, which count for nothing.
    pub warm_up: u32,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Answered requests a second.
    pub rps: f64,
    /// Until the first word; of searches the same as the whole.
    pub ttft_ms: Spread,
    /// Until the end.
    pub total_ms: Spread,
    /// What asking took of a core for each request, in microseconds: where it comes near to a core's second over the
    /// rate, what asks was measured and not the server.
    pub generator_us: f64,
    /// The first failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What a level took, of whoever asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// From the first request that counts to the last answer.
    pub time: Duration,
    /// The generator's own time on a core, in that time.
    pub cpu: Duration,
    /// Requests before.
    pub warm_up: u32,
}

/// Times, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Spread {
    pub mean: f64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

/// A level at one or two servers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Level {
    /// How many asked at once.
    pub concurrency: u16,
    /// The server.
    pub local: Figures,
    /// The one it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<Figures>,
    /// Rate of the one by that of the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

/// All levels of a configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    pub config: &'static str,
    pub base_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare_url: Option<String>,
    pub levels: Vec<Level>,
}

impl Figures {
    /// Of these requests, and of what was spent on all of them.
    pub fn of(shots: &[Shot], spent: Spent) -> Self {
        let good: Vec<_> = shots.iter().filter_map(|shot| shot.answered.as_ref().ok()).collect();
        let failure = shots.iter().find_map(|shot| shot.answered.as_ref().err().cloned());
        let seconds = spent.time.as_secs_f64();
        Self {
            requests: good.len(),
            failed: shots.len() - good.len(),
            warm_up: spent.warm_up,
            seconds,
            rps: if seconds > 0.0 { good.len() as f64 / seconds } else { 0.0 },
            ttft_ms: Spread::of(good.iter().map(|times| times.first).collect()),
            total_ms: Spread::of(good.iter().map(|times| times.total).collect()),
            generator_us: spent.cpu.as_secs_f64() * 1e6 / shots.len().max(1) as f64,
            failure,
        }
    }
}

impl Level {
    pub fn of(concurrency: u16, local: Figures, compared: Option<Figures>) -> Self {
        let ratio = compared.as_ref().filter(|other| other.rps > 0.0).map(|other| local.rps / other.rps);
        Self { concurrency, local, compared, ratio }
    }
}

impl Spread {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let Some(max) = times.last().copied() else { return Self::default() };
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        // The smallest time that so many of a hundred do not exceed.
        let percentile = |share: usize| {
            let rank = (times.len() * share).div_ceil(100).max(1);
            times.get(rank - 1).copied().map_or(0.0, ms)
        };
        let sum: Duration = times.iter().sum();
        Self {
            mean: ms(sum) / times.len() as f64,
            p50: percentile(50),
            p95: percentile(95),
            p99: percentile(99),
            max: ms(max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::Times;
    use super::*;

    fn shot(ms: u64) -> Shot {
        let time = Duration::from_millis(ms);
        Shot { answered: Ok(Times { first: time / 2, total: time }) }
    }

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let shots: Vec<Shot> = (1..=200).rev().map(shot).collect();
        let spent = Spent { time: Duration::from_secs(2), cpu: Duration::from_millis(3), warm_up: 20 };
        let figures = Figures::of(&shots, spent);
        assert_eq!((figures.requests, figures.failed, figures.rps), (200, 0, 100.0));
        assert_eq!((figures.warm_up, figures.generator_us), (20, 15.0));
        let Spread { mean, p50, p95, p99, max } = figures.total_ms;
        assert_eq!((p50, p95, p99, max), (100.0, 190.0, 198.0, 200.0));
        assert!((mean - 100.5).abs() < 1e-9);
        assert_eq!(figures.ttft_ms.max, 100.0);
    }

    #[test]
    fn failures_count_for_nothing_else() {
        let failed = Shot { answered: Err("503".to_owned()) };
        let spent = Spent { time: Duration::from_secs(1), ..Spent::default() };
        let figures = Figures::of(&[shot(4), failed.clone()], spent);
        assert_eq!((figures.requests, figures.failed, figures.rps), (1, 1, 1.0));
        assert_eq!(figures.failure.as_deref(), Some("503"));
        let none = Figures::of(&[failed], Spent::default());
        assert_eq!((none.rps, none.total_ms), (0.0, Spread::default()));
        assert_eq!(Level::of(1, figures.clone(), Some(none)).ratio, None);
        assert_eq!(Level::of(1, figures.clone(), Some(figures)).ratio, Some(1.0));
    }

    #[test]
    fn the_report_has_these_names() {
        let spent = Spent { time: Duration::from_secs(1), cpu: Duration::from_micros(40), warm_up: 1 };
        let figures = Figures::of(&[shot(4), shot(8)], spent);
        let levels = vec![Level::of(10, figures.clone(), Some(figures))];
        let report = Compared {
            config: "mock-both",
            base_url: "http://a/".to_owned(),
            compare_url: Some("http://b/".to_owned()),
            levels,
        };
        let report = serde_json::to_value(&report).unwrap();
        let figures = serde_json::json!({"requests": 2, "failed": 0, "warm_up": 1, "seconds": 1.0, "rps": 2.0,
            "ttft_ms": {"mean": 3.0, "p50": 2.0, "p95": 4.0, "p99": 4.0, "max": 4.0},
            "total_ms": {"mean": 6.0, "p50": 4.0, "p95": 8.0, "p99": 8.0, "max": 8.0}, "generator_us": 20.0});
        assert_eq!(
            report,
            serde_json::json!({"config": "mock-both", "base_url": "http://a/", "compare_url": "http://b/",
                "levels": [{"concurrency": 10, "local": figures, "compared": figures, "ratio": 1.0}]})
        );
    }
}
